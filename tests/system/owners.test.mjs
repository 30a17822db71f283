/*
 * Who asks, and what is theirs: visitors, API keys and logins through lighttpd and nginx; addresses behind
 * proxies, https, erasing and purging. The store keeps what this file's unit tests (test_identity,
 * test_store_owners) look at from inside.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { openStream, parleyCommand, request, startParley } from './harness.mjs';

const run = promisify(execFile);
const FRONTS = ['lighttpd', 'nginx'];
const COOKIE = /^(parley_visitor(?:_x)?=v1\.vis_[\w-]{22}\.[\w-]{43}); Path=([^;]+); Max-Age=34560000; HttpOnly; SameSite=(Lax|None; Partitioned)(; Secure)?$/;
const random = (length) => Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'[byte % 64]).join('');

/* A visitor with a cookie jar, at one of the fronts. */
class Visitor {
  constructor(at, headers = {}) { this.at = at; this.headers = headers; this.cookie = null; }
  async ask(where, { method = 'POST', json, headers } = {}) {
    const all = { ...this.headers, ...headers, ...(this.cookie && { Cookie: this.cookie }) };
    const reply = await this.at.request(where, { method, ...(json && { json }), headers: all });
    for (const line of reply.headers['set-cookie'] ?? []) {
      this.setCookie = line;
      this.cookie = line.split(';')[0];
    }
    return reply;
  }
  chat(user_id, message = 'hello') { return this.ask('/api/chat/simple', { json: { user_id, message } }); }
}

function assertUnknown(reply) {
  assert.equal(reply.status, 404, reply.text);
  assert.equal(reply.json.code, 'unknown_user');
  assert.equal(reply.json.field, 'user_id');
}

