/*
 * mock_provider: a scripted OpenAI-compatible provider (POST .../chat/completions, streaming, HTTP/1.1)
 * for the tests. It can answer properly, slowly, badly or not at all, and it remembers what it was asked
 * and when its client left.
 *
 *   const mock = await startMock();          // mock.url is what OPENAI_API_BASE wants
 *   ... message "Hello mock:deltas=3,delay=50" ...
 *   mock.requests                            // every request, in order (see class Call)
 *   await mock.waitCall("Hello")             // the first request whose question contains that
 *   await mock.stop();
 *
 * Which script a request gets, strongest first: what the function given to mock.script(fn) returns for it
 * (an object as below, or an async function (call, res) that does everything itself), else `mock:...` in
 * the last user message, else `mock:...` in the model's name, else the defaults. Because the message picks
 * the script, tests that run at the same time do not meet.
 *
 * A script: comma-separated key=value, or the same keys in an object.
 *   deltas=N      pieces of text (3)          text=WORD  each piece, default "w0 ", "w1 ", ...
 *   delay=MS      between pieces (0)          size=N     pieces of N letters "x"
 *   head=MS       before the response head    first=MS   between head and first piece
 *   step=1        no piece after the first before the test has called call.step(); step=2: nor the first
 *   stamp=1       pieces are "[<process.hrtime in ns>] ": when each one left
 *   finish=WORD   finish_reason (stop)        usage=0    no usage chunk, although asked for
 *   done=0        no [DONE]                   crlf=1     CRLF line ends
 *   comments=1    comment lines and unknown fields between the frames
 *   split=N       the body goes out N bytes at a time    pause=MS  between those pieces
 *   status=N      an error reply with OpenAI's error body; retry_after=TEXT, code=WORD go with it
 *   fault=WORD    closed (connection closed before any byte), nothttp, garbage (200, random bytes),
 *                 html (200, a page), empty (200, no bytes), notsse (200, plain JSON),
 *                 lf (a proper answer, but the lines of the response head end with LF alone),
 *                 badjson (200, frames that are no JSON)
 *   cut=N         after N pieces the socket is destroyed
 *   end=N         after N pieces the body ends properly, without finish_reason and [DONE]
 *   error=N       after N pieces an error frame
 *   line=BYTES    after the first piece a line of so many bytes
 *   badutf8=N     piece N carries bytes that are not UTF-8
 *   hang=WHERE    silence for ever: head (before the response head), first (before the first piece), or a
 *                 number: after so many pieces
 */
import { EventEmitter } from 'node:events';
import http from 'node:http';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

const NUMBERS = ['deltas', 'delay', 'size', 'head', 'first', 'stamp', 'step', 'usage', 'done', 'crlf', 'comments',
  'split', 'pause', 'status', 'cut', 'end', 'error', 'line', 'badutf8'];
const DEFAULTS = { deltas: 3, delay: 0, head: 0, first: 0, usage: 1, done: 1, finish: 'stop' };

/* One request and what became of it. */
class Call {
  constructor(n, req, body) {
    this.n = n;
    this.at = process.hrtime.bigint();
    this.method = req.method;
    this.path = req.url;
    this.headers = req.headers;
    this.port = req.socket.remotePort; /* tells connections apart */
    this.body = body.toString();
    try { this.json = JSON.parse(this.body); } catch { this.json = null; }
    this.model = this.json?.model ?? '';
    this.messages = this.json?.messages ?? [];
    this.question = [...this.messages].reverse().find((m) => m.role === 'user')?.content ?? '';
    this.sent = [];      /* {at, text} of every piece of text */
    this.finished = false; /* the reply went out whole */
    this.brokenByUs = false;
    this.leftAt = null;  /* when the client closed the connection before that */
    this.left = new Promise((resolve) => { this.leave = resolve; });
    this.ended = new Promise((resolve) => { this.end = resolve; });
    this.steps = 0;
    this.wake = null;
  }
  /* Lets the next pieces of a script with step=1 go. */
  step(count = 1) {
    this.steps += count;
    this.wake?.();
  }
  async nextStep() {
    while (!this.steps && !this.leftAt) await Promise.race([new Promise((resolve) => { this.wake = resolve; }), this.left]);
    this.steps -= 1;
  }
  get text() { return this.sent.map((piece) => piece.text).join(''); }
}

export function parseScript(words) {
  const script = {};
  for (const pair of words.split(',').filter(Boolean)) {
    const [key, value = '1'] = pair.split(/=(.*)/s);
    script[key] = NUMBERS.includes(key) ? Number(value) : value;
  }
  return script;
}

