/** The items of an array node by phase, each one's log a click away. */
import React, { useEffect, useState } from 'react';
import type {
  ExternalResourceInfo,
  TaskExecution,
  WorkflowExecutionIdentifier
} from '../api/types';
import { type ItemGroup, itemGroups } from '../model/items';
import { isOver, lookOf } from '../model/phases';
import { AttemptPicker } from './attempts';
import { cacheText } from './cacheFact';
import { ExecutionLink } from './executionLink';
import { useAnswer } from './live';
import { Log } from './logs';
import { Phase } from './phase';
import { useServices } from './services';

/** How often a list that changes is asked for again, in milliseconds. */
const AGAIN = 2000;

interface ItemsProps {
  id: WorkflowExecutionIdentifier;
  node: string;
  /** The task execution that stands for all items. */
  attempt: TaskExecution | undefined;
  active: boolean;
}

/** The items, or the log of one of them. */
export function Items(props: ItemsProps): React.ReactElement {
  const { trans, connection } = useServices();
  const { attempt, active } = props;
  const [chosen, setChosen] = useState<ExternalResourceInfo>();
  const [picked, setPicked] = useState<number>();
  const over = isOver(attempt?.closure?.phase);
  // Only the counts are told as they change: the list is asked for.
  const turn = useTurns(active && !over);
  const key = JSON.stringify([attempt?.id, attempt?.closure?.phase, turn]);
  const { answer, problem } = useAnswer(key, async signal =>
    attempt?.id ? itemGroups(await connection.client.attempt(attempt.id, signal)) : []
  );
  if (chosen) {
    return (
      <div className="jp-Flyte-itemLog">
        <div className="jp-Flyte-detailsHead">
          <button
            className="jp-Flyte-link"
            onClick={() => {
              setChosen(undefined);
              setPicked(undefined);
            }}
          >
            {trans.__('All items')}
          </button>
          <strong>{trans.__('Item %1', chosen.index)}</strong>
          <Phase phase={chosen.phase} trans={trans} />
          <AttemptPicker
            attempts={Array.from({ length: chosen.retry_attempt + 1 }, (_, at) => at)}
            picked={picked ?? chosen.retry_attempt}
            onPick={setPicked}
          />
        </div>
        <Log
          key={`${chosen.index}/${picked ?? chosen.retry_attempt}`}
          id={props.id}
          node={props.node}
          attempt={picked ?? chosen.retry_attempt}
          item={chosen.index}
          active={active}
        />
      </div>
    );
  }
  if (problem) {
    return <p className="jp-Flyte-note">{problem}</p>;
  }
  if (!answer?.length) {
    return (
      <p className="jp-Flyte-note">
        {answer ? trans.__('No item has begun yet.') : trans.__('Loading …')}
      </p>
    );
  }
  return (
    <>
      {answer.map(group => (
        <Group key={group.phase} group={group} onChoose={setChosen} />
      ))}
    </>
  );
}

/** The items of one phase, folded away when all is well with them. */
function Group(props: {
  group: ItemGroup;
  onChoose(item: ExternalResourceInfo): void;
}): React.ReactElement {
  const { trans } = useServices();
  const { phase, items, count } = props.group;
  return (
    <details
      className="jp-Flyte-items"
      open={lookOf(phase) !== 'succeeded' || count <= 12}
    >
      <summary>
        <Phase phase={phase} trans={trans} />
        <span className="jp-Flyte-faint">
          {' '}
          {trans._n('%1 item', '%1 items', count)}
        </span>
      </summary>
      <table className="jp-Flyte-table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Item')}</th>
            <th scope="col">{trans.__('Attempt')}</th>
            <th scope="col">{trans.__('Remarks')}</th>
            <th scope="col">{trans.__('Log')}</th>
          </tr>
        </thead>
        <tbody>
          {items.map(item => (
            <tr key={item.index}>
              <th scope="row">{item.index}</th>
              <td>{item.retry_attempt + 1}</td>
              <td>
                {cacheText(trans, item.cache_status)}
                <ExecutionLink id={item.workflow_node_metadata?.execution_id} />
              </td>
              <td>
                {!item.workflow_node_metadata && (
                  <button
                    className="jp-Flyte-link"
                    aria-label={trans.__('Log of item %1', item.index)}
                    onClick={() => props.onChoose(item)}
                  >
                    {trans.__('Log')}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {count > items.length && (
        <p className="jp-Flyte-note">
          {trans.__('Only the first %1 are listed here.', items.length)}
        </p>
      )}
    </details>
  );
}

/** A number that grows while `turning`. */
function useTurns(turning: boolean): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!turning) {
      return;
    }
    const timer = setInterval(() => setTurn(count => count + 1), AGAIN);
    return () => clearInterval(timer);
  }, [turning]);
  return turn;
}
