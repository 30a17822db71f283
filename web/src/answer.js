/*
 * answer: follows one answer from the question to its last frame, whatever happens on the way. Streams it;
 * takes it up again where it broke off; asks by long-poll where a proxy holds the stream back.
 *
 * Offsets are bytes of UTF-8 text, as in the server's frame ids, so that nothing is shown twice or missed.
 */
import { ApiError } from './client.js';
import { createSseReader } from './sse.js';

const RESUME_DELAYS_MS = [300, 700, 1500, 3000, 5000, 8000, 8000];
const SILENCE_MS = 45_000; // three heartbeats of the server
const STOP_GRACE_MS = 3_000;
const POLL_WAIT_S = 20;
/* The server sends its first frame within a second. Nothing for this long means that somebody holds it back. */
const HELD_BACK_MS = 2_000;
const LUMP_MS = 150;
const SWITCH_MS = 5_000;
const KNOWN_WAIT_MS = 4_000;

const encoder = new TextEncoder();
/** What the server counts. */
export const byteLength = (text) => encoder.encode(text).length;

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new ApiError('Aborted.', { code: 'aborted' }));
    }, { once: true });
  });
}

/** Does this timing show a host that delivers the stream only when it is complete? */
export function looksHeldBack({ sentAt, firstAt, lastAt, deltas }) {
  return deltas >= 4 && firstAt - sentAt > HELD_BACK_MS && lastAt - firstAt < LUMP_MS;
}

/**
 * What all answers of a visit share: `buffered` is set when a stream turns out to be held back, `poll` says that the server
 * knows "deliver":"poll", `tools` that it runs tools and tells of them when asked. The last two come with learn(features);
 * a question that is sent earlier waits for them, though not for ever.
 */
export function createLink() {
  let learned;
  const known = new Promise((resolve) => { learned = resolve; });
  return {
    buffered: false, poll: false, tools: false, known,
    learn(features) {
      this.poll = features?.poll === true;
      this.tools = features?.tool_calls === true;
      learned();
    },
  };
}

/**
 * Follow an answer.
 * `source`: {path, body, choose?} asks a question (path is the streaming endpoint; with streamOnly it has no long-poll twin;
 * choose() gives what is chosen beside it when it is sent), or {messageId, after} joins an answer. `link`: see createLink.
 * `on.start(ids)`, `on.text(piece)`, `on.reasoning(piece)`, `on.tool(call)` (when it begins, and again when it is over),
 * `on.waiting(isWaiting)` are called as things happen.
 * Returns {done, stop(), leave()}: `done` resolves to the last frame (finish_reason, usage, provider, model, and error and
 * code when the answer failed half way) or rejects with ApiError; stop() ends the answer on the server, leave() only our
 * reading of it.
 */
