/*
 * The mock provider itself: what it promises to the other tests. Talks to it with plain sockets and fetch,
 * without Parley.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startMock } from './mock_provider.mjs';

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock.stop(); });

function ask(content, signal) {
  return fetch(`${mock.url}/chat/completions`, { method: 'POST', signal,
    body: JSON.stringify({ model: 'm', stream: true, stream_options: { include_usage: true },
      messages: [{ role: 'user', content }] }) });
}

const contents = (body) => body.split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)))
  .map((c) => c.choices[0]?.delta.content ?? '').join('');

test('it streams the scripted deltas, usage and the end', async () => {
  const body = await (await ask('mock:deltas=2')).text();
  assert.equal(contents(body), 'w0 w1 ');
  assert.match(body, /"total_tokens":13/);
  assert.ok(body.endsWith('data: [DONE]\n\n'));
});

test('splitting the body changes no byte of it', async () => {
  const [whole, split] = await Promise.all(['mock:deltas=2,text=ä€', 'mock:deltas=2,text=ä€,split=1']
    .map(async (m) => (await (await ask(m)).text()).replaceAll(/mock\d+/g, '')));
  assert.equal(split, whole);
});

test('it shows when its client left', async () => {
  const control = new AbortController();
  const reply = ask('bye mock:hang=1', control.signal);
  const call = await mock.waitCall('bye');
  await (await reply).body.getReader().read();
  control.abort();
  await call.left;
  assert.ok(call.leftAt > call.at);
});

test('it misbehaves as told', async () => {
  assert.equal((await ask('mock:status=429,retry_after=7')).headers.get('retry-after'), '7');
  await assert.rejects(ask('mock:fault=closed'));
  await assert.rejects(ask('mock:fault=nothttp'));
  await assert.rejects(async () => (await ask('mock:cut=1')).text());
  assert.match(await (await ask('mock:fault=html')).text(), /WiFi/);
  assert.doesNotMatch(await (await ask('mock:end=1')).text(), /DONE|finish_reason":"/);
});
