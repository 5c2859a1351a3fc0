/** Requests to the control plane, through the Jupyter server. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type {
  DynamicNodeWorkflowResponse,
  Execution,
  ExecutionCreateResponse,
  ExecutionList,
  Literal,
  NodeExecutionGetDataResponse,
  Signal,
  SignalList,
  TaskExecution,
  TaskExecutionIdentifier,
  Workflow,
  WorkflowExecutionGetDataResponse,
  WorkflowExecutionIdentifier
} from './types';

const ROOT = 'flyte-jupyter';

/** A request that the server refused; `code` is gRPC's, 2 (unknown) when there was none. */
export class FlyteError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: number
  ) {
    super(message);
    this.name = 'FlyteError';
  }
}

/** What to send with a request. */
interface Ask {
  method?: 'GET' | 'POST' | 'DELETE';
  query?: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal;
}

/** What we read of the control plane's status (docs/protocol.md, section 1). */
export interface Status {
  notices?: readonly string[];
}

/** A page of executions to ask for; the newest come first. */
export interface PageRequest {
  project: string;
  domain: string;
  limit: number;
  filters: string;
  token: string;
}

/** The control plane's REST API, as far as this extension uses it. */
export class FlyteClient {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** What the control plane says about itself. Raises FlyteError. */
  status(signal?: AbortSignal): Promise<Status> {
    return this.json('x/v1/status', { signal });
  }

  /** Executions, the newest first. Raises FlyteError. */
  executions(page: PageRequest, signal?: AbortSignal): Promise<ExecutionList> {
    const query = {
      limit: String(page.limit),
      filters: page.filters,
      token: page.token,
      'sort_by.key': 'created_at',
      'sort_by.direction': 'DESCENDING'
    };
    return this.json(path('api/v1/executions', page.project, page.domain), {
      query,
      signal
    });
  }

  /** One execution. Raises FlyteError. */
  execution(id: WorkflowExecutionIdentifier): Promise<Execution> {
    return this.json(executionPath('api/v1/executions', id));
  }

  /** What went into and came out of an execution. Raises FlyteError. */
  executionData(
    id: WorkflowExecutionIdentifier,
    signal?: AbortSignal
  ): Promise<WorkflowExecutionGetDataResponse> {
    return this.json(executionPath('api/v1/data/executions', id), { signal });
  }

  /** What went into and came out of a node. Raises FlyteError. */
  nodeData(
    id: WorkflowExecutionIdentifier,
    node: string,
    signal?: AbortSignal
  ): Promise<NodeExecutionGetDataResponse> {
    return this.json(executionPath('api/v1/data/node_executions', id, node), {
      signal
    });
  }

  /** A compiled workflow. Raises FlyteError. */
  workflow(
    id: { project: string; domain: string; name: string; version: string },
    signal?: AbortSignal
  ): Promise<Workflow> {
    return this.json(
      path('api/v1/workflows', id.project, id.domain, id.name, id.version),
      {
        signal
      }
    );
  }

  /** The graph that a dynamic node has made. Raises FlyteError. */
  expansion(
    id: WorkflowExecutionIdentifier,
    node: string,
    signal?: AbortSignal
  ): Promise<DynamicNodeWorkflowResponse> {
    return this.json(
      `${executionPath('api/v1/node_executions', id, node)}/dynamic_workflow`,
      { signal }
    );
  }

  /** One attempt, of an array node with the first 10,000 of its items. Raises FlyteError. */
  attempt(id: TaskExecutionIdentifier, signal?: AbortSignal): Promise<TaskExecution> {
    const [node, task] = [id.node_execution_id, id.task_id];
    const run = node?.execution_id;
    return this.json(
      path(
        'api/v1/task_executions',
        run?.project ?? '',
        run?.domain ?? '',
        run?.name ?? '',
        node?.node_id ?? '',
        task?.project ?? '',
        task?.domain ?? '',
        task?.name ?? '',
        task?.version ?? '',
        String(id.retry_attempt)
      ),
      { signal }
    );
  }

