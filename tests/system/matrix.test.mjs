/*
 * The matrix: every web server of Debian with the configuration that deploy/ ships, and the same checks on each. What a
 * server cannot is a property of its row (matrix/servers.mjs), and is checked, too.
 *
 * Timeouts of the servers are lowered to a few seconds, so that silence can be tested quickly;
 * PARLEY_TEST_SILENCE_SECONDS=65 leaves them as shipped and is silent for so long instead.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openGate } from './matrix/gate.mjs';
import { servers } from './matrix/servers.mjs';
import { openSite } from './matrix/site.mjs';
import { startMock } from './mock_provider.mjs';

const LONG_SILENCE = Number(process.env.PARLEY_TEST_SILENCE_SECONDS ?? 0);
const BODY_MAX = 1048576;
const SHOP = 'https://shop.example';
const NS_PER_MS = 1000000n;

const SETTINGS = { DISCONNECT_GRACE_SECONDS: 0, MAX_BODY_BYTES: BODY_MAX, CORS_ORIGIN: SHOP, IDLE_TIMEOUT_MS: 600000,
  FIRST_BYTE_TIMEOUT_MS: 600000 };

/* Heartbeat, what the server tolerates, how long the provider is silent, and how long a client may have left unnoticed: where
 * that is noticed at once it must be before the first heartbeat; Caddy needs four or five of them. */
function secondsOf(server) {
  if (LONG_SILENCE) return { heartbeat: 15, timeout: null, silence: LONG_SILENCE, unnoticed: server.notices === 'at once' ? 10 : 100 };
  if (server.notices === 'at once') return { heartbeat: 2, timeout: 4, silence: 6, unnoticed: 1.5 };
  return { heartbeat: 1, timeout: 3, silence: 5, unnoticed: 8 };
}

const within = (promise, ms) => Promise.race([promise, new Promise((resolve) => { setTimeout(resolve, ms, null).unref(); })]);
const padded = (message, bytes) => {
  const empty = JSON.stringify({ message, pad: '' }).length;
  return { message, pad: 'x'.repeat(bytes - empty) };
};

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

describe('the matrix', { concurrency: 5 }, () => {
  for (const server of servers) describe(`${server.name} at ${server.below}/`, { concurrency: true }, () => checks(server));
});

function checks(server) {
  const id = `${server.name}${server.below}`.replaceAll(/[^a-z]/gi, '');
  const seconds = secondsOf(server);
  let site;
  before(async () => {
    site = await openSite({ mock, settings: { ...SETTINGS, HEARTBEAT_SECONDS: seconds.heartbeat, ...server.settings } });
    try {
      if (server.serve) await site.startParley();
      await site.startServer((port) => server.command(site, port, seconds.timeout), server.below);
    } catch (error) {
      await site.close().catch(() => {});
      throw error;
    }
  });
  after(async () => { await site?.close(); });

  test('a conversation', async () => {
    const first = await site.post('/api/chat', { message: `${id} one mock:deltas=2` });
    assert.equal(first.json?.response, 'w0 w1 ', first.text);
    const second = await site.post('/api/chat', { message: `${id} two mock:`, conversation_id: first.json.conversation_id });
    assert.equal(second.json?.conversation_id, first.json.conversation_id, second.text);
    assert.deepEqual(mock.calls(`${id} two`)[0].messages.filter((m) => m.role !== 'system').map((m) => m.role), ['user', 'assistant', 'user']);
    assert.match(second.headers['x-request-id'], /./);
  });

  if (server.streams) test('each delta arrives before the next one is sent', () => streams(site, id));
  else test(`answers are held back (${server.why})`, () => isHeldBack(site, id));

  test('asking and then polling gets the answer as it grows', () => polls(site, id));
  test('another request stops an answer', () => stops(site, id));
  if (server.notices) test(`a client that hangs up is noticed ${server.notices}`, () => hangUp(site, id, seconds.unnoticed * 1000));

  test(`${seconds.silence} seconds of a silent provider are survived`, async () => {
    const stream = await site.stream('/api/chat/stream', { message: `${id} mock:deltas=2,delay=${seconds.silence * 1000}` },
      { timeout: (seconds.silence + 20) * 1000 });
    await stream.ended;
    assert.equal(stream.closed, 'end', stream.raw);
    assert.equal(stream.text, 'w0 w1 ');
    assert.equal(stream.frames.at(-1)?.data, '[DONE]', stream.raw);
    assert.ok(stream.comments.length > 0, 'there was no heartbeat');
  });

  const { bodyMax = BODY_MAX } = server;
  test(`a body of ${bodyMax / 1024} KB comes through, one of half more is refused`, () => bodies(site, id, bodyMax));

  test('methods: DELETE, PUT and OPTIONS reach the program, HEAD has no body', () => methods(site));
  test('the page and its files are found', () => page(site, server.below));
  test('the Authorization header arrives', () => authorization(site));
}

