/*
 * Source document 002, user ids with history: its requests, streams and histories, and its Python client, through lighttpd
 * and through nginx.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { FRONTS, USAGE, isText, isTimestamp, startContract } from './contract_kit.mjs';
import { ROOT } from './harness.mjs';

const run = promisify(execFile);

let mock, parley;
before(async () => { ({ mock, parley } = await startContract()); });
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

for (const front of FRONTS) {
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

    test('GET /api/chat/history/{user_id} has exactly the documented members, oldest first', async () => {
      const user_id = `history ${front}/ä?`;
      for (const n of [1, 2, 3]) await at.post('/api/chat/simple', { user_id, message: `question ${n} mock:deltas=1,text=answer${n}` });
      const where = `/api/chat/history/${encodeURIComponent(user_id)}`;
      const reply = await at.get(where);
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual(Object.keys(reply.json), ['user_id', 'history', 'count']);
      assert.equal(reply.json.user_id, user_id);
      assert.equal(reply.json.count, 3);
      assert.deepEqual(reply.json.history.map((one) => [one.user_message.slice(0, 10), one.assistant_response]),
        [['question 1', 'answer1'], ['question 2', 'answer2'], ['question 3', 'answer3']]);
      for (const one of reply.json.history) {
        assert.deepEqual(Object.keys(one), ['timestamp', 'user_message', 'assistant_response']);
        isTimestamp(one.timestamp);
      }
      const { history } = reply.json;
      assert.deepEqual((await at.get(`${where}?limit=2`)).json.history, history.slice(1));
      assert.deepEqual((await at.get(`${where}?before=${history[2].timestamp}&limit=1`)).json.history, history.slice(1, 2));
      for (const query of ['limit=0', 'limit=501', 'limit=x', 'before=yesterday']) {
        const refused = await at.get(`${where}?${query}`);
        assert.equal(refused.status, 400, query);
        assert.equal(refused.json.field, query.split('=')[0]);
      }
    });

    test('the history of an unknown user is empty', async () => {
      const reply = await at.get(`/api/chat/history/stranger-${front}`);
      assert.equal(reply.status, 200);
      assert.deepEqual(reply.json, { user_id: `stranger-${front}`, history: [], count: 0 });
    });

    test('DELETE /api/chat/history/{user_id} erases it, and the model has forgotten', async () => {
      const user_id = `erase-${front}`;
      for (const n of [1, 2]) await at.post('/api/chat/simple', { user_id, message: `remember ${n} mock:` });
      const reply = await at.request(`/api/chat/history/${user_id}`, { method: 'DELETE' });
      assert.equal(reply.status, 200);
      assert.deepEqual(Object.keys(reply.json), ['user_id', 'deleted', 'message']);
      assert.equal(reply.json.user_id, user_id);
      assert.equal(reply.json.deleted, 2);
      isText(reply.json.message);
      assert.equal((await at.get(`/api/chat/history/${user_id}`)).json.count, 0);
      assert.equal((await at.request(`/api/chat/history/${user_id}`, { method: 'DELETE' })).json.deleted, 0);
      await at.post('/api/chat/simple', { user_id, message: `afterwards ${front} mock:` });
      assert.deepEqual(mock.calls(`afterwards ${front}`)[0].messages.map((m) => m.role), ['system', 'user']);
    });

    test('a user_id with slashes is that one user, in its history, its memory and when it is erased', async () => {
      const ids = [`slash-${front}`, `slash-${front}/`, `https://idp.example/${front}/7`];
      const counts = () => Promise.all(ids.map(async (id) => (await at.get(`/api/chat/history/${encodeURIComponent(id)}`)).json.count));
      for (const user_id of ids) await at.post('/api/chat/simple', { user_id, message: 'hi mock:' });
      assert.deepEqual(await counts(), [1, 1, 1]);
      for (const id of ids.slice(1)) {
        const where = encodeURIComponent(id);
        assert.equal((await at.get(`/api/memory/${where}`)).json.user_id, id);
        assert.equal((await at.request(`/api/chat/history/${where}`, { method: 'DELETE' })).json.deleted, 1);
      }
      assert.deepEqual(await counts(), [1, 0, 0]);
    });

    test('a user_id is 1 to 128 characters without control characters', async () => {
      for (const user_id of ['', 'x'.repeat(129), 'a\u0007b', 7, null]) {
        const reply = await at.post('/api/chat/simple', { user_id, message: 'hi mock:' });
        assert.equal(reply.status, 400, JSON.stringify(user_id));
        assert.equal(reply.json.field, 'user_id');
      }
      const longest = front + '😀'.repeat(128 - front.length);
      assert.equal((await at.post('/api/chat/simple', { user_id: longest, message: 'hi mock:' })).status, 200);
      assert.equal((await at.get(`/api/chat/history/${encodeURIComponent(longest)}`)).json.count, 1);
    });

    test('GET /api/health/detailed tells of store, providers, worker and disk', async () => {
      await at.post('/api/chat', { message: 'health mock:' });
      const { status, json, text } = await at.get('/api/health/detailed');
      assert.equal(status, 200);
      assert.equal(json.status, 'healthy');
      isTimestamp(json.timestamp);
      isText(json.version);
      assert.ok(json.uptime >= 0 && json.uptime < 600);
      assert.equal(json.store.writable, true);
      assert.ok(json.store.latency_ms >= 0 && json.store.size_bytes > 0 && json.store.schema > 0);
      const [openai] = json.providers;
      assert.deepEqual([openai.name, openai.configured, openai.default, openai.last_error], ['openai', true, true, null]);
      assert.equal(json.providers.find((one) => one.name === 'anthropic').configured, false);
      assert.ok(json.worker.pid > 0 && json.worker.max_streams > 0);
      assert.ok(json.disk.free_bytes > 0);
      assert.ok(!text.includes('sk-test-key') && !text.includes(parley.dir));
    });

    test('the Python client of the document prints a whole answer', async () => {
      const { stdout } = await run('python3', [path.join(ROOT, 'tests/system/client_002.py'), at.url, `python-${front}`], { timeout: 20000 });
      const [simple, streamed] = stdout.trim().split('\n');
      assert.deepEqual(JSON.parse(simple).response, 'w0 w1 w2 ');
      assert.equal(streamed, mock.calls('Tell me a story, please').at(-1).text.trim());
    });
  });
}
