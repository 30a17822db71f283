/*
 * parley doctor: nothing to say about a sound installation; every planted fault is found, with its remedy.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { end, eventually, freePort, parleyCommand, start, startParley, tempDir, PARLEY } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

/* A provider that answers GET /v1/models. */
function startModels({ status = 200, date, tls, models = ['mock-model'] } = {}) {
  const requests = [];
  const handle = (req, res) => {
    requests.push(req);
    res.sendDate = !date;
    res.writeHead(status, { 'Content-Type': 'application/json', ...(date && { Date: date }) });
    res.end(JSON.stringify(status === 200 ? { object: 'list', data: models.map((id) => ({ id })) } : { error: { message: 'no' } }));
  };
  const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}/v1`, requests,
    stop: () => { server.closeAllConnections(); return new Promise((done) => server.close(done)); } })));
}

let mock;
let models;
let parley;
let wellEnv;
before(async () => {
  mock = await startMock();
  models = await startModels();
  parley = await startParley({ mock, via: ['nginx', 'lighttpd'], workers: 2, env: { MAX_STREAMS: 100, CORS_ORIGIN: 'https://shop.example' } });
  wellEnv = { ...parley.environment(), OPENAI_API_BASE: models.url, OPENAI_API_KEY: 'sk-doctors-secret', LISTEN: `unix:${parley.socket}` };
});
after(async () => { await parley?.stop(); await models?.stop(); await mock?.stop(); });

const doctor = (env = {}, ...args) => parleyCommand(['doctor', ...args], { env: { ...wellEnv, ...env }, cwd: parley.dir });

/* The finding whose first line matches, with its remedy. */
function finding({ code, stdout, stderr }, verdict, words, remedy) {
  const lines = stdout.split('\n');
  const at = lines.findIndex((line) => line.startsWith(verdict) && words.test(line));
  assert.ok(at >= 0, `no ${verdict} ${words}:\n${stdout}${stderr}`);
  if (remedy) assert.match(lines[at + 1], remedy);
  if (verdict === 'FAIL') assert.equal(code, 1);
}

describe('a sound installation', () => {
  for (const front of ['nginx', 'lighttpd']) {
    test(`has no fault behind ${front}, and no secret is printed`, async () => {
      const result = await doctor({}, parley.urls[front]);
      assert.doesNotMatch(result.stdout, /^FAIL/m);
      assert.equal(result.code, 0, result.stdout);
      finding(result, 'PASS', new RegExp(`site: Parley answers behind ${front}`));
      for (const words of [/streaming/, /API keys/, /private files/, /CORS: strange/, /CORS: https:\/\/shop.example/, /methods/, /client address/,
        /provider openai: reachable/, /clock/, /open files/, /store: writing/, /store: database: in WAL/]) finding(result, 'PASS', words);
      assert.doesNotMatch(result.stdout + result.stderr, /sk-doctors-secret/);
    });
  }
  test('is not changed by it, and the provider is only asked for its models', async () => {
    const dir = fs.mkdtempSync(path.join(parley.dir, 'fresh-'));
    await doctor({ DATABASE_URL: `sqlite:${dir}/p.db` });
    assert.deepEqual(fs.readdirSync(dir), []);
    assert.deepEqual([...new Set(models.requests.map((r) => `${r.method} ${r.url}`))], ['GET /v1/models']);
    assert.equal(mock.requests.length, 0);
  });
  test('wrong usage says how', async () => {
    for (const args of [['not-a-url'], ['http://'], ['https:///path'], ['http://a', 'http://b']]) assert.equal((await doctor({}, ...args)).code, 2);
  });
});

describe('planted faults', { concurrency: 2 }, () => {
  test('a wrong key', async (t) => {
    const refusing = await startModels({ status: 401 });
    t.after(() => refusing.stop());
    finding(await doctor({ OPENAI_API_BASE: refusing.url }), 'FAIL', /provider openai: refuses the key/, /OPENAI_API_KEY/);
  });

  test('a provider that cannot be reached', async () => {
    finding(await doctor({ OPENAI_API_BASE: `http://127.0.0.1:${await freePort()}/v1` }), 'FAIL', /provider openai: cannot be reached/, /firewall/);
  });

  test('a provider whose certificate nobody knows', async (t) => {
    const dir = tempDir(t);
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${dir}/k`, '-out', `${dir}/c`, '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
    const strange = await startModels({ tls: { key: fs.readFileSync(`${dir}/k`), cert: fs.readFileSync(`${dir}/c`) } });
    t.after(() => strange.stop());
    finding(await doctor({ OPENAI_API_BASE: strange.url }), 'FAIL', /certificate is not believed/, /CA_FILE/);
    finding(await doctor({ OPENAI_API_BASE: strange.url, CA_FILE: `${dir}/c` }), 'PASS', /provider openai: reachable/);
  });

  test('a model that the provider does not have', async () => {
    finding(await doctor({ OPENAI_MODEL: 'gpt-99' }), 'WARN', /gpt-99 is not among/, /list of models/);
  });

  test('a clock that is wrong', async (t) => {
    const elsewhen = await startModels({ date: 'Sun, 06 Nov 2044 08:49:37 GMT' });
    t.after(() => elsewhen.stop());
    finding(await doctor({ OPENAI_API_BASE: elsewhen.url }), 'FAIL', /clock: -\d+ seconds apart/, /set-ntp/);
  });

  test('no key at all', async () => {
    finding(await doctor({ OPENAI_API_BASE: '', OPENAI_API_KEY: '' }), 'WARN', /the demo answers/, /OPENAI_API_KEY/);
  });

  test('a store that cannot be written', async () => {
    finding(await doctor({ DATABASE_URL: 'sqlite:/proc/parley/p.db' }), 'FAIL', /store: writing/, /chown/);
  });

  test('a file that is no database', async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(`${dir}/p.db`, 'something else, and long enough to be read');
    finding(await doctor({ DATABASE_URL: `sqlite:${dir}/p.db` }), 'FAIL', /is no database/, /backup/);
  });

  test('too few open files', async () => {
    const child = start('sh', ['-c', `ulimit -n 200; exec ${PARLEY} doctor`], { env: { ...wellEnv, MAX_STREAMS: '4000' }, cwd: parley.dir });
    const { code } = await child.exited;
    finding({ code, stdout: child.output, stderr: '' }, 'FAIL', /open files/, /LimitNOFILE.*MAX_STREAMS=36/);
  });

  test('settings that everybody can read', async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(`${dir}/env`, 'BRAND_NAME=x\n', { mode: 0o644 });
    finding(await doctor({ PARLEY_ENV: `${dir}/env` }), 'WARN', /settings/, /chmod/);
  });

  test('nobody listening', async () => {
    finding(await doctor({ LISTEN: `unix:${parley.dir}/none.sock` }), 'WARN', /nobody listens/, /start Parley/);
  });
});

/* A web server with a fault, in front of the same parley. */
async function nginx(t, location, { around = '', dir = tempDir(t), pass = `unix:${parley.socket}` } = {}) {
  const port = await freePort();
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`).join(' ');
  fs.writeFileSync(`${dir}/n.conf`, `${process.getuid() === 0 ? 'user root;' : ''} daemon off; pid ${dir}/n.pid; error_log ${dir}/n.err;
    events {} http { access_log off; ${temp} server { listen 127.0.0.1:${port}; ${around}
    location / { ${location.includes('BEFORE') ? location.replace('BEFORE', '') : ''} include /etc/nginx/fastcgi_params; fastcgi_pass ${pass}; ${location.includes('BEFORE') ? '' : location} } } }`);
  return up(t, start('nginx', ['-c', `${dir}/n.conf`, '-p', dir, '-e', `${dir}/n.err`], { env: { PATH: process.env.PATH }, cwd: dir }), port);
}

