/** What the control plane wants a person to know, a line each, until it is put away. */
import React, { useEffect, useState } from 'react';
import { heard, NO_NOTICES, putAway, unread } from '../model/notices';
import { useStreamState } from './live';
import { useServices } from './services';

/** Asked for at the start and with every new connection: it may be to another control plane. */
export function NoticeLines(): React.ReactElement {
  const { trans, connection } = useServices();
  const { client } = connection;
  const [notices, setNotices] = useState(NO_NOTICES);
  const connected = useStreamState() === 'open';
  useEffect(() => {
    if (!connected) {
      return;
    }
    const aborting = new AbortController();
    client.status(aborting.signal).then(
      status => setNotices(before => heard(before, status.notices)),
      (error: Error) =>
        aborting.signal.aborted || console.warn('Flyte: no status.', error.message)
    );
    return () => aborting.abort();
  }, [client, connected]);
  return (
    <>
      {unread(notices).map(text => (
        <div key={text} className="jp-Flyte-banner" role="status">
          <span className="jp-Flyte-notice">{text}</span>
          <button
            className="jp-Flyte-link"
            aria-label={trans.__('Dismiss: %1', text)}
            onClick={() => setNotices(before => putAway(before, text))}
          >
            {trans.__('Dismiss')}
          </button>
        </div>
      ))}
    </>
  );
}