/* Ordered by the gate; that a piece came late is said, not judged. The first one is large, because that is what makes some
 * servers compress, and then hold back. */
async function streams(site, id) {
  const gate = openGate(mock, `${id} gated`);
  const large = 'large '.repeat(400);
  gate.send(`${large}piece0 `);
  const stream = await site.stream('/api/chat/stream', { message: `${id} gated` }, { headers: { 'Accept-Encoding': 'gzip, deflate, br' } });
  assert.equal(stream.headers['content-encoding'], undefined, 'the web server compresses streams');
  const late = [];
  for (let i = 0; i < 6; i++) {
    const sent = process.hrtime.bigint();
    if (i > 0) gate.send(`piece${i} `);
    await stream.until((s) => s.text.includes(`piece${i} `), 8000);
    late.push(Number(stream.deltas.at(-1).at - sent) / 1e6);
  }
  gate.finish();
  await stream.ended;
  assert.equal(stream.text, `${large}piece0 piece1 piece2 piece3 piece4 piece5 `);
  assert.equal(stream.frames.at(-1).data, '[DONE]');
  if (process.env.PARLEY_TEST_TIMES) console.log(`${id}: deltas after ${late.slice(1).map((ms) => ms.toFixed(1)).join(', ')} ms`);
}

async function isHeldBack(site, id) {
  const gate = openGate(mock, `${id} held`);
  gate.send('piece0 ');
  const asked = site.stream('/api/chat/stream', { message: `${id} held` });
  await mock.waitCall(`${id} held`, 10000);
  assert.equal(await within(asked, 2500), null, 'the head arrived: this server streams after all');
  gate.finish();
  const stream = await asked;
  await stream.ended;
  assert.equal(stream.text, 'piece0 ');
}

/* Ask without waiting for the answer; its id. This way works where a web server holds everything back. */
async function ask(site, message) {
  const reply = await site.post('/api/chat', { message, deliver: 'poll' });
  assert.equal(reply.status, 202, reply.text);
  return reply.json.message_id;
}

async function polls(site, id) {
  const gate = openGate(mock, `${id} polled`);
  const message = await ask(site, `${id} polled`);
  let after = 0;
  for (const piece of ['first ', 'second ']) {
    gate.send(piece);
    const got = await site.get(`/api/messages/${message}?after=${after}&wait=10`);
    assert.equal(got.json?.content, piece, got.text);
    assert.equal(got.json.done, false, got.text);
    after = got.json.next;
  }
  gate.finish();
  const last = await site.get(`/api/messages/${message}?after=${after}&wait=10`);
  assert.equal(last.json?.done, true, last.text);
  const all = await site.get(`/api/messages/${message}?after=0`);
  assert.equal(all.json?.content, 'first second ', all.text);
}

