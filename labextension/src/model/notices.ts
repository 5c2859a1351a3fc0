/** What the control plane wants a person to know of it: shown until somebody has read it. */

export interface Notices {
  /** All that it says now. */
  readonly said: readonly string[];
  /** Those among them that have been put away. */
  readonly read: readonly string[];
}

export const NO_NOTICES: Notices = { said: [], read: [] };

/** What it says now in place of what it said. What was over and has come back is news again. */
export function heard(before: Notices, said: unknown): Notices {
  const texts = Array.isArray(said) ? said : [];
  const now = texts.filter(
    (each): each is string => typeof each === 'string' && !!each
  );
  return {
    said: [...new Set(now)],
    read: before.read.filter(each => now.includes(each))
  };
}

/** The same without one that somebody has read. */
export function putAway(before: Notices, text: string): Notices {
  return { ...before, read: [...before.read, text] };
}

/** Those that nobody has put away. */
export function unread(notices: Notices): readonly string[] {
  return notices.said.filter(each => !notices.read.includes(each));
}
