/** What every view may use: the connection, translated text, and commands. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { createContext, useContext } from 'react';
import type { IFlyteConnection } from '../tokens';

export interface Services {
  connection: IFlyteConnection;
  trans: TranslationBundle;
  commands: CommandRegistry;
}

const ServicesContext = createContext<Services | undefined>(undefined);

export const ServicesProvider = ServicesContext.Provider;

/** The services of the widget that this view is in. */
export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (!services) {
    throw new Error('A Flyte view is used outside a ServicesProvider.');
  }
  return services;
}
