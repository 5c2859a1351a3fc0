/** Durations and moments of Flyte's JSON, as numbers and as short text. */

/** Seconds in a duration such as `1.5s`; undefined when there is none. */
export function seconds(duration: string | null | undefined): number | undefined {
  if (!duration?.endsWith('s')) {
    return undefined;
  }
  const value = Number(duration.slice(0, -1));
  return Number.isFinite(value) ? value : undefined;
}

/** Milliseconds since the epoch of an RFC 3339 time; undefined when there is none. */
export function moment(time: string | null | undefined): number | undefined {
  if (!time) {
    return undefined;
  }
  const value = Date.parse(time);
  // Protobuf's zero time means that nothing has been set.
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

/** What a closure says about when something ran. */
export interface Spell {
  started_at?: string | null;
  updated_at?: string | null;
  duration?: string | null;
}

/** How long something took in seconds, or has taken until `now` (ms) while it isn't over. */
export function elapsed(spell: Spell, over: boolean, now: number): number | undefined {
  const started = moment(spell.started_at);
  if (over) {
    const told = seconds(spell.duration);
    const ended = moment(spell.updated_at);
    if (told !== undefined && told > 0) {
      return told;
    }
    return started === undefined || ended === undefined
      ? told
      : Math.max(0, (ended - started) / 1000);
  }
  return started === undefined ? undefined : Math.max(0, (now - started) / 1000);
}

/** A duration as a person says it: `340 ms`, `4.2 s`, `3 m 05 s`, `2 h 10 m`. */
export function brief(duration: number | undefined): string {
  if (duration === undefined) {
    return '';
  }
  if (duration < 1) {
    return `${Math.round(duration * 1000)} ms`;
  }
  if (duration < 59.95) {
    return `${duration.toFixed(1)} s`;
  }
  const whole = Math.round(duration);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) {
    return `${hours} h ${String(minutes).padStart(2, '0')} m`;
  }
  return `${minutes} m ${String(whole % 60).padStart(2, '0')} s`;
}

/** A moment as short local text: the time today, the date and the time before. */
export function clock(
  time: string | null | undefined,
  now: number,
  locale?: string
): string {
  const at = moment(time);
  if (at === undefined) {
    return '';
  }
  const date = new Date(at);
  const today = new Date(now).toDateString() === date.toDateString();
  return new Intl.DateTimeFormat(
    locale,
    today
      ? { hour: '2-digit', minute: '2-digit', second: '2-digit' }
      : { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }
  ).format(date);
}
