/** What the cache had to do with a node, in words. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import type { TaskNodeMetadata } from '../api/types';
import { ExecutionLink } from './executionLink';
import { useServices } from './services';

/** The words for a cache status; empty where the cache had nothing to do with it. */
export function cacheText(
  trans: TranslationBundle,
  status: string | undefined
): string {
  const words: Record<string, () => string> = {
    CACHE_HIT: () => trans.__('taken from the cache'),
    CACHE_MISS: () => trans.__('not in the cache'),
    CACHE_POPULATED: () => trans.__('computed and put into the cache'),
    CACHE_LOOKUP_FAILURE: () => trans.__('the cache could not be asked'),
    CACHE_PUT_FAILURE: () => trans.__('computed, but the cache did not take it'),
    CACHE_SKIPPED: () => trans.__('computed anew, whatever the cache has'),
    CACHE_EVICTED: () => trans.__('removed from the cache')
  };
  return words[status ?? '']?.() ?? '';
}

/** Whether a node's outputs came from the cache, and whose they are. */
export function CacheFact(props: {
  node: TaskNodeMetadata | null | undefined;
}): React.ReactElement | null {
  const { trans } = useServices();
  const text = cacheText(trans, props.node?.cache_status);
  if (!text) {
    return null;
  }
  const source = props.node?.catalog_key?.source_task_execution?.node_execution_id;
  return (
    <span className="jp-Flyte-cacheFact">
      <span className="jp-Flyte-faint">{text}</span>
      {source && (
        <ExecutionLink
          label={trans.__('as node %1 left it in', source.node_id)}
          id={source.execution_id}
        />
      )}
    </span>
  );
}
