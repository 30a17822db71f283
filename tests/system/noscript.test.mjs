/*
 * A chat without JavaScript: the form of the page is posted, the answer comes as a page that grows, with a form to go
 * on. At the root, below a path, and as a plain CGI.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const FORM = 'application/x-www-form-urlencoded';
const instances = {};
let mock;
before(async () => {
  mock = await startMock();
  const env = { BRAND_NAME: 'Tom & Jerry' };
  [instances.root, instances.below, instances.cgi] = await Promise.all([
    startParley({ mock, via: 'lighttpd', workers: 1, env }),
    startParley({ mock, via: 'nginx', workers: 1, subPath: '/ai', env: { ...env, BASE_PATH: '/ai' } }),
    startParley({ mock, via: 'cgi', env }),
  ]);
});
after(async () => {
  await Promise.all(Object.values(instances).map((parley) => parley.stop()));
  await mock?.stop();
});

const post = (parley, fields, headers = {}) => parley.request('/chat', {
  method: 'POST', headers: { 'Content-Type': FORM, ...headers }, body: new URLSearchParams(fields).toString(),
});
const hidden = (html, name) => new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1];

for (const where of ['root', 'below', 'cgi']) {
  describe(where, () => {
    let parley;
    before(() => { parley = instances[where]; });

    test('a question gets a whole page: escaped question and answer, and a form to go on', async () => {
      const reply = await post(parley, { message: 'Is 1 < 2 & "so"? mock:deltas=2,text=<b>&' });
      assert.equal(reply.status, 200, reply.text);
      assert.match(reply.headers['content-type'], /^text\/html; ?charset=utf-8/i);
      assert.match(reply.text, /^<!doctype html>/i);
      assert.match(reply.text, /<\/html>\s*$/);
      assert.match(reply.text, /<h1>Tom &amp; Jerry<\/h1>/);
      assert.match(reply.text, /Is 1 &lt; 2 &amp; &quot;so&quot;\?/);
      assert.match(reply.text, /&lt;b&gt;&amp;/);
      assert.doesNotMatch(reply.text, /<b>|<script/);
      assert.match(reply.text, /<form action="chat" method="post">/);
      const css = /href="(assets\/plain-[^"]+\.css)"/.exec(reply.text)[1];
      assert.equal((await parley.get(`/${css}`)).status, 200);
    });

    test('the next question goes on in the same conversation and shows what was said', async () => {
      const first = await post(parley, { message: 'Remember the first mock:deltas=1' });
      const conversation = hidden(first.text, 'conversation_id');
      assert.ok(conversation);
      const second = await post(parley, { message: 'And the second mock:deltas=1', conversation_id: conversation,
        client_message_id: hidden(first.text, 'client_message_id') });
      assert.equal(hidden(second.text, 'conversation_id'), conversation);
      assert.match(second.text, /Remember the first[\s\S]*w0[\s\S]*And the second[\s\S]*w0/);
      assert.notEqual(hidden(second.text, 'client_message_id'), hidden(first.text, 'client_message_id'));
      const call = await mock.waitCall('And the second');
      assert.ok(call.messages.some((message) => message.content.includes('Remember the first')));
    });
  });
}

test('the page grows while the model writes', async () => {
  const parts = [];
  const body = new URLSearchParams({ message: 'Slowly mock:deltas=8,delay=100' }).toString();
  await new Promise((resolve, reject) => {
    const asked = http.request(`${instances.root.url}/chat`, { method: 'POST', agent: false,
      headers: { 'Content-Type': FORM, 'Content-Length': Buffer.byteLength(body) } }, (reply) => {
      reply.on('data', (part) => parts.push(String(part)));
      reply.on('end', resolve);
      reply.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
  const texts = parts.map((_, i) => parts.slice(0, i + 1).join(''));
  assert.ok(texts.some((text) => text.includes('w1') && !text.includes('w4')), `${parts.length} parts`);
});

test('the headers forbid script and keep the form at home', async () => {
  const { headers } = await post(instances.root, { message: 'x mock:deltas=1' });
  assert.match(headers['content-security-policy'], /default-src 'none'/);
  assert.doesNotMatch(headers['content-security-policy'], /script-src/);
  assert.match(headers['content-security-policy'], /form-action 'self'/);
  assert.equal(headers['referrer-policy'], 'same-origin');
  assert.equal(headers['x-content-type-options'], 'nosniff');
});

test('a page that is loaded again sends the form again and gets the same answer', async () => {
  const { text } = await post(instances.root, { message: 'Hello mock:deltas=1' });
  const fields = { message: 'Only once mock:deltas=2' };
  for (const name of ['conversation_id', 'client_message_id']) fields[name] = hidden(text, name);
  assert.match((await post(instances.root, fields)).text, /Hello[\s\S]*Only once[\s\S]*w0 w1/);
  assert.match((await post(instances.root, fields)).text, /Earlier messages are not shown[\s\S]*Only once[\s\S]*w0 w1/);
  assert.equal(mock.calls('Only once').length, 1);
});

test('what cannot be answered is a page that says why', async () => {
  const { root } = instances;
  const refusals = [
    [await post(root, { message: ' ' }), 400, /1 to 1000 characters/],
    [await post(root, { message: 'x'.repeat(1001) }), 400, /1 to 1000 characters/],
    [await post(root, { message: 'x', conversation_id: 'conv_unknown' }), 404, /conversation/],
    [await root.request('/chat', { method: 'POST', headers: { 'Content-Type': FORM }, body: 'message=%ff' }), 400, /message/],
    [await root.request('/chat', { method: 'POST', headers: { 'Content-Type': FORM }, body: 'message=%zz' }), 400, /message/],
    [await root.request('/chat', { method: 'POST', headers: { 'Content-Type': FORM }, body: '' }), 400, /1 to 1000/],
    [await root.request('/chat', { method: 'POST', json: { message: 'x' } }), 415, /form/],
    [await post(root, { message: 'x'.repeat(70000) }), 413, /./],
    [await post(root, { message: 'x mock:status=401' }), 502, /./],
    [await post(root, { message: 'x' }, { Origin: 'https://evil.example' }), 403, /evil\.example/],
  ];
  for (const [reply, status, words] of refusals) {
    assert.equal(reply.status, status, reply.text);
    assert.match(reply.headers['content-type'], /^text\/html/);
    assert.match(reply.text, /<p class="error"/);
    assert.match(reply.text, words);
    assert.match(reply.text, /<\/html>/);
  }
});

test('the limits of a visitor count here too, and refuse with a page', async (t) => {
  const parley = await startParley({ mock, workers: 1, env: { RATELIMIT_PER_MINUTE: '1' } });
  t.after(() => parley.stop());
  const first = await post(parley, { message: 'One mock:deltas=1' });
  assert.equal(first.status, 200);
  assert.ok(first.headers['ratelimit-limit']);
  const headers = { Cookie: first.headers['set-cookie'][0].split(';')[0] };
  // The first send of a newcomer counts for his address only.
  assert.equal((await post(parley, { message: 'Two mock:deltas=1' }, headers)).status, 200);
  const over = await post(parley, { message: 'Three mock:deltas=1' }, headers);
  assert.equal(over.status, 429);
  assert.ok(Number(over.headers['retry-after']) > 0);
  assert.match(over.headers['content-type'], /^text\/html/);
  assert.match(over.text, /<p class="error"/);
});

test('a failure in the middle keeps the text, says so, and offers to go on', async () => {
  const reply = await post(instances.root, { message: 'x mock:deltas=5,cut=2' });
  assert.match(reply.text, /w0 w1[\s\S]*<p class="error"[\s\S]*<form/);
  assert.ok(hidden(reply.text, 'conversation_id'));
});
