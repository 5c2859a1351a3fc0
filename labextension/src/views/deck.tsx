/** A node's deck: HTML that a task wrote, so it is shown as if an enemy had. */
import React from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import { useAnswer } from './live';
import { useServices } from './services';

const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:";

/** The deck of one attempt. `version` changes when there may be a newer one. */
export function Deck(props: {
  id: WorkflowExecutionIdentifier;
  node: string;
  attempt: number;
  version: string;
}): React.ReactElement {
  const { trans, connection } = useServices();
  const { id, node, attempt, version } = props;
  const key = JSON.stringify([id.name, node, attempt, version]);
  const { answer, problem } = useAnswer(key, async signal => ({
    html: await connection.client.deck(id, node, attempt, signal)
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
