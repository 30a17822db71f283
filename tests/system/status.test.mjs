/*
 * What an operator sees: /status, /metrics, `parley status`, the request log, the slow log.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { PARLEY, end, eventually, parleyCommand, start, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

let mock;
let parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: ['nginx', 'lighttpd'], workers: 2, env: { SLOW_MS: 300 } });
});
after(async () => { await parley?.stop(); await mock?.stop(); });

/* Samples of Prometheus' text format; throws on a line that is none. */
function samples(text) {
  const found = new Map();
  const typed = new Map();
  for (const line of text.trim().split('\n')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (type) { assert.ok(!typed.has(type[1]), `${type[1]} twice`); typed.set(type[1], type[2]); continue; }
    if (line.startsWith('# HELP ')) continue;
    const sample = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? (-?[0-9.e+]+)$/.exec(line);
    assert.ok(sample, `no sample: ${line}`);
    assert.ok([sample[1], sample[1].replace(/_(bucket|sum|count)$/, '')].some((name) => typed.has(name)), `no type: ${line}`);
    found.set(sample[1] + (sample[2] ?? ''), Number(sample[3]));
  }
  return found;
}

test('/metrics counts requests by route, method and status, answers, tokens and times', async () => {
  await parley.get('/api/health');
  await parley.get('/api/nothing');
  const reply = await parley.post('/api/chat', { message: 'count me mock:deltas=4' });
  assert.equal(reply.status, 200);
  let found;
  const counted = async () => {
    const page = await parley.get('/metrics');
    assert.match(page.headers['content-type'], /^text\/plain; version=0.0.4/);
    found = samples(page.text);
    return found.get('parley_turns_total{provider="openai",model="mock-model-2024",status="complete"}') >= 1;
  };
  assert.ok(await eventually(counted, 3000));
  assert.ok(found.get('parley_requests_total{route="/api/health",method="GET",status="200"}') >= 1);
  assert.ok(found.get('parley_requests_total{route="unknown",method="GET",status="404"}') >= 1);
  assert.ok(found.get('parley_errors_total{code="unknown_path"}') >= 1);
  assert.ok(found.get('parley_tokens_total{provider="openai",model="mock-model-2024",kind="completion"}') >= 1);
  for (const time of ['queue', 'handler', 'store', 'first_delta', 'reply']) {
    const count = found.get(`parley_${time}_seconds_count`);
    assert.ok(count >= 1, time);
    assert.equal(found.get(`parley_${time}_seconds_bucket{le="+Inf"}`), count);
  }
  assert.equal(found.get('parley_workers'), 2);
});

test('/status is a page for people and ?json for programs, and shows a running stream', async () => {
  const page = await parley.get('/status');
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.text, /serving/);
  const stream = await parley.stream('/api/chat/stream', { message: 'seen mock:deltas=400,delay=10' });
  await stream.until((s) => s.deltas.length === 1);
  let json;
  assert.ok(await eventually(async () => { ({ json } = await parley.get('/status?json')); return json.streams === 1; }, 3000));
  stream.abort();
  assert.equal(json.workers.length, 2);
  assert.deepEqual(json.workers.map((w) => w.pid).sort(), parley.workerPids().sort());
  for (const worker of json.workers) {
    assert.equal(worker.state, 'serving');
    assert.ok(worker.memory_kb > 1000 && worker.silent_ms < 2000, JSON.stringify(worker));
    for (const number of ['requests', 'streams', 'lag_us', 'threads_queued']) assert.equal(typeof worker[number], 'number', number);
  }
  assert.equal(json.pid, parley.pid);
  for (const stage of ['queue', 'handler', 'store', 'first_delta', 'reply'])
    assert.ok(json.workers.reduce((sum, { times }) => sum + times[stage].count, 0) >= 1, stage);
});

