import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskExecution } from '../src/api/types';
import { answerable, answerOf } from '../src/model/answers';
import { itemCounts, itemGroups, MOST_LISTED } from '../src/model/items';
import { lookOf, shownPhase, waitReason } from '../src/model/phases';

interface Item {
  index: number;
  retry_attempt: number;
  phase: string;
}

function mapped(custom_info: object | null, items: Item[] = []): TaskExecution {
  return {
    closure: { custom_info, metadata: { external_resources: items } }
  } as unknown as TaskExecution;
}

function item(index: number, phase: string, retry_attempt = 0): Item {
  return { index, phase, retry_attempt };
}

test('items that have not begun count in the total', () => {
  const info = { size: 100, items: { SUCCEEDED: 37, FAILED: 2, RUNNING: 2 } };
  assert.deepEqual(itemCounts(mapped(info)), { succeeded: 37, failed: 2, total: 100 });
  assert.deepEqual(itemCounts(mapped({ items: { RUNNING: 3 } })), {
    succeeded: 0,
    failed: 0,
    total: 3
  });
  assert.deepEqual(itemCounts(mapped({ size: 0 })), {
    succeeded: 0,
    failed: 0,
    total: 0
  });
  assert.equal(itemCounts(mapped({ items: 'none' })), undefined);
  assert.equal(itemCounts(undefined), undefined);
});

test('of each item the last try counts, and what failed comes first', () => {
  const groups = itemGroups(
    mapped({ items: { SUCCEEDED: 1, FAILED: 1, RUNNING: 1 } }, [
      item(0, 'SUCCEEDED'),
      item(1, 'RETRYABLE_FAILED'),
      item(1, 'RUNNING', 1),
      item(2, 'FAILED')
    ])
  );
  assert.deepEqual(
    groups.map(group => [group.phase, group.items.map(each => each.index)]),
    [
      ['FAILED', [2]],
      ['RUNNING', [1]],
      ['SUCCEEDED', [0]]
    ]
  );
});

test('of many items the first ones are listed, and all are counted', () => {
  const many = Array.from({ length: 300 }, (_, index) => item(index, 'SUCCEEDED'));
  const [group] = itemGroups(mapped({ items: { SUCCEEDED: 20_000 } }, many));
  assert.equal(group?.items.length, MOST_LISTED);
  assert.equal(group?.count, 20_000);
});

test('what is typed for a gate becomes a literal of its type, or nothing', () => {
  const given = (
    type: 'BOOLEAN' | 'INTEGER' | 'FLOAT' | 'STRING',
    text: string
  ): unknown => answerOf(type, text)?.scalar?.primitive;
  assert.deepEqual(given('INTEGER', ' -9223372036854775808 '), {
    integer: '-9223372036854775808'
  });
  assert.equal(given('INTEGER', '9223372036854775808'), undefined);
  assert.equal(given('INTEGER', '1.5'), undefined);
  assert.deepEqual(given('FLOAT', '1e-3'), { float_value: 0.001 });
  assert.equal(given('FLOAT', ''), undefined);
  assert.deepEqual(given('BOOLEAN', 'false'), { boolean: false });
  assert.deepEqual(given('STRING', ' as it is '), { string_value: ' as it is ' });
  assert.equal(answerable({ simple: 'STRUCT' }), undefined);
  assert.equal(answerable({ simple: 'FLOAT' }), 'FLOAT');
});

test('a node shows what its attempt or its gate waits for', () => {
  const asks = { kind: 'approval', signal: 's' } as const;
  assert.equal(lookOf(shownPhase('RUNNING', undefined, asks)), 'asking');
  assert.equal(shownPhase('SUCCEEDED', undefined, asks), 'SUCCEEDED');
  assert.equal(
    shownPhase('QUEUED', 'WAITING_FOR_RESOURCES', undefined),
    'WAITING_FOR_RESOURCES'
  );
  assert.equal(shownPhase('ABORTED', 'WAITING_FOR_RESOURCES', undefined), 'ABORTED');
  const waits = { phase: 'WAITING_FOR_RESOURCES', reason: '0/1 nodes are available' };
  assert.equal(waitReason('QUEUED', waits), '0/1 nodes are available');
  assert.equal(waitReason('ABORTED', waits), '');
  assert.equal(waitReason('RUNNING', { ...waits, phase: 'RUNNING' }), '');
  assert.equal(lookOf('TIMED_OUT'), 'late');
  assert.equal(lookOf('RECOVERED'), 'recovered');
});
