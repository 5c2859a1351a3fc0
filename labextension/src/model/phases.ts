/** Flyte's phases, of executions, nodes and attempts alike, as what a person needs to see. */

/** What a phase means to the eye: one icon and one colour each. */
export type Look =
  | 'waiting'
  | 'queued'
  | 'running'
  | 'stopping'
  | 'succeeded'
  | 'failed'
  | 'aborted'
  | 'skipped';

const LOOKS: Record<string, Look> = {
  QUEUED: 'queued',
  INITIALIZING: 'queued',
  WAITING_FOR_RESOURCES: 'queued',
  RUNNING: 'running',
  DYNAMIC_RUNNING: 'running',
  SUCCEEDING: 'running',
  FAILING: 'stopping',
  ABORTING: 'stopping',
  SUCCEEDED: 'succeeded',
  RECOVERED: 'succeeded',
  FAILED: 'failed',
  RETRYABLE_FAILED: 'failed',
  TIMED_OUT: 'failed',
  ABORTED: 'aborted',
  SKIPPED: 'skipped'
};

const ENDED: ReadonlySet<Look> = new Set(['succeeded', 'failed', 'aborted', 'skipped']);

/** The look of a phase; a node that has none yet, or a phase we don't know, is waiting. */
export function lookOf(phase: string | null | undefined): Look {
  return LOOKS[phase ?? ''] ?? 'waiting';
}

/** Whether nothing more will happen. */
export function isOver(phase: string | null | undefined): boolean {
  return ENDED.has(lookOf(phase));
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
