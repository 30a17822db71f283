/*
 * Deltas arrive one by one, as the provider sends them, through every way of attaching that streams. What is
 * measured is arrival times, not the final text: each delta carries the time at which it left the mock.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { median, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const FRONTS = ['lighttpd', 'nginx'];
const SLOW = process.env.ASAN_OPTIONS || process.env.PARLEY_TEST_SLOW ? 10 : 1; /* sanitizers, busy machines */
const NS_PER_MS = 1e6;

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: FRONTS, env: { HEARTBEAT_SECONDS: 1 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

/* Milliseconds between leaving the mock and reaching the client, for each delta. */
function lateness(stream) {
  return stream.deltas.flatMap((frame) => [...frame.json.content.matchAll(/\[(\d+)\]/g)]
    .map(([, sent]) => Number(frame.at - BigInt(sent)) / NS_PER_MS));
}

for (const front of FRONTS) {
  describe(`through ${front}`, () => {
    let at;
    before(() => { at = parley.through(front); });

    test('each delta comes on its own, when it was sent', async () => {
      const stream = await at.stream('/api/chat/stream', { message: 'mock:deltas=8,delay=60,stamp=1' });
      await stream.ended;
      assert.equal(stream.deltas.length, 8, stream.raw);
      const late = lateness(stream);
      assert.equal(late.length, 8);
      assert.ok(median(late) < 20 * SLOW, `lateness ${late}`);
      assert.ok(Math.max(...late) < 300 * SLOW, `lateness ${late}`);
      const gaps = stream.deltas.slice(1).map((frame, i) => Number(frame.at - stream.deltas[i].at) / NS_PER_MS);
      assert.ok(median(gaps) > 40, `gaps ${gaps}`);
    });

    test('the first delta is there within 20 ms of leaving the provider', async () => {
      const first = [];
      for (let i = 0; i < 9; i++) {
        const stream = await at.stream('/api/chat/stream', { message: 'mock:deltas=2,first=30,delay=30,stamp=1' });
        await stream.ended;
        first.push(lateness(stream)[0]);
      }
      assert.ok(median(first) < 20 * SLOW, `milliseconds: ${first}`);
    });

    test('the provider\'s frames may be split anywhere', async () => {
      const texts = await Promise.all([1, 3, 7].map(async (split) => {
        const stream = await at.stream('/api/chat/stream', { message: `mock:deltas=4,text=<ä€😀>,split=${split},crlf=${split % 2},comments=1` });
        return (await stream.ended).text;
      }));
      assert.deepEqual(texts, Array(3).fill('<ä€😀>'.repeat(4)));
    });

    test('a large answer comes whole', async () => {
      const stream = await at.stream('/api/chat/stream', { message: 'mock:deltas=200,size=5000' });
      await stream.ended;
      assert.equal(stream.text.length, 1000000);
      assert.equal(stream.closed, 'end');
      const [row] = await parley.sql(`SELECT length(content) AS n, status FROM messages WHERE public_id = '${stream.last.message_id}'`);
      assert.deepEqual(row, { n: 1000000, status: 'complete' });
    });

    test('a client that does not read delays nobody else and gets everything in the end', async () => {
      const slow = await at.stream('/api/chat/stream', { message: 'mock:deltas=300,size=10000' });
      slow.req.res.pause();
      const quick = await at.stream('/api/chat/stream', { message: 'mock:deltas=8,delay=20,stamp=1' });
      await quick.ended;
      assert.ok(median(lateness(quick)) < 40 * SLOW, `lateness ${lateness(quick)}`);
      slow.req.res.resume();
      await slow.ended;
      assert.equal(slow.text.length, 3000000);
    });
  });
}

for (const front of FRONTS) {
  describe(`while the provider is silent, through ${front}`, { concurrency: true }, () => {
    let at;
    before(() => { at = parley.through(front); });

    test('the head and the first frame come after a second when the provider is silent', async () => {
      const sent = process.hrtime.bigint();
      const stream = await at.stream('/api/chat/stream', { message: 'mock:first=1800,deltas=1' });
      const head = Number(stream.headAt - sent) / NS_PER_MS;
      assert.ok(head > 800 && head < 1600 * SLOW, `head after ${head} ms`);
      await stream.until((s) => s.frames.length === 1, 500 * SLOW);
      assert.equal(stream.first.done, false);
      await stream.ended;
      assert.equal(stream.text, 'w0 ');
    });

    test('silence is filled with comments, before the first delta and between deltas', async () => {
      const stream = await at.stream('/api/chat/stream', { message: 'mock:first=2600,deltas=2,delay=2400' });
      await stream.until((s) => s.deltas.length === 1);
      assert.ok(stream.comments.length >= 1, stream.raw);
      const before = stream.comments.length;
      await stream.ended;
      assert.ok(stream.comments.length > before, stream.raw);
      assert.ok(stream.comments.every((frame) => frame.raw === ': ping'), stream.raw);
      assert.equal(stream.text, 'w0 w1 ');
    });
  });
}
