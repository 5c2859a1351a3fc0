import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Literal } from '../src/api/types';
import { show, type Shown } from '../src/model/literals';
import { decodeMsgpack } from '../src/model/msgpack';
import { isOver, lookOf } from '../src/model/phases';
import { readSaved } from '../src/model/saved';
import { brief, elapsed, seconds } from '../src/model/time';
import { stretches, summary } from '../src/model/traceback';

function shown(scalar: unknown): Shown {
  return show({ scalar, hash: '' } as Literal);
}

function text(type: string, value: string): Shown {
  return { kind: 'text', type, text: value };
}

test('primitives are shown as Python would name them', () => {
  assert.deepEqual(shown({ primitive: { integer: '0' } }), text('int', '0'));
  assert.deepEqual(shown({ primitive: { float_value: 0.5 } }), text('float', '0.5'));
  assert.deepEqual(shown({ primitive: { float_value: 'NaN' } }), text('float', 'NaN'));
  assert.deepEqual(shown({ primitive: { boolean: false } }), text('bool', 'False'));
  assert.deepEqual(shown({ primitive: { string_value: '' } }), text('str', ''));
  assert.deepEqual(shown({ none_type: {} }), text('none', 'None'));
});

test('what lies elsewhere is shown by its place', () => {
  const type = { format: 'parquet', columns: [{ name: 'x' }] };
  const dataset = { uri: 'file:///t', metadata: { structured_dataset_type: type } };
  assert.deepEqual(shown({ structured_dataset: dataset }), {
    kind: 'place',
    type: 'table',
    uri: 'file:///t',
    detail: 'parquet',
    columns: ['x']
  });
  const folder = {
    uri: 'file:///d',
    metadata: { type: { dimensionality: 'MULTIPART' } }
  };
  assert.equal(shown({ blob: folder }).type, 'folder');
});

test('collections, maps, unions and structs are shown by what is in them', () => {
  const one = { scalar: { primitive: { integer: '1' } }, hash: '' };
  const list = show({ collection: { literals: [one] }, hash: '' });
  assert.deepEqual(list, { kind: 'list', type: 'list', items: [text('int', '1')] });
  const map = show({ map: { literals: { a: one } }, hash: '' });
  assert.deepEqual(map, {
    kind: 'record',
    type: 'dict',
    entries: [['a', text('int', '1')]]
  });
  assert.deepEqual(shown({ union: { value: one } }), text('int', '1'));
  assert.equal(shown({ generic: { a: [1, null, 'x', { b: true }] } }).kind, 'record');
});

test('a dataclass written as MessagePack is read', () => {
  // {"depth": 3, "rate": 0.5, "name": "é", "big": 2**53 + 1, "none": None, "neg": -40}
  const bytes = Buffer.from(
    '86a5646570746803a472617465cb3fe0000000000000a46e616d65a2c3a9' +
      'a3626967cf0020000000000001a46e6f6e65c0a36e6567d0d8',
    'hex'
  );
  const value = shown({ binary: { value: bytes.toString('base64'), tag: 'msgpack' } });
  assert.equal(value.kind, 'record');
  assert.deepEqual(value.kind === 'record' && value.entries.map(([name]) => name), [
    'depth',
    'rate',
    'name',
    'big',
    'none',
    'neg'
  ]);
  assert.deepEqual(decodeMsgpack(bytes)?.value, {
    depth: 3,
    rate: 0.5,
    name: 'é',
    big: 9007199254740993n,
    none: null,
    neg: -40
  });
  for (let end = 0; end < bytes.length; end++) {
    assert.equal(decodeMsgpack(bytes.subarray(0, end)), undefined);
  }
});

test('durations are brief, and those of what still runs go on', () => {
  assert.equal(seconds('1.500s'), 1.5);
  assert.equal(seconds(null), undefined);
  assert.deepEqual([0.34, 4.25, 185, 7800].map(brief), [
    '340 ms',
    '4.3 s',
    '3 m 05 s',
    '2 h 10 m'
  ]);
  const spell = {
    started_at: '2026-11-20T10:00:00Z',
    updated_at: '2026-11-20T10:00:05Z'
  };
  const now = Date.parse('2026-11-20T10:01:00Z');
  assert.equal(elapsed(spell, false, now), 60);
  assert.equal(elapsed(spell, true, now), 5);
  assert.equal(elapsed({ ...spell, duration: '2s' }, true, now), 2);
  assert.equal(elapsed({ started_at: '1970-01-01T00:00:00Z' }, false, now), undefined);
});

test('phases we don’t know wait, and only ends are ends', () => {
  assert.equal(lookOf('SOMETHING_NEW'), 'waiting');
  assert.deepEqual(
    ['RUNNING', 'ABORTING', 'SUCCEEDED', 'TIMED_OUT', 'SKIPPED'].map(isOver),
    [false, false, true, true, true]
  );
});

test('cells in a traceback are found with their lines', () => {
  const traceback = 'ValueError: no\n  Cell "train", line 7, in train\n    fit()\n';
  assert.deepEqual(
    stretches(traceback).filter(part => part.line !== undefined),
    [{ text: 'Cell "train", line 7', cell: 'train', line: 7 }]
  );
  assert.equal(
    stretches(traceback)
      .map(part => part.text)
      .join(''),
    traceback
  );
  assert.deepEqual(stretches('Cell In[3], line 2')[0], {
    text: 'Cell In[3], line 2',
    cell: 'In[3]',
    line: 2
  });
  assert.equal(summary(traceback), 'ValueError: no');
  assert.equal(
    summary('Traceback (most recent call last):\n  x\nKeyError: 1\n'),
    'KeyError: 1'
  );
});

test('a saved execution is read with care: anybody may have written it', () => {
  const ids = { project: 'p', domain: 'd', name: 'x' };
  const odd = readSaved({
    ...ids,
    snapshot: { nodes: [null, { id: 7, upstream: 'n0' }] }
  });
  assert.equal(odd?.workflow, 'x');
  assert.deepEqual(
    odd?.nodes.map(node => [node.id, node.upstream]),
    [
      ['', []],
      ['', []]
    ]
  );
  assert.equal(readSaved({ ...ids, name: 3 }), undefined);
  assert.equal(readSaved(null), undefined);
  assert.equal(readSaved([]), undefined);
});