const command = (parley, args, env = {}) => parleyCommand(args, { cwd: parley.dir,
  env: { PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${parley.db}`, LOG_LEVEL: 'error', ...env } });
const write = (parley, sql) => run('sqlite3', ['-cmd', '.timeout 5000', parley.db, sql]);

describe('USER_ID_ACCESS=owner', () => {
  let parley, key;
  before(async () => {
    parley = await startParley({ via: FRONTS, env: { USER_ID_ACCESS: 'owner', CORS_ORIGIN: 'https://shop.example' } });
    const made = await command(parley, ['keys', 'add', 'shop']);
    assert.equal(made.code, 0, made.stderr);
    key = made.stdout.trim();
  });
  after(() => parley.stop());

  for (const front of FRONTS) {
    describe(front, () => {
      let at;
      before(() => { at = parley.through(front); });

      test('a visitor gets one cookie, and is known again by it', async () => {
        const ada = new Visitor(at);
        const first = await ada.chat(`ada-${front}`, 'my number is 4711');
        assert.equal(first.status, 200, first.text);
        assert.match(ada.setCookie, COOKIE);
        assert.equal(COOKIE.exec(ada.setCookie)[2], '/');
        assert.doesNotMatch(ada.setCookie, /Secure/);
        const again = await ada.chat(`ada-${front}`);
        assert.equal(again.status, 200);
        assert.equal(again.headers['set-cookie'], undefined);
      });

      test('a second visitor finds nothing under the same user_id, and changes nothing', async () => {
        const user = `bob-${front}`;
        const bob = new Visitor(at);
        assert.equal((await bob.chat(user, 'the secret is swordfish')).status, 200);
        const rows = () => parley.sql(`SELECT m.id, m.content FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id WHERE c.user_id = '${user}'`);
        const kept = await rows();
        const eve = new Visitor(at);
        for (let i = 0; i < 2; i++) {
          const reply = await eve.chat(user, 'what is the secret?');
          assertUnknown(reply);
          assert.doesNotMatch(reply.text, /swordfish/);
        }
        assert.match(eve.setCookie, COOKIE);
        const stream = await openStream(`${at.url}/api/chat`, { method: 'POST', json: { user_id: user, message: 'and now?' } });
        await stream.ended;
        assert.equal(stream.status, 404);
        assert.deepEqual(await rows(), kept);
        assert.equal((await bob.chat(user)).status, 200);
      });

      test('a second visitor can neither read nor erase the history of a user_id', async (t) => {
        const where = `/api/chat/history/heidi-${front}`;
        const heidi = new Visitor(at);
        await heidi.chat(`heidi-${front}`, 'the secret is swordfish');
        const own = await heidi.ask(where, { method: 'GET' });
        if (own.json.code === 'unknown_path') return t.skip('this program has no histories');
        assert.equal(own.json.count, 1);
        const eve = new Visitor(at);
        for (const method of ['GET', 'DELETE']) {
          const reply = await eve.ask(where, { method });
          assertUnknown(reply);
          assert.doesNotMatch(reply.text, /swordfish/);
        }
        const site = new Visitor(at, { Authorization: `Bearer ${key}` });
        assert.equal((await site.ask(where, { method: 'GET' })).json.count, 1);
        assert.equal((await heidi.ask(where, { method: 'DELETE' })).status, 200);
        assert.equal((await heidi.ask(where, { method: 'GET' })).json.count, 0);
      });

      test('an API key acts for any user_id, and what it makes no visitor takes over', async () => {
        const site = new Visitor(at, { Authorization: `Bearer ${key}` });
        const carol = new Visitor(at);
        assert.equal((await carol.chat(`carol-${front}`)).status, 200);
        assert.equal((await site.chat(`carol-${front}`)).status, 200);
        assert.equal((await site.chat(`dave-${front}`)).status, 200);
        assertUnknown(await new Visitor(at).chat(`dave-${front}`));
        assert.equal(site.cookie, null);
        const [row] = await parley.sql(`SELECT owner_kind, owner_id FROM conversations WHERE user_id = 'dave-${front}'`);
        assert.deepEqual(row, { owner_kind: 'key', owner_id: 'shop' });
      });

      test('an altered cookie is a new visitor', async () => {
        const ada = new Visitor(at);
        await ada.chat(`frank-${front}`);
        const cookie = ada.cookie;
        const other_than = (c) => (c === 'A' ? 'Q' : 'A');
        for (const [from, to] of [[/.$/, other_than], [/(?<=vis_)./, other_than], [/v1/, 'v2']]) {
          const altered = cookie.replace(from, to);
          assert.notEqual(altered, cookie);
          const other = new Visitor(at);
          other.cookie = altered;
          assertUnknown(await other.chat(`frank-${front}`));
          assert.match(other.setCookie, COOKIE);
          assert.notEqual(other.cookie, altered);
        }
        assert.equal((await ada.chat(`frank-${front}`)).status, 200);
      });

      test('a wrong or revoked key is 401, whatever it asks for', async () => {
        for (const wrong of ['Bearer pk_0123456789abcdefghijkl', `Bearer ${key}x`, 'Bearer ', 'bearer nonsense']) {
          const reply = await new Visitor(at, { Authorization: wrong }).chat('anybody');
          assert.equal(reply.status, 401, wrong);
          assert.equal(reply.json.code, 'invalid_key');
          assert.equal(reply.headers['set-cookie'], undefined);
        }
        const made = await command(parley, ['keys', 'add', `short-${front}`]);
        const visitor = new Visitor(at, { Authorization: `Bearer ${made.stdout.trim()}` });
        assert.equal((await visitor.ask('/api/whoami', { method: 'GET' })).json.key, `short-${front}`);
        assert.equal((await command(parley, ['keys', 'revoke', `short-${front}`])).code, 0);
        assert.equal((await visitor.ask('/api/whoami', { method: 'GET' })).status, 401);
        assert.equal((await visitor.ask('/api/health', { method: 'GET' })).status, 200);
        const log = await command(parley, ['audit', '--limit', '50']);
        assert.match(log.stdout, /key_refused +none at 127\.0\.0\.1: pk_012345/);
        assert.match(log.stdout, new RegExp(`key_revoked +admin: short-${front}`));
      });

      test('a forged X-Forwarded-For or -Proto changes nothing', async () => {
        const reply = await at.get('/api/whoami', { headers: { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https' } });
        const { visitor, ...seen } = reply.json;
        assert.match(visitor, /^vis_[\w-]{8}$/);
        assert.deepEqual(seen, { address: '127.0.0.1', network: '127.0.0.1', key: null, login: null, scheme: 'http',
          forwarded_for: '203.0.113.9', trusted: false, limits: [] });
        assert.equal(reply.headers['set-cookie'], undefined);
        const ada = new Visitor(at, { 'X-Forwarded-Proto': 'https' });
        await ada.chat(`proto-${front}`);
        assert.doesNotMatch(ada.setCookie, /Secure/);
      });

      test('only what makes something sets a cookie', async () => {
        for (const where of ['/', '/chat', '/api/config', '/api/health', '/health', '/api/whoami', '/api/nothing']) {
          assert.equal((await at.get(where)).headers['set-cookie'], undefined, where);
        }
        const session = await at.post('/api/create-session', {});
        assert.match(session.headers['set-cookie'][0], COOKIE);
        assert.equal((await at.post('/api/chat/stop', { message_id: 'msg_nothing' })).headers['set-cookie'], undefined);
      });

      test('a visitor erases everything that is his, and his cookie', async () => {
        const grace = new Visitor(at);
        const henry = new Visitor(at);
        await grace.chat(`grace-${front}`);
        const support = await grace.ask('/api/chat', { json: { message: 'one more' } });
        await henry.chat(`henry-${front}`);
        const id = /vis_[\w-]{22}/.exec(grace.cookie)[0];
        const mine = `owner_id = '${id}'`;
        assert.equal((await parley.sql(`SELECT count(*) AS n FROM conversations WHERE ${mine}`))[0].n, 2);
        const cookie = grace.cookie;
        const reply = await grace.ask('/api/visitor', { method: 'DELETE' });
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.json.conversations, 2);
        assert.equal(reply.json.messages, 4);
        assert.match(grace.setCookie, /^parley_visitor=; Path=\/; Max-Age=0; HttpOnly/);
        assert.equal((await parley.sql(`SELECT count(*) AS n FROM conversations WHERE ${mine}`))[0].n, 0);
        assert.equal((await parley.sql(`SELECT count(*) AS n FROM visitors WHERE id = '${id}'`))[0].n, 0);
        assert.equal((await parley.sql('SELECT count(*) AS n FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)'))[0].n, 0);
        grace.cookie = cookie;
        const gone = await grace.ask('/api/chat', { json: { message: 'hello', conversation_id: support.json.conversation_id } });
        assert.equal(gone.json.code, 'unknown_conversation');
        assert.equal((await henry.chat(`henry-${front}`)).status, 200);
        assert.match((await command(parley, ['audit'])).stdout, new RegExp(`erased +visitor ${id.slice(0, 12)}: own data \\(2 conversations\\)`));
        const site = await new Visitor(at, { Authorization: `Bearer ${key}` }).ask('/api/visitor', { method: 'DELETE' });
        assert.equal(site.status, 403);
        assert.equal(site.json.code, 'not_a_visitor');
      });
    });
  }

  test('10,000 random ids find nothing', async () => {
    const tries = [
      () => ['/api/chat', { json: { message: 'x', conversation_id: `conv_${random(22)}` } }],
      () => ['/api/chat', { json: { message: 'x', sessionId: `session_${random(22)}_${Date.now()}` } }],
      () => [`/api/messages/msg_${random(22)}`, {}],
      () => [`/api/chat/stream/msg_${random(22)}`, {}],
    ];
    const counts = new Map();
    let left = 10000;
    const count = async () => (await parley.sql('SELECT count(*) AS n FROM messages'))[0].n;
    const stored = await count();
    await Promise.all(Array.from({ length: 24 }, async (_, lane) => {
      while (left-- > 0) {
        const [where, { json }] = tries[left % tries.length]();
        const reply = await request(parley.urls[FRONTS[lane % 2]] + where, { method: json ? 'POST' : 'GET', json });
        counts.set(reply.status, (counts.get(reply.status) ?? 0) + 1);
      }
    }));
    assert.deepEqual([...counts], [[404, 10000]]);
    assert.equal(await count(), stored);
  });

  test('the widget on a listed site is a visitor of its own, over http with a cookie for http', async () => {
    const widget = new Visitor(parley, { Origin: 'https://shop.example' });
    const reply = await widget.chat('widget');
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['access-control-allow-credentials'], 'true');
    assert.match(widget.setCookie, /^parley_visitor=.*SameSite=Lax$/);
  });

  test('the key beside the database is for its owner only, and outlives a restart', async () => {
    const ada = new Visitor(parley);
    await ada.chat('restart');
    assert.equal(fs.statSync(`${parley.db}.key`).mode & 0o777, 0o600);
    assert.equal(fs.statSync(`${parley.db}.key`).size, 32);
    await parley.stopParley();
    await parley.restart();
    await parley.through('nginx').get('/api/health');
    assert.equal((await ada.chat('restart')).status, 200);
    assertUnknown(await new Visitor(parley).chat('restart'));
  });

  test('a list of keys shows their beginnings and their use, never themselves', async () => {
    const { stdout } = await command(parley, ['keys', 'list']);
    const line = stdout.split('\n').find((text) => text.startsWith('shop '));
    assert.match(line, new RegExp(`^shop +${key.slice(0, 9)}\\.\\.\\. +made \\S+Z  used \\S+Z +valid`));
    assert.ok(!stdout.includes(key));
    assert.ok(!fs.readFileSync(parley.db).includes(key));
    assert.ok(!parley.logText().includes(key.slice(0, 12)));
  });
});

test('with USER_ID_ACCESS=open both visitors work, each with his own cookie', async (t) => {
  const parley = await startParley({ via: FRONTS, env: { USER_ID_ACCESS: 'open' } });
  t.after(() => parley.stop());
  for (const front of FRONTS) {
    const visitors = [new Visitor(parley.through(front)), new Visitor(parley.through(front))];
    for (const visitor of visitors) assert.equal((await visitor.chat(`shared-${front}`)).status, 200);
    assert.notEqual(visitors[0].cookie, visitors[1].cookie);
    const [{ n }] = await parley.sql(`SELECT count(*) AS n FROM conversations WHERE user_id = 'shared-${front}'`);
    assert.equal(n, 1);
  }
});

test('as a CGI, behind a path, the same visitor is known', async (t) => {
  const parley = await startParley({ via: 'cgi', env: { USER_ID_ACCESS: 'owner' } });
  t.after(() => parley.stop());
  const ada = new Visitor(parley);
  assert.equal((await ada.chat('cgi')).status, 200);
  assert.equal(COOKIE.exec(ada.setCookie)[2], '/cgi-bin/parley.cgi');
  assert.equal((await ada.chat('cgi')).status, 200);
  assertUnknown(await new Visitor(parley).chat('cgi'));
});

describe('behind a proxy that is trusted', () => {
  let parley;
  before(async () => {
    parley = await startParley({ via: FRONTS, env: { USER_ID_ACCESS: 'owner', TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8',
      CORS_ORIGIN: 'https://shop.example', FORCE_HTTPS: 'redirect', HSTS_SECONDS: '3600' } });
  });
  after(() => parley.stop());

  for (const front of FRONTS) {
    test(`${front}: the client is the rightmost hop that is not ours`, async () => {
      const at = parley.through(front);
      const seen = async (hops) => (await at.get('/api/whoami', { headers: { 'X-Forwarded-For': hops, 'X-Forwarded-Proto': 'https' } })).json;
      assert.equal((await seen('203.0.113.9')).address, '203.0.113.9');
      assert.equal((await seen('1.1.1.1, 203.0.113.9, 10.1.1.1')).address, '203.0.113.9');
      const six = await seen('2001:db8:1:2:3::4');
      assert.deepEqual([six.address, six.network, six.trusted, six.scheme], ['2001:db8:1:2:3::4', '2001:db8:1:2::/64', true, 'https']);
      assert.equal((await seen('nonsense')).address, '127.0.0.1');
    });

    test(`${front}: cookies are Secure by the real scheme, and fit for another site's page`, async () => {
      const at = parley.through(front);
      const own = new Visitor(at, { 'X-Forwarded-Proto': 'https' });
      assert.equal((await own.chat(`own-${front}`)).status, 200);
      assert.match(own.setCookie, /^parley_visitor=.*; SameSite=Lax; Secure$/);
      const widget = new Visitor(at, { 'X-Forwarded-Proto': 'https', Origin: 'https://shop.example' });
      assert.equal((await widget.chat(`widget-${front}`)).status, 200);
      assert.match(widget.setCookie, /^parley_visitor_x=.*; SameSite=None; Partitioned; Secure$/);
      assert.equal((await widget.chat(`widget-${front}`)).status, 200);
      assertUnknown(await widget.chat(`own-${front}`));
    });

    test(`${front}: http is sent to https, or refused`, async () => {
      const at = parley.through(front);
      const port = new URL(at.url).port;
      const page = await at.get('/chat?a=b', { headers: { Host: `chat.example:${port}` } });
      assert.equal(page.status, 308);
      assert.equal(page.headers.location, 'https://chat.example/chat?a=b');
      assert.equal(page.headers['strict-transport-security'], undefined);
      const post = await at.post('/api/chat', { message: 'hello' });
      assert.equal(post.status, 403);
      assert.equal(post.json.code, 'https_required');
      assert.equal((await at.get('/api/health')).status, 200);
      const secure = await at.get('/chat', { headers: { 'X-Forwarded-Proto': 'https' } });
      assert.equal(secure.status, 200);
      assert.equal(secure.headers['strict-transport-security'], 'max-age=3600');
    });
  }
});

