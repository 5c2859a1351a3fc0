/** From a compiled workflow to a graph, the arms of its branches included. */
import type {
  CompiledWorkflow,
  CompiledWorkflowClosure,
  Identifier,
  Node
} from '../api/types';
import {
  END,
  type Gate,
  type Graph,
  type GraphEdge,
  type GraphNode,
  kindOfId,
  type NodeKind,
  START
} from './graph';
import { nestedId } from './ids';

/** A workflow that runs inside a node: as part of which attempt of the node, and which of the closure's it is. */
export interface Scope {
  owner: string;
  attempt: number;
  /** By `workflowKey`; empty for the closure's own. */
  workflow: string;
}

const CELL_KEY = 'flyte_jupyter.cell';
/** What flytekit names a map task: `map_`, the task's name, a digest of what is bound. */
const MAPPED = /^map_(.+)_[0-9a-f]{32}(?:-arraynode)?$/;

/** A workflow's key among those of a closure. */
export function workflowKey(id: Identifier | null | undefined): string {
  return id ? `${id.project}/${id.domain}/${id.name}@${id.version}` : '';
}

/** The graph of a closure's workflow, or of what it runs inside a node. */
export function graphOf(
  closure: CompiledWorkflowClosure | null | undefined,
  scope?: Scope
): Graph {
  const workflow = closure && workflowIn(closure, scope?.workflow ?? '');
  if (!workflow) {
    return { nodes: [], edges: [] };
  }
  const cells = new Map(
    closure.tasks.map(task => [
      taskKey(task.template?.id),
      task.template?.config?.[CELL_KEY] ?? ''
    ])
  );
  const drawing = new Drawing(cells, scope);
  for (const node of workflow.template?.nodes ?? []) {
    drawing.add(node);
  }
  drawing.addHandler(workflow.template?.failure_node);
  for (const [source, targets] of Object.entries(
    workflow.connections?.downstream ?? {}
  )) {
    targets.ids.forEach(target => drawing.connect(source, target));
  }
  return { ...drawing.graph(), closure };
}

function workflowIn(
  closure: CompiledWorkflowClosure,
  key: string
): CompiledWorkflow | null | undefined {
  return key
    ? closure.sub_workflows.find(each => workflowKey(each.template?.id) === key)
    : closure.primary;
}

class Drawing {
  private readonly nodes = new Map<string, GraphNode>();
  /** What waits for what, and what a branch may choose. */
  private readonly flows = new Map<string, GraphEdge>();
  private readonly choices: GraphEdge[] = [];
  /** Where a branch is left: the ends of its arms. */
  private readonly exits = new Map<string, string[]>();

  constructor(
    private readonly cells: ReadonlyMap<string, string>,
    private readonly scope: Scope | undefined
  ) {}

  add(node: Node): void {
    this.draw(node, this.idOf(node.id));
    node.upstream_node_ids.forEach(source => this.connect(source, node.id));
  }

  /** What runs when the workflow has failed: it waits for nobody. */
  addHandler(node: Node | null | undefined): void {
    if (!node) {
      return;
    }
    const id = this.idOf(node.id);
    this.draw(node, id);
    const drawn = this.nodes.get(id);
    if (drawn) {
      this.nodes.set(id, { ...drawn, handler: true });
    }
  }

  connect(source: string, target: string): void {
    // An empty source is how Flyte writes "from the start".
    const edge = arrow(this.idOf(source || START), this.idOf(target));
    this.flows.set(edge.id, edge);
  }

  /** Arrows from the start or to the end that others imply are left out: they only blur the picture. */
  graph(): Graph {
    const flows = [...this.flows.values()].flatMap(({ source, target }) =>
      (this.exits.get(source) ?? [source]).map(exit => arrow(exit, target))
    );
    const edges = [...this.choices, ...flows].filter(
      edge => this.nodes.has(edge.source) && this.nodes.has(edge.target)
    );
    const [start, end] = [this.idOf(START), this.idOf(END)];
    const led = new Set(
      edges.filter(edge => edge.source !== start).map(edge => edge.target)
    );
    const leading = new Set(
      edges.filter(edge => edge.target !== end).map(edge => edge.source)
    );
    return {
      nodes: [...this.nodes.values()],
      edges: edges.filter(
        edge =>
          !(edge.source === start && led.has(edge.target)) &&
          !(edge.target === end && leading.has(edge.source))
      )
    };
  }

  private idOf(node: string): string {
    return this.scope ? nestedId(this.scope.owner, this.scope.attempt, node) : node;
  }

  /** A node with its arms; the ends at which it is left. */
  private draw(node: Node, id: string, armOf?: string): string[] {
    const runs = workflowKey(node.workflow_node?.sub_workflow_ref);
    const gate = gateOf(node);
    this.nodes.set(id, {
      id,
      label: labelOf(node),
      kind: kindOf(node),
      cellId: this.cells.get(taskKey(taskOf(node))) ?? '',
      ...(runs && { runs }),
      ...(gate && { gate }),
      ...(armOf && { armOf })
    });
    const ends = arms(node).flatMap(arm => {
      const inner = nestedId(id, 0, arm.id);
      this.choices.push(arrow(id, inner));
      return this.draw(arm, inner, id);
    });
    if (!ends.length) {
      return [id];
    }
    this.exits.set(id, ends);
    return ends;
  }
}

function arrow(source: string, target: string): GraphEdge {
  return { id: `${source}>${target}`, source, target };
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

function gateOf(node: Node): Gate | undefined {
  const gate = node.gate_node;
  if (!gate) {
    return undefined;
  }
  if (gate.approve) {
    return { kind: 'approval', signal: gate.approve.signal_id };
  }
  return gate.signal
    ? { kind: 'value', signal: gate.signal.signal_id }
    : { kind: 'time', signal: '' };
}

function kindOf(node: Node): NodeKind {
  if (node.task_node) {
    return 'task';
  }
  if (node.branch_node) {
    return 'branch';
  }
  if (node.workflow_node) {
    return node.workflow_node.launchplan_ref ? 'execution' : 'workflow';
  }
  if (node.array_node) {
    return 'map';
  }
  return node.gate_node ? 'gate' : kindOfId(node.id);
}

function taskOf(node: Node): Identifier | null | undefined {
  return node.task_node?.reference_id ?? node.array_node?.node?.task_node?.reference_id;
}

function labelOf(node: Node): string {
  const inner = node.array_node?.node ?? node;
  const reference =
    taskOf(node) ??
    inner.workflow_node?.launchplan_ref ??
    inner.workflow_node?.sub_workflow_ref;
  const name = lastPart(reference?.name) || lastPart(node.metadata?.name);
  return MAPPED.exec(name)?.[1] ?? (name || node.id);
}

function lastPart(name: string | undefined): string {
  return name?.split('.').pop() ?? '';
}

function taskKey(id: { name: string; version: string } | null | undefined): string {
  return id ? `${id.name}@${id.version}` : '';
}