function scriptOf(call) {
  for (const place of [call.question, call.model]) {
    const found = /mock:([^\s"]*)/.exec(typeof place === 'string' ? place : JSON.stringify(place));
    if (found) return parseScript(found[1]);
  }
  return {};
}

function pieceText(script, i) {
  if (script.stamp) return `[${process.hrtime.bigint()}] `;
  if (script.size) return 'x'.repeat(script.size);
  return script.text ?? `w${i} `;
}

/* Writes the body of one reply; knows line ends and splitting. */
class Body {
  constructor(res, script) {
    this.res = res;
    this.script = script;
    this.nl = script.crlf ? '\r\n' : '\n';
  }
  async bytes(data) {
    const { split, pause } = this.script;
    if (!split) {
      this.res.write(data);
      return;
    }
    for (let at = 0; at < data.length && !this.res.destroyed; at += split) {
      this.res.write(data.subarray(at, at + split));
      await (pause ? sleep(pause) : turn());
    }
  }
  async frame(json) {
    const noise = this.script.comments ? `: a comment${this.nl}x-unknown: field${this.nl}retry: 10${this.nl}` : '';
    await this.bytes(Buffer.from(`${noise}data: ${JSON.stringify(json)}${this.nl}${this.nl}`));
  }
}

function chunk(call, delta, finish = null, more = {}) {
  return { id: `chatcmpl-mock${call.n}`, object: 'chat.completion.chunk', created: 1700000000,
    model: `${call.model || 'mock'}-2024`, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    ...more };
}

function usageChunk(call, script) {
  const completion = script.deltas;
  return { ...chunk(call, {}), choices: [],
    usage: { prompt_tokens: 11, completion_tokens: completion, total_tokens: 11 + completion } };
}

function errorBody(status, script) {
  return JSON.stringify({ error: { message: `mock says ${status} for key sk-verysecret`, type: script.code ?? 'mock_error',
    param: null, code: script.code ?? null } });
}

/* Replies that are not a stream of frames. True when one was due. */
function replyBadly(call, res, script) {
  const whole = (status, type, data, headers = {}) => {
    res.writeHead(status, { 'Content-Type': type, ...headers });
    res.end(data);
  };
  if (script.status) {
    const headers = script.retry_after ? { 'Retry-After': script.retry_after } : {};
    whole(script.status, 'application/json', errorBody(script.status, script), headers);
    return true;
  }
  const faults = {
    closed: () => { call.brokenByUs = true; res.socket.destroy(); },
    nothttp: () => { call.brokenByUs = true; res.socket.end('\x16\x03\x01 this is no HTTP at all\r\n\r\n'); },
    garbage: () => whole(200, 'text/event-stream', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 131 + 7) & 255))),
    html: () => whole(200, 'text/html', '<!doctype html><html><body>Sign in to this WiFi</body></html>'),
    lf: () => res.socket.end(`HTTP/1.1 200 OK\nContent-Type: text/event-stream\nConnection: close\n\ndata: ${JSON.stringify(chunk(call, { content: 'w0 ' }, 'stop'))}\n\n`),
    empty: () => whole(200, 'text/event-stream', ''),
    notsse: () => whole(200, 'application/json', '{"hello":"world"}'),
    badjson: () => whole(200, 'text/event-stream', 'data: {"choices":[{"delta":{"content":"hal\n\ndata: [DONE]\n\n'),
  };
  if (!faults[script.fault]) return false;
  faults[script.fault]();
  return true;
}

/* What stands after piece i (i pieces are out); true when the reply ended there. */
async function interrupt(call, res, body, script, i) {
  if (script.hang === String(i) && i > 0) {
    await call.left;
    return true;
  }
  if (script.cut === i) {
    await turn(); /* let the piece before leave the socket */
    call.brokenByUs = true;
    res.socket.destroy();
    return true;
  }
  if (script.end === i) {
    res.end();
    return true;
  }
  if (script.error === i) {
    await body.frame({ error: { message: 'the mock broke, key sk-verysecret', type: 'server_error', param: null, code: null } });
    res.end();
    return true;
  }
  if (script.line && i === 1) await body.bytes(Buffer.concat([Buffer.from('data: "'), Buffer.alloc(script.line, 'x')]));
  return false;
}

async function sendPiece(call, body, script, i) {
  if (script.badutf8 === i) {
    const whole = Buffer.from(`data: ${JSON.stringify(chunk(call, { content: 'bad~~utf8 ' }))}${body.nl}${body.nl}`);
    whole.set([0xc3, 0x28], whole.indexOf('~~'));
    await body.bytes(whole);
    call.sent.push({ at: process.hrtime.bigint(), text: 'bad' });
    return;
  }
  const text = pieceText(script, i);
  call.sent.push({ at: process.hrtime.bigint(), text });
  await body.frame(chunk(call, { content: text }));
}

