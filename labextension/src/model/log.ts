/** A log as a terminal would show it: progress bars collapsed to their last state, colours kept. */

/** Colours by terminal number: 0-7 the plain ones, 8-15 the bright ones. */
export interface Style {
  colour?: number;
  background?: number;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
}

/** Text in one style. */
export interface Span {
  text: string;
  style: Style;
}

export type Line = readonly Span[];

const PLAIN: Style = {};
// A control sequence (its final letter is what it does), or any other escape of two characters.
const ESCAPE =
  /\u001b(?:\[([0-9;?]*)([A-Za-z])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[^[\]])/y;
const ORDINARY = /[^\u001b\r\n\b\u0007]+/y;
/** No real escape is longer; a longer one is shown as it is. */
const LONGEST_ESCAPE = 200;

/** Lines of text that grows; the oldest lines go when there are more than `most`. */
export class LogLines {
  /** How many lines have been dropped from the front. */
  dropped = 0;

  private readonly done: Line[] = [];
  private open: Span[] = [];
  private style: Style = PLAIN;
  private rest = '';
  private returned = false;

  constructor(private readonly most = 100_000) {}

  /** How many lines there are, an unfinished last one included. */
  get count(): number {
    return this.done.length + (this.open.length ? 1 : 0);
  }

  /** Lines `first` up to but not including `last`. */
  slice(first: number, last: number): Line[] {
    const lines: Line[] = this.done.slice(first, last);
    if (this.open.length && last > this.done.length && first <= this.done.length) {
      lines.push(this.open);
    }
    return lines;
  }

  /** Everything as plain text. */
  text(): string {
    return this.slice(0, this.count)
      .map(line => line.map(span => span.text).join(''))
      .join('\n');
  }

  /** Take in more text; it may end anywhere, inside an escape too. */
  append(more: string): void {
    const text = this.rest + more;
    this.rest = '';
    let at = 0;
    while (at < text.length) {
      const ordinary = matchAt(ORDINARY, text, at);
      if (ordinary) {
        this.write(ordinary[0]);
        at += ordinary[0].length;
        continue;
      }
      if (text[at] !== '\u001b') {
        this.control(text[at] ?? '');
        at += 1;
        continue;
      }
      const escape = matchAt(ESCAPE, text, at);
      if (escape) {
        this.escape(escape[1] ?? '', escape[2] ?? '');
        at += escape[0].length;
      } else if (text.length - at > LONGEST_ESCAPE) {
        at += 1;
      } else {
        this.rest = text.slice(at);
        return;
      }
    }
    while (this.done.length > this.most) {
      this.dropped += this.done.splice(0, Math.ceil(this.most / 10)).length;
    }
  }

  private write(text: string): void {
    if (this.returned) {
      this.open = [];
      this.returned = false;
    }
    const last = this.open.at(-1);
    if (last?.style === this.style) {
      this.open[this.open.length - 1] = { text: last.text + text, style: last.style };
    } else {
      this.open = [...this.open, { text, style: this.style }];
    }
  }

  private control(character: string): void {
    if (character === '\n') {
      this.done.push(this.open);
      this.open = [];
      this.returned = false;
    } else if (character === '\r') {
      this.returned = true;
    } else if (character === '\b') {
      const last = this.open.at(-1);
      if (last) {
        this.open = [
          ...this.open.slice(0, -1),
          { ...last, text: last.text.slice(0, -1) }
        ];
      }
    }
  }

  private escape(parameters: string, action: string): void {
    if (action === 'm') {
      this.style = styled(this.style, parameters.split(';').map(Number));
    } else if (action === 'K' && this.returned) {
      this.open = [];
      this.returned = false;
    }
  }
}

/** The style after a "select graphic rendition" sequence. */
function styled(style: Style, codes: readonly number[]): Style {
  let next: Style = { ...style };
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index] ?? 0;
    if (code === 0) {
      next = {};
    } else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(index + 1));
      next = { ...next, [code === 38 ? 'colour' : 'background']: colour };
      index += used;
    } else {
      next = { ...next, ...simple(code) };
    }
  }
  return Object.values(next).some(value => value !== undefined && value !== false)
    ? next
    : PLAIN;
}

function simple(code: number): Style {
  if (code >= 30 && code <= 37) return { colour: code - 30 };
  if (code >= 90 && code <= 97) return { colour: code - 82 };
  if (code >= 40 && code <= 47) return { background: code - 40 };
  if (code >= 100 && code <= 107) return { background: code - 92 };
  switch (code) {
    case 1:
      return { bold: true };
    case 2:
      return { dim: true };
    case 3:
      return { italic: true };
    case 4:
      return { underline: true };
    case 22:
      return { bold: false, dim: false };
    case 23:
      return { italic: false };
    case 24:
      return { underline: false };
    case 39:
      return { colour: undefined };
    case 49:
      return { background: undefined };
    default:
      return {};
  }
}

/** A colour of the 256 or of 24 bits as the nearest of the 16, and how many codes told it. */
function extended(codes: readonly number[]): [number | undefined, number] {
  if (codes[0] === 5) {
    const number = codes[1] ?? 0;
    if (number < 16) return [number, 2];
    if (number > 231) return [number > 243 ? 7 : 8, 2];
    const cube = number - 16;
    return [
      nearest(
        (Math.floor(cube / 36) * 255) / 5,
        ((Math.floor(cube / 6) % 6) * 255) / 5,
        ((cube % 6) * 255) / 5
      ),
      2
    ];
  }
  return codes[0] === 2
    ? [nearest(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4]
    : [undefined, 0];
}

function nearest(red: number, green: number, blue: number): number {
  const bright = Math.max(red, green, blue) > 200 ? 8 : 0;
  const bit = (part: number): number => (part > 110 ? 1 : 0);
  return bright + bit(red) + 2 * bit(green) + 4 * bit(blue);
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
