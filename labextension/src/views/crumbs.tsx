/** The way back out of what is inside nodes. */
import React from 'react';
import type { GraphNode } from '../model/graph';
import { useServices } from './services';

/** The nodes that one has gone into; `onGo` is told at which depth to look, 0 for the workflow itself. */
export function Crumbs(props: {
  within: readonly GraphNode[];
  onGo(depth: number): void;
}): React.ReactElement {
  const { trans } = useServices();
  const names = [trans.__('Workflow'), ...props.within.map(node => node.label)];
  return (
    <nav className="jp-Flyte-crumbs" aria-label={trans.__('Where this graph is')}>
      <ol>
        {names.map((name, depth) => (
          <li key={depth}>
            {depth < names.length - 1 ? (
              <button className="jp-Flyte-link" onClick={() => props.onGo(depth)}>
                {name}
              </button>
            ) : (
              <span aria-current="location">{name}</span>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}
