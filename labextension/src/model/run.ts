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

/** The view after one more item; the same item twice changes nothing more. */
export function fold(view: RunView, item: Item): RunView {
  switch (item.kind) {
    case 'execution':
      return { ...view, execution: item.value };
    case 'node_execution': {
      const id = item.value.id?.node_id;
      return id ? { ...view, nodes: new Map(view.nodes).set(id, item.value) } : view;
    }
    case 'task_execution':
      return withAttempt(view, item.value);
    default:
      // A newer control plane may know kinds that we don't.
      return view;
  }
}

/** The view after a message: a snapshot starts afresh, a delta builds on what was there. */
export function foldMessage(view: RunView, message: ItemsMessage): RunView {
  return message.items.reduce(fold, message.type === 'snapshot' ? NOTHING_YET : view);
}

/** The attempts of a node, the first one first. */
export function attemptsOf(view: RunView, nodeId: string): readonly TaskExecution[] {
  return view.attempts.get(nodeId) ?? [];
}

function withAttempt(view: RunView, attempt: TaskExecution): RunView {
  const node = attempt.id?.node_execution_id?.node_id;
  if (!attempt.id || !node) {
    return view;
  }
  const number = attempt.id.retry_attempt;
  const attempts = attemptsOf(view, node)
    .filter(other => other.id?.retry_attempt !== number)
    .concat(attempt)
    .sort((a, b) => (a.id?.retry_attempt ?? 0) - (b.id?.retry_attempt ?? 0));
  return { ...view, attempts: new Map(view.attempts).set(node, attempts) };
}
