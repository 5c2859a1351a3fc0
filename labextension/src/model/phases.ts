/** Flyte's phases, of executions, nodes and attempts alike, as what a person needs to see. */

import type { Gate } from './graph';

/** What a phase means to the eye: one icon and one colour each. */
export type Look =
  | 'waiting'
  | 'queued'
  | 'running'
  | 'asking'
  | 'stopping'
  | 'succeeded'
  | 'recovered'
  | 'failed'
  | 'late'
  | 'aborted'
  | 'skipped';

const LOOKS: Record<string, Look> = {
  QUEUED: 'queued',
  INITIALIZING: 'queued',
  WAITING_FOR_RESOURCES: 'queued',
  SLEEPING: 'queued',
  RUNNING: 'running',
  WAITING_FOR_APPROVAL: 'asking',
  WAITING_FOR_VALUE: 'asking',
  DYNAMIC_RUNNING: 'running',
  SUCCEEDING: 'running',
  FAILING: 'stopping',
  ABORTING: 'stopping',
  SUCCEEDED: 'succeeded',
  RECOVERED: 'recovered',
  FAILED: 'failed',
  RETRYABLE_FAILED: 'failed',
  TIMED_OUT: 'late',
  ABORTED: 'aborted',
  SKIPPED: 'skipped'
};

const ENDED: ReadonlySet<Look> = new Set([
  'succeeded',
  'recovered',
  'failed',
  'late',
  'aborted',
  'skipped'
]);

/** Phases of an attempt that say more than its node's while it has not begun to run. */
const BEFORE: ReadonlySet<string> = new Set(['WAITING_FOR_RESOURCES', 'INITIALIZING']);

/** What a gate that waits is said to do. Not phases of Flyte's: its gates are just running. */
const AT_GATE: Record<Gate['kind'], string> = {
  approval: 'WAITING_FOR_APPROVAL',
  value: 'WAITING_FOR_VALUE',
  time: 'SLEEPING'
};

/** The look of a phase; a node that has none yet, or a phase we don't know, is waiting. */
export function lookOf(phase: string | null | undefined): Look {
  return LOOKS[phase ?? ''] ?? 'waiting';
}

/** Whether nothing more will happen. */
export function isOver(phase: string | null | undefined): boolean {
  return ENDED.has(lookOf(phase));
}

/** Why a node in this phase waits, as its last attempt says; empty when it doesn't wait or nobody said. */
export function waitReason(
  phase: string,
  attempt: { phase: string; reason: string } | null | undefined
): string {
  const waits = attempt && (attempt.phase === 'QUEUED' || BEFORE.has(attempt.phase));
  return waits && !isOver(phase) ? attempt.reason : '';
}

/** The phase to show for a node: what its last attempt or its gate waits for, where that says more. */
export function shownPhase(
  phase: string,
  attempt: string | undefined,
  gate: Gate | undefined
): string {
  if (gate && phase === 'RUNNING') {
    return AT_GATE[gate.kind];
  }
  return attempt && BEFORE.has(attempt) && !isOver(phase) ? attempt : phase;
}

/** Whether an ended execution can be recovered: what succeeded in it is taken over. */
export function isRecoverable(phase: string | null | undefined): boolean {
  return phase === 'FAILED' || phase === 'ABORTED' || phase === 'TIMED_OUT';
}

/** The choices of the sidebar's filter, and the phases each stands for. */
export const PHASE_GROUPS = {
  all: [],
  active: ['QUEUED', 'RUNNING', 'SUCCEEDING', 'FAILING', 'ABORTING'],
  succeeded: ['SUCCEEDED'],
  failed: ['FAILED', 'TIMED_OUT'],
  aborted: ['ABORTED']
} as const satisfies Record<string, readonly string[]>;

export type PhaseGroup = keyof typeof PHASE_GROUPS;
