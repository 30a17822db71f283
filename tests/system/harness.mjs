/*
 * harness: starts the real parley behind a real web server, in a directory of its own, on ports of its own,
 * and takes everything away again. No npm packages.
 *
 *   const parley = await startParley({ mock, via: 'nginx', workers: 2, env: { MAX_BODY_BYTES: 1000 } });
 *   const reply = await parley.post('/api/chat', { message: 'Hello' });   // {status, headers, text, json}
 *   const stream = await parley.stream('/api/chat/stream', { message: 'Hello' });
 *   await stream.ended;  stream.frames                                    // [{id, data, json, at}]
 *   await parley.stop();
 *
 * startParley(options)
 *   via      how it is started and reached (string or array of several fronts on one parley):
 *              'lighttpd', 'nginx'     parley serve --listen unix:... behind that server (default lighttpd)
 *              'nginx-unbuffered'      nginx with fastcgi_request_buffering off (no CONTENT_LENGTH)
 *              'tcp'                   parley serve --listen 127.0.0.1:PORT behind nginx
 *              'fd0-spawn-fcgi'        spawn-fcgi -n, the socket is parley's fd 0, behind lighttpd
 *              'bin-path'              lighttpd starts parley itself (fd 0)
 *              'cgi'                   lighttpd's mod_cgi, one process per request
 *   mock     a mock provider (mock_provider.mjs); without one the demo provider answers
 *   workers  for parley serve (2)
 *   env      more environment, over the defaults; a value of null takes one away
 *   subPath  install below a path ('/chat'); urls then end with it
 *   configs  'shipped': derive the web server's configuration from the repository's lighttpd.conf and
 *            nginx.conf.example instead of the minimal ones here
 *   wait     false: do not wait until it answers
 *
 * An instance has
 *   url, urls[front]          where it answers            dir, db, socket, logFile
 *   child, pid                the process (none for cgi, bin-path)
 *   exited                    promise of {code, signal}
 *   workerPids()              processes of the workers now
 *   logs, waitLog(what, ms)   parsed log lines; `what` is an event name or a function of a line
 *   sql(text)                 rows, read by the sqlite3 program
 *   request(path, options), get(path), post(path, json), stream(path, json, options)
 *   stop()                    SIGTERM, waits, stops the web servers, removes the directory; -> {code, signal};
 *                             throws when a sanitizer has complained
 *   kill()                    the same with SIGKILL
 *   restart()                 parley again (after stopParley() or a kill), same everything
 *   stopParley(signal)        only parley; -> {code, signal}
 *
 * PARLEY (or PARLEY_BIN) names the program (default build/parley); PARLEY_TEST_KEEP=1 keeps the directories.
 */
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { openStream, request } from './client.mjs';
import { cgiConfig, lighttpdConfig, nginxConfig } from './webservers.mjs';

export { openStream, request } from './client.mjs';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const PARLEY = path.resolve(process.env.PARLEY_BIN ?? process.env.PARLEY ?? path.join(ROOT, 'build/parley'));
const run = promisify(execFile);
/* Tests ask more than visitors may; those of the limits set their own. */
export const NO_LIMITS = { RATELIMIT_PER_MINUTE: '0', RATELIMIT_PER_HOUR: '0', RATELIMIT_PER_DAY: '0' };
const START_MS = 20000;
const STOP_MS = 20000;

/* ---- processes ---- */

const running = new Set();
process.on('exit', () => {
  for (const child of running) {
    for (const pid of [...childrenOf(child.pid), child.pid]) {
      try { process.kill(pid, 'SIGKILL'); } catch { /* gone already */ }
    }
  }
});
for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130]]) process.on(signal, () => process.exit(code));

/* Processes whose parent is `pid`. */
export function childrenOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch { return []; }
}

/* Start a program; `lines` gets what it writes to stderr. child.exited is a promise of {code, signal}. */
export function start(command, args, { env, cwd, stdin = 'ignore', lines } = {}) {
  const child = spawn(command, args, { env, cwd, stdio: [stdin, 'pipe', 'pipe'] });
  running.add(child);
  child.output = '';
  child.exited = new Promise((resolve) => {
    child.on('error', (error) => { child.output += error.message; resolve({ code: 127, signal: null }); });
    child.on('exit', (code, signal) => { running.delete(child); resolve({ code, signal }); });
  });
  let rest = '';
  const take = (data) => {
    child.output += data;
    if (!lines) return;
    const parts = (rest + data).split('\n');
    rest = parts.pop();
    parts.forEach(lines);
  };
  child.stdout.setEncoding('utf8').on('data', (data) => { child.output += data; });
  child.stderr.setEncoding('utf8').on('data', take);
  return child;
}

/* Signal a child and wait for its end; SIGKILL and an error when it stays. */
export async function end(child, signal = 'SIGTERM', ms = STOP_MS) {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  const late = Symbol('late');
  const result = await Promise.race([child.exited, sleep(ms, late, { ref: false })]);
  if (result !== late) return result;
  for (const pid of childrenOf(child.pid)) process.kill(pid, 'SIGKILL');
  child.kill('SIGKILL');
  throw new Error(`${child.spawnfile} did not end within ${ms} ms after ${signal}:\n${child.output.slice(-2000)}`);
}

