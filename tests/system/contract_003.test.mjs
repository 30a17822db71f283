/*
 * Source document 003, sessions for a widget: its requests and replies, through lighttpd and through nginx.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { FRONTS, isTimestamp, startContract } from './contract_kit.mjs';

let mock, parley;
before(async () => { ({ mock, parley } = await startContract()); });
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

for (const front of FRONTS) {
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

    test('DELETE /api/sessions/{sessionId} erases the session', async () => {
      const sessionId = await session();
      await at.post('/api/chat', { sessionId, message: 'hello mock:' });
      const reply = await at.request(`/api/sessions/${sessionId}`, { method: 'DELETE' });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.json.sessionId, sessionId);
      const gone = await at.post('/api/chat', { sessionId, message: 'hello mock:' });
      assert.deepEqual([gone.status, gone.json.error], [404, 'Session not found']);
      const again = await at.request(`/api/sessions/${sessionId}`, { method: 'DELETE' });
      assert.deepEqual([again.status, again.json.error, again.json.code], [404, 'Session not found', 'unknown_session']);
    });

    test('a session and a conversation are not exchanged for each other', async () => {
      const sessionId = await session();
      const { conversation_id } = (await at.post('/api/chat', { message: 'hi mock:' })).json;
      assert.equal((await at.post('/api/chat', { sessionId: conversation_id, message: 'hi' })).json.error, 'Session not found');
      assert.equal((await at.post('/api/chat', { conversation_id: sessionId, message: 'hi' })).json.code, 'unknown_conversation');
      assert.equal((await at.request(`/api/sessions/${conversation_id}`, { method: 'DELETE' })).status, 404);
      const both = await at.post('/api/chat', { sessionId, user_id: 'u', message: 'hi' });
      assert.deepEqual([both.status, both.json.code], [400, 'ambiguous_contract']);
    });

    test('the reply has exactly the documented members and the message id', async () => {
      const reply = await at.post('/api/chat', { sessionId: await session(), message: 'members mock:' });
      assert.deepEqual(Object.keys(reply.json), ['sessionId', 'response', 'timestamp', 'message_id']);
      assert.equal(reply.headers['cache-control'], 'no-store');
    });

    test('a browser on a listed site may use it, with its preflight', async () => {
      const reply = await at.request('/api/create-session', { method: 'POST', json: {}, headers: { Origin: 'https://shop.example' } });
      assert.equal(reply.status, 200);
      assert.equal(reply.headers['access-control-allow-origin'], 'https://shop.example');
      assert.equal(reply.headers['access-control-allow-credentials'], 'true');
    });
  });
}
