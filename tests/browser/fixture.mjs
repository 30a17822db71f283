/*
 * fixture: a web server for the page's and the widget's tests. Serves build/web and plays the chat API from memory, with
 * odd replies on demand that a real backend gives only on bad days. Answers grow by themselves, as in Parley: a reader
 * that leaves changes nothing, one that comes back gets the rest.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const web = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../build/web');
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.webmanifest': 'application/manifest+json', '.txt': 'text/plain; charset=utf-8',
};
/* What the page must be able to live with. */
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
  + "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const bytes = (text) => Buffer.byteLength(text);

class Answer {
  constructor(id, conversation, plan) {
    Object.assign(this, { id, conversation, plan, text: '', status: 'streaming', listeners: new Set() });
    this.run();
  }

  async run() {
    const { deltas, together = 1 } = this.plan;
    for (const [i, delta] of deltas.entries()) {
      if (this.status !== 'streaming') return;
      if (this.plan.gate) await this.plan.gate();
      else if (this.plan.delay && i % together === 0) await new Promise((resolve) => { setTimeout(resolve, this.plan.delay); });
      if (this.status !== 'streaming') return;
      this.text += delta;
      this.tell();
    }
    this.finish(this.plan.error ? 'failed' : this.plan.status ?? 'complete');
  }

  finish(status) {
    if (this.status !== 'streaming') return;
    this.status = status;
    this.tell();
  }

  tell() {
    for (const listener of [...this.listeners]) listener();
  }

  last() {
    if (this.plan.error) return { content: '', done: true, ...this.plan.error };
    const reason = { stopped: 'stopped', interrupted: 'interrupted' }[this.status] ?? this.plan.finish ?? 'stop';
    return {
      content: '', done: true, message_id: this.id, finish_reason: reason, provider: this.plan.provider ?? 'mock', model: 'mock-1',
      usage: { prompt_tokens: 12, completion_tokens: this.plan.deltas.length, total_tokens: 12 + this.plan.deltas.length },
    };
  }
}

/**
 * Start one. `base`: path of the installation, "/" first and last. `absent`: endpoints that answer 404 unknown_path, by the
 * start of their path. `origins`: who may call from elsewhere. Change `fixture.reply` to script the answers: a function from
 * the request body to {deltas, delay?, together? (deltas per delay), gate?, error?, finish?, refuse?: {status, body, headers} or {status, html}, lump?}.
 */
