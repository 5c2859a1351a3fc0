/** What a node's box says, wherever it is drawn. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import type { Graph, GraphNode, ItemCounts, SnapshotNode } from '../model/graph';
import { itemCounts } from '../model/items';
import { isOver, lookOf, shownPhase, waitReason } from '../model/phases';
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
  /** Of an array node. */
  items?: ItemCounts;
  /** Why the last attempt has not begun to run; empty when nobody said. */
  reason: string;
}

export type NodeStates = ReadonlyMap<string, NodeState>;

/** The state of every node of the graph at `now` (ms). */
export function statesOfRun(graph: Graph, run: RunView, now: number): NodeStates {
  const states = new Map<string, NodeState>();
  for (const node of graph.nodes) {
    const state = stateOf(node, run, now);
    // Nobody tells of the arms that a branch has not taken. A branch stands before its arms.
    const untaken =
      node.armOf !== undefined &&
      !run.nodes.has(node.id) &&
      isOver(states.get(node.armOf)?.phase);
    states.set(node.id, untaken ? { ...state, phase: 'SKIPPED' } : state);
  }
  return states;
}

/** The state of one node at `now` (ms). */
export function stateOf(node: GraphNode, run: RunView, now: number): NodeState {
  const closure = run.nodes.get(node.id)?.closure;
  const phase = closure?.phase ?? 'UNDEFINED';
  const attempts = attemptsOf(run, node.id);
  const latest = attempts.at(-1);
  return {
    phase:
      node.handler && !closure
        ? 'ONLY_ON_FAILURE'
        : shownPhase(phase, latest?.closure?.phase, node.gate),
    duration: closure ? elapsed(closure, isOver(phase), now) : undefined,
    attempts: attempts.length,
    cached: closure?.task_node_metadata?.cache_status === 'CACHE_HIT',
    items: node.kind === 'map' ? itemCounts(latest) : undefined,
    reason: waitReason(phase, latest?.closure)
  };
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
        cached: false,
        items: node.items,
        reason: ''
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
  return [
    nameOf(trans, node),
    phaseText(trans, state?.phase),
    itemsText(trans, state?.items),
    brief(state?.duration)
  ]
    .filter(Boolean)
    .join(', ');
}

/** How far the items of an array node are: `37 / 100, 2 failed`. */
export function itemsText(
  trans: TranslationBundle,
  items: ItemCounts | undefined
): string {
  if (!items) {
    return '';
  }
  const { succeeded, failed, total } = items;
  return failed
    ? trans.__('%1 / %2, %3 failed', succeeded, total, failed)
    : trans.__('%1 / %2', succeeded, total);
}

/** The classes of a box: what it stands for, how it stands, and whether there is something inside. */
export function boxClass(
  node: GraphNode,
  state: NodeState | undefined,
  enterable = false
): string {
  const names = ['box', `kind-${node.kind}`, `look-${lookOf(state?.phase)}`];
  // A pile of sheets: many of a kind, or a graph of its own.
  if (enterable || node.kind === 'map' || node.runs) {
    names.push('pile');
  }
  return names.map(name => `jp-Flyte-${name}`).join(' ');
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
  const handles = node.handler && state?.phase !== 'ONLY_ON_FAILURE';
  const details = [
    handles ? trans.__('On failure') : '',
    // The icon says the phase too, and there is little room.
    itemsText(trans, state?.items) || phaseText(trans, state?.phase),
    // Nor is there room for how long a gate has been waiting.
    state?.cached
      ? trans.__('cached')
      : handles || lookOf(state?.phase) === 'asking'
        ? ''
        : brief(state?.duration),
    state && state.attempts > 1 ? trans.__('attempt %1', state.attempts) : ''
  ].filter(Boolean);
  return (
    <>
      <PhaseIcon look={lookOf(state?.phase)} />
      <span className="jp-Flyte-boxText">
        <span className="jp-Flyte-boxLabel" title={node.label}>
          {node.label}
        </span>
        <span className="jp-Flyte-boxDetail" title={state?.reason || undefined}>
          {state?.reason || details.join(' · ')}
        </span>
      </span>
    </>
  );
}