export function followAnswer(client, source, link, on) {
  const leaving = new AbortController();
  const state = { messageId: source.messageId ?? null, offset: source.after ?? 0, ended: null, stopping: false };
  let begun;
  const head = new Promise((resolve) => { begun = resolve; });
  const timing = { sentAt: 0, firstAt: 0, lastAt: 0, deltas: 0 };
  const andTools = () => (link.tools ? '&tool_calls=true' : '');
  const question = () => ({ ...source.body, ...source.choose?.(), ...(link.tools ? { tool_calls: true } : {}) });

  function begin(frame) {
    if (!frame.message_id || state.messageId === frame.message_id) return;
    state.messageId = frame.message_id;
    begun();
    on.start?.(frame);
  }

  function addText(piece, endOffset) {
    if (!piece) return;
    let text = piece;
    if (endOffset !== null) {
      const known = state.offset - (endOffset - byteLength(piece));
      if (known >= byteLength(piece)) return;
      if (known > 0) text = new TextDecoder().decode(encoder.encode(piece).slice(known));
    }
    state.offset = endOffset ?? state.offset + byteLength(text);
    timing.deltas += 1;
    on.text?.(text);
  }

  function frame(event) {
    if (event.data.startsWith('[DONE]')) return;
    let body;
    try {
      body = JSON.parse(event.data);
    } catch {
      return;
    }
    if (!body || typeof body !== 'object') return;
    timing.firstAt ||= performance.now();
    timing.lastAt = performance.now();
    begin(body);
    if (typeof body.reasoning === 'string' && body.reasoning) on.reasoning?.(body.reasoning);
    if (body.tool) on.tool?.(body.tool);
    const mark = /:(\d+)$/.exec(event.id);
    if (typeof body.content === 'string') addText(body.content, mark ? Number(mark[1]) : null);
    if (body.done === true || body.error) state.ended = body;
  }

  /** Read a stream to its end. True: the last frame came. */
  async function read(response, giveUp) {
    const silence = new ApiError('The server fell silent.', { code: 'network' });
    const reader = response.body.getReader();
    const sse = createSseReader(frame);
    let timer;
    const quiet = () => {
      clearTimeout(timer);
      timer = setTimeout(() => giveUp.abort(silence), SILENCE_MS);
    };
    try {
      for (;;) {
        quiet();
        const { done, value } = await reader.read();
        if (done) break;
        sse.push(value);
        if (state.ended) break;
      }
      if (!state.ended) sse.end();
    } catch (error) {
      if (leaving.signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
      reader.cancel().catch(() => {});
    }
    return state.ended !== null;
  }

  function scope() {
    const inner = new AbortController();
    const end = () => inner.abort(leaving.signal.reason);
    if (leaving.signal.aborted) end();
    leaving.signal.addEventListener('abort', end, { once: true });
    return inner;
  }

  async function poll() {
    while (!state.ended) {
      const search = `after=${state.offset}&wait=${POLL_WAIT_S}${andTools()}`;
      const part = await client.call('GET', `api/messages/${encodeURIComponent(state.messageId)}?${search}`, {
        signal: leaving.signal,
        timeout: (POLL_WAIT_S + 10) * 1000,
      });
      part.tool_calls?.forEach((call) => on.tool?.(call));
      addText(part.content ?? '', Number.isFinite(part.next) ? part.next : null);
      if (part.done) state.ended = { done: true, ...part, content: '' };
    }
  }

  async function resume(delays) {
    let last = new ApiError('The connection was lost.', { code: 'connection_lost' });
    on.waiting?.(true);
    for (let attempt = 0; attempt < delays.length && !state.ended; attempt += 1) {
      const before = state.offset;
      try {
        await pause(delays[attempt], leaving.signal);
        if (link.buffered) await poll();
        else {
          const giveUp = scope();
          const path = `api/chat/stream/${encodeURIComponent(state.messageId)}?after=${state.offset}${andTools()}`;
          const response = await client.stream('GET', path, { signal: giveUp.signal });
          on.waiting?.(false);
          await read(response, giveUp);
        }
      } catch (error) {
        if (leaving.signal.aborted) throw error;
        if (error.absent) throw new ApiError(last.message, { code: 'connection_lost' });
        if (error.status && error.status < 500 && error.status !== 429) throw error;
        last = error;
      }
      if (state.offset > before) attempt = -1;
    }
    on.waiting?.(false);
    if (!state.ended) throw last;
  }

  /** A reply that is not a stream: the whole answer at once, or the ticket for a long-poll. */
  async function take(reply) {
    // A web page, for example: somebody between us and the server has something to say.
    if (!reply?.message_id && typeof reply?.response !== 'string') throw new ApiError('The server sent something unreadable.', { code: 'bad_reply' });
    begin(reply);
    if (typeof reply.response === 'string') {
      addText(reply.response, null);
      state.ended = { done: true, finish_reason: reply.status === 'fallback' ? 'fallback' : 'stop', ...reply };
    } else await poll();
  }

  const askByPoll = () =>
    client.call('POST', 'api/chat', { body: { ...question(), deliver: 'poll' }, signal: leaving.signal, timeout: 120_000 });

  async function ask() {
    timing.sentAt = performance.now();
    if (link.buffered && link.poll && !source.streamOnly) return take(await askByPoll());

    const giveUp = scope();
    let switched = false;
    // Nothing for so long: ask again with the same client_message_id, which joins the answer, and poll for it.
    const timer = setTimeout(() => {
      if (!link.poll || source.streamOnly || timing.firstAt) return;
      switched = true;
      giveUp.abort(new ApiError('Held back.', { code: 'network' }));
    }, SWITCH_MS);
    try {
      const response = await client.stream('POST', source.path, { body: question(), signal: giveUp.signal });
      if (!/event-stream/.test(response.headers.get('Content-Type') ?? '')) return await take(await response.json().catch(() => null));
      await read(response, giveUp);
    } catch (error) {
      if (!switched) throw error;
    } finally {
      clearTimeout(timer);
    }
    if (switched && !state.ended) {
      link.buffered = true;
      return take(await askByPoll());
    }
    if (!state.ended && !state.messageId)
      throw new ApiError('The connection was lost before the answer began.', { code: 'network' });
    if (looksHeldBack(timing)) link.buffered = true;
    return undefined;
  }

  /** A question that may or may not have arrived: with its client_message_id it can be sent again without harm. */
  async function askAgain() {
    try {
      return await ask();
    } catch (error) {
      if (error.code !== 'network' || state.messageId || !link.poll || source.streamOnly || leaving.signal.aborted) throw error;
    }
    on.waiting?.(true);
    await pause(RESUME_DELAYS_MS[2], leaving.signal);
    on.waiting?.(false);
    return ask();
  }

  async function run() {
    await Promise.race([link.known, pause(KNOWN_WAIT_MS, leaving.signal)]);
    if (source.messageId) {
      await resume([0, ...RESUME_DELAYS_MS]);
    } else {
      await askAgain();
      if (!state.ended) await resume(RESUME_DELAYS_MS);
    }
    return state.ended;
  }

  async function stop() {
    if (state.stopping) return;
    state.stopping = true;
    // Sent, but without a name so far: it comes within a second, unless the question was lost.
    if (timing.sentAt && !state.messageId) await Promise.race([head, pause(STOP_GRACE_MS, leaving.signal)]).catch(() => {});
    if (state.messageId) {
      try {
        await client.stop(state.messageId);
        await pause(STOP_GRACE_MS, leaving.signal).catch(() => {});
      } catch {
        // no such endpoint, or no connection: closing ours is all that is left
      }
    }
    leaving.abort(new ApiError('Stopped.', { code: 'aborted' }));
  }

  const done = run().then(
    (last) => last,
    (error) => {
      if (state.stopping) return { done: true, finish_reason: 'stopped', message_id: state.messageId };
      throw error;
    },
  ).finally(() => leaving.abort(new ApiError('Over.', { code: 'aborted' })));
  return {
    done,
    stop,
    leave: () => leaving.abort(new ApiError('Left.', { code: 'aborted' })),
    get messageId() { return state.messageId; },
  };
}
