/** Everything about the chosen node, or about the execution while none is chosen. */
import { closeIcon } from '@jupyterlab/ui-components';
import React, { useState } from 'react';
import type { ExecutionError, WorkflowExecutionIdentifier } from '../api/types';
import type { GraphNode } from '../model/graph';
import { attemptsOf, type RunView } from '../model/run';
import { CommandIDs } from '../tokens';
import { Attempts } from './attempts';
import { Deck } from './deck';
import { Failure } from './failure';
import { useAnswer } from './live';
import { Log } from './logs';
import { Phase } from './phase';
import { useServices } from './services';
import { type Tab, Tabs } from './tabs';
import { Values } from './values';

interface DetailsProps {
  id: WorkflowExecutionIdentifier;
  run: RunView;
  now: number;
  active: boolean;
}

/** Inputs, outputs and error of the whole execution. */
export function ExecutionDetails(props: DetailsProps): React.ReactElement {
  const { trans, connection } = useServices();
  const [tab, setTab] = useState('');
  const closure = props.run.execution?.closure;
  const data = useAnswer(JSON.stringify([props.id, closure?.phase]), signal =>
    connection.client.executionData(props.id, signal)
  );
  const tabs: Tab[] = dataTabs(trans.__.bind(trans), data);
  const error = closure?.error;
  if (error) {
    tabs.push(errorTab(trans.__('Error'), error, ''));
  }
  return (
    <section className="jp-Flyte-details" aria-label={trans.__('Execution')}>
      <Tabs
        tabs={tabs}
        chosen={tab || (error ? 'error' : 'inputs')}
        onChoose={setTab}
        label={trans.__('About the execution')}
      />
    </section>
  );
}

/** Inputs, outputs, attempts, error, logs and deck of a node. */
export function NodeDetails(
  props: DetailsProps & { node: GraphNode; onClose(): void }
): React.ReactElement {
  const { trans, connection, commands } = useServices();
  const { id, run, node } = props;
  const [tab, setTab] = useState('');
  const [picked, setPicked] = useState<number>();
  const closure = run.nodes.get(node.id)?.closure;
  const attempts = attemptsOf(run, node.id);
  const latest = attempts.at(-1);
  const attempt = picked ?? latest?.id?.retry_attempt ?? 0;
  const shown = attempts.find(each => each.id?.retry_attempt === attempt) ?? latest;
  const error = shown?.closure?.error ?? closure?.error;
  const data = useAnswer(JSON.stringify([id, node.id, closure?.phase]), signal =>
    closure
      ? connection.client.nodeData(id, node.id, signal)
      : Promise.resolve({ full_inputs: null, full_outputs: null })
  );
  const picker = attempts.length > 1 && (
    <label className="jp-Flyte-attemptPicker">
      {trans.__('Attempt')}{' '}
      <select value={attempt} onChange={event => setPicked(Number(event.target.value))}>
        {attempts.map(each => (
          <option key={each.id?.retry_attempt} value={each.id?.retry_attempt}>
            {(each.id?.retry_attempt ?? 0) + 1}
          </option>
        ))}
      </select>
    </label>
  );
  const tabs: Tab[] = [
    ...dataTabs(trans.__.bind(trans), data),
    {
      id: 'attempts',
      label: trans.__('Attempts'),
      content: () => <Attempts attempts={attempts} now={props.now} />
    },
    ...(error ? [errorTab(trans.__('Error'), error, node.cellId)] : []),
    {
      id: 'logs',
      label: trans.__('Logs'),
      content: () =>
        shown ? (
          <Log
            key={`${node.id}/${attempt}`}
            id={id}
            node={node.id}
            attempt={attempt}
            active={props.active}
          />
        ) : (
          <p className="jp-Flyte-note">{trans.__('Nothing has been attempted yet.')}</p>
        )
    },
    {
      id: 'deck',
      label: trans.__('Deck'),
      content: () => (
        <Deck id={id} node={node.id} attempt={attempt} uri={closure?.deck_uri ?? ''} />
      )
    }
  ];
  return (
    <section className="jp-Flyte-details" aria-label={node.label}>
      <div className="jp-Flyte-detailsHead">
        <strong>{node.label}</strong>
        <span className="jp-Flyte-faint">{node.id}</span>
        <Phase phase={closure?.phase} trans={trans} />
        {picker}
        {node.cellId && (
          <button
            className="jp-Flyte-link"
            onClick={() =>
              void commands.execute(CommandIDs.goToCell, {
                cell: '',
                line: 0,
                cellId: node.cellId
              })
            }
          >
            {trans.__('Go to the cell')}
          </button>
        )}
        <span className="jp-Flyte-spacer" />
        <button
          className="jp-Flyte-iconButton"
          title={trans.__('Back to the execution')}
          aria-label={trans.__('Back to the execution')}
          onClick={props.onClose}
        >
          <closeIcon.react tag="span" width="14px" />
        </button>
      </div>
      <Tabs
        tabs={tabs}
        chosen={tab || (error ? 'error' : 'outputs')}
        onChoose={setTab}
        label={trans.__('About the node %1', node.label)}
      />
    </section>
  );
}

function errorTab(label: string, error: ExecutionError, cellId: string): Tab {
  return {
    id: 'error',
    label,
    content: () => <Failure error={error} cellId={cellId} />
  };
}

type Data = Pick<
  Awaited<
    ReturnType<ReturnType<typeof useServices>['connection']['client']['nodeData']>
  >,
  'full_inputs' | 'full_outputs'
>;

function dataTabs(
  __: (text: string) => string,
  { answer, problem }: { answer?: Data; problem?: string }
): Tab[] {
  const table = (values: Data['full_inputs'], nothing: string): React.ReactElement => {
    if (problem) {
      return <p className="jp-Flyte-note">{problem}</p>;
    }
    return <Values values={values} nothing={answer ? nothing : __('Loading …')} />;
  };
  return [
    {
      id: 'inputs',
      label: __('Inputs'),
      content: () => table(answer?.full_inputs, __('No inputs.'))
    },
    {
      id: 'outputs',
      label: __('Outputs'),
      content: () => table(answer?.full_outputs, __('No outputs yet.'))
    }
  ];
}
