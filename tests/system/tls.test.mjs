/*
 * Providers behind TLS: a real nginx with certificates of a CA made here. Streams flow over HTTP/1.1 and HTTP/2;
 * a wrong host name, an unknown CA and an expired certificate are refused with a sentence that says so; proxies
 * are the configured ones and no others; keys stay out of the log.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { end, eventually, freePort, parleyCommand, start, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

let dir, mock, nginx;
const ports = {};

const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });

function makeCa(name) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`,
    '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`);
}

function makeCertificate(name, ca, san, days = '2') {
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`,
    '-subj', `/CN=${name}`);
  fs.writeFileSync(path.join(dir, `${name}.ext`), `subjectAltName=${san}\n`);
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', days,
    '-extfile', `${name}.ext`, '-out', `${name}.pem`);
}

function server(name, listen, certificate) {
  return `server {
    listen 127.0.0.1:${ports[name]} ${listen};
    ssl_certificate ${dir}/${certificate}.pem;
    ssl_certificate_key ${dir}/${certificate}.key;
    access_log ${dir}/${name}.log seen;
    location / {
      proxy_pass http://127.0.0.1:${mock.port};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 60s;
    }
  }`;
}

before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-tls-'));
  mock = await startMock();
  makeCa('test-ca');
  makeCa('other-ca');
  makeCertificate('good', 'test-ca', 'DNS:localhost');
  makeCertificate('stranger', 'other-ca', 'DNS:localhost');
  makeCertificate('expired', 'test-ca', 'DNS:localhost', '-1');
  for (const name of ['one', 'two', 'stranger', 'expired']) ports[name] = await freePort();
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`).join('\n');
  fs.writeFileSync(path.join(dir, 'nginx.conf'), `${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx.err;
events { worker_connections 1024; }
http {
  log_format seen "$server_protocol $connection $status";
  ${temp}
  ${server('one', 'ssl', 'good')}
  ${server('two', 'ssl http2', 'good')}
  ${server('stranger', 'ssl', 'stranger')}
  ${server('expired', 'ssl', 'expired')}
}
`);
  nginx = start('nginx', ['-c', path.join(dir, 'nginx.conf'), '-p', dir, '-e', path.join(dir, 'nginx.err')], { env: { PATH: process.env.PATH }, cwd: dir });
  const up = await eventually(() => new Promise((resolve) => {
    const socket = net.connect(ports.expired, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  }), 10000);
  assert.ok(up && nginx.exitCode === null, nginx.output + fs.readFileSync(path.join(dir, 'nginx.err'), 'utf8'));
});
after(async () => {
  if (nginx) await end(nginx);
  await mock?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

const base = (name, host = 'localhost') => `https://${host}:${ports[name]}/v1`;
const withParley = async (env, run) => {
  const parley = await startParley({ mock, workers: 1, env: { LOG_LEVEL: 'debug', CA_FILE: path.join(dir, 'test-ca.pem'), ...env } });
  try {
    await run(parley);
    assert.doesNotMatch(parley.logText(), /sk-test-key|Bearer/);
  } finally {
    await parley.stop();
  }
};
const seen = (name) => fs.readFileSync(path.join(dir, `${name}.log`), 'utf8').trim().split('\n').map((line) => line.split(' '));

/* The pieces come one by one: half of the time of the stream lies between the first and the last. */
async function checkStreams(parley) {
  const streams = await Promise.all(Array.from({ length: 20 }, async (_, n) =>
    (await parley.stream('/api/chat/stream', { message: `tls ${n} mock:deltas=6,delay=40,text=s${n}-` })).ended));
  for (const [n, stream] of streams.entries()) {
    assert.equal(stream.text, `s${n}-`.repeat(6));
    assert.equal(stream.last.finish_reason, 'stop');
    const span = Number(stream.deltas.at(-1).at - stream.deltas[0].at) / 1e6;
    assert.ok(span > 100, `it came in one lump: ${span} ms`);
  }
}

test('streams flow over HTTP/1.1 and connections are kept', () => withParley({ OPENAI_API_BASE: base('one') }, async (parley) => {
  await checkStreams(parley);
  await checkStreams(parley);
  const lines = seen('one');
  assert.ok(lines.every(([protocol]) => protocol === 'HTTP/1.1'));
  assert.equal(lines.length, 40);
  assert.ok(new Set(lines.map(([, connection]) => connection)).size <= 24, 'connections were not used again');
}));

test('streams flow over HTTP/2, many on one connection, and a stop reaches the provider', () => withParley({ OPENAI_API_BASE: base('two') }, async (parley) => {
  await checkStreams(parley);
  const lines = seen('two');
  assert.ok(lines.every(([protocol]) => protocol === 'HTTP/2.0'), JSON.stringify(lines));
  assert.ok(new Set(lines.map(([, connection]) => connection)).size <= 3);
  const stream = await parley.stream('/api/chat/stream', { message: 'stop over h2 mock:deltas=1000,delay=20' });
  await stream.until((s) => s.deltas.length > 2);
  const other = await parley.stream('/api/chat/stream', { message: 'beside it mock:deltas=20,delay=20' });
  await parley.post('/api/chat/stop', { message_id: stream.first.message_id });
  const [call] = mock.calls('stop over h2');
  await Promise.race([call.left, new Promise((_, reject) => { setTimeout(() => reject(new Error('the provider was not told')), 3000).unref(); })]);
  await other.ended;
  assert.equal(other.last.finish_reason, 'stop', 'the neighbour on the connection goes on');
}));

