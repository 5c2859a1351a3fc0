/** What a node's box says, wherever it is drawn. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import type { Graph, GraphNode, SnapshotNode } from '../model/graph';
import { isOver, lookOf } from '../model/phases';
import { attemptsOf, type RunView } from '../model/run';
import { brief, elapsed } from '../model/time';
import { PhaseIcon, phaseText } from './phase';

/** The state of a node, ready to be drawn. */
export interface NodeState {
  phase: string;
  /** Seconds. */
  duration?: number;
  attempts: number;
  cached: boolean;
}

export type NodeStates = ReadonlyMap<string, NodeState>;

/** The state of every node of the graph at `now` (ms). */
export function statesOfRun(graph: Graph, run: RunView, now: number): NodeStates {
  return new Map(
    graph.nodes.map(node => {
      const closure = run.nodes.get(node.id)?.closure;
      const phase = closure?.phase ?? 'UNDEFINED';
      return [
        node.id,
        {
          phase,
          duration: closure ? elapsed(closure, isOver(phase), now) : undefined,
          attempts: attemptsOf(run, node.id).length,
          cached: closure?.task_node_metadata?.cache_status === 'CACHE_HIT'
        }
      ];
    })
  );
}

/** The states that were saved in a notebook. */
export function statesOfSnapshot(nodes: readonly SnapshotNode[]): NodeStates {
  return new Map(
    nodes.map(node => [
      node.id,
      {
        phase: node.phase,
        duration: node.seconds ?? undefined,
        attempts: node.attempts,
        cached: false
      }
    ])
  );
}

/** A node in one sentence, for those who hear it. */
export function sentence(
  trans: TranslationBundle,
  node: GraphNode,
  state: NodeState | undefined
): string {
  return [nameOf(trans, node), phaseText(trans, state?.phase), brief(state?.duration)]
    .filter(Boolean)
    .join(', ');
}

/** The name on the box. */
export function nameOf(trans: TranslationBundle, node: GraphNode): string {
  if (node.kind === 'start') {
    return trans.__('start');
  }
  return node.kind === 'end' ? trans.__('end') : node.label;
}

/** The inside of a node's box. */
export function BoxContent(props: {
  node: GraphNode;
  state: NodeState | undefined;
  trans: TranslationBundle;
}): React.ReactElement {
  const { node, state, trans } = props;
  if (node.kind === 'start' || node.kind === 'end') {
    return <span className="jp-Flyte-boxEnd">{nameOf(trans, node)}</span>;
  }
  const details = [
    phaseText(trans, state?.phase),
    state?.cached ? trans.__('cached') : brief(state?.duration),
    state && state.attempts > 1 ? trans.__('attempt %1', state.attempts) : ''
  ].filter(Boolean);
  return (
    <>
      <PhaseIcon look={lookOf(state?.phase)} />
      <span className="jp-Flyte-boxText">
        <span className="jp-Flyte-boxLabel" title={node.label}>
          {node.label}
        </span>
        <span className="jp-Flyte-boxDetail">{details.join(' · ')}</span>
      </span>
    </>
  );
}
