/*
 * The page when something fails: what it says, what it keeps, what it offers.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answered, openPage, say, shoot } from './browser.mjs';
import { makeGate, startFixture } from './fixture.mjs';
import { browser, fixture, lastAnswer, open, page, texts, useFixture, usePage } from './page_setup.mjs';

const refuse = (status, code, more = {}) => ({ refuse: { status, body: { error: `English: ${code}.`, code, ...more } } });
const breakOff = (code, ...deltas) => ({ deltas, error: { error: `English: ${code}.`, code } });
/* What may come instead of an answer, and what is to be read then. `final`: the same once more would fail again. */
const TROUBLES = [
  { name: 'over the limit', reply: refuse(429, 'rate_limited', { retry_after: 42 }), says: /^Zu viele Nachrichten .* 42 s/ },
  { name: 'nothing left to spend', reply: refuse(429, 'budget_exhausted', { retry_after: 7200 }), says: /^Das Kontingent .* 2 Std/ },
  { name: 'the provider is down', reply: refuse(503, 'provider_unavailable'), says: /^Das Sprachmodell konnte nicht antworten/ },
  { name: 'the provider is slow', reply: refuse(504, 'provider_timeout'), says: /^Die Antwort hat zu lange gedauert/ },
  { name: 'the provider refuses', reply: refuse(502, 'provider_auth'), says: /^Das Sprachmodell konnte nicht antworten/ },
  { name: 'no such model', reply: refuse(400, 'unknown_model'), says: /^Dieses Modell ist nicht verfügbar/ },
  { name: 'no such provider', reply: refuse(400, 'unknown_provider'), says: /^Dieses Modell ist nicht verfügbar/ },
  { name: 'too long', reply: refuse(400, 'invalid_message', { field: 'message' }), says: /^Die Nachricht ist zu groß/, final: true },
  { name: 'too large', reply: refuse(413, 'request_too_large'), says: /^Die Nachricht ist zu groß/, final: true },
  { name: 'a wrong key', reply: refuse(401, 'invalid_key'), says: /^Dieser Chat lässt Sie nicht hinein/ },
  { name: 'not from here', reply: refuse(403, 'not_allowed_here'), says: /^Dieser Chat lässt Sie nicht hinein/ },
  { name: 'it restarts', reply: refuse(503, 'overloaded', { retry_after: 5 }), says: /^Der Server ist ausgelastet.* 5 s/ },
  { name: 'it restarted before the first word', reply: breakOff('interrupted'), says: /^Die Antwort wurde unterbrochen/ },
  { name: 'the model breaks off', reply: breakOff('provider_stream_cut', 'Halb'), says: /^Das Sprachmodell konnte nicht antworten/, kept: 'Halb' },
  { name: 'its own fault', reply: refuse(500, 'internal_error'), says: /^Auf dem Server ist etwas schiefgegangen/ },
  { name: 'a web server without Parley', reply: { refuse: { status: 502, html: '<h1>Bad Gateway</h1>' } }, says: /^Auf dem Server ist etwas schiefgegangen/ },
  { name: 'a web server that waits no longer', reply: { refuse: { status: 504, html: '<h1>Timeout</h1>' } }, says: /^Die Antwort hat zu lange gedauert/ },
  { name: 'an answer of nothing', reply: { deltas: [] }, says: /^Das Modell hat leer geantwortet/ },
];

