/** Inputs and outputs, by type. */
import { copyIcon } from '@jupyterlab/ui-components';
import React from 'react';
import type { LiteralMap } from '../api/types';
import { showMap, type Shown } from '../model/literals';
import { useServices } from './services';

const MOST_ITEMS = 200;

/** A table of named values. */
export function Values(props: {
  values: LiteralMap | null | undefined;
  nothing: string;
}): React.ReactElement {
  const { trans } = useServices();
  const entries = showMap(props.values);
  if (!entries.length) {
    return <p className="jp-Flyte-note">{props.nothing}</p>;
  }
  return (
    <table className="jp-Flyte-table jp-Flyte-values">
      <thead>
        <tr>
          <th scope="col">{trans.__('Name')}</th>
          <th scope="col">{trans.__('Type')}</th>
          <th scope="col">{trans.__('Value')}</th>
        </tr>
      </thead>
      <tbody>
        {entries.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <code className="jp-Flyte-type">{value.type}</code>
            </td>
            <td>
              <Value value={value} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Value({ value }: { value: Shown }): React.ReactElement {
  const { trans } = useServices();
  switch (value.kind) {
    case 'text':
      return <span className="jp-Flyte-valueText">{value.text}</span>;
    case 'place':
      return <PlaceValue value={value} />;
    case 'list':
      return (
        <Many
          count={value.items.length}
          word={trans._n('%1 item', '%1 items', value.items.length)}
        >
          <ol start={0} className="jp-Flyte-list">
            {value.items.slice(0, MOST_ITEMS).map((item, index) => (
              <li key={index}>
                <Value value={item} />
              </li>
            ))}
          </ol>
        </Many>
      );
    case 'record':
      return (
        <Many
          count={value.entries.length}
          word={trans._n('%1 entry', '%1 entries', value.entries.length)}
        >
          <table className="jp-Flyte-record">
            <tbody>
              {value.entries.slice(0, MOST_ITEMS).map(([name, item]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>
                    <Value value={item} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Many>
      );
  }
}

/** Several values, folded away when they are many. */
function Many(props: {
  count: number;
  word: string;
  children: React.ReactElement;
}): React.ReactElement {
  const { trans } = useServices();
  return (
    <details open={props.count <= 12}>
      <summary>{props.word}</summary>
      {props.children}
      {props.count > MOST_ITEMS && (
        <p className="jp-Flyte-note">
          {trans.__('Only the first %1 are shown here.', MOST_ITEMS)}
        </p>
      )}
    </details>
  );
}

function PlaceValue({
  value
}: {
  value: Extract<Shown, { kind: 'place' }>;
}): React.ReactElement {
  const { trans } = useServices();
  const detail = [
    value.detail,
    value.columns.length
      ? trans._n('%1 column: ', '%1 columns: ', value.columns.length) +
        value.columns.join(', ')
      : ''
  ].filter(Boolean);
  const web = /^https?:/.test(value.uri);
  return (
    <span className="jp-Flyte-place">
      {web ? (
        <a href={value.uri} target="_blank" rel="noopener noreferrer">
          {value.uri}
        </a>
      ) : (
        <code>{value.uri}</code>
      )}
      <button
        className="jp-Flyte-iconButton"
        title={trans.__('Copy the path')}
        aria-label={trans.__('Copy the path')}
        onClick={() => void navigator.clipboard.writeText(value.uri)}
      >
        <copyIcon.react tag="span" width="14px" />
      </button>
      {detail.length > 0 && (
        <span className="jp-Flyte-faint">{detail.join(' · ')}</span>
      )}
    </span>
  );
}
