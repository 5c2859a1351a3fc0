/** Hooks that keep a view in step with the control plane while somebody looks at it. */
import { useEffect, useState } from 'react';
import type { StreamState } from '../api/stream';
import type { Identifier, WorkflowExecutionIdentifier } from '../api/types';
import { graphOf } from '../model/drawing';
import { type Graph, graphOfNodes } from '../model/graph';
import type { Placed } from '../model/layout';
import { foldMessage, NOTHING_YET, type RunView } from '../model/run';
import { layOut } from './elk';
import { useServices } from './services';

/** The time in milliseconds, renewed each second while `ticking`. */
export function useNow(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) {
      return;
    }
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}

/** The state of the one connection. */
export function useStreamState(): StreamState {
  const { stream } = useServices().connection;
  const [state, setState] = useState(stream.state);
  useEffect(() => {
    setState(stream.state);
    return stream.watchState(setState);
  }, [stream]);
  return state;
}

/** One execution, live while `active`; `problem` is why it can't be shown. */
export function useRun(
  { project, domain, name }: WorkflowExecutionIdentifier,
  active: boolean
): { run: RunView; problem?: string } {
  const { stream } = useServices().connection;
  const [run, setRun] = useState(NOTHING_YET);
  const [problem, setProblem] = useState<string>();
  useEffect(() => {
    if (!active) {
      return;
    }
    return stream.subscribe({ topic: 'execution', project, domain, name }, message => {
      if (message.type === 'snapshot' || message.type === 'delta') {
        setProblem(undefined);
        setRun(view => foldMessage(view, message));
      } else if (message.type === 'error') {
        setProblem(message.message);
      }
    });
  }, [stream, project, domain, name, active]);
  return { run, problem };
}

/** The graph of a run; boxes without arrows if its workflow can't be read. */
export function useGraph(run: RunView): Graph | undefined {
  const { client } = useServices().connection;
  const [graph, setGraph] = useState<Graph>();
  const [unreadable, setUnreadable] = useState(false);
  const id = run.execution?.closure?.workflow_id;
  const key = id ? JSON.stringify([id.project, id.domain, id.name, id.version]) : '';
  useEffect(() => {
    if (!key) {
      return;
    }
    const [project, domain, name, version] = JSON.parse(key) as string[];
    const aborting = new AbortController();
    const wanted = { project, domain, name, version } as Identifier;
    client.workflow(wanted, aborting.signal).then(
      workflow => setGraph(graphOf(workflow.closure?.compiled_workflow)),
      () => setUnreadable(!aborting.signal.aborted)
    );
    return () => aborting.abort();
  }, [client, key]);
  return graph ?? (unreadable ? graphOfNodes(run.nodes.values()) : undefined);
}

/** Where the graph's boxes stand; undefined until that is known. */
export function useLayout(graph: Graph | undefined): Placed | undefined {
  const [placed, setPlaced] = useState<{ graph: Graph; placed: Placed }>();
  useEffect(() => {
    let wanted = true;
    if (graph) {
      void layOut(graph).then(result => {
        if (wanted) {
          setPlaced({ graph, placed: result });
        }
      });
    }
    return () => {
      wanted = false;
    };
  }, [graph]);
  return placed && placed.graph === graph ? placed.placed : undefined;
}

/** What a request answered, asked again whenever `key` changes. */
export function useAnswer<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>
): { answer?: T; problem?: string } {
  const [state, setState] = useState<{ key: string; answer?: T; problem?: string }>();
  useEffect(() => {
    const aborting = new AbortController();
    ask(aborting.signal).then(
      answer => !aborting.signal.aborted && setState({ key, answer }),
      (error: Error) =>
        !aborting.signal.aborted && setState({ key, problem: error.message })
    );
    return () => aborting.abort();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `key` says what `ask` asks
  }, [key]);
  // An older answer stays on screen while a newer one of the same thing is on its way.
  return state ?? {};
}
