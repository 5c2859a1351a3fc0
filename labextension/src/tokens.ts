/** What the plugins share: tokens, command ids, and the shapes behind them. */
import { Token } from '@lumino/coreutils';
import type { FlyteClient } from './api/client';
import type { ChangeStream } from './api/stream';

/** Where executions are looked for; from the settings. */
export interface Place {
  project: string;
  domain: string;
  pageSize: number;
}

/** The way to the control plane. */
export interface IFlyteConnection {
  /** Requests and answers. */
  readonly client: FlyteClient;
  /** Changes as they happen. */
  readonly stream: ChangeStream;
  /** Where to look now; `placeChanged` tells of another one. */
  readonly place: Place;
  /** Be told of a change of place; the answer stops it. */
  onPlaceChanged(listener: () => void): () => void;
}

export const IFlyteConnection = new Token<IFlyteConnection>(
  'flyte-jupyter:IFlyteConnection',
  'The way to the Flyte control plane: requests, and a stream of changes.'
);

/** The commands of this extension. Their arguments are described in the commands themselves. */
export const CommandIDs = {
  showExecutions: 'flyte:show-executions',
  openExecution: 'flyte:open-execution',
  abort: 'flyte:abort-execution',
  relaunch: 'flyte:relaunch-execution',
  recover: 'flyte:recover-execution',
  goToCell: 'flyte:go-to-cell'
} as const;

/** The name under which our strings are translated, and our plugins' common settings. */
export const TRANSLATION_DOMAIN = 'flyte_jupyter';
export const SETTINGS_ID = 'flyte-jupyter:plugin';
