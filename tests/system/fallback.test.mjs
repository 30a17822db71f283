/*
 * FALLBACK_MESSAGE: when no provider can answer, the visitor gets that text with 200 and status "fallback"; it
 * is stored as such and logged, and models never see it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const TEXT = 'Our assistant is resting — please write to help@example.org.';

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: 'nginx', workers: 2,
    env: { FALLBACK_MESSAGE: TEXT, RETRY_MAX: 0, BREAKER_FAILURES: 0, RESPONSE_CACHE_TTL: 3600, FIRST_BYTE_TIMEOUT_MS: 500 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

for (const script of ['status=500', 'status=401', 'status=429', 'status=429,code=insufficient_quota', 'fault=closed', 'fault=html', 'hang=head', 'error=0']) {
  test(`${script}: 200 with the text, stored and logged as fallback`, async () => {
    const reply = await parley.post('/api/chat', { message: `ouch mock:${script}` });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.json.response, TEXT);
    assert.equal(reply.json.status, 'fallback');
    assert.equal(reply.json.finish_reason, 'fallback');
    const [row] = await parley.sql(`SELECT content, status, finish, total_tokens FROM messages WHERE public_id = '${reply.json.message_id}'`);
    assert.deepEqual(row, { content: TEXT, status: 'complete', finish: 'fallback', total_tokens: 0 });
    const turn = await parley.waitLog((l) => l.event === 'turn' && l.message_id === reply.json.message_id);
    assert.equal(turn.finish, 'fallback');
    assert.equal(turn.level, 'warn');
    assert.match(turn.code, /^provider_/);
  });
}

test('as a stream: the text as a delta, the last frame says fallback', async () => {
  const stream = await (await parley.stream('/api/chat/stream', { message: 'ouch mock:status=500' })).ended;
  assert.equal(stream.status, 200);
  assert.equal(stream.text, TEXT);
  assert.equal(stream.last.finish_reason, 'fallback');
  assert.equal(stream.last.error, undefined);
  assert.equal(stream.frames.at(-1).data, '[DONE]');
});

test('in the other contracts', async () => {
  const user = await parley.post('/api/chat/simple', { user_id: 'u1', message: 'mock:status=500' });
  assert.equal(user.json.response, TEXT);
  const { json: { sessionId } } = await parley.post('/api/create-session', {});
  const session = await parley.post('/api/chat', { sessionId, message: 'mock:status=500' });
  assert.equal(session.json.response, TEXT);
});

test('it is not kept for the next visitor, and the model never hears of it', async () => {
  const first = await parley.post('/api/chat', { message: 'twice mock:status=500' });
  assert.equal((await parley.post('/api/chat', { message: 'twice mock:status=500' })).headers['x-cache'], 'miss');
  const { conversation_id } = first.json;
  const next = await parley.post('/api/chat', { conversation_id, message: 'and now? mock:' });
  assert.equal(next.json.status, 'success');
  assert.doesNotMatch(JSON.stringify(mock.calls('and now?')[0].messages), /resting/);
});

test('a text that has begun is an error all the same: nothing is glued to it', async () => {
  const stream = await (await parley.stream('/api/chat/stream', { message: 'mock:deltas=4,delay=5,cut=2' })).ended;
  assert.equal(stream.text, 'w0 w1 ');
  assert.match(stream.last.code, /^provider_/);
});

test('who waits for the whole answer gets it instead of one that broke off; what there was stays failed', async () => {
  const reply = await parley.post('/api/chat', { message: 'whole mock:deltas=4,cut=2' });
  assert.deepEqual([reply.status, reply.json.status, reply.json.finish_reason], [200, 'fallback', 'fallback']);
  assert.match(reply.json.response, /resting/);
  const { json } = await parley.get(`/api/messages/${reply.json.message_id}`);
  assert.deepEqual([json.status, json.content], ['failed', 'w0 w1 ']);
});

test('bad input is no upstream failure', async () => {
  assert.equal((await parley.post('/api/chat', { message: '' })).status, 400);
  assert.equal((await parley.post('/api/chat', { message: 'x', conversation_id: 'conv_nobody' })).status, 404);
});
