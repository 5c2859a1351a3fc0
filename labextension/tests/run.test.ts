import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Execution, NodeExecution, TaskExecution } from '../src/api/types';
import type { Item } from '../src/model/changes';
import {
  type ExecutionsView,
  foldList,
  NO_EXECUTIONS,
  type Query,
  withPage
} from '../src/model/executions';
import { attemptsOf, fold, foldMessage, NOTHING_YET } from '../src/model/run';

function node(id: string, phase: string): Item {
  const value = { id: { node_id: id }, closure: { phase } } as NodeExecution;
  return { kind: 'node_execution', value };
}

function attempt(id: string, number: number, phase: string): Item {
  const value = {
    id: { node_execution_id: { node_id: id }, retry_attempt: number },
    closure: { phase }
  } as TaskExecution;
  return { kind: 'task_execution', value };
}

function execution(name: string, second: number, phase = 'RUNNING'): Execution {
  return {
    id: { project: 'p', domain: 'd', name },
    closure: {
      phase,
      created_at: `2026-11-20T10:00:${String(second).padStart(2, '0')}Z`
    }
  } as Execution;
}

const ALL: Query = { project: 'p', domain: 'd', phases: [], name: '' };

function heard(
  view: ExecutionsView,
  type: 'snapshot' | 'delta',
  rows: Execution[],
  query = ALL
): ExecutionsView {
  const items = rows.map((value): Item => ({ kind: 'execution', value }));
  return foldList(view, { id: 1, type, cursor: 1, items }, query, 2);
}

const names = (view: ExecutionsView): string =>
  view.rows.map(row => row.id?.name).join('');

test('an item replaces what was known under its id, and heard twice changes nothing', () => {
  const once = fold(NOTHING_YET, [
    node('n0', 'RUNNING'),
    node('n1', 'QUEUED'),
    node('n0', 'SUCCEEDED')
  ]);
  assert.equal(once.nodes.get('n0')?.closure?.phase, 'SUCCEEDED');
  assert.deepEqual(fold(once, [node('n0', 'SUCCEEDED')]), once);
});

test('a fold leaves the view it began with as it was', () => {
  const before = fold(NOTHING_YET, [node('n0', 'RUNNING')]);
  fold(before, [node('n0', 'FAILED')]);
  assert.equal(before.nodes.get('n0')?.closure?.phase, 'RUNNING');
});

test('attempts stand in order, in whichever order they are heard', () => {
  const view = fold(NOTHING_YET, [
    attempt('n0', 2, 'RUNNING'),
    attempt('n0', 0, 'FAILED'),
    attempt('n0', 1, 'FAILED')
  ]);
  assert.deepEqual(
    attemptsOf(view, 'n0').map(each => each.id?.retry_attempt),
    [0, 1, 2]
  );
  assert.deepEqual(attemptsOf(view, 'n9'), []);
});

test('a snapshot forgets, a delta adds', () => {
  const known = fold(NOTHING_YET, [node('n0', 'RUNNING')]);
  const items = [node('n1', 'RUNNING')];
  const delta = foldMessage(known, { id: 1, type: 'delta', cursor: 2, items });
  assert.deepEqual([...delta.nodes.keys()], ['n0', 'n1']);
  const snapshot = foldMessage(known, { id: 1, type: 'snapshot', cursor: 2, items });
  assert.deepEqual([...snapshot.nodes.keys()], ['n1']);
});

test('kinds that a newer control plane may send are passed over', () => {
  const strange = { kind: 'lineage', value: {} } as unknown as Item;
  assert.deepEqual(fold(NOTHING_YET, [strange]), {
    ...NOTHING_YET,
    execution: undefined
  });
});

test('executions stand newest first, and a full page means that there may be more', () => {
  const view = heard(NO_EXECUTIONS, 'snapshot', [execution('a', 1), execution('b', 2)]);
  assert.equal(names(view), 'ba');
  assert.equal(view.more, true);
  assert.equal(names(heard(view, 'delta', [execution('c', 3)])), 'cba');
  assert.equal(heard(NO_EXECUTIONS, 'snapshot', []).known, true);
});

test('an older page goes below, without doubles, and never over what is newer', () => {
  const live = heard(NO_EXECUTIONS, 'snapshot', [
    execution('c', 3, 'SUCCEEDED'),
    execution('b', 2)
  ]);
  const view = withPage(
    live,
    [execution('c', 3, 'RUNNING'), execution('a', 1)],
    false,
    ALL
  );
  assert.equal(names(view), 'cba');
  assert.equal(view.rows[0]?.closure?.phase, 'SUCCEEDED');
  assert.equal(view.more, false);
});

test('an execution that no longer fits the filter leaves the list', () => {
  const running = { ...ALL, phases: ['RUNNING'] };
  const view = heard(NO_EXECUTIONS, 'snapshot', [execution('a', 1)], running);
  assert.equal(
    names(heard(view, 'delta', [execution('a', 1, 'SUCCEEDED')], running)),
    ''
  );
});
