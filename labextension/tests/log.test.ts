import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogLines } from '../src/model/log';

const ESC = '\u001b';

function read(...chunks: string[]): LogLines {
  const lines = new LogLines();
  chunks.forEach(chunk => lines.append(chunk));
  return lines;
}

test('a progress bar is its last state', () => {
  assert.equal(read('10%\r', '55%\r100%\ndone\n').text(), '100%\ndone');
});

test('a line that ends in carriage return and newline stays', () => {
  assert.equal(read('one\r\n', 'two\r', '\nthree').text(), 'one\ntwo\nthree');
});

test('colours are spans, and plain text has no style', () => {
  const [line] = read(`a ${ESC}[1;31mred${ESC}[0m b`).slice(0, 1);
  assert.deepEqual(line, [
    { text: 'a ', style: {} },
    { text: 'red', style: { bold: true, colour: 1 } },
    { text: ' b', style: {} }
  ]);
});

test('however the text is cut, the lines are the same', () => {
  const whole = `x${ESC}[38;5;196mbright${ESC}[39m\r${ESC}[Kafter\n${ESC}]0;title\u0007end`;
  const expected = read(whole);
  for (let at = 1; at < whole.length; at++) {
    const cut = read(whole.slice(0, at), whole.slice(at));
    assert.equal(cut.text(), expected.text(), `cut at ${at}`);
    assert.equal(cut.count, expected.count);
  }
  assert.equal(expected.text(), 'after\nend');
});

test('the oldest lines go first, and are counted', () => {
  const lines = new LogLines(100);
  lines.append(Array.from({ length: 250 }, (_, index) => `line ${index}\n`).join(''));
  assert.ok(lines.count <= 100);
  assert.equal(lines.dropped + lines.count, 250);
  assert.equal(lines.text().split('\n').at(-1), 'line 249');
});

test('a slice holds the unfinished last line only when asked for', () => {
  const lines = read('a\nb\nc');
  assert.equal(lines.count, 3);
  assert.equal(lines.slice(0, 2).length, 2);
  assert.equal(lines.slice(1, 3).length, 2);
});
