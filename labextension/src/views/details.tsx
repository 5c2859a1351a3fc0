/** Everything about an execution, while no node of it is chosen. */
import React, { useState } from 'react';
import type {
  ExecutionError,
  LiteralMap,
  WorkflowExecutionIdentifier
} from '../api/types';
import type { RunView } from '../model/run';
import { Failure } from './failure';
import { useAnswer } from './live';
import { useServices } from './services';
import { type Tab, Tabs } from './tabs';
import { Values } from './values';

/** Inputs, outputs and error of the whole execution. */
export function ExecutionDetails(props: {
  id: WorkflowExecutionIdentifier;
  run: RunView;
}): React.ReactElement {
  const { trans, connection } = useServices();
  const [tab, setTab] = useState('');
  const closure = props.run.execution?.closure;
  const data = useAnswer(JSON.stringify([props.id, closure?.phase]), signal =>
    connection.client.executionData(props.id, signal)
  );
  const tabs: Tab[] = dataTabs(trans.__.bind(trans), data);
  const error = closure?.error;
  if (error) {
    tabs.push(errorTab(trans.__('Error'), error, ''));
  }
  return (
    <section className="jp-Flyte-details" aria-label={trans.__('Execution')}>
      <Tabs
        tabs={tabs}
        chosen={tab || (error ? 'error' : 'inputs')}
        onChoose={setTab}
        label={trans.__('About the execution')}
      />
    </section>
  );
}

/** The tab with why something failed. `cellId` is the cell of the task, empty when not known. */
export function errorTab(label: string, error: ExecutionError, cellId: string): Tab {
  return {
    id: 'error',
    label,
    content: () => <Failure error={error} cellId={cellId} />
  };
}

/** What went in and what came out. */
interface Data {
  full_inputs?: LiteralMap | null;
  full_outputs?: LiteralMap | null;
}

/** The tabs of inputs and outputs. */
export function dataTabs(
  __: (text: string) => string,
  { answer, problem }: { answer?: Data; problem?: string }
): Tab[] {
  const table = (values: Data['full_inputs'], nothing: string): React.ReactElement => {
    if (problem) {
      return <p className="jp-Flyte-note">{problem}</p>;
    }
    return <Values values={values} nothing={answer ? nothing : __('Loading …')} />;
  };
  return [
    {
      id: 'inputs',
      label: __('Inputs'),
      content: () => table(answer?.full_inputs, __('No inputs.'))
    },
    {
      id: 'outputs',
      label: __('Outputs'),
      content: () => table(answer?.full_outputs, __('No outputs yet.'))
    }
  ];
}
