/** The page of one execution. */
import React, { Suspense, useMemo, useState } from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import { isOver } from '../model/phases';
import type { RunView } from '../model/run';
import { statesOfRun } from './boxes';
import { Connection } from './connection';
import { ExecutionDetails, NodeDetails } from './details';
import { Header } from './header';
import { useGraph, useLayout, useNow, useRun } from './live';
import { NodeTable } from './nodeTable';
import { phaseText } from './phase';
import { useServices } from './services';
import { Split } from './split';

const Dag = React.lazy(() => import('./dag'));

/** Everything about one execution, live while `active`. */
export function ExecutionPage(props: {
  id: WorkflowExecutionIdentifier;
  active: boolean;
}): React.ReactElement {
  const { trans } = useServices();
  const { id, active } = props;
  const { run, problem } = useRun(id, active);
  const [asTable, setAsTable] = useState(false);
  const [chosen, setChosen] = useState<string>();
  const phase = run.execution?.closure?.phase;
  const now = useNow(active && !!phase && !isOver(phase));
  const graph = useGraph(run);
  const node = graph?.nodes.find(each => each.id === chosen);
  if (problem && !run.execution) {
    return (
      <div className="jp-Flyte-empty" role="alert">
        <h2>{trans.__('This execution can’t be shown')}</h2>
        <p>{problem}</p>
      </div>
    );
  }
  const details = node ? (
    <NodeDetails
      key={node.id}
      id={id}
      run={run}
      now={now}
      active={active}
      node={node}
      onClose={() => setChosen(undefined)}
    />
  ) : (
    <ExecutionDetails id={id} run={run} now={now} active={active} />
  );
  return (
    <div className="jp-Flyte-page">
      <Connection />
      <Header id={id} execution={run.execution} now={now}>
        <button
          className="jp-Flyte-button"
          aria-pressed={asTable}
          title={trans.__('Show the nodes as a table instead of a graph')}
          onClick={() => setAsTable(!asTable)}
        >
          {trans.__('Table')}
        </button>
      </Header>
      <div className="jp-Flyte-hidden" role="status">
        {phase ? trans.__('Execution %1: %2', id.name, phaseText(trans, phase)) : ''}
      </div>
      <Split
        initial={42}
        label={trans.__('Height of the graph')}
        upper={
          <Nodes
            run={run}
            graph={graph}
            now={now}
            asTable={asTable}
            chosen={chosen}
            onChoose={setChosen}
          />
        }
        lower={details}
      />
    </div>
  );
}

function Nodes(props: {
  run: RunView;
  graph: ReturnType<typeof useGraph>;
  now: number;
  asTable: boolean;
  chosen: string | undefined;
  onChoose(node: string | undefined): void;
}): React.ReactElement {
  const { trans } = useServices();
  const { run, graph, now, asTable, chosen, onChoose } = props;
  const placed = useLayout(asTable ? undefined : graph);
  const states = useMemo(
    () => (graph ? statesOfRun(graph, run, now) : new Map()),
    [graph, run, now]
  );
  const loading = <p className="jp-Flyte-note">{trans.__('Loading the graph …')}</p>;
  if (!graph) {
    return loading;
  }
  if (asTable) {
    return (
      <NodeTable graph={graph} states={states} chosen={chosen} onChoose={onChoose} />
    );
  }
  return placed ? (
    <Suspense fallback={loading}>
      <Dag
        graph={graph}
        placed={placed}
        states={states}
        chosen={chosen}
        onChoose={onChoose}
        wheelZooms
      />
    </Suspense>
  ) : (
    loading
  );
}
