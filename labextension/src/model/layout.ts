/** Where the boxes and arrows of a graph stand: elk's input, its output, and a plain layout of our own. */
import type { ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api';
import type { Graph, GraphNode } from './graph';

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

/** A graph on paper; sizes in CSS pixels. Every edge has at least two points. */
export interface Placed {
  width: number;
  height: number;
  boxes: ReadonlyMap<string, Box>;
  routes: ReadonlyMap<string, readonly Point[]>;
}

const BETWEEN_LAYERS = 32;
const BETWEEN_NODES = 16;
const MARGIN = 12;
/** Boxes, in pixels: what a letter takes, what stands beside the name, and the limits. */
const PER_LETTER = 8;
const BESIDE_LABEL = 56;
const NARROWEST = 172;
const WIDEST = 240;
/** Nodes with more to say than a phase and a time. */
const ROOMY = 216;

const ELK_OPTIONS = {
  'elk.algorithm': 'layered',
  'elk.direction': 'RIGHT',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.layered.spacing.nodeNodeBetweenLayers': String(BETWEEN_LAYERS),
  'elk.layered.spacing.edgeNodeBetweenLayers': '16',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '10',
  'elk.spacing.nodeNode': String(BETWEEN_NODES),
  'elk.padding': `[top=${MARGIN},left=${MARGIN},bottom=${MARGIN},right=${MARGIN}]`
};

/** The size of a node's box, wide enough for most names; the ends of the graph are small. */
export function sizeOf(node: GraphNode): { width: number; height: number } {
  if (node.kind === 'start' || node.kind === 'end') {
    return { width: 46, height: 24 };
  }
  const width = BESIDE_LABEL + node.label.length * PER_LETTER;
  const least = node.kind === 'map' || node.kind === 'gate' ? ROOMY : NARROWEST;
  return { width: Math.min(WIDEST, Math.max(least, width)), height: 52 };
}

/** What elk is asked. */
export function toElk(graph: Graph): ElkNode {
  return {
    id: 'graph',
    layoutOptions: ELK_OPTIONS,
    children: graph.nodes.map(node => ({ id: node.id, ...sizeOf(node) })),
    edges: graph.edges.map(edge => ({
      id: edge.id,
      sources: [edge.source],
      targets: [edge.target]
    }))
  };
}

/** What elk has answered. */
export function fromElk(answer: ElkNode): Placed {
  return {
    width: answer.width ?? 0,
    height: answer.height ?? 0,
    boxes: new Map(
      (answer.children ?? []).map(child => [
        child.id,
        {
          x: child.x ?? 0,
          y: child.y ?? 0,
          width: child.width ?? 0,
          height: child.height ?? 0
        }
      ])
    ),
    routes: new Map((answer.edges ?? []).map(edge => [edge.id, bends(edge)]))
  };
}

/** A plain layered layout, for where no worker is to be had: longest path, then by what comes before. */
export function layered(graph: Graph): Placed {
  const columns = toColumns(graph);
  const heights = columns.map(column =>
    column.reduce(
      (sum, node) => sum + sizeOf(node).height + BETWEEN_NODES,
      -BETWEEN_NODES
    )
  );
  const height = Math.max(0, ...heights);
  const boxes = new Map<string, Box>();
  let x = MARGIN;
  columns.forEach((column, index) => {
    let y = MARGIN + (height - (heights[index] ?? 0)) / 2;
    const width = Math.max(0, ...column.map(node => sizeOf(node).width));
    for (const node of column) {
      const size = sizeOf(node);
      boxes.set(node.id, { x, y, ...size });
      y += size.height + BETWEEN_NODES;
    }
    x += width + BETWEEN_LAYERS;
  });
  const width = columns.length ? x - BETWEEN_LAYERS + MARGIN : 0;
  return {
    width,
    height: height + 2 * MARGIN,
    boxes,
    routes: straightRoutes(graph, boxes)
  };
}

/** An SVG path through the points, its corners rounded. */
export function pathThrough(points: readonly Point[], radius = 6): string {
  const [first, ...rest] = points;
  if (!first) {
    return '';
  }
  let path = `M ${first.x} ${first.y}`;
  rest.forEach((point, index) => {
    const next = rest[index + 1];
    if (!next) {
      path += ` L ${point.x} ${point.y}`;
      return;
    }
    const before = towards(point, points[index] ?? point, radius);
    const after = towards(point, next, radius);
    path += ` L ${before.x} ${before.y} Q ${point.x} ${point.y} ${after.x} ${after.y}`;
  });
  return path;
}

/** The point on the way from `from` to `to`, `distance` away but never past the middle. */
function towards(from: Point, to: Point, distance: number): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const part = length === 0 ? 0 : Math.min(distance, length / 2) / length;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}

function bends(edge: ElkExtendedEdge): Point[] {
  return (edge.sections ?? []).flatMap(section => [
    section.startPoint,
    ...(section.bendPoints ?? []),
    section.endPoint
  ]);
}

function toColumns(graph: Graph): GraphNode[][] {
  const before = new Map(graph.nodes.map(node => [node.id, [] as string[]]));
  graph.edges.forEach(edge => before.get(edge.target)?.push(edge.source));
  const depth = depths(graph, before);
  const columns: GraphNode[][] = [];
  for (const node of graph.nodes) {
    (columns[depth.get(node.id) ?? 0] ??= []).push(node);
  }
  const place = new Map<string, number>();
  for (const column of columns) {
    const centre = (node: GraphNode): number => {
      const known = (before.get(node.id) ?? []).flatMap(id => place.get(id) ?? []);
      return known.reduce((sum, at) => sum + at, 0) / (known.length || 1);
    };
    column.sort((a, b) => centre(a) - centre(b));
    column.forEach((node, index) => place.set(node.id, index - column.length / 2));
  }
  return columns;
}

/** The longest way to each node. A cycle, which no workflow has, doesn't hang this. */
function depths(
  graph: Graph,
  before: ReadonlyMap<string, string[]>
): Map<string, number> {
  const depth = new Map<string, number>();
  const after = new Map<string, string[]>();
  graph.edges.forEach(edge =>
    after.set(edge.source, [...(after.get(edge.source) ?? []), edge.target])
  );
  const waits = new Map([...before].map(([id, sources]) => [id, sources.length]));
  const ready = graph.nodes
    .filter(node => waits.get(node.id) === 0)
    .map(node => node.id);
  for (let id = ready.shift(); id !== undefined; id = ready.shift()) {
    const own = depth.get(id) ?? 0;
    depth.set(id, own);
    for (const target of after.get(id) ?? []) {
      depth.set(target, Math.max(depth.get(target) ?? 0, own + 1));
      waits.set(target, (waits.get(target) ?? 0) - 1);
      if (waits.get(target) === 0) {
        ready.push(target);
      }
    }
  }
  return depth;
}

function straightRoutes(
  graph: Graph,
  boxes: ReadonlyMap<string, Box>
): Map<string, Point[]> {
  const routes = new Map<string, Point[]>();
  for (const edge of graph.edges) {
    const [source, target] = [boxes.get(edge.source), boxes.get(edge.target)];
    if (source && target) {
      const start = { x: source.x + source.width, y: source.y + source.height / 2 };
      const end = { x: target.x, y: target.y + target.height / 2 };
      const turn = end.x - BETWEEN_LAYERS / 2;
      const level = Math.abs(start.y - end.y) < 1;
      routes.set(
        edge.id,
        level
          ? [start, end]
          : [start, { x: turn, y: start.y }, { x: turn, y: end.y }, end]
      );
    }
  }
  return routes;
}
