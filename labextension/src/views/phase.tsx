/** A phase as an icon and a word: never by colour alone. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import { type Look, lookOf } from '../model/phases';

// Drawn in a 16 by 16 box, in the current colour.
const SHAPES: Record<Look, React.ReactElement> = {
  waiting: (
    <circle
      cx="8"
      cy="8"
      r="5.5"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeDasharray="2 2.3"
    />
  ),
  queued: (
    <g fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round">
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.8V8l2.2 1.6" />
    </g>
  ),
  running: (
    <g fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round">
      <circle cx="8" cy="8" r="6" opacity="0.25" />
      <path d="M8 2a6 6 0 0 1 6 6" />
    </g>
  ),
  stopping: (
    <g fill="none" stroke="currentColor" strokeWidth="2">
      <circle cx="8" cy="8" r="6" opacity="0.25" />
      <path d="M8 2a6 6 0 0 1 6 6" strokeLinecap="round" />
      <rect x="6" y="6" width="4" height="4" fill="currentColor" stroke="none" />
    </g>
  ),
  asking: (
    <g>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path
        d="M6 6.3a2 2 0 1 1 2.9 1.8c-.6.3-.9.6-.9 1.3M8 11.6v.1"
        fill="none"
        className="jp-Flyte-cutout"
        strokeWidth="1.6"
        strokeLinecap="round"
      />
    </g>
  ),
  succeeded: (
    <g>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path
        d="M4.8 8.3l2.2 2.2 4.2-4.6"
        fill="none"
        className="jp-Flyte-cutout"
        strokeWidth="1.7"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </g>
  ),
  recovered: (
    <g fill="none" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round">
      <path d="M2.6 5.4A6 6 0 1 1 2 8.6" />
      <path d="M2.2 2.6v3.2h3.2" strokeLinejoin="round" />
      <path d="M5.6 8.4l1.8 1.8 3.2-3.7" strokeLinejoin="round" />
    </g>
  ),
  late: (
    <g>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path
        d="M8 4.4V8l2.4 1.7"
        fill="none"
        className="jp-Flyte-cutout"
        strokeWidth="1.7"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </g>
  ),
  failed: (
    <g>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path
        d="M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8"
        className="jp-Flyte-cutout"
        strokeWidth="1.7"
        strokeLinecap="round"
      />
    </g>
  ),
  aborted: (
    <g>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path
        d="M5 8h6"
        className="jp-Flyte-cutout"
        strokeWidth="2"
        strokeLinecap="round"
      />
    </g>
  ),
  skipped: (
    <g fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round">
      <circle cx="8" cy="8" r="6" />
      <path d="M6 5.5L8.5 8 6 10.5M10.3 5.5v5" strokeLinejoin="round" />
    </g>
  )
};

/** The word for a phase. */
export function phaseText(
  trans: TranslationBundle,
  phase: string | null | undefined
): string {
  const words: Record<string, () => string> = {
    QUEUED: () => trans.__('Queued'),
    INITIALIZING: () => trans.__('Starting'),
    WAITING_FOR_RESOURCES: () => trans.__('Waiting for resources'),
    RUNNING: () => trans.__('Running'),
    DYNAMIC_RUNNING: () => trans.__('Running its graph'),
    WAITING_FOR_APPROVAL: () => trans.__('Waiting for approval'),
    WAITING_FOR_VALUE: () => trans.__('Waiting for a value'),
    ONLY_ON_FAILURE: () => trans.__('Only on failure'),
    SLEEPING: () => trans.__('Sleeping'),
    SUCCEEDING: () => trans.__('Succeeding'),
    FAILING: () => trans.__('Failing'),
    ABORTING: () => trans.__('Aborting'),
    SUCCEEDED: () => trans.__('Succeeded'),
    RECOVERED: () => trans.__('Recovered'),
    FAILED: () => trans.__('Failed'),
    RETRYABLE_FAILED: () => trans.__('Failed, to be retried'),
    TIMED_OUT: () => trans.__('Timed out'),
    ABORTED: () => trans.__('Aborted'),
    SKIPPED: () => trans.__('Skipped')
  };
  return (words[phase ?? ''] ?? (() => trans.__('Not started')))();
}

/** The icon of a look; decoration, the word stands beside it or in a label. */
export function PhaseIcon({ look }: { look: Look }): React.ReactElement {
  return (
    <svg
      className={`jp-Flyte-phaseIcon jp-Flyte-look-${look}`}
      viewBox="0 0 16 16"
      aria-hidden="true"
    >
      {SHAPES[look]}
    </svg>
  );
}

/** Icon and word. */
export function Phase(props: {
  phase: string | null | undefined;
  trans: TranslationBundle;
}): React.ReactElement {
  const look = lookOf(props.phase);
  return (
    <span className={`jp-Flyte-phase jp-Flyte-look-${look}`}>
      <PhaseIcon look={look} />
      <span className="jp-Flyte-phaseText">{phaseText(props.trans, props.phase)}</span>
    </span>
  );
}
