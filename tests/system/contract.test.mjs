/*
 * The chat contracts of the four sources as this version serves them: paths, field names, types, status
 * values, headers and SSE frames, through lighttpd and through nginx.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const FRONTS = ['lighttpd', 'nginx'];
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const USAGE = { prompt_tokens: 11, completion_tokens: 3, total_tokens: 14 };

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: FRONTS, env: { SYSTEM_PROMPT: 'You are the test.', CORS_ORIGIN: 'https://shop.example' } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

const isTimestamp = (text) => { assert.match(text, TIMESTAMP); assert.ok(Math.abs(Date.now() - Date.parse(text)) < 60000); };
const isText = (text) => { assert.equal(typeof text, 'string'); assert.notEqual(text, ''); };

for (const front of FRONTS) {
  describe(`000 through ${front}`, () => {
    let at;
    before(() => { at = parley.through(front); });

    test('a chat answers response, conversation_id, timestamp, status and the native additions', async () => {
      const reply = await at.post('/api/chat', { message: `000 ${front} mock:` });
      assert.equal(reply.status, 200, reply.text);
      assert.match(reply.headers['content-type'], /^application\/json/);
      assert.equal(reply.headers['cache-control'], 'no-store');
      assert.equal(reply.headers['x-content-type-options'], 'nosniff');
      isText(reply.headers['x-request-id']);
      const { response, conversation_id, timestamp, status, message_id, provider, model, usage } = reply.json;
      assert.equal(response, 'w0 w1 w2 ');
      assert.equal(status, 'success');
      assert.equal(provider, 'openai');
      assert.equal(model, 'mock-model-2024');
      assert.deepEqual({ ...USAGE, ...usage }, usage);
      isText(conversation_id);
      isText(message_id);
      isTimestamp(timestamp);
      assert.notEqual(conversation_id, message_id);
    });

    test('a conversation goes on: the provider sees the system prompt, then the turns in order', async () => {
      const first = (await at.post('/api/chat', { message: `first ${front} mock:deltas=1,text=one` })).json;
      const second = (await at.post('/api/chat', { message: `second ${front} mock:`, conversation_id: first.conversation_id })).json;
      assert.equal(second.conversation_id, first.conversation_id);
      const [call] = mock.calls(`second ${front}`);
      assert.deepEqual(call.messages.map((m) => m.role), ['system', 'user', 'assistant', 'user']);
      assert.match(call.messages[0].content, /^You are the test\./);
      assert.equal(call.messages[2].content, 'one');
      assert.equal(call.headers.authorization, 'Bearer sk-test-key');
      assert.equal(call.json.stream, true);
      assert.deepEqual(call.json.stream_options, { include_usage: true });
    });

    test('user_context reaches the model as data, not as a turn', async () => {
      await at.post('/api/chat', { message: `context ${front} mock:`, user_context: { page: '/pricing-page', product_interest: 'bikes' } });
      const [call] = mock.calls(`context ${front}`);
      assert.match(JSON.stringify(call.messages), /pricing-page/);
      assert.match(JSON.stringify(call.messages), /bikes/);
      assert.equal(call.messages.filter((m) => m.role === 'user').length, 1);
      assert.equal(call.messages.filter((m) => m.role === 'assistant').length, 0);
    });

    test('stream:true and Accept: text/event-stream ask for SSE, a wildcard does not, stream:false wins', async () => {
      const kind = async (body, accept) => {
        const reply = await at.post('/api/chat', { message: 'kind mock:', ...body }, { headers: accept ? { Accept: accept } : {} });
        assert.equal(reply.status, 200, reply.text);
        return reply.headers['content-type'].split(';')[0];
      };
      assert.equal(await kind({ stream: true }), 'text/event-stream');
      assert.equal(await kind({}, 'text/event-stream'), 'text/event-stream');
      assert.equal(await kind({}, 'application/json;q=0.5, text/event-stream;q=0.9'), 'text/event-stream');
      assert.equal(await kind({}, '*/*'), 'application/json');
      assert.equal(await kind({}, 'text/event-stream;q=0, */*'), 'application/json');
      assert.equal(await kind({ stream: false }, 'text/event-stream'), 'application/json');
    });

    test('GET /api/health says healthy', async () => {
      const reply = await at.get('/api/health');
      assert.equal(reply.status, 200);
      assert.equal(reply.json.status, 'healthy');
      isTimestamp(reply.json.timestamp);
    });
  });

  describe(`002 through ${front}`, () => {
    let at;
    before(() => { at = parley.through(front); });

    test('a chat with user_id streams frames of exactly the documented bytes', async () => {
      const stream = await at.stream('/api/chat', { user_id: `u-${front}`, message: 'frames mock:deltas=3,text=aä€😀,delay=40' });
      await stream.ended;
      assert.equal(stream.status, 200);
      assert.equal(stream.headers['content-type'], 'text/event-stream; charset=utf-8');
      assert.equal(stream.headers['cache-control'], 'no-cache, no-transform');
      assert.equal(stream.headers['x-content-type-options'], 'nosniff');
      assert.ok(!stream.raw.includes('\r'));
      assert.ok(stream.raw.endsWith('\n\n'));

      const id = stream.first.message_id;
      const blocks = stream.raw.slice(0, -2).split('\n\n');
      assert.equal(blocks.length, 6, stream.raw);
      assert.match(blocks[0], new RegExp(`^id: ${id}:0\ndata: {"content":"","done":false,.*}$`));
      for (const i of [1, 2, 3]) {
        assert.equal(blocks[i], `id: ${id}:${i * 10}\ndata: {"content":"aä€😀","done":false}`);
      }
      assert.match(blocks[4], new RegExp(`^id: ${id}:30\ndata: {"content":"","done":true,.*}$`));
      assert.equal(blocks[5], 'data: [DONE]');

      assert.deepEqual(Object.keys(stream.first).sort(), ['content', 'conversation_id', 'done', 'message_id', 'user_id']);
      assert.equal(stream.first.user_id, `u-${front}`);
      assert.equal(stream.last.message_id, id);
      assert.equal(stream.last.finish_reason, 'stop');
      assert.equal(stream.last.provider, 'openai');
      assert.equal(stream.last.model, 'mock-model-2024');
      assert.deepEqual({ ...USAGE, ...stream.last.usage }, stream.last.usage);
    });

    test('a client that reads content and done from every data line gets the whole answer', async () => {
      const reply = await at.post('/api/chat', { user_id: `reader-${front}`, message: 'Tell me a story mock:deltas=20' });
      let text = '';
      for (const line of reply.text.split('\n').filter((l) => l.startsWith('data: '))) {
        if (line === 'data: [DONE]') break;
        const { content, done } = JSON.parse(line.slice(6));
        assert.equal(typeof content, 'string');
        assert.equal(typeof done, 'boolean');
        text += content;
      }
      assert.equal(text, mock.calls('Tell me a story').at(-1).text);
    });

    test('the same user_id goes on with the same history', async () => {
      for (const n of [1, 2]) await at.post('/api/chat/simple', { user_id: `again-${front}`, message: `again ${front} ${n} mock:deltas=1` });
      assert.deepEqual(mock.calls(`again ${front} 2`)[0].messages.map((m) => m.role), ['system', 'user', 'assistant', 'user']);
    });

    test('/api/chat/simple answers user_id, message, response, timestamp', async () => {
      const reply = await at.post('/api/chat/simple', { user_id: 'user123', message: `  What is the capital of France? ${front} mock:deltas=2 ` });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.json.user_id, 'user123');
      assert.equal(reply.json.message, `What is the capital of France? ${front} mock:deltas=2`);
      assert.equal(reply.json.response, 'w0 w1 ');
      isTimestamp(reply.json.timestamp);
    });

    test('stream:false answers JSON', async () => {
      const reply = await at.post('/api/chat', { user_id: `plain-${front}`, message: 'plain mock:', stream: false });
      assert.match(reply.headers['content-type'], /^application\/json/);
      assert.equal(reply.json.response, 'w0 w1 w2 ');
      assert.equal(reply.json.user_id, `plain-${front}`);
    });
  });

  describe(`003 through ${front}`, () => {
    let at;
    const session = async () => (await at.post('/api/create-session', {})).json.sessionId;
    before(() => { at = parley.through(front); });

    test('create-session takes an empty body or {} and makes a session id', async () => {
      for (const options of [{}, { body: '' }, { json: {} }, { body: '{}', headers: { 'Content-Type': 'application/json' } }]) {
        const reply = await at.request('/api/create-session', { method: 'POST', ...options });
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.json.message, 'Session created successfully');
        const [, ms] = /^session_[A-Za-z0-9_-]{16,}_(\d+)$/.exec(reply.json.sessionId);
        assert.ok(Math.abs(Date.now() - Number(ms)) < 60000);
      }
    });

    test('a chat answers sessionId, response, timestamp', async () => {
      const sessionId = await session();
      const reply = await at.post('/api/chat', { sessionId, message: 'hello mock:' });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.json.sessionId, sessionId);
      assert.equal(reply.json.response, 'w0 w1 w2 ');
      isTimestamp(reply.json.timestamp);
    });

    test('the session as SSE names it in the first frame', async () => {
      const sessionId = await session();
      const stream = await at.stream('/api/chat', { sessionId, message: 'sse mock:', stream: true });
      await stream.ended;
      assert.equal(stream.first.sessionId, sessionId);
      assert.equal(stream.text, 'w0 w1 w2 ');
    });

    test('the newest ten messages go to the model', async () => {
      const sessionId = await session();
      for (let n = 1; n <= 7; n++) await at.post('/api/chat', { sessionId, message: `turn-${front}-${n} mock:deltas=1` });
      const [call] = mock.calls(`turn-${front}-7`);
      const turns = call.messages.filter((m) => m.role !== 'system');
      assert.ok(turns.length <= 10 && turns.length >= 9, `${turns.length} messages`);
      assert.equal(turns.at(-1).role, 'user');
      assert.equal(turns[0].role, 'user');
    });

    test('an unknown session is "Session not found", a missing or long message "Invalid message"', async () => {
      const unknown = await at.post('/api/chat', { sessionId: 'session_00000000000000000000000000_1', message: 'hi' });
      assert.equal(unknown.status, 404);
      assert.equal(unknown.json.error, 'Session not found');
      const sessionId = await session();
      for (const body of [{ sessionId }, { sessionId, message: 'x'.repeat(1001) }]) {
        const reply = await at.post('/api/chat', body);
        assert.equal(reply.status, 400);
        assert.equal(reply.json.error, 'Invalid message');
        assert.equal(reply.json.code, 'invalid_message');
      }
    });

    test('GET /health says OK and for how long it runs', async () => {
      const { status, json } = await at.get('/health');
      assert.equal(status, 200);
      assert.equal(json.status, 'OK');
      assert.match(json.message, / is running$/);
      isTimestamp(json.timestamp);
      assert.ok(json.uptime >= 0 && json.uptime < 600);
    });
  });

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
