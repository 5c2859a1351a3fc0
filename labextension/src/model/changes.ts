/** What the control plane says over the WebSocket (docs/protocol.md, section 2). */
import type { Execution, NodeExecution, TaskExecution } from '../api/types';

/** One changed thing; it replaces what was known under the same id. */
export type Item =
  | { kind: 'execution'; value: Execution }
  | { kind: 'node_execution'; value: NodeExecution }
  | { kind: 'task_execution'; value: TaskExecution };

/** Items that replace everything known (a snapshot), or change it (a delta). */
export interface ItemsMessage {
  id: number;
  type: 'snapshot' | 'delta';
  cursor: number;
  items: Item[];
}

/** A stretch of a log, from byte `offset` to byte `next`. */
export interface LogMessage {
  id: number;
  type: 'log';
  offset: number;
  next: number;
  text: string;
  complete: boolean;
}

/** The cursor was too old; a snapshot follows. */
export interface GoneMessage {
  id: number;
  type: 'gone';
  cursor: number;
}

/** The subscription failed, with a gRPC code. */
export interface ErrorMessage {
  id: number;
  type: 'error';
  code: number;
  message: string;
}

export type Message = ItemsMessage | LogMessage | GoneMessage | ErrorMessage;
