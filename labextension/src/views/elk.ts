/** elk in a worker, so that a large graph never holds up the notebook. */
import type { ELK } from 'elkjs/lib/elk-api';
import type { Graph } from '../model/graph';
import { fromElk, layered, type Placed, toElk } from '../model/layout';

let engine: Promise<ELK> | undefined;

/** The layout of a graph; elk's where a worker can be had, else a plainer one of our own. */
export async function layOut(graph: Graph): Promise<Placed> {
  try {
    engine ??= load();
    return fromElk(await (await engine).layout(toElk(graph)));
  } catch (error) {
    console.warn(
      'Flyte: elk could not lay the graph out, a plainer layout is shown.',
      error
    );
    return layered(graph);
  }
}

async function load(): Promise<ELK> {
  const { default: Engine } = await import('elkjs/lib/elk-api');
  return new Engine({
    workerFactory: () =>
      new Worker(new URL('elkjs/lib/elk-worker.min.js', import.meta.url))
  });
}
