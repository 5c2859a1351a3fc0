/** What runs inside a node: the graph of a sub-workflow, or the one that a dynamic task made. */
import type { CompiledWorkflowClosure } from '../api/types';
import { graphOf, type Scope } from './drawing';
import { type Graph, type GraphNode, isInner, START } from './graph';
import { nestedId } from './ids';
import { attemptsOf, type RunView } from './run';

/** The graphs that dynamic tasks made, by `expansionKey`. */
export type Expansions = ReadonlyMap<string, CompiledWorkflowClosure>;

/** A graph larger than this is not unfolded before somebody asks. */
export const SMALL = 50;

/** Names the graph that a dynamic node has made now; empty while it has made none. */
export function expansionKey(run: RunView, node: string): string {
  const known = run.nodes.get(node);
  return known?.metadata?.is_dynamic
    ? JSON.stringify([node, known.closure?.dynamic_job_spec_uri ?? ''])
    : '';
}

/** Whether there is a graph inside a node. */
export function hasInside(run: RunView, node: GraphNode): boolean {
  return !!node.runs || expansionKey(run, node.id) !== '';
}

/** The attempt of a node whose graph its inner nodes are of: the last one that has any. */
export function attemptInside(run: RunView, node: string): number {
  const last = attemptsOf(run, node).at(-1)?.id?.retry_attempt ?? 0;
  for (let attempt = last; attempt > 0; attempt--) {
    if (run.nodes.has(nestedId(node, attempt, START))) {
      return attempt;
    }
  }
  return 0;
}

/** Makes the graphs inside nodes, each once: what is drawn keeps its identity. */
export class Insides {
  private readonly made = new WeakMap<CompiledWorkflowClosure, Map<string, Graph>>();

  /** The graph inside a node of `graph`; undefined where there is none, or it isn't known yet. */
  of(
    run: RunView,
    graph: Graph,
    node: GraphNode,
    expansions: Expansions
  ): Graph | undefined {
    if (node.runs) {
      const scope = { owner: node.id, attempt: 0, workflow: node.runs };
      return graph.closure && this.graph(graph.closure, scope);
    }
    const made = expansions.get(expansionKey(run, node.id));
    const attempt = attemptInside(run, node.id);
    return made && this.graph(made, { owner: node.id, attempt, workflow: '' });
  }

  private graph(closure: CompiledWorkflowClosure, scope: Scope): Graph {
    const key = JSON.stringify([scope.owner, scope.attempt, scope.workflow]);
    const known = this.made.get(closure) ?? new Map<string, Graph>();
    const graph = known.get(key) ?? graphOf(closure, scope);
    this.made.set(closure, known.set(key, graph));
    return graph;
  }
}

/** One line of the list of nodes. */
export interface Row {
  node: GraphNode;
  graph: Graph;
  depth: number;
  /** The nodes that it is inside of, the outermost first. */
  within: readonly GraphNode[];
  /** Whether what is inside is listed below it; undefined where nothing is inside. */
  open?: boolean;
}

/** The nodes of a graph as a list, with what is inside the open ones below each. */
export function rowsOf(
  graph: Graph,
  run: RunView,
  inside: (graph: Graph, node: GraphNode) => Graph | undefined,
  isOpen: (node: GraphNode, inside: Graph | undefined) => boolean
): Row[] {
  const rows: Row[] = [];
  const list = (of: Graph, depth: number, within: readonly GraphNode[]): void => {
    const depths = new Map<string, number>();
    for (const node of of.nodes.filter(isInner)) {
      const arm = node.armOf === undefined ? undefined : depths.get(node.armOf);
      const own = arm === undefined ? depth : arm + 1;
      depths.set(node.id, own);
      const below = hasInside(run, node) ? inside(of, node) : undefined;
      const open = hasInside(run, node) ? isOpen(node, below) : undefined;
      rows.push({
        node,
        graph: of,
        depth: own,
        within,
        ...(open !== undefined && { open })
      });
      if (below && open) {
        list(below, own + 1, [...within, node]);
      }
    }
  };
  list(graph, 0, []);
  return rows;
}
