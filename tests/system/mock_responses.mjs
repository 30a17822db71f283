/*
 * mock_responses: a scripted stand-in for everything that the Responses app talks to: OpenAI's Responses,
 * files, vector stores and containers, Google's token and revocation addresses, the weather and joke services.
 *
 *   const mock = await startResponsesMock();
 *   mock.env                       // settings of Parley that point to it
 *   mock.calls                     // every request: {method, path, query, headers, body, json, left}
 *   mock.turns                     // those to /v1/responses
 *   mock.answer(fn)                // fn(call) -> events of the next turns (array), or async fn(call, res) itself
 *   mock.split = 1                 // turns are sent in pieces of so many bytes, each a write of its own
 *   mock.on('GET /geo/search', (call, res) => ...)
 *
 * events.* make the event sequences that the API sends. A turn without a script answers "You said: ...".
 */
import { EventEmitter } from 'node:events';
import http from 'node:http';

let counter = 0;
/* Ids are never used twice, as the API's. */
export const newId = (prefix) => `${prefix}_${(++counter).toString(16).padStart(8, '0')}${Math.random().toString(16).slice(2, 10)}`;

const message = (id, text) => ({ id, type: 'message', status: 'completed', role: 'assistant',
  content: [{ type: 'output_text', annotations: [], logprobs: [], text }] });

export const events = {
  /* pieces of text; the sequence that the API sends for a plain message */
  text(...pieces) {
    const id = newId('msg');
    const item = message(id, pieces.join(''));
    return [
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
      { type: 'response.content_part.added', item_id: id, output_index: 0, content_index: 0, part: { type: 'output_text', text: '' } },
      ...pieces.map((delta) => ({ type: 'response.output_text.delta', item_id: id, output_index: 0, content_index: 0, delta })),
      { type: 'response.output_text.done', item_id: id, output_index: 0, content_index: 0, text: pieces.join('') },
      { type: 'response.output_item.done', output_index: 0, item },
    ];
  },
  call(name, args) {
    const id = newId('fc');
    const call = { id, type: 'function_call', status: 'completed', call_id: newId('call'), name, arguments: JSON.stringify(args) };
    return [
      { type: 'response.output_item.added', output_index: 0, item: { ...call, status: 'in_progress', arguments: '' } },
      { type: 'response.function_call_arguments.delta', item_id: id, output_index: 0, delta: call.arguments },
      { type: 'response.function_call_arguments.done', item_id: id, output_index: 0, arguments: call.arguments },
      { type: 'response.output_item.done', output_index: 0, item: call },
    ];
  },
  item(item, between = []) {
    const whole = { id: newId(item.type.slice(0, 3)), status: 'completed', ...item };
    return [{ type: 'response.output_item.added', output_index: 0, item: { ...whole, status: 'in_progress' } },
      ...between.map((event) => ({ item_id: whole.id, output_index: 0, ...event })),
      { type: 'response.output_item.done', output_index: 0, item: whole }];
  },
  annotation(annotation) { return [{ type: 'response.output_text.annotation.added', annotation_index: 0, annotation }]; },
};

/* The events of a whole response around those of its items. */
export function wrap(list, call) {
  const id = newId('resp');
  const response = { id, object: 'response', model: call?.json?.model ?? 'mock', status: 'in_progress', error: null, output: [] };
  const output = list.filter((event) => event.type === 'response.output_item.done').map((event) => event.item);
  const all = [{ type: 'response.created', response }, { type: 'response.in_progress', response }, ...list];
  if (!list.some((event) => /^(error|response\.(failed|incomplete))$/.test(event.type))) {
    all.push({ type: 'response.completed', response: { ...response, status: 'completed', output,
      usage: { input_tokens: 21, output_tokens: 7, total_tokens: 28 } } });
  }
  return all.map((event, sequence_number) => ({ ...event, sequence_number }));
}

