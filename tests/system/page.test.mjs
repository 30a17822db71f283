/*
 * The chat page comes from the binary: types, ETag, gzip, relative addresses; the same at / and below a path.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';

import { startParley } from './harness.mjs';

const instances = {};
before(async () => {
  [instances.root, instances.below] = await Promise.all([
    startParley({ via: 'lighttpd', workers: 1 }),
    startParley({ via: 'nginx', workers: 1, subPath: '/chat', env: { BASE_PATH: '/chat' } }),
  ]);
});
after(async () => { await Promise.all(Object.values(instances).map((parley) => parley.stop())); });

for (const where of ['root', 'below']) {
  describe(where === 'root' ? 'at /' : 'below /chat', () => {
    let parley;
    before(() => { parley = instances[where]; });

    test('the page and everything it names are there, by relative addresses', async () => {
      const page = await parley.get('/');
      assert.equal(page.status, 200);
      assert.match(page.headers['content-type'], /^text\/html; ?charset=utf-8/i);
      assert.match(page.text, /^<!doctype html>/i);
      assert.match(page.text, /viewport/);
      const names = [...page.text.matchAll(/\b(?:src|href)="([^"#]+)"/g)].map(([, name]) => name).filter((name) => !name.startsWith('data:'));
      for (const name of names) {
        assert.doesNotMatch(name, /^(\/|https?:)/, `${name} is not relative`);
        const part = await parley.get(`/${name}`);
        assert.equal(part.status, 200, name);
      }
    });

    test('it may be cached: ETag, 304, HEAD', async () => {
      const page = await parley.get('/');
      const { etag } = page.headers;
      assert.match(etag, /^(W\/)?"[^"]+"$/);
      const again = await parley.request('/', { headers: { 'If-None-Match': etag } });
      assert.equal(again.status, 304);
      assert.equal(again.body.length, 0);
      assert.equal(again.headers.etag, etag);
      assert.equal((await parley.request('/', { headers: { 'If-None-Match': '"other"' } })).status, 200);
      assert.equal((await parley.request('/', { headers: { 'If-None-Match': `"x", W/${etag.replace(/^W\//, '')}` } })).status, 304);
      const head = await parley.request('/', { method: 'HEAD' });
      assert.equal(head.status, 200);
      assert.equal(head.headers.etag, etag);
    });

    test('it is sent as gzip where that is accepted', async () => {
      const plain = await parley.get('/');
      const packed = await parley.request('/', { headers: { 'Accept-Encoding': 'gzip, br' } });
      assert.equal(plain.headers['content-encoding'], undefined);
      assert.equal(packed.headers['content-encoding'], 'gzip');
      assert.match(packed.headers.vary, /Accept-Encoding/i);
      assert.equal(zlib.gunzipSync(packed.body).toString(), plain.text);
      const refused = await parley.request('/', { headers: { 'Accept-Encoding': 'gzip;q=0' } });
      assert.equal(refused.headers['content-encoding'], undefined);
    });

    test('it has the headers of a page', async () => {
      const { headers } = await parley.get('/');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.match(headers['content-security-policy'], /default-src|script-src/);
      assert.doesNotMatch(headers['content-security-policy'], /unsafe-eval/);
    });

    test('the demo answers in the page\'s way of asking, and says that it is the demo', async () => {
      const stream = await parley.stream('/api/chat/stream', { message: 'Hello' });
      await stream.ended;
      assert.equal(stream.last.provider, 'demo');
      assert.match(stream.text, /demo/i);
      assert.match(stream.text, /OPENAI_API_KEY/);
      const again = await (await parley.stream('/api/chat/stream', { message: 'Hello' })).ended;
      assert.equal(again.text, stream.text);
    });
  });
}