describe('old conversations', () => {
  const DAY = 24 * 3600 * 1000;
  const age = (parley, user, days) => write(parley, `UPDATE conversations SET updated_ms = updated_ms - ${days * DAY} WHERE user_id = '${user}'; DELETE FROM leases;`);
  const users = async (parley) => (await parley.sql('SELECT user_id FROM conversations WHERE user_id IS NOT NULL ORDER BY user_id')).map((row) => row.user_id);

  test('parley purge erases by age, by user and by visitor, and says before what it would', async (t) => {
    const parley = await startParley({ env: { USER_ID_ACCESS: 'owner' } });
    t.after(() => parley.stop());
    const visitors = {};
    for (const user of ['old', 'new', 'named', 'visited']) {
      visitors[user] = new Visitor(parley);
      assert.equal((await visitors[user].chat(user)).status, 200);
    }
    await age(parley, 'old', 31);
    const purge = (...args) => command(parley, ['purge', ...args]);
    assert.match((await purge('--older-than', '30', '--dry-run')).stdout, /Would be erased: 1 conversations with 2 messages/);
    assert.equal((await users(parley)).length, 4);
    assert.match((await purge('--older-than', '30')).stdout, /Erased: 1 conversations with 2 messages/);
    assert.deepEqual(await users(parley), ['named', 'new', 'visited']);
    assert.match((await purge('--user', 'named')).stdout, /Erased: 1 /);
    const id = /vis_[\w-]{22}/.exec(visitors.visited.cookie)[0];
    assert.match((await purge('--visitor', id.slice(0, 12))).stdout, /Erased: 1 /);
    assert.deepEqual(await users(parley), ['new']);
    assert.equal((await parley.sql(`SELECT count(*) AS n FROM visitors WHERE id = '${id}'`))[0].n, 0);
    assert.equal((await parley.sql('SELECT count(*) AS n FROM messages'))[0].n, 2);
    assert.equal((await purge()).code, 1);
    assert.equal((await purge('--older-than', 'x')).code, 2);
    assert.equal((await purge('--user')).code, 2);
    assert.equal((await purge('--visitor', 'vis_')).code, 1);
    assert.equal((await command(parley, ['purge'], { RETENTION_DAYS: '30' })).code, 0);
    const { stdout } = await command(parley, ['audit']);
    assert.equal(stdout.match(/ purged /g).length, 3);
    assert.doesNotMatch(stdout, /hello|named/);
    assert.equal((await visitors.new.chat('new')).status, 200);
  });

  test('a worker erases what is older than RETENTION_DAYS, and empty sessions, by itself and once', async (t) => {
    const parley = await startParley({ workers: 3, env: { USER_ID_ACCESS: 'open', RETENTION_DAYS: '7', SESSION_TTL: '60' } });
    t.after(() => parley.stop());
    await parley.post('/api/chat/simple', { user_id: 'old', message: 'hello' });
    await parley.post('/api/chat/simple', { user_id: 'new', message: 'hello' });
    await parley.post('/api/create-session', {});
    await parley.stopParley();
    await age(parley, 'old', 8);
    await write(parley, 'UPDATE conversations SET updated_ms = updated_ms - 61000 WHERE contract = \'session\'');
    parley.logs.length = 0;
    await parley.restart();
    const line = await parley.waitLog('upkeep_done');
    assert.equal(line.conversations, 1);
    assert.equal(line.empty_sessions, 1);
    assert.deepEqual(await users(parley), ['new']);
    assert.equal((await parley.sql('SELECT count(*) AS n FROM leases'))[0].n, 1);
    await parley.stopParley();
    assert.equal(parley.logs.filter((one) => one.event === 'upkeep_done').length, 1);
    await parley.restart();
  });

  test('a CGI program does it, too', async (t) => {
    const parley = await startParley({ via: 'cgi', env: { USER_ID_ACCESS: 'open', RETENTION_DAYS: '7' } });
    t.after(() => parley.stop());
    await parley.post('/api/chat/simple', { user_id: 'old', message: 'hello' });
    await age(parley, 'old', 8);
    const before = (await parley.sql('SELECT count(*) AS n FROM conversations'))[0].n;
    assert.equal(before, 1);
    await parley.get('/api/health');
    await parley.waitLog((line) => line.event === 'upkeep_done' && line.conversations === 1);
    assert.deepEqual(await users(parley), []);
  });
});

test('wrong settings stop the start and say what is allowed', async () => {
  const check = (env) => parleyCommand(['check-config'], { env: { PARLEY_ENV: '/dev/null', ...env } });
  for (const [name, value, words] of [['TRUSTED_PROXIES', '10.0.0.0/33', /TRUSTED_PROXIES=10\.0\.0\.0\/33 .*networks/],
    ['USER_ID_ACCESS', 'everybody', /owner, open/], ['FORCE_HTTPS', 'on', /off, redirect/], ['RETENTION_DAYS', '-1', /RETENTION_DAYS=-1/]]) {
    const { code, stdout } = await check({ [name]: value });
    assert.equal(code, 1, name);
    assert.match(stdout, words);
  }
  const { stdout } = await check({ SECRET_KEY: 'do not show this one' });
  assert.doesNotMatch(stdout, /do not show/);
});
