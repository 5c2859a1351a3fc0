/** One execution as it is now: what has been heard about it, folded into a view. */
import type { Execution, NodeExecution, TaskExecution } from '../api/types';
import type { Item, ItemsMessage } from './changes';

/** What is known about one execution. Never changed in place. */
export interface RunView {
  execution?: Execution;
  /** By node id. */
  nodes: ReadonlyMap<string, NodeExecution>;
  /** By node id, the attempts in order. */
  attempts: ReadonlyMap<string, readonly TaskExecution[]>;
}

export const NOTHING_YET: RunView = { nodes: new Map(), attempts: new Map() };

/** The view after a message: a snapshot starts afresh, a delta builds on what was there. */
export function foldMessage(view: RunView, message: ItemsMessage): RunView {
  return fold(message.type === 'snapshot' ? NOTHING_YET : view, message.items);
}

/** The view after some more items; the same item twice changes nothing more. Copies once, however many they are. */
export function fold(view: RunView, items: readonly Item[]): RunView {
  let execution = view.execution;
  const nodes = new Map(view.nodes);
  const attempts = new Map(view.attempts);
  for (const item of items) {
    switch (item.kind) {
      case 'execution':
        execution = item.value;
        break;
      case 'node_execution':
        if (item.value.id) {
          nodes.set(item.value.id.node_id, item.value);
        }
        break;
      case 'task_execution':
        addAttempt(attempts, item.value);
        break;
      default:
      // A newer control plane may know kinds that we don't.
    }
  }
  return { execution, nodes, attempts };
}

/** The attempts of a node, the first one first. */
export function attemptsOf(view: RunView, nodeId: string): readonly TaskExecution[] {
  return view.attempts.get(nodeId) ?? [];
}

function addAttempt(
  attempts: Map<string, readonly TaskExecution[]>,
  attempt: TaskExecution
): void {
  const node = attempt.id?.node_execution_id?.node_id;
  if (!attempt.id || !node) {
    return;
  }
  const number = attempt.id.retry_attempt;
  const others = (attempts.get(node) ?? []).filter(
    other => other.id?.retry_attempt !== number
  );
  attempts.set(
    node,
    [...others, attempt].sort(
      (a, b) => (a.id?.retry_attempt ?? 0) - (b.id?.retry_attempt ?? 0)
    )
  );
}
