/** The graph's twin for those who read rather than see: a table of its nodes. */
import React, { useMemo } from 'react';
import { type Graph, neighbours } from '../model/graph';
import { brief } from '../model/time';
import { nameOf, type NodeStates } from './boxes';
import { Phase } from './phase';
import { useServices } from './services';

/** All nodes in the order of the workflow, with what comes before and after each. */
export function NodeTable(props: {
  graph: Graph;
  states: NodeStates;
  chosen?: string;
  onChoose(node: string): void;
}): React.ReactElement {
  const { trans } = useServices();
  const { graph, states, chosen, onChoose } = props;
  const around = useMemo(() => neighbours(graph), [graph]);
  const names = useMemo(
    () => new Map(graph.nodes.map(node => [node.id, nameOf(trans, node)])),
    [graph, trans]
  );
  const list = (ids: string[] | undefined): string =>
    (ids ?? []).map(id => names.get(id) ?? id).join(', ');
  return (
    <div className="jp-Flyte-tableFrame">
      <table className="jp-Flyte-table">
        <caption className="jp-Flyte-hidden">
          {trans.__('Nodes of the workflow')}
        </caption>
        <thead>
          <tr>
            <th scope="col">{trans.__('Node')}</th>
            <th scope="col">{trans.__('Phase')}</th>
            <th scope="col">{trans.__('Duration')}</th>
            <th scope="col">{trans.__('Attempts')}</th>
            <th scope="col">{trans.__('After')}</th>
            <th scope="col">{trans.__('Before')}</th>
          </tr>
        </thead>
        <tbody>
          {graph.nodes
            .filter(node => node.kind !== 'start' && node.kind !== 'end')
            .map(node => {
              const state = states.get(node.id);
              return (
                <tr
                  key={node.id}
                  className={node.id === chosen ? 'jp-mod-selected' : ''}
                >
                  <th scope="row">
                    <button
                      className="jp-Flyte-link"
                      aria-pressed={node.id === chosen}
                      onClick={() => onChoose(node.id)}
                    >
                      {node.label}
                    </button>{' '}
                    <span className="jp-Flyte-faint">{node.id}</span>
                  </th>
                  <td>
                    <Phase phase={state?.phase} trans={trans} />
                  </td>
                  <td className="jp-Flyte-number">{brief(state?.duration)}</td>
                  <td className="jp-Flyte-number">{state?.attempts || ''}</td>
                  <td>{list(around.get(node.id)?.before)}</td>
                  <td>{list(around.get(node.id)?.after)}</td>
                </tr>
              );
            })}
        </tbody>
      </table>
    </div>
  );
}