test('requests that came through an unknown proxy see nothing', async () => {
  for (const front of ['nginx', 'lighttpd']) {
    for (const name of ['X-Forwarded-For', 'Forwarded', 'X-Real-IP']) {
      const reply = await parley.through(front).get('/metrics', { headers: { [name]: '127.0.0.1' } });
      assert.equal(reply.status, 403, `${front} ${name}`);
      assert.doesNotMatch(reply.text, /parley_/);
    }
  }
});

test('from elsewhere a key of ADMIN_KEYS opens them, and nothing else does', async (t) => {
  const closed = await startParley({ mock, via: 'nginx', workers: 1, env: { STATUS_ALLOW: '10.1.0.0/16', ADMIN_KEYS: 'nobody, watcher' } });
  t.after(() => closed.stop());
  const make = async (name) => {
    const made = await parleyCommand(['keys', 'add', name], { env: { PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${closed.db}` } });
    assert.equal(made.code, 0, made.stderr);
    return /pk_\S+/.exec(made.stdout)[0];
  };
  const [admin, shop] = [await make('watcher'), await make('watch')];
  const bearer = (key) => ({ Authorization: `Bearer ${key}` });
  for (const where of ['/status', '/status?json', '/metrics']) {
    for (const [headers, status, code] of [
      [{}, 403, 'not_allowed_here'], [{ 'X-Forwarded-For': '10.1.0.1' }, 403, 'not_allowed_here'], [bearer(shop), 403, 'not_allowed_here'],
      [{ ...bearer(shop), 'X-Forwarded-For': '10.1.0.1' }, 403, 'not_allowed_here'], [bearer(`${admin}x`), 401, 'invalid_key'], [bearer(''), 401, 'invalid_key'],
      [bearer(admin), 200], [{ ...bearer(admin), 'X-Forwarded-For': '203.0.113.9' }, 200]]) {
      const reply = await closed.get(where, { headers });
      assert.equal(reply.status, status, `${where} ${JSON.stringify(headers)}: ${reply.text}`);
      assert.equal(reply.json?.code, code, where);
      if (code) assert.doesNotMatch(reply.text, /parley_|serving/);
    }
  }
  assert.ok(!closed.logText().includes(admin.slice(0, 12)), 'a key in the log');
  await parleyCommand(['keys', 'revoke', 'watcher'], { env: { PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${closed.db}` } });
  assert.equal((await closed.get('/metrics', { headers: bearer(admin) })).status, 401);
});

test('counts survive the worker that made them', async () => {
  const before = (await parley.get('/status?json')).json.requests;
  process.kill(parley.workerPids()[0], 'SIGKILL');
  assert.ok(await eventually(async () => (await parley.get('/status?json').catch(() => ({}))).json?.restarts >= 1, 5000, 20));
  assert.ok((await parley.get('/status?json')).json.requests >= before);
});

describe('parley status', () => {
  test('shows the workers without asking them', async () => {
    const { code, stdout, stderr } = await parleyCommand(['status', String(parley.pid)]);
    assert.equal(code, 0, stderr);
    for (const pid of parley.workerPids()) assert.match(stdout, new RegExp(`^${pid} +serving`, 'm'));
    const all = await parleyCommand(['status', '--json', String(parley.pid)]);
    assert.equal(JSON.parse(all.stdout).pid, parley.pid);
  });
  test('--watch shows them again and again', async (t) => {
    const child = start(PARLEY, ['status', '--watch', String(parley.pid)], { env: { PATH: process.env.PATH } });
    t.after(() => end(child, 'SIGKILL').catch(() => {}));
    const shown = () => child.output.split(/^Parley /m).length - 1;
    assert.ok(await eventually(() => shown() >= 2, 10000, 20), child.output);
  });
  test('says that nothing runs', async () => {
    const { code, stderr } = await parleyCommand(['status', '1']);
    assert.equal(code, 1);
    assert.match(stderr, /no Parley is running/);
    assert.equal((await parleyCommand(['status', '--dance'])).code, 2);
  });
});

describe('the request log', () => {
  test('has provider, model, tokens and the client as a hash, never its address', async () => {
    await parley.post('/api/chat', { message: 'logged mock:deltas=2' });
    const line = await parley.waitLog((l) => l.event === 'request' && l.route === '/api/chat' && l.provider);
    for (const key of ['request_id', 'method', 'status', 'bytes', 'queue_ms', 'total_ms', 'prompt_tokens', 'outcome']) assert.ok(key in line, key);
    assert.equal(line.provider, 'openai');
    assert.equal(line.model, 'mock-model-2024');
    assert.ok(line.completion_tokens > 0);
    assert.match(line.client, /^[0-9a-f]{16}$/);
    assert.doesNotMatch(parley.logText(), /127\.0\.0\.1/);
    const stream = await parley.stream('/api/chat/stream', { message: 'logged stream mock:deltas=2' });
    await stream.ended;
    const streamed = await parley.waitLog((l) => l.event === 'request' && l.request_id === stream.headers['x-request-id']);
    assert.ok(streamed.first_delta_ms > 0 && streamed.first_delta_ms <= streamed.total_ms, JSON.stringify(streamed));
    const others = parley.logs.filter((l) => l.event === 'request' && l.client);
    assert.equal(new Set(others.map((l) => l.client)).size, 1);
  });

  test('a slow answer is logged once more, with the stage that was slow', async () => {
    await parley.post('/api/chat', { message: 'slow mock:first=600' });
    const line = await parley.waitLog('slow_request');
    assert.equal(line.stage, 'provider');
    assert.ok(line.answer_ms >= 500, JSON.stringify(line));
  });

  test('the request id goes to the provider', async () => {
    const reply = await parley.post('/api/chat', { message: 'with-id mock:' });
    const [call] = mock.calls('with-id');
    assert.equal(call.headers['x-request-id'], reply.headers['x-request-id']);
  });

  test('a request id counts only from a trusted proxy', async (t) => {
    const id = 'from-the-proxy_1';
    const headers = { 'X-Request-Id': id };
    assert.notEqual((await parley.get('/api/health', { headers })).headers['x-request-id'], id);
    const behind = await startParley({ mock, via: 'nginx', workers: 1, env: { TRUSTED_PROXIES: '127.0.0.1' } });
    t.after(() => behind.stop());
    assert.equal((await behind.get('/api/health', { headers })).headers['x-request-id'], id);
    assert.notEqual((await behind.get('/api/health', { headers: { 'X-Request-Id': 'no id "at all"' } })).headers['x-request-id'], 'no id "at all"');
    for (const [at, message, passed] of [[behind, 'trusted-id', true], [parley, 'stranger-id', false]]) {
      await at.post('/api/chat', { message: `${message} mock:` }, { headers });
      assert.equal(mock.calls(`${message} `)[0].headers['x-request-id'] === id, passed, message);
    }
    /* and its visitors are not this machine */
    assert.equal((await behind.get('/metrics', { headers: { 'X-Forwarded-For': '203.0.113.9' } })).status, 403);
    assert.equal((await behind.get('/metrics', { headers: { 'X-Forwarded-For': '::1' } })).status, 200);
  });

  test('as text, every line is one line', async (t) => {
    const file = `${parley.dir}/text.log`;
    const text = await startParley({ mock, via: 'nginx', workers: 1, env: { LOG_FORMAT: 'text', LOG_FILE: file } });
    t.after(() => text.stop());
    await text.get('/api/health');
    assert.ok(await eventually(() => /\brequest\b.*route=\/api\/health/.test(fs.readFileSync(file, 'utf8'))));
    for (const line of fs.readFileSync(file, 'utf8').trim().split('\n')) assert.match(line, /^\d{4}-\S+Z (error|warn|info|debug) \w+/);
  });
});