export async function startFixture({ base = '/', config = {}, absent = [], origins = [], port = 0 } = {}) {
  const conversations = new Map();
  const answers = new Map();
  const sockets = new Set();
  let counter = 0;
  const makeId = (kind) => `${kind}_${String(++counter).padStart(6, '0')}`;

  const fixture = {
    requests: [], conversations, answers, absent, origins,
    /** Which origins a site's test asks for; replaced to refuse it. */
    allowed: (origin) => [origin],
    reply: (body) => ({ deltas: `You said: ${body.message}`.match(/.{1,3}/gsu), delay: 5 }),
    csp: CSP,
    limits: [{ window: 'minute', limit: 10, used: 3, remaining: 7 }, { window: 'day', limit: 500, used: 3, remaining: 497 }],
    models: { models: [{ id: 'mock-1', name: 'Mock One', provider: 'mock', default: true }], default: { provider: 'mock', model: 'mock-1' } },
    config: { app_name: 'Parley', brand_name: 'Parley', max_message_length: 1000, typing_delay: 500, features: { poll: true }, ...config },
    /** Drop every open connection, as a phone in a tunnel would. */
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };

  function json(response, status, body, headers = {}) {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers });
    response.end(JSON.stringify(body));
  }
  const refuse = (response, status, code, error, more = {}) =>
    json(response, status, { error, code, status: 'error', request_id: 'r1', ...more });

  function newConversation() {
    const now = new Date().toISOString();
    const conversation = { id: makeId('conv'), title: '', created_at: now, updated_at: now, messages: [] };
    conversations.set(conversation.id, conversation);
    return conversation;
  }

  function begin(conversation, body, { ask = true } = {}) {
    const known = body.client_message_id && [...answers.values()].find((one) => one.key === body.client_message_id);
    if (known) return known;
    const answer = new Answer(makeId('msg'), conversation.id, fixture.reply(body));
    answer.key = body.client_message_id;
    answers.set(answer.id, answer);
    if (ask) {
      conversation.messages.push({ id: makeId('msg'), role: 'user', content: body.message, status: 'complete' });
      conversation.title ||= body.message.slice(0, 60);
    } else conversation.messages.pop();
    conversation.messages.push(answer);
    conversation.updated_at = new Date().toISOString();
    return answer;
  }

  /** Write an answer as server-sent events from a byte offset on. */
  function streamAnswer(response, answer, after, session) {
    const { plan } = answer;
    let at = after;
    const frames = [];
    const frame = (body) => `id: ${answer.id}:${at}\ndata: ${JSON.stringify(body)}\n\n`;
    const write = (text) => (plan.lump ? frames.push(text) : response.write(text));
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-cache, no-transform' });
    write(frame({ content: '', done: false, message_id: answer.id, conversation_id: answer.conversation, ...(session ? { sessionId: session } : {}) }));
    const step = () => {
      if (response.destroyed) {
        answer.listeners.delete(step);
        return;
      }
      const rest = Buffer.from(answer.text).subarray(at).toString();
      if (rest) {
        at += bytes(rest);
        write(frame({ content: rest, done: false }));
      }
      if (answer.status === 'streaming') return;
      answer.listeners.delete(step);
      write(frame(answer.last()));
      write('data: [DONE]\n\n');
      response.end(frames.join(''));
    };
    if (plan.reasoning) write(frame({ content: '', reasoning: plan.reasoning, done: false }));
    answer.listeners.add(step);
    step();
  }

  async function poll(response, answer, search) {
    const after = Number(search.get('after') ?? 0);
    const until = Date.now() + Math.min(25, Number(search.get('wait') ?? 0)) * 1000;
    while (answer.status === 'streaming' && bytes(answer.text) <= after && Date.now() < until)
      await new Promise((resolve) => {
        const wake = () => {
          answer.listeners.delete(wake);
          resolve();
        };
        answer.listeners.add(wake);
        setTimeout(wake, 1000).unref();
      });
    const done = answer.status !== 'streaming';
    json(response, 200, {
      ...(done ? answer.last() : {}),
      content: Buffer.from(answer.text).subarray(after).toString(), next: bytes(answer.text), status: answer.status, done,
    });
  }

  function chat(request, response, body, streaming) {
    const plan = fixture.reply(body);
    if (plan.refuse?.html) return response.writeHead(plan.refuse.status, { 'Content-Type': 'text/html' }).end(plan.refuse.html);
    if (plan.refuse) return json(response, plan.refuse.status, plan.refuse.body, plan.refuse.headers);
    if ('raw' in plan) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      return response.end(plan.raw);
    }
    const wanted = body.conversation_id ?? body.sessionId;
    const conversation = wanted ? conversations.get(wanted) : newConversation();
    if (!conversation)
      return refuse(response, 404, body.sessionId ? 'unknown_session' : 'unknown_conversation', body.sessionId ? 'Session not found' : 'There is no such conversation.');
    const answer = begin(conversation, body);
    if (body.deliver === 'poll')
      return json(response, 202, { message_id: answer.id, conversation_id: conversation.id, status: 'streaming' });
    if (streaming || body.stream || /event-stream/.test(request.headers.accept ?? '')) return streamAnswer(response, answer, 0, body.sessionId);
    return refuse(response, 400, 'not_played', 'The fixture streams only.');
  }

  const view = (conversation) => ({
    id: conversation.id, title: conversation.title, created_at: conversation.created_at, updated_at: conversation.updated_at,
  });
  const messageView = (message) => (message instanceof Answer
    ? { ...message.last(), id: message.id, role: 'assistant', content: message.text, status: message.status, rating: message.rating }
    : message);

  /* [method, pattern, handler(request, response, {body, search}, ...parts of the path)] */
  const routes = [
    ['GET', /^api\/health$/, (q, r) => json(r, 200, { status: 'healthy', timestamp: new Date().toISOString() })],
    ['GET', /^api\/config$/, (q, r) => json(r, 200, fixture.config)],
    ['GET', /^api\/models$/, (q, r) => json(r, 200, fixture.models)],
    ['GET', /^api\/rate-limit$/, (q, r) => json(r, 200, { limits: fixture.limits })],
    ['POST', /^api\/create-session$/, (q, r) => {
      const conversation = newConversation();
      conversations.delete(conversation.id);
      conversation.id = `session_${conversation.id}_${Date.now()}`;
      conversations.set(conversation.id, conversation);
      json(r, 200, { sessionId: conversation.id, message: 'Session created successfully' });
    }],
    ['DELETE', /^api\/sessions\/([^/]+)$/, (q, r, c, id) => {
      if (!conversations.delete(id)) return refuse(r, 404, 'unknown_session', 'Session not found');
      return json(r, 200, { status: 'success' });
    }],
    ['GET', /^api\/conversations$/, (q, r, { search }) => {
      const term = (search.get('q') ?? '').toLowerCase();
      const list = [...conversations.values()].filter((one) => one.messages.length && one.title.toLowerCase().includes(term));
      json(r, 200, { conversations: list.reverse().map(view), next: null });
    }],
    ['GET', /^api\/conversations\/([^/]+)$/, (q, r, c, id) => {
      const conversation = conversations.get(id);
      if (!conversation) return refuse(r, 404, 'unknown_conversation', 'There is no such conversation.');
      return json(r, 200, { ...view(conversation), messages: conversation.messages.map(messageView) });
    }],
    ['PATCH', /^api\/conversations\/([^/]+)$/, (q, r, { body }, id) => {
      conversations.get(id).title = body.title;
      json(r, 200, view(conversations.get(id)));
    }],
    ['DELETE', /^api\/conversations\/([^/]+)$/, (q, r, c, id) => {
      conversations.delete(id);
      json(r, 200, { status: 'success' });
    }],
    ['POST', /^api\/conversations\/([^/]+)\/regenerate$/, (q, r, { body }, id) => {
      const conversation = conversations.get(id);
      const question = conversation.messages.findLast((one) => one.role === 'user');
      streamAnswer(r, begin(conversation, { ...body, message: question.content, regenerate: true }, { ask: false }), 0);
    }],
    ['POST', /^api\/chat\/stop$/, (q, r, { body }) => {
      const answer = answers.get(body.message_id);
      if (!answer) return refuse(r, 404, 'unknown_message', 'There is no such message.');
      answer.finish('stopped');
      return json(r, 200, { status: answer.status, content_length: bytes(answer.text) });
    }],
    ['GET', /^api\/chat\/stream\/([^/]+)$/, (q, r, { search }, id) => {
      const answer = answers.get(id);
      if (!answer) return refuse(r, 404, 'unknown_message', 'There is no such message.');
      return streamAnswer(r, answer, Number(search.get('after') ?? 0));
    }],
    ['GET', /^api\/messages\/([^/]+)$/, (q, r, { search }, id) => {
      const answer = answers.get(id);
      if (!answer) return refuse(r, 404, 'unknown_message', 'There is no such message.');
      return poll(r, answer, search);
    }],
    ['POST', /^api\/messages\/([^/]+)\/continue$/, (q, r, c, id) => {
      const conversation = conversations.get(answers.get(id).conversation);
      streamAnswer(r, begin(conversation, { go_on: true, message: '' }), 0);
    }],
    ['POST', /^api\/messages\/([^/]+)\/feedback$/, (q, r, { body }, id) => {
      answers.get(id).rating = body.rating;
      json(r, 200, { status: 'success' });
    }],
    ['POST', /^api\/chat\/stream$/, (q, r, { body }) => chat(q, r, body, true)],
    ['POST', /^api\/chat$/, (q, r, { body }) => chat(q, r, body, false)],
  ];

  async function serveFile(response, name) {
    const file = { '': 'index.html', chat: 'index.html', 'widget-demo': 'widget-demo.html' }[name] ?? name;
    const isPage = file === 'index.html';
    try {
      const content = await readFile(path.join(web, path.normalize(`/${file}`)));
      response.writeHead(200, {
        'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
        'X-Content-Type-Options': 'nosniff',
        ...(isPage ? { 'Content-Security-Policy': fixture.csp } : {}),
      });
      response.end(content);
    } catch {
      response.writeHead(404).end('not found');
    }
  }

  /** True when the request came from a listed origin or from our own. */
  function admit(request, response) {
    const { origin } = request.headers;
    if (!origin || origin === `http://${request.headers.host}`) return true;
    if (!fixture.origins.includes(origin)) {
      refuse(response, 403, 'origin_refused', `The origin ${origin} is not in CORS_ORIGIN.`);
      return false;
    }
    response.setHeader('Access-Control-Allow-Origin', origin);
    response.setHeader('Vary', 'Origin');
    if (request.method !== 'OPTIONS') return true;
    response.writeHead(204, { 'Access-Control-Allow-Methods': 'GET, POST, PATCH, DELETE', 'Access-Control-Allow-Headers': 'Content-Type, Last-Event-ID' });
    response.end();
    return false;
  }

  async function handle(request, response) {
    const url = new URL(request.url, 'http://fixture');
    if (!url.pathname.startsWith(base)) {
      response.writeHead(404).end();
      return undefined;
    }
    const name = url.pathname.slice(base.length);
    let text = '';
    for await (const part of request) text += part;
    const body = text && /json/.test(request.headers['content-type'] ?? '') ? JSON.parse(text) : undefined;
    fixture.requests.push({ method: request.method, path: name, search: url.search, body });
    if (!name.startsWith('api/')) return serveFile(response, name);
    if (!admit(request, response)) return undefined;
    const route = routes.find(([method, pattern]) => method === request.method && pattern.test(name));
    if (!route || fixture.absent.some((start) => name.startsWith(start))) return refuse(response, 404, 'unknown_path', 'There is nothing here.');
    return route[2](request, response, { body, search: url.searchParams }, ...route[1].exec(name).slice(1).map(decodeURIComponent));
  }

  const server = http.createServer((request, response) => {
    handle(request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  fixture.origin = `http://127.0.0.1:${server.address().port}`;
  fixture.url = fixture.origin + base;
  /** Let nobody in for a while: connections are refused. */
  fixture.close = async () => {
    server.close();
    fixture.cut();
    for (const answer of answers.values()) answer.finish('interrupted');
  };
  return fixture;
}

/** A gate for a scripted answer: each delta waits until open(n) let it pass. */
export function makeGate() {
  let free = 0;
  const waiting = [];
  return {
    wait: () => new Promise((resolve) => {
      if (free > 0) {
        free -= 1;
        resolve();
      } else waiting.push(resolve);
    }),
    open(count = 1) {
      for (let i = 0; i < count; i += 1) {
        if (waiting.length) waiting.shift()();
        else free += 1;
      }
    },
  };
}

/** A website of somebody else: `html` and `headers` for every path, or functions of it. Returns {origin, close}. */
export async function startSite(html, headers = {}) {
  const server = http.createServer((request, response) => {
    if (request.url === '/favicon.ico') {
      response.writeHead(204).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...(typeof headers === 'function' ? headers(request.url) : headers) });
    response.end(typeof html === 'function' ? html(request.url) : html);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
