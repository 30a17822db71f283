/*
 * One program, started in different ways: plain CGI, spawn-fcgi and lighttpd's bin-path (fd 0), a TCP port,
 * below a path; and the administrator's check-config.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PARLEY, eventually, parleyCommand, startParley, tempDir } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

/* The conversation that has to work however the program was started. */
async function converse(parley, name) {
  assert.equal((await parley.get('/api/health')).json.status, 'healthy');
  const first = await parley.post('/api/chat', { message: `${name} one mock:deltas=2` });
  assert.equal(first.status, 200, first.text);
  assert.equal(first.json.response, 'w0 w1 ');
  const second = await parley.post('/api/chat', { message: `${name} two mock:`, conversation_id: first.json.conversation_id });
  assert.equal(second.json.conversation_id, first.json.conversation_id);
  assert.equal(mock.calls(`${name} two`)[0].messages.filter((m) => m.role !== 'system').length, 3);

  const stream = await parley.stream('/api/chat/stream', { message: `${name} sse mock:deltas=5,delay=100` });
  await stream.ended;
  assert.equal(stream.text, 'w0 w1 w2 w3 w4 ');
  assert.equal(stream.frames.at(-1).data, '[DONE]');
  const spread = Number(stream.deltas.at(-1).at - stream.deltas[0].at) / 1e6;
  assert.ok(spread > 250, `the deltas came within ${spread} ms`);

  const bad = await parley.post('/api/chat', { message: '' });
  assert.equal(bad.status, 400);
  assert.equal(bad.json.code, 'invalid_message');
  assert.equal((await parley.get('/api/nothing')).status, 404);
  const page = await parley.get('/');
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
}

describe('started', { concurrency: 3 }, () => {
  for (const via of ['lighttpd', 'nginx', 'tcp', 'fd0-spawn-fcgi', 'bin-path', 'cgi']) {
    test(`as ${via}`, async () => {
      const parley = await startParley({ mock, via });
      try {
        await converse(parley, via);
      } finally {
        await parley.stop();
      }
    });
  }

  for (const via of ['lighttpd', 'nginx', 'fd0-spawn-fcgi']) {
    test(`below /chat behind ${via}`, async () => {
      const parley = await startParley({ mock, via, subPath: '/chat', env: { BASE_PATH: '/chat' } });
      try {
        await converse(parley, `sub-${via}`);
      } finally {
        await parley.stop();
      }
    });
  }

  for (const via of ['lighttpd', 'nginx']) {
    test(`with the shipped ${via} configuration`, async () => {
      const parley = await startParley({ mock, via, configs: 'shipped' });
      try {
        await converse(parley, `shipped-${via}`);
      } finally {
        await parley.stop();
      }
    });
  }
});

describe('as a plain CGI', () => {
  let parley;
  before(async () => { parley = await startParley({ mock, via: 'cgi' }); });
  after(async () => { await parley?.stop(); });

  test('many at once share the store', async () => {
    const replies = await Promise.all(Array.from({ length: 12 }, (_, i) =>
      parley.post('/api/chat', { message: `many mock:deltas=3,delay=10,text=<${i}>` })));
    replies.forEach((reply, i) => assert.equal(reply.json?.response, `<${i}>`.repeat(3), reply.text));
  });

  test('options in the query string are no options of the program', async () => {
    const reply = await parley.get('/api/health?check-config');
    assert.equal(reply.json?.status, 'healthy', reply.text);
  });

  test('the settings beside the program are not served', async () => {
    const base = parley.url.replace(/\/parley.cgi$/, '');
    assert.equal((await fetch(`${base}/.env`)).status, 403);
  });

  test('a client that hangs up ends the process and the provider\'s connection', async () => {
    const stream = await parley.stream('/api/chat/stream', { message: 'cgi-hangup mock:deltas=3,hang=1' });
    await stream.until((s) => s.deltas.length === 1);
    stream.abort(); /* nothing will be written that could fail: it is SIGTERM that tells */
    const [call] = mock.calls('cgi-hangup');
    const left = await Promise.race([call.left, new Promise((resolve) => { setTimeout(resolve, 3000, null).unref(); })]);
    assert.ok(left, 'the provider still holds its connection');
    const row = async () => (await parley.sql(`SELECT status, content FROM messages WHERE public_id = '${stream.first.message_id}'`))[0];
    assert.ok(await eventually(async () => (await row()).status !== 'streaming', 10000, 50), 'the row claims to be running');
    assert.deepEqual({ ...await row() }, { status: 'interrupted', content: 'w0 ' });
  });
});

