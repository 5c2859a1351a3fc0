/** The page of one execution. */
import React, { Suspense, useCallback, useMemo, useState } from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import type { Graph, GraphNode } from '../model/graph';
import { expansionKey, hasInside } from '../model/inside';
import { isOver } from '../model/phases';
import type { RunView } from '../model/run';
import { statesOfRun } from './boxes';
import { Connection } from './connection';
import { Crumbs } from './crumbs';
import { ExecutionDetails } from './details';
import { Header } from './header';
import { useInsides, type InsideOf } from './insides';
import { useGraph, useLayout, useNow, useRun } from './live';
import { NodeDetails } from './nodeDetails';
import { type Folding, isUnfolded, NodeTable } from './nodeTable';
import { phaseText } from './phase';
import { useServices } from './services';
import { Split } from './split';

const Dag = React.lazy(() => import('./dag'));
/** Of so many dynamic nodes the graphs are fetched for the table before somebody asks. */
const MOST_FETCHED = 20;

/** What is looked at: the nodes that one has gone into, the outermost first, and the one that is chosen. */
interface Spot {
  within: readonly GraphNode[];
  chosen?: GraphNode;
}

const TOP: Spot = { within: [] };

/** Everything about one execution, live while `active`. */
export function ExecutionPage(props: {
  id: WorkflowExecutionIdentifier;
  active: boolean;
}): React.ReactElement {
  const { trans } = useServices();
  const { id, active } = props;
  const { run, problem } = useRun(id, active);
  const [asTable, setAsTable] = useState(false);
  const [spot, setSpot] = useState(TOP);
  const phase = run.execution?.closure?.phase;
  const now = useNow(active && !!phase && !isOver(phase));
  const enter = (node: GraphNode): void => {
    setAsTable(false);
    setSpot(({ within }) => ({ within: [...within, node], chosen: node }));
  };
  if (problem && !run.execution) {
    return (
      <div className="jp-Flyte-empty" role="alert">
        <h2>{trans.__('This execution can’t be shown')}</h2>
        <p>{problem}</p>
      </div>
    );
  }
  const node = spot.chosen;
  const details = node ? (
    <NodeDetails
      key={node.id}
      id={id}
      run={run}
      now={now}
      active={active}
      node={node}
      onEnter={
        hasInside(run, node) && !spot.within.includes(node)
          ? () => enter(node)
          : undefined
      }
      onClose={() => setSpot(({ within }) => ({ within }))}
    />
  ) : (
    <ExecutionDetails id={id} run={run} />
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
            id={id}
            run={run}
            now={now}
            asTable={asTable}
            spot={spot}
            onSpot={setSpot}
            onEnter={enter}
          />
        }
        lower={details}
      />
    </div>
  );
}

interface NodesProps {
  id: WorkflowExecutionIdentifier;
  run: RunView;
  now: number;
  asTable: boolean;
  spot: Spot;
  onSpot(spot: Spot): void;
  onEnter(node: GraphNode): void;
}

/** The nodes as a graph or as a table. */
function Nodes(props: NodesProps): React.ReactElement {
  const { trans } = useServices();
  const { id, run, now, asTable, spot, onSpot } = props;
  const [folding, setFolding] = useState<Folding>(() => new Map());
  const root = useGraph(run);
  const keys = asTable ? keysOfTable(run, folding) : [];
  const insideOf = useInsides(id, run, [
    ...keys,
    ...spot.within.map(node => expansionKey(run, node.id))
  ]);
  if (!root) {
    return <Loading />;
  }
  if (asTable) {
    return (
      <NodeTable
        graph={root}
        run={run}
        now={now}
        insideOf={insideOf}
        folding={folding}
        onFold={(node, open) => setFolding(new Map(folding).set(node, open))}
        chosen={spot.chosen?.id}
        onChoose={(chosen, within) => onSpot({ chosen, within })}
      />
    );
  }
  const inner = innermost(root, spot.within, insideOf);
  return (
    <div className="jp-Flyte-graph">
      {spot.within.length > 0 && (
        <Crumbs
          within={spot.within}
          onGo={depth =>
            onSpot({
              within: spot.within.slice(0, depth),
              chosen: depth ? spot.within[depth - 1] : undefined
            })
          }
        />
      )}
      {inner ? (
        <LaidOut {...props} graph={inner} />
      ) : (
        <p className="jp-Flyte-note">{trans.__('Loading the graph …')}</p>
      )}
    </div>
  );
}

/** One graph, laid out. */
function LaidOut(props: NodesProps & { graph: Graph }): React.ReactElement {
  const { graph, run, now, spot, onSpot, onEnter } = props;
  const placed = useLayout(graph);
  const states = useMemo(() => statesOfRun(graph, run, now), [graph, run, now]);
  const { within } = spot;
  const choose = useCallback(
    (node: string | undefined) =>
      onSpot({ within, chosen: graph.nodes.find(each => each.id === node) }),
    [graph, within, onSpot]
  );
  const canEnter = useCallback((node: GraphNode) => hasInside(run, node), [run]);
  if (!placed) {
    return <Loading />;
  }
  return (
    <Suspense fallback={<Loading />}>
      <Dag
        // Another graph is looked at from the start.
        key={within.at(-1)?.id ?? ''}
        graph={graph}
        placed={placed}
        states={states}
        chosen={spot.chosen?.id}
        onChoose={choose}
        canEnter={canEnter}
        onEnter={onEnter}
        wheelZooms
      />
    </Suspense>
  );
}

function Loading(): React.ReactElement {
  const { trans } = useServices();
  return <p className="jp-Flyte-note">{trans.__('Loading the graph …')}</p>;
}

/** The graph that one is in; undefined while it isn't known. */
function innermost(
  root: Graph,
  within: readonly GraphNode[],
  insideOf: InsideOf
): Graph | undefined {
  return within.reduce<Graph | undefined>(
    (graph, node) => graph && insideOf(graph, node),
    root
  );
}

/** The graphs of dynamic tasks that the table shows. */
function keysOfTable(run: RunView, folding: Folding): string[] {
  const dynamic = [...run.nodes].flatMap(([id, node]) =>
    node.metadata?.is_dynamic ? [id] : []
  );
  const few = dynamic.length <= MOST_FETCHED;
  return dynamic
    .filter(node => folding.get(node) ?? (few && isUnfolded(folding, node, undefined)))
    .map(node => expansionKey(run, node));
}
