import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  CompiledWorkflowClosure,
  Node,
  NodeExecution,
  TaskExecution
} from '../src/api/types';
import { graphOf, workflowKey } from '../src/model/drawing';
import type { Graph, GraphNode } from '../src/model/graph';
import { nestedId, shortId } from '../src/model/ids';
import {
  attemptInside,
  expansionKey,
  hasInside,
  Insides,
  rowsOf
} from '../src/model/inside';
import { fold, NOTHING_YET, type RunView } from '../src/model/run';

const INNER = { project: 'p', domain: 'd', name: 'nb.inner', version: 'v' };

function task(id: string, name: string, upstream: string[] = []): Node {
  return {
    id,
    upstream_node_ids: upstream,
    task_node: { reference_id: { name, version: 'v' } }
  } as unknown as Node;
}

function workflow(id: object, nodes: object[]): object {
  return {
    template: { id, nodes: [{ id: 'start-node', upstream_node_ids: [] }, ...nodes] }
  };
}

const CLOSURE = {
  primary: workflow({ name: 'nb.outer' }, [
    task('n0', 'nb.load'),
    {
      id: 'n1',
      upstream_node_ids: ['n0'],
      workflow_node: { sub_workflow_ref: INNER }
    },
    {
      id: 'n2',
      upstream_node_ids: ['n1'],
      gate_node: { approve: { signal_id: 'fine' } }
    },
    {
      id: 'n3',
      upstream_node_ids: [],
      workflow_node: { launchplan_ref: { name: 'nb.plan', version: 'v' } }
    },
    {
      id: 'n4',
      upstream_node_ids: [],
      array_node: {
        node: task('x', `nb.map_square_${'0f'.repeat(16)}-arraynode`)
      }
    }
  ]),
  sub_workflows: [workflow(INNER, [task('n0', 'nb.a'), task('n1', 'nb.b', ['n0'])])],
  tasks: []
} as unknown as CompiledWorkflowClosure;

function heard(...nodes: [id: string, metadata: object, closure?: object][]): RunView {
  return fold(
    NOTHING_YET,
    nodes.map(([id, metadata, closure]) => ({
      kind: 'node_execution',
      value: { id: { node_id: id }, metadata, closure } as NodeExecution
    }))
  );
}

function nodeOf(graph: Graph, id: string): GraphNode {
  const found = graph.nodes.find(node => node.id === id);
  assert.ok(found, id);
  return found;
}

test('ids of inner nodes are those that Flyte gives, hashed where they would be long', () => {
  assert.equal(nestedId('n0', 0, 'n1'), 'n0-0-n1');
  assert.equal(nestedId('n0-0-dn0', 0, 'n0-n1'), 'n0-0-dn0-0-n0-n1');
  assert.equal(nestedId('n0-0-dn0-0-n0-n1', 2, 'n7'), 'fbjtsnmq');
  assert.equal(nestedId('n1', 0, 'flytekit-programs-maps-squares'), 'fhmvawdi');
  assert.equal(nestedId('n0', 3, 'ünïcode-node-name-x'), 'f4wywynq');
  assert.equal(shortId('exactly-20-letters-x'), 'exactly-20-letters-x');
});

test('nodes of every kind say what they are', () => {
  const graph = graphOf(CLOSURE);
  assert.equal(nodeOf(graph, 'n1').runs, workflowKey(INNER as never));
  assert.deepEqual(nodeOf(graph, 'n2').gate, { kind: 'approval', signal: 'fine' });
  assert.equal(nodeOf(graph, 'n3').kind, 'execution');
  assert.equal(nodeOf(graph, 'n4').kind, 'map');
  assert.equal(nodeOf(graph, 'n4').label, 'square');
});

test('what runs only when the workflow fails is a box of its own', () => {
  const primary = workflow({ name: 'nb.outer' }, [task('n0', 'nb.load')]);
  const template = (primary as { template: object }).template;
  Object.assign(template, { failure_node: task('efn', 'nb.clean_up') });
  const graph = graphOf({ ...CLOSURE, primary } as unknown as CompiledWorkflowClosure);
  assert.equal(nodeOf(graph, 'efn').label, 'clean_up');
  assert.equal(nodeOf(graph, 'efn').handler, true);
  assert.deepEqual(
    graph.edges.filter(edge => edge.id.includes('efn')),
    []
  );
});

test('the graph of a sub-workflow has the ids of the execution, and stays the same object', () => {
  const graph = graphOf(CLOSURE);
  const insides = new Insides();
  const look = (): Graph | undefined =>
    insides.of(NOTHING_YET, graph, nodeOf(graph, 'n1'), new Map());
  assert.deepEqual(
    look()?.nodes.map(node => node.id),
    ['n1-0-start-node', 'n1-0-n0', 'n1-0-n1']
  );
  assert.deepEqual(
    look()?.edges.map(edge => edge.id),
    ['n1-0-n0>n1-0-n1']
  );
  assert.equal(look(), look());
  assert.equal(
    insides.of(NOTHING_YET, graph, nodeOf(graph, 'n0'), new Map()),
    undefined
  );
});

test('a dynamic node is entered once it has made a graph, that of its last attempt', () => {
  const graph = graphOf(CLOSURE);
  const node = nodeOf(graph, 'n0');
  assert.equal(hasInside(heard(['n0', { is_dynamic: false }]), node), false);
  const attempt = {
    id: { node_execution_id: { node_id: 'n0' }, retry_attempt: 1 }
  } as TaskExecution;
  const run = fold(
    heard(
      ['n0', { is_dynamic: true }, { dynamic_job_spec_uri: 'u1' }],
      ['n0-0-start-node', { retry_group: '0' }]
    ),
    [{ kind: 'task_execution', value: attempt }]
  );
  assert.equal(hasInside(run, node), true);
  assert.equal(attemptInside(run, 'n0'), 0, 'the second attempt has made none yet');
  const again = heard(['n0-1-start-node', { retry_group: '1' }]);
  const both = { ...run, nodes: new Map([...run.nodes, ...again.nodes]) };
  assert.equal(attemptInside(both, 'n0'), 1);
  const insides = new Insides();
  assert.equal(insides.of(both, graph, node, new Map()), undefined, 'not fetched yet');
  const expansions = new Map([[expansionKey(both, 'n0'), CLOSURE]]);
  const made = insides.of(both, graph, node, expansions);
  assert.equal(made?.nodes[1]?.id, 'n0-1-n0');
});

test('the list of nodes has what is inside below each, unless it is folded', () => {
  const graph = graphOf(CLOSURE);
  const insides = new Insides();
  const rows = (open: boolean): string[] =>
    rowsOf(
      graph,
      NOTHING_YET,
      (of, node) => insides.of(NOTHING_YET, of, node, new Map()),
      () => open
    ).map(row => `${row.depth} ${row.node.id} ${row.open ?? ''}`.trim());
  assert.deepEqual(rows(true), [
    '0 n0',
    '0 n1 true',
    '1 n1-0-n0',
    '1 n1-0-n1',
    '0 n2',
    '0 n3',
    '0 n4'
  ]);
  assert.deepEqual(rows(false).slice(0, 3), ['0 n0', '0 n1 false', '0 n2']);
});
