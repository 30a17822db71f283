/*
 * Retries, failover and the circuit breaker: a question that nobody has begun to answer goes on to whoever can,
 * within bounds, and never where another try cannot help. The reply and the row say who answered.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { parleyCommand, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const further = (mock) => ({ PROVIDERS: 'spare', PROVIDER_SPARE_BASE: mock.url, PROVIDER_SPARE_API_KEY: 'sk-spare-key',
  PROVIDER_SPARE_MODEL: 'spare-model', PROVIDER_FAILOVER: 'spare' });
const row = async (parley, reply) => (await parley.sql('SELECT provider, model, status, finish, content FROM messages '
  + `WHERE public_id = '${reply.json.message_id}'`))[0];
const turnOf = (parley, reply) => parley.waitLog((l) => l.event === 'turn' && l.message_id === reply.json.message_id);

describe('one provider', () => {
  let mock, parley;
  before(async () => {
    mock = await startMock();
    parley = await startParley({ mock, workers: 2, env: { BREAKER_FAILURES: 0, RETRY_MAX_WAIT_MS: 1500 } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });

  /* Fails the first `times` calls of a question with a script, then answers. */
  function flaky(words, times, script) {
    let left = times;
    mock.script((call) => {
      if (!String(call.question).includes(words)) return undefined;
      return left-- > 0 ? { ...script, deltas: 3 } : { deltas: 2, usage: 1, done: 1, finish: 'stop' };
    });
  }

  for (const [name, script] of [['status=503', { status: 503 }], ['status=529', { status: 529 }], ['status=408', { status: 408 }],
    ['status=409', { status: 409 }], ['status=429', { status: 429, retry_after: '0.1' }], ['connection closed', { fault: 'closed' }],
    ['an error frame first', { error: 0 }], ['nothing at all', { fault: 'empty' }]]) {
    test(`${name} is tried again and then answered`, async () => {
      const words = `flaky ${name}`;
      flaky(words, 2, script);
      const reply = await parley.post('/api/chat', { message: words });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.json.response, 'w0 w1 ');
      assert.equal(mock.calls(words).length, 3);
      const turn = await turnOf(parley, reply);
      /* curl itself asks again when a kept connection turns out to be closed. */
      assert.ok(turn.attempts === 3 || (script.fault === 'closed' && turn.attempts === 2), `${turn.attempts} attempts`);
      assert.equal(parley.logs.filter((l) => l.event === 'attempt_failed' && l.message_id === reply.json.message_id).length, turn.attempts - 1);
    });
  }

  test('RETRY_MAX bounds the tries', async () => {
    const reply = await parley.post('/api/chat', { message: 'always mock:status=500' });
    assert.equal(reply.status, 502);
    assert.equal(mock.calls('always').length, 3);
  });

  for (const [script, code] of [['status=400', 'provider_rejected'], ['status=401', 'provider_auth'], ['status=403', 'provider_auth'],
    ['status=404', 'provider_not_found'], ['status=429,code=insufficient_quota', 'provider_quota']]) {
    test(`${script} is asked once only`, async () => {
      const reply = await parley.post('/api/chat', { message: `hopeless mock:${script}` });
      assert.equal(reply.json.code, code);
      assert.equal(mock.requests.filter((call) => call.question === `hopeless mock:${script}`).length, 1);
    });
  }

  test('a Retry-After within bounds is waited for', async () => {
    flaky('wait for me', 1, { status: 429, retry_after: '1' });
    const reply = await parley.post('/api/chat', { message: 'wait for me' });
    assert.equal(reply.status, 200, reply.text);
    const [first, second] = mock.calls('wait for me');
    assert.ok(Number(second.at - first.at) / 1e6 >= 990, 'came back too early');
  });

  test('a Retry-After beyond bounds is told to the client at once', async () => {
    const begun = Date.now();
    const reply = await parley.post('/api/chat', { message: 'not so long mock:status=429,retry_after=30' });
    assert.equal(reply.status, 503);
    assert.equal(reply.headers['retry-after'], '30');
    assert.equal(mock.calls('not so long').length, 1);
    assert.ok(Date.now() - begun < 2000);
  });

  test('pauses differ and grow', async () => {
    await Promise.all(Array.from({ length: 6 }, (_, i) => parley.post('/api/chat', { message: `jitter${i} mock:status=500` })));
    const pauses = Array.from({ length: 6 }, (_, i) => {
      const calls = mock.calls(`jitter${i} `);
      return [1, 2].map((n) => Number(calls[n].at - calls[n - 1].at) / 1e6);
    });
    for (const [one, two] of pauses) {
      assert.ok(one >= 95, `first pause ${one}`);
      assert.ok(two >= 195, `second pause ${two}`);
    }
    assert.ok(new Set(pauses.map(([one]) => Math.round(one))).size > 1, 'no jitter');
  });

  test('a text that has begun is never begun again', async () => {
    const stream = await (await parley.stream('/api/chat/stream', { message: 'halfway mock:deltas=4,delay=10,cut=2' })).ended;
    assert.equal(stream.text, 'w0 w1 ');
    assert.match(stream.last.code, /^provider_/);
    assert.equal(mock.calls('halfway').length, 1);
  });
});

