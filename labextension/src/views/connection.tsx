/** Says so while the control plane can't be reached. */
import React from 'react';
import { useStreamState } from './live';
import { useServices } from './services';

/** A banner, only while the connection is lost; what is on screen stays. */
export function Connection(): React.ReactElement | null {
  const { trans, connection } = useServices();
  if (useStreamState() !== 'retrying') {
    return null;
  }
  return (
    <div className="jp-Flyte-banner" role="status">
      {trans.__('Disconnected, retrying …')}
      <button className="jp-Flyte-link" onClick={() => connection.stream.retryNow()}>
        {trans.__('Retry now')}
      </button>
    </div>
  );
}