describe('check-config', { concurrency: true }, () => {
  test('prints every option, hides secrets, names origins', async () => {
    const { code, stdout, stderr } = await parleyCommand(['check-config'], { env: { PARLEY_ENV: '/dev/null', OPENAI_API_KEY: 'sk-supersecret', MAX_STREAMS: '77' } });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout + stderr, /supersecret/);
    assert.match(stdout, /OPENAI_API_KEY.*\(secret, set\)/);
    assert.match(stdout, /MAX_STREAMS.*77.*environment/);
    for (const name of ['DATABASE_URL', 'LISTEN', 'WORKERS', 'MAX_MESSAGE_LENGTH', 'SYSTEM_PROMPT', 'CORS_ORIGIN']) assert.match(stdout, new RegExp(name));
  });

  test('reads .env beside the program, in the working directory, and by PARLEY_ENV; the environment wins', async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(path.join(dir, '.env'), '# a comment\nMAX_STREAMS=55\nBRAND_NAME="Shop & Co"\nOPENAI_MAX_TOKENS=10\n');
    const { code, stdout } = await parleyCommand(['check-config'], { cwd: dir, env: { MAX_STREAMS: '66', PARLEY_ENV: path.join(dir, '.env') } });
    assert.equal(code, 0);
    assert.match(stdout, /MAX_STREAMS.*66/);
    assert.match(stdout, /BRAND_NAME.*Shop & Co/);
    assert.match(stdout, /OPENAI_MAX_TOKENS.*10/);
  });

  test('names every wrong value and what is allowed, and exits 1', async () => {
    const { code, stdout, stderr } = await parleyCommand(['check-config'],
      { env: { PARLEY_ENV: '/dev/null', MAX_STREAMS: 'many', OPENAI_TEMPERATURE: '9', LOG_LEVEL: 'loud' } });
    assert.equal(code, 1);
    for (const words of [/MAX_STREAMS.*many/, /OPENAI_TEMPERATURE.*9/, /LOG_LEVEL.*loud.*(info|warn)/]) assert.match(stdout + stderr, words);
  });

  test('a wrong value stops serve before it listens', async (t) => {
    const dir = tempDir(t);
    const { code, stderr } = await parleyCommand(['serve', '--listen', `unix:${dir}/s`], { cwd: dir, env: { PARLEY_ENV: '/dev/null', MAX_STREAMS: '-1' } });
    assert.equal(code, 1);
    assert.match(stderr, /MAX_STREAMS/);
    assert.ok(!fs.existsSync(path.join(dir, 's')));
  });

  test('a libcurl that cannot be loaded stops serve and doctor, and nothing that asks no provider', async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(path.join(dir, 'libcurl.so.4'), 'no library');
    const env = { PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${dir}/p.db`, LD_LIBRARY_PATH: dir };
    const [serve, doctor, config, health] = await Promise.all([
      parleyCommand(['serve', '--listen', `unix:${dir}/s`], { env }), parleyCommand(['doctor'], { env }), parleyCommand(['check-config'], { env }),
      parleyCommand([], { env: { ...env, GATEWAY_INTERFACE: 'CGI/1.1', REQUEST_METHOD: 'GET', PATH_INFO: '/api/health', SERVER_PROTOCOL: 'HTTP/1.1' } }),
    ]);
    assert.equal(serve.code, 1);
    assert.match(serve.stderr, /"libcurl_unusable".*libcurl\.so\.4.*\nparley: libcurl\.so\.4 cannot be loaded/);
    assert.ok(!fs.existsSync(path.join(dir, 's')));
    assert.equal(doctor.code, 1);
    assert.match(doctor.stderr, /libcurl could not be started/);
    assert.equal(config.code, 0, config.stderr);
    assert.match(health.stdout, /^Status: 200[^]*healthy/);
  });

  test('a command that looks into the database makes no empty one in the wrong place', async (t) => {
    const dir = tempDir(t);
    const all = [['backup', path.join(dir, 'copy.db')], ['check-db'], ['keys', 'list'], ['audit'], ['usage'], ['purge', '--user', 'x'], ['knowledge', 'refresh']];
    const replies = await Promise.all(all.map((args) => parleyCommand(args, { cwd: dir, env: { PARLEY_ENV: '/dev/null', DATABASE_URL: 'sqlite:data/p.db' } })));
    for (const { code, stdout, stderr } of replies) {
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /There is no database sqlite:data\/p\.db.*PARLEY_ENV/);
    }
    assert.deepEqual(fs.readdirSync(dir), []);
  });

  test('output that cannot be written is no success', () => {
    for (const args of ['version', 'check-config']) {
      const { status, stderr } = spawnSync('sh', ['-c', `"$0" ${args} >/dev/full`, PARLEY], { env: { PATH: process.env.PATH, PARLEY_ENV: '/dev/null' }, encoding: 'utf8' });
      assert.equal(status, 1, args);
      assert.match(stderr, /the output cannot be written/);
    }
  });

  test('--help behind a command tells about it and does nothing else', async (t) => {
    const dir = tempDir(t);
    for (const args of [['backup', '--help'], ['status', '-h']]) {
      const { code, stdout } = await parleyCommand(args, { cwd: dir, env: { PARLEY_ENV: '/dev/null' } });
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^usage: parley ${args[0]} `));
    }
    assert.deepEqual(fs.readdirSync(dir), []);
  });

  test('no command and an unknown one say how it is used', async () => {
    for (const args of [[], ['dance']]) {
      const { code, stdout, stderr } = await parleyCommand(args, { env: { PARLEY_ENV: '/dev/null' } });
      assert.equal(code, 2);
      assert.match(stdout + stderr, /serve/);
    }
  });
});
