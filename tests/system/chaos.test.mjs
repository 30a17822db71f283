/*
 * The provider misbehaves in every way at once while 100 clients chat: nobody hangs, nobody gets another one's
 * words, no error is half a JSON, and the log tells of each turn what happened.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const CLIENTS = 100;
const ROUNDS = 6;
const SCRIPTS = ['', 'delay=20', 'crlf=1,comments=1', 'split=7', 'first=300', 'head=300', 'usage=0', 'done=0', 'finish=length',
  'status=400', 'status=401', 'status=404', 'status=408', 'status=409', 'status=429', 'status=429,retry_after=0.1', 'status=429,retry_after=60',
  'status=429,code=insufficient_quota', 'status=500', 'status=503', 'status=529', 'fault=closed', 'fault=nothttp', 'fault=garbage', 'fault=html',
  'fault=empty', 'fault=notsse', 'fault=badjson', 'cut=0', 'cut=2,delay=10', 'end=0', 'end=2,delay=10', 'error=0', 'error=2,delay=10',
  'line=2000000,delay=10', 'badutf8=2', 'hang=head', 'hang=first', 'hang=2'];

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: 'nginx', workers: 2, env: { FIRST_BYTE_TIMEOUT_MS: 1500, IDLE_TIMEOUT_MS: 1500, BREAKER_FAILURES: 0,
    REQUEST_THREADS: 8 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

/* Each word names its client and round. */
const wordsOf = (text, n, i) => text.replaceAll(`c${n}r${i}.`, '').replace(/bad(\ufffd|\()+utf8 /g, '');

function checkStream(stream, n, i, script) {
  const where = `client ${n} round ${i} ${script}: ${stream.raw.slice(0, 500)}`;
  assert.equal(stream.closed, 'end', where);
  if (stream.status !== 200) {
    assert.ok([502, 503, 504].includes(stream.status), where);
    assert.equal(stream.json?.status, 'error', where);
    assert.match(stream.json.code, /^provider_/, where);
    return;
  }
  assert.equal(wordsOf(stream.text, n, i), '', where);
  for (const frame of stream.frames.slice(0, -1)) assert.ok(frame.json, where);
  assert.equal(stream.frames.at(-1).data, '[DONE]', where);
  assert.equal(stream.last.done, true, where);
  assert.ok(stream.last.finish_reason || /^provider_/.test(stream.last.code), where);
}

function checkReply(reply, n, i, script) {
  const where = `client ${n} round ${i} ${script}: ${reply.status} ${reply.text.slice(0, 500)}`;
  assert.ok(reply.json, where);
  if (reply.status === 200) assert.equal(wordsOf(reply.json.response, n, i), '', where);
  else assert.ok([502, 503, 504].includes(reply.status) && /^provider_/.test(reply.json.code), where);
}

test('100 clients, every kind of trouble', { timeout: 120000 }, async () => {
  const ids = [];
  await Promise.all(Array.from({ length: CLIENTS }, async (_, n) => {
    for (let i = 0; i < ROUNDS; i++) {
      const script = SCRIPTS[(n * ROUNDS + i) % SCRIPTS.length];
      const message = `chaos mock:text=c${n}r${i}.,deltas=4${script && ','}${script}`;
      if ((n + i) % 3 === 0) {
        const reply = await parley.post('/api/chat', { message });
        checkReply(reply, n, i, script);
        ids.push(reply.headers['x-request-id']);
      } else {
        const stream = await (await parley.stream('/api/chat/stream', { message })).ended;
        checkStream(stream, n, i, script);
        ids.push(stream.headers['x-request-id']);
      }
    }
  }));
  assert.equal(new Set(ids).size, CLIENTS * ROUNDS);
  await parley.waitLog((l) => l.event === 'request' && l.request_id === ids.at(-1));
  const turns = new Map(parley.logs.filter((l) => l.event === 'turn').map((l) => [l.request_id, l]));
  for (const id of ids) {
    const turn = turns.get(id);
    assert.ok(turn, `no line about the turn of ${id}`);
    assert.ok(turn.finish && turn.status && turn.attempts >= 1, JSON.stringify(turn));
    if (turn.status === 'failed') assert.match(turn.code, /^provider_/);
  }
  assert.deepEqual(await parley.sql("SELECT count(*) AS n FROM messages WHERE role = 'assistant' AND status = 'streaming'"), [{ n: 0 }]);
  assert.deepEqual(await parley.sql("SELECT count(*) AS n FROM messages WHERE role = 'assistant'"), [{ n: CLIENTS * ROUNDS }]);
  assert.doesNotMatch(parley.logText(), /sk-test-key|sk-verysecret/);
  assert.equal((await parley.post('/api/chat', { message: 'mock:' })).json.response, 'w0 w1 w2 ');
});