export const frame = (event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

function question(call) {
  const last = [...(call.json?.input ?? [])].reverse().find((item) => item.role === 'user');
  return typeof last?.content === 'string' ? last.content : JSON.stringify(last?.content ?? '');
}

const json = (res, status, value, headers = {}) => {
  res.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  res.end(JSON.stringify(value));
};

class ResponsesMock extends EventEmitter {
  constructor() {
    super();
    this.calls = [];
    this.scripts = [];
    this.handlers = new Map();
    this.sockets = new Set();
    this.codes = new Map(); /* Google's: code -> {challenge, redirect_uri} */
    this.server = http.createServer((req, res) => this.#take(req, res));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.on('GET /geo/search', (call, res) => json(res, 200, call.query.get('q') === 'Nowhere' ? []
      : [{ lat: '52.5170365', lon: '13.3888599', display_name: call.query.get('q') }]));
    this.on('GET /wx/forecast', (call, res) => {
      const hour = new Date().toISOString().slice(0, 13);
      json(res, 200, { hourly: { time: ['2020-01-01T00:00', `${hour}:00`], temperature_2m: [1, 21.5] } });
    });
    this.on('GET /joke/joke/Programming', (call, res) => json(res, 200, { error: false, type: 'single', joke: 'There are 10 kinds of people.' }));
    this.on('POST /v1/responses', (call, res) => this.#turn(call, res));
  }

  on(what, handler) {
    if (!/^[A-Z]+ \//.test(what)) return super.on(what, handler);
    this.handlers.set(what, handler);
    return this;
  }
  answer(script) { this.scripts.push(script); }
  get turns() { return this.calls.filter((call) => call.path === '/v1/responses'); }
  of(path) { return this.calls.filter((call) => call.path === path); }

  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    this.env = {
      OPENAI_API_BASE: `${this.url}/v1`, OPENAI_API_KEY: 'sk-test-secret', OPENAI_MODEL: 'mock-model',
      WEATHER_GEOCODE_BASE: `${this.url}/geo`, WEATHER_FORECAST_BASE: `${this.url}/wx`, JOKE_BASE: `${this.url}/joke`,
      GOOGLE_AUTH_URL: `${this.url}/google/auth`, GOOGLE_TOKEN_URL: `${this.url}/google/token`,
      GOOGLE_REVOKE_URL: `${this.url}/google/revoke`,
    };
  }

  async #take(req, res) {
    const at = new URL(req.url, 'http://mock');
    const parts = [];
    const call = { method: req.method, path: at.pathname, url: req.url, query: at.searchParams, headers: req.headers, left: false };
    call.leaving = new Promise((resolve) => res.on('close', () => {
      call.left = !res.writableFinished;
      resolve(call.left);
    }));
    try {
      for await (const part of req) parts.push(part);
    } catch { return; }
    call.body = Buffer.concat(parts);
    try { call.json = JSON.parse(call.body); } catch { call.json = null; }
    call.form = new URLSearchParams(call.body.length < 65536 ? call.body.toString() : '');
    this.calls.push(call);
    this.emit('call', call);
    const handler = this.handlers.get(`${req.method} ${at.pathname}`)
      ?? [...this.handlers].find(([what]) => what.endsWith('*') && `${req.method} ${at.pathname}`.startsWith(what.slice(0, -1)))?.[1];
    if (!handler) return json(res, 404, { error: { message: 'mock: no such address, key sk-verysecret', type: 'invalid_request_error' } });
    return handler(call, res, json);
  }

  async #turn(call, res) {
    const script = this.scripts.shift() ?? (() => events.text('You said: ', question(call)));
    if (script.length > 1) return script(call, res);
    const list = script(call);
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const bytes = Buffer.from(wrap(list, call).map(frame).join(''));
    const size = this.split ?? bytes.length;
    for (let at = 0; at < bytes.length; at += size) {
      res.write(bytes.subarray(at, at + size));
      if (size < 64 && at % 64 < size) await new Promise(setImmediate);
    }
    return res.end();
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export async function startResponsesMock() {
  const mock = new ResponsesMock();
  await mock.listen();
  return mock;
}
