/** Hooks for what runs inside nodes. */
import { useCallback, useEffect, useRef, useState } from 'react';
import type {
  CompiledWorkflowClosure,
  WorkflowExecutionIdentifier
} from '../api/types';
import type { Graph, GraphNode } from '../model/graph';
import { type Expansions, Insides } from '../model/inside';
import type { RunView } from '../model/run';
import { useServices } from './services';

/** The graph inside a node of a graph; undefined where there is none, or while it is on its way. */
export type InsideOf = (graph: Graph, node: GraphNode) => Graph | undefined;

/** A way to look inside nodes; of the graphs that dynamic tasks made, those that `keys` name are fetched. */
export function useInsides(
  id: WorkflowExecutionIdentifier,
  run: RunView,
  keys: readonly string[]
): InsideOf {
  const expansions = useExpansions(id, keys);
  const insides = useRef(new Insides());
  return useCallback(
    (graph, node) => insides.current.of(run, graph, node, expansions),
    [run, expansions]
  );
}

/** The graphs that `keys` (made by `expansionKey`) name, as far as they have been fetched. */
function useExpansions(
  { project, domain, name }: WorkflowExecutionIdentifier,
  keys: readonly string[]
): Expansions {
  const { client } = useServices().connection;
  const [known, setKnown] = useState<Expansions>(() => new Map());
  const missing = JSON.stringify(
    [...new Set(keys)].filter(key => key && !known.has(key)).sort()
  );
  useEffect(() => {
    const aborting = new AbortController();
    const ask = async (
      key: string
    ): Promise<[string, CompiledWorkflowClosure] | undefined> => {
      const [node] = JSON.parse(key) as [string];
      const run = { project, domain, name };
      try {
        const answer = await client.expansion(run, node, aborting.signal);
        return answer.compiled_workflow ? [key, answer.compiled_workflow] : undefined;
      } catch (error) {
        if (!aborting.signal.aborted) {
          console.warn(`Flyte: no graph of ${node}.`, (error as Error).message);
        }
        return undefined;
      }
    };
    const wanted = JSON.parse(missing) as string[];
    if (wanted.length) {
      void Promise.all(wanted.map(ask)).then(answers => {
        const found = answers.filter(each => !!each);
        if (found.length && !aborting.signal.aborted) {
          setKnown(before => new Map([...before, ...found]));
        }
      });
    }
    return () => aborting.abort();
  }, [client, project, domain, name, missing]);
  return known;
}
