/** The sidebar's list of executions: live, the newest first. */
import { FilterBox } from '@jupyterlab/ui-components';
import React, { useEffect, useMemo, useRef, useState } from 'react';
import type { Execution } from '../api/types';
import {
  type ExecutionsView,
  foldList,
  keyOf,
  NO_EXECUTIONS,
  type Query,
  withPage
} from '../model/executions';
import { isOver, PHASE_GROUPS, type PhaseGroup } from '../model/phases';
import { brief, clock, elapsed } from '../model/time';
import { CommandIDs } from '../tokens';
import { Connection } from './connection';
import { useNow } from './live';
import { NoticeLines } from './notices';
import { Phase } from './phase';
import { useServices } from './services';
import { destination } from './tabs';

/** How long somebody may be typing before the server is asked, in milliseconds. */
const TYPING = 250;

/** The list with its filters; it listens only while `active`. */
export function ExecutionList({ active }: { active: boolean }): React.ReactElement {
  const { trans } = useServices();
  const place = usePlace();
  const [group, setGroup] = useState<PhaseGroup>('all');
  const name = useSettled(useState(''));
  const query = useMemo<Query>(
    () => ({
      project: place.project,
      domain: place.domain,
      phases: PHASE_GROUPS[group],
      name: name.settled
    }),
    [place, group, name.settled]
  );
  const list = useExecutions(query, place.pageSize, active);
  const { rows, known } = list.view;
  const running = rows.some(row => !isOver(row.closure?.phase));
  const now = useNow(active && running);
  return (
    <div className="jp-Flyte-sidebar">
      <div className="jp-Flyte-filters">
        <FilterBox
          placeholder={trans.__('Filter by name')}
          updateFilter={(_, text) => name.set(text ?? '')}
          useFuzzyFilter={false}
          caseSensitive={false}
          disabled={false}
          showIcon
        />
        <select
          aria-label={trans.__('Filter by phase')}
          value={group}
          onChange={event => setGroup(event.target.value as PhaseGroup)}
        >
          <option value="all">{trans.__('All phases')}</option>
          <option value="active">{trans.__('Running')}</option>
          <option value="succeeded">{trans.__('Succeeded')}</option>
          <option value="failed">{trans.__('Failed')}</option>
          <option value="aborted">{trans.__('Aborted')}</option>
        </select>
      </div>
      <Connection />
      <NoticeLines />
      {list.problem && (
        <p className="jp-Flyte-note" role="alert">
          {list.problem}
        </p>
      )}
      {!known && !list.problem && <Skeleton />}
      {known && !rows.length && (
        <Nothing filtered={group !== 'all' || name.settled !== ''} />
      )}
      {rows.length > 0 && <Rows rows={rows} now={now} />}
      {list.view.more && (
        <button className="jp-Flyte-button jp-Flyte-more" onClick={list.loadMore}>
          {trans.__('Load more')}
        </button>
      )}
    </div>
  );
}

/** The rows: one stop of the Tab key, arrow keys inside. */
function Rows(props: { rows: readonly Execution[]; now: number }): React.ReactElement {
  const { trans, commands } = useServices();
  const { rows, now } = props;
  const [focused, setFocused] = useState('');
  const list = useRef<HTMLUListElement>(null);
  const at = Math.max(
    0,
    rows.findIndex(row => keyOf(row.id) === focused)
  );
  const move = (event: React.KeyboardEvent): void => {
    const to = destination(event.key, at, rows.length);
    if (to !== undefined) {
      event.preventDefault();
      setFocused(keyOf(rows[to]?.id));
      list.current?.querySelectorAll<HTMLElement>('button')[to]?.focus();
    }
  };
  const open = (row: Execution): void => {
    if (row.id) {
      const { project, domain, name } = row.id;
      void commands.execute(CommandIDs.openExecution, { project, domain, name });
    }
  };
  return (
    <ul
      className="jp-Flyte-rows"
      ref={list}
      onKeyDown={move}
      aria-label={trans.__('Executions')}
    >
      {rows.map((row, index) => (
        <li key={keyOf(row.id)}>
          <button
            tabIndex={index === at ? 0 : -1}
            onFocus={() => setFocused(keyOf(row.id))}
            onClick={() => open(row)}
          >
            <Row row={row} now={now} />
          </button>
        </li>
      ))}
    </ul>
  );
}

