/*
 * Answers that cannot be lost: resume from any worker, poll, stop from anywhere, sends that are repeated,
 * answers made by a detached process under plain CGI, and a store in trouble.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { eventually, PARLEY, parleyCommand, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const words = (n) => Array.from({ length: n }, (_, i) => `w${i} `).join('');
const WORKERS = 4; /* so that a second request most likely meets another worker */

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: ['nginx', 'lighttpd'], workers: WORKERS, env: { DISCONNECT_GRACE_SECONDS: -1 } });
});
after(async () => { await parley?.stop(); await mock?.stop(); });

const rowOf = async (instance, id) => (await instance.sql(`SELECT status, content, finish FROM messages WHERE public_id = '${id}'`))[0];
const resume = (id, after = 0, headers = {}) => parley.stream(`/api/chat/stream/${id}?after=${after}`, undefined, { method: 'GET', headers });

async function poll(instance, id, after = 0, wait = 10) {
  const { status, json, text } = await instance.get(`/api/messages/${id}?after=${after}&wait=${wait}`);
  assert.equal(status, 200, text);
  return json;
}

/* The whole answer by long-poll. */
async function pollAll(instance, id) {
  let text = '', last;
  for (let rounds = 0; rounds < 500; rounds++) {
    last = await poll(instance, id, Buffer.byteLength(text));
    text += last.content;
    assert.equal(last.next, Buffer.byteLength(text));
    if (last.done) return { text, last };
  }
  throw new Error('the answer did not end');
}

describe('resume', { concurrency: true }, () => {
  test('ten readers at different offsets get the rest while it runs, whichever worker they meet', async () => {
    const stream = await parley.stream('/api/chat/stream', { message: 'resume many mock:deltas=60,delay=20' });
    await stream.until((s) => s.deltas.length >= 10);
    const id = stream.first.message_id;
    const offsets = Array.from({ length: 10 }, (_, i) => i * 3);
    const readers = await Promise.all(offsets.map((offset) => resume(id, offset)));
    await Promise.all([stream, ...readers].map((reader) => reader.ended));
    assert.equal(stream.text, words(60));
    readers.forEach((reader, i) => {
      assert.equal(reader.text, words(60).slice(offsets[i]));
      assert.equal(reader.last.finish_reason, 'stop');
      assert.ok(reader.raw.endsWith('data: [DONE]\n\n'));
    });
  });

  test('Last-Event-ID wins over ?after=, and frames carry the offset behind them', async () => {
    const stream = await parley.stream('/api/chat/stream', { message: 'last id mock:deltas=5,text=ä€😀' });
    await stream.ended;
    const id = stream.first.message_id;
    const seen = stream.frames.filter((frame) => frame.json?.content).map((frame) => frame.id);
    assert.equal(seen[0], `${id}:${Buffer.byteLength('ä€😀')}`);
    const again = await resume(id, 0, { 'Last-Event-ID': seen[2] });
    await again.ended;
    assert.equal(again.text, 'ä€😀'.repeat(2));
    const foreign = await resume(id, 0, { 'Last-Event-ID': 'msg_other:5' });
    await foreign.ended;
    assert.equal(foreign.text, 'ä€😀'.repeat(5));
  });

  test('a client that left in the middle comes back and has every character once', async () => {
    const stream = await parley.stream('/api/chat/stream', { message: 'comes back mock:deltas=40,delay=20' });
    await stream.until((s) => s.deltas.length >= 8);
    const had = stream.text;
    stream.abort();
    const again = await resume(stream.first.message_id, Buffer.byteLength(had));
    await again.ended;
    assert.equal(had + again.text, words(40));
  });

  test('unknown ids and odd offsets', async () => {
    assert.equal((await parley.get('/api/chat/stream/msg_unknown')).status, 404);
    assert.equal((await parley.get('/api/messages/msg_unknown')).json.code, 'unknown_message');
    const { json } = await parley.post('/api/chat', { message: 'odd mock:deltas=2' });
    assert.equal((await parley.get(`/api/messages/${json.message_id}?after=-1`)).json.field, 'after');
    assert.equal((await parley.get(`/api/messages/${json.message_id}?wait=26`)).json.field, 'wait');
    const beyond = await poll(parley, json.message_id, 1000, 0);
    assert.deepEqual([beyond.content, beyond.done, beyond.next], ['', true, 1000]);
  });

  test('an offset inside a character that is still to come begins behind it', async () => {
    const { json: { message_id: id } } = await parley.post('/api/chat', { message: 'not yet mock:step=2,deltas=2,text=ä😀', deliver: 'poll' });
    const polled = poll(parley, id, 1, 10);
    const reader = await resume(id, 1);
    (await mock.waitCall('not yet')).step(2);
    await reader.ended;
    assert.equal(reader.text, '😀ä😀');
    assert.ok('😀ä😀'.startsWith((await polled).content) && (await polled).content !== '');
  });
});

