/** The DAG as a still picture: plain SVG, nothing loaded, nothing asked. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useMemo } from 'react';
import type { Graph } from '../model/graph';
import { layered, pathThrough } from '../model/layout';
import { BoxContent, boxClass, type NodeStates, sentence } from './boxes';

/** A graph with its states. */
export function Picture(props: {
  graph: Graph;
  states: NodeStates;
  trans: TranslationBundle;
}): React.ReactElement {
  const { graph, states, trans } = props;
  const placed = useMemo(() => layered(graph), [graph]);
  return (
    <div
      className="jp-Flyte-picture"
      role="img"
      aria-label={graph.nodes
        .map(node => sentence(trans, node, states.get(node.id)))
        .join('; ')}
    >
      <div style={{ position: 'relative', width: placed.width, height: placed.height }}>
        <svg width={placed.width} height={placed.height} aria-hidden="true">
          {graph.edges.map(edge => (
            <path
              key={edge.id}
              className="jp-Flyte-pictureArrow"
              d={pathThrough(placed.routes.get(edge.id) ?? [])}
            />
          ))}
        </svg>
        {graph.nodes.map(node => {
          const box = placed.boxes.get(node.id);
          const state = states.get(node.id);
          return (
            <div
              key={node.id}
              className={boxClass(node, state)}
              style={{
                position: 'absolute',
                left: box?.x,
                top: box?.y,
                width: box?.width,
                height: box?.height
              }}
            >
              <BoxContent node={node} state={state} trans={trans} />
            </div>
          );
        })}
      </div>
    </div>
  );
}
