/** The ids that clients see of what stands inside a node: Flyte's (docs/protocol.md, section 2). */

const LONGEST = 20;
const DIGITS = 'abcdefghijklmnopqrstuvwxyz123456';
const PRIME = 0x01000193;
const START = 0x811c9dc5;
/** Base32 digits of 32 bits; the last one is filled up with zeros. */
const PLACES = 7;
const FILL = 8;

/** The id of a node inside `owner`, whose `attempt` opened the graph that it is a node of. */
export function nestedId(owner: string, attempt: number, node: string): string {
  return shortId(`${owner}-${attempt}-${node}`);
}

/** The text where it has at most 20 characters, else `f` and its FNV-1a hash in base32. */
export function shortId(text: string): string {
  if ([...text].length <= LONGEST) {
    return text;
  }
  let mark = START;
  for (const byte of new TextEncoder().encode(text)) {
    mark = Math.imul(mark ^ byte, PRIME) >>> 0;
  }
  // 35 bits: more than bitwise operators can hold.
  const bits = mark * FILL;
  const digits = Array.from(
    { length: PLACES },
    (_, place) => DIGITS[Math.floor(bits / 32 ** (PLACES - 1 - place)) % 32]
  );
  return `f${digits.join('')}`;
}
