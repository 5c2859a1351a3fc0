/** Renders `application/vnd.flyte.execution.v1+json` in a notebook's output. */
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { createElement, type ReactElement } from 'react';
import { readSaved, type SavedRun } from '../model/saved';
import { LiveOutput, SavedOutput } from '../views/notebookRun';
import type { Services } from '../views/services';
import { ViewWidget } from '../views/viewWidget';

export const MIME_TYPE = 'application/vnd.flyte.execution.v1+json';

/** One output. Whether it may talk to the server is decided anew each time it is rendered. */
export class RunRenderer extends ViewWidget implements IRenderMime.IRenderer {
  private saved?: SavedRun;
  private trusted = false;

  constructor(private readonly around: Services) {
    super(around);
    this.addClass('jp-Flyte-renderer');
  }

  /** Show what the model holds now; the model is never written. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.saved = readSaved(model.data[MIME_TYPE]);
    this.trusted = model.trusted;
    this.update();
    await this.renderPromise;
  }

  protected override view(active: boolean): ReactElement {
    const { trans } = this.around;
    if (!this.saved) {
      return createElement(
        'p',
        null,
        trans.__('This output holds no execution that can be shown.')
      );
    }
    if (this.trusted) {
      return createElement(LiveOutput, { saved: this.saved, active });
    }
    const note = trans.__(
      'Saved with the notebook. Trust the notebook to see the execution live.'
    );
    return createElement(SavedOutput, { saved: this.saved, trans, note });
  }
}

/** How JupyterLab makes renderers of this type. */
export function rendererFactory(services: Services): IRenderMime.IRendererFactory {
  return {
    // Safe for untrusted notebooks too: then only plain elements are drawn from the saved data.
    safe: true,
    mimeTypes: [MIME_TYPE],
    defaultRank: 10,
    createRenderer: () => new RunRenderer(services)
  };
}
