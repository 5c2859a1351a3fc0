/** Everything about the chosen node. */
import { closeIcon } from '@jupyterlab/ui-components';
import React, { useState } from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import type { GraphNode } from '../model/graph';
import { attemptsOf, type RunView } from '../model/run';
import { CommandIDs } from '../tokens';
import { AttemptPicker, Attempts } from './attempts';
import { itemsText, stateOf } from './boxes';
import { CacheFact } from './cacheFact';
import { Deck } from './deck';
import { dataTabs, errorTab } from './details';
import { GatePanel } from './gatePanel';
import { Items } from './items';
import { useAnswer } from './live';
import { Log } from './logs';
import { Phase } from './phase';
import { ExecutionLink } from './executionLink';
import { useServices } from './services';
import { type Tab, Tabs } from './tabs';

interface NodeDetailsProps {
  id: WorkflowExecutionIdentifier;
  run: RunView;
  now: number;
  active: boolean;
  node: GraphNode;
  /** To the graph inside the node; undefined where there is none. */
  onEnter?(): void;
  onClose(): void;
}

/** Inputs, outputs, attempts or items, error, logs and deck of a node; the question of a gate. */
export function NodeDetails(props: NodeDetailsProps): React.ReactElement {
  const { trans } = useServices();
  const { run, node } = props;
  const [tab, setTab] = useState('');
  const [picked, setPicked] = useState<number>();
  const attempts = attemptsOf(run, node.id);
  const latest = attempts.at(-1);
  const attempt = picked ?? latest?.id?.retry_attempt ?? 0;
  const tabs = useTabs(props, attempt);
  const first = ['gate', 'error', 'items', 'outputs'];
  return (
    <section className="jp-Flyte-details" aria-label={node.label}>
      <Head {...props}>
        <AttemptPicker
          attempts={attempts.map(each => each.id?.retry_attempt ?? 0)}
          picked={attempt}
          onPick={setPicked}
        />
      </Head>
      <Tabs
        tabs={tabs}
        chosen={tab || (first.find(each => tabs.some(({ id }) => id === each)) ?? '')}
        onChoose={setTab}
        label={trans.__('About the node %1', node.label)}
      />
    </section>
  );
}

/** The name of the node, how it stands, and where it leads. */
function Head(
  props: NodeDetailsProps & { children: React.ReactNode }
): React.ReactElement {
  const { trans, commands } = useServices();
  const { run, node, onEnter } = props;
  const state = stateOf(node, run, props.now);
  const closure = run.nodes.get(node.id)?.closure;
  const goToCell = (): void =>
    void commands.execute(CommandIDs.goToCell, {
      cell: '',
      line: 0,
      cellId: node.cellId
    });
  return (
    <div className="jp-Flyte-detailsHead">
      <strong>{node.label}</strong>
      <span className="jp-Flyte-faint">{node.id}</span>
      <Phase phase={state.phase} trans={trans} />
      {state.items && (
        <span className="jp-Flyte-number">{itemsText(trans, state.items)}</span>
      )}
      <CacheFact node={closure?.task_node_metadata} />
      <ExecutionLink
        label={trans.__('Child execution')}
        id={closure?.workflow_node_metadata?.executionId}
      />
      {props.children}
      {onEnter && (
        <button className="jp-Flyte-link" onClick={onEnter}>
          {trans.__('Look inside')}
        </button>
      )}
      {node.cellId && (
        <button className="jp-Flyte-link" onClick={goToCell}>
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
      {state.reason && (
        <p className="jp-Flyte-reason" role="status">
          {state.reason}
        </p>
      )}
    </div>
  );
}

function useTabs(props: NodeDetailsProps, attempt: number): Tab[] {
  const { trans, connection } = useServices();
  const { id, run, node } = props;
  const closure = run.nodes.get(node.id)?.closure;
  const attempts = attemptsOf(run, node.id);
  const shown =
    attempts.find(each => each.id?.retry_attempt === attempt) ?? attempts.at(-1);
  const error = shown?.closure?.error ?? closure?.error;
  const data = useAnswer(JSON.stringify([id, node.id, closure?.phase]), signal =>
    closure
      ? connection.client.nodeData(id, node.id, signal)
      : Promise.resolve({ full_inputs: null, full_outputs: null })
  );
  const tabs = dataTabs(trans.__.bind(trans), data);
  const gate = node.gate;
  if (gate && gate.kind !== 'time') {
    tabs.unshift({
      id: 'gate',
      label: gate.kind === 'approval' ? trans.__('Approval') : trans.__('Answer'),
      content: () => (
        <GatePanel
          id={id}
          gate={gate}
          phase={closure?.phase ?? ''}
          inputs={data.answer?.full_inputs}
        />
      )
    });
  }
  if (error) {
    tabs.push(errorTab(trans.__('Error'), error, node.cellId));
  }
  if (node.kind === 'map') {
    const all = { id, node: node.id, active: props.active };
    tabs.push({
      id: 'items',
      label: trans.__('Items'),
      content: () => <Items {...all} attempt={shown} />
    });
  }
  if (node.kind !== 'task') {
    return tabs;
  }
  return [
    ...tabs,
    {
      id: 'attempts',
      label: trans.__('Attempts'),
      content: () => <Attempts attempts={attempts} now={props.now} />
    },
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
}
