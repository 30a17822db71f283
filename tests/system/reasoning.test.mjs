/*
 * The model's thoughts: frames of their own for clients that ask, where REASONING is on; never in the text, never
 * stored, and never for anybody else.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const THOUGHTS = 'Hm, “tea” — let me think. ';
let mock, parley;

/* A model that thinks before it speaks; `then` is what happens afterwards. */
function thinker(call, res, then) {
  const frame = (delta, finish = null) => res.write(`data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model: call.model,
    choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  frame({ role: 'assistant', content: '' });
  for (const piece of [THOUGHTS, 'Done.']) frame({ reasoning_content: piece });
  return then(frame);
}

before(async () => {
  mock = await startMock();
  mock.script((call) => (String(call.question).includes('think well') ? async (c, res) => thinker(c, res, (frame) => {
    for (const piece of ['The ', 'answer.']) frame({ content: piece });
    frame({}, 'stop');
    res.end('data: [DONE]\n\n');
  }) : undefined));
  mock.script((call) => (String(call.question).includes('think and die') ? async (c, res) => thinker(c, res, () => {
    setTimeout(() => res.socket.destroy(), 50);
  }) : undefined));
  parley = await startParley({ mock, workers: 1, env: { REASONING: 'on', RETRY_MAX: 2, BREAKER_FAILURES: 0 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

const thoughtsOf = (stream) => stream.frames.map((frame) => frame.json?.reasoning ?? '').join('');

test('a client that asks gets them in frames that still have content and done', async () => {
  const stream = await (await parley.stream('/api/chat/stream', { message: 'think well', reasoning: true })).ended;
  assert.equal(thoughtsOf(stream), `${THOUGHTS}Done.`);
  assert.equal(stream.text, 'The answer.');
  for (const frame of stream.frames.filter((one) => one.json?.reasoning)) {
    assert.deepEqual(Object.keys(frame.json), ['reasoning', 'content', 'done']);
    assert.deepEqual([frame.json.content, frame.json.done], ['', false]);
    assert.match(frame.id, /^msg_.*:0$/);
  }
  const first = stream.frames.findIndex((one) => one.json?.content);
  assert.ok(stream.frames.slice(first).every((one) => one.json?.reasoning === undefined));
  const [row] = await parley.sql(`SELECT content FROM messages WHERE public_id = '${stream.last.message_id}'`);
  assert.equal(row.content, 'The answer.');
});

test('nobody else gets them', async () => {
  for (const more of [{}, { reasoning: false }]) {
    const stream = await (await parley.stream('/api/chat/stream', { message: 'think well', ...more })).ended;
    assert.equal(thoughtsOf(stream), '');
    assert.equal(stream.text, 'The answer.');
  }
  const reply = await parley.post('/api/chat', { message: 'think well', reasoning: true });
  assert.equal(reply.json.response, 'The answer.');
  assert.doesNotMatch(reply.text, /let me think/);
  const wrong = await parley.post('/api/chat', { message: 'x', reasoning: 'yes' });
  assert.deepEqual([wrong.status, wrong.json.field], [400, 'reasoning']);
});

test('thoughts that were shown are not begun again; unseen ones are', async () => {
  const shown = await (await parley.stream('/api/chat/stream', { message: 'think and die A', reasoning: true })).ended;
  assert.equal(thoughtsOf(shown), `${THOUGHTS}Done.`);
  assert.match(shown.last.code, /^provider_/);
  assert.equal(mock.calls('think and die A').length, 1);
  const unseen = await parley.post('/api/chat', { message: 'think and die B' });
  assert.equal(unseen.status, 502);
  assert.equal(mock.calls('think and die B').length, 3);
});

test('where REASONING is off, asking does nothing', async () => {
  const plain = await startParley({ mock, workers: 1 });
  try {
    const stream = await (await plain.stream('/api/chat/stream', { message: 'think well', reasoning: true })).ended;
    assert.equal(thoughtsOf(stream), '');
    assert.equal(stream.text, 'The answer.');
  } finally {
    await plain.stop();
  }
});