function Row(props: { row: Execution; now: number }): React.ReactElement {
  const { trans } = useServices();
  const { id, spec, closure } = props.row;
  const workflow = closure?.workflow_id?.name ?? spec?.launch_plan?.name ?? '';
  return (
    <>
      <span className="jp-Flyte-rowTop">
        <span className="jp-Flyte-rowName" title={workflow}>
          {workflow.split('.').pop()}
        </span>
        <span className="jp-Flyte-faint">
          {clock(closure?.started_at ?? closure?.created_at, props.now)}
        </span>
      </span>
      <span className="jp-Flyte-rowTop">
        <Phase phase={closure?.phase} trans={trans} />
        <span className="jp-Flyte-rowId" title={id?.name}>
          {id?.name}
        </span>
        <span className="jp-Flyte-faint">
          {brief(elapsed(closure ?? {}, isOver(closure?.phase), props.now))}
        </span>
      </span>
    </>
  );
}

function Nothing({ filtered }: { filtered: boolean }): React.ReactElement {
  const { trans } = useServices();
  return filtered ? (
    <div className="jp-Flyte-empty">
      <h2>{trans.__('No execution fits the filter')}</h2>
    </div>
  ) : (
    <div className="jp-Flyte-empty">
      <h2>{trans.__('Nothing has run yet')}</h2>
      <p>{trans.__('Launch a workflow from a notebook, and it appears here:')}</p>
      <pre>{'%load_ext flyte_jupyter\n%flyte run my_workflow --x 1'}</pre>
    </div>
  );
}

function Skeleton(): React.ReactElement {
  return (
    <div aria-hidden="true">
      {[0, 1, 2].map(index => (
        <div key={index} className="jp-Flyte-skeleton" />
      ))}
    </div>
  );
}

/** Where to look, as the settings say now. */
function usePlace(): { project: string; domain: string; pageSize: number } {
  const { connection } = useServices();
  const [place, setPlace] = useState(connection.place);
  useEffect(() => {
    setPlace(connection.place);
    return connection.onPlaceChanged(() => setPlace(connection.place));
  }, [connection]);
  return place;
}

/** A text, and the same text once nobody has changed it for a moment. */
function useSettled([text, set]: [string, (text: string) => void]): {
  settled: string;
  set(text: string): void;
} {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text.trim()), TYPING);
    return () => clearTimeout(timer);
  }, [text]);
  return { settled, set };
}

function useExecutions(
  query: Query,
  pageSize: number,
  active: boolean
): { view: ExecutionsView; problem?: string; loadMore(): void } {
  const { client, stream } = useServices().connection;
  const [view, setView] = useState(NO_EXECUTIONS);
  const [problem, setProblem] = useState<string>();
  useEffect(() => setView(NO_EXECUTIONS), [query]);
  useEffect(() => {
    if (!active) {
      return;
    }
    const topic = { topic: 'executions', limit: pageSize, ...query } as const;
    return stream.subscribe(topic, message => {
      if (message.type === 'snapshot' || message.type === 'delta') {
        setProblem(undefined);
        setView(known => foldList(known, message, query, pageSize));
      } else if (message.type === 'error') {
        setProblem(message.message);
      }
    });
  }, [stream, query, pageSize, active]);
  const loadMore = (): void => {
    // What has come in at the top since only makes the pages overlap, which does no harm.
    const token = String(view.rows.length);
    client
      .executions({ ...query, limit: pageSize, filters: filtersOf(query), token })
      .then(page =>
        setView(known => withPage(known, page.executions, page.token !== '', query))
      )
      .catch((error: Error) => setProblem(error.message));
  };
  return { view, problem, loadMore };
}

/** The query in Flyte's filter language. */
function filtersOf(query: Query): string {
  return [
    query.phases.length ? `value_in(phase,${query.phases.join(';')})` : '',
    query.name ? `contains(search,${query.name})` : ''
  ]
    .filter(Boolean)
    .join('+');
}
