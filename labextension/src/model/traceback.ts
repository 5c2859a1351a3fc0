/** Tracebacks, and the places in them that name a notebook cell. */

/** A stretch of a traceback; with `line` it names that line (from 1) of a notebook cell. */
export interface Stretch {
  text: string;
  cell?: string;
  line?: number;
}

// `Cell "label", line 7, in train`, as the runtime writes it; `Cell In[3], line 7`, as IPython does.
const CELL = /Cell (?:"([^"\n]*)"|(In ?\[\d+\])),? line (\d+)/g;

/** The traceback cut into plain text and references to cells, in order. */
export function stretches(traceback: string): Stretch[] {
  const found: Stretch[] = [];
  let at = 0;
  for (const match of traceback.matchAll(CELL)) {
    if (match.index > at) {
      found.push({ text: traceback.slice(at, match.index) });
    }
    found.push({ text: match[0], cell: match[1] ?? match[2], line: Number(match[3]) });
    at = match.index + match[0].length;
  }
  if (at < traceback.length) {
    found.push({ text: traceback.slice(at) });
  }
  return found;
}

/** What a person wants to read first: the exception, which our runtime puts on the first line. */
export function summary(traceback: string): string {
  const lines = traceback.split('\n').filter(line => line.trim());
  const first = lines[0]?.trim() ?? '';
  return first.startsWith('Traceback') ? (lines.at(-1)?.trim() ?? '') : first;
}
