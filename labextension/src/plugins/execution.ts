/** The page of an execution, and what can be done with one. */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  InputDialog,
  MainAreaWidget,
  Notification,
  showDialog,
  WidgetTracker
} from '@jupyterlab/apputils';
import {
  ITranslator,
  nullTranslator,
  type TranslationBundle
} from '@jupyterlab/translation';
import { redoIcon, refreshIcon, stopIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { createElement, type ReactElement } from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import { CommandIDs, IFlyteConnection, TRANSLATION_DOMAIN } from '../tokens';
import { ExecutionPage } from '../views/executionPage';
import { flyteIcon } from '../views/icons';
import type { Services } from '../views/services';
import { ViewWidget } from '../views/viewWidget';

class ExecutionContent extends ViewWidget {
  constructor(
    services: Services,
    readonly execution: WorkflowExecutionIdentifier
  ) {
    super(services);
    this.addClass('jp-Flyte-execution');
  }

  protected override view(active: boolean): ReactElement {
    return createElement(ExecutionPage, { id: this.execution, active });
  }
}

type Page = MainAreaWidget<ExecutionContent>;

const ARGS = {
  type: 'object',
  properties: {
    project: {
      type: 'string',
      description: 'The project; the setting’s when left out.'
    },
    domain: { type: 'string', description: 'The domain; the setting’s when left out.' },
    name: { type: 'string', description: 'The name of the execution.' }
  }
};

/** The commands' work; a page that is in front stands in for arguments that are left out. */
class Pages {
  readonly tracker = new WidgetTracker<Page>({ namespace: 'flyte-jupyter-executions' });
  private readonly trans: TranslationBundle;

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly services: Services
  ) {
    this.trans = services.trans;
  }

  /** The execution meant by the arguments; undefined when there is none. */
  meant(args: ReadonlyPartialJSONObject): WorkflowExecutionIdentifier | undefined {
    const { project, domain } = this.services.connection.place;
    if (typeof args['name'] === 'string' && args['name']) {
      return {
        project: String(args['project'] ?? project),
        domain: String(args['domain'] ?? domain),
        name: args['name']
      };
    }
    const page = this.app.shell.currentWidget;
    return page && this.tracker.has(page)
      ? (page as Page).content.execution
      : undefined;
  }

  async open(args: ReadonlyPartialJSONObject): Promise<void> {
    const id = args['name'] ? this.meant(args) : await this.askName();
    if (!id) {
      return;
    }
    const key = `flyte-execution-${id.project}-${id.domain}-${id.name}`;
    const existing = this.tracker.find(page => page.id === key);
    const page = existing ?? this.make(id, key);
    if (!page.isAttached) {
      this.app.shell.add(page, 'main', { type: 'Flyte' });
    }
    this.app.shell.activateById(page.id);
  }

  async abort(args: ReadonlyPartialJSONObject): Promise<void> {
    const id = this.meant(args);
    if (!id) {
      return;
    }
    const answer = await showDialog({
      title: this.trans.__('Abort this execution?'),
      body: this.trans.__(
        'What runs in %1 is stopped. Results of finished nodes are kept.',
        id.name
      ),
      buttons: [
        Dialog.cancelButton({ label: this.trans.__('Keep running') }),
        Dialog.warnButton({ label: this.trans.__('Abort') })
      ]
    });
    if (answer.button.accept) {
      await this.tell(() =>
        this.services.connection.client.abort(
          id,
          this.trans.__('Aborted in JupyterLab')
        )
      );
    }
  }

  /** Start again, from the beginning or from what has succeeded, and open the new execution. */
  async again(
    args: ReadonlyPartialJSONObject,
    how: 'relaunch' | 'recover'
  ): Promise<void> {
    const id = this.meant(args);
    if (id) {
      await this.tell(async () => {
        const { project, domain, name } =
          await this.services.connection.client[how](id);
        await this.open({ project, domain, name });
      });
    }
  }

  private make(id: WorkflowExecutionIdentifier, key: string): Page {
    const page = new MainAreaWidget({
      content: new ExecutionContent(this.services, id)
    });
    page.toolbar.hide();
    page.id = key;
    page.title.label = id.name;
    page.title.caption = this.trans.__('Flyte execution %1', id.name);
    page.title.icon = flyteIcon;
    page.title.closable = true;
    void this.tracker.add(page);
    return page;
  }

  private async askName(): Promise<WorkflowExecutionIdentifier | undefined> {
    const { value } = await InputDialog.getText({
      title: this.trans.__('Open an execution'),
      label: this.trans.__('Name of the execution')
    });
    return value?.trim() ? this.meant({ name: value.trim() }) : undefined;
  }

  /** Do it, and say so if it could not be done. */
  private async tell(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      Notification.error((error as Error).message, { autoClose: 8000 });
    }
  }
}

function addCommands(
  app: JupyterFrontEnd,
  pages: Pages,
  trans: TranslationBundle
): void {
  const describedBy = { args: ARGS };
  const isEnabled = (args: ReadonlyPartialJSONObject): boolean => !!pages.meant(args);
  app.commands.addCommand(CommandIDs.openExecution, {
    label: trans.__('Open Flyte Execution…'),
    caption: trans.__('Open the page of an execution by its name'),
    icon: flyteIcon,
    describedBy,
    execute: args => pages.open(args)
  });
  app.commands.addCommand(CommandIDs.abort, {
    label: trans.__('Abort Flyte Execution'),
    caption: trans.__('Stop the execution, after asking'),
    icon: stopIcon,
    describedBy,
    isEnabled,
    execute: args => pages.abort(args)
  });
  app.commands.addCommand(CommandIDs.relaunch, {
    label: trans.__('Relaunch Flyte Execution'),
    caption: trans.__('Start the same workflow on the same inputs again'),
    icon: refreshIcon,
    describedBy,
    isEnabled,
    execute: args => pages.again(args, 'relaunch')
  });
  app.commands.addCommand(CommandIDs.recover, {
    label: trans.__('Recover Flyte Execution'),
    caption: trans.__('Start the same workflow again, taking over what succeeded'),
    icon: redoIcon,
    describedBy,
    isEnabled,
    execute: args => pages.again(args, 'recover')
  });
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'flyte-jupyter:execution',
  description:
    'The page of an execution: graph, values, attempts, errors, logs and decks.',
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
    const pages = new Pages(app, { connection, trans, commands: app.commands });
    addCommands(app, pages, trans);
    for (const command of [
      CommandIDs.openExecution,
      CommandIDs.abort,
      CommandIDs.relaunch,
      CommandIDs.recover
    ]) {
      palette?.addItem({ command, category: trans.__('Flyte') });
    }
    void restorer?.restore(pages.tracker, {
      command: CommandIDs.openExecution,
      args: page => ({ ...page.content.execution }),
      name: page => page.id
    });
  }
};

export default plugin;
