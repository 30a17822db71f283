/*
 * Every wait has a deadline: each of the provider's silences ends in time with a clean error, and so does a
 * web server that does not send its request.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';

import { eventually, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const SLACK = 1500; /* ms over a deadline, on a busy machine */

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: 'nginx', workers: 1, env: {
    FIRST_BYTE_TIMEOUT_MS: 1000, IDLE_TIMEOUT_MS: 1000, ANSWER_TIMEOUT_MS: 3000, REQUEST_TIMEOUT: 1 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

async function timed(action) {
  const begun = process.hrtime.bigint();
  const result = await action();
  return [result, Number(process.hrtime.bigint() - begun) / 1e6];
}
const within = (ms, deadline) => assert.ok(ms > deadline - 300 && ms < deadline + SLACK, `${ms} ms for a deadline of ${deadline}`);

describe('silence of the provider', { concurrency: true }, () => {
  test('before its head: 504', async () => {
    const [reply, ms] = await timed(() => parley.post('/api/chat', { message: 'A mock:hang=head' }));
    assert.equal(reply.status, 504, reply.text);
    assert.match(reply.json.code, /^provider_/);
    within(ms, 1000);
    await mock.calls('A mock')[0].left;
  });

  test('after its head: 504', async () => {
    const [reply, ms] = await timed(() => parley.post('/api/chat', { message: 'B mock:hang=first' }));
    assert.equal(reply.status, 504, reply.text);
    within(ms, 1000);
  });

  test('in the middle: the text so far and an error frame', async () => {
    const [stream, ms] = await timed(async () => (await parley.stream('/api/chat/stream', { message: 'C mock:hang=2' })).ended);
    assert.equal(stream.text, 'w0 w1 ');
    assert.match(stream.last.code, /^provider_/);
    assert.equal(stream.frames.at(-1).data, '[DONE]');
    within(ms, 1000);
    await mock.calls('C mock')[0].left;
  });

  test('an answer that never ends is cut at its deadline', async () => {
    const [stream, ms] = await timed(async () => (await parley.stream('/api/chat/stream', { message: 'D mock:deltas=1000,delay=50' })).ended);
    assert.equal(stream.last.done, true);
    assert.match(stream.last.code, /^provider_/);
    assert.ok(stream.deltas.length > 10);
    within(ms, 3000);
  });

  test('a slow answer without silences is no failure', async () => {
    const stream = await (await parley.stream('/api/chat/stream', { message: 'E mock:deltas=4,delay=600' })).ended;
    assert.equal(stream.last.finish_reason, 'stop');
    assert.equal(stream.text, 'w0 w1 w2 w3 ');
  });
});

/* A process that listens and is then stopped by SIGSTOP, its queue of connections filled: whoever connects now waits. */
const DEAF = `import net from 'node:net'; const s = net.createServer(); s.listen({port: 0, host: '127.0.0.1', backlog: 1}, () => process.send(s.address().port));`;

test('a provider that does not take connections: 503 or 504 at the connect deadline', async () => {
  const deaf = fork('-e', [DEAF], { execArgv: ['--input-type=module'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const sockets = [];
  let slow;
  try {
    const port = await new Promise((resolve) => deaf.once('message', resolve));
    deaf.kill('SIGSTOP');
    for (let i = 0; i < 8; i++) sockets.push(net.connect(port, '127.0.0.1').on('error', () => {}));
    slow = await startParley({ via: 'nginx', workers: 1, env: { OPENAI_API_KEY: 'sk-x', OPENAI_API_BASE: `http://127.0.0.1:${port}/v1`,
      CONNECT_TIMEOUT_MS: 1000, FIRST_BYTE_TIMEOUT_MS: 20000 } });
    const [reply, ms] = await timed(() => slow.post('/api/chat', { message: 'hello' }));
    assert.ok([503, 504].includes(reply.status), reply.text);
    within(ms, 1000);
  } finally {
    await slow?.stop();
    sockets.forEach((socket) => socket.destroy());
    deaf.kill('SIGKILL');
  }
});

/* FastCGI records, for what no web server would send. */
const record = (type, content = Buffer.alloc(0)) => Buffer.concat([Buffer.from([1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0]), content]);
const BEGIN = record(1, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]));
function params(all) {
  return record(4, Buffer.concat(Object.entries(all).map(([name, value]) =>
    Buffer.concat([Buffer.from([name.length, value.length]), Buffer.from(name + value)]))));
}
const CHAT = { REQUEST_METHOD: 'POST', SCRIPT_NAME: '/api/chat', REQUEST_URI: '/api/chat', CONTENT_TYPE: 'application/json', SERVER_PROTOCOL: 'HTTP/1.1' };

/* Write bytes to parley's socket; what came back by the time it closed (or after `ms`). */
function talk(bytes, ms = 5000) {
  return new Promise((resolve) => {
    const socket = net.connect(parley.socket, () => socket.write(bytes));
    const parts = [];
    const timer = setTimeout(() => socket.destroy(), ms);
    socket.on('data', (part) => parts.push(part)).on('error', () => {})
      .on('close', () => { clearTimeout(timer); resolve(Buffer.concat(parts).toString()); });
  });
}

describe('a web server that misbehaves', () => {
  test('silent connections, halves of requests and garbage hold nobody up and are closed', async () => {
    const half = Buffer.concat([BEGIN, params({ ...CHAT, CONTENT_LENGTH: '100' }), record(4), record(5, Buffer.from('{"mess'))]);
    const bad = [Buffer.alloc(0), BEGIN.subarray(0, 5), BEGIN, half, Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(70000, 0xff)];
    const open = Array.from({ length: 60 }, (_, i) => timed(() => talk(bad[i % bad.length], 4000)));
    const [reply, ms] = await timed(() => parley.post('/api/chat', { message: 'F mock:' }));
    assert.equal(reply.status, 200);
    assert.ok(ms < SLACK, `${ms} ms`);
    for (const [, took] of await Promise.all(open.slice(6))) assert.ok(took < 3900, `closed after ${took} ms`);
  });

  test('records that crash libfcgi are turned away and the worker lives', async () => {
    const pids = parley.workerPids();
    const huge = record(4, Buffer.from([0xff, 0xff, 0xff, 0xfe, 0x80, 0, 0, 4, 0x41, 0x41]));
    const values = Buffer.concat([Buffer.from([1, 9, 0, 0]), Buffer.from([1, 224, 0, 0]),
      Buffer.concat(Array.from({ length: 30 }, () => Buffer.concat([Buffer.from([14, 0]), Buffer.from('FCGI_MAX_CONNS')])))]);
    await talk(Buffer.concat([BEGIN, huge, record(4), record(5)]), 1500);
    await talk(values, 1500);
    await talk(Buffer.concat([BEGIN, values]), 1500);
    assert.ok(await eventually(async () => (await parley.get('/api/health')).status === 200));
    assert.deepEqual(parley.workerPids(), pids);
  });

  test('a body may come without CONTENT_LENGTH or with -1; one that is too short is refused', async () => {
    const body = record(5, Buffer.from(JSON.stringify({ message: 'G mock:deltas=1' })));
    for (const length of [{}, { CONTENT_LENGTH: '' }, { CONTENT_LENGTH: '-1' }]) {
      const reply = await talk(Buffer.concat([BEGIN, params({ ...CHAT, ...length }), record(4), body, record(5)]));
      assert.match(reply, /Status: 200/);
      assert.match(reply, /"response":"w0 "/);
    }
    const short = await talk(Buffer.concat([BEGIN, params({ ...CHAT, CONTENT_LENGTH: '5000' }), record(4), body, record(5)]));
    assert.match(short, /Status: 400/);
    assert.equal(mock.calls('G mock').length, 3);
  });
});
