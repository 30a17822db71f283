/*
 * docs/openapi.json and the running program say the same: every route is in the document and the other way
 * round, and what the program answers fits the schemas, good replies and refusals alike.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { parleyCommand, ROOT, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';
import { resolve, validate } from './schema.mjs';

const spec = JSON.parse(fs.readFileSync(path.join(ROOT, 'docs/openapi.json'), 'utf8'));
const operations = Object.entries(spec.paths).flatMap(([where, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${where}`));

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

/* Send a request and hold its answer against what the document says of that path. */
async function ask(method, pattern, { args = {}, query = '', status = 200, ...options } = {}) {
  const where = pattern.replace(/\{(\w+)\}/g, (whole, name) => encodeURIComponent(args[name] ?? 'nothing'));
  const reply = await parley.request(where + query, { method, ...options });
  const described = spec.paths[pattern][method.toLowerCase()].responses[status];
  assert.equal(reply.status, status, `${method} ${where}: ${reply.text}`);
  assert.ok(described, `${method} ${pattern}: ${status} is not in the document`);
  const type = reply.headers['content-type'].split(';')[0];
  const content = described.content?.[type];
  assert.ok(content || !described.content, `${method} ${pattern}: ${type} is not in the document`);
  for (const [name, { schema }] of Object.entries(described.headers ?? {}))
    assert.deepEqual(validate(spec, schema, reply.headers[name.toLowerCase()]), [], `${method} ${pattern}: ${name}`);
  if (type === 'application/json' && content) assert.deepEqual(validate(spec, content.schema, reply.json), [], `${method} ${pattern}: ${reply.text}`);
  return reply;
}

test('every route is in the document, and everything in the document is a route', async () => {
  const { stdout, code } = await parleyCommand(['print-routes']);
  assert.equal(code, 0);
  const routes = stdout.trim().split('\n');
  assert.deepEqual(routes.filter((one) => !operations.includes(one)), [], 'not in docs/openapi.json');
  assert.deepEqual(operations.filter((one) => !routes.includes(one)), [], 'not in routes.c');
});

test('the document is whole: references lead somewhere, path parameters are described, operations have errors', () => {
  const refs = [...JSON.stringify(spec).matchAll(/"\$ref": ?"([^"]+)"/g)].map(([, ref]) => ref);
  for (const $ref of refs) assert.ok(resolve(spec, { $ref }), $ref);
  for (const [where, item] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const named = [...where.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const described = (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name);
      assert.deepEqual(described, named, `${method} ${where}`);
      assert.ok(operation.summary && operation.tags?.every((tag) => spec.tags.some((one) => one.name === tag)), `${method} ${where}`);
    }
  }
});

test('the validator finds what is wrong', () => {
  const wrong = (schema, value) => validate(spec, schema, value).length;
  assert.equal(wrong({ $ref: '#/components/schemas/Health' }, { status: 'healthy', timestamp: '2026-01-02T03:04:05.678Z' }), 0);
  assert.equal(wrong({ $ref: '#/components/schemas/Health' }, { status: 'fine', timestamp: 'now' }), 2);
  assert.equal(wrong({ $ref: '#/components/schemas/Health' }, {}), 2);
  assert.equal(wrong({ type: 'array', items: { type: 'integer' } }, [1, 'a', 2.5]), 2);
  assert.equal(wrong({ type: 'object', additionalProperties: false }, { a: 1 }), 1);
  assert.equal(wrong({ multipleOf: 2 }, 3), 1);
});

test('the chat endpoints answer as described in each contract', async () => {
  const question = { message: 'described mock:' };
  await ask('POST', '/api/chat', { json: question });
  await ask('POST', '/api/chat', { json: { ...question, user_id: 'described', stream: false } });
  const { json: { sessionId } } = await ask('POST', '/api/create-session', { json: {} });
  await ask('POST', '/api/chat', { json: { ...question, sessionId } });
  await ask('POST', '/api/chat/simple', { json: { ...question, user_id: 'described' } });
  await ask('POST', '/api/chat', { json: {}, status: 400 });
  await ask('POST', '/api/chat', { json: { ...question, conversation_id: 'conv_none' }, status: 404 });
  await ask('POST', '/api/chat', { body: 'x', headers: { 'Content-Type': 'text/plain' }, status: 415 });
  await ask('DELETE', '/api/sessions/{sessionId}', { args: { sessionId } });
  await ask('DELETE', '/api/sessions/{sessionId}', { args: { sessionId }, status: 404 });
  await ask('POST', '/api/create-session', { json: [], status: 400 });
});

