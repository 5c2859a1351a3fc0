/** The DAG, to pan and zoom and choose a node in. Loaded when first needed. */
import {
  BaseEdge,
  Controls,
  type Edge,
  type EdgeProps,
  type FitViewOptions,
  Handle,
  type Node,
  type NodeProps,
  Position,
  ReactFlow
} from '@xyflow/react';
import { caretRightIcon } from '@jupyterlab/ui-components';
import React, { useCallback, useMemo, useState } from 'react';
import type { Graph, GraphNode } from '../model/graph';
import { pathThrough, type Placed, type Point } from '../model/layout';
import { lookOf } from '../model/phases';
import {
  BoxContent,
  boxClass,
  type NodeState,
  type NodeStates,
  sentence
} from './boxes';
import { useServices } from './services';

type BoxNode = Node<
  { node: GraphNode; state?: NodeState; onEnter?: (node: GraphNode) => void },
  'box'
>;
type RoutedEdge = Edge<{ points: readonly Point[] }, 'routed'>;

/** From how many nodes on only what is in view is drawn. */
const MANY_NODES = 150;
/** Below this zoom text can't be read: boxes are blocks of colour, and a graph opens closer than that. */
const FAR = 0.3;

function DagBox({ data }: NodeProps<BoxNode>): React.ReactElement {
  const { trans } = useServices();
  return (
    <>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <BoxContent node={data.node} state={data.state} trans={trans} />
      {data.onEnter && (
        <button
          className="jp-Flyte-enter nodrag nopan"
          title={trans.__('Look inside')}
          aria-label={trans.__('Look inside %1', data.node.label)}
          onClick={event => {
            event.stopPropagation();
            data.onEnter?.(data.node);
          }}
          onKeyDown={event => event.stopPropagation()}
        >
          <caretRightIcon.react tag="span" width="20px" />
        </button>
      )}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </>
  );
}

function DagArrow({ id, data, markerEnd }: EdgeProps<RoutedEdge>): React.ReactElement {
  return (
    <BaseEdge id={id} path={pathThrough(data?.points ?? [])} markerEnd={markerEnd} />
  );
}

const NODE_TYPES = { box: DagBox };
const EDGE_TYPES = { routed: DagArrow };

export interface DagProps {
  graph: Graph;
  placed: Placed;
  states: NodeStates;
  chosen?: string;
  onChoose(node: string | undefined): void;
  /** Whether there is a graph inside a node, and how to go there. */
  canEnter?(node: GraphNode): boolean;
  onEnter?(node: GraphNode): void;
  /** In a notebook the wheel scrolls the notebook. */
  wheelZooms: boolean;
}

/** The DAG of one execution. */
export default function Dag(props: DagProps): React.ReactElement {
  const { trans } = useServices();
  const { graph, placed, states, chosen, onChoose, wheelZooms } = props;
  const { canEnter, onEnter } = props;
  const nodes = useMemo(
    () =>
      graph.nodes.map((node): BoxNode => {
        const { x, y, width, height } = placed.boxes.get(node.id) ?? ORIGIN;
        const state = states.get(node.id);
        const enterable = !!canEnter?.(node);
        return {
          id: node.id,
          type: 'box',
          position: { x, y },
          width,
          height,
          data: { node, state, ...(enterable && onEnter && { onEnter }) },
          selected: node.id === chosen,
          className: boxClass(node, state, enterable),
          ariaLabel: sentence(trans, node, state)
        };
      }),
    [graph, placed, states, chosen, trans, canEnter, onEnter]
  );
  const edges = useMemo(
    () =>
      graph.edges.map((edge): RoutedEdge => ({
        ...edge,
        type: 'routed',
        data: { points: placed.routes.get(edge.id) ?? [] },
        className: `jp-Flyte-arrow jp-Flyte-look-${lookOf(states.get(edge.target)?.phase)}`,
        focusable: false
      })),
    [graph, placed, states]
  );
  const choose = useCallback(
    (_: unknown, node: BoxNode) => onChoose(node.id),
    [onChoose]
  );
  const enter = useCallback(
    (_: unknown, { data }: BoxNode) => data.onEnter?.(data.node),
    []
  );
  const clear = useCallback(() => onChoose(undefined), [onChoose]);
  const [far, setFar] = useState(false);
  const [opening] = useState(() => firstLook(props));
  const chooseByKey = (event: React.KeyboardEvent): void => {
    const id = (event.target as HTMLElement).dataset['id'];
    if (id && (event.key === 'Enter' || event.key === ' ')) {
      onChoose(id);
      event.preventDefault();
    }
  };
  return (
    <ReactFlow<BoxNode, RoutedEdge>
      className={far ? 'jp-Flyte-dag jp-Flyte-far' : 'jp-Flyte-dag'}
      onMove={(_, viewport) => setFar(viewport.zoom < FAR)}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      edgeTypes={EDGE_TYPES}
      onNodeClick={choose}
      onNodeDoubleClick={enter}
      onPaneClick={clear}
      onKeyDown={chooseByKey}
      nodesDraggable={false}
      nodesConnectable={false}
      edgesFocusable={false}
      deleteKeyCode={null}
      selectionKeyCode={null}
      zoomOnScroll={wheelZooms}
      preventScrolling={wheelZooms}
      zoomOnDoubleClick={false}
      minZoom={0.02}
      maxZoom={2}
      fitView
      fitViewOptions={opening}
      onlyRenderVisibleElements={nodes.length > MANY_NODES}
      aria-label={trans.__('Graph of the workflow')}
    >
      <Controls showInteractive={false} fitViewOptions={FIT} position="bottom-right" />
    </ReactFlow>
  );
}

/** All of a graph, or of a large one the part where something happens. */
function firstLook({ graph, placed, states }: DagProps): FitViewOptions {
  const centre =
    graph.nodes.find(node => lookOf(states.get(node.id)?.phase) === 'failed') ??
    graph.nodes.find(node => lookOf(states.get(node.id)?.phase) === 'running') ??
    graph.nodes[0];
  const at = placed.boxes.get(centre?.id ?? '');
  if (!at || graph.nodes.length <= CLOSE_NODES) {
    return FIT;
  }
  const distance = (node: GraphNode): number => {
    const box = placed.boxes.get(node.id) ?? ORIGIN;
    return Math.hypot(box.x - at.x, box.y - at.y);
  };
  const near = [...graph.nodes].sort((a, b) => distance(a) - distance(b));
  return {
    ...FIT,
    minZoom: 0.5,
    nodes: near.slice(0, CLOSE_NODES / 4).map(({ id }) => ({ id }))
  };
}

/** The largest graph that is shown as a whole at first. */
const CLOSE_NODES = 60;
const ORIGIN = { x: 0, y: 0, width: 0, height: 0 };
// On the right the buttons stand: the last node would be under them.
const FIT: FitViewOptions = {
  padding: { top: 0.06, bottom: 0.06, left: 0.03, right: '60px' },
  maxZoom: 1
};
