/** A gate's question, and the way to answer it. */
import React, { useState } from 'react';
import type {
  Literal,
  LiteralMap,
  Signal,
  WorkflowExecutionIdentifier
} from '../api/types';
import { type Answerable, answerable, answerOf } from '../model/answers';
import type { Gate } from '../model/graph';
import { isOver } from '../model/phases';
import { useAnswer } from './live';
import { useServices } from './services';
import { Values } from './values';

interface GateProps {
  id: WorkflowExecutionIdentifier;
  gate: Gate;
  /** The node's. */
  phase: string;
  /** What is to be approved. */
  inputs: LiteralMap | null | undefined;
}

/** What the gate waits for; buttons or a field for the answer while it waits; the answer once it has one. */
export function GatePanel(props: GateProps): React.ReactElement {
  const { trans, connection } = useServices();
  const { id, gate, phase } = props;
  const [sent, setSent] = useState(0);
  const key = JSON.stringify([id.name, gate.signal, phase, sent]);
  const { answer, problem } = useAnswer(key, async signal => ({
    signal: await connection.client.signal(id, gate.signal, signal)
  }));
  if (problem) {
    return (
      <p className="jp-Flyte-note" role="alert">
        {problem}
      </p>
    );
  }
  if (!answer) {
    return <p className="jp-Flyte-note">{trans.__('Loading …')}</p>;
  }
  const given = answer.signal?.value;
  if (!answer.signal) {
    return (
      <p className="jp-Flyte-note">{trans.__('The gate has not been reached yet.')}</p>
    );
  }
  const waits = !given && !isOver(phase);
  return (
    <div className="jp-Flyte-gate">
      {waits && (
        <p>
          {gate.kind === 'approval'
            ? trans.__('Waits for the approval “%1”.', gate.signal)
            : trans.__('Waits for the value “%1”.', gate.signal)}
        </p>
      )}
      {waits && (
        <Question
          {...props}
          signal={answer.signal}
          onSent={() => setSent(count => count + 1)}
        />
      )}
      {given && <Values values={{ literals: { [gate.signal]: given } }} nothing="" />}
      {!given && !waits && (
        <p className="jp-Flyte-note">{trans.__('Nobody has answered.')}</p>
      )}
      {gate.kind === 'approval' && <Values values={props.inputs} nothing="" />}
    </div>
  );
}

/** Buttons for yes and no, a field for anything else that can be typed in. */
function Question(
  props: GateProps & { signal: Signal; onSent(): void }
): React.ReactElement {
  const { trans, connection } = useServices();
  const { id, gate, signal } = props;
  const type = answerable(signal.type);
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const send = async (value: Literal | undefined): Promise<void> => {
    if (!value) {
      setProblem(trans.__('This is no value of the type %1.', words(type)));
      return;
    }
    setBusy(true);
    setProblem('');
    try {
      await connection.client.setSignal(id, gate.signal, value);
      props.onSent();
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  if (!type) {
    return (
      <p className="jp-Flyte-note">
        {trans.__('A value of this type can’t be typed in: give it through the API.')}
      </p>
    );
  }
  return (
    <>
      {type === 'BOOLEAN' ? (
        <div className="jp-Flyte-answers">
          {[true, false].map(value => (
            <button
              key={String(value)}
              className={value ? 'jp-Flyte-button' : 'jp-Flyte-button jp-mod-warn'}
              disabled={busy}
              onClick={() => void send(answerOf(type, String(value)))}
            >
              {choice(trans.__.bind(trans), gate, value)}
            </button>
          ))}
        </div>
      ) : (
        <Field
          label={trans.__('%1 (%2)', gate.signal, words(type))}
          busy={busy}
          onSend={text => void send(answerOf(type, text))}
        />
      )}
      {problem && (
        <p className="jp-Flyte-problem" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}

function Field(props: {
  label: string;
  busy: boolean;
  onSend(text: string): void;
}): React.ReactElement {
  const { trans } = useServices();
  const [text, setText] = useState('');
  return (
    <form
      className="jp-Flyte-answers"
      onSubmit={event => {
        event.preventDefault();
        props.onSend(text);
      }}
    >
      <label>
        {props.label}{' '}
        <input
          className="jp-mod-styled"
          value={text}
          autoComplete="off"
          onChange={event => setText(event.target.value)}
        />
      </label>
      <button className="jp-Flyte-button" type="submit" disabled={props.busy}>
        {trans.__('Send')}
      </button>
    </form>
  );
}

function choice(__: (text: string) => string, gate: Gate, value: boolean): string {
  if (gate.kind === 'approval') {
    return value ? __('Approve') : __('Reject');
  }
  return value ? __('True') : __('False');
}

function words(type: Answerable | undefined): string {
  const names = { BOOLEAN: 'bool', INTEGER: 'int', FLOAT: 'float', STRING: 'str' };
  return type ? names[type] : '';
}
