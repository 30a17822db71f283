/*
 * The parts of page and widget that need no browser: the event-stream reader, the timing test, the languages.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { looksHeldBack } from '../../web/src/answer.js';
import { ApiError, createPageClient } from '../../web/src/client.js';
import { createSseReader } from '../../web/src/sse.js';

const bytes = (text) => new TextEncoder().encode(text);

function read(parts) {
  const events = [];
  const reader = createSseReader((event) => events.push(event));
  for (const part of parts) reader.push(part);
  reader.end();
  return events;
}

const STREAM = ': ping\r\n\r\nid: m:3\ndata: {"a":"é€😀"}\n\nevent: note\rdata: one\rdata:two\r\rid\nretry: 5\ndata:  spaced\r\n\r\ndata: last';
const EVENTS = [
  { id: 'm:3', event: 'message', data: '{"a":"é€😀"}' },
  { id: 'm:3', event: 'note', data: 'one\ntwo' },
  { id: '', event: 'message', data: ' spaced' },
  { id: '', event: 'message', data: 'last' },
];

test('the stream reader finds the same events at every split point', () => {
  const all = bytes(STREAM);
  assert.deepEqual(read([all]), EVENTS);
  for (let at = 1; at < all.length; at += 1) assert.deepEqual(read([all.slice(0, at), all.slice(at)]), EVENTS, `split at ${at}`);
  assert.deepEqual(read([...all].map((byte) => Uint8Array.of(byte))), EVENTS);
});

test('an answer that waits long and then comes all at once counts as held back', () => {
  const lump = { sentAt: 0, firstAt: 6000, lastAt: 6040, deltas: 50 };
  assert.equal(looksHeldBack(lump), true);
  assert.equal(looksHeldBack({ ...lump, lastAt: 9000 }), false, 'it went on growing');
  assert.equal(looksHeldBack({ ...lump, firstAt: 900, lastAt: 940 }), false, 'a short answer may come at once');
  assert.equal(looksHeldBack({ ...lump, deltas: 1 }), false, 'one piece says nothing');
});

test('every language has every text, with the same parts to fill in', () => {
  const folder = new URL('../../web/src/lang/', import.meta.url);
  const load = (name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
  const english = load('en.json');
  const partsOf = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  const names = readdirSync(folder).filter((name) => name !== 'en.json');
  assert.deepEqual(names.sort(), ['ar.json', 'de.json', 'es.json', 'fr.json', 'zh.json']);
  for (const name of names) {
    const texts = load(name);
    assert.deepEqual(Object.keys(texts).sort(), Object.keys(english).sort(), name);
    for (const [key, text] of Object.entries(texts)) assert.deepEqual(partsOf(text), partsOf(english[key]), `${name}: ${key}`);
  }
});

const clientWith = (fetch) => createPageClient({ base: 'http://127.0.0.1/sub/', fetch });

test('an error body of the server becomes an error with its code, field and waiting time', async () => {
  const client = clientWith(async () => Response.json(
    { error: 'Slow down.', code: 'rate_limited', status: 'error', request_id: 'r7', field: 'message', retry_after: 12 }, { status: 429 }));
  await assert.rejects(client.health(), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual({ ...error }, { name: 'ApiError', status: 429, code: 'rate_limited', field: 'message', retryAfter: 12, requestId: 'r7' });
    return error.message === 'Slow down.';
  });
});

test('a foreign error page, a cut body and a dead server each have their own code', async () => {
  const codeOf = async (fetch) => clientWith(fetch).health().then(() => null, (error) => error.code);
  assert.equal(await codeOf(async () => new Response('<h1>Bad Gateway</h1>', { status: 502 })), 'http_error');
  assert.equal(await codeOf(async () => new Response('{"half":')), 'bad_reply');
  assert.equal(await codeOf(async () => { throw new TypeError('failed'); }), 'network');
});

test('addresses stay below the installation', async () => {
  const asked = [];
  const client = clientWith(async (url) => {
    asked.push(String(url));
    return Response.json({});
  });
  await client.conversation('a/../b');
  assert.deepEqual(asked, ['http://127.0.0.1/sub/api/conversations/a%2F..%2Fb']);
});

test('the build prints the sizes, and what is over its budget fails and is not put in place', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'parley-web-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const script = fileURLToPath(new URL('../../web/build.mjs', import.meta.url));
  const build = (name, ...more) => new Promise((resolve) => {
    execFile(process.execPath, [script, '--out', path.join(folder, name), ...more], (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
  const good = await build('good');
  assert.equal(good.code, 0, good.stderr);
  const sizes = Object.fromEntries([...good.stdout.matchAll(/^(.+?) +(\d+) bytes gzipped, budget (\d+)$/gm)].map(([, name, size, budget]) => [name, [Number(size), Number(budget)]]));
  assert.deepEqual(Object.keys(sizes), ['page, first load', 'widget, tag only', 'widget, opened']);
  assert.ok(sizes['widget, tag only'][0] < 4096 && sizes['widget, opened'][0] < 30_720);
  const over = await build('over', '--budget', '50');
  assert.equal(over.code, 1);
  assert.match(over.stdout, /OVER/);
  assert.match(over.stderr, /over budget/);
  assert.deepEqual([existsSync(path.join(folder, 'good/index.html')), existsSync(path.join(folder, 'over'))], [true, false]);
});