describe('poll', { concurrency: true }, () => {
  test('deliver:"poll" answers 202 at once and the answer is fetched piece by piece', async () => {
    const begun = Date.now();
    const { status, json } = await parley.post('/api/chat', { message: 'poll me mock:deltas=30,delay=20,first=300', deliver: 'poll' });
    assert.equal(status, 202);
    assert.equal(json.status, 'accepted');
    assert.ok(Date.now() - begun < 300, 'it waited for the model');
    const { text, last } = await pollAll(parley, json.message_id);
    assert.equal(text, words(30));
    assert.equal(last.status, 'complete');
    assert.equal((await rowOf(parley, json.message_id)).content, words(30));
  });

  test('a failure is told to whoever polls', async () => {
    const { json } = await parley.post('/api/chat', { message: 'poll fails mock:status=500', deliver: 'poll' });
    const { last } = await pollAll(parley, json.message_id);
    assert.equal(last.status, 'failed');
    assert.match(last.code, /^provider_/);
  });

  test('any other deliver is refused', async () => {
    const { status, json } = await parley.post('/api/chat', { message: 'x', deliver: 'pigeon' });
    assert.deepEqual([status, json.field], [400, 'deliver']);
  });
});

describe('stop', { concurrency: true }, () => {
  for (const where of ['in the middle', 'while the provider is silent']) {
    test(`from any worker, ${where}: closed within 500 ms, the text so far kept, every reader told`, async () => {
      const script = where === 'in the middle' ? 'deltas=500,delay=20' : 'deltas=3,hang=2';
      for (let i = 0; i < WORKERS; i++) {
        const question = `stop ${where} ${i} mock:${script}`;
        const stream = await parley.stream('/api/chat/stream', { message: question });
        await stream.until((s) => s.deltas.length >= 2);
        const id = stream.first.message_id;
        const second = await resume(id);
        await second.until((s) => s.deltas.length >= 1);
        const [call] = mock.calls(`stop ${where} ${i}`);
        const asked = process.hrtime.bigint();
        const { status, json } = await parley.post('/api/chat/stop', { message_id: id });
        assert.equal(status, 200);
        assert.equal(typeof json.content_length, 'number');
        await Promise.race([call.left, new Promise((resolve, reject) => { setTimeout(reject, 5000, new Error('still connected')).unref(); })]);
        assert.ok(call.leftAt - asked < 500_000_000n, `after ${(call.leftAt - asked) / 1_000_000n} ms`);
        await Promise.all([stream.ended, second.ended]);
        assert.equal(stream.last.finish_reason, 'stopped');
        assert.equal(second.last.finish_reason, 'stopped');
        const row = await rowOf(parley, id);
        assert.equal(row.status, 'stopped');
        assert.equal(row.content, stream.text);
        assert.ok(stream.text.startsWith(second.text) && words(500).startsWith(row.content));
        assert.deepEqual((await parley.post('/api/chat/stop', { message_id: id })).json, { status: 'stopped', content_length: row.content.length });
      }
    });
  }

  test('of an unknown message: 404', async () => {
    assert.equal((await parley.post('/api/chat/stop', { message_id: 'msg_unknown' })).json.code, 'unknown_message');
  });
});

test('a send that is repeated with its client_message_id joins the answer; the provider is asked once', async () => {
  const { json: begun } = await parley.post('/api/chat', { message: 'first mock:' });
  const send = { message: 'again and again mock:deltas=30,delay=20', conversation_id: begun.conversation_id, client_message_id: 'retry-1' };
  const streams = await Promise.all(Array.from({ length: 8 }, () => parley.stream('/api/chat/stream', send)));
  await Promise.all(streams.map((stream) => stream.ended));
  const late = await parley.post('/api/chat', send);
  assert.equal(new Set([...streams.map((s) => s.first.message_id), late.json.message_id]).size, 1);
  for (const stream of streams) assert.equal(stream.text, words(30));
  assert.equal(late.json.response, words(30));
  assert.equal(mock.calls('again and again').length, 1);
});