async function lighttpd(t, lines, root = tempDir(t)) {
  const dir = tempDir(t);
  const port = await freePort();
  fs.writeFileSync(`${dir}/l.conf`, `server.modules = ("mod_fastcgi", "mod_setenv")
server.document-root = "${root}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${dir}/err"
server.upload-dirs = ("${dir}")
${lines}`);
  return up(t, start('lighttpd', ['-D', '-f', `${dir}/l.conf`], { env: { PATH: process.env.PATH }, cwd: dir }), port);
}

async function up(t, server, port) {
  t.after(() => end(server).catch(() => {}));
  const connects = () => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
  assert.ok(await eventually(connects), server.output);
  return `http://127.0.0.1:${port}`;
}

const fastcgi = () => `fastcgi.server = ("/" => (("socket" => "${parley.socket}", "check-local" => "disable", "fix-root-scriptname" => "enable")))`;

describe('planted faults of the web server', { concurrency: 2 }, () => {
  test('nginx that holds the stream back', async (t) => {
    const url = await nginx(t, 'fastcgi_ignore_headers X-Accel-Buffering;');
    finding(await doctor({}, url), 'FAIL', /streaming: ten pieces/, /nginx: .*fastcgi_buffering off/);
  });

  test('lighttpd that holds the stream back', async (t) => {
    finding(await doctor({}, await lighttpd(t, fastcgi())), 'FAIL', /streaming: ten pieces/, /lighttpd: server.stream-response-body = 1/);
  });

  test('the settings in the web root', async (t) => {
    const root = tempDir(t);
    fs.writeFileSync(`${root}/.env`, 'OPENAI_API_KEY=sk-served\n');
    const url = await lighttpd(t, `$HTTP["url"] =~ "^/api" { ${fastcgi()} }`, root);
    const result = await doctor({}, url);
    finding(result, 'FAIL', /private files: everybody can read .*\/\.env/, /lighttpd: .*url.access-deny/);
    assert.doesNotMatch(result.stdout, /sk-served/);
  });

  test('the database in the web root', async (t) => {
    const url = await nginx(t, '', { around: `location ~ \\.db$ { root ${parley.dir}; }` });
    finding(await doctor({}, url), 'FAIL', /private files: everybody can read .*parley\.db/, /nginx: location/);
  });

  test('an Authorization header that does not arrive', async (t) => {
    const url = await nginx(t, 'BEFORE fastcgi_param HTTP_AUTHORIZATION "" if_not_empty; fastcgi_pass_request_headers off;');
    finding(await doctor({}, url), 'FAIL', /API keys: .*does not arrive/, /HTTP_AUTHORIZATION/);
  });

  test('CORS headers of the web server\'s own', async (t) => {
    const url = await nginx(t, 'add_header Access-Control-Allow-Origin "*" always;');
    finding(await doctor({}, url), 'FAIL', /CORS: a strange site gets/, /remove add_header/);
  });

  test('methods that are not let through', async (t) => {
    const url = await nginx(t, 'limit_except GET POST { deny all; }');
    finding(await doctor({}, url), 'FAIL', /methods: OPTIONS is answered with HTTP 403/, /limit_except/);
  });

  test('no proxy where the web server names its peer once more, as Caddy does', async (t) => {
    finding(await doctor({}, await nginx(t, 'fastcgi_param HTTP_X_FORWARDED_FOR $remote_addr;')), 'PASS', /client address: Parley sees 127\.0\.0\.1/);
  });

  test('a proxy in front that Parley does not know', async (t) => {
    const url = await nginx(t, 'fastcgi_param HTTP_X_FORWARDED_FOR 203.0.113.9;');
    finding(await doctor({}, url), 'FAIL', /client address: a proxy is in front/, /TRUSTED_PROXIES=127.0.0.1/);
  });

  test('a web server that does not reach Parley', async (t) => {
    const url = await nginx(t, '', { pass: `unix:${parley.dir}/nobody.sock` });
    finding(await doctor({}, url), 'FAIL', /site: nginx answers HTTP 502/, /nginx: fastcgi_pass/);
  });

  test('an address where something else answers', async (t) => {
    finding(await doctor({}, await lighttpd(t, '')), 'FAIL', /site: lighttpd answers HTTP 404/, /check-local/);
  });

  test('an address where nobody answers', async () => {
    const result = await doctor({}, `http://127.0.0.1:${await freePort()}`);
    finding(result, 'FAIL', /site: the web server does not answer/, /DNS/);
    assert.doesNotMatch(result.stdout, /private files/, 'nobody could tell');
  });
});
