/*
 * Workers that die and servers that stop: what was accepted is in the store, the others go on, nothing claims
 * to be running for ever, and a stop finishes what runs.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { childrenOf, eventually, start, startParley, PARLEY, tempDir } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const DELAY = 30; /* ms between deltas */
const LEASE_MS = 6000;

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

test('kill -9 of a worker in the middle of 50 streams', async (t) => {
  const parley = await startParley({ mock, via: 'nginx', workers: 2, env: { DISCONNECT_GRACE_SECONDS: -1 } });
  t.after(() => parley.stop());
  const open = (count) => Promise.all(Array.from({ length: count }, (_, i) =>
    parley.stream('/api/chat/stream', { message: `crash ${i}: mock:deltas=80,delay=${DELAY}` })));
  const streams = await open(50);
  /* Which worker takes a connection is up to the kernel: ask on until each has some. */
  assert.ok(await eventually(async () => {
    const { json } = await parley.get('/status?json');
    if (json.workers.length === 2 && json.workers.every((worker) => worker.streams > 0)) return true;
    streams.push(...await open(1));
    return false;
  }), 'one worker takes all streams');
  await Promise.all(streams.map((stream) => stream.until((s) => s.deltas.length >= 25)));

  const before = parley.workerPids();
  assert.equal(before.length, 2);
  process.kill(before[0], 'SIGKILL');
  const killed = Date.now();
  assert.ok(await eventually(() => parley.workerPids().filter((pid) => pid !== before[0]).length === 2, 1000), 'no new worker within a second');
  const reply = await parley.post('/api/chat', { message: 'after mock:' });
  assert.equal(reply.status, 200, reply.text);

  await Promise.all(streams.map((stream) => stream.ended));
  const cut = streams.filter((stream) => stream.last === undefined);
  const whole = streams.filter((stream) => stream.last !== undefined);
  t.diagnostic(`${cut.length} streams cut, ${whole.length} went on`);
  assert.ok(cut.length > 0 && whole.length > 0, `${cut.length} cut`);
  for (const stream of whole) {
    assert.equal(stream.last.finish_reason, 'stop');
    assert.equal(stream.deltas.length > 25, true);
  }

  const questions = await parley.sql("SELECT count(*) AS n FROM messages WHERE role = 'user' AND content LIKE 'crash %'");
  assert.deepEqual(questions, [{ n: streams.length }]);
  const rows = new Map((await parley.sql("SELECT public_id, status, content FROM messages WHERE role = 'assistant'")).map((r) => [r.public_id, r]));
  const full = Array.from({ length: 80 }, (_, i) => `w${i} `).join('');
  for (const stream of streams) {
    const row = rows.get(stream.first.message_id);
    assert.ok(full.startsWith(row.content));
    if (stream.last) assert.equal(row.content, full);
    /* a checkpoint each 250 ms, and the time to write it */
    else assert.ok(row.content.split(' ').length >= stream.text.split(' ').length - 500 / DELAY, `${row.content.length} of ${stream.text.length} bytes`);
  }

  const running = async () => (await parley.sql("SELECT count(*) AS n FROM messages WHERE status = 'streaming'"))[0].n;
  assert.ok(await eventually(async () => await running() === 0, LEASE_MS + 6000 - (Date.now() - killed), 100), 'rows claim to be running');
  const ended = await parley.sql("SELECT status, count(*) AS n FROM messages WHERE role = 'assistant' GROUP BY status ORDER BY status");
  assert.deepEqual(ended, [{ status: 'complete', n: whole.length + 1 }, { status: 'interrupted', n: cut.length }]);
  assert.deepEqual(await parley.sql('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
});

test('a worker that dies again and again is restarted with back-off, and the others serve meanwhile', async (t) => {
  const parley = await startParley({ mock, via: 'nginx', workers: 2 });
  t.after(() => parley.stop());
  const [keep] = parley.workerPids();
  const seen = new Set([keep]);
  const until = Date.now() + 3000;
  let served = 0;
  while (Date.now() < until) {
    for (const pid of parley.workerPids().filter((p) => p !== keep)) {
      seen.add(pid);
      process.kill(pid, 'SIGKILL');
    }
    const reply = await parley.get('/api/health').catch(() => ({ status: 0 }));
    served += reply.status === 200 ? 1 : 0;
    await sleep(10);
  }
  t.diagnostic(`${seen.size - 1} workers killed in 3 s, ${served} requests served`);
  assert.ok(seen.size > 2 && seen.size <= 15, `${seen.size} processes`);
  assert.ok(served > 20, `${served} requests served`);
  assert.ok(await eventually(() => parley.workerPids().length === 2, 10000, 50), 'the second worker did not come back');
});

test('workers that cannot start at all end the program instead of spinning', async (t) => {
  const dir = tempDir(t);
  const child = start(PARLEY, ['serve', '--listen', `unix:${dir}/s`, '--workers', '2'],
    { cwd: dir, env: { DATABASE_URL: 'sqlite:/dev/null/parley.db', PARLEY_ENV: '/dev/null', PATH: process.env.PATH } });
  t.after(() => child.kill('SIGKILL'));
  const seen = new Set();
  const counting = setInterval(() => childrenOf(child.pid).forEach((pid) => seen.add(pid)), 5);
  const result = await Promise.race([child.exited, sleep(15000, 'still there', { ref: false })]);
  clearInterval(counting);
  assert.deepEqual(result, { code: 1, signal: null });
  assert.ok(seen.size <= 12, `${seen.size} workers were tried`);
  assert.match(child.output, /DATABASE_URL|database|store/i);
});

describe('SIGTERM', { concurrency: true }, () => {
  for (const via of ['nginx', 'fd0-spawn-fcgi']) {
    test(`finishes a running stream and exits 0 (${via})`, async () => {
      const parley = await startParley({ mock, via, workers: 2, env: { DRAIN_SECONDS: 10 } });
      try {
        const stream = await parley.stream('/api/chat/stream', { message: `drain ${via} mock:deltas=30,delay=40` });
        await stream.until((s) => s.deltas.length === 3);
        const stopped = parley.stopParley('SIGTERM');
        await stream.ended;
        assert.equal(stream.deltas.length, 30);
        assert.equal(stream.frames.at(-1).data, '[DONE]');
        assert.deepEqual(await stopped, { code: 0, signal: null });
        const rows = await parley.sql("SELECT status FROM messages WHERE role = 'assistant'");
        assert.deepEqual(rows, [{ status: 'complete' }]);
      } finally {
        await parley.stop();
      }
    });
  }

  test('cuts what still runs after DRAIN_SECONDS, with an error frame and the text so far kept', async () => {
    const parley = await startParley({ mock, via: 'nginx', workers: 1, env: { DRAIN_SECONDS: 1 } });
    try {
      const stream = await parley.stream('/api/chat/stream', { message: 'cut mock:deltas=1000,delay=40' });
      await stream.until((s) => s.deltas.length === 3);
      const begun = Date.now();
      await parley.stopParley('SIGTERM');
      assert.ok(Date.now() - begun < 5000);
      await stream.ended;
      assert.equal(stream.last?.code, 'interrupted', stream.raw.slice(-300));
      assert.equal(stream.frames.at(-1).data, '[DONE]');
      const [row] = await parley.sql("SELECT status, content FROM messages WHERE role = 'assistant'");
      assert.equal(row.status, 'interrupted');
      assert.equal(row.content, stream.text);
    } finally {
      await parley.stop();
    }
  });

  test('with nothing running ends at once, and the socket file is gone', async () => {
    const parley = await startParley({ mock, via: 'nginx', workers: 2 });
    const begun = Date.now();
    try {
      assert.deepEqual(await parley.stopParley(), { code: 0, signal: null });
      assert.ok(Date.now() - begun < 3000);
      assert.ok(!fs.existsSync(parley.socket));
    } finally {
      await parley.stop();
    }
  });

  test('a killed master leaves no workers behind', async () => {
    const parley = await startParley({ mock, via: 'nginx', workers: 2, env: { DRAIN_SECONDS: 1 } });
    const pids = parley.workerPids();
    await parley.stopParley('SIGKILL');
    const alive = () => pids.filter((pid) => { try { process.kill(pid, 0); return true; } catch { return false; } });
    assert.ok(await eventually(() => alive().length === 0, 5000, 50), `still there: ${alive()}`);
    await parley.stop().catch(() => {});
  });
});

test('a restart keeps conversations', async (t) => {
  const parley = await startParley({ mock, via: 'nginx', workers: 1 });
  t.after(() => parley.stop());
  const { json } = await parley.post('/api/chat', { message: 'remember mock:deltas=1' });
  await parley.stopParley();
  await parley.restart();
  const reply = await parley.post('/api/chat', { message: 'again-after mock:', conversation_id: json.conversation_id });
  assert.equal(reply.status, 200, reply.text);
  assert.equal(mock.calls('again-after')[0].messages.filter((m) => m.role !== 'system').length, 3);
});

test('more streams than MAX_STREAMS: 503 with Retry-After at once, short calls still answered', async (t) => {
  const parley = await startParley({ mock, via: 'nginx', workers: 1, env: { MAX_STREAMS: 5 } });
  t.after(() => parley.stop());
  const streams = await Promise.all(Array.from({ length: 5 }, () => parley.stream('/api/chat/stream', { message: 'full mock:deltas=60,delay=20' })));
  const begun = Date.now();
  const reply = await parley.post('/api/chat', { message: 'one-more mock:' });
  assert.equal(reply.status, 503, reply.text);
  assert.ok(Number(reply.headers['retry-after']) >= 1);
  assert.ok(Date.now() - begun < 1000);
  assert.equal(mock.calls('one-more').length, 0);
  assert.equal((await parley.get('/api/health')).status, 200);
  for (const stream of streams) assert.equal((await stream.ended).deltas.length > 0, true);
  assert.equal((await parley.post('/api/chat', { message: 'room mock:' })).status, 200);
});