test('drain: what is not done by DRAIN_SECONDS ends as interrupted, with a frame that says so', async (t) => {
  const own = await startParley({ mock, via: 'nginx', workers: 1, env: { DRAIN_SECONDS: 1 } });
  t.after(() => own.stop());
  const stream = await own.stream('/api/chat/stream', { message: 'drain me mock:deltas=1000,delay=20' });
  await stream.until((s) => s.deltas.length >= 3);
  await own.stopParley();
  await stream.ended;
  assert.equal(stream.frames.find((frame) => frame.json?.error).json.code, 'interrupted');
  const row = await rowOf(own, stream.first.message_id);
  assert.equal(row.status, 'interrupted');
  assert.equal(row.content, stream.text);
  await own.restart();
  const again = await poll(own, stream.first.message_id, 0, 0);
  assert.deepEqual([again.status, again.content, again.done], ['interrupted', stream.text, true]);
});

test('drain: who follows an answer of another process is let go, so that he comes back to it elsewhere', async (t) => {
  const own = await startParley({ mock, via: 'nginx', workers: 1, env: { DATABASE_URL: `sqlite:${parley.db}`, DRAIN_SECONDS: 1 } });
  t.after(() => own.stop());
  const stream = await parley.stream('/api/chat/stream', { message: 'goes on elsewhere mock:step=1,deltas=2' });
  await stream.until((s) => s.deltas.length === 1);
  const { message_id: id } = stream.first;
  const follower = await own.stream(`/api/chat/stream/${id}`, undefined, { method: 'GET' });
  await follower.until((s) => s.deltas.length === 1);
  const waiting = poll(own, id, 3, 25);
  await own.get('/api/health');
  assert.deepEqual(await own.stopParley(), { code: 0, signal: null });
  await follower.ended;
  assert.deepEqual([follower.closed, follower.text, follower.last], ['end', 'w0 ', undefined]);
  assert.deepEqual([(await waiting).status, (await waiting).done], ['streaming', false]);
  mock.calls('goes on elsewhere')[0].step();
  await stream.ended;
  assert.equal(stream.last.finish_reason, 'stop');
});

test('plain CGI: deliver:"poll" is answered at once, and a process of its own makes the answer', async (t) => {
  const cgi = await startParley({ mock, via: 'cgi', env: { RESPONSE_CACHE_TTL: 60 } });
  t.after(() => cgi.stop());
  const { status, json, text } = await cgi.post('/api/chat', { message: 'detached mock:deltas=30,delay=40', deliver: 'poll' });
  assert.equal(status, 202, text);
  const early = await poll(cgi, json.message_id, 0, 0);
  assert.equal(early.done, false);
  const whole = await pollAll(cgi, json.message_id);
  assert.equal(whole.text, words(30));
  assert.equal(whole.last.status, 'complete');
  assert.equal(mock.calls('detached').length, 1);

  const same = await cgi.post('/api/chat', { message: 'detached mock:deltas=30,delay=40', deliver: 'poll' });
  assert.deepEqual([same.status, same.headers['x-cache']], [202, 'hit']);
  assert.equal((await pollAll(cgi, same.json.message_id)).text, words(30));
  assert.equal(mock.calls('detached').length, 1, 'what a detached answer brought was not kept');
  const anew = await cgi.post(`/api/conversations/${json.conversation_id}/regenerate`, { deliver: 'poll' });
  assert.equal(anew.status, 202, anew.text);
  assert.equal((await pollAll(cgi, anew.json.message_id)).last.status, 'complete');
  assert.equal(mock.calls('detached').length, 2, 'an answer anew came from the cache');

  const long = await cgi.post('/api/chat', { message: 'cut short mock:deltas=500,delay=20', deliver: 'poll' });
  await eventually(async () => (await poll(cgi, long.json.message_id, 0, 1)).content.length > 10);
  await cgi.post('/api/chat/stop', { message_id: long.json.message_id });
  const { text: before } = await pollAll(cgi, long.json.message_id);
  mock.script((call) => (String(call.question).startsWith('Your last answer was cut off') ? { deltas: 2 } : undefined));
  const on = await cgi.post(`/api/messages/${long.json.message_id}/continue`, { deliver: 'poll' });
  assert.equal(on.status, 202, on.text);
  assert.equal((await pollAll(cgi, on.json.message_id)).last.status, 'complete');
  const { messages } = mock.requests.at(-1);
  assert.deepEqual(messages.slice(-2).map((m) => m.role), ['assistant', 'user']);
  assert.equal(messages.at(-2).content, before);
  const exported = await cgi.get(`/api/conversations/${long.json.conversation_id}/export?format=markdown`);
  assert.ok(exported.text.endsWith(`\n${before}w0 w1 \n`), `a continued answer is one text: ${exported.text}`);
});