test('frames of a stream fit their schema', async () => {
  for (const more of [{}, { user_id: 'framed' }]) {
    const stream = await parley.stream('/api/chat/stream', { message: 'frames mock:deltas=2', ...more });
    await stream.ended;
    const frames = stream.frames.filter((frame) => frame.data !== '[DONE]');
    assert.equal(frames.length, 4);
    for (const frame of frames) assert.deepEqual(validate(spec, { $ref: '#/components/schemas/Frame' }, frame.json), [], frame.data);
    await ask('GET', '/api/chat/stream/{message_id}', { args: { message_id: stream.last.message_id } });
  }
});

test('conversations, messages and histories are as described', async () => {
  const { json: { conversation_id: id, message_id } } = await ask('POST', '/api/chat', { json: { message: 'kept mock:finish=length' } });
  await ask('GET', '/api/conversations');
  await ask('GET', '/api/conversations', { query: '?limit=0', status: 400 });
  await ask('GET', '/api/conversations', { query: '?q=kept&limit=5' });
  await ask('POST', '/api/messages/{message_id}/feedback', { args: { message_id }, json: { rating: -1, comment: 'short' } });
  await ask('POST', '/api/messages/{message_id}/feedback', { args: { message_id }, json: { rating: 2 }, status: 400 });
  await ask('POST', '/api/messages/{message_id}/feedback', { json: { rating: 1 }, status: 404 });
  await ask('POST', '/api/messages/{message_id}/continue', { args: { message_id }, json: {} });
  await ask('POST', '/api/messages/{message_id}/continue', { json: {}, status: 404 });
  await ask('POST', '/api/conversations/{id}/regenerate', { args: { id }, json: {} });
  await ask('POST', '/api/conversations/{id}/regenerate', { json: {}, status: 404 });
  await ask('POST', '/api/messages/{message_id}/continue', { args: { message_id: 'msg_none' }, json: {}, status: 404 });
  await ask('POST', '/api/conversations/{id}/regenerate', { args: { id }, json: { deliver: 'poll' }, status: 202 });
  await ask('GET', '/api/conversations/{id}', { args: { id } });
  await ask('GET', '/api/conversations/{id}', { args: { id }, query: '?all=1' });
  await ask('PATCH', '/api/conversations/{id}', { args: { id }, json: { title: 'Renamed' } });
  await ask('PATCH', '/api/conversations/{id}', { args: { id }, json: { title: '' }, status: 400 });
  await ask('GET', '/api/conversations/{id}/export', { args: { id } });
  await ask('GET', '/api/conversations/{id}/export', { args: { id }, query: '?format=markdown' });
  await ask('GET', '/api/conversations/{id}/export', { args: { id }, query: '?format=pdf', status: 400 });
  await ask('DELETE', '/api/conversations/{id}', { args: { id } });
  for (const [method, where] of [['GET', ''], ['DELETE', ''], ['GET', '/export']])
    await ask(method, `/api/conversations/{id}${where}`, { args: { id }, status: 404 });
  await ask('POST', '/api/chat/simple', { json: { user_id: 'kept', message: 'kept mock:' } });
  await ask('GET', '/api/chat/history/{user_id}', { args: { user_id: 'kept' } });
  await ask('GET', '/api/chat/history/{user_id}', { args: { user_id: 'kept' }, query: '?before=yesterday', status: 400 });
  await ask('DELETE', '/api/chat/history/{user_id}', { args: { user_id: 'kept' } });
});

test('what is remembered is as described', async () => {
  const told = await ask('POST', '/api/memory', { json: { user_id: 'described', fact: 'Likes tea' }, status: 201 });
  await ask('POST', '/api/memory', { json: { user_id: 'described', fact: 'likes tea' } });
  await ask('POST', '/api/memory', { json: { fact: '' }, status: 400 });
  await ask('GET', '/api/memory/{user_id}', { args: { user_id: 'described' }, query: '?query=tea&limit=3' });
  await ask('GET', '/api/memory');
  const headers = { Cookie: told.headers['set-cookie'][0].split(';')[0] };
  await ask('DELETE', '/api/memory/fact/{memory_id}', { args: { memory_id: told.json.id }, headers });
  await ask('DELETE', '/api/memory/fact/{memory_id}', { args: { memory_id: told.json.id }, headers, status: 404 });
  await ask('DELETE', '/api/memory/{user_id}', { args: { user_id: 'described' } });
  await ask('DELETE', '/api/memory');
});

