/** Why something failed: the traceback, its notebook cells one click away. */
import React from 'react';
import type { ExecutionError } from '../api/types';
import { stretches } from '../model/traceback';
import { CommandIDs } from '../tokens';
import { useServices } from './services';

/** An error. `cellId` is the cell of the failing task, empty when not known. */
export function Failure(props: {
  error: ExecutionError;
  cellId: string;
}): React.ReactElement {
  const { trans, commands } = useServices();
  const { error, cellId } = props;
  const go = (cell: string, line = 0): void =>
    void commands.execute(CommandIDs.goToCell, { cell, line, cellId });
  const mine = error.kind === 'USER';
  return (
    <div className="jp-Flyte-failure">
      <p>
        <code className="jp-Flyte-type">{error.code || trans.__('no code')}</code>{' '}
        <span className="jp-Flyte-faint">
          {mine
            ? trans.__('raised by the task')
            : trans.__('of the system, not of the task')}
        </span>
      </p>
      <pre>
        {stretches(error.message).map((part, index) =>
          part.line === undefined ? (
            part.text
          ) : (
            <button
              key={index}
              className="jp-Flyte-link"
              title={trans.__('Go to this cell of the notebook, if it is open')}
              onClick={() => go(part.cell ?? '', part.line)}
            >
              {part.text}
            </button>
          )
        )}
      </pre>
    </div>
  );
}