async function stops(site, id) {
  const message = await ask(site, `${id} stopped mock:deltas=3,hang=1`);
  const call = await mock.waitCall(`${id} stopped`, 10000);
  const reply = await site.post('/api/chat/stop', { message_id: message });
  assert.equal(reply.status, 200, reply.text);
  assert.ok(await within(call.left, 8000), 'the provider still holds its connection');
}

async function hangUp(site, id, limit) {
  const stream = await site.stream('/api/chat/stream', { message: `${id} left mock:deltas=3,hang=1` });
  await stream.until((s) => s.deltas.length === 1);
  const [call] = mock.calls(`${id} left`);
  const gone = process.hrtime.bigint();
  stream.abort();
  assert.ok(await within(call.left, limit), `the provider still holds its connection after ${limit} ms`);
  if (process.env.PARLEY_TEST_TIMES) console.log(`${id}: noticed after ${(call.leftAt - gone) / NS_PER_MS} ms`);
}

async function bodies(site, id, most) {
  const large = await site.post('/api/chat', padded(`${id} large mock:deltas=1`, most));
  assert.equal(large.json?.response, 'w0 ', `${large.status} ${large.text}`);
  const tooLarge = await site.post('/api/chat', padded(`${id} toolarge mock:`, most * 1.5));
  assert.equal(mock.calls(`${id} toolarge`).length, 0);
  assert.equal(tooLarge.status, 413, tooLarge.text);
  assert.match(tooLarge.json?.code, /./, tooLarge.text);
}

async function methods(site) {
  for (const [method, where] of [['PUT', '/api/chat'], ['PATCH', '/api/chat'], ['DELETE', '/api/health']]) {
    const reply = await site.request(where, { method });
    assert.equal(reply.status, 405, `${method}: ${reply.text}`);
    assert.match(reply.headers.allow, /OPTIONS/);
    assert.equal(reply.json?.code, 'method_not_allowed', reply.text);
  }
  const preflight = await site.request('/api/chat', { method: 'OPTIONS',
    headers: { Origin: SHOP, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' } });
  assert.equal(preflight.status, 204, preflight.text);
  assert.equal(preflight.headers['access-control-allow-origin'], SHOP);
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  const head = await site.request('/api/health', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
  const unknown = await site.request('/api/health', { method: 'PROPFIND' });
  assert.ok([405, 501].includes(unknown.status), `PROPFIND: ${unknown.status}`);
}

async function page(site, below) {
  const root = await site.get('/');
  assert.equal(root.status, 200, root.text);
  assert.match(root.headers['content-type'], /^text\/html/);
  const files = [...root.text.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, file]) => file);
  assert.ok(files.length > 0, 'the page names no files');
  for (const file of files) {
    const got = await site.get(`/${file}`);
    assert.equal(got.status, 200, file);
    assert.doesNotMatch(got.headers['content-type'], /^text\/html/, file);
  }
  if (below) {
    const bare = await site.get('');
    assert.ok([301, 302, 308].includes(bare.status), `without a slash: ${bare.status}`);
    assert.equal(new URL(bare.headers.location, site.url).pathname, `${below}/`);
  }
  const nothing = await site.get('/api/nothing?-x+y');
  assert.equal(nothing.status, 404);
  assert.equal(nothing.json?.code, 'unknown_path', nothing.text);
  for (const name of ['/.env', '/../.env', '/parley.env', '/.htaccess', '/parley.db', '/../parley/.env']) {
    assert.doesNotMatch((await site.get(name)).text, /OPENAI|SQLite|Rewrite/, name);
  }
}

/* Seen by what the program makes of a key that nobody has. */
async function authorization(site) {
  const without = await site.get('/api/whoami');
  const wrong = await site.get('/api/whoami', { headers: { Authorization: 'Bearer parley_nobody_has_this_key' } });
  if (without.status === 404) {
    assert.equal(without.json?.code, 'unknown_path', without.text);
    return;
  }
  assert.equal(without.status, 200, without.text);
  assert.equal(wrong.status, 401, `the header did not arrive: ${wrong.text}`);
}
