/** The graph's twin for those who read rather than see: a table of its nodes, what is inside a node below it. */
import React, { useMemo } from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import { type Graph, type GraphNode, neighbours } from '../model/graph';
import { hasInside, type Row, rowsOf, SMALL } from '../model/inside';
import type { RunView } from '../model/run';
import { brief } from '../model/time';
import {
  itemsText,
  nameOf,
  type NodeState,
  type NodeStates,
  statesOfRun
} from './boxes';
import type { InsideOf } from './insides';
import { Phase } from './phase';
import { useServices } from './services';

/** Nodes that somebody has folded or unfolded, by id. */
export type Folding = ReadonlyMap<string, boolean>;

interface TableProps {
  graph: Graph;
  run: RunView;
  now: number;
  insideOf: InsideOf;
  folding: Folding;
  onFold(node: string, open: boolean): void;
  chosen?: string;
  /** `within` are the nodes that the node is inside of. */
  onChoose(node: GraphNode, within: readonly GraphNode[]): void;
}

/** Whether what is inside a node is listed: as somebody wants it, else if it is small. */
export function isUnfolded(
  folding: Folding,
  node: string,
  inside: Graph | undefined
): boolean {
  return folding.get(node) ?? (!inside || inside.nodes.length <= SMALL);
}

/** All nodes in the order of the workflow, with what comes before and after each. */
export function NodeTable(props: TableProps): React.ReactElement {
  const { trans } = useServices();
  const { graph, run, now, insideOf, folding } = props;
  const rows = useMemo(
    () =>
      rowsOf(graph, run, insideOf, (node, inside) =>
        isUnfolded(folding, node.id, inside)
      ),
    [graph, run, insideOf, folding]
  );
  const states = useMemo(() => statesByGraph(rows, run, now), [rows, run, now]);
  const around = useMemo(() => aroundByGraph(trans, rows), [trans, rows]);
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
          {rows.map(row => (
            <NodeRow
              key={row.node.id}
              {...props}
              row={row}
              state={states.get(row.graph)?.get(row.node.id)}
              around={around.get(row.graph)?.get(row.node.id)}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function NodeRow(
  props: TableProps & {
    row: Row;
    state: NodeState | undefined;
    around: { before: string; after: string } | undefined;
  }
): React.ReactElement {
  const { trans } = useServices();
  const { row, state, chosen, onChoose, onFold } = props;
  const { node, open } = row;
  return (
    <tr className={node.id === chosen ? 'jp-mod-selected' : ''}>
      <th scope="row">
        <span style={{ paddingLeft: row.depth * 20 }} className="jp-Flyte-rowNode">
          {open !== undefined && hasInside(props.run, node) ? (
            <button
              className="jp-Flyte-fold"
              aria-expanded={open}
              aria-label={trans.__('Nodes inside %1', node.label)}
              onClick={() => onFold(node.id, !open)}
            >
              {open ? '▾' : '▸'}
            </button>
          ) : (
            <span className="jp-Flyte-fold" />
          )}
          <button
            className="jp-Flyte-link"
            aria-pressed={node.id === chosen}
            onClick={() => onChoose(node, row.within)}
          >
            {node.label}
          </button>
          <span className="jp-Flyte-faint">{node.id}</span>
        </span>
      </th>
      <td>
        <Phase phase={state?.phase} trans={trans} />
        {state?.items && (
          <span className="jp-Flyte-faint jp-Flyte-number">
            {' '}
            {itemsText(trans, state.items)}
          </span>
        )}
        {state?.reason && <div className="jp-Flyte-faint">{state.reason}</div>}
      </td>
      <td className="jp-Flyte-number">{brief(state?.duration)}</td>
      <td className="jp-Flyte-number">{state?.attempts || ''}</td>
      <td>{props.around?.before}</td>
      <td>{props.around?.after}</td>
    </tr>
  );
}

function statesByGraph(
  rows: readonly Row[],
  run: RunView,
  now: number
): Map<Graph, NodeStates> {
  const graphs = new Set(rows.map(row => row.graph));
  return new Map([...graphs].map(graph => [graph, statesOfRun(graph, run, now)]));
}

/** The names of what stands before and after each node. */
function aroundByGraph(
  trans: TranslationBundle,
  rows: readonly Row[]
): Map<Graph, Map<string, { before: string; after: string }>> {
  const graphs = new Set(rows.map(row => row.graph));
  return new Map(
    [...graphs].map(graph => {
      const names = new Map(graph.nodes.map(node => [node.id, nameOf(trans, node)]));
      const list = (ids: readonly string[]): string =>
        ids.map(id => names.get(id) ?? id).join(', ');
      return [
        graph,
        new Map(
          [...neighbours(graph)].map(([id, { before, after }]) => [
            id,
            { before: list(before), after: list(after) }
          ])
        )
      ];
    })
  );
}
