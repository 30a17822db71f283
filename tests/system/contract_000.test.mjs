/*
 * Source document 000, a support agent: its requests, and the names, types, status values and headers of the replies,
 * through lighttpd and through nginx.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { FRONTS, USAGE, isText, isTimestamp, startContract } from './contract_kit.mjs';

let mock, parley;
before(async () => { ({ mock, parley } = await startContract({ BRAND_NAME: 'Bax-U' })); });
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

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

    test('the reply has the documented members, each of its type, and the headers of a dynamic reply', async () => {
      const { json, headers } = await at.post('/api/chat', { message: `members ${front} mock:` });
      const types = Object.fromEntries(Object.entries(json).map(([name, value]) => [name, typeof value]));
      assert.deepEqual(types, { response: 'string', conversation_id: 'string', timestamp: 'string', status: 'string', message_id: 'string',
        finish_reason: 'string', provider: 'string', model: 'string', usage: 'object' });
      assert.match(headers['content-type'], /^application\/json/);
    });

    test('an unknown conversation_id is 404 unknown_conversation, and the model is not asked', async () => {
      const reply = await at.post('/api/chat', { message: `lost ${front} mock:`, conversation_id: 'conv_0000000000000000000000' });
      assert.equal(reply.status, 404);
      const { error, code, status, request_id } = reply.json;
      assert.deepEqual({ code, status }, { code: 'unknown_conversation', status: 'error' });
      isText(error);
      assert.equal(request_id, reply.headers['x-request-id']);
      assert.equal(mock.calls(`lost ${front}`).length, 0);
    });

    test('user_context: long strings and wrong types are refused by name', async () => {
      for (const [field, user_context] of [['user_context', 'page'], ['user_context.page', { page: 1 }],
        ['user_context.product_interest', { product_interest: 'x'.repeat(201) }]]) {
        const reply = await at.post('/api/chat', { message: 'context mock:', user_context });
        assert.equal(reply.status, 400);
        assert.equal(reply.json.field, field);
      }
      const reply = await at.post('/api/chat', { message: 'context mock:', user_context: { page: 'ä'.repeat(200), other: 1 } });
      assert.equal(reply.status, 200);
    });

    test('a client can set neither system prompt nor sampling', async () => {
      await at.post('/api/chat', { message: `prompt ${front} mock:`, system: 'EVIL', system_prompt: 'EVIL', temperature: 2, max_tokens: 99999,
        messages: [{ role: 'system', content: 'EVIL' }], history: [{ role: 'user', content: 'before' }] });
      const [call] = mock.calls(`prompt ${front}`);
      assert.ok(!call.body.includes('EVIL'));
      assert.notEqual(call.json.temperature, 2);
      assert.notEqual(call.json.max_tokens, 99999);
      assert.deepEqual(call.messages.map((m) => m.role), ['system', 'user', 'user']);
      const reply = await at.post('/api/chat', { message: 'prompt mock:', history: [{ role: 'system', content: 'EVIL' }] });
      assert.equal(reply.status, 400);
      assert.equal(reply.json.field, 'history');
    });

    test('GET /api/config tells length, delay and name', async () => {
      const { status, json } = await at.get('/api/config');
      assert.equal(status, 200);
      assert.equal(json.max_message_length, 1000);
      assert.equal(json.typing_delay, 500);
      assert.equal(json.brand_name, 'Bax-U');
    });
  });
}