describe('two providers', () => {
  let mock, spare, parley;
  before(async () => {
    mock = await startMock();
    spare = await startMock();
    parley = await startParley({ mock, workers: 2, env: { ...further(spare), BREAKER_FAILURES: 0, OPENAI_MODELS: 'mock-large' } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
    await spare?.stop();
  });

  test('the second one answers, and reply, row and log say so', async () => {
    spare.script((call) => (String(call.question).includes('who answers') ? { deltas: 2, usage: 1, done: 1, finish: 'stop', text: 'B ' } : undefined));
    const reply = await parley.post('/api/chat', { message: 'who answers mock:status=500' });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.json.response, 'B B ');
    assert.equal(reply.json.provider, 'spare');
    assert.equal(reply.json.model, 'spare-model-2024');
    assert.deepEqual(await row(parley, reply), { provider: 'spare', model: 'spare-model-2024', status: 'complete', finish: 'stop', content: 'B B ' });
    const [call] = spare.calls('who answers');
    assert.equal(call.json.model, 'spare-model');
    assert.equal(call.headers.authorization, 'Bearer sk-spare-key');
    const turn = await turnOf(parley, reply);
    assert.deepEqual([turn.provider, turn.attempts, turn.failed_attempts], ['spare', 2, 1]);
    const { counters } = JSON.parse((await parleyCommand(['status', '--json', String(parley.pid)], { env: parley.environment(), cwd: parley.dir })).stdout);
    assert.deepEqual(counters.attempt_failures, [{ provider: 'openai', code: 'provider_error', value: 1 }]);
    assert.deepEqual(counters.provider_attempts.map((one) => [one.provider, one.value]).sort(), [['openai', 1], ['spare', 1]]);
    assert.deepEqual(counters.provider_failures, [], 'the answer did not fail');
    assert.equal(mock.calls('who answers').length, 1, 'no pause while somebody else is there');
  });

  test('a stream that shows nothing yet goes over too', async () => {
    spare.script((call) => (String(call.question).includes('over to B') ? { deltas: 2, usage: 1, done: 1, finish: 'stop' } : undefined));
    for (const script of ['fault=closed', 'fault=garbage', 'error=0', 'cut=0', 'end=0', 'status=429']) {
      const stream = await (await parley.stream('/api/chat/stream', { message: `over to B mock:${script}` })).ended;
      assert.equal(stream.status, 200, stream.raw);
      assert.equal(stream.text, 'w0 w1 ');
      assert.equal(stream.last.provider, 'spare');
      assert.equal(stream.frames.at(-1).data, '[DONE]');
    }
  });

  for (const script of ['status=400', 'status=401', 'status=403', 'status=404', 'status=429,code=insufficient_quota']) {
    test(`${script} goes nowhere else`, async () => {
      const reply = await parley.post('/api/chat', { message: `stay mock:${script}` });
      assert.equal(reply.status >= 500, true);
      assert.equal(spare.calls(`stay mock:${script}`).length, 0);
    });
  }

  test('both broken: the tries are bounded and the error is clean', async () => {
    const reply = await parley.post('/api/chat', { message: 'both mock:status=500' });
    assert.equal(reply.status, 502);
    assert.equal(mock.calls('both').length + spare.calls('both').length, 4); /* one each, then RETRY_MAX */
  });

  test('a client may pick the further provider and any listed model, and nothing else', async () => {
    assert.equal((await parley.post('/api/chat', { message: 'pick mock:', provider: 'spare' })).json.provider, 'spare');
    const large = await parley.post('/api/chat', { message: 'large mock:', model: 'mock-large' });
    assert.equal(large.json.model, 'mock-large-2024');
    const elsewhere = await parley.post('/api/chat', { message: 'elsewhere mock:', model: 'spare-model' });
    assert.deepEqual([elsewhere.json.provider, elsewhere.json.model], ['spare', 'spare-model-2024']);
    assert.equal((await parley.post('/api/chat', { message: 'x', provider: 'openai', model: 'spare-model' })).json.code, 'unknown_model');
    const refused = await parley.post('/api/chat', { message: 'x', model: 'gpt-99' });
    assert.equal(refused.status, 400);
    assert.equal(refused.json.code, 'unknown_model');
    assert.match(refused.json.error, /mock-model, mock-large/);
    const nobody = await parley.post('/api/chat', { message: 'x', provider: 'nobody' });
    assert.equal(nobody.json.code, 'unknown_provider');
    assert.match(nobody.json.error, /openai, spare/);
  });

  test('GET /api/models lists them', async () => {
    const { json } = await parley.get('/api/models');
    assert.deepEqual(json.models.map((m) => `${m.provider}/${m.id}`), ['openai/mock-model', 'openai/mock-large', 'spare/spare-model']);
    assert.deepEqual(json.models.map((m) => m.default), [true, false, false]);
    assert.deepEqual(json.default, { provider: 'openai', model: 'mock-model' });
  });

  test('a visitor who stops before the first word is not answered by somebody else', async () => {
    const stream = await parley.stream('/api/chat/stream', { message: 'stop me mock:hang=head' });
    await stream.until((s) => s.first);
    const stop = await parley.post('/api/chat/stop', { message_id: stream.first.message_id });
    assert.equal(stop.status, 200);
    await stream.ended;
    assert.equal(stream.last.finish_reason, 'stopped');
    assert.equal(spare.calls('stop me').length, 0);
  });
});

describe('the breaker', () => {
  test('provider A dies under load: no turn that had not begun is lost; the breaker opens, and closes when A is back', async () => {
    let mock = await startMock();
    const spare = await startMock();
    const { port } = mock;
    const parley = await startParley({ mock, via: 'nginx', workers: 2,
      env: { ...further(spare), BREAKER_FAILURES: 5, BREAKER_OPEN_MS: 400 } });
    const results = [];
    let stopAsking = false;
    const client = async (n) => {
      for (let i = 0; !stopAsking; i++) {
        const stream = await (await parley.stream('/api/chat/stream', { message: `load ${n}.${i} mock:deltas=4,delay=5,text=c${n}.${i}-` })).ended;
        results.push({ n, i, stream });
      }
    };
    try {
      const clients = Array.from({ length: 40 }, (_, n) => client(n));
      await new Promise((resolve) => { mock.on('call', () => mock.requests.length > 200 && resolve()); });
      await mock.stop();
      await parley.waitLog('breaker_opened');
      await new Promise((resolve) => { spare.on('call', () => spare.requests.length > 400 && resolve()); });
      mock = await startMock({ port });
      await parley.waitLog('breaker_closed');
      const back = mock.requests.length;
      await new Promise((resolve) => { mock.on('call', () => mock.requests.length > back + 100 && resolve()); });
      stopAsking = true;
      await Promise.all(clients);
      let broken = 0;
      for (const { n, i, stream } of results) {
        const whole = `c${n}.${i}-`.repeat(4);
        assert.equal(stream.status, 200, stream.raw);
        assert.equal(stream.frames.at(-1).data, '[DONE]');
        assert.ok(whole.startsWith(stream.text), `mixed up: ${stream.text}`);
        if (stream.text === whole) assert.equal(stream.last.finish_reason, 'stop');
        else {
          broken++;
          assert.notEqual(stream.text, '', `lost before it began: ${stream.raw}`);
          assert.match(stream.last.code, /^provider_/);
        }
      }
      assert.ok(broken <= 40, `${broken} of ${results.length}`);
      assert.ok(results.some(({ stream }) => stream.last.provider === 'spare'));
      assert.deepEqual(await parley.sql("SELECT count(*) AS n FROM messages WHERE status = 'streaming'"), [{ n: 0 }]);
      /* While it was open, A was asked by probes only. */
      const opened = parley.logs.filter((l) => l.event === 'breaker_opened').length;
      assert.ok(opened >= 1);
    } finally {
      stopAsking = true;
      await parley.stop();
      await mock.stop();
      await spare.stop();
    }
  });

  test('without anybody else an open breaker refuses at once, in every worker, and says when to come again', async () => {
    const mock = await startMock();
    const parley = await startParley({ mock, workers: 3, env: { BREAKER_FAILURES: 3, BREAKER_OPEN_MS: 700, RETRY_MAX: 2 } });
    try {
      assert.equal((await parley.post('/api/chat', { message: 'dead mock:status=500' })).status, 502);
      await parley.waitLog('breaker_opened');
      const asked = mock.requests.length;
      const replies = await Promise.all(Array.from({ length: 12 }, () => parley.post('/api/chat', { message: 'anybody? mock:' })));
      for (const reply of replies) {
        assert.equal(reply.status, 503, reply.text);
        assert.equal(reply.json.code, 'provider_unavailable');
        assert.ok(Number(reply.headers['retry-after']) >= 1);
      }
      assert.equal(mock.requests.length, asked, 'the provider was left alone');
      const [seen] = (await parley.get('/api/health/detailed')).json.providers;
      assert.deepEqual([seen.name, seen.breaker, seen.failures, seen.last_error.code], ['openai', 'open', 3, 'provider_error']);
      const again = async () => (await parley.post('/api/chat', { message: 'probe mock:' })).status === 200;
      const until = Date.now() + 5000;
      while (!(await again())) assert.ok(Date.now() < until, 'it never closed');
      await parley.waitLog('breaker_closed');
      assert.equal(mock.requests.length, asked + 1, 'one probe only');
      const [back] = (await parley.get('/api/health/detailed')).json.providers;
      assert.deepEqual([back.breaker, back.failures, back.retry_in_ms], ['closed', 0, 0]);
      assert.ok(Date.parse(back.last_success) > 0);
    } finally {
      await parley.stop();
      await mock.stop();
    }
  });
});