async function stream(call, res, script) {
  if (script.hang === 'head') return void (await call.left);
  if (script.head) await sleep(script.head);
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  res.flushHeaders();
  if (script.hang === 'first') return void (await call.left);
  if (script.first) await sleep(script.first);
  const body = new Body(res, script);
  await body.frame(chunk(call, { role: 'assistant', content: '' }));
  for (let i = 0; i < script.deltas; i++) {
    if (i > 0 && script.delay) await sleep(script.delay);
    if (script.step > (i > 0 ? 0 : 1)) await call.nextStep();
    if (res.destroyed || await interrupt(call, res, body, script, i)) return;
    await sendPiece(call, body, script, i);
  }
  if (await interrupt(call, res, body, script, script.deltas)) return;
  await body.frame(chunk(call, {}, script.finish));
  if (script.usage && call.json?.stream_options?.include_usage) await body.frame(usageChunk(call, script));
  if (script.done) await body.bytes(Buffer.from(`data: [DONE]${body.nl}${body.nl}`));
  res.end();
}

/* A vector of a text without any model: its words' letters in threes, hashed into `size` places. Texts with words in
 * common, whatever their endings, point in similar directions. */
export function vectorOf(text, size = 256) {
  const vector = new Array(size).fill(0);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    const padded = ` ${word} `;
    for (let at = 0; at + 3 <= padded.length; at++) {
      let hash = 2166136261;
      for (const c of padded.slice(at, at + 3)) hash = Math.imul(hash ^ c.codePointAt(0), 16777619) >>> 0;
      vector[hash % size] += 1;
    }
  }
  return vector;
}

/* Answers POST .../embeddings with vectorOf. */
export async function vectorsOf(call, res) {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify({ object: 'list', model: call.model, usage: { prompt_tokens: 1, total_tokens: 1 },
    data: [call.json.input].flat().map((text, index) => ({ object: 'embedding', index, embedding: vectorOf(text) })) }));
}

class Mock extends EventEmitter {
  constructor() {
    super();
    this.setMaxListeners(0);
    this.requests = [];
    this.scripts = [];
    this.sockets = new Set();
    this.server = http.createServer({ noDelay: true, keepAliveTimeout: 60000 }, (req, res) => this.#take(req, res));
    this.server.requestTimeout = 0;
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
    });
  }
  async listen(port) {
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', 4096, resolve);
    });
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/v1`;
  }
  async #take(req, res) {
    const parts = [];
    try {
      for await (const part of req) parts.push(part);
    } catch { return; }
    const call = new Call(this.requests.length, req, Buffer.concat(parts));
    res.on('close', () => {
      call.finished = res.writableFinished;
      if (!call.finished && !call.brokenByUs) {
        call.leftAt = process.hrtime.bigint();
        call.leave(call.leftAt);
        this.emit('left', call);
      }
      call.end();
    });
    this.requests.push(call);
    this.emit('call', call);
    await this.#answer(call, res);
  }
  async #answer(call, res) {
    if (this.embeddings && call.path.endsWith('/embeddings')) {
      await this.embeddings(call, res);
      return;
    }
    if (call.method !== 'POST' || !call.path.endsWith('/chat/completions') || call.json?.stream !== true) {
      res.writeHead(404, { 'Content-Type': 'application/json' });
      res.end(errorBody(404, {}));
      return;
    }
    const own = this.scripts.map((fn) => fn(call)).find(Boolean);
    if (typeof own === 'function') {
      await own(call, res);
      return;
    }
    const script = { ...DEFAULTS, ...(own ?? scriptOf(call)) };
    if (!replyBadly(call, res, script)) await stream(call, res, script);
  }

  /* fn(call) -> script object, async function (call, res), or undefined for "not mine". */
  script(fn) { this.scripts.push(fn); }

  /* embeddings = async function (call, res): answers POST .../embeddings; see vectorsOf. */
  embeddings = null;

  /* Requests whose question contains `words`. */
  calls(words) { return this.requests.filter((call) => String(call.question).includes(words)); }

  /* The first request whose question contains `words`; waits for it. */
  async waitCall(words, ms = 5000) {
    const [known] = this.calls(words);
    if (known) return known;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.off('call', look);
        reject(new Error(`the provider was not asked "${words}" within ${ms} ms`));
      }, ms);
      const look = (call) => {
        if (!String(call.question).includes(words)) return;
        clearTimeout(timer);
        this.off('call', look);
        resolve(call);
      };
      this.on('call', look);
    });
  }

  /* Connections that Parley holds open now. */
  get connections() { return this.sockets.size; }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export async function startMock({ port = 0 } = {}) {
  const mock = new Mock();
  await mock.listen(port);
  return mock;
}
