/*
 * Pictures in a message: they reach a provider that can see, also in later turns; everything that is no picture,
 * too large, or for a provider that is blind gets a clear error.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const url = (base64 = PNG, mime = 'image/png') => `data:${mime};base64,${base64}`;
const picture = (data_url) => ({ type: 'image', data_url });
const big = (bytes) => Buffer.concat([Buffer.from(PNG, 'base64'), Buffer.alloc(bytes)]).toString('base64');

let mock, blind, parley;
before(async () => {
  mock = await startMock();
  blind = await startMock();
  parley = await startParley({ mock, via: 'nginx', workers: 2, env: { MAX_BODY_BYTES: 400000, MAX_IMAGE_BYTES: 100000, RESPONSE_CACHE_TTL: 60,
    PROVIDERS: 'blind', PROVIDER_BLIND_BASE: blind.url, PROVIDER_BLIND_MODEL: 'mole', PROVIDER_BLIND_IMAGES: 'off', PROVIDER_FAILOVER: 'blind',
    BREAKER_FAILURES: 0, RETRY_MAX: 0 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
  await blind?.stop();
});
const ask = (message, attachments, more = {}) => parley.post('/api/chat', { message, attachments, ...more });
/* The mock's `question` is the content of the last user message: a list of parts where there are pictures. */
const last = () => mock.requests.at(-1);

test('a picture reaches the provider beside the text, and is kept for the next turns', async () => {
  const reply = await ask('what is this? mock:', [picture(url()), picture(url('R0lGODlhAQABAAAAACw=', 'image/gif'))]);
  assert.equal(reply.status, 200, reply.text);
  const [, question] = last().messages;
  assert.deepEqual(question.content, [{ type: 'text', text: 'what is this? mock:' },
    { type: 'image_url', image_url: { url: url() } }, { type: 'image_url', image_url: { url: url('R0lGODlhAQABAAAAACw=', 'image/gif') } }]);
  const { conversation_id } = reply.json;
  await ask('and its colour? mock:', undefined, { conversation_id });
  const { messages } = last();
  assert.deepEqual(messages.map((m) => m.role), ['system', 'user', 'assistant', 'user']);
  assert.equal(messages[1].content.length, 3);
  assert.equal(messages[3].content, 'and its colour? mock:');
  /* a blind provider gets the text of it */
  const other = await ask('and you? mock:', undefined, { conversation_id, provider: 'blind' });
  assert.equal(other.status, 200);
  assert.equal(blind.requests.at(-1).messages[1].content, 'what is this? mock:');
  assert.deepEqual(await parley.sql('SELECT f.mime FROM pictures AS p JOIN files AS f ON f.id = p.file_id ORDER BY p.id'), [{ mime: 'image/png' }, { mime: 'image/gif' }]);
});

const cookieOf = (reply) => reply.headers['set-cookie'][0].split(';')[0];
const bytesOf = (where, headers = {}) => new Promise((resolve, reject) => {
  http.get(new URL(where, parley.url), { headers }, (reply) => {
    const parts = [];
    reply.on('data', (part) => parts.push(part));
    reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, bytes: Buffer.concat(parts) }));
  }).on('error', reject);
});

