/*
 * Limits and budgets: exactly as many questions pass as the settings say, whatever process is asked, whatever is
 * restarted or killed; what clients are told about it; several installs that count together in a Redis.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { end, eventually, freePort, parleyCommand, start, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const MINUTE_ONLY = { RATELIMIT_PER_MINUTE: 10, RATELIMIT_PER_HOUR: 0, RATELIMIT_PER_DAY: 0 };

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

async function instance(t, options) {
  const parley = await startParley({ mock, via: 'nginx', ...options });
  t.after(() => parley.stop());
  return parley;
}

const ask = (parley, message = 'limits mock:deltas=1', options) => parley.post('/api/chat', { message }, options);

/* `count` questions from `clients` clients that do not wait for each other: {status: how many}. */
async function crowd(parley, count, clients = 8, message = undefined) {
  const seen = {};
  let left = count;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (left-- > 0) {
      const { status } = await ask(parley, message);
      seen[status] = (seen[status] ?? 0) + 1;
    }
  }));
  return seen;
}

describe('questions', () => {
  test('of 40 parallel requests over all workers exactly 10 pass, and the provider is asked 10 times', async (t) => {
    const parley = await instance(t, { workers: 3, env: MINUTE_ONLY });
    assert.deepEqual(await crowd(parley, 40, 8, 'forty mock:deltas=1'), { 200: 10, 429: 30 });
    assert.equal(mock.calls('forty').length, 10);
    const pids = new Set(parley.logs.filter((line) => line.event === 'request' && line.route === '/api/chat').map((line) => line.pid));
    assert.ok(pids.size > 1, `only ${pids.size} worker was asked`);
    const [{ n }] = await parley.sql("SELECT count(*) AS n FROM messages WHERE role = 'user'");
    assert.equal(n, 10);
  });

  test('neither a restart nor kill -9 nor a CGI process resets the count', async (t) => {
    const parley = await instance(t, { workers: 2, env: MINUTE_ONLY });
    assert.deepEqual(await crowd(parley, 4), { 200: 4 });
    await parley.stopParley();
    await parley.restart();
    assert.deepEqual(await crowd(parley, 3), { 200: 3 });

    const before = parley.workerPids();
    process.kill(before[0], 'SIGKILL');
    assert.ok(await eventually(() => parley.workerPids().filter((pid) => pid !== before[0]).length === 2, 3000), 'no new worker');
    const cgi = await instance(t, { via: 'cgi', env: { ...MINUTE_ONLY, DATABASE_URL: `sqlite:${parley.db}` } });
    assert.deepEqual(await crowd(cgi, 6, 3), { 200: 3, 429: 3 });
    assert.deepEqual(await crowd(parley, 2), { 429: 2 });
  });

  test('replies tell the tightest window; over it 429 says which window and when again', async (t) => {
    const parley = await instance(t, { env: { RATELIMIT_PER_MINUTE: 2, RATELIMIT_PER_HOUR: 100, RATELIMIT_PER_DAY: 0 } });
    const first = await ask(parley);
    assert.equal(first.headers['ratelimit-limit'], '2');
    assert.equal(first.headers['ratelimit-remaining'], '1');
    const reset = Number(first.headers['ratelimit-reset']);
    assert.ok(reset > 50 && reset <= 60, `reset ${reset}`);
    const stream = await parley.stream('/api/chat/stream', { message: 'limits mock:deltas=1' });
    assert.equal(stream.headers['ratelimit-remaining'], '0');
    await stream.ended;

    const over = await ask(parley);
    assert.equal(over.status, 429, over.text);
    assert.equal(over.json.code, 'rate_limited');
    assert.equal(over.headers['ratelimit-remaining'], '0');
    assert.equal(String(over.json.retry_after), over.headers['retry-after']);
    assert.ok(over.json.retry_after > 50 && over.json.retry_after <= 60, over.text);
    assert.match(over.json.error, /^You have reached the limit of 2 messages per minute\. Please try again in \d+ seconds \(\d{4}-.*Z\)\.$/);
    const simple = await parley.post('/api/chat/simple', { user_id: 'ada', message: 'limits mock:' });
    assert.equal(simple.status, 429);
  });

  test('a mistake in the body costs nothing, and its reply tells what is left', async (t) => {
    const parley = await instance(t, { env: MINUTE_ONLY });
    await ask(parley);
    for (const body of [{}, { message: '' }, { message: 'x', provider: 'nobody' }, { message: 'x', conversation_id: 'conv_nobody' }]) {
      const reply = await parley.post('/api/chat', body);
      assert.ok([400, 404].includes(reply.status), reply.text);
      assert.equal(reply.headers['ratelimit-remaining'], '9', JSON.stringify(body));
    }
    assert.equal((await ask(parley)).headers['ratelimit-remaining'], '8');
  });

  test('another answer, and going on with one, are charged as a question is', async (t) => {
    const parley = await instance(t, { env: { ...MINUTE_ONLY, RATELIMIT_PER_MINUTE: 3, TOKENS_PER_DAY: 100000 } });
    const { json } = await ask(parley, 'again mock:deltas=2,finish=length');
    assert.equal((await parley.post(`/api/messages/${json.message_id}/continue`, {})).headers['ratelimit-remaining'], '1');
    assert.equal((await parley.post(`/api/conversations/${json.conversation_id}/regenerate`, {})).headers['ratelimit-remaining'], '0');
    const over = await parley.post(`/api/conversations/${json.conversation_id}/regenerate`, {});
    assert.equal(over.status, 429, over.text);
    assert.equal(over.json.code, 'rate_limited');
    assert.equal(mock.calls('again').length + mock.calls('Go on from exactly').length, 3);
    assert.deepEqual(await parley.sql('SELECT * FROM token_reservations'), []);
    const [{ tokens }] = await parley.sql("SELECT tokens FROM token_days WHERE bucket = 'all'");
    const [{ total }] = await parley.sql("SELECT sum(total_tokens) AS total FROM messages");
    assert.equal(tokens, total);
  });

  test('a message that comes again with its client_message_id is answered, though the limit is reached', async (t) => {
    const parley = await instance(t, { env: { ...MINUTE_ONLY, RATELIMIT_PER_MINUTE: 1 } });
    const first = await parley.post('/api/chat', { message: 'once mock:deltas=2', client_message_id: 'c-1' });
    assert.equal(first.status, 200, first.text);
    const body = { message: 'once mock:deltas=2', client_message_id: 'c-1', conversation_id: first.json.conversation_id };
    const again = await parley.post('/api/chat', body);
    assert.equal(again.status, 200, again.text);
    assert.equal(again.json.message_id, first.json.message_id);
    assert.equal(again.headers['ratelimit-remaining'], '0');
    assert.equal(mock.calls('once').length, 1);
    assert.equal((await ask(parley)).status, 429);
  });

  test('GET /api/rate-limit lists the windows and does not count itself', async (t) => {
    const parley = await instance(t, { env: { RATELIMIT_PER_MINUTE: 10, RATELIMIT_PER_HOUR: 100, RATELIMIT_PER_DAY: 500 } });
    for (let i = 0; i < 3; i++) assert.equal((await ask(parley)).status, 200);
    for (let i = 0; i < 2; i++) {
      const { status, json } = await parley.get('/api/rate-limit');
      assert.equal(status, 200);
      assert.deepEqual(json.limits.map(({ reset, ...rest }) => rest), [
        { window: 'minute', limit: 10, used: 3, remaining: 7 },
        { window: 'hour', limit: 100, used: 3, remaining: 97 },
        { window: 'day', limit: 500, used: 3, remaining: 497 }]);
      const ms = json.limits.map(({ reset }) => Date.parse(reset) - Date.now());
      [60e3, 3600e3, 86400e3].forEach((length, w) => assert.ok(ms[w] > length - 20e3 && ms[w] <= length, `${json.limits[w].reset}`));
    }
  });

  test('without limits there are no headers and an empty list', async (t) => {
    const parley = await instance(t, {});
    const reply = await ask(parley);
    assert.deepEqual(Object.keys(reply.headers).filter((name) => name.startsWith('ratelimit')), []);
    assert.deepEqual((await parley.get('/api/rate-limit')).json, { limits: [] });
  });

  test('visitors are counted apart, an address by its factor, strangers together, a key by itself', async (t) => {
    const parley = await instance(t, { env: { ...MINUTE_ONLY, RATELIMIT_PER_MINUTE: 3, ADDRESS_LIMIT_FACTOR: 3 } });
    const made = await parleyCommand(['keys', 'add', 'shop'], { cwd: parley.dir, env: { PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${parley.db}` } });
    const visitor = async () => {
      const { headers } = await parley.get('/api/rate-limit');
      return { headers: { Cookie: headers['set-cookie'][0].split(';')[0] } };
    };
    const statuses = async (count, options) => {
      const seen = [];
      for (let i = 0; i < count; i++) seen.push((await ask(parley, undefined, options)).status);
      return seen.join(' ');
    };
    const [ada, bob, eve] = [await visitor(), await visitor(), await visitor()];
    assert.equal(await statuses(4, ada), '200 200 200 429');
    assert.equal(await statuses(2, bob), '200 200');
    assert.equal((await parley.get('/api/rate-limit', bob)).json.limits[0].used, 2);
    assert.equal(await statuses(4), '200 200 200 429', 'a new visitor without a cookie is no new visitor');
    const altered = { headers: { Cookie: `${ada.headers.Cookie.slice(0, -4)}AAAA` } };
    assert.equal(await statuses(1, altered), '429');
    assert.equal(await statuses(2, eve), '200 429', 'nine for the address');
    assert.match((await ask(parley, undefined, eve)).json.error, /^All visitors of your network have together reached the limit of 9 messages per minute/);
    const key = { headers: { Authorization: `Bearer ${made.stdout.trim()}` } };
    assert.equal(await statuses(4, key), '200 200 200 429');
    const { limits } = (await parley.get('/api/whoami', key)).json;
    assert.deepEqual({ ...limits[0], reset: undefined }, { window: 'minute', limit: 3, used: 3, remaining: 0, reset: undefined });
  });

  test('erasing a visitor erases what was counted for him', async (t) => {
    const parley = await instance(t, { env: { ...MINUTE_ONLY, TOKENS_PER_VISITOR_PER_DAY: 100000 } });
    const cookie = (await parley.get('/api/rate-limit')).headers['set-cookie'][0].split(';')[0];
    assert.equal((await ask(parley, undefined, { headers: { Cookie: cookie } })).status, 200);
    const rows = () => parley.sql("SELECT bucket FROM rate_windows WHERE bucket LIKE 'visitor:%' UNION ALL SELECT bucket FROM token_days WHERE bucket LIKE 'visitor:%'");
    assert.equal((await rows()).length, 2);
    assert.equal((await parley.request('/api/visitor', { method: 'DELETE', headers: { Cookie: cookie } })).status, 200);
    assert.deepEqual(await rows(), []);
  });

  test('a question that was refused is not stored', async (t) => {
    const parley = await instance(t, { env: { ...MINUTE_ONLY, RATELIMIT_PER_MINUTE: 1 } });
    assert.deepEqual(await crowd(parley, 5), { 200: 1, 429: 4 });
    const [{ c, m }] = await parley.sql('SELECT (SELECT count(*) FROM conversations) AS c, (SELECT count(*) FROM messages) AS m');
    assert.deepEqual({ c, m }, { c: 1, m: 2 });
  });
});

describe('tokens', () => {
  const TURN = 100; /* what the mock says an answer cost: 11 for the prompt, one for each delta */
  const BUDGET = 1000;
  const env = { TOKENS_PER_DAY: BUDGET, OPENAI_MAX_TOKENS: TURN - 11, SYSTEM_PROMPT: 'Test.' };
  const spent = async (parley) => (await parley.sql("SELECT tokens FROM token_days WHERE bucket = 'all'")).reduce((n, row) => n + row.tokens, 0);

  test('turns one after the other are settled with what they really used', async (t) => {
    const parley = await instance(t, { env });
    for (let i = 1; i <= 3; i++) {
      assert.equal((await ask(parley, `settled mock:deltas=${TURN - 11}`)).status, 200);
      assert.equal(await spent(parley), i * TURN);
    }
    assert.equal((await ask(parley, 'failed mock:status=500')).status >= 500, true);
    assert.equal(await spent(parley), 3 * TURN);
    const seen = await crowd(parley, 10, 1, `settled mock:deltas=${TURN - 11}`);
    assert.ok(seen[200] >= 5 && seen[429] >= 3, JSON.stringify(seen));
    assert.equal(await spent(parley), (3 + seen[200]) * TURN);

    const over = await ask(parley);
    assert.equal(over.json.code, 'budget_exhausted', over.text);
    const midnight = Math.ceil(Date.now() / 86400e3) * 86400;
    assert.ok(Math.abs(Number(over.headers['retry-after']) - (midnight - Date.now() / 1000)) < 5, over.headers['retry-after']);
    assert.match(over.json.error, /used up/);
  });

  test('50 parallel turns never spend more than the budget, with workers killed in between', async (t) => {
    const parley = await instance(t, { workers: 2, env });
    const message = `killed mock:deltas=${TURN - 11},delay=10`;
    const asked = () => mock.calls('killed').length;
    const replies = [];
    const wave = (count) => Promise.all(Array.from({ length: count }, () => ask(parley, message).then((r) => replies.push(r), () => replies.push(null))));

    const first = wave(5);
    assert.ok(await eventually(() => asked() === 5, 10000), 'the provider was not asked');
    const victims = parley.workerPids();
    victims.forEach((pid) => process.kill(pid, 'SIGKILL'));
    await first;
    assert.ok(await eventually(() => parley.workerPids().filter((pid) => !victims.includes(pid)).length === 2, 5000), 'no new workers');
    assert.ok(await spent(parley) >= 5 * TURN, 'what the dead had reserved was given back');
    await parley.ready();
    await wave(50);
    const running = async () => (await parley.sql("SELECT count(*) AS n FROM messages WHERE status = 'streaming'"))[0].n;
    assert.ok(await eventually(async () => await running() === 0, 20000, 100), 'answers claim to be running');
    await wave(20);

    assert.ok(asked() * TURN <= BUDGET, `${asked()} turns of ${TURN} tokens`);
    assert.ok(await spent(parley) <= BUDGET);
    const refused = replies.filter((reply) => reply?.status === 429);
    assert.ok(refused.length > 50, `${refused.length} refused`);
    for (const reply of refused) assert.equal(reply.json.code, 'budget_exhausted', reply.text);
    assert.ok(replies.some((reply) => reply?.status === 200), 'none was answered');
    t.diagnostic(`${asked()} turns reached the provider, ${await spent(parley)} tokens counted`);
  });

  test('what running answers have reserved is said to come back soon', async (t) => {
    const parley = await instance(t, { env: { ...env, TOKENS_PER_DAY: 150 } });
    const stream = await parley.stream('/api/chat/stream', { message: 'pending mock:deltas=80,delay=20' });
    await stream.until((s) => s.deltas.length > 0);
    const reply = await ask(parley);
    assert.equal(reply.json.code, 'budget_exhausted', reply.text);
    assert.equal(reply.json.retry_after, 10);
    assert.match(reply.json.error, /being written/);
    stream.abort();
  });

  test('a visitor has a budget, and /api/rate-limit tells it', async (t) => {
    const parley = await instance(t, { env: { ...env, TOKENS_PER_DAY: 0, TOKENS_PER_VISITOR_PER_DAY: 250 } });
    assert.equal((await ask(parley, `mine mock:deltas=${TURN - 11}`)).status, 200);
    const { tokens } = (await parley.get('/api/rate-limit')).json;
    assert.deepEqual({ ...tokens, reset: undefined }, { window: 'day', limit: 250, used: 100, remaining: 150, reset: undefined });
    assert.equal(Date.parse(tokens.reset) % 86400e3, 0);
    assert.equal((await ask(parley, `mine mock:deltas=${TURN - 11}`)).status, 200);
    const over = await ask(parley);
    assert.equal(over.status, 429);
    assert.match(over.json.error, /^Your budget/);
  });
});

describe('Redis', () => {
  const children = [];
  after(() => Promise.all(children.map((child) => end(child, 'SIGKILL').catch(() => {}))));

  async function startRedis(port, ...more) {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--daemonize', 'no', ...more];
    const child = start('redis-server', args, { env: { PATH: process.env.PATH } });
    children.push(child);
    assert.ok(await eventually(() => child.output.includes('Ready to accept') || child.exitCode !== null, 10000), child.output);
    assert.equal(child.exitCode, null, child.output);
    return child;
  }
  const redisEnv = (port, more = {}) => ({ ...MINUTE_ONLY, REDIS_URL: `redis://127.0.0.1:${port}`, ...more });
  const events = (parley, event) => parley.logs.filter((line) => line.event === event).length;

  test('two installs with their own databases share one count', async (t) => {
    const port = await freePort();
    await startRedis(port);
    const one = await instance(t, { workers: 2, env: redisEnv(port) });
    const other = await instance(t, { workers: 2, via: 'lighttpd', env: redisEnv(port) });
    const [a, b] = await Promise.all([crowd(one, 20, 8), crowd(other, 20, 8)]);
    assert.equal((a[200] ?? 0) + (b[200] ?? 0), 10, JSON.stringify([a, b]));
    assert.equal(a[429] + b[429], 30);
    const over = await ask(one);
    assert.equal(over.json.code, 'rate_limited');
    assert.equal(over.headers['ratelimit-remaining'], '0');
    assert.match(over.json.error, /10 messages per minute/);
    const { limits } = (await other.get('/api/rate-limit')).json;
    assert.deepEqual({ ...limits[0], reset: undefined }, { window: 'minute', limit: 10, used: 10, remaining: 0, reset: undefined });
    assert.deepEqual(await one.sql('SELECT * FROM rate_windows'), []);
  });

  test('while it is away messages pass, with one log line, and it is found again by itself', async (t) => {
    const port = await freePort();
    let redis = await startRedis(port);
    const parley = await instance(t, { workers: 1, env: redisEnv(port, { RATELIMIT_PER_MINUTE: 3 }) });
    assert.deepEqual(await crowd(parley, 4, 1), { 200: 3, 429: 1 });
    await end(redis, 'SIGKILL');
    assert.deepEqual(await crowd(parley, 12), { 200: 12 });
    await parley.waitLog('redis_away');
    assert.equal(events(parley, 'redis_away'), 1);

    redis = await startRedis(port);
    assert.ok(await eventually(async () => (await parley.get('/api/rate-limit')).status === 200, 5000, 50), 'Redis was not found again');
    await parley.waitLog('redis_back');
    assert.equal(events(parley, 'redis_away'), 1);
    assert.deepEqual(await crowd(parley, 6), { 200: 3, 429: 3 });
  });

  test('a restart between two questions is not noticed', async (t) => {
    const port = await freePort();
    const redis = await startRedis(port);
    const parley = await instance(t, { workers: 1, env: redisEnv(port) });
    assert.deepEqual(await crowd(parley, 4, 4), { 200: 4 });
    await end(redis, 'SIGKILL');
    await startRedis(port);
    const reply = await ask(parley);
    assert.equal(reply.headers['ratelimit-remaining'], '9', 'the new Redis counts from the start');
    assert.equal(events(parley, 'redis_away'), 0);
  });

  test('REDIS_DOWN=refuse answers 503 and asks no provider', async (t) => {
    const port = await freePort();
    const parley = await instance(t, { workers: 1, env: redisEnv(port, { REDIS_DOWN: 'refuse' }) });
    const reply = await ask(parley, 'refused mock:');
    assert.equal(reply.status, 503, reply.text);
    assert.equal(reply.json.code, 'limits_unavailable');
    assert.ok(Number(reply.headers['retry-after']) >= 1);
    assert.equal(mock.calls('refused').length, 0);
    assert.deepEqual(await parley.sql('SELECT id FROM messages'), []);
    assert.equal((await parley.get('/api/health')).status, 200);

    await startRedis(port);
    assert.ok(await eventually(async () => (await ask(parley)).status === 200, 5000, 50), 'Redis was not found');
  });

  test('one that hangs delays a message by its deadline at most', async (t) => {
    const port = await freePort();
    const redis = await startRedis(port);
    const parley = await instance(t, { workers: 1, env: redisEnv(port, { REDIS_TIMEOUT_MS: 100 }) });
    assert.deepEqual(await crowd(parley, 2), { 200: 2 });
    redis.kill('SIGSTOP');
    const begun = Date.now();
    const reply = await ask(parley, 'hanging mock:deltas=1');
    redis.kill('SIGCONT');
    assert.equal(reply.status, 200, reply.text);
    assert.ok(Date.now() - begun < 2000, `${Date.now() - begun} ms`);
    await parley.waitLog('redis_away');
  });

  test('a password goes to Redis and never into the log', async (t) => {
    const port = await freePort();
    await startRedis(port, '--requirepass', 's3cret pass');
    const good = await instance(t, { workers: 1, env: { ...redisEnv(port), REDIS_URL: `redis://:s3cret%20pass@127.0.0.1:${port}/2` } });
    assert.equal((await ask(good)).headers['ratelimit-remaining'], '9');
    const wrong = await instance(t, { workers: 1, env: { ...redisEnv(port), REDIS_URL: `redis://:wr0ng@127.0.0.1:${port}` } });
    assert.equal((await ask(wrong)).status, 200);
    await wrong.waitLog('redis_away');
    assert.doesNotMatch(good.logText() + wrong.logText(), /s3cret|wr0ng/);
  });

  test('an address that is none stops the start and says so', async () => {
    const { code, stderr } = await parleyCommand(['serve'], { env: { PARLEY_ENV: '/dev/null', REDIS_URL: 'redis://:secret@' } });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /REDIS_URL.*it must be redis:/);
    assert.doesNotMatch(stderr, /secret@/);
  });
});
