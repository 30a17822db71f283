/*
 * Google sign-in of the Responses app: the whole way, the attacks, refresh and sign-out.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { events, startResponsesMock } from './mock_responses.mjs';
import { Page } from './responses_client.mjs';

const REDIRECT = 'http://localhost:3000/api/google/callback';
const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = (more = {}) => ({ iss: 'https://accounts.google.com', aud: 'client-1', exp: Math.floor(Date.now() / 1000) + 3600, sub: '1', ...more });
const idToken = (more) => `${b64({ alg: 'RS256' })}.${b64(claims(more))}.c2ln`;

describe('google sign-in', () => {
  let mock, parley;
  const codes = new Map();     /* code -> {challenge, more: extra members of the answer} */
  const revoked = new Set();
  let issued = 0;
  before(async () => {
    mock = await startResponsesMock();
    mock.on('POST /google/token', (call, res, json) => {
      const form = call.form;
      if (form.get('client_secret') !== 'secret-1' || form.get('client_id') !== 'client-1') return json(res, 401, { error: 'invalid_client' });
      if (form.get('grant_type') === 'refresh_token') {
        if (revoked.has(form.get('refresh_token'))) return json(res, 400, { error: 'invalid_grant' });
        return json(res, 200, { access_token: `fresh-${++issued}`, expires_in: 3600, token_type: 'Bearer' });
      }
      const known = codes.get(form.get('code'));
      codes.delete(form.get('code')); /* once only */
      const challenge = crypto.createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
      if (!known || known.challenge !== challenge || form.get('redirect_uri') !== REDIRECT) return json(res, 400, { error: 'invalid_grant' });
      return json(res, 200, { access_token: `ya29.a/${++issued}`, refresh_token: `1//r${issued}`, id_token: idToken(), expires_in: 3599, ...known.more });
    });
    mock.on('POST /google/revoke', (call, res) => { revoked.add(call.form.get('token')); res.end('{}'); });
    parley = await startParley({ workers: 1, env: { ...mock.env, GOOGLE_CLIENT_ID: 'client-1', GOOGLE_CLIENT_SECRET: 'secret-1', SECRET_KEY: 'a long enough secret' } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });

  const browser = () => new Page(parley.url, { state: { googleIntegrationEnabled: true } });
  const status = async (page) => JSON.parse((await page.request('/api/google/status')).text);
  /* To Google and, as Google does, back with a code. */
  async function leaveForGoogle(page, more) {
    const reply = await page.request('/api/google/auth');
    const to = new URL(reply.headers.location);
    const code = `4/0A${crypto.randomBytes(8).toString('hex')}`;
    codes.set(code, { challenge: to.searchParams.get('code_challenge'), more });
    return { reply, to, code, state: to.searchParams.get('state') };
  }
  const back = (page, { code, state }, more = '') =>
    page.request(`/api/google/callback?state=${state}&code=${encodeURIComponent(code)}${more}`);
  async function signIn(page, more) {
    const trip = await leaveForGoogle(page, more);
    const reply = await back(page, trip);
    assert.equal(reply.headers.location, '/?connected=1');
    return trip;
  }
  const expectLocation = (reply, where) => {
    assert.equal(reply.status, 307);
    assert.equal(reply.headers.location, where);
    const cleared = (reply.headers['set-cookie'] ?? []).filter((line) => /^gc_oauth_(state|verifier)=;.*1970/.test(line));
    assert.equal(cleared.length, 2, 'state and verifier are cleared');
  };

  test('the way there: PKCE, state, scopes, and cookies as the contract has them', async () => {
    const page = browser();
    assert.deepEqual(await status(page), { connected: false, oauthConfigured: true });
    const { reply, to } = await leaveForGoogle(page);
    assert.equal(reply.status, 307);
    assert.ok(to.href.startsWith(`${mock.url}/google/auth?`));
    const q = to.searchParams;
    assert.equal(q.get('redirect_uri'), REDIRECT);
    assert.equal(q.get('scope'), 'openid email profile https://www.googleapis.com/auth/calendar.events.readonly https://www.googleapis.com/auth/gmail.readonly');
    assert.deepEqual(['access_type', 'include_granted_scopes', 'prompt', 'code_challenge_method', 'client_id', 'response_type'].map((k) => q.get(k)),
      ['offline', 'true', 'consent', 'S256', 'client-1', 'code']);
    assert.match(q.get('state'), /^[\w-]{43}$/);
    const verifier = page.jar.cookies.get('gc_oauth_verifier');
    assert.match(verifier, /^[\w-]{43}$/);
    assert.equal(q.get('code_challenge'), crypto.createHash('sha256').update(verifier).digest('base64url'));
    assert.match(page.jar.cookies.get('responses_starter_session_id'), /^[0-9a-f]{32}$/);
    for (const line of reply.headers['set-cookie'].filter((l) => !l.startsWith('parley'))) {
      assert.match(line, /; Path=\/; .*HttpOnly; SameSite=lax$/);
      assert.doesNotMatch(line, /Secure/);
    }
    assert.match(reply.headers['set-cookie'].find((l) => l.startsWith('gc_oauth_state')), /Expires=.* GMT; Max-Age=600/);
  });

  test('the way back: tokens in percent-encoded cookies, connected, and used by the next turn', async () => {
    const page = browser();
    const trip = await leaveForGoogle(page);
    const reply = await back(page, trip, '&iss=https%3A%2F%2Faccounts.google.com&scope=openid%20email&authuser=0&prompt=consent');
    expectLocation(reply, '/?connected=1');
    assert.match(page.jar.cookies.get('gc_refresh_token'), /^1%2F%2Fr\d+$/);
    assert.match(page.jar.cookies.get('gc_access_token'), /^ya29\.a%2F\d+$/);
    assert.ok(Math.abs(Number(page.jar.cookies.get('gc_expires_at')) - Date.now() - 3599000) < 60000, 'milliseconds');
    assert.ok(page.jar.cookies.has('gc_id_token'));
    assert.match(reply.headers['set-cookie'].find((l) => l.startsWith('gc_access_token')), /Max-Age=604800; HttpOnly; SameSite=lax$/);
    assert.deepEqual(await status(page), { connected: true, oauthConfigured: true });
    await page.say('What is on my calendar?');
    const [calendar, mail] = mock.turns.at(-1).json.tools.slice(-2);
    const token = decodeURIComponent(page.jar.cookies.get('gc_access_token'));
    assert.deepEqual([calendar.server_label, calendar.connector_id, calendar.authorization, calendar.require_approval],
      ['GoogleCalendar', 'connector_googlecalendar', token, 'never']);
    assert.equal(mail.connector_id, 'connector_gmail');
  });

  test('a life that no token has is not believed', async () => {
    for (const expires_in of [9e15, -5]) {
      const page = browser();
      await signIn(page, { expires_in });
      assert.ok(Math.abs(Number(page.jar.cookies.get('gc_expires_at')) - Date.now() - 3600000) < 60000, `${expires_in}`);
    }
  });

  test('the store alone connects a browser whose token cookies are gone; nothing readable lies in it', async () => {
    const page = browser();
    await signIn(page);
    const access = decodeURIComponent(page.jar.cookies.get('gc_access_token'));
    for (const name of ['gc_access_token', 'gc_refresh_token', 'gc_id_token', 'gc_expires_at']) page.jar.cookies.delete(name);
    assert.equal((await status(page)).connected, true);
    await page.say('mail?');
    assert.equal(mock.turns.at(-1).json.tools.at(-1).authorization, access);
    const session = page.jar.cookies.get('responses_starter_session_id');
    for (const file of fs.readdirSync(parley.dir).filter((name) => name.startsWith('parley.db'))) {
      const bytes = fs.readFileSync(`${parley.dir}/${file}`);
      for (const secret of [access, '1//r', session]) assert.ok(!bytes.includes(secret), `${file} has ${secret}`);
    }
    assert.ok(!parley.logText().includes('ya29.a'));
  });

  test('a browser gets a new session with the tokens: one that was planted before opens nothing', async () => {
    const attacker = browser();
    await leaveForGoogle(attacker);
    const planted = attacker.jar.cookies.get('responses_starter_session_id');
    const victim = browser();
    victim.jar.cookies.set('responses_starter_session_id', planted);
    await signIn(victim);
    assert.notEqual(victim.jar.cookies.get('responses_starter_session_id'), planted);
    assert.equal((await status(attacker)).connected, false);
  });

  test('altered state, missing verifier, no session, refusal by the user, a wrong issuer', async () => {
    const cases = [
      ['altered state', (trip) => { trip.state = `${trip.state.slice(0, -1)}${trip.state.endsWith('A') ? 'B' : 'A'}`; }, 'invalid_state'],
      ['no state', (trip) => { trip.state = ''; }, 'invalid_state'],
      ['no verifier', (trip, page) => page.jar.cookies.delete('gc_oauth_verifier'), 'invalid_state'],
      ['no state cookie', (trip, page) => page.jar.cookies.delete('gc_oauth_state'), 'invalid_state'],
      ['no session', (trip, page) => page.jar.cookies.delete('responses_starter_session_id'), 'no-session'],
      ['odd session', (trip, page) => page.jar.cookies.set('responses_starter_session_id', '../../x'), 'no-session'],
      ['no code', (trip) => { trip.code = ''; }, 'invalid_state'],
      ['other verifier', (trip, page) => page.jar.cookies.set('gc_oauth_verifier', 'x'.repeat(43)), 'oauth_failed'],
      ['unknown code', (trip) => { trip.code = 'made-up'; }, 'oauth_failed'],
    ];
    for (const [name, change, error] of cases) {
      const page = browser();
      const trip = await leaveForGoogle(page);
      change(trip, page);
      const asked = mock.of('/google/token').length;
      expectLocation(await back(page, trip), `/?error=${error}`);
      assert.equal(mock.of('/google/token').length - asked, error === 'oauth_failed' ? 1 : 0, name);
      assert.ok(!page.jar.cookies.has('gc_access_token'), name);
      assert.equal((await status(page)).connected, false, name);
    }
    const refused = browser();
    const trip = await leaveForGoogle(refused);
    expectLocation(await refused.request(`/api/google/callback?error=access_denied&state=${trip.state}`), '/?error=invalid_state');
    const other = browser();
    expectLocation(await back(other, await leaveForGoogle(other), '&iss=https%3A%2F%2Fevil.example'), '/?error=oauth_failed');
  });

  test('a callback that is replayed leads nowhere', async () => {
    const page = browser();
    const trip = await leaveForGoogle(page);
    const cookies = new Map(page.jar.cookies);
    expectLocation(await back(page, trip), '/?connected=1');
    expectLocation(await back(page, trip), '/?error=invalid_state');
    const thief = browser();
    thief.jar.cookies = cookies; /* with the cookies of before: the code was good for once */
    expectLocation(await back(thief, trip), '/?error=oauth_failed');
  });

  test('an id token of another issuer, for another client, or expired is refused', async () => {
    for (const more of [{ iss: 'https://evil.example' }, { aud: 'client-2' }, { exp: 1 }]) {
      const page = browser();
      expectLocation(await back(page, await leaveForGoogle(page, { id_token: idToken(more) })), '/?error=oauth_failed');
    }
    const page = browser();
    expectLocation(await back(page, await leaveForGoogle(page, { id_token: 'garbage' })), '/?error=oauth_failed');
    expectLocation(await back(page, await leaveForGoogle(page, { access_token: undefined })), '/?error=oauth_failed');
  });

  test('two browsers at once do not meet', async () => {
    const [a, b] = [browser(), browser()];
    const [ta, tb] = await Promise.all([leaveForGoogle(a), leaveForGoogle(b)]);
    expectLocation(await back(a, { code: ta.code, state: tb.state }), '/?error=invalid_state');
    const again = await leaveForGoogle(a);
    const [ra, rb] = await Promise.all([back(a, again), back(b, tb)]);
    expectLocation(ra, '/?connected=1');
    expectLocation(rb, '/?connected=1');
    assert.notEqual(a.jar.cookies.get('gc_access_token'), b.jar.cookies.get('gc_access_token'));
  });

  test('an expired token is refreshed before the stream\'s head, and its cookies are set there', async () => {
    const page = browser();
    await signIn(page);
    page.jar.cookies.set('gc_expires_at', String(Date.now() + 20000)); /* less than 30 s left */
    page.jar.lines.length = 0;
    mock.answer(() => events.text('ok'));
    assert.equal(await page.say('refresh'), 'ok');
    const token = mock.turns.at(-1).json.tools.at(-1).authorization;
    assert.match(token, /^fresh-/);
    assert.equal(page.jar.cookies.get('gc_access_token'), token);
    assert.ok(page.jar.lines.some((l) => l.startsWith('gc_refresh_token=1%2F%2Fr')), 'the old refresh token is kept');
    assert.ok(Number(page.jar.cookies.get('gc_expires_at')) > Date.now() + 3000000);
    const asked = mock.of('/google/token').length;
    await page.say('not again');
    assert.equal(mock.of('/google/token').length, asked);
  });

  test('a refresh that fails is silent, and only with the integration on is there one', async () => {
    const page = browser();
    await signIn(page);
    revoked.add(decodeURIComponent(page.jar.cookies.get('gc_refresh_token')));
    page.jar.cookies.set('gc_expires_at', '1000');
    const old = decodeURIComponent(page.jar.cookies.get('gc_access_token'));
    mock.answer(() => events.text('still here'));
    assert.equal(await page.say('revoked'), 'still here');
    assert.equal(mock.turns.at(-1).json.tools.at(-1).authorization, old);
    page.state.googleIntegrationEnabled = false;
    const asked = mock.of('/google/token').length;
    await page.say('without');
    assert.equal(mock.of('/google/token').length, asked);
    assert.ok(!mock.turns.at(-1).body.includes(old));
  });

  test('disconnect forgets here and revokes there', async () => {
    const page = browser();
    await signIn(page);
    const refresh = decodeURIComponent(page.jar.cookies.get('gc_refresh_token'));
    const session = page.jar.cookies.get('responses_starter_session_id');
    const reply = await page.request('/api/google/disconnect', { method: 'POST' });
    assert.deepEqual(JSON.parse(reply.text), { connected: false, revoked: true });
    assert.ok(revoked.has(refresh));
    assert.ok(![...page.jar.cookies.keys()].some((name) => name.startsWith('gc_')));
    page.jar.cookies.set('responses_starter_session_id', session);
    assert.equal((await status(page)).connected, false);
    assert.deepEqual(JSON.parse((await page.request('/api/google/disconnect', { method: 'POST' })).text), { connected: false, revoked: false });
    assert.equal((await page.request('/api/google/disconnect')).status, 405);
    /* Google does not want to hear of it: here it is forgotten all the same. */
    await signIn(page);
    const usual = mock.handlers.get('POST /google/revoke');
    mock.on('POST /google/revoke', (call, res) => { res.writeHead(400); res.end('{"error":"invalid_token"}'); });
    assert.deepEqual(JSON.parse((await page.request('/api/google/disconnect', { method: 'POST' })).text), { connected: false, revoked: false });
    mock.on('POST /google/revoke', usual);
    assert.equal((await status(page)).connected, false);
    page.state.googleIntegrationEnabled = true;
    await page.say('calendar?');
    assert.ok(!JSON.stringify(mock.turns.at(-1).json.tools).includes('connector_'), 'without a token the two are left out');
  });

  test('a browser that signs out while a turn refreshes its token stays signed out', async () => {
    const page = browser();
    await signIn(page);
    page.jar.cookies.set('gc_expires_at', '1000');
    const usual = mock.handlers.get('POST /google/token');
    let answer;
    const asked = new Promise((resolve) => mock.on('POST /google/token', (call, res, json) => {
      answer = () => json(res, 200, { access_token: 'late', expires_in: 3600 });
      resolve();
    }));
    mock.answer(() => events.text('without'));
    const said = page.say('slow');
    await asked;
    await page.request('/api/google/disconnect', { method: 'POST' });
    answer();
    mock.on('POST /google/token', usual);
    assert.equal(await said, 'without');
    assert.ok(![...page.jar.cookies.keys()].some((name) => name.startsWith('gc_')));
    assert.equal((await status(page)).connected, false);
    assert.ok(!JSON.stringify(mock.turns.at(-1).json.tools).includes('connector_'));
  });

  test('erasing the visitor takes his tokens along', async () => {
    const page = browser();
    await signIn(page);
    for (const name of [...page.jar.cookies.keys()].filter((n) => n.startsWith('gc_'))) page.jar.cookies.delete(name);
    assert.equal((await status(page)).connected, true);
    await page.request('/api/visitor', { method: 'DELETE' });
    assert.equal((await status(page)).connected, false);
  });
});

test('without a client id sign-in says so in JSON; with https the cookies are Secure', async () => {
  const mock = await startResponsesMock();
  const plain = await startParley({ workers: 1, env: mock.env });
  const https = await startParley({ workers: 1, env: { ...mock.env, GOOGLE_CLIENT_ID: 'c', GOOGLE_CLIENT_SECRET: 's',
    GOOGLE_REDIRECT_URI: 'https://chat.example.org/api/google/callback' } });
  try {
    const refused = await plain.get('/api/google/auth');
    assert.equal(refused.status, 500);
    assert.ok(refused.json.error);
    assert.deepEqual((await plain.get('/api/google/status')).json, { connected: false, oauthConfigured: false });
    const reply = await https.get('/api/google/auth');
    assert.ok(reply.headers['set-cookie'].filter((l) => l.startsWith('gc_')).every((l) => /; Secure; HttpOnly/.test(l)));
  } finally {
    await plain.stop();
    await https.stop();
    await mock.stop();
  }
});
