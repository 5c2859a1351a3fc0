import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChangeStream, type Socket, type StreamState } from '../src/api/stream';
import type { Message } from '../src/model/changes';

/** The other end of the connection, and a clock that moves when told. */
class World {
  readonly sockets: FakeSocket[] = [];
  readonly states: StreamState[] = [];
  readonly delays: number[] = [];
  readonly stream: ChangeStream;
  private timer?: () => void;

  constructor() {
    this.stream = new ChangeStream({
      connect: () => {
        const socket = new FakeSocket();
        this.sockets.push(socket);
        return socket;
      },
      later: (call, delay) => {
        this.delays.push(delay);
        this.timer = call;
        return () => {
          this.timer = undefined;
        };
      },
      random: () => 1
    });
    this.stream.watchState(state => this.states.push(state));
  }

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    assert.ok(socket);
    return socket;
  }

  wake(): void {
    const timer = this.timer;
    this.timer = undefined;
    timer?.();
  }
}

class FakeSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onclose: Socket['onclose'] = null;
  onmessage: Socket['onmessage'] = null;
  readonly sent: Record<string, unknown>[] = [];
  closed = false;

  send(data: string): void {
    this.sent.push(JSON.parse(data) as Record<string, unknown>);
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.onopen?.({} as never);
  }

  lose(): void {
    this.onclose?.({} as never);
  }

  say(message: Message): void {
    this.onmessage?.({ data: JSON.stringify(message) } as never);
  }
}

const TOPIC = { topic: 'execution', project: 'p', domain: 'd', name: 'x' } as const;
const LOG = { ...TOPIC, topic: 'log', node: 'n0', attempt: 0 } as const;

test('all subscriptions share one connection, made when the first one comes', () => {
  const world = new World();
  assert.equal(world.stream.state, 'idle');
  world.stream.subscribe(TOPIC, () => undefined);
  world.stream.subscribe(LOG, () => undefined);
  world.last.open();
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.last.sent, [
    { id: 1, op: 'subscribe', ...TOPIC },
    { id: 2, op: 'subscribe', ...LOG, offset: 0 }
  ]);
});

test('after a loss it asks for what has changed since', () => {
  const world = new World();
  const heard: Message[] = [];
  world.stream.subscribe(TOPIC, message => heard.push(message));
  world.stream.subscribe(LOG, message => heard.push(message));
  world.last.open();
  world.last.say({ id: 1, type: 'snapshot', cursor: 8, items: [] });
  world.last.say({
    id: 2,
    type: 'log',
    offset: 0,
    next: 5,
    text: 'hello',
    complete: false
  });
  assert.deepEqual(world.last.sent.at(-1), { id: 2, op: 'ack', offset: 5 });
  world.last.lose();
  assert.equal(world.stream.state, 'retrying');
  world.wake();
  world.last.open();
  assert.deepEqual(world.last.sent, [
    { id: 1, op: 'subscribe', ...TOPIC, since: 8 },
    { id: 2, op: 'subscribe', ...LOG, offset: 5 }
  ]);
  assert.equal(heard.length, 2);
});

test('a cursor that is gone isn’t asked for again', () => {
  const world = new World();
  world.stream.subscribe(TOPIC, () => undefined);
  world.last.open();
  world.last.say({ id: 1, type: 'delta', cursor: 8, items: [] });
  world.last.say({ id: 1, type: 'gone', cursor: 0 });
  world.last.lose();
  world.wake();
  world.last.open();
  assert.deepEqual(world.last.sent, [{ id: 1, op: 'subscribe', ...TOPIC }]);
});

test('each failure waits longer, up to a limit; an answer starts afresh', () => {
  const world = new World();
  world.stream.subscribe(TOPIC, () => undefined);
  for (let failure = 0; failure < 9; failure++) {
    world.last.lose();
    world.wake();
  }
  assert.deepEqual(world.delays.slice(0, 3), [500, 1000, 2000]);
  assert.equal(world.delays.at(-1), 30_000);
  world.last.open();
  world.last.say({ id: 1, type: 'snapshot', cursor: 1, items: [] });
  world.last.lose();
  assert.equal(world.delays.at(-1), 500);
  assert.ok(!world.states.slice(1, -1).includes('connecting'));
});

test('a finished log and a refused topic aren’t asked for again', () => {
  const world = new World();
  world.stream.subscribe(LOG, () => undefined);
  world.stream.subscribe(TOPIC, () => undefined);
  world.last.open();
  world.last.say({
    id: 1,
    type: 'log',
    offset: 0,
    next: 2,
    text: 'ok',
    complete: true
  });
  world.last.say({ id: 2, type: 'error', code: 5, message: 'no such execution' });
  world.last.lose();
  world.wake();
  world.last.open();
  assert.deepEqual(world.last.sent, []);
});

test('text that was already heard is not heard again', () => {
  const world = new World();
  const texts: string[] = [];
  world.stream.subscribe(
    LOG,
    message => message.type === 'log' && texts.push(message.text)
  );
  world.last.open();
  world.last.say({
    id: 1,
    type: 'log',
    offset: 0,
    next: 2,
    text: 'ab',
    complete: false
  });
  world.last.say({
    id: 1,
    type: 'log',
    offset: 0,
    next: 2,
    text: 'ab',
    complete: false
  });
  assert.deepEqual(texts, ['ab']);
});

test('when nobody watches any more the connection is closed, after a moment', () => {
  const world = new World();
  const stop = world.stream.subscribe(TOPIC, () => undefined);
  world.last.open();
  stop();
  assert.deepEqual(world.last.sent.at(-1), { id: 1, op: 'unsubscribe' });
  assert.equal(world.last.closed, false);
  world.wake();
  assert.equal(world.last.closed, true);
  assert.equal(world.stream.state, 'idle');
  stop();
});

test('a new view within that moment keeps the connection', () => {
  const world = new World();
  world.stream.subscribe(TOPIC, () => undefined)();
  world.last.open();
  world.stream.subscribe(TOPIC, () => undefined);
  world.wake();
  assert.equal(world.last.closed, false);
  assert.equal(world.sockets.length, 1);
});

test('retrying now doesn’t wait, and leaves one connection', () => {
  const world = new World();
  world.stream.subscribe(TOPIC, () => undefined);
  world.last.lose();
  world.stream.retryNow();
  world.stream.retryNow();
  assert.deepEqual(
    world.sockets.map(socket => socket.closed),
    [false, true, false]
  );
  world.last.open();
  assert.equal(world.stream.state, 'open');
});
