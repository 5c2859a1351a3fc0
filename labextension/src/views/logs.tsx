/** A task's log, followed while it grows; only the lines in view are drawn. */
import React, { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { WorkflowExecutionIdentifier } from '../api/types';
import { type Line, LogLines, type Style } from '../model/log';
import { useServices } from './services';

/** Pixels; the style sheet says the same. */
const LINE_HEIGHT = 17;
const SPARE_LINES = 20;

interface LogState {
  lines: LogLines;
  complete: boolean;
  problem?: string;
}

interface LogProps {
  id: WorkflowExecutionIdentifier;
  node: string;
  attempt: number;
  /** The index of an item of an array node; then `attempt` is the item's. */
  item?: number;
  active: boolean;
}

/** The log of one attempt, live while `active`. */
export function Log(props: LogProps): React.ReactElement {
  const { trans } = useServices();
  const { lines, complete, problem } = useLog(props);
  const frame = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(true);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  const count = lines.count;
  useLayoutEffect(() => {
    const element = frame.current;
    if (element && follow) {
      element.scrollTop = element.scrollHeight;
    }
  });
  useEffect(() => {
    const element = frame.current;
    if (!element) {
      return;
    }
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const scrolled = (): void => {
    const element = frame.current;
    if (element) {
      setTop(element.scrollTop);
      setFollow(
        element.scrollHeight - element.scrollTop - element.clientHeight < LINE_HEIGHT
      );
    }
  };
  const first = Math.max(0, Math.floor(top / LINE_HEIGHT) - SPARE_LINES);
  const last = Math.min(
    count,
    first + Math.ceil(height / LINE_HEIGHT) + 2 * SPARE_LINES
  );
  return (
    <div className="jp-Flyte-log">
      <div
        className="jp-Flyte-logFrame jp-RenderedText"
        ref={frame}
        onScroll={scrolled}
        tabIndex={0}
      >
        {problem && <p className="jp-Flyte-note">{problem}</p>}
        {!count && !problem && (
          <p className="jp-Flyte-note">
            {complete
              ? trans.__('This attempt wrote nothing.')
              : trans.__('Nothing written yet.')}
          </p>
        )}
        <div style={{ height: count * LINE_HEIGHT, position: 'relative' }}>
          <pre style={{ top: first * LINE_HEIGHT }}>
            {lines.slice(first, last).map((line, index) => (
              <LogLine key={first + index} line={line} />
            ))}
          </pre>
        </div>
      </div>
      <div className="jp-Flyte-logStatus" role="status">
        <span>
          {trans._n('%1 line', '%1 lines', count)}
          {lines.dropped > 0 &&
            ` · ${trans.__('%1 older lines left out', lines.dropped)}`}
          {!complete && !problem && ` · ${trans.__('following')}`}
        </span>
        {!follow && (
          <button className="jp-Flyte-link" onClick={() => setFollow(true)}>
            {trans.__('To the end')}
          </button>
        )}
        <button
          className="jp-Flyte-link"
          onClick={() => void navigator.clipboard.writeText(lines.text())}
        >
          {trans.__('Copy')}
        </button>
      </div>
    </div>
  );
}

/** The text so far. The lines grow in place; a new state tells of it. */
function useLog(props: LogProps): LogState {
  const { stream } = useServices().connection;
  const { project, domain, name } = props.id;
  const { node, attempt, item, active } = props;
  const [state, setState] = useState<LogState>(() => ({
    lines: new LogLines(),
    complete: false
  }));
  useEffect(() => {
    if (!active) {
      return;
    }
    const lines = new LogLines();
    setState({ lines, complete: false });
    return stream.subscribe(
      {
        topic: 'log',
        project,
        domain,
        name,
        node,
        attempt,
        ...(item !== undefined && { item })
      },
      message => {
        if (message.type === 'log') {
          lines.append(message.text);
          setState({ lines, complete: message.complete });
        } else if (message.type === 'error') {
          setState({ lines, complete: true, problem: message.message });
        }
      }
    );
  }, [stream, project, domain, name, node, attempt, item, active]);
  return state;
}

function LogLine({ line }: { line: Line }): React.ReactElement {
  return (
    <div className="jp-Flyte-logLine">
      {line.map((span, index) => (
        <span key={index} className={classes(span.style)}>
          {span.text}
        </span>
      ))}
    </div>
  );
}

// The names that JupyterLab's own outputs use, so that colours are the theme's.
const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

function colourClass(colour: number | undefined, part: 'fg' | 'bg'): string {
  if (colour === undefined) {
    return '';
  }
  return `ansi-${COLOURS[colour % 8]}${colour > 7 ? '-intense' : ''}-${part}`;
}

function classes(style: Style): string | undefined {
  const names = [
    colourClass(style.colour, 'fg'),
    colourClass(style.background, 'bg'),
    style.bold ? 'ansi-bold' : '',
    style.dim ? 'jp-Flyte-dim' : '',
    style.italic ? 'jp-Flyte-italic' : '',
    style.underline ? 'ansi-underline' : ''
  ].filter(Boolean);
  return names.length ? names.join(' ') : undefined;
}
