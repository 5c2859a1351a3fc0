/** The list of executions, newest first, from a live first page and older pages. */
import type { Execution, WorkflowExecutionIdentifier } from '../api/types';
import type { ItemsMessage } from './changes';
import { moment } from './time';

/** What the list is about; sent to the server, which does the filtering. */
export interface Query {
  project: string;
  domain: string;
  phases: readonly string[];
  /** Part of a name; empty for all. */
  name: string;
}

/** Never changed in place; the newest first. */
export interface ExecutionsView {
  rows: readonly Execution[];
  /** Whether the server has been heard at all. */
  known: boolean;
  /** Whether there may be older ones on the server. */
  more: boolean;
}

export const NO_EXECUTIONS: ExecutionsView = { rows: [], known: false, more: false };

/** A stable key of an execution. */
export function keyOf(id: WorkflowExecutionIdentifier | null | undefined): string {
  return id ? `${id.project}/${id.domain}/${id.name}` : '';
}

/** The list after a message of the live page, which holds `limit` executions at most. */
export function foldList(
  view: ExecutionsView,
  message: ItemsMessage,
  query: Query,
  limit: number
): ExecutionsView {
  const heard = message.items.flatMap(item =>
    item.kind === 'execution' ? [item.value] : []
  );
  const known = message.type === 'snapshot' ? [] : view.rows;
  return {
    rows: merged(known, heard, query),
    known: true,
    more: message.type === 'snapshot' ? heard.length >= limit : view.more
  };
}

/** The list with an older page below it. */
export function withPage(
  view: ExecutionsView,
  page: readonly Execution[],
  more: boolean,
  query: Query
): ExecutionsView {
  return { rows: merged(page, view.rows, query), known: true, more };
}

/** Rows by age; `fresh` replaces `known`; what no longer fits the filter goes. */
function merged(
  known: readonly Execution[],
  fresh: readonly Execution[],
  query: Query
): Execution[] {
  const rows = new Map([...known, ...fresh].map(row => [keyOf(row.id), row]));
  return [...rows.values()]
    .filter(
      row =>
        !query.phases.length || query.phases.includes(row.closure?.phase ?? 'UNDEFINED')
    )
    .sort(
      (a, b) => createdAt(b) - createdAt(a) || (keyOf(a.id) < keyOf(b.id) ? 1 : -1)
    );
}

function createdAt(execution: Execution): number {
  return moment(execution.closure?.created_at) ?? 0;
}
