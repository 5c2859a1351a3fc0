/** From a node or a traceback to the notebook cell that it comes from. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { CommandIDs, TRANSLATION_DOMAIN } from '../tokens';

/** Where a cell is: a notebook and the cell's place in it. */
interface Found {
  panel: NotebookPanel;
  index: number;
}

/**
 * The cell that a traceback names as `In [n]`, else the one with this id, in any open notebook.
 *
 * Numbers change when cells run again and say nothing of the notebook, so when the id is known
 * only its own notebook is searched.
 */
function find(
  tracker: INotebookTracker,
  cellId: string,
  label: string
): Found | undefined {
  const ran = /^In ?\[(\d+)\]$/.exec(label)?.[1];
  let found: Found | undefined;
  tracker.forEach(panel => {
    const cells = panel.content.widgets.map(cell => cell.model);
    const byId = cells.findIndex(cell => cellId !== '' && cell.id === cellId);
    const byNumber = cells.findIndex(
      cell => ran !== undefined && executionCount(cell) === Number(ran)
    );
    const index = byNumber >= 0 && (byId >= 0 || cellId === '') ? byNumber : byId;
    if (index >= 0) {
      found ??= { panel, index };
    }
  });
  return found;
}

function executionCount(model: object): number | null {
  return 'executionCount' in model ? (model.executionCount as number | null) : null;
}

async function show({ panel, index }: Found, line: number): Promise<void> {
  const notebook = panel.content;
  notebook.activeCellIndex = index;
  const cell = notebook.widgets[index];
  if (!cell) {
    return;
  }
  await notebook.scrollToItem(index, 'smart');
  if (line > 0 && cell.editor) {
    cell.editor.setCursorPosition({ line: line - 1, column: 0 });
    notebook.mode = 'edit';
  }
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'flyte-jupyter:notebook',
  description:
    'Goes from a node or a traceback to the notebook cell that it comes from.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(TRANSLATION_DOMAIN);
    app.commands.addCommand(CommandIDs.goToCell, {
      label: trans.__('Go to the Cell of a Flyte Task'),
      caption: trans.__('Show the notebook cell that defines a task'),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            cellId: {
              type: 'string',
              description: 'The id of the cell; may be empty.'
            },
            cell: {
              type: 'string',
              description: 'The cell’s name in a traceback; may be empty.'
            },
            line: {
              type: 'number',
              description: 'A line of the cell from 1; 0 for none.'
            }
          }
        }
      },
      execute: async args => {
        const found = find(
          tracker,
          String(args['cellId'] ?? ''),
          String(args['cell'] ?? '')
        );
        if (!found) {
          Notification.info(trans.__('The notebook with this cell isn’t open.'), {
            autoClose: 4000
          });
          return;
        }
        app.shell.activateById(found.panel.id);
        await show(found, Number(args['line'] ?? 0));
      }
    });
  }
};

export default plugin;