test('a picture is put once and used by its name; conversation and export show it, and it goes with them', async () => {
  const put = await parley.post('/api/files', picture(url()));
  assert.equal(put.status, 201, put.text);
  assert.deepEqual({ ...put.json, file_id: 'x' }, { file_id: 'x', type: 'image', mime: 'image/png' });
  const { file_id } = put.json;
  const mine = { headers: { Cookie: cookieOf(put) } };
  const as = (message, attachments, more = {}) => parley.request('/api/chat', { method: 'POST', json: { message, attachments, ...more }, ...mine });
  const first = await as('by name mock:', [{ type: 'image', file_id }, picture(url('R0lGODlhAQABAAAAACw=', 'image/gif'))]);
  assert.equal(first.status, 200, first.text);
  assert.deepEqual(last().messages[1].content.slice(1).map((part) => part.image_url.url), [url(), url('R0lGODlhAQABAAAAACw=', 'image/gif')]);
  const { conversation_id } = first.json;
  assert.equal((await as('again by name mock:', [{ type: 'image', file_id }], { conversation_id })).status, 200);
  assert.equal(last().messages.at(-1).content[1].image_url.url, url());

  const where = `/api/conversations/${conversation_id}`;
  const shown = (await parley.get(where)).json.messages.filter((one) => one.role === 'user').map((one) => one.attachments);
  assert.deepEqual(shown[0].map((one) => [one.type, one.mime]), [['image', 'image/png'], ['image', 'image/gif']]);
  assert.deepEqual(shown[1], [{ type: 'image', file_id, mime: 'image/png' }]);
  assert.equal(shown[0][0].file_id, file_id);
  assert.equal((await parley.get(`${where}/export`)).json.messages[0].attachments.length, 2);
  assert.match((await parley.get(`${where}/export?format=markdown`)).text, /with pictures/);

  const back = await bytesOf(`/api/files/${file_id}`, mine.headers);
  assert.equal(back.status, 200);
  assert.deepEqual(back.bytes, Buffer.from(PNG, 'base64'));
  assert.equal(back.headers['content-type'], 'image/png');
  assert.equal(back.headers['x-content-type-options'], 'nosniff');
  assert.match(back.headers['content-security-policy'], /default-src 'none'.*sandbox/);
  assert.equal((await bytesOf(`/api/files/${shown[0][1].file_id}`)).headers['content-type'], 'image/gif', 'who reads the conversation sees its pictures');

  await parley.request(where, { method: 'DELETE', ...mine });
  assert.equal((await bytesOf(`/api/files/${file_id}`, mine.headers)).status, 404);
});

test('a picture that no question shows is its owner\'s alone, is bounded in number, and is erased with him', async () => {
  const put = await parley.post('/api/files', picture(url()));
  const mine = { headers: { Cookie: cookieOf(put) } };
  const where = `/api/files/${put.json.file_id}`;
  assert.equal((await bytesOf(where, mine.headers)).status, 200);
  assert.equal((await bytesOf(where)).status, 404);
  const theft = await ask('mine now mock:', [{ type: 'image', file_id: put.json.file_id }]);
  assert.deepEqual([theft.status, theft.json.code], [404, 'unknown_file']);
  const put20 = [];
  for (let i = 0; i < 20; i++) put20.push((await parley.request('/api/files', { method: 'POST', json: picture(url()), ...mine })).json.file_id);
  assert.equal((await bytesOf(where, mine.headers)).status, 404, 'the oldest gave way');
  assert.equal((await bytesOf(`/api/files/${put20[0]}`, mine.headers)).status, 200);
  assert.equal((await parley.request('/api/visitor', { method: 'DELETE', ...mine })).status, 200);
  assert.equal((await bytesOf(`/api/files/${put20[0]}`, mine.headers)).status, 404);
  for (const [body, status, code] of [[picture('data:,'), 400, 'invalid_image'], [{ type: 'image', file_id: 'file_1' }, 400, 'invalid_field'],
    [[], 400, 'invalid_field'], [picture(url(big(100000))), 413, 'image_too_large']]) {
    const reply = await parley.post('/api/files', body);
    assert.deepEqual([reply.status, reply.json.code], [status, code]);
  }
  assert.equal((await bytesOf('/api/files/..%2f..%2fx')).status, 404);
});

test('questions with pictures are never answered from the cache', async () => {
  for (let i = 0; i < 2; i++) assert.equal((await ask('cached? mock:', [picture(url())])).headers['x-cache'], 'miss');
});

