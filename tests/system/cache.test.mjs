/*
 * The answer cache: an equal first question is answered from the store, at once and for nothing; everything
 * that makes an answer another one makes a miss. And what answers cost, by day and conversation.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';

import { median, parleyCommand, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

describe('with RESPONSE_CACHE_TTL', () => {
  let mock, parley;
  before(async () => {
    mock = await startMock();
    parley = await startParley({ mock, via: ['nginx', 'lighttpd'], workers: 2,
      env: { RESPONSE_CACHE_TTL: 3600, OPENAI_MODELS: 'mock-other', OPENAI_PRICE_INPUT: 2, OPENAI_PRICE_OUTPUT: 10 } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });
  const ask = (message, more = {}) => parley.post('/api/chat', { message, ...more });

  test('the second equal first question is answered without the provider', async () => {
    const first = await ask('What are your Öffnungszeiten? mock:text=open-');
    assert.equal(first.headers['x-cache'], 'miss');
    assert.equal(first.json.cached, undefined);
    for (const message of ['What are your Öffnungszeiten? mock:text=open-', '  WHAT are\tyour  öffnungszeiten? MOCK:text=open- \n']) {
      const again = await ask(message);
      assert.equal(again.status, 200);
      assert.equal(again.headers['x-cache'], 'hit');
      assert.equal(again.json.cached, true);
      assert.equal(again.json.response, first.json.response);
      assert.equal(again.json.model, first.json.model);
      assert.equal(again.json.finish_reason, 'stop');
      assert.deepEqual(again.json.usage, { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
      assert.notEqual(again.json.conversation_id, first.json.conversation_id);
    }
    assert.equal(mock.requests.length, 1);
    const [row] = await parley.sql('SELECT content, status, finish FROM messages ORDER BY id DESC LIMIT 1');
    assert.deepEqual(row, { content: first.json.response, status: 'complete', finish: 'stop' });
  });

  test('it streams as well, in the other contracts too', async () => {
    await ask('stream it mock:deltas=5');
    const asked = mock.requests.length;
    const stream = await (await parley.stream('/api/chat/stream', { message: 'stream it mock:deltas=5' })).ended;
    assert.equal(stream.headers['x-cache'], 'hit');
    assert.equal(stream.text, 'w0 w1 w2 w3 w4 ');
    assert.equal(stream.last.cached, true);
    assert.equal(stream.frames.at(-1).data, '[DONE]');
    const { json: { sessionId } } = await parley.post('/api/create-session', {});
    const session = await ask('stream it mock:deltas=5', { sessionId });
    assert.equal(session.headers['x-cache'], 'hit');
    assert.equal(session.json.response, stream.text);
    assert.equal(mock.requests.length, asked);
    /* and the next question of that conversation goes to the model, with what was said */
    const second = await ask('and then? mock:', { sessionId });
    assert.equal(second.headers['x-cache'], 'miss');
    assert.deepEqual(mock.requests.at(-1).messages.map((m) => m.role), ['system', 'user', 'assistant', 'user']);
  });

  test('what makes another answer is a miss', async () => {
    const message = 'depends mock:';
    await ask(message);
    const misses = [{ model: 'mock-other' }, { user_context: { page: '/tea' } }, { provider: 'demo' },
      { history: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] }];
    for (const more of misses) assert.equal((await ask(message, more)).headers['x-cache'], 'miss', JSON.stringify(more));
    assert.equal((await ask('depends mock:deltas=4')).headers['x-cache'], 'miss');
    assert.equal((await ask(message, { user_context: { page: '/tea' } })).headers['x-cache'], 'hit');
    const { json } = await ask('another beginning mock:');
    assert.equal((await ask(message, { conversation_id: json.conversation_id })).headers['x-cache'], 'miss');
  });

  test('answers that did not end well are not kept', async () => {
    for (const script of ['status=400', 'deltas=4,cut=2', 'finish=length', 'finish=content_filter']) {
      await ask(`bad end mock:${script}`);
      assert.equal((await ask(`bad end mock:${script}`)).headers['x-cache'], 'miss', script);
    }
  });

  test('a hit takes less than 5 ms of the server', async () => {
    await ask('quick mock:');
    const times = [];
    for (let i = 0; i < 30; i++) {
      const id = (await ask('quick mock:')).json.message_id;
      times.push((await parley.waitLog((l) => l.event === 'turn' && l.message_id === id)).total_ms);
      const requests = parley.logs.filter((l) => l.event === 'request');
      assert.ok(requests.length > 0);
    }
    assert.ok(median(times) < 5, `${times}`);
  });

  test('erasing the conversation erases the kept answer', async () => {
    const { json } = await ask('forget me mock:');
    assert.equal((await ask('forget me mock:')).headers['x-cache'], 'hit');
    execFileSync('sqlite3', ['-cmd', '.timeout 2000', parley.db,
      `PRAGMA foreign_keys = ON; DELETE FROM conversations WHERE public_id = '${json.conversation_id}'`]);
    assert.equal((await ask('forget me mock:')).headers['x-cache'], 'miss');
  });

  test('tokens and cost are counted by day and by conversation', async () => {
    const [before_] = await parley.sql("SELECT coalesce(sum(cost_nano), 0) AS cost, coalesce(sum(answers), 0) AS answers FROM usage_by_day WHERE provider = 'openai'");
    const asked = await ask('what does it cost? mock:deltas=4');
    const { json } = asked;
    const cookie = asked.headers['set-cookie'][0].split(';')[0];
    await ask('and this? mock:deltas=4', { conversation_id: json.conversation_id });
    const [after_] = await parley.sql("SELECT sum(cost_nano) AS cost, sum(answers) AS answers FROM usage_by_day WHERE provider = 'openai'");
    /* 11 tokens in at 2, 4 tokens out at 10 per million, twice, in billionths */
    assert.equal(after_.cost - before_.cost, 2 * (11 * 2 + 4 * 10) * 1000);
    assert.equal(after_.answers - before_.answers, 2);
    const [conversation] = await parley.sql('SELECT answers, prompt_tokens, completion_tokens, cost_nano FROM usage_by_conversation '
      + `JOIN conversations AS c ON c.id = conversation_id WHERE c.public_id = '${json.conversation_id}'`);
    assert.deepEqual(conversation, { answers: 2, prompt_tokens: 22, completion_tokens: 8, cost_nano: 124000 });
    const mine = { headers: { Cookie: cookie } };
    const view = (await parley.request(`/api/conversations/${json.conversation_id}`, mine)).json;
    assert.deepEqual(view.usage, { answers: 2, prompt_tokens: 22, completion_tokens: 8, cost: 0.000124 });
    assert.equal((await parley.get(`/api/conversations/${json.conversation_id}`)).json.usage, undefined, 'what it costs is its owner\'s business');
    const command = (...args) => parleyCommand(args, { env: parley.environment(), cwd: parley.dir });
    const counted = JSON.parse((await command('status', '--json', String(parley.pid))).stdout).counters.cost.reduce((sum, one) => sum + one.value, 0);
    const usage = JSON.parse((await command('usage', '--json')).stdout);
    assert.equal(Math.round(usage.total.cost * 1e9), Number(after_.cost));
    assert.ok(Math.abs(counted - usage.total.cost * 1e6) < 3, `${counted} millionths counted, ${usage.total.cost} stored`);
    assert.match((await command('usage', '--days', '1')).stdout, /together .* 0\.\d{9}\n$/);
    assert.equal((await command('usage', '--days', '0')).code, 2);
    const [day] = await parley.sql('SELECT day, cached_answers FROM usage_by_day ORDER BY cached_answers DESC LIMIT 1');
    assert.equal(day.day, new Date().toISOString().slice(0, 10));
    assert.ok(day.cached_answers >= 30);
  });
});

test('without RESPONSE_CACHE_TTL nothing is kept and no header is sent; the time to live ends', async () => {
  const mock = await startMock();
  const plain = await startParley({ mock, workers: 1 });
  const short = await startParley({ mock, workers: 1, env: { RESPONSE_CACHE_TTL: 1 } });
  try {
    for (let i = 0; i < 2; i++) assert.equal((await plain.post('/api/chat', { message: 'again mock:' })).headers['x-cache'], undefined);
    assert.deepEqual(await plain.sql('SELECT count(*) AS n FROM response_cache'), [{ n: 0 }]);
    assert.equal((await short.post('/api/chat', { message: 'short mock:' })).headers['x-cache'], 'miss');
    assert.equal((await short.post('/api/chat', { message: 'short mock:' })).headers['x-cache'], 'hit');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    assert.equal((await short.post('/api/chat', { message: 'short mock:' })).headers['x-cache'], 'miss');
  } finally {
    await plain.stop();
    await short.stop();
    await mock.stop();
  }
});