/* True as soon as `check` is (polled, for what has no event to wait for), false after `ms`. */
export async function eventually(check, ms = 5000, step = 10) {
  for (const until = Date.now() + ms; Date.now() < until; await sleep(step)) {
    if (await check()) return true;
  }
  return Boolean(await check());
}

/* A port that nobody listens on at this moment. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const accepts = (where) => new Promise((resolve) => {
  const socket = net.connect(where);
  socket.on('connect', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

/* ---- an instance ---- */

function addLine(parley, text) {
  let line;
  try { line = JSON.parse(text); } catch { line = { raw: text }; }
  parley.logs.push(line);
}

/* Where the web server starts parley, its log is a file. */
function readLogFile(parley) {
  if (!parley.startedByServer || !fs.existsSync(parley.logFile)) return;
  const texts = fs.readFileSync(parley.logFile, 'utf8').split('\n').slice(0, -1);
  texts.slice(parley.logs.length).forEach((text) => addLine(parley, text));
}

class Parley {
  constructor(options) {
    this.options = { via: 'lighttpd', workers: 2, subPath: '', env: {}, ...options };
    this.fronts = [this.options.via].flat();
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-'));
    this.db = path.join(this.dir, 'parley.db');
    fs.mkdirSync(path.join(this.dir, 'var'));
    this.socket = path.join(this.dir, 'var/parley.sock');
    this.logFile = path.join(this.dir, 'parley.log');
    this.logs = [];
    this.urls = {};
    this.servers = [];
    this.child = null;
  }

  get pid() { return this.child?.pid; }
  get exited() { return this.child.exited; }
  get url() { return this.urls[this.fronts[0]]; }
  /* The web server starts it, or one program runs per request: no process of ours. */
  get startedByServer() { return ['cgi', 'bin-path'].includes(this.fronts[0]); }

