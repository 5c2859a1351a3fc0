/** Flyte's literals as something to show. */
import type { Literal, LiteralMap, Primitive, Scalar } from '../api/types';
import { decodeMsgpack } from './msgpack';

/** A value ready for the eye; `type` is the short name of what it is. */
export type Shown =
  | { kind: 'text'; type: string; text: string }
  | { kind: 'place'; type: string; uri: string; detail: string; columns: string[] }
  | { kind: 'list'; type: string; items: Shown[] }
  | { kind: 'record'; type: string; entries: [string, Shown][] };

/** The entries of a map of literals, by name. */
export function showMap(map: LiteralMap | null | undefined): [string, Shown][] {
  // They come in no order: o10 is to stand after o9.
  return Object.entries(map?.literals ?? {})
    .sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }))
    .map(([name, value]) => [name, show(value)]);
}

/** One literal. */
export function show(literal: Literal): Shown {
  if (literal.collection) {
    return { kind: 'list', type: 'list', items: literal.collection.literals.map(show) };
  }
  if (literal.map) {
    return { kind: 'record', type: 'dict', entries: showMap(literal.map) };
  }
  return literal.scalar ? showScalar(literal.scalar) : NONE;
}

const NONE: Shown = { kind: 'text', type: 'none', text: 'None' };

function showScalar(scalar: Scalar): Shown {
  if (scalar.primitive) {
    return showPrimitive(scalar.primitive);
  }
  if (scalar.union?.value) {
    return show(scalar.union.value);
  }
  if (scalar.blob) {
    const type = scalar.blob.metadata?.type;
    const several = type?.dimensionality === 'MULTIPART';
    return place(several ? 'folder' : 'file', scalar.blob.uri, type?.format ?? '', []);
  }
  if (scalar.structured_dataset) {
    const type = scalar.structured_dataset.metadata?.structured_dataset_type;
    const columns = (type?.columns ?? []).map(column => column.name);
    return place('table', scalar.structured_dataset.uri, type?.format ?? '', columns);
  }
  if (scalar.schema) {
    return place('table', scalar.schema.uri, '', []);
  }
  if (scalar.generic) {
    return plain(scalar.generic);
  }
  if (scalar.binary) {
    return showBinary(scalar.binary.value, scalar.binary.tag);
  }
  return scalar.error
    ? { kind: 'text', type: 'error', text: scalar.error.message }
    : NONE;
}

function place(type: string, uri: string, detail: string, columns: string[]): Shown {
  return { kind: 'place', type, uri, detail, columns };
}

function showPrimitive(value: Primitive): Shown {
  if (typeof value.integer === 'string' || typeof value.integer === 'number') {
    return { kind: 'text', type: 'int', text: String(value.integer) };
  }
  if (value.float_value !== undefined && value.float_value !== null) {
    return { kind: 'text', type: 'float', text: String(value.float_value) };
  }
  if (typeof value.boolean === 'boolean') {
    return { kind: 'text', type: 'bool', text: value.boolean ? 'True' : 'False' };
  }
  if (value.datetime) {
    return { kind: 'text', type: 'datetime', text: value.datetime };
  }
  if (value.duration) {
    return { kind: 'text', type: 'timedelta', text: value.duration };
  }
  return { kind: 'text', type: 'str', text: value.string_value ?? '' };
}

function showBinary(base64: string, tag: string): Shown {
  const bytes = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
  const decoded = tag === 'msgpack' ? decodeMsgpack(bytes) : undefined;
  return decoded
    ? plain(decoded.value)
    : { kind: 'text', type: tag || 'binary', text: `${bytes.length} bytes` };
}

/** A plain value, from JSON or msgpack. */
export function plain(value: unknown): Shown {
  if (value === null || value === undefined) {
    return NONE;
  }
  if (Array.isArray(value)) {
    return { kind: 'list', type: 'list', items: value.map(plain) };
  }
  if (value instanceof Uint8Array) {
    return { kind: 'text', type: 'bytes', text: `${value.length} bytes` };
  }
  if (typeof value === 'object') {
    return {
      kind: 'record',
      type: 'dict',
      entries: Object.entries(value).map(([name, each]) => [name, plain(each)])
    };
  }
  const type =
    typeof value === 'boolean' ? 'bool' : typeof value === 'string' ? 'str' : 'number';
  return { kind: 'text', type, text: String(value) };
}
