/*
 * client: Parley's HTTP API for page and widget. Plain calls here, the life of one answer in answer.js.
 * No DOM, so it runs in a browser, in the widget on a foreign site and in node's tests alike.
 */

/** What went wrong with a call; `code` is the server's, or `network`, `timeout`, `aborted`, `bad_reply`. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = 'error', field, retryAfter, requestId } = {}) {
    super(message);
    this.name = 'ApiError';
    Object.assign(this, { status, code, field, retryAfter, requestId });
  }

  /** The server does not have this endpoint at all (as opposed to: no such conversation). */
  get absent() {
    return (this.status === 404 && (this.code === 'unknown_path' || this.code === 'http_error')) || this.status === 405;
  }
}

const CALL_TIMEOUT_MS = 20_000;
const id = encodeURIComponent;

function asApiError(error, signal) {
  if (error instanceof ApiError) return error;
  if (signal?.reason instanceof ApiError) return signal.reason;
  if (error.name === 'AbortError') return new ApiError('Aborted.', { code: 'aborted' });
  return new ApiError('The server cannot be reached.', { code: 'network' });
}

/** Read the documented error body; a foreign one (the web server's own page) gets a plain sentence. */
async function errorFrom(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // not ours: status and header say all there is
  }
  const documented = body && typeof body.error === 'string';
  const after = Number(body?.retry_after ?? response.headers.get('Retry-After'));
  return new ApiError(documented ? body.error : `The server answered with status ${response.status}.`, {
    status: response.status,
    code: (documented && body.code) || 'http_error',
    field: body?.field,
    retryAfter: Number.isFinite(after) && after > 0 ? after : undefined,
    requestId: body?.request_id ?? response.headers.get('X-Request-Id') ?? undefined,
  });
}

/** A signal that fires after `ms` or with `outer`; cancel() ends the timer. */
function deadline(ms, outer) {
  const controller = new AbortController();
  const follow = () => controller.abort(outer.reason);
  const timer = setTimeout(
    () => controller.abort(new ApiError('The server took too long to answer.', { code: 'timeout' })),
    ms,
  );
  if (outer?.aborted) follow();
  outer?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    cancel() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', follow);
    },
  };
}

/**
 * Make a client. `base` is the absolute URL of the installation, with a trailing slash; `credentials` as in
 * fetch ("same-origin" on the page, "omit" in the widget); `fetch` may be replaced in tests.
 */
export function createClient({ base, credentials = 'same-origin', fetch: fetcher = globalThis.fetch.bind(globalThis) }) {
  function open(method, path, { body, headers = {}, signal } = {}) {
    const init = { method, credentials, signal, headers, cache: 'no-store' };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json', ...headers };
    }
    return fetcher(new URL(path, base), init);
  }

  /** One call with a JSON answer. Resolves to the object, rejects with ApiError. */
  async function call(method, path, { body, signal, timeout = CALL_TIMEOUT_MS } = {}) {
    const limit = deadline(timeout, signal);
    try {
      const response = await open(method, path, { body, signal: limit.signal });
      if (!response.ok) throw await errorFrom(response);
      if (response.status === 204) return {};
      const reply = await response.json().catch(() => null);
      if (limit.signal.aborted) throw limit.signal.reason;
      if (typeof reply !== 'object' || !reply) throw new ApiError('The server sent something unreadable.', { status: response.status, code: 'bad_reply' });
      return reply;
    } catch (error) {
      throw asApiError(error, limit.signal);
    } finally {
      limit.cancel();
    }
  }

  /** Start an event stream. Resolves to the response (its body not read yet), rejects with ApiError. */
  async function stream(method, path, { body, signal } = {}) {
    try {
      const response = await open(method, path, { body, headers: { Accept: 'text/event-stream' }, signal });
      if (!response.ok) throw await errorFrom(response);
      return response;
    } catch (error) {
      throw asApiError(error, signal);
    }
  }

  return {
    base,
    call,
    stream,
    config: (options) => call('GET', 'api/config', options),
    createSession: () => call('POST', 'api/create-session', { body: {} }),
    eraseSession: (session) => call('DELETE', `api/sessions/${id(session)}`),
    stop: (messageId) => call('POST', 'api/chat/stop', { body: { message_id: messageId }, timeout: 5_000 }),
    conversation: (conversation) => call('GET', `api/conversations/${id(conversation)}`),
  };
}

/** The same client with the calls that only the page makes, so that the widget need not carry them. */
export function createPageClient(options) {
  const client = createClient(options);
  const { base, call } = client;
  return {
    ...client,
    health: (more) => call('GET', 'api/health', more),
    models: () => call('GET', 'api/models'),
    rateLimit: () => call('GET', 'api/rate-limit'),
    remembered: () => call('GET', 'api/memory?limit=200'),
    forget: (fact) => call('DELETE', `api/memory/fact/${id(fact)}`),
    forgetAll: () => call('DELETE', 'api/memory'),
    rate: (messageId, rating) => call('POST', `api/messages/${id(messageId)}/feedback`, { body: { rating } }),
    conversations({ cursor, query } = {}) {
      const search = new URLSearchParams();
      if (cursor) search.set('cursor', cursor);
      if (query) search.set('q', query);
      const text = search.toString();
      return call('GET', text ? `api/conversations?${text}` : 'api/conversations');
    },
    rename: (conversation, title) => call('PATCH', `api/conversations/${id(conversation)}`, { body: { title } }),
    remove: (conversation) => call('DELETE', `api/conversations/${id(conversation)}`),
    exportUrl: (conversation, format) =>
      new URL(`api/conversations/${id(conversation)}/export?format=${id(format)}`, base).href,
  };
}

/** A fresh client_message_id: a repeated send with the same one joins the first instead of asking twice. */
export function makeMessageId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return 'c_' + Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
