/*
 * site: a Parley in a directory of its own, for the tests of deploy/. Programs run there as an unprivileged user
 * (www-data when the tests are root), as on a real machine; the settings are in a file, because that is what
 * the shipped configurations name.
 *
 *   const site = await openSite({ mock, settings: { HEARTBEAT_SECONDS: 1 } });
 *   const text = site.shipped('deploy/lighttpd/socket.conf', [['/chat', '/talk']]);
 *   await site.startParley();            // parley serve on site.socket
 *   await site.startServer((port) => ({ command, args, env }));   // site.url
 *   await site.close();                  // everything has ended by SIGTERM, and nothing of Parley is left
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { end, eventually, freePort, NO_LIMITS, openStream, PARLEY, request, ROOT, start } from '../harness.mjs';

const START_MS = 20000;
const IS_ROOT = process.getuid() === 0;
export const USER = IS_ROOT ? 'www-data' : os.userInfo().username;
export const GROUP = IS_ROOT ? 'www-data' : execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim();

/* The same command as the unprivileged user; its pid stays the one that was started. */
const unprivileged = (command, args) => (IS_ROOT
  ? ['setpriv', ['--reuid', USER, '--regid', GROUP, '--clear-groups', command, ...args]] : [command, args]);

/* Every [from, to] of `pairs` must be there: a line that the shipped file no longer has is an error. */
export function substitute(name, text, pairs) {
  return pairs.reduce((all, [from, to]) => {
    if (!all.includes(from)) throw new Error(`${name} has no ${JSON.stringify(from)}`);
    return all.replaceAll(from, to);
  }, text);
}

class Site {
  constructor({ mock, settings = {} }) {
    this.mock = mock;
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-'));
    this.program = this.path('bin/parley');
    this.settingsFile = this.path('parley.env');
    this.socket = this.path('run/parley.sock');
    this.logFile = this.path('parley.log');
    this.children = [];
    for (const name of ['bin', 'lib', 'run', 'data', 'www', 'log']) fs.mkdirSync(this.path(name));
    fs.copyFileSync(PARLEY, this.program);
    this.write('parley.env', Object.entries({
      DATABASE_URL: `sqlite:${this.path('data/parley.db')}`, LOG_FILE: this.logFile, DRAIN_SECONDS: 5, REQUEST_THREADS: 2, WORKERS: '',
      OPENAI_API_BASE: mock.url, OPENAI_API_KEY: 'sk-test-key', OPENAI_MODEL: 'mock-model', ...NO_LIMITS, ...settings,
    }).map(([key, value]) => `${key}=${value}\n`).join(''));
    this.give('.');
    fs.chmodSync(this.dir, 0o755);
  }

  path(name) { return path.join(this.dir, name); }

  /* Make something that the tests have made the unprivileged user's. */
  give(name) {
    if (IS_ROOT) execFileSync('chown', ['-R', `${USER}:${GROUP}`, this.path(name)]);
  }

  write(name, text) {
    fs.mkdirSync(path.dirname(this.path(name)), { recursive: true });
    fs.writeFileSync(this.path(name), text);
    return this.path(name);
  }

  /* A file of the repository with this site's paths in it, and what else is to be replaced. */
  shipped(name, pairs = []) {
    const own = [['/usr/local/bin/parley', this.program], ['/usr/local/lib/parley', this.path('lib')],
      ['/etc/parley/parley.env', this.settingsFile], ['/run/parley/parley.sock', this.socket],
      ['/var/lib/parley', this.path('data')]];
    const text = substitute(name, fs.readFileSync(path.join(ROOT, name), 'utf8'), pairs);
    return own.reduce((all, [from, to]) => all.replaceAll(from, to), text);
  }

  /* Start a program as the unprivileged user; it ends with the site. */
  start(command, args, { env, cwd = this.path('data') } = {}) {
    const child = start(...unprivileged(command, args), { cwd, env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...env } });
    /* All of its output is there; `exited` comes before that. */
    child.closed = new Promise((resolve) => { child.on('close', resolve); });
    this.children.push(child);
    return child;
  }

  /* The same, to its end; its output. */
  async run(command, args, options) {
    const child = this.start(command, args, options);
    this.children.pop();
    const { code } = await child.exited;
    await child.closed;
    return { code, output: child.output };
  }

  async startParley() {
    this.parley = this.start(this.program, ['serve', '--listen', `unix:${this.socket}`, '--workers', '1'],
      { env: { PARLEY_ENV: this.settingsFile } });
    await eventually(() => this.parley.exitCode !== null || fs.existsSync(this.socket), START_MS);
    if (!fs.existsSync(this.socket)) throw new Error(`parley did not start:\n${this.parley.output}\n${this.log()}`);
  }

  /* make(port) -> {command, args, env}; a web server that does not come up (port taken meanwhile) gets another. */
  async startServer(make, below = '') {
    for (let attempt = 1; ; attempt++) {
      this.port = await freePort();
      this.origin = `http://127.0.0.1:${this.port}`;
      this.url = this.origin + below;
      const { command, args, env, cwd } = make(this.port);
      this.server = this.start(command, args, { env, cwd: cwd ?? this.dir });
      if (await this.answers()) return;
      if (attempt === 3 || this.server.exitCode === null) throw new Error(await this.#complaint());
    }
  }

  /* True when /api/health says so. */
  async answers(ms = START_MS) {
    const { server } = this;
    return eventually(async () => {
      if (server && server.exitCode !== null) return true;
      this.last = await this.get('/api/health').catch((error) => error);
      return this.last.json?.status === 'healthy';
    }, ms, 50).then((up) => up && (!server || server.exitCode === null));
  }

  async #complaint() {
    const logs = fs.readdirSync(this.path('log')).map((name) => fs.readFileSync(this.path(`log/${name}`), 'utf8')).join('');
    return `no answer from ${this.url}: ${this.last?.status ?? this.last}\n${this.last?.text?.slice(0, 500) ?? ''}\n`
      + `${this.server.output}\n${logs.slice(-3000)}\n${this.log()}`;
  }
  log() { return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8').slice(-3000) : ''; }

  request(where, options) { return request(this.url + where, options); }
  get(where, options) { return this.request(where, options); }
  post(where, json, options = {}) { return this.request(where, { method: 'POST', json, ...options }); }
  stream(where, json, options = {}) { return openStream(this.url + where, { method: 'POST', json, ...options }); }

  /* Processes of this site's program, whoever started them. */
  processes() {
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
      try {
        return fs.readlinkSync(`/proc/${pid}/exe`).startsWith(this.program) && !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
      } catch { return false; }
    });
  }
  goneWithin(ms) { return eventually(() => this.processes().length === 0, ms, 20); }

  async close() {
    try {
      for (const child of this.children.splice(0).reverse()) await end(child);
      if (!(await this.goneWithin(10000))) throw new Error(`processes are left: ${this.processes()}\n${this.log()}`);
    } finally {
      for (const pid of this.processes()) process.kill(pid, 'SIGKILL');
      if (!process.env.PARLEY_TEST_KEEP) fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

export async function openSite(options) { return new Site(options); }
