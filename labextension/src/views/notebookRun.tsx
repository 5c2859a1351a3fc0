/** An execution in a notebook's output: live when the notebook is trusted, else the picture saved with it. */
import { launchIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { Suspense, useMemo } from 'react';
import { graphOfSnapshot } from '../model/graph';
import type { SavedRun } from '../model/saved';
import { isOver } from '../model/phases';
import { brief, elapsed, moment } from '../model/time';
import { CommandIDs } from '../tokens';
import { statesOfRun, statesOfSnapshot } from './boxes';
import { Actions } from './header';
import { useGraph, useLayout, useNow, useRun } from './live';
import { Phase } from './phase';
import { Picture } from './picture';
import { useServices } from './services';

const Dag = React.lazy(() => import('./dag'));
/** Pixels: the tallest picture in a notebook, and the room around the graph. */
const TALLEST = 420;
const AROUND = 16;

/** What was saved, and nothing else: no request is made. */
export function SavedOutput(props: {
  saved: SavedRun;
  trans: TranslationBundle;
  note: string;
}): React.ReactElement {
  const { saved, trans, note } = props;
  const graph = useMemo(() => graphOfSnapshot(saved.nodes), [saved]);
  const states = useMemo(() => statesOfSnapshot(saved.nodes), [saved]);
  const [started, updated] = [moment(saved.startedAt), moment(saved.updatedAt)];
  const took =
    started !== undefined && updated !== undefined
      ? (updated - started) / 1000
      : undefined;
  return (
    <div className="jp-Flyte-output">
      <OutputHead saved={saved} phase={saved.phase} duration={took} trans={trans} />
      <Picture graph={graph} states={states} trans={trans} />
      {note && <p className="jp-Flyte-note">{note}</p>}
    </div>
  );
}

/** The same, kept up to date by the control plane while `active`. */
export function LiveOutput(props: {
  saved: SavedRun;
  active: boolean;
}): React.ReactElement {
  const { trans, commands } = useServices();
  const { saved, active } = props;
  const { run, problem } = useRun(saved.id, active);
  const closure = run.execution?.closure;
  const over = isOver(closure?.phase);
  const now = useNow(active && !!closure && !over);
  const graph = useGraph(run);
  const placed = useLayout(graph);
  const states = useMemo(
    () => (graph ? statesOfRun(graph, run, now) : new Map()),
    [graph, run, now]
  );
  if (!closure || !graph || !placed) {
    const note = problem
      ? trans.__(
          'The state saved with the notebook; the control plane says: %1',
          problem
        )
      : '';
    return <SavedOutput saved={saved} trans={trans} note={note} />;
  }
  const { project, domain, name } = saved.id;
  const open = (): void =>
    void commands.execute(CommandIDs.openExecution, { project, domain, name });
  const picture = <Picture graph={graph} states={states} trans={trans} />;
  return (
    <div className="jp-Flyte-output">
      <OutputHead
        saved={saved}
        phase={closure.phase}
        duration={elapsed(closure, over, now)}
        trans={trans}
      >
        <button
          className="jp-Flyte-button"
          onClick={open}
          title={trans.__('Open the page of this execution')}
        >
          <launchIcon.react tag="span" width="14px" />
          {trans.__('Open')}
        </button>
        <Actions id={saved.id} phase={closure.phase} />
      </OutputHead>
      <div
        className="jp-Flyte-outputDag"
        style={{
          aspectRatio: `${placed.width} / ${placed.height}`,
          maxHeight: Math.min(TALLEST, placed.height + 2 * AROUND)
        }}
      >
        <Suspense fallback={picture}>
          <Dag
            graph={graph}
            placed={placed}
            states={states}
            onChoose={node => node && open()}
            wheelZooms={false}
          />
        </Suspense>
      </div>
    </div>
  );
}

function OutputHead(props: {
  saved: SavedRun;
  phase: string;
  duration: number | undefined;
  trans: TranslationBundle;
  children?: React.ReactNode;
}): React.ReactElement {
  const { saved } = props;
  return (
    <div className="jp-Flyte-outputHead">
      <strong title={saved.workflow}>{saved.workflow.split('.').pop()}</strong>
      <Phase phase={props.phase} trans={props.trans} />
      <span className="jp-Flyte-faint">{brief(props.duration)}</span>
      <span className="jp-Flyte-faint jp-Flyte-rowId">{saved.id.name}</span>
      <span className="jp-Flyte-spacer" />
      {props.children}
    </div>
  );
}
