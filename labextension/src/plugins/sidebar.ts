/** The panel with the list of executions. */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { PanelWithToolbar, SidePanel } from '@jupyterlab/ui-components';
import { createElement, type ReactElement } from 'react';
import { CommandIDs, IFlyteConnection, TRANSLATION_DOMAIN } from '../tokens';
import { ExecutionList } from '../views/executionList';
import { flyteIcon } from '../views/icons';
import type { Services } from '../views/services';
import { ViewWidget } from '../views/viewWidget';

class ExecutionsSection extends ViewWidget {
  protected override view(active: boolean): ReactElement {
    return createElement(ExecutionList, { active });
  }
}

function makePanel(services: Services): SidePanel {
  const { trans } = services;
  const panel = new SidePanel();
  panel.id = 'flyte-jupyter-executions';
  panel.title.icon = flyteIcon;
  panel.title.caption = trans.__('Flyte executions');
  panel.addClass('jp-Flyte-panel');
  const section = new PanelWithToolbar();
  section.title.label = trans.__('Executions');
  section.addClass('jp-Flyte-section');
  section.addWidget(new ExecutionsSection(services));
  panel.addWidget(section);
  return panel;
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'flyte-jupyter:sidebar',
  description: 'A side panel with the executions of the Flyte control plane.',
  autoStart: true,
  requires: [IFlyteConnection],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    connection: IFlyteConnection,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const trans = (translator ?? nullTranslator).load(TRANSLATION_DOMAIN);
    const panel = makePanel({ connection, trans, commands: app.commands });
    app.shell.add(panel, 'left', { rank: 650, type: 'Flyte' });
    restorer?.add(panel, panel.id);
    app.commands.addCommand(CommandIDs.showExecutions, {
      label: trans.__('Show Flyte Executions'),
      caption: trans.__('Show the list of workflow executions'),
      icon: flyteIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(panel.id)
    });
    palette?.addItem({
      command: CommandIDs.showExecutions,
      category: trans.__('Flyte')
    });
  }
};

export default plugin;
