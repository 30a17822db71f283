/*
 * DISCOVER_MODELS: the provider's own list is asked for once, kept for an hour by all workers, shown by GET
 * /api/models and allowed in questions. A provider without such a list changes nothing.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';

import { eventually, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

/* A server whose GET /models says `list`; everything else goes to the mock. */
async function inFront(mock, reply) {
  const asked = [];
  const server = http.createServer((req, res) => {
    if (req.method === 'GET') {
      asked.push({ url: req.url, headers: req.headers });
      res.writeHead(reply.status ?? 200, { 'Content-Type': 'application/json' });
      res.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
      return;
    }
    const out = http.request(mock.url.replace(/\/v1$/, '') + req.url, { method: req.method, headers: req.headers }, (back) => {
      res.writeHead(back.statusCode, back.headers);
      back.pipe(res);
    });
    req.pipe(out);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { asked, url: `http://127.0.0.1:${server.address().port}/v1`, stop: () => { server.closeAllConnections(); server.close(); } };
}

const models = async (parley) => (await parley.get('/api/models')).json.models.map((m) => `${m.provider}/${m.id}`);

test('the provider is asked once by all workers, and its models can be picked', async () => {
  const mock = await startMock();
  const front = await inFront(mock, { body: { object: 'list', data: [{ id: 'mock-model' }, { id: 'mock-large' }, { id: 'text-embedding-3-small' },
    { id: 'whisper-1' }, { id: 'has space' }, { id: 7 }, 'x', { id: 'x'.repeat(300) }] } });
  const parley = await startParley({ mock, workers: 3, env: { OPENAI_API_BASE: front.url, DISCOVER_MODELS: 'on', OPENAI_MODELS: 'mock-small' } });
  try {
    await parley.waitLog('models_discovered');
    await eventually(async () => (await models(parley)).length === 3);
    assert.deepEqual(await models(parley), ['openai/mock-model', 'openai/mock-small', 'openai/mock-large']);
    assert.equal(front.asked.length, 1);
    assert.equal(front.asked[0].url, '/v1/models');
    assert.equal(front.asked[0].headers.authorization, 'Bearer sk-test-key');
    const reply = await parley.post('/api/chat', { message: 'mock:', model: 'mock-large' });
    assert.equal(reply.json.model, 'mock-large-2024');
    assert.equal((await parley.post('/api/chat', { message: 'mock:', model: 'whisper-1' })).json.code, 'unknown_model');
    await parley.stopParley();
    await parley.restart();
    assert.equal((await models(parley)).length, 3);
    assert.equal(front.asked.length, 1, 'an hour is longer than a restart');
    assert.doesNotMatch(parley.logText(), /sk-test-key/);
  } finally {
    await parley.stop();
    front.stop();
    await mock.stop();
  }
});

for (const [what, reply] of [['404', { status: 404, body: { error: {} } }], ['no list', { body: { hello: 'world' } }], ['no JSON', { body: '<html>' }]]) {
  test(`${what}: the configured models stay`, async () => {
    const mock = await startMock();
    const front = await inFront(mock, reply);
    const parley = await startParley({ mock, workers: 1, env: { OPENAI_API_BASE: front.url, DISCOVER_MODELS: 'on' } });
    try {
      await parley.waitLog('models_not_discovered');
      assert.deepEqual(await models(parley), ['openai/mock-model']);
      assert.equal((await parley.post('/api/chat', { message: 'mock:' })).status, 200);
    } finally {
      await parley.stop();
      front.stop();
      await mock.stop();
    }
  });
}
