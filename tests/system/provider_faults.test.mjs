/*
 * Every way in which the provider misbehaves ends in a clean error: a documented status before the stream
 * began, an error frame afterwards; within its deadline, logged once, and the worker lives.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { freePort, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const SECRETS = /sk-verysecret|sk-test-key|WiFi|mock says|the mock broke/;
const QUESTION = 'never-log-this-question';

let mock, parley, pids;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: 'nginx', workers: 2, env: { LOG_LEVEL: 'debug', BREAKER_FAILURES: 0 } });
  pids = parley.workerPids();
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

/* script, status before the stream, code (a pattern) */
const BEFORE = [
  ['status=400', [502], /^provider_/],
  ['status=401', [502], /^provider_auth$/],
  ['status=403', [502], /^provider_auth$/],
  ['status=404', [502], /^provider_/],
  ['status=429', [503], /^provider_rate_limited$/],
  ['status=429,code=insufficient_quota', [502, 503], /^provider_quota$/],
  ['status=500', [502, 503], /^provider_/],
  ['status=503', [502, 503], /^provider_/],
  ['fault=closed', [502, 503], /^provider_/],
  ['fault=nothttp', [502], /^provider_/],
  ['fault=garbage', [502], /^provider_/],
  ['fault=html', [502], /^provider_/],
  ['fault=empty', [502], /^provider_/],
  ['fault=notsse', [502], /^provider_/],
  ['fault=badjson', [502], /^provider_/],
  ['cut=0', [502], /^provider_/],
  ['end=0', [502], /^provider_/],
  ['error=0', [502, 503], /^provider_/],
];

/* script, text that came before it broke */
const MIDDLE = [
  ['cut=2', 'w0 w1 '],
  ['end=2', 'w0 w1 '],
  ['error=2', 'w0 w1 '],
  ['line=10485760', 'w0 '],
];

/* Lines about this request that call for somebody's attention. */
function complaints(requestId) {
  return parley.logs.filter((line) => line.request_id === requestId && ['warn', 'error'].includes(line.level));
}

async function checkLogged(requestId) {
  await parley.waitLog((line) => line.request_id === requestId && line.event === 'request');
  assert.equal(complaints(requestId).length, 1, JSON.stringify(complaints(requestId)));
}

function checkError(reply, statuses, code) {
  assert.ok(statuses.includes(reply.status), `${reply.status} ${reply.text}`);
  assert.equal(reply.json.status, 'error');
  assert.match(reply.json.code, code);
  assert.doesNotMatch(reply.text, SECRETS);
  if (reply.status === 503) assert.ok(Number(reply.headers['retry-after']) >= 1, 'Retry-After');
}

describe('before the stream began', { concurrency: 4 }, () => {
  for (const [script, statuses, code] of BEFORE) {
    test(`${script}: ${statuses.join(' or ')} as JSON and where SSE was asked for`, async () => {
      for (const where of ['/api/chat', '/api/chat/stream']) {
        const reply = await parley.post(where, { message: `${QUESTION} mock:${script}` });
        checkError(reply, statuses, code);
        await checkLogged(reply.headers['x-request-id']);
      }
    });
  }

  test('Retry-After of the provider is passed on', async () => {
    const reply = await parley.post('/api/chat', { message: 'mock:status=429,retry_after=17' });
    assert.equal(reply.status, 503);
    assert.equal(reply.headers['retry-after'], '17');
    assert.equal(reply.json.retry_after, 17);
  });
});

describe('in the middle of the answer', { concurrency: 4 }, () => {
  for (const [script, text] of MIDDLE) {
    test(`${script}: the text so far, an error frame, [DONE]`, async () => {
      const stream = await parley.stream('/api/chat/stream', { message: `${QUESTION} mock:deltas=4,delay=20,${script}` });
      await stream.ended;
      assert.equal(stream.closed, 'end');
      assert.equal(stream.text, text);
      assert.equal(stream.last.done, true);
      assert.match(stream.last.code, /^provider_/);
      assert.equal(typeof stream.last.error, 'string');
      assert.equal(stream.frames.at(-1).data, '[DONE]');
      assert.doesNotMatch(stream.raw, SECRETS);
      await checkLogged(stream.headers['x-request-id']);
      const [row] = await parley.sql(`SELECT status, content FROM messages WHERE public_id = '${stream.first.message_id}'`);
      assert.deepEqual(row, { status: 'failed', content: text });
    });

    test(`${script}: a clean error where JSON was asked for`, async () => {
      const reply = await parley.post('/api/chat', { message: `mock:deltas=4,${script}` });
      checkError(reply, [502, 503], /^provider_/);
    });
  }

  test('bytes that are not UTF-8 never reach the client as such', async () => {
    const reply = await parley.post('/api/chat/stream', { message: 'mock:deltas=4,delay=5,badutf8=2' });
    assert.deepEqual(Buffer.from(reply.body.toString()), reply.body);
    assert.match(reply.text, /w1 /);
    assert.ok(reply.text.endsWith('data: [DONE]\n\n'));
  });

  test('no usage is no error', async () => {
    const reply = await parley.post('/api/chat', { message: 'mock:usage=0' });
    assert.equal(reply.status, 200);
    assert.equal(reply.json.response, 'w0 w1 w2 ');
  });

  test('no [DONE] after the finish is no error', async () => {
    const reply = await parley.post('/api/chat', { message: 'mock:done=0' });
    assert.equal(reply.status, 200);
    assert.equal(reply.json.response, 'w0 w1 w2 ');
  });

  test('a response head whose lines end with LF alone is no error', async () => {
    const reply = await parley.post('/api/chat', { message: 'mock:fault=lf' });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.json.response, 'w0 ');
  });

  test('the provider\'s reasons to finish are told', async () => {
    for (const reason of ['length', 'content_filter']) {
      const stream = await (await parley.stream('/api/chat/stream', { message: `mock:finish=${reason}` })).ended;
      assert.equal(stream.last.finish_reason, reason);
    }
  });
});

test('a provider that is down is 503 at once, and logged once', async () => {
  const down = await startParley({ via: 'lighttpd', workers: 1,
    env: { OPENAI_API_KEY: 'sk-test-key', OPENAI_API_BASE: `http://127.0.0.1:${await freePort()}/v1` } });
  try {
    const begun = Date.now();
    const reply = await down.post('/api/chat/stream', { message: 'anybody there?' });
    assert.equal(reply.status, 503, reply.text);
    assert.match(reply.json.code, /^provider_/);
    assert.ok(Number(reply.headers['retry-after']) >= 1);
    assert.ok(Date.now() - begun < 3000);
    const id = reply.headers['x-request-id'];
    await down.waitLog((line) => line.request_id === id && line.event === 'request');
    assert.equal(down.logs.filter((l) => l.request_id === id && ['warn', 'error'].includes(l.level)).length, 1);
    assert.deepEqual(await down.sql('SELECT role, status FROM messages ORDER BY id'),
      [{ role: 'user', status: 'complete' }, { role: 'assistant', status: 'failed' }]);
  } finally {
    await down.stop();
  }
});

test('the same workers are still there, work, and have logged neither keys nor texts', async () => {
  assert.equal((await parley.post('/api/chat', { message: 'mock:' })).json.response, 'w0 w1 w2 ');
  assert.deepEqual(parley.workerPids().sort(), pids.sort());
  assert.doesNotMatch(parley.logText(), /sk-test-key|sk-verysecret|never-log-this-question/);
  assert.deepEqual(await parley.sql("SELECT count(*) AS n FROM messages WHERE status = 'streaming'"), [{ n: 0 }]);
});
