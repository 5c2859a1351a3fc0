/** Two parts above one another, with a bar between them to drag or to move by keys. */
import React, { useRef, useState } from 'react';

const SMALLEST = 15;
const LARGEST = 85;
const STEP = 5;

/** The upper part takes `initial` per cent until somebody moves the bar. */
export function Split(props: {
  upper: React.ReactElement;
  lower: React.ReactElement;
  initial: number;
  label: string;
}): React.ReactElement {
  const frame = useRef<HTMLDivElement>(null);
  const [share, setShare] = useState(props.initial);
  const set = (value: number): void =>
    setShare(Math.min(LARGEST, Math.max(SMALLEST, value)));
  const drag = (event: React.PointerEvent): void => {
    const box = frame.current?.getBoundingClientRect();
    if (box && event.currentTarget.hasPointerCapture(event.pointerId)) {
      set(((event.clientY - box.top) / box.height) * 100);
    }
  };
  const move = (event: React.KeyboardEvent): void => {
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault();
      set(share + (event.key === 'ArrowUp' ? -STEP : STEP));
    }
  };
  return (
    <div className="jp-Flyte-split" ref={frame}>
      <div className="jp-Flyte-splitPart" style={{ flex: `0 0 ${share}%` }}>
        {props.upper}
      </div>
      <div
        role="separator"
        className="jp-Flyte-splitBar"
        aria-orientation="horizontal"
        aria-label={props.label}
        aria-valuenow={Math.round(share)}
        aria-valuemin={SMALLEST}
        aria-valuemax={LARGEST}
        tabIndex={0}
        onPointerDown={event => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={drag}
        onKeyDown={move}
      />
      <div className="jp-Flyte-splitPart jp-Flyte-splitLower">{props.lower}</div>
    </div>
  );
}
