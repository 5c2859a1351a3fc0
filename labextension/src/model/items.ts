/** The items of an array node: how many are how far, and which. */
import type { ExternalResourceInfo, TaskExecution } from '../api/types';
import type { ItemCounts } from './graph';

/** Of one phase not more items are listed. */
export const MOST_LISTED = 200;

/** The items of one phase: the first ones, and how many there are. */
export interface ItemGroup {
  phase: string;
  items: readonly ExternalResourceInfo[];
  count: number;
}

/** What a person looks for first comes first. */
const ORDER = [
  'FAILED',
  'RETRYABLE_FAILED',
  'RUNNING',
  'INITIALIZING',
  'WAITING_FOR_RESOURCES',
  'QUEUED',
  'ABORTED',
  'SUCCEEDED'
];

/** How far the items are that an array node's task execution stands for; undefined when it stands for none. */
export function itemCounts(attempt: TaskExecution | undefined): ItemCounts | undefined {
  const phases = phasesOf(attempt);
  const size = attempt?.closure?.custom_info?.['size'];
  if (!phases.size && typeof size !== 'number') {
    return undefined;
  }
  const begun = [...phases.values()].reduce((sum, count) => sum + count, 0);
  return {
    succeeded: phases.get('SUCCEEDED') ?? 0,
    failed: phases.get('FAILED') ?? 0,
    // Items that have not begun are in no phase.
    total: Math.max(begun, typeof size === 'number' ? size : 0)
  };
}

/** The items by phase: of each the last try counts. `count` is of all, `items` are the first ones. */
export function itemGroups(attempt: TaskExecution): ItemGroup[] {
  const last = new Map<number, ExternalResourceInfo>();
  for (const item of attempt.closure?.metadata?.external_resources ?? []) {
    const known = last.get(item.index);
    if (!known || known.retry_attempt <= item.retry_attempt) {
      last.set(item.index, item);
    }
  }
  const groups = new Map<string, ExternalResourceInfo[]>();
  for (const item of last.values()) {
    const group = groups.get(item.phase) ?? [];
    group.push(item);
    groups.set(item.phase, group);
  }
  const counts = phasesOf(attempt);
  return [...groups]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([phase, items]) => ({
      phase,
      items: items.sort((a, b) => a.index - b.index).slice(0, MOST_LISTED),
      count: Math.max(items.length, counts.get(phase) ?? 0)
    }));
}

function rank(phase: string): number {
  const at = ORDER.indexOf(phase);
  return at < 0 ? ORDER.length : at;
}

/** How many items are in which phase, as the control plane counts them. */
function phasesOf(attempt: TaskExecution | undefined): Map<string, number> {
  const said = attempt?.closure?.custom_info?.['items'];
  const entries = typeof said === 'object' && said !== null ? Object.entries(said) : [];
  return new Map(
    entries.filter((each): each is [string, number] => typeof each[1] === 'number')
  );
}