describe('when something fails', () => {
  test('each kind is told in the language of the page, keeps what was typed, and can be repeated where that may help', async () => {
    await open({ locale: 'de-DE' });
    for (const { name, reply, says, final, kept } of TROUBLES) {
      fixture.reply = () => reply;
      await say(page, name);
      await answered(page);
      const notice = page.locator('.message.assistant:last-child .notice.error');
      assert.match(await notice.locator('span').textContent(), says, name);
      assert.doesNotMatch(await notice.textContent(), /English/, name);
      assert.equal((await texts('.bubble')).at(-1), name);
      if (kept) assert.equal((await lastAnswer()).trim(), kept);
      assert.equal(await notice.locator('button').count(), final ? 0 : 1, name);
      assert.equal(await page.inputValue('#field'), final ? name : '', name);
      if (final) continue;
      fixture.reply = () => ({ deltas: [`Ja: ${name}`] });
      await page.fill('#field', 'inzwischen getippt');
      await notice.locator('button').click();
      await page.waitForFunction((text) => document.querySelector('.message.assistant:last-child .answer-text')?.textContent.trim() === text, `Ja: ${name}`);
      await answered(page);
      assert.equal(await page.inputValue('#field'), 'inzwischen getippt', name);
      await page.fill('#field', '');
    }
    assert.equal(await page.locator('.notice.error').count(), TROUBLES.filter((one) => one.final).length, 'what was repeated is mended');
    assert.deepEqual(await texts('.bubble'), TROUBLES.map((one) => one.name), 'and nothing was asked twice');
  });

  test('a model that is gone is repeated with the one chosen instead', async () => {
    fixture.models.models.push({ id: 'mock-2', name: 'Mock Two', provider: 'mock' });
    fixture.reply = (body) => (body.model === 'mock-2' ? refuse(400, 'unknown_model') : { deltas: ['Here.'] });
    await open();
    await page.selectOption('#model', { label: 'Mock Two' });
    await say(page, 'x');
    await answered(page);
    await page.selectOption('#model', { label: 'Mock One' });
    await page.click('.notice.error button');
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.includes('Here.'));
  });

  test('over the limit: the page says when to come back, and tries again on request', async () => {
    fixture.reply = () => ({ refuse: { status: 429, body: { error: 'Too many.', code: 'rate_limited', retry_after: 42 } } });
    await open();
    await say(page, 'again');
    await answered(page);
    assert.match(await page.textContent('.notice.error'), /Too many messages for now\. Please try again in 42 s\./);
    await shoot(page, 'page-limit');
    fixture.reply = () => ({ deltas: ['Now it works.'] });
    await page.click('.notice button');
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.includes('Now it works.'));
    await answered(page);
    const asked = fixture.requests.filter((one) => one.path === 'api/chat/stream');
    assert.equal(asked[0].body.client_message_id, asked[1].body.client_message_id, 'a repeated send is the same message');
    assert.deepEqual(await texts('.bubble'), ['again']);
  });

  test('the server is away: the page says so, keeps what is typed, and finds it again', async () => {
    await open();
    const { port } = new URL(fixture.url);
    await fixture.close();
    await page.fill('#field', 'hello?');
    await page.press('#field', 'Enter');
    await answered(page);
    assert.match(await page.textContent('.notice.error'), /cannot be reached/);
    await page.waitForSelector('.status.down');
    await page.waitForSelector('#banner-offline');
    await page.fill('#field', 'typed meanwhile');
    await shoot(page, 'page-away');
    useFixture(await startFixture({ port: Number(port) }));
    await page.waitForSelector('.status.up', { timeout: 15_000 });
    await page.click('.notice button');
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.includes('You said: hello?'));
    assert.equal(await page.inputValue('#field'), 'typed meanwhile');
    await page.reload();
    assert.equal(await page.inputValue('#field'), 'typed meanwhile');
  });

  test('a failure in the middle keeps the text and says what happened', async () => {
    fixture.reply = () => ({ deltas: ['Half an '], error: { error: 'The model stopped answering.', code: 'upstream_cut' } });
    await open();
    await say(page, 'x');
    await answered(page);
    assert.equal((await lastAnswer()).trim(), 'Half an');
    assert.match(await page.textContent('.notice.error'), /The model stopped answering\./);
    assert.equal(await page.isVisible('.notice.error button'), true);
  });

  test('an answer that the server had to break off can be continued', async () => {
    fixture.reply = (body) => (body.go_on ? { deltas: ['and goes on.'] }
      : { deltas: ['It begins '], error: { error: 'The server is being restarted.', code: 'interrupted' } });
    await open();
    await say(page, 'x');
    await answered(page);
    assert.match(await page.textContent('.notice'), /interrupted/);
    await page.click('.notice >> text=Continue');
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
    assert.deepEqual((await texts('.answer-text')).map((text) => text.trim()), ['It begins', 'and goes on.']);
  });

  test('an answer whose beginning the server lost is made anew where Continue is asked for', async () => {
    fixture.reply = (body) => (body.regenerate ? { deltas: ['The whole of it.'] }
      : { deltas: ['It begins '], error: { error: 'The server is being restarted.', code: 'interrupted' } });
    await open();
    await page.route('**/continue', (route) => route.fulfill({ status: 409, contentType: 'application/json',
      body: JSON.stringify({ error: 'There is nothing to go on with.', code: 'answer_complete', status: 'error' }) }));
    await say(page, 'x');
    await answered(page);
    await page.click('.notice >> text=Continue');
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.trim() === 'The whole of it.');
    await answered(page);
    assert.deepEqual((await texts('.answer-text')).map((text) => text.trim()), ['The whole of it.']);
    assert.equal(await page.isVisible('.notice'), false);
  });

  test('a question that was refused is still there when one comes back to the tab', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    await page.click('[aria-label="Answer again"]');
    await page.waitForFunction(() => document.querySelector('.message:last-child [aria-label="Copy answer"]'));
    await answered(page);
    fixture.reply = () => refuse(429, 'rate_limited');
    await say(page, 'two');
    await page.waitForSelector('.notice.error');
    await Promise.all([page.waitForEvent('requestfinished', (request) => /conversations\/conv/.test(request.url())),
      page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))]);
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); }));
    assert.deepEqual(await texts('.bubble'), ['one', 'two']);
    assert.equal(await page.isVisible('.notice.error button'), true);
  });

  test('a question that failed is asked again where the conversation is now, though another was asked since', async () => {
    fixture.reply = ({ message }) => (message === 'limited' ? refuse(429, 'rate_limited') : breakOff('provider_stream_cut', 'Half'));
    await open();
    await say(page, 'limited');
    await answered(page);
    await say(page, 'broken');
    await answered(page);
    fixture.reply = ({ message }) => ({ deltas: [`Now: ${message}`] });
    await say(page, 'other');
    await answered(page);
    for (const text of ['limited', 'broken']) {
      await page.locator('.notice.error button').first().click();
      await page.waitForFunction((wanted) => [...document.querySelectorAll('.answer-text')].at(-1).textContent.trim() === wanted, `Now: ${text}`);
      await answered(page);
    }
    assert.deepEqual(await texts('.bubble'), ['other', 'limited', 'broken']);
    assert.equal(new Set(fixture.requests.filter((one) => one.method === 'POST').map((one) => one.body.client_message_id)).size, 5,
      'under its old name the server would give the answer that failed');
    assert.equal(await page.locator('.message').count(), 6);
    assert.equal(fixture.conversations.size, 1);
  });

  test('nothing, garbage or a web page instead of a stream is an error, not a hang', async () => {
    const raws = { nothing: '', garbage: '\0\xff\n\ndata: {"content":\n\ndata: 7\n\ndata: null\n\n', page: '<html>502</html>' };
    fixture.reply = ({ message }) => ({ raw: raws[message] });
    await open();
    const tabs = [page, await page.context().newPage(), await page.context().newPage()];
    await Promise.all(Object.keys(raws).map(async (name, i) => {
      if (i) await tabs[i].goto(fixture.url);
      await say(tabs[i], name);
      await answered(tabs[i]);
      assert.equal(await tabs[i].isVisible('.notice.error button'), true, name);
    }));
    for (const [contentType, body] of [['text/html', '<h1>Please sign in to this network</h1>'], ['application/json', 'null']]) {
      await page.route('**/api/chat/stream', (route) => route.fulfill({ contentType, body }), { times: 1 });
      await page.click('.message:last-child .notice button');
      await page.waitForFunction(() => document.querySelector('.message:last-child .notice span')?.textContent === 'The server sent something unreadable.');
    }
    assert.deepEqual(page.problems.filter((one) => !/status of/.test(one)), []);
  });

  /* Keep requests waiting until the function that it gives is called. */
  async function hold(pattern) {
    let go;
    const held = new Promise((resolve) => { go = resolve; });
    await page.route(pattern, async (route) => {
      await held;
      await route.continue();
    });
    return go;
  }
  /* Keep a reply, as it is now, until the function that it gives is called, which resolves when the page has seen it. */
  async function holdReply(pattern) {
    let go;
    let tell;
    const held = new Promise((resolve) => { go = resolve; });
    const asked = new Promise((resolve) => { tell = resolve; });
    await page.route(pattern, async (route) => {
      const response = await route.fetch();
      tell();
      await held;
      await route.fulfill({ response });
    });
    return Object.assign(async () => {
      const seen = page.waitForEvent('requestfinished', (request) => request.url().includes('/api/conversations/conv'));
      go();
      await seen;
      await page.evaluate(() => new Promise(requestAnimationFrame));
    }, { asked });
  }
  const questions = () => fixture.requests.filter((one) => one.path === 'api/chat/stream').map((one) => one.body);

  test('who types faster than the server says how it is configured loses nothing', async () => {
    usePage(await openPage(browser));
    fixture.config.features.tool_calls = true;
    const configured = await hold('**/api/config');
    const sent = await hold('**/api/chat/stream');
    await page.goto(fixture.url);
    await say(page, 'early bird');
    const listed = page.waitForResponse(/api\/conversations$/);
    configured();
    await listed;
    sent();
    await answered(page);
    assert.deepEqual(await texts('.bubble'), ['early bird']);
    assert.equal((await lastAnswer()).trim(), 'You said: early bird');
    assert.equal(questions()[0].tool_calls, true, 'asked for what the server turned out to be able to');
  });

  test('who types faster than the page gets its script keeps that rather than an older draft', async () => {
    usePage(await openPage(browser));
    await page.addInitScript(() => sessionStorage.setItem('parley.draft', 'older'));
    const script = await hold('**/assets/page-*.js');
    await page.goto(fixture.url, { waitUntil: 'commit' });
    await page.fill('#field', 'early');
    script();
    await page.waitForSelector('.status.up');
    assert.equal(await page.inputValue('#field'), 'early');
  });

  test('who types faster than the models are listed gets the one that was chosen', async () => {
    fixture.models.models.push({ id: 'mock-2', name: 'Mock Two', provider: 'mock' });
    usePage(await openPage(browser, fixture.url));
    await page.selectOption('#model', 'mock/mock-2');
    const listed = await hold('**/api/models');
    await page.reload();
    await say(page, 'early bird');
    listed();
    await answered(page);
    assert.equal(questions()[0].model, 'mock-2');
  });

  test('who types faster than a look for news comes back keeps what was asked meanwhile', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    await page.reload();
    await answered(page);
    const arrived = await holdReply('**/api/conversations/conv*');
    [...fixture.conversations.values()][0].messages[1].status = 'interrupted';
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await arrived.asked;
    await say(page, 'two');
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
    await arrived();
    assert.deepEqual(await texts('.bubble'), ['one', 'two']);
  });

  test('who types faster than a conversation opens asks in that one, below what was said there', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    await page.click('#new-chat');
    await say(page, 'two');
    await answered(page);
    const [first] = fixture.conversations.keys();
    const arrived = await holdReply('**/api/conversations/conv*');
    await page.click('#conversations .title >> text=one');
    await arrived.asked;
    await say(page, 'three');
    assert.equal(await page.inputValue('#field'), 'three');
    await arrived();
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
    assert.deepEqual(await texts('.bubble'), ['one', 'three']);
    assert.equal(questions().at(-1).conversation_id, first);
    assert.equal(await page.inputValue('#field'), '');
  });

  test('a conversation that cannot be opened is where one asks all the same; one that is gone leaves room for a new one', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    await page.click('#new-chat');
    await say(page, 'two');
    await answered(page);
    const [first, second] = fixture.conversations.keys();
    await page.route(`**/api/conversations/${first}`, (route) => route.fulfill({ status: 500, body: '' }));
    await page.click('#conversations .title >> text=one');
    await page.waitForSelector('.notice.error');
    await say(page, 'three');
    await answered(page);
    assert.equal(questions().at(-1).conversation_id, first);
    fixture.conversations.delete(second);
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['half ', 'done'], gate: gate.wait });
    await say(page, 'four');
    gate.open();
    await page.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1).textContent.trim() === 'half');
    await page.click('#conversations .title >> text=two');
    await page.waitForSelector('.greeting');
    assert.match(await page.textContent('.banner'), /does not exist any more/);
    await page.waitForFunction(() => document.querySelectorAll('#conversations .title').length === 1);
  });

  test('a server that does not say how it is configured is asked all the same', async () => {
    usePage(await openPage(browser));
    const never = await hold('**/api/config');
    await page.goto(fixture.url);
    await say(page, 'anyone there?');
    await answered(page);
    assert.equal((await lastAnswer()).trim(), 'You said: anyone there?');
    never();
  });

  test('a conversation that is gone does not lose the question', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    fixture.conversations.clear();
    await say(page, 'two');
    await page.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1)?.textContent.includes('You said: two'));
    await answered(page);
    assert.deepEqual(await texts('.bubble'), ['one', 'two']);
  });
});
