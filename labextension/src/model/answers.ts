/** What a person types for a gate, as the literal that the gate wants. */
import type { Literal, LiteralType, Primitive } from '../api/types';

/** The types that can be typed in. */
export type Answerable = 'BOOLEAN' | 'INTEGER' | 'FLOAT' | 'STRING';

const ANSWERABLE: readonly string[] = ['BOOLEAN', 'INTEGER', 'FLOAT', 'STRING'];

/** The type if it can be typed in. */
export function answerable(
  type: LiteralType | null | undefined
): Answerable | undefined {
  return ANSWERABLE.find(each => each === type?.simple) as Answerable | undefined;
}

/** The literal for a text; undefined when the text is no value of the type. */
export function answerOf(type: Answerable, text: string): Literal | undefined {
  const primitive = primitiveOf(type, text);
  return primitive && { scalar: { primitive }, hash: '' };
}

function primitiveOf(type: Answerable, text: string): Primitive | undefined {
  const typed = text.trim();
  switch (type) {
    case 'BOOLEAN':
      return /^(true|false)$/.test(typed) ? { boolean: typed === 'true' } : undefined;
    case 'INTEGER':
      // As text: 64 bits are more than a number holds.
      return /^[+-]?\d+$/.test(typed) && fits(typed)
        ? { integer: String(BigInt(typed.replace('+', ''))) }
        : undefined;
    case 'FLOAT':
      return typed !== '' && Number.isFinite(Number(typed))
        ? { float_value: Number(typed) }
        : undefined;
    case 'STRING':
      return { string_value: text };
  }
}

function fits(integer: string): boolean {
  const value = BigInt(integer.replace('+', ''));
  return BigInt.asIntN(64, value) === value;
}
