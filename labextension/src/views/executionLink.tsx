/** From one execution to another. */
import React from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import { CommandIDs } from '../tokens';
import { useServices } from './services';

/** The name of an execution that opens its page; nothing when there is none. */
export function ExecutionLink(props: {
  label?: string;
  id: WorkflowExecutionIdentifier | null | undefined;
}): React.ReactElement | null {
  const { trans, commands } = useServices();
  if (!props.id) {
    return null;
  }
  const { project, domain, name } = props.id;
  return (
    <span>
      {props.label && <span className="jp-Flyte-faint">{props.label} </span>}
      <button
        className="jp-Flyte-link"
        title={trans.__('Open the page of this execution')}
        onClick={() =>
          void commands.execute(CommandIDs.openExecution, { project, domain, name })
        }
      >
        {name}
      </button>
    </span>
  );
}
