/*
 * A client that hangs up is noticed within a second while the provider is silent: the mock sees its
 * connection closed, the log says so, the row is ended with the text so far. With a grace period the answer
 * goes on.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const FRONTS = ['lighttpd', 'nginx'];
const MS = 1000000n;

let mock;
const instances = {};
before(async () => {
  mock = await startMock();
  const start = (grace) => startParley({ mock, via: FRONTS, workers: 1, env: { DISCONNECT_GRACE_SECONDS: grace } });
  [instances.none, instances.short, instances.finish] = await Promise.all([0, 1, -1].map(start));
});
after(async () => {
  await Promise.all(Object.values(instances).map((parley) => parley.stop()));
  await mock?.stop();
});

const rowOf = async (parley, id) => (await parley.sql(`SELECT status, content FROM messages WHERE public_id = '${id}'`))[0];
const leftWithin = (call, ms) => Promise.race([call.left, new Promise((resolve) => { setTimeout(resolve, ms, null).unref(); })]);

describe('a client that hangs up', { concurrency: 2 }, () => {
  test('the answer goes on for whoever follows or polls it in another process, and is stopped when he leaves too', async (t) => {
    const elsewhere = await startParley({ mock, via: 'nginx', workers: 1, env: { DATABASE_URL: `sqlite:${instances.short.db}` } });
    t.after(() => elsewhere.stop());
    const begin = async (name) => {
      const stream = await instances.short.stream('/api/chat/stream', { message: `${name} mock:deltas=1000,delay=20` });
      await stream.until((s) => s.deltas.length === 2);
      return { stream, call: mock.calls(name)[0], id: stream.first.message_id };
    };
    const [followed, polled] = await Promise.all(['followed', 'polled'].map(begin));
    const follower = await elsewhere.stream(`/api/chat/stream/${followed.id}`, undefined, { method: 'GET' });
    let polls = true;
    const poller = eventually(async () => { await elsewhere.get(`/api/messages/${polled.id}`); return !polls; }, 20000, 200);
    followed.stream.abort();
    polled.stream.abort();
    const left = [followed, polled].map(({ call }) => leftWithin(call, 2500));
    assert.deepEqual(await Promise.all(left), [null, null], 'it was stopped under the eyes of a reader');
    follower.abort();
    polls = false;
    await poller;
    for (const { call, id } of [followed, polled]) {
      assert.ok(await leftWithin(call, 6000), 'it goes on without anybody');
      assert.ok(await eventually(async () => (await rowOf(instances.short, id)).status === 'stopped'));
    }
  });

  for (const front of FRONTS) {
    describe(`through ${front}`, { concurrency: true }, () => {
      test('without grace: in the middle of the answer', async () => {
        const parley = instances.none.through(front);
        const stream = await parley.stream('/api/chat/stream', { message: `middle ${front} mock:deltas=3,hang=1` });
        await stream.until((s) => s.deltas.length === 1);
        const gone = process.hrtime.bigint();
        stream.abort();
        const [call] = mock.calls(`middle ${front}`);
        assert.ok(await leftWithin(call, 3000), 'the provider still holds its connection');
        assert.ok(call.leftAt - gone < 1000n * MS, `after ${(call.leftAt - gone) / MS} ms`);
        const line = await instances.none.waitLog((l) => l.event === 'request' && l.request_id === stream.headers['x-request-id']);
        assert.match(JSON.stringify(line), /gone|hang|left/);
        assert.ok(await eventually(async () => (await rowOf(parley, stream.first.message_id)).status === 'stopped'));
        assert.equal((await rowOf(parley, stream.first.message_id)).content, 'w0 ');
      });

      test('without grace: before the first delta, and while waiting for JSON', async () => {
        const parley = instances.none.through(front);
        const call = async (name, begin) => {
          const control = begin(`${name} ${front} mock:hang=first`);
          const asked = await mock.waitCall(`${name} ${front}`);
          const gone = process.hrtime.bigint();
          control();
          assert.ok(await leftWithin(asked, 3000), `${name}: the provider still holds its connection`);
          assert.ok(asked.leftAt - gone < 1000n * MS, `${name}: after ${(asked.leftAt - gone) / MS} ms`);
        };
        for (const where of ['/api/chat/stream', '/api/chat']) {
          await call(where, (message) => abortable(parley, where, message));
        }
      });
    });

    describe(`with a grace period, through ${front}`, { concurrency: true }, () => {
      test('of a second: the answer goes on, then it is stopped', async () => {
        const parley = instances.short.through(front);
        const stream = await parley.stream('/api/chat/stream', { message: `grace ${front} mock:deltas=100,delay=50` });
        await stream.until((s) => s.deltas.length === 2);
        const gone = process.hrtime.bigint();
        stream.abort();
        const [call] = mock.calls(`grace ${front}`);
        assert.ok(await leftWithin(call, 4000));
        const took = Number((call.leftAt - gone) / MS);
        assert.ok(took > 700 && took < 2500, `${took} ms`);
        const { message_id: id } = stream.first;
        assert.ok(await eventually(async () => (await rowOf(parley, id)).status === 'stopped'));
        const { content } = await rowOf(parley, id);
        assert.ok(call.text.startsWith(content) && content.length > stream.text.length, content);
      });

      test('without end: the answer is finished for whoever comes back', async () => {
        const parley = instances.finish.through(front);
        const stream = await parley.stream('/api/chat/stream', { message: `finish ${front} mock:deltas=20,delay=50` });
        await stream.until((s) => s.deltas.length === 2);
        stream.abort();
        const { message_id: id } = stream.first;
        assert.ok(await eventually(async () => (await rowOf(parley, id)).status === 'complete'));
        assert.equal((await rowOf(parley, id)).content, mock.calls(`finish ${front}`)[0].text);
      });
    });
  }
});

/* Begin a POST whose reply is not waited for; returns what hangs up. */
function abortable(parley, where, message) {
  const control = new AbortController();
  fetch(parley.url + where, { method: 'POST', signal: control.signal, headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ message }) }).catch(() => {});
  return () => control.abort();
}
