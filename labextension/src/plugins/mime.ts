/** Shows executions in notebook outputs. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { rendererFactory } from '../mime/run';
import { IFlyteConnection, TRANSLATION_DOMAIN } from '../tokens';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'flyte-jupyter:mime',
  description:
    'Renders executions in notebook outputs, live while the notebook is trusted.',
  autoStart: true,
  requires: [IFlyteConnection, IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    connection: IFlyteConnection,
    rendermime: IRenderMimeRegistry,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(TRANSLATION_DOMAIN);
    rendermime.addFactory(
      rendererFactory({ connection, trans, commands: app.commands })
    );
  }
};

export default plugin;
