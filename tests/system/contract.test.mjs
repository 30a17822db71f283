/*
 * What every endpoint of every contract has in common, and what several clients at once may expect, through lighttpd and
 * through nginx. Each source document has a file of its own: contract_000 to contract_003.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { FRONTS, isText, startContract } from './contract_kit.mjs';

let mock, parley;
before(async () => { ({ mock, parley } = await startContract()); });
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

for (const front of FRONTS) {
  describe(`every endpoint through ${front}`, () => {
    let at;
    before(() => { at = parley.through(front); });

    test('a message is trimmed, cleaned of control characters, and 1000 characters long at most', async () => {
      const long = `${'😀'.repeat(970)} long-${front} mock:`.padEnd(1000 + 970, '.'); /* an emoji is two UTF-16 units */
      const reply = await at.post('/api/chat', { message: ` \u0000\u0007${long}\n ` });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(mock.calls(`long-${front}`)[0].question, long);
      await at.post('/api/chat', { message: `a\u0000b\u001b\tc\nd ${front} mock:` });
      assert.equal(mock.calls(`ab\tc\nd ${front}`).length, 1);
    });

    test('a trailing slash means the same path', async () => {
      assert.equal((await at.get('/api/health/')).status, 200);
      assert.equal((await at.post('/api/chat/', { message: 'slash mock:' })).status, 200);
    });

    test('HEAD works where GET does, without a body', async () => {
      for (const where of ['/api/health', '/health', '/']) {
        const reply = await at.request(where, { method: 'HEAD' });
        assert.equal(reply.status, 200, where);
        assert.equal(reply.body.length, 0);
        isText(reply.headers['x-request-id']);
      }
    });

    test('unknown fields are ignored, null means absent, charset parameters are fine', async () => {
      const reply = await at.request('/api/chat', { method: 'POST', headers: { 'Content-Type': 'Application/JSON; charset=utf-8' },
        body: JSON.stringify({ message: 'unknown mock:', whatever: { deep: [1] }, conversation_id: null }) });
      assert.equal(reply.status, 200, reply.text);
    });

    test('a preflight is answered for a listed origin and refused for another', async () => {
      const ask = (origin) => at.request('/api/chat', { method: 'OPTIONS',
        headers: { Origin: origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' } });
      const yes = await ask('https://shop.example');
      assert.ok(yes.status === 200 || yes.status === 204);
      assert.equal(yes.headers['access-control-allow-origin'], 'https://shop.example');
      assert.equal(yes.headers['access-control-max-age'], '600');
      assert.match(yes.headers['access-control-allow-methods'], /POST/);
      assert.match(yes.headers.vary, /Origin/);
      const no = await ask('https://evil.example');
      assert.equal(no.status, 403);
      assert.match(no.json.error, /https:\/\/evil\.example/);
      assert.match(no.json.error, /CORS_ORIGIN/);
    });
  });
}

test('/api/chat/stream always streams', async () => {
  const stream = await parley.stream('/api/chat/stream', { message: 'always mock:' });
  await stream.ended;
  assert.match(stream.headers['content-type'], /^text\/event-stream/);
  assert.equal(stream.text, 'w0 w1 w2 ');
  assert.equal(stream.frames.at(-1).data, '[DONE]');
});

test('a client that saw done:true owns a durable answer', async () => {
  const stream = await parley.stream('/api/chat/stream', { message: 'durable mock:deltas=5' });
  await stream.until((s) => s.last);
  const [row] = await parley.sql(`SELECT status, content, finish, provider, model, total_tokens FROM messages WHERE public_id = '${stream.last.message_id}'`);
  assert.deepEqual(row, { status: 'complete', content: 'w0 w1 w2 w3 w4 ', finish: 'stop', provider: 'openai', model: 'mock-model-2024', total_tokens: 16 });
});

test('upstream connections are pooled', async () => {
  for (let i = 0; i < 10; i++) await parley.post('/api/chat', { message: `pool ${i} mock:` });
  const ports = new Set(mock.calls('pool ').map((call) => call.port));
  assert.ok(ports.size <= 4, `${ports.size} connections for 10 turns, one after the other`);
});

test('60 turns at once, each gets its own answer', async () => {
  const streams = await Promise.all(Array.from({ length: 60 }, async (_, i) => {
    const at = parley.through(FRONTS[i % 2]);
    const stream = await at.stream('/api/chat/stream', { message: `many mock:deltas=10,delay=10,text=<${i}>` });
    return stream.ended;
  }));
  streams.forEach((stream, i) => assert.equal(stream.text, `<${i}>`.repeat(10)));
});