  environment() {
    const { mock, env } = this.options;
    fs.writeFileSync(path.join(this.dir, 'empty.env'), '');
    const all = {
      PATH: process.env.PATH, PARLEY_ENV: path.join(this.dir, 'empty.env'), DATABASE_URL: `sqlite:${this.db}`,
      DRAIN_SECONDS: '5', REQUEST_THREADS: '4', ...NO_LIMITS, USER_ID_ACCESS: 'open', /* owners.test.mjs has the default */
      ...(mock && { OPENAI_API_BASE: mock.url, OPENAI_API_KEY: 'sk-test-key', OPENAI_MODEL: 'mock-model' }),
      ...(!mock && { DEMO_DELAY_MS: '1' }),
      ...(this.startedByServer && { LOG_FILE: this.logFile }),
      ...(process.env.ASAN_OPTIONS && { ASAN_OPTIONS: process.env.ASAN_OPTIONS }),
      ...(process.env.UBSAN_OPTIONS && { UBSAN_OPTIONS: process.env.UBSAN_OPTIONS }), ...env };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null).map(([k, v]) => [k, String(v)]));
  }

  async #startProgram() {
    const { workers } = this.options;
    const env = this.environment();
    const lines = (text) => addLine(this, text);
    const [front] = this.fronts;
    if (front === 'fd0-spawn-fcgi') {
      fs.rmSync(this.socket, { force: true });
      this.child = start('spawn-fcgi', ['-n', '-s', this.socket, '--', PARLEY], { env, cwd: this.dir, lines });
    } else {
      if (front === 'tcp') this.port ??= await freePort();
      const address = front === 'tcp' ? `127.0.0.1:${this.port}` : `unix:${this.socket}`;
      this.child = start(PARLEY, ['serve', '--listen', address, '--workers', String(workers)], { env, cwd: this.dir, lines });
    }
    const where = front === 'tcp' ? { host: '127.0.0.1', port: this.port } : { path: this.socket };
    const child = this.child;
    const up = await eventually(async () => child.exitCode !== null || accepts(where), START_MS);
    if (!up || child.exitCode !== null) throw new Error(`parley did not start:\n${child.output.slice(-4000)}`);
  }

  #config(front, port) {
    const { subPath, configs } = this.options;
    const facts = { dir: this.dir, port, socket: this.socket, subPath, shipped: configs === 'shipped', root: ROOT,
      program: PARLEY, env: this.environment(), backendPort: this.port };
    if (front === 'cgi') return ['lighttpd', cgiConfig(facts)];
    if (front === 'bin-path') return ['lighttpd', lighttpdConfig({ ...facts, binPath: true })];
    if (front === 'nginx-unbuffered') return ['nginx', nginxConfig({ ...facts, unbuffered: true })];
    if (front === 'nginx' || front === 'tcp') return ['nginx', nginxConfig(facts)];
    return ['lighttpd', lighttpdConfig(facts)];
  }

  async #startFront(front) {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const [kind, text] = this.#config(front, port);
      const file = path.join(this.dir, `${front}.conf`);
      fs.writeFileSync(file, text);
      const args = kind === 'nginx' ? ['-c', file, '-p', this.dir, '-e', path.join(this.dir, 'nginx.err')] : ['-D', '-f', file];
      const server = start(kind, args, { env: { PATH: process.env.PATH }, cwd: this.dir });
      const up = await eventually(async () => server.exitCode !== null || accepts({ host: '127.0.0.1', port }), START_MS);
      if (up && server.exitCode === null) {
        this.servers.push(server);
        const below = front === 'cgi' ? '/cgi-bin/parley.cgi' : this.options.subPath;
        this.urls[front] = `http://127.0.0.1:${port}${below}`;
        return;
      }
      if (attempt === 3) throw new Error(`${kind} did not start:\n${server.output}`);
    }
  }

  async begin() {
    try {
      if (!fs.existsSync(PARLEY)) throw new Error(`${PARLEY} does not exist: run make first`);
      if (!this.startedByServer) await this.#startProgram();
      for (const front of this.fronts) await this.#startFront(front);
      if (this.options.wait !== false) await this.ready();
    } catch (error) {
      await this.#clean();
      throw error;
    }
    return this;
  }

  async ready() {
    let last;
    const answers = await eventually(async () => {
      last = await this.get('/api/health').catch((error) => error);
      return last.status === 200;
    }, START_MS, 50);
    if (!answers) throw new Error(`no answer from ${this.url}: ${last.status ?? last}\n${last.text ?? ''}\n${this.child?.output ?? ''}`);
  }

  workerPids() {
    if (!this.child) return this.servers.flatMap((server) => childrenOf(server.pid));
    const children = childrenOf(this.pid);
    return children.length ? children : [this.pid];
  }

  /* The first log line that is `what` (event name or function); waits for it. */
  async waitLog(what, ms = 5000) {
    const wanted = typeof what === 'string' ? (line) => line.event === what : what;
    let found;
    const look = () => { readLogFile(this); found = this.logs.find(wanted); return found !== undefined; };
    if (!(await eventually(look, ms, 5))) throw new Error(`no such log line within ${ms} ms: ${what}\n${this.logText(20)}`);
    return found;
  }
  logText(last = Infinity) { return this.logs.slice(-last).map((l) => l.raw ?? JSON.stringify(l)).join('\n'); }

  async sql(text) {
    const { stdout } = await run('sqlite3', ['-readonly', '-json', '-cmd', '.timeout 2000', this.db, text], { maxBuffer: 1 << 26 });
    return stdout.trim() ? JSON.parse(stdout) : [];
  }

  request(where, options) { return request(this.url + where, options); }
  get(where, options) { return this.request(where, options); }
  post(where, json, options = {}) { return this.request(where, { method: 'POST', json, ...options }); }
  stream(where, json, options = {}) { return openStream(this.url + where, { method: 'POST', json, ...options }); }
  /* The same instance, asked through another of its web servers. */
  through(front) {
    return Object.create(this, { url: { value: this.urls[front] } });
  }

  async stopParley(signal = 'SIGTERM') { return end(this.child, signal); }
  async restart() {
    await this.#startProgram();
    await this.ready();
  }

  async #clean() {
    for (const server of this.servers.splice(0)) await end(server, 'SIGTERM').catch(() => {});
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) {
      for (const pid of childrenOf(this.pid)) process.kill(pid, 'SIGKILL');
      await end(this.child, 'SIGKILL').catch(() => {});
    }
    /* CGI programs may still be writing their last. */
    const gone = () => { try { fs.rmSync(this.dir, { recursive: true, force: true }); return true; } catch { return false; } };
    if (!process.env.PARLEY_TEST_KEEP && !await eventually(gone, 10000)) throw new Error(`${this.dir} cannot be removed`);
  }

  async stop(signal = 'SIGTERM') {
    try {
      const result = this.child ? await this.stopParley(signal) : { code: 0, signal: null };
      const output = this.child?.output ?? '';
      const at = output.search(/(Address|Thread|Leak)Sanitizer|runtime error:/);
      if (at >= 0) throw new Error(`a sanitizer complains:\n${output.slice(Math.max(0, at - 100), at + 6000)}`);
      return result;
    } finally {
      await this.#clean();
    }
  }
  async kill() {
    for (const pid of this.child ? childrenOf(this.pid) : []) process.kill(pid, 'SIGKILL');
    return this.stop('SIGKILL');
  }
}

export async function startParley(options = {}) { return new Parley(options).begin(); }

/* Run the parley program to its end: {code, stdout, stderr}. */
export function parleyCommand(args, { env = {}, cwd = os.tmpdir(), input } = {}) {
  return new Promise((resolve) => {
    const child = execFile(PARLEY, args, { env: { PATH: process.env.PATH, ...env }, cwd, timeout: 20000 },
      (error, stdout, stderr) => resolve({ code: error ? error.code ?? error.signal : 0, stdout, stderr }));
    child.stdin.end(input);
  });
}

/* A directory that is removed when the test context ends. */
export function tempDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
