import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, NO_NOTICES, putAway, unread } from '../src/model/notices';

test('a notice is shown until somebody has put it away', () => {
  const told = heard(NO_NOTICES, [
    'Little space is left.',
    'History is kept per host.'
  ]);
  assert.deepEqual(unread(told), [
    'Little space is left.',
    'History is kept per host.'
  ]);
  const read = putAway(told, 'Little space is left.');
  assert.deepEqual(unread(read), ['History is kept per host.']);
  const again = heard(read, ['Little space is left.', 'History is kept per host.']);
  assert.deepEqual(unread(again), ['History is kept per host.']);
});

test('what was over and comes back is news again', () => {
  const read = putAway(
    heard(NO_NOTICES, ['Little space is left.']),
    'Little space is left.'
  );
  const over = heard(read, []);
  assert.deepEqual(unread(over), []);
  assert.deepEqual(unread(heard(over, ['Little space is left.'])), [
    'Little space is left.'
  ]);
});

test('an answer that is none of ours says nothing', () => {
  for (const said of [undefined, null, 'text', [1, '', null]]) {
    assert.deepEqual(unread(heard(NO_NOTICES, said)), []);
  }
  assert.deepEqual(unread(heard(NO_NOTICES, ['twice', 'twice'])), ['twice']);
});
