/** The attempts of a node: what each came to, and how long it took. */
import React from 'react';
import type { TaskExecution } from '../api/types';
import { isOver } from '../model/phases';
import { brief, clock, elapsed } from '../model/time';
import { summary } from '../model/traceback';
import { Phase } from './phase';
import { useServices } from './services';

/** Chooses one of several attempts, counted from 0; nothing where there is one only. */
export function AttemptPicker(props: {
  attempts: readonly number[];
  picked: number;
  onPick(attempt: number): void;
}): React.ReactElement | null {
  const { trans } = useServices();
  return props.attempts.length > 1 ? (
    <label className="jp-Flyte-attemptPicker">
      {trans.__('Attempt')}{' '}
      <select
        value={props.picked}
        onChange={event => props.onPick(Number(event.target.value))}
      >
        {props.attempts.map(each => (
          <option key={each} value={each}>
            {each + 1}
          </option>
        ))}
      </select>
    </label>
  ) : null;
}

/** A row for each attempt, the first one first. */
export function Attempts(props: {
  attempts: readonly TaskExecution[];
  now: number;
}): React.ReactElement {
  const { trans } = useServices();
  if (!props.attempts.length) {
    return (
      <p className="jp-Flyte-note">{trans.__('Nothing has been attempted yet.')}</p>
    );
  }
  return (
    <table className="jp-Flyte-table">
      <thead>
        <tr>
          <th scope="col">{trans.__('Attempt')}</th>
          <th scope="col">{trans.__('Phase')}</th>
          <th scope="col">{trans.__('Started')}</th>
          <th scope="col">{trans.__('Duration')}</th>
          <th scope="col">{trans.__('Remarks')}</th>
        </tr>
      </thead>
      <tbody>
        {props.attempts.map(({ id, closure }) => (
          <tr key={id?.retry_attempt}>
            <th scope="row">{(id?.retry_attempt ?? 0) + 1}</th>
            <td>
              <Phase phase={closure?.phase} trans={trans} />
            </td>
            <td>{clock(closure?.started_at, props.now)}</td>
            <td className="jp-Flyte-number">
              {brief(elapsed(closure ?? {}, isOver(closure?.phase), props.now))}
            </td>
            <td>{closure?.error ? summary(closure.error.message) : closure?.reason}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
