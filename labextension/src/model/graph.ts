/** The DAG of an execution: from a compiled workflow, or from the snapshot in a notebook. */
import type { CompiledWorkflowClosure, Node, NodeExecution } from '../api/types';

export type NodeKind =
  'task' | 'workflow' | 'branch' | 'gate' | 'map' | 'start' | 'end';

/** One box. `cellId` is the notebook cell that defines the task, empty when not known. */
export interface GraphNode {
  id: string;
  label: string;
  kind: NodeKind;
  cellId: string;
}

/** One arrow, from what comes first to what waits for it. */
export interface GraphEdge {
  id: string;
  source: string;
  target: string;
}

export interface Graph {
  nodes: readonly GraphNode[];
  edges: readonly GraphEdge[];
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
}

const CELL_KEY = 'flyte_jupyter.cell';
const START = 'start-node';
const END = 'end-node';
const KINDS: readonly string[] = [
  'task',
  'workflow',
  'branch',
  'gate',
  'map',
  'start',
  'end'
];

/** The graph of a compiled workflow, the arms of its branches included. */
export function graphOf(closure: CompiledWorkflowClosure | null | undefined): Graph {
  const cells = new Map(
    (closure?.tasks ?? []).map(task => [
      taskKey(task.template?.id),
      task.template?.config?.[CELL_KEY] ?? ''
    ])
  );
  const drawing = new Drawing();
  for (const node of closure?.primary?.template?.nodes ?? []) {
    drawing.add(node, cells);
  }
  for (const [source, targets] of Object.entries(
    closure?.primary?.connections?.downstream ?? {}
  )) {
    targets.ids.forEach(target => drawing.connect(source, target));
  }
  return drawing.graph();
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
  const drawn = [...nodes].flatMap(({ id }) =>
    id
      ? [{ id: id.node_id, label: id.node_id, kind: kindOfId(id.node_id), cellId: '' }]
      : []
  );
  return { nodes: drawn, edges: [] };
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

class Drawing {
  private readonly nodes = new Map<string, GraphNode>();
  private readonly edges = new Map<string, GraphEdge>();

  add(node: Node, cells: ReadonlyMap<string, string>): void {
    this.nodes.set(node.id, {
      id: node.id,
      label: labelOf(node),
      kind: kindOf(node),
      cellId: cells.get(taskKey(node.task_node?.reference_id)) ?? ''
    });
    node.upstream_node_ids.forEach(source => this.connect(source, node.id));
    for (const arm of arms(node)) {
      this.add(arm, cells);
      this.connect(node.id, arm.id);
    }
  }

  connect(source: string, target: string): void {
    // An empty source is how Flyte writes "from the start".
    const from = source || START;
    const id = `${from}>${target}`;
    this.edges.set(id, { id, source: from, target });
  }

  /** Arrows from the start or to the end that others imply are left out: they only blur the picture. */
  graph(): Graph {
    const edges = [...this.edges.values()].filter(
      edge => this.nodes.has(edge.source) && this.nodes.has(edge.target)
    );
    const led = new Set(
      edges.filter(edge => edge.source !== START).map(edge => edge.target)
    );
    const leading = new Set(
      edges.filter(edge => edge.target !== END).map(edge => edge.source)
    );
    return {
      nodes: [...this.nodes.values()],
      edges: edges.filter(
        edge =>
          !(edge.source === START && led.has(edge.target)) &&
          !(edge.target === END && leading.has(edge.source))
      )
    };
  }
}

function arms(node: Node): Node[] {
  const choice = node.branch_node?.if_else;
  return choice
    ? [
        choice.case?.then_node,
        ...choice.other.map(block => block.then_node),
        choice.else_node
      ].filter(arm => !!arm)
    : [];
}

function kindOf(node: Node): NodeKind {
  if (node.task_node) {
    return 'task';
  }
  if (node.branch_node) {
    return 'branch';
  }
  if (node.workflow_node) {
    return 'workflow';
  }
  if (node.array_node) {
    return 'map';
  }
  return node.gate_node ? 'gate' : kindOfId(node.id);
}

function kindOfId(id: string): NodeKind {
  return id === START ? 'start' : id === END ? 'end' : 'task';
}

function labelOf(node: Node): string {
  const reference =
    node.task_node?.reference_id ??
    node.workflow_node?.launchplan_ref ??
    node.workflow_node?.sub_workflow_ref ??
    node.array_node?.node?.task_node?.reference_id;
  const name = reference?.name.split('.').pop();
  const given = node.metadata?.name;
  return name || (given && given.split('.').pop()) || node.id;
}

function taskKey(id: { name: string; version: string } | null | undefined): string {
  return id ? `${id.name}@${id.version}` : '';
}
