/** One WebSocket to the control plane, shared by all who watch something (docs/protocol.md, section 2). */
import type { Message } from '../model/changes';

/** What to watch. */
export type Topic =
  | {
      topic: 'executions';
      project: string;
      domain: string;
      limit: number;
      phases: readonly string[];
      name: string;
    }
  | { topic: 'execution'; project: string; domain: string; name: string }
  | {
      topic: 'log';
      project: string;
      domain: string;
      name: string;
      node: string;
      attempt: number;
      /** The index of an item of an array node. */
      item?: number;
    };

/** How the connection is: not needed, being made, there, or lost and being made again. */
export type StreamState = 'idle' | 'connecting' | 'open' | 'retrying';

/** The part of a browser's WebSocket that is needed. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  send(data: string): void;
  close(): void;
}

/** What the stream needs of the outside. */
export interface Surroundings {
  connect(): Socket;
  /** Call later, in milliseconds; the answer cancels it. */
  later(call: () => void, delay: number): () => void;
  /** From 0 up to 1. */
  random(): number;
}

interface Subscription {
  id: number;
  topic: Topic;
  /** The cursor, or the byte offset of a log; undefined before the first message. */
  position?: number;
  over: boolean;
  listener: (message: Message) => void;
}

const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
/** A view that goes and another that comes at once share a connection. */
const LINGER = 2_000;

/**
 * Subscriptions that survive the connection.
 *
 * After a loss it connects again, waiting longer each time, and asks for what has changed since:
 * by cursor, and for logs by byte offset.
 */
export class ChangeStream {
  private readonly subscriptions = new Map<number, Subscription>();
  private readonly watchers = new Set<(state: StreamState) => void>();
  private socket?: Socket;
  private nextId = 1;
  private failures = 0;
  private cancelTimer?: () => void;
  private current: StreamState = 'idle';

  constructor(private readonly around: Surroundings) {}

  get state(): StreamState {
    return this.current;
  }

  /** Be told of every change of `state`; the answer stops it. */
  watchState(listener: (state: StreamState) => void): () => void {
    this.watchers.add(listener);
    return () => this.watchers.delete(listener);
  }

  /** Watch a topic, from its present state on; the answer stops it. */
  subscribe(topic: Topic, listener: (message: Message) => void): () => void {
    const subscription: Subscription = {
      id: this.nextId++,
      topic,
      over: false,
      listener
    };
    this.subscriptions.set(subscription.id, subscription);
    if (this.current === 'open') {
      this.ask(subscription);
    } else if (this.current === 'idle') {
      this.connect();
    }
    return () => this.unsubscribe(subscription);
  }

  /** Try again now instead of when the waiting is over. */
  retryNow(): void {
    if (this.current === 'retrying') {
      this.connect();
    }
  }

  /** Close everything; nobody is told anything more. */
  dispose(): void {
    this.subscriptions.clear();
    this.watchers.clear();
    this.disconnect();
  }

  private unsubscribe(subscription: Subscription): void {
    if (!this.subscriptions.delete(subscription.id)) {
      return;
    }
    if (this.current === 'open' && !subscription.over) {
      this.send({ id: subscription.id, op: 'unsubscribe' });
    }
    if (!this.subscriptions.size) {
      this.cancelTimer?.();
      this.cancelTimer = this.around.later(() => this.disconnectIfUnused(), LINGER);
    }
  }

  private connect(): void {
    this.cancelTimer?.();
    this.setState(this.failures ? 'retrying' : 'connecting');
    const before = this.socket;
    const socket = this.around.connect();
    this.socket = socket;
    before?.close();
    socket.onopen = () => {
      this.setState('open');
      this.subscriptions.forEach(subscription => this.ask(subscription));
    };
    socket.onmessage = (event: { data: string }) => this.hear(event.data);
    socket.onclose = () => this.lost(socket);
  }

  private lost(socket: Socket): void {
    if (socket !== this.socket) {
      return;
    }
    this.socket = undefined;
    if (!this.subscriptions.size) {
      this.disconnect();
      return;
    }
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.failures);
    this.failures += 1;
    this.setState('retrying');
    this.cancelTimer?.();
    // Many browsers lose the same server at once: spread their return.
    this.cancelTimer = this.around.later(
      () => this.reconnectIfUsed(),
      delay * (0.5 + this.around.random() / 2)
    );
  }

  private reconnectIfUsed(): void {
    if (this.subscriptions.size) {
      this.connect();
    } else {
      this.disconnect();
    }
  }

  private disconnectIfUnused(): void {
    if (!this.subscriptions.size) {
      this.disconnect();
    }
  }

  private disconnect(): void {
    this.cancelTimer?.();
    const socket = this.socket;
    this.socket = undefined;
    this.failures = 0;
    socket?.close();
    this.setState('idle');
  }

  private ask(subscription: Subscription): void {
    if (subscription.over) {
      return;
    }
    const { id, topic, position } = subscription;
    const since =
      topic.topic === 'log'
        ? { offset: position ?? 0 }
        : position === undefined
          ? {}
          : { since: position };
    this.send({ id, op: 'subscribe', ...topic, ...since });
  }

  private hear(data: string): void {
    const message = JSON.parse(data) as Message;
    const subscription = this.subscriptions.get(message.id);
    this.failures = 0;
    if (!subscription) {
      return;
    }
    if (message.type === 'log') {
      if (message.offset < (subscription.position ?? 0)) {
        return;
      }
      subscription.position = message.next;
      subscription.over = message.complete;
      this.send({ id: message.id, op: 'ack', offset: message.next });
    } else if (message.type === 'error') {
      subscription.over = true;
    } else {
      subscription.position = message.type === 'gone' ? undefined : message.cursor;
    }
    subscription.listener(message);
  }

  private send(frame: object): void {
    this.socket?.send(JSON.stringify(frame));
  }

  private setState(state: StreamState): void {
    if (state !== this.current) {
      this.current = state;
      this.watchers.forEach(watcher => watcher(state));
    }
  }
}
