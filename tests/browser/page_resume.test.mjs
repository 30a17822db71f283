/*
 * The promise that an answer is not lost: broken connections, reloads, two tabs, hosts that hold streams back.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answered, say } from './browser.mjs';
import { makeGate } from './fixture.mjs';
import { fixture, lastAnswer, open, page, pieces, texts } from './page_setup.mjs';

describe('an answer is not lost', () => {
  test('a connection that breaks is taken up again, without a gap or a repetition', async () => {
    const text = 'Zwölf Boxkämpfer jagen 😀 Viktor über den großen Sylter Deich. '.repeat(5);
    const gate = makeGate();
    fixture.reply = () => ({ deltas: pieces(text, 4), gate: gate.wait });
    await open();
    await say(page, 'x');
    gate.open(12);
    await page.waitForFunction((start) => document.querySelector('.answer-text')?.textContent.startsWith(start), text.slice(0, 40));
    fixture.cut();
    gate.open(100);
    await answered(page);
    assert.equal((await lastAnswer()).trim(), text.trim());
    assert.ok(fixture.requests.some((one) => one.path.startsWith('api/chat/stream/')));
  });

  test('a while without a network', async () => {
    const gate = makeGate();
    const text = 'word '.repeat(100);
    fixture.reply = () => ({ deltas: pieces(text, 5), gate: gate.wait });
    await open();
    await say(page, 'x');
    gate.open(20);
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.length > 50);
    await page.context().setOffline(true);
    fixture.cut();
    await page.waitForSelector('.waiting.reconnecting');
    gate.open(40);
    await page.waitForTimeout(1000);
    gate.open(40);
    await page.context().setOffline(false);
    await answered(page);
    assert.equal((await lastAnswer()).trim(), text.trim());
  });

  test('reload in the middle: it goes on and ends whole', async () => {
    const gate = makeGate();
    const text = 'Erste Hälfte – zweite Hälfte.';
    fixture.reply = () => ({ deltas: pieces(text, 4), gate: gate.wait });
    await open();
    await say(page, 'x');
    gate.open(3);
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.length > 8);
    await page.reload();
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.length > 8);
    assert.deepEqual(await texts('.bubble'), ['x']);
    gate.open(100);
    await answered(page);
    assert.equal((await lastAnswer()).trim(), text);
  });

  test('reload before the server was heard of: the question is still asked, once', async () => {
    fixture.reply = ({ message }) => ({ deltas: [`Now: ${message}`] });
    await open();
    // Neither the question nor the reply to it gets through.
    await page.route('**/api/chat/stream', () => {}, { times: 1 });
    await say(page, 'lost');
    await page.reload();
    await answered(page);
    await page.route('**/api/chat/stream', async (route) => {
      await route.fetch();
      await route.abort();
    }, { times: 1 });
    const arrived = page.waitForEvent('requestfailed');
    await say(page, 'arrived');
    await arrived;
    await page.reload();
    await page.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1)?.textContent.trim() === 'Now: arrived');
    await answered(page);
    assert.deepEqual(await texts('.bubble'), ['lost', 'arrived']);
    assert.equal(fixture.answers.size, 2);
    assert.equal(fixture.conversations.size, 1);

    await page.click('#new-chat');
    await page.route('**/api/chat/stream', () => {}, { times: 1 });
    await say(page, 'given up');
    await page.click('#new-chat');
    await Promise.all([page.waitForResponse(/api\/conversations$/), page.reload()]);
    assert.deepEqual(await texts('.bubble'), [], 'what one turned away from is not asked');
  });

  test('who comes back to the tab finds it as it was left, or the news if there are any', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    await page.evaluate(() => { document.querySelector('.message').seen = true; });
    const comeBack = () => Promise.all([page.waitForEvent('requestfinished', (request) => /conversations\/conv/.test(request.url())),
      page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))]);
    await comeBack();
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); }));
    assert.equal(await page.evaluate(() => document.querySelector('.message').seen), true);
    await page.click('[aria-label="Answer again"]');
    await answered(page);
    await comeBack();
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); }));
    assert.equal(await page.evaluate(() => document.querySelector('.message').seen), true, 'also after an answer was replaced');
    [...fixture.answers.values()][1].status = 'stopped';
    await comeBack();
    await page.waitForSelector('.notice >> text=Stopped');
  });

  test('Enter while an answer is found to be still running sends nothing later on by itself', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['half ', 'done'], gate: gate.wait });
    await open();
    await say(page, 'one');
    gate.open();
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.trim() === 'half');
    let arrive;
    const held = new Promise((resolve) => { arrive = resolve; });
    await page.route('**/api/conversations/conv*', async (route) => {
      await held;
      await route.continue();
    }, { times: 1 });
    await Promise.all([page.waitForRequest(/conversations\/conv/), page.reload()]);
    await say(page, 'two');
    arrive();
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.trim() === 'half');
    gate.open();
    await answered(page);
    [...fixture.answers.values()][0].status = 'stopped';
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await page.waitForSelector('.notice >> text=Stopped');
    assert.equal(await page.inputValue('#field'), 'two');
    assert.deepEqual(await texts('.bubble'), ['one']);
  });

  test('two tabs with one conversation stay in step', async () => {
    const gate = makeGate();
    await open();
    await say(page, 'one');
    await answered(page);
    const other = await page.context().newPage();
    await other.goto(fixture.url);
    await other.waitForSelector('.message.assistant[aria-busy="false"]');
    fixture.reply = () => ({ deltas: ['to ', 'both'], gate: gate.wait });
    await say(page, 'two');
    gate.open();
    await other.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1).textContent.trim() === 'to');
    gate.open();
    await other.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1).textContent.trim() === 'to both');
    assert.deepEqual(await other.$$eval('.bubble', (nodes) => nodes.map((node) => node.textContent)), ['one', 'two']);
  });

  test('two tabs: an answer made again replaces the first in both, and what a busy tab missed is shown when it has time', async () => {
    await open();
    await say(page, 'one');
    await answered(page);
    const other = await page.context().newPage();
    await other.goto(fixture.url);
    await answered(other);
    const shows = (tab, wanted) => tab.waitForFunction((list) => [...document.querySelectorAll('.bubble, .answer-text')]
      .map((node) => node.textContent.trim()).join() === list.join(), wanted);
    fixture.reply = ({ message, regenerate }) => ({ deltas: [regenerate ? 'Again.' : `Now: ${message}`] });
    await other.click('[aria-label="Answer again"]');
    for (const tab of [other, page]) await shows(tab, ['one', 'Again.']);

    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await other.route('**/api/chat/stream/*', async (route) => {
      await held;
      await route.continue();
    });
    for (const text of ['two', 'three']) {
      await say(page, text);
      await answered(page);
    }
    release();
    for (const tab of [page, other]) await shows(tab, ['one', 'Again.', 'two', 'Now: two', 'three', 'Now: three']);
  });

  test('a host that holds streams back: the page notices and asks by long-poll', async () => {
    const gate = makeGate();
    const text = 'slow but steady '.repeat(16);
    fixture.reply = () => ({ deltas: pieces(text, 16), gate: gate.wait, lump: true });
    await open();
    await say(page, 'x');
    gate.open(5);
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.length > 30, null, { timeout: 15_000 });
    assert.equal(await page.getAttribute('.message.assistant', 'aria-busy'), 'true', 'it shows text before the end');
    gate.open(11);
    await answered(page);
    assert.equal((await lastAnswer()).trim(), text.trim());
    const before = fixture.requests.length;
    fixture.reply = () => ({ deltas: ['fast', 'er'], delay: 20, lump: true });
    await say(page, 'y');
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant').length === 2);
    await answered(page);
    const asked = fixture.requests.slice(before).filter((one) => one.method === 'POST');
    assert.deepEqual(asked.map((one) => [one.path, one.body.deliver]), [['api/chat', 'poll']]);
    assert.equal(fixture.answers.size, 2, 'the same question was never asked twice');
  });
});