test('UPSTREAM_HTTP2=off speaks HTTP/1.1 to a server that could do both', () => withParley({ OPENAI_API_BASE: base('two'), UPSTREAM_HTTP2: 'off' }, async (parley) => {
  const before_ = seen('two').length;
  assert.equal((await parley.post('/api/chat', { message: 'mock:' })).status, 200);
  await eventually(() => seen('two').length > before_);
  assert.equal(seen('two').at(-1)[0], 'HTTP/1.1');
}));

for (const [what, env, words] of [
  ['a wrong host name', () => ({ OPENAI_API_BASE: base('one', '127.0.0.1') }), /certificate is for another host name/],
  ['an unknown CA', () => ({ OPENAI_API_BASE: base('stranger') }), /signed by an unknown authority/],
  ['the system\'s CAs only', () => ({ OPENAI_API_BASE: base('one'), CA_FILE: null }), /signed by an unknown authority/],
  ['an expired certificate', () => ({ OPENAI_API_BASE: base('expired') }), /certificate is out of date/],
]) {
  test(`${what} is refused with a message that says so, and nothing is sent`, () => withParley(env(), async (parley) => {
    const asked = mock.requests.length;
    const reply = await parley.post('/api/chat', { message: 'secret question mock:' });
    assert.equal(reply.status, 502, reply.text);
    assert.equal(reply.json.code, 'provider_tls');
    assert.match(reply.json.error, words);
    const turn = await parley.waitLog('turn');
    assert.equal(turn.attempts, 1);
    assert.match(turn.detail, /SSL|certificate/i);
    const items = await parley.post('/api/turn_response', { messages: [{ role: 'user', content: 'secret question' }], toolsState: {} });
    assert.equal(items.status, 500, items.text);
    assert.match((await parley.waitLog((line) => line.event === 'turn' && line.message_id !== turn.message_id)).code, /^provider_tls$/);
    assert.equal(mock.requests.length, asked);
  }));
}

test('whom to trust is read once for all connections of a worker', async () => {
  const file = path.join(dir, 'once.pem');
  fs.copyFileSync(path.join(dir, 'test-ca.pem'), file);
  await withParley({ OPENAI_API_BASE: base('one'), CA_FILE: file }, async (parley) => {
    const used = () => new Set(seen('one').map(([, connection]) => connection)).size;
    assert.equal((await parley.post('/api/chat', { message: 'mock:' })).status, 200);
    fs.writeFileSync(file, 'no certificate');
    const before_ = used();
    const replies = await Promise.all([1, 2, 3].map(() => parley.post('/api/chat', { message: 'mock:deltas=3,delay=100' })));
    assert.deepEqual(replies.map((reply) => reply.status), [200, 200, 200]);
    await eventually(() => used() > before_);
  });
});

test('a CA_FILE that is not there stops the start and is named, by check-config as well', async () => {
  for (const args of [['serve', '--listen', `unix:${dir}/x.sock`, '--workers', '1'], ['check-config']]) {
    const { code, stdout, stderr } = await parleyCommand(args, { env: { CA_FILE: '/nowhere/ca.pem', DATABASE_URL: `sqlite:${dir}/x.db`, PARLEY_ENV: '/dev/null' } });
    assert.equal(code, 1, args[0]);
    assert.match(stdout + stderr, /CA_FILE=\/nowhere\/ca\.pem cannot be read/);
  }
});

test('HTTPS_PROXY is used for https, NO_PROXY leaves hosts out, and http goes directly', async () => {
  const connects = [];
  const proxy = http.createServer((req, res) => { connects.push(req.url); res.writeHead(500).end(); });
  proxy.on('connect', (req, socket, head) => {
    connects.push(req.url);
    const [host, port] = req.url.split(':');
    const out = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      out.write(head);
      out.pipe(socket).pipe(out);
    });
    for (const one of [out, socket]) one.on('error', () => { out.destroy(); socket.destroy(); });
  });
  await new Promise((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
  const HTTPS_PROXY = `http://127.0.0.1:${proxy.address().port}`;
  try {
    await withParley({ OPENAI_API_BASE: base('one'), HTTPS_PROXY }, async (parley) => {
      assert.equal((await parley.post('/api/chat', { message: 'mock:' })).status, 200);
      assert.deepEqual(connects, [`localhost:${ports.one}`]);
    });
    await withParley({ OPENAI_API_BASE: base('one'), HTTPS_PROXY, NO_PROXY: 'example.org,localhost' }, async (parley) => {
      assert.equal((await parley.post('/api/chat', { message: 'mock:' })).status, 200);
      assert.equal(connects.length, 1);
    });
    await withParley({ HTTPS_PROXY, HTTP_PROXY: HTTPS_PROXY, http_proxy: HTTPS_PROXY, ALL_PROXY: HTTPS_PROXY }, async (parley) => {
      assert.equal((await parley.post('/api/chat', { message: 'mock:' })).status, 200);
      assert.equal(connects.length, 1, 'a proxy that nobody configured was asked');
    });
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});
