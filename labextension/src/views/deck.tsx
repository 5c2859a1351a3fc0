/** A node's deck: HTML that a task wrote, so it is shown as if an enemy had. */
import React from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import { useAnswer } from './live';
import { useServices } from './services';

const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:";

/** The deck of one attempt. `uri` is where the control plane keeps it, empty while there is none. */
export function Deck(props: {
  id: WorkflowExecutionIdentifier;
  node: string;
  attempt: number;
  uri: string;
}): React.ReactElement {
  const { trans, connection } = useServices();
  const { id, node, attempt, uri } = props;
  const key = JSON.stringify([id.name, node, attempt, uri]);
  const { answer, problem } = useAnswer(key, async signal => ({
    html: uri ? await connection.client.deck(id, node, attempt, signal) : undefined
  }));
  if (problem) {
    return <p className="jp-Flyte-note">{problem}</p>;
  }
  if (!answer) {
    return <p className="jp-Flyte-note">{trans.__('Loading …')}</p>;
  }
  if (answer.html === undefined) {
    return (
      <p className="jp-Flyte-note">{trans.__('This task has written no deck.')}</p>
    );
  }
  return (
    <iframe
      className="jp-Flyte-deck"
      title={trans.__('Deck of %1', node)}
      sandbox="allow-scripts"
      referrerPolicy="no-referrer"
      srcDoc={`<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="${POLICY}">${answer.html}`}
    />
  );
}