  /** The signal that a gate waits for, or has waited for; undefined when there is none. Raises FlyteError. */
  async signal(
    id: WorkflowExecutionIdentifier,
    name: string,
    signal?: AbortSignal
  ): Promise<Signal | undefined> {
    let token = '';
    do {
      const query = { limit: '100', token };
      const page = await this.json<SignalList>(executionPath('api/v1/signals', id), {
        query,
        signal
      });
      const found = page.signals.find(each => each.id?.signal_id === name);
      if (found) {
        return found;
      }
      token = page.token;
    } while (token);
    return undefined;
  }

  /** Answer a gate. Raises FlyteError. */
  async setSignal(
    { project, domain, name }: WorkflowExecutionIdentifier,
    signal: string,
    value: Literal
  ): Promise<void> {
    const id = { signal_id: signal, execution_id: { project, domain, name } };
    await this.request('api/v1/signals', { method: 'POST', body: { id, value } });
  }

  /** A node's deck as HTML that nobody has checked; undefined when it has none. */
  async deck(
    id: WorkflowExecutionIdentifier,
    node: string,
    attempt: number,
    signal?: AbortSignal
  ): Promise<string | undefined> {
    const query = { attempt: String(attempt) };
    try {
      const answer = await this.request(executionPath('x/v1/decks', id, node), {
        query,
        signal
      });
      return await answer.text();
    } catch (error) {
      if (error instanceof FlyteError && error.status === 404) {
        return undefined;
      }
      throw error;
    }
  }

  /** Stop an execution; `cause` is shown with it. Raises FlyteError. */
  async abort(id: WorkflowExecutionIdentifier, cause: string): Promise<void> {
    await this.request(executionPath('api/v1/executions', id), {
      method: 'DELETE',
      body: { cause }
    });
  }

  /** Start the same workflow on the same inputs again; the new execution's id. Raises FlyteError. */
  relaunch(id: WorkflowExecutionIdentifier): Promise<WorkflowExecutionIdentifier> {
    return this.again('api/v1/executions/relaunch', id);
  }

  /** The same, taking over what has succeeded; the new execution's id. Raises FlyteError. */
  recover(id: WorkflowExecutionIdentifier): Promise<WorkflowExecutionIdentifier> {
    return this.again('api/v1/executions/recover', id);
  }

  private async again(
    where: string,
    { project, domain, name }: WorkflowExecutionIdentifier
  ): Promise<WorkflowExecutionIdentifier> {
    const body = { id: { project, domain, name } };
    const answer = await this.json<ExecutionCreateResponse>(where, {
      method: 'POST',
      body
    });
    if (!answer.id) {
      throw new FlyteError(
        'The control plane did not name the new execution.',
        200,
        13
      );
    }
    return answer.id;
  }

  private async json<T>(where: string, ask: Ask = {}): Promise<T> {
    return (await (await this.request(where, ask)).json()) as T;
  }

  /** The one place where a request leaves. */
  private async request(where: string, ask: Ask): Promise<Response> {
    const query = ask.query ? URLExt.objectToQueryString(ask.query) : '';
    const url = URLExt.join(this.settings.baseUrl, ROOT, where) + query;
    const init: RequestInit = {
      method: ask.method ?? 'GET',
      signal: ask.signal,
      // JupyterLab's default, no-store, adds the time to the URL: the API knows no such field.
      cache: 'no-cache'
    };
    if (ask.body !== undefined) {
      init.body = JSON.stringify(ask.body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    const answer = await ServerConnection.makeRequest(url, init, this.settings);
    if (!answer.ok) {
      throw await refusal(answer);
    }
    return answer;
  }
}

/** A path whose parts are data: each is escaped, slashes too. */
function path(root: string, ...parts: string[]): string {
  return [root, ...parts.map(encodeURIComponent)].join('/');
}

function executionPath(
  root: string,
  id: WorkflowExecutionIdentifier,
  ...rest: string[]
): string {
  return path(root, id.project, id.domain, id.name, ...rest);
}

async function refusal(answer: Response): Promise<FlyteError> {
  const text = await answer.text();
  try {
    const said = JSON.parse(text) as { code?: number; message?: string };
    return new FlyteError(
      said.message ?? answer.statusText,
      answer.status,
      said.code ?? 2
    );
  } catch {
    // Not from the control plane: a proxy's page, say, which nobody wants to read.
    return new FlyteError(`${answer.status} ${answer.statusText}`, answer.status, 2);
  }
}
