/** A row of tabs with one panel, for the keyboard too. */
import React, { useId, useRef } from 'react';

export interface Tab {
  id: string;
  label: string;
  /** Drawn only when chosen. */
  content(): React.ReactElement;
}

/** Tabs; arrow keys, Home and End move between them. */
export function Tabs(props: {
  tabs: readonly Tab[];
  chosen: string;
  label: string;
  onChoose(id: string): void;
}): React.ReactElement {
  const { tabs, label, onChoose } = props;
  const prefix = useId();
  const row = useRef<HTMLDivElement>(null);
  const chosen = tabs.find(tab => tab.id === props.chosen) ?? tabs[0];
  const move = (event: React.KeyboardEvent): void => {
    const at = tabs.findIndex(tab => tab === chosen);
    const to = destination(event.key, at, tabs.length);
    const next = to === undefined ? undefined : tabs[to];
    if (next && to !== undefined) {
      event.preventDefault();
      onChoose(next.id);
      (row.current?.children[to] as HTMLElement | undefined)?.focus();
    }
  };
  return (
    <div className="jp-Flyte-tabs">
      <div role="tablist" aria-label={label} ref={row} onKeyDown={move}>
        {tabs.map(tab => (
          <button
            key={tab.id}
            role="tab"
            id={`${prefix}-${tab.id}`}
            aria-selected={tab === chosen}
            aria-controls={`${prefix}-panel`}
            tabIndex={tab === chosen ? 0 : -1}
            onClick={() => onChoose(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div
        role="tabpanel"
        id={`${prefix}-panel`}
        aria-labelledby={`${prefix}-${chosen?.id ?? ''}`}
        className="jp-Flyte-tabPanel"
        tabIndex={0}
      >
        {chosen?.content()}
      </div>
    </div>
  );
}

/** Where a key leads in a row of `count`, from `at`; undefined when it leads nowhere. */
export function destination(
  key: string,
  at: number,
  count: number
): number | undefined {
  switch (key) {
    case 'ArrowRight':
    case 'ArrowDown':
      return Math.min(count - 1, at + 1);
    case 'ArrowLeft':
    case 'ArrowUp':
      return Math.max(0, at - 1);
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return undefined;
  }
}