describe('a store in trouble', () => {
  test('a full disk: reads go on, new turns get 503 before the provider is called, and it recovers by itself', async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-full-'));
    let own;
    t.after(async () => {
      await own?.stop();
      spawnSync('umount', [dir]);
      fs.rmdirSync(dir);
    });
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', dir]).status !== 0) {
      t.diagnostic('no tmpfs can be mounted here; store_full is covered by the unit tests');
      return;
    }
    own = await startParley({ mock, via: 'nginx', workers: 2, env: { DATABASE_URL: `sqlite:${dir}/full.db` } });
    own.db = `${dir}/full.db`;
    const first = await own.post('/api/chat', { message: 'before it is full mock:' });
    assert.equal(first.status, 200, first.text);
    const running = await own.stream('/api/chat/stream', { message: 'runs into it mock:deltas=60,delay=30,size=2000' });
    await running.until((s) => s.deltas.length >= 2);
    const unstopped = await own.stream('/api/chat/stream', { message: 'stopped while it is full mock:deltas=3,hang=2' });
    await unstopped.until((s) => s.deltas.length === 2);
    const filler = path.join(dir, 'filler');
    assert.throws(() => fs.writeFileSync(filler, Buffer.alloc(4 << 20)));
    let refused;
    await eventually(async () => { refused = await own.post('/api/chat', { message: 'while it is full mock:' }); return refused.status === 503; }, 5000, 20);
    assert.equal(refused.status, 503, refused.text);
    assert.match(refused.json.code, /^store_/);
    const seen = mock.calls('while it is full').length;
    assert.equal((await own.post('/api/chat', { message: 'while it is full mock:' })).status, 503);
    assert.equal(mock.calls('while it is full').length, seen, 'the provider was called');
    assert.equal((await poll(own, first.json.message_id, 0, 0)).content, first.json.response);
    assert.equal((await own.get('/api/health')).status, 503);
    const stop = async () => (await own.post('/api/chat/stop', { message_id: unstopped.first.message_id })).status === 200;
    assert.ok(await eventually(stop), 'it could not be stopped by its own worker either');
    await unstopped.ended;
    await running.ended;
    assert.equal(running.text.length, 60 * 2000, 'the reader of a running answer lost text');
    fs.rmSync(filler);
    assert.ok(await eventually(async () => (await own.post('/api/chat', { message: 'room again mock:' })).status === 200, 10000, 50));
    assert.ok(await eventually(async () => {
      const [row] = await own.sql(`SELECT status, length(content) AS n FROM messages WHERE public_id = '${running.first.message_id}'`);
      return row.status === 'complete' && row.n === 60 * 2000 && (await rowOf(own, unstopped.first.message_id)).status === 'stopped';
    }, 20000, 100), 'the answer was not saved when there was room again');
    const { stdout } = await parleyCommand(['status', '--json', String(own.pid)], { env: own.environment(), cwd: own.dir });
    assert.deepEqual(JSON.parse(stdout).counters.unsaved_answers, [{ provider: 'openai', outcome: 'late', value: 2 }]);
  });

  test('a read-only file system: a clear error before the provider is called', async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-ro-'));
    let own;
    t.after(async () => {
      await own?.stop();
      spawnSync('umount', [dir]);
      fs.rmdirSync(dir);
    });
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', dir]).status !== 0) {
      t.diagnostic('no tmpfs can be mounted here');
      return;
    }
    own = await startParley({ mock, via: 'cgi', env: { DATABASE_URL: `sqlite:${dir}/ro.db` } });
    assert.equal((await own.post('/api/chat', { message: 'while it can be written mock:' })).status, 200);
    await eventually(() => spawnSync('mount', ['-o', 'remount,ro', dir]).status === 0);
    const { status, json, text } = await own.post('/api/chat', { message: 'while it is read-only mock:' });
    assert.equal(status, 503, text);
    assert.match(json.code, /^(store_|cannot_start)/);
    assert.equal(mock.calls('while it is read-only').length, 0);
    assert.ok(await eventually(() => spawnSync('mount', ['-o', 'remount,rw', dir]).status === 0));
    assert.equal((await own.post('/api/chat', { message: 'writable again mock:' })).status, 200);
  });

  test('a database file that vanished: a clear error before the provider is called, and a restored one is used', async (t) => {
    const own = await startParley({ mock, via: 'nginx', workers: 2 });
    t.after(() => own.stop());
    assert.equal((await own.post('/api/chat', { message: 'there mock:' })).status, 200);
    const backup = path.join(own.dir, 'copy.db');
    execFileSync(PARLEY, ['backup', backup], { env: { ...process.env, DATABASE_URL: `sqlite:${own.db}`, PARLEY_ENV: '/dev/null' } });
    for (const suffix of ['', '-wal', '-shm']) fs.rmSync(own.db + suffix, { force: true });
    for (let i = 0; i < 4; i++) {
      const { status, json } = await own.post('/api/chat', { message: 'vanished mock:' });
      assert.equal(status, 503);
      assert.match(json.code, /^store_/);
    }
    assert.equal(mock.calls('vanished').length, 0);
    fs.copyFileSync(backup, own.db);
    const { status, text } = await own.post('/api/chat', { message: 'restored mock:' });
    assert.equal(status, 200, text);
    assert.equal((await own.sql("SELECT count(*) AS n FROM messages WHERE content LIKE 'there %'"))[0].n, 1);
  });

  test('an answer that a process takes along when it ends is told of in the log', async (t) => {
    const cgi = await startParley({ mock, via: 'cgi' });
    t.after(() => cgi.stop());
    const stream = await cgi.stream('/api/chat/stream', { message: 'taken along mock:step=1,deltas=2' });
    await stream.until((s) => s.deltas.length === 1);
    for (const suffix of ['', '-wal', '-shm']) fs.rmSync(cgi.db + suffix, { force: true });
    mock.calls('taken along')[0].step();
    await stream.ended;
    assert.deepEqual([stream.text, stream.last.code], ['w0 w1 ', 'not_stored']);
    assert.equal((await cgi.waitLog('answer_lost')).message_id, stream.first.message_id);
  });

  test('check-db finds a damaged page; a backup is for its owner alone, never overwrites, and is not made of nothing', async (t) => {
    const own = await startParley({ mock, via: 'nginx', workers: 1 });
    t.after(() => own.stop());
    for (let i = 0; i < 5; i++) await own.post('/api/chat', { message: `fill ${i} mock:size=4000` });
    await own.stopParley();
    const env = { ...process.env, DATABASE_URL: `sqlite:${own.db}`, PARLEY_ENV: '/dev/null' };
    assert.match(execFileSync(PARLEY, ['check-db'], { env }).toString(), /the database is sound/);
    assert.throws(() => execFileSync(PARLEY, ['backup', own.db], { env, stdio: 'pipe' }), /exists already/);
    execFileSync(PARLEY, ['backup', `${own.dir}/copy.db`], { env, stdio: 'pipe' });
    assert.equal(fs.statSync(`${own.dir}/copy.db`).mode & 0o777, 0o600);
    for (const args of [['check-db'], ['backup', `${own.dir}/nothing.db`]]) {
      assert.throws(() => execFileSync(PARLEY, args, { env: { ...env, DATABASE_URL: `sqlite:${own.dir}/gone.db` }, stdio: 'pipe' }), /There is no database/);
    }
    assert.deepEqual(fs.readdirSync(own.dir).filter((name) => /gone|nothing/.test(name)), []);
    const bytes = fs.readFileSync(own.db);
    const page = bytes.readUInt16BE(16);
    for (let at = page * 2; at + page <= bytes.length; at += page) bytes.fill(0xff, at, at + 100);
    fs.writeFileSync(own.db, bytes);
    assert.throws(() => execFileSync(PARLEY, ['check-db'], { env, stdio: 'pipe' }));
  });
});
