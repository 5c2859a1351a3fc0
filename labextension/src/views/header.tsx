/** What an execution is and how it stands, with what can be done about it. */
import { redoIcon, refreshIcon, stopIcon } from '@jupyterlab/ui-components';
import React from 'react';
import type { Execution, WorkflowExecutionIdentifier } from '../api/types';
import { isOver, isRecoverable, lookOf } from '../model/phases';
import { brief, clock, elapsed } from '../model/time';
import { CommandIDs } from '../tokens';
import { ExecutionLink } from './executionLink';
import { Phase } from './phase';
import { useServices } from './services';

/** The buttons that both the page and the notebook output have. */
export function Actions(props: {
  id: WorkflowExecutionIdentifier;
  phase: string | undefined;
}): React.ReactElement {
  const { trans, commands } = useServices();
  const { project, domain, name } = props.id;
  const run = (command: string): void =>
    void commands.execute(command, { project, domain, name });
  const stoppable = !isOver(props.phase) && lookOf(props.phase) !== 'stopping';
  return (
    <>
      {stoppable && (
        <button
          className="jp-Flyte-button jp-mod-warn"
          onClick={() => run(CommandIDs.abort)}
          title={trans.__('Stop this execution')}
        >
          <stopIcon.react tag="span" width="14px" />
          {trans.__('Abort')}
        </button>
      )}
      <button
        className="jp-Flyte-button"
        onClick={() => run(CommandIDs.relaunch)}
        title={trans.__('Start the same workflow on the same inputs again')}
      >
        <refreshIcon.react tag="span" width="14px" />
        {trans.__('Relaunch')}
      </button>
      {isRecoverable(props.phase) && (
        <button
          className="jp-Flyte-button"
          onClick={() => run(CommandIDs.recover)}
          title={trans.__('Start again, taking over what has succeeded')}
        >
          <redoIcon.react tag="span" width="14px" />
          {trans.__('Recover')}
        </button>
      )}
    </>
  );
}

/** The head of the execution page. */
export function Header(props: {
  id: WorkflowExecutionIdentifier;
  execution: Execution | undefined;
  now: number;
  children?: React.ReactNode;
}): React.ReactElement {
  const { trans } = useServices();
  const { id, execution, now } = props;
  const closure = execution?.closure;
  const workflow = closure?.workflow_id ?? execution?.spec?.launch_plan;
  const over = isOver(closure?.phase);
  const facts: [string, string, string][] = [
    [trans.__('Execution'), id.name, `${id.project} / ${id.domain}`],
    [
      trans.__('Version'),
      workflow?.version.slice(0, 12) ?? '',
      workflow?.version ?? ''
    ],
    [trans.__('Started'), clock(closure?.started_at ?? closure?.created_at, now), ''],
    [trans.__('Duration'), brief(closure ? elapsed(closure, over, now) : undefined), '']
  ];
  const cause = closure?.abort_metadata?.cause;
  const origin = execution?.spec?.metadata;
  const parent = origin?.parent_node_execution;
  const before = origin?.reference_execution;
  return (
    <header className="jp-Flyte-header">
      <div className="jp-Flyte-headerRow">
        <h1 title={workflow?.name}>{workflow?.name.split('.').pop() ?? id.name}</h1>
        <Phase phase={closure?.phase} trans={trans} />
        <span className="jp-Flyte-spacer" />
        {props.children}
        {execution && <Actions id={id} phase={closure?.phase} />}
      </div>
      <dl className="jp-Flyte-facts">
        {facts
          .filter(([, value]) => value)
          .map(([label, value, title]) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd title={title}>{value}</dd>
            </div>
          ))}
        {parent?.execution_id && (
          <div>
            <dt>{trans.__('Started by node %1 of', parent.node_id)}</dt>
            <dd>
              <ExecutionLink id={parent.execution_id} />
            </dd>
          </div>
        )}
        {before && (
          <div>
            <dt>
              {origin.mode === 'RECOVERED'
                ? trans.__('Recovers')
                : trans.__('Relaunch of')}
            </dt>
            <dd>
              <ExecutionLink id={before} />
            </dd>
          </div>
        )}
        {cause && (
          <div>
            <dt>{trans.__('Aborted because')}</dt>
            <dd>{cause}</dd>
          </div>
        )}
      </dl>
    </header>
  );
}
