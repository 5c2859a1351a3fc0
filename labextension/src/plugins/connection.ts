/** Provides the way to the control plane, and the place to look in, from the settings. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { FlyteClient } from '../api/client';
import { ChangeStream, type Socket } from '../api/stream';
import { IFlyteConnection, type Place, SETTINGS_ID } from '../tokens';

const DEFAULT_PLACE: Place = {
  project: 'flytesnacks',
  domain: 'development',
  pageSize: 50
};

class FlyteConnection implements IFlyteConnection {
  readonly client: FlyteClient;
  readonly stream: ChangeStream;
  private readonly listeners = new Set<() => void>();
  private current = DEFAULT_PLACE;

  constructor(settings: ServerConnection.ISettings) {
    this.client = new FlyteClient(settings);
    this.stream = new ChangeStream({
      connect: () => openSocket(settings),
      later: (call, delay) => {
        const timer = setTimeout(call, delay);
        return () => clearTimeout(timer);
      },
      random: Math.random
    });
  }

  get place(): Place {
    return this.current;
  }

  set place(place: Place) {
    this.current = place;
    this.listeners.forEach(listener => listener());
  }

  onPlaceChanged(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

function openSocket(settings: ServerConnection.ISettings): Socket {
  const url = URLExt.join(settings.wsUrl, 'flyte-jupyter/x/v1/events');
  const token =
    settings.appendToken && settings.token
      ? URLExt.objectToQueryString({ token: settings.token })
      : '';
  return new settings.WebSocket(url + token);
}

function placeOf(settings: ISettingRegistry.ISettings): Place {
  const { project, domain, pageSize } = settings.composite;
  return {
    project: typeof project === 'string' && project ? project : DEFAULT_PLACE.project,
    domain: typeof domain === 'string' && domain ? domain : DEFAULT_PLACE.domain,
    pageSize: typeof pageSize === 'number' ? pageSize : DEFAULT_PLACE.pageSize
  };
}

const plugin: JupyterFrontEndPlugin<IFlyteConnection> = {
  id: SETTINGS_ID,
  description: 'Connects to the Flyte control plane through the Jupyter server.',
  autoStart: true,
  provides: IFlyteConnection,
  optional: [ISettingRegistry],
  activate: (app: JupyterFrontEnd, registry: ISettingRegistry | null) => {
    const connection = new FlyteConnection(app.serviceManager.serverSettings);
    registry?.load(SETTINGS_ID).then(
      settings => {
        connection.place = placeOf(settings);
        settings.changed.connect(() => {
          connection.place = placeOf(settings);
        });
      },
      error =>
        console.error('Flyte: the settings can’t be read, defaults are used.', error)
    );
    return connection;
  }
};

export default plugin;
