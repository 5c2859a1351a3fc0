/** A graph to draw: of a workflow (drawing.ts), of the snapshot in a notebook, or of nodes that were heard of. */
import type { CompiledWorkflowClosure, NodeExecution } from '../api/types';

export type NodeKind =
  'task' | 'workflow' | 'execution' | 'branch' | 'gate' | 'map' | 'start' | 'end';

/** What a gate waits for, and the name of the signal that opens it (empty when it only sleeps). */
export interface Gate {
  kind: 'approval' | 'value' | 'time';
  signal: string;
}

/** One box. Its id is the one that the execution uses. */
export interface GraphNode {
  id: string;
  label: string;
  kind: NodeKind;
  /** The notebook cell that defines the task, empty when not known. */
  cellId: string;
  /** The sub-workflow that it runs, by `workflowKey`. */
  runs?: string;
  gate?: Gate;
  /** The branch that it is an arm of. */
  armOf?: string;
  /** Whether it runs only when its workflow has failed. */
  handler?: boolean;
}

/** One arrow, from what comes first to what waits for it. */
export interface GraphEdge {
  id: string;
  source: string;
  target: string;
}

/** One graph; those of its sub-workflows are in the same `closure`. */
export interface Graph {
  nodes: readonly GraphNode[];
  edges: readonly GraphEdge[];
  closure?: CompiledWorkflowClosure;
}

/** How many items of an array node are how far. */
export interface ItemCounts {
  succeeded: number;
  failed: number;
  total: number;
}

/** A node in the static snapshot of a notebook output (docs/protocol.md, section 6). */
export interface SnapshotNode {
  id: string;
  label: string;
  kind: string;
  phase: string;
  attempts: number;
  seconds?: number | null;
  upstream: readonly string[];
  cell_id?: string | null;
  items?: ItemCounts;
}

export const START = 'start-node';
export const END = 'end-node';
const KINDS: readonly string[] = [
  'task',
  'workflow',
  'execution',
  'branch',
  'gate',
  'map',
  'start',
  'end'
];

/** Whether a node does something: the ends of a graph don't. */
export function isInner(node: GraphNode): boolean {
  return node.kind !== 'start' && node.kind !== 'end';
}

/** The graph of a notebook's snapshot; what doesn't belong in a snapshot is left out. */
export function graphOfSnapshot(nodes: readonly SnapshotNode[]): Graph {
  const known = new Set(nodes.map(node => node.id));
  return {
    nodes: nodes.map(node => ({
      id: node.id,
      label: node.label,
      kind: (KINDS.includes(node.kind) ? node.kind : 'task') as NodeKind,
      cellId: node.cell_id ?? ''
    })),
    edges: nodes.flatMap(node =>
      (node.upstream ?? [])
        .filter(source => known.has(source))
        .map(source => ({ id: `${source}>${node.id}`, source, target: node.id }))
    )
  };
}

/** Boxes without arrows, for when the workflow itself can't be had. */
export function graphOfNodes(nodes: Iterable<NodeExecution>): Graph {
  const drawn = [...nodes].flatMap(({ id, metadata }) =>
    id && !metadata?.retry_group
      ? [{ id: id.node_id, label: id.node_id, kind: kindOfId(id.node_id), cellId: '' }]
      : []
  );
  return { nodes: drawn, edges: [] };
}

/** The kind of a node of which nothing but the id is known. */
export function kindOfId(id: string): NodeKind {
  return id === START ? 'start' : id === END ? 'end' : 'task';
}

/** Which nodes stand directly before and after each node. */
export function neighbours(
  graph: Graph
): Map<string, { before: string[]; after: string[] }> {
  const found = new Map(
    graph.nodes.map(node => [
      node.id,
      { before: [] as string[], after: [] as string[] }
    ])
  );
  for (const edge of graph.edges) {
    found.get(edge.source)?.after.push(edge.target);
    found.get(edge.target)?.before.push(edge.source);
  }
  return found;
}