test('what a visitor erases is as described', async () => {
  const { headers } = await parley.post('/api/chat', { message: 'erased mock:' });
  const cookie = headers['set-cookie']?.map((one) => one.split(';')[0]).join('; ');
  const { json } = await ask('DELETE', '/api/visitor', { headers: { Cookie: cookie } });
  assert.equal(json.conversations, 1);
});

test('polling and stopping are as described', async () => {
  const stream = await parley.stream('/api/chat/stream', { message: 'stopped mock:deltas=100,delay=100' });
  await stream.until((s) => s.deltas.length > 0);
  const { message_id } = stream.first;
  await ask('GET', '/api/messages/{message_id}', { args: { message_id } });
  await ask('POST', '/api/chat/stop', { json: { message_id } });
  await stream.ended;
  await ask('GET', '/api/messages/{message_id}', { args: { message_id } });
  await ask('GET', '/api/messages/{message_id}', { status: 404 });
  const accepted = await ask('POST', '/api/chat', { json: { message: 'polled mock:', deliver: 'poll' }, status: 202 });
  await ask('GET', '/api/messages/{message_id}', { args: { message_id: accepted.json.message_id }, query: '?wait=5' });
  await ask('POST', '/api/chat', { json: { message: 'polled mock:', deliver: 'pigeon' }, status: 400 });
  await ask('POST', '/api/chat/stop', { json: {}, status: 400 });
});

test('the service endpoints are as described', async () => {
  const picture = { type: 'image', data_url: 'data:image/gif;base64,R0lGODlhAQABAAAAACw=' };
  const { file_id } = (await ask('POST', '/api/files', { json: picture, status: 201 })).json;
  await ask('POST', '/api/files', { json: { type: 'image', data_url: 'data:,' }, status: 400 });
  await ask('GET', '/api/files/{id}', { args: { id: file_id }, status: 404 });
  const shown = (await ask('POST', '/api/chat', { json: { message: 'look mock:', attachments: [picture] } })).json.conversation_id;
  const { attachments } = (await ask('GET', '/api/conversations/{id}', { args: { id: shown } })).json.messages[0];
  await ask('GET', '/api/files/{id}', { args: { id: attachments[0].file_id } });
  for (const where of ['/api/models', '/api/whoami', '/api/rate-limit', '/api/config', '/api/health', '/api/health/detailed', '/health']) await ask('GET', where);
});

test('limits and refusals are as described', async (t) => {
  const limited = await startParley({ mock, env: { RATELIMIT_PER_MINUTE: 2, RATELIMIT_PER_DAY: 5, TOKENS_PER_VISITOR_PER_DAY: 100000 } });
  t.after(() => limited.stop());
  const fits = (schema, json) => assert.deepEqual(validate(spec, { $ref: `#/components/schemas/${schema}` }, json), [], JSON.stringify(json));
  const first = await limited.post('/api/chat', { message: 'limited mock:' });
  const again = await limited.post(`/api/conversations/${first.json.conversation_id}/regenerate`, {});
  assert.deepEqual([again.status, again.headers['ratelimit-remaining']], [200, '0'], again.text);
  const over = await limited.post(`/api/conversations/${first.json.conversation_id}/regenerate`, {});
  assert.equal(over.status, 429);
  fits('Error', over.json);
  const { json } = await limited.get('/api/rate-limit');
  assert.equal(json.limits.length, 2);
  assert.ok(json.tokens.used > 0);
  fits('RateLimits', json);
  fits('WhoAmI', (await limited.get('/api/whoami')).json);
});

test('the document and its page are served', async () => {
  const reply = await ask('GET', '/openapi.json');
  assert.deepEqual(reply.json, spec);
  const page = await ask('GET', '/docs');
  assert.match(page.headers['content-security-policy'], /default-src 'none'; script-src 'self'/);
  for (const [, file] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) assert.equal((await parley.get(`/${file}`)).status, 200, file);
  for (const where of ['/', '/chat', '/sw.js', '/favicon.ico']) await ask('GET', where);
});
