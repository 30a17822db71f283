/*
 * responses_client: imitates the front end of the Responses app as contracts/turn_response.md, section 4, describes it:
 * its parser with all its weaknesses (network reads decoded one by one, blocks that must begin with "data: "), what it
 * does with each event, its function loop with overlapping requests, and a cookie jar.
 *
 *   const page = new Page(parley.url);
 *   await page.say('Hello');             // until all turns that follow from it are over
 *   page.items, page.bubbles, page.cells, page.approvals, page.dot, page.errors
 */
import http from 'node:http';

export const TOOLS_STATE = {
  vectorStore: null,
  webSearchConfig: { user_location: { type: 'approximate', country: '', city: '', region: '' } },
  mcpConfig: { server_label: '', server_url: '', allowed_tools: '', skip_approval: true },
  fileSearchEnabled: false, webSearchEnabled: false, codeInterpreterEnabled: false, mcpEnabled: false,
  googleIntegrationEnabled: false, functionsEnabled: true, previousFileSearchEnabled: false, previousFunctionsEnabled: false,
};

/* Cookies as a browser keeps them: by name, dropped when they have expired. */
export class Jar {
  constructor() { this.cookies = new Map(); this.lines = []; }
  take(headers) {
    for (const line of headers['set-cookie'] ?? []) {
      this.lines.push(line);
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      const expires = /expires=([^;]+)/i.exec(line);
      const gone = /max-age=0\b/i.test(line) || (expires && Date.parse(expires[1]) <= Date.now());
      if (gone) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
  get header() { return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '); }
}

export class Page {
  constructor(url, { state = {}, cut } = {}) {
    this.url = url;
    this.jar = new Jar();
    this.state = { ...TOOLS_STATE, ...state };
    this.items = [];      /* what goes up with the next turn */
    this.bubbles = [];
    this.cells = [];
    this.approvals = [];
    this.toolLists = [];
    this.annotations = [];
    this.dot = false;
    this.errors = [];
    this.events = [];
    this.turns = 0;
    this.running = [];
    this.cut = cut; /* decode in pieces of so many bytes, however they came */
    this.raw = '';
    this.statuses = [];
  }

  request(path, { method = 'GET', json, onData } = {}) {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const headers = { ...(body && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
      ...(this.jar.header && { Cookie: this.jar.header }) };
    return new Promise((resolve, reject) => {
      const req = http.request(this.url + path, { method, headers, agent: false }, (res) => {
        this.jar.take(res.headers);
        const parts = [];
        res.on('data', (part) => { parts.push(part); onData?.(part, res); });
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts), text: Buffer.concat(parts).toString() }));
        res.on('error', reject);
        res.on('close', () => { if (!res.complete) reject(new Error('cut')); });
      });
      req.on('error', reject);
      req.end(body);
      this.last = req;
    });
  }

  async say(text) {
    this.items.push({ role: 'user', content: text.trim() });
    this.dot = true;
    this.turn();
    await this.settled();
    return this.bubbles.at(-1)?.text;
  }
  async approve(request, yes) {
    this.items.push({ type: 'mcp_approval_response', approve: yes, approval_request_id: request.id });
    this.turn();
    await this.settled();
  }
  async settled() {
    while (this.running.length) await this.running.shift();
  }

  turn() {
    this.turns++;
    const turn = { text: '', rest: '' };
    const take = (bytes) => {
      const size = this.cut ?? bytes.length;
      for (let at = 0; at < bytes.length; at += size) {
        const text = bytes.subarray(at, at + size).toString('utf8'); /* each read by itself */
        this.raw += text;
        const blocks = (turn.rest + text).split('\n\n');
        turn.rest = blocks.pop();
        for (const block of blocks) this.block(turn, block);
      }
    };
    const run = this.request('/api/turn_response', { method: 'POST',
      json: { messages: structuredClone(this.items), toolsState: this.state },
      onData: (bytes, res) => res.statusCode === 200 && take(bytes) })
      .then((reply) => {
        this.statuses.push(reply.status);
        if (reply.status !== 200) this.errors.push(reply);
        if (turn.rest) this.block(turn, turn.rest);
      }, (error) => this.errors.push(error));
    this.running.push(run);
    return run;
  }

  block(turn, block) {
    if (!block.startsWith('data: ')) return;
    const text = block.slice(6);
    if (text === '[DONE]') return;
    const { event, data, error } = JSON.parse(text);
    if (error) this.errors.push(error);
    if (!event) return;
    this.events.push({ event, data });
    this.on[event]?.call(this, data, turn);
  }

  cell(id) { return this.cells.find((cell) => cell.id === id); }

  on = {
    'response.output_item.added'({ item }) {
      this.dot = false;
      if (item.type === 'message') {
        this.bubbles.push({ text: '' });
        this.items.push({ role: 'assistant', content: [{ type: 'output_text', text: '' }] });
      } else if (/_call$/.test(item.type)) {
        this.cells.push({ id: item.id, type: item.type, name: item.name, status: item.status });
      }
    },
    'response.output_text.delta'({ delta }, turn) {
      this.dot = false;
      turn.text += delta;
      if (!this.bubbles.length) this.bubbles.push({ text: '' });
      this.bubbles.at(-1).text = turn.text;
    },
    'response.output_text.annotation.added'({ annotation }) { if (this.bubbles.length) this.annotations.push(annotation); },
    'response.function_call_arguments.done'({ item_id, arguments: args }) {
      const cell = this.cell(item_id);
      cell.arguments = JSON.parse(args);
      cell.status = 'completed';
    },
    'response.mcp_call_arguments.done'({ item_id, arguments: args }) { this.cell(item_id).arguments = args; },
    'response.web_search_call.completed'({ item_id }) { this.cell(item_id).status = 'completed'; },
    'response.file_search_call.completed'({ item_id }) { this.cell(item_id).status = 'completed'; },
    'response.code_interpreter_call_code.delta'({ item_id, delta }) { const c = this.cell(item_id); c.code = (c.code ?? '') + delta; },
    'response.code_interpreter_call.completed'({ item_id }) { this.cell(item_id).status = 'completed'; },
    'response.output_item.done'({ item }) {
      this.items.push(item);
      const cell = this.cell(item.id);
      if (cell) cell.output = item.output;
      if (item.type === 'function_call') this.running.push(this.runFunction(item, cell));
    },
    'response.completed'({ response }) {
      for (const item of response.output) {
        if (item.type === 'mcp_list_tools') this.toolLists.push(item);
        if (item.type === 'mcp_approval_request') this.approvals.push(item);
      }
    },
  };

  /* While the old stream is still being read. */
  async runFunction(item, cell) {
    const args = cell.arguments ?? { location: undefined, unit: undefined };
    const query = item.name === 'get_weather' ? `?location=${encodeURI(args.location)}&unit=${args.unit}` : '';
    const reply = await this.request(`/api/functions/${item.name}${query}`);
    const output = JSON.stringify(JSON.parse(reply.text));
    cell.output = output;
    this.items.push({ type: 'function_call_output', call_id: item.call_id, status: 'completed', output });
    this.turn();
  }
}
