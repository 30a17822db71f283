/*
 * Source document 001, several providers: its requests, with provider, model and history of the client's own, through
 * lighttpd and through nginx. Limits have their own tests.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { FRONTS, isText, isTimestamp, startContract } from './contract_kit.mjs';

let mock, parley;
before(async () => { ({ mock, parley } = await startContract()); });
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

for (const front of FRONTS) {
  describe(`001 through ${front}`, () => {
    let at;
    before(() => { at = parley.through(front); });

    test('POST /api/chat with a provider answers JSON', async () => {
      const reply = await at.post('/api/chat', { message: `Hello! ${front} mock:`, provider: 'openai' });
      assert.equal(reply.status, 200, reply.text);
      assert.match(reply.headers['content-type'], /^application\/json/);
      assert.equal(reply.json.response, 'w0 w1 w2 ');
      assert.equal(reply.json.provider, 'openai');
      assert.equal(reply.json.status, 'success');
      isText(reply.json.conversation_id);
      isTimestamp(reply.json.timestamp);
    });

    test('POST /api/chat/stream streams, whatever Accept and the contract say', async () => {
      for (const more of [{}, { stream: false }]) {
        const stream = await at.stream('/api/chat/stream', { message: 'Tell me a joke mock:', provider: 'OpenAI', ...more }, { headers: { Accept: 'application/json' } });
        await stream.ended;
        assert.match(stream.headers['content-type'], /^text\/event-stream/);
        assert.equal(stream.text, 'w0 w1 w2 ');
        assert.equal(stream.frames.at(-1).data, '[DONE]');
      }
    });

    test('the demo provider can be named beside a real one', async () => {
      const { json } = await at.post('/api/chat', { message: 'hi', provider: 'demo' });
      assert.equal(json.provider, 'demo');
    });

    test('an unknown provider, or one without a key, is 400 unknown_provider and names those available', async () => {
      for (const provider of ['claude', 'anthropic', 'nonsense', '../openai']) {
        const reply = await at.post('/api/chat', { message: 'hi', provider });
        assert.equal(reply.status, 400);
        assert.equal(reply.json.code, 'unknown_provider');
        assert.equal(reply.json.field, 'provider');
        assert.match(reply.json.error, /openai/);
      }
    });

    test('a model must be one of /api/models', async () => {
      const { status, json: { models, default: standard } } = await at.get('/api/models');
      assert.equal(status, 200);
      for (const model of models) {
        assert.deepEqual(Object.fromEntries(['id', 'name', 'provider', 'default'].map((name) => [name, typeof model[name]])),
          { id: 'string', name: 'string', provider: 'string', default: 'boolean' });
        const reply = await at.post('/api/chat', { message: 'listed mock:', provider: model.provider, model: model.id });
        assert.equal(reply.status, 200, reply.text);
      }
      assert.deepEqual(standard, { provider: 'openai', model: 'mock-model' });
      assert.deepEqual(models.filter((one) => one.default).map((one) => one.id), ['mock-model']);
      const before = mock.requests.length;
      for (const [path, body] of [['/api/chat', { message: 'hi' }], ['/api/chat/stream', { message: 'hi' }], ['/api/chat/simple', { message: 'hi', user_id: 'm' }]]) {
        const reply = await at.post(path, { ...body, model: 'gpt-unlisted' });
        assert.equal(reply.status, 400);
        assert.equal(reply.json.code, 'unknown_model');
        assert.equal(reply.json.field, 'model');
      }
      assert.equal(mock.requests.length, before);
    });

    test('a history of the client goes to the model in order, before the question', async () => {
      const history = [{ role: 'user', content: 'My name is Ann.' }, { role: 'assistant', content: 'Hello Ann.' }];
      const reply = await at.post('/api/chat', { message: `stateless ${front} mock:`, history });
      assert.equal(reply.status, 200, reply.text);
      const [call] = mock.calls(`stateless ${front}`);
      assert.deepEqual(call.messages.map((m) => [m.role, m.content]).slice(1), [['user', 'My name is Ann.'], ['assistant', 'Hello Ann.'], ['user', call.question]]);
    });

    test('a history is bounded, clean, and not for a conversation that is kept', async () => {
      const { conversation_id } = (await at.post('/api/chat', { message: 'kept mock:' })).json;
      const entry = { role: 'user', content: 'x' };
      for (const body of [{ history: Array(51).fill(entry) }, { history: [entry], conversation_id }, { history: 'x' }, { history: [1] },
        { history: [{ role: 'tool', content: 'x' }] }, { history: [{ role: 'user' }] }, { history: [{ role: 'user', content: 'x'.repeat(1001) }] }]) {
        const reply = await at.post('/api/chat', { message: 'hi mock:', ...body });
        assert.equal(reply.status, 400, JSON.stringify(body).slice(0, 80));
        assert.equal(reply.json.field, 'history');
      }
      assert.equal((await at.post('/api/chat', { message: 'hi mock:', history: Array(50).fill(entry) })).status, 200);
    });

    test('GET /api/health answers', async () => {
      assert.equal((await at.get('/api/health')).json.status, 'healthy');
    });
  });
}
