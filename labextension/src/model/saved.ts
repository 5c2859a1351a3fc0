/** The execution saved in a notebook output (docs/protocol.md, section 6): anybody may have written it. */
import type { ItemCounts, SnapshotNode } from './graph';

/** A snapshot whose every field has the type it says. */
export interface SavedRun {
  id: { project: string; domain: string; name: string };
  workflow: string;
  phase: string;
  startedAt: string;
  updatedAt: string;
  nodes: SnapshotNode[];
}

/** More nodes than this are not drawn from a notebook. */
const MOST_NODES = 2000;

/** The saved execution, or undefined when the data is none. */
export function readSaved(data: unknown): SavedRun | undefined {
  const fields = record(data);
  const [project, domain, name] = ['project', 'domain', 'name'].map(key =>
    text(fields[key])
  );
  if (!project || !domain || !name) {
    return undefined;
  }
  const snapshot = record(fields['snapshot']);
  const nodes = Array.isArray(snapshot['nodes']) ? snapshot['nodes'] : [];
  return {
    id: { project, domain, name },
    workflow: text(fields['workflow']) || name,
    phase: text(snapshot['phase']),
    startedAt: text(snapshot['started_at']),
    updatedAt: text(snapshot['updated_at']),
    nodes: nodes.slice(0, MOST_NODES).map(readNode)
  };
}

function readNode(data: unknown): SnapshotNode {
  const fields = record(data);
  const upstream = fields['upstream'];
  return {
    id: text(fields['id']),
    label: text(fields['label']) || text(fields['id']),
    kind: text(fields['kind']),
    phase: text(fields['phase']),
    attempts: number(fields['attempts']) ?? 0,
    seconds: number(fields['seconds']),
    upstream: Array.isArray(upstream) ? upstream.map(text) : [],
    cell_id: text(fields['cell_id']),
    items: readItems(fields['items'])
  };
}

function readItems(data: unknown): ItemCounts | undefined {
  const fields = record(data);
  const total = number(fields['total']);
  return total === undefined
    ? undefined
    : {
        succeeded: number(fields['succeeded']) ?? 0,
        failed: number(fields['failed']) ?? 0,
        total
      };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)
    : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