test('a blind provider refuses, and does not step in for one that sees', async () => {
  for (const provider of ['blind', 'demo']) {
    const reply = await ask('look mock:', [picture(url())], { provider });
    assert.equal(reply.status, 400);
    assert.equal(reply.json.code, 'images_unsupported');
    assert.match(reply.json.error, new RegExp(provider));
  }
  const asked = blind.requests.length;
  const reply = await ask('look mock:status=500', [picture(url())]);
  assert.equal(reply.status, 502);
  assert.equal(blind.requests.length, asked);
});

test('/api/models tells which models see', async () => {
  const { json } = await parley.get('/api/models');
  assert.deepEqual(json.models.map((m) => [m.id, m.vision]), [['mock-model', true], ['mole', false]]);
});

for (const [what, attachments, status, code] of [
  ['no list', 'x', 400, 'invalid_field'],
  ['no object', ['x'], 400, 'invalid_field'],
  ['another type', [{ type: 'audio', data_url: url() }], 400, 'invalid_field'],
  ['a file id that nobody was given', [{ type: 'image', file_id: 'file_1' }], 404, 'unknown_file'],
  ['a file id that is none', [{ type: 'image', file_id: '../../etc/passwd' }], 400, 'invalid_field'],
  ['a picture and a name', [{ ...picture(url()), file_id: 'file_1' }], 400, 'invalid_field'],
  ['neither of the two', [{ type: 'image' }], 400, 'invalid_field'],
  ['a web address', [picture('https://example.org/a.png')], 400, 'invalid_image'],
  ['an SVG', [picture(url('PHN2Zy8+', 'image/svg+xml'))], 400, 'invalid_image'],
  ['HTML that calls itself a PNG', [picture(url(Buffer.from('<html><body>hello').toString('base64')))], 400, 'invalid_image'],
  ['a PNG that calls itself a JPEG', [picture(url(PNG, 'image/jpeg'))], 400, 'invalid_image'],
  ['a RIFF that is no WebP', [picture(url(Buffer.from('RIFF....WAVEfmt ').toString('base64'), 'image/webp'))], 400, 'invalid_image'],
  ['malformed base64', [picture(url(`${PNG.slice(0, 40)}!${PNG.slice(41)}`))], 400, 'invalid_image'],
  ['base64 without its padding', [picture(url(PNG.slice(0, -1)))], 400, 'invalid_image'],
  ['padding in the middle', [picture(url(`${PNG.slice(0, 4)}==${PNG.slice(6)}`))], 400, 'invalid_image'],
  ['nothing', [picture(url(''))], 400, 'invalid_image'],
  ['a NUL in it', [picture(`${url().slice(0, 60)}\u0000${url().slice(61)}`)], 400, 'invalid_image'],
  ['five pictures', Array(5).fill(picture(url())), 400, 'invalid_field'],
  ['a good one and a bad one', [picture(url()), picture('data:,')], 400, 'invalid_image'],
  ['too many bytes', [picture(url(big(100000)))], 413, 'image_too_large'],
]) {
  test(`${what}: ${status} ${code}`, async () => {
    const asked = mock.requests.length;
    const reply = await ask('look mock:', attachments);
    assert.equal(reply.status, status, reply.text);
    assert.equal(reply.json.code, code);
    assert.equal(reply.json.field, 'attachments');
    assert.equal(mock.requests.length, asked);
  });
}

test('a picture of the largest size is taken; a larger body is not read', async () => {
  assert.equal((await ask('large mock:', [picture(url(big(99000)))])).status, 200);
  assert.equal((await ask('larger mock:', [picture(url(big(400000)))])).status, 413);
});

test('MAX_IMAGE_BYTES=0 takes none', async () => {
  const plain = await startParley({ mock, workers: 1, env: { MAX_IMAGE_BYTES: 0 } });
  try {
    const reply = await plain.post('/api/chat', { message: 'look mock:', attachments: [picture(url())] });
    assert.deepEqual([reply.status, reply.json.code], [400, 'images_unsupported']);
    assert.equal((await plain.get('/api/models')).json.models[0].vision, false);
  } finally {
    await plain.stop();
  }
});
