import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CompiledWorkflowClosure, Node } from '../src/api/types';
import { graphOf } from '../src/model/drawing';
import { type Graph, graphOfSnapshot, neighbours } from '../src/model/graph';
import { fromElk, layered, pathThrough, toElk } from '../src/model/layout';

function task(id: string, name: string, upstream: string[] = []): Node {
  return {
    id,
    upstream_node_ids: upstream,
    task_node: { reference_id: { name, version: 'v' } }
  } as unknown as Node;
}

const CLOSURE = {
  primary: {
    template: {
      nodes: [
        { id: 'start-node', upstream_node_ids: [] },
        task('n0', 'nb.load'),
        task('n1', 'nb.train', ['n0']),
        {
          id: 'n2',
          upstream_node_ids: ['n1'],
          branch_node: {
            if_else: {
              case: { then_node: task('n2-a', 'nb.good') },
              other: [],
              else_node: null
            }
          }
        },
        { id: 'end-node', upstream_node_ids: [] }
      ]
    },
    connections: {
      downstream: {
        'start-node': { ids: ['n0', 'n1'] },
        n0: { ids: ['n1'] },
        n2: { ids: ['end-node'] }
      }
    }
  },
  tasks: [
    {
      template: {
        id: { name: 'nb.load', version: 'v' },
        config: { 'flyte_jupyter.cell': 'c1' }
      }
    }
  ]
} as unknown as CompiledWorkflowClosure;

function overlaps(graph: Graph): boolean {
  const boxes = [...layered(graph).boxes.values()];
  return boxes.some((a, index) =>
    boxes
      .slice(index + 1)
      .some(
        b =>
          a.x < b.x + b.width &&
          b.x < a.x + a.width &&
          a.y < b.y + b.height &&
          b.y < a.y + a.height
      )
  );
}

test('a workflow becomes boxes and arrows: each once, arms of branches too, nothing implied', () => {
  const graph = graphOf(CLOSURE);
  assert.deepEqual(
    graph.nodes.map(node =>
      `${node.id} ${node.kind} ${node.label} ${node.cellId}`.trim()
    ),
    [
      'start-node start start-node',
      'n0 task load c1',
      'n1 task train',
      'n2 branch n2',
      'n2-0-n2-a task good',
      'end-node end end-node'
    ]
  );
  assert.deepEqual(graph.edges.map(edge => edge.id).sort(), [
    'n0>n1',
    'n1>n2',
    'n2-0-n2-a>end-node',
    'n2>n2-0-n2-a',
    'start-node>n0'
  ]);
});

test('no closure is an empty graph', () => {
  assert.deepEqual(graphOf(undefined), { nodes: [], edges: [] });
  assert.deepEqual(layered({ nodes: [], edges: [] }).boxes.size, 0);
});

test('arrows from nodes that a snapshot doesn’t have are left out', () => {
  const graph = graphOfSnapshot([
    { id: 'a', label: 'a', kind: 'task', phase: '', attempts: 0, upstream: ['gone'] },
    { id: 'b', label: 'b', kind: 'odd', phase: '', attempts: 0, upstream: ['a'] }
  ]);
  assert.deepEqual(
    graph.edges.map(edge => edge.id),
    ['a>b']
  );
  assert.equal(graph.nodes[1]?.kind, 'task');
  assert.deepEqual(neighbours(graph).get('a'), { before: [], after: ['b'] });
});

test('the plain layout puts what waits to the right, and nothing on top of another', () => {
  const graph = graphOf(CLOSURE);
  const placed = layered(graph);
  for (const edge of graph.edges) {
    const [source, target] = [
      placed.boxes.get(edge.source),
      placed.boxes.get(edge.target)
    ];
    assert.ok(source && target && source.x + source.width < target.x, edge.id);
    assert.ok((placed.routes.get(edge.id)?.length ?? 0) >= 2);
  }
  assert.equal(overlaps(graph), false);
});

test('a thousand nodes in a fan and in a chain are laid out', () => {
  const ids = Array.from({ length: 1000 }, (_, index) => `n${index}`);
  const nodes = ids.map(id => ({ id, label: id, kind: 'task' as const, cellId: '' }));
  const arrow = (source: string, target: string): Graph['edges'][number] => ({
    id: `${source}>${target}`,
    source,
    target
  });
  const fan = layered({ nodes, edges: ids.slice(1).map(id => arrow('n0', id)) });
  const chain = layered({
    nodes,
    edges: ids.slice(1).map((id, at) => arrow(`n${at}`, id))
  });
  assert.ok(fan.height > chain.height && chain.width > fan.width);
});

test('a cycle, which no workflow has, is drawn somehow and hangs nothing', () => {
  const graph = graphOfSnapshot(
    ['a', 'b'].map((id, at) => ({
      id,
      label: id,
      kind: 'task',
      phase: '',
      attempts: 0,
      upstream: [at ? 'a' : 'b']
    }))
  );
  assert.equal(layered(graph).boxes.size, 2);
});

test('elk is asked for every box and arrow, and its bends are kept', () => {
  const asked = toElk(graphOf(CLOSURE));
  assert.equal(asked.children?.length, 6);
  const placed = fromElk({
    id: 'graph',
    width: 10,
    height: 10,
    children: [{ id: 'n0', x: 1, y: 2, width: 3, height: 4 }],
    edges: [
      {
        id: 'e',
        sources: ['n0'],
        targets: ['n1'],
        sections: [
          {
            id: 's',
            startPoint: { x: 0, y: 0 },
            bendPoints: [{ x: 5, y: 0 }],
            endPoint: { x: 5, y: 9 }
          }
        ]
      }
    ]
  });
  assert.deepEqual(placed.boxes.get('n0'), { x: 1, y: 2, width: 3, height: 4 });
  assert.equal(placed.routes.get('e')?.length, 3);
});

test('a path is rounded at its corners, but never past the middle of a stretch', () => {
  const corner = [
    { x: 0, y: 0 },
    { x: 4, y: 0 },
    { x: 4, y: 20 }
  ];
  assert.equal(pathThrough(corner), 'M 0 0 L 2 0 Q 4 0 4 6 L 4 20');
  assert.equal(pathThrough([]), '');
});
