/*
 * The whole of it: Chromium, lighttpd, parley, a mock provider. The other tests of this folder play the server; this one
 * proves that the real one and the page understand each other.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { startParley } from '../system/harness.mjs';
import { startMock } from '../system/mock_provider.mjs';
import { answered, launch, openPage, say, shoot } from './browser.mjs';

let browser;
let mock;
let parley;
let page;

before(async () => {
  [browser, mock] = await Promise.all([launch(), startMock()]);
  parley = await startParley({ mock, via: ['lighttpd', 'nginx'] });
});
after(async () => {
  await browser?.close();
  await parley?.stop();
  await mock?.stop();
});
afterEach(async () => {
  await page?.context().close();
  page = null;
});

for (const front of ['lighttpd', 'nginx'])
  test(`a message typed in the page gets an answer that grows (${front})`, async () => {
    page = await openPage(browser, `${parley.urls[front]}/`);
    await page.waitForSelector('.status.up');
    await say(page, `Hello ${front} mock:deltas=5,step=1`);
    const call = await mock.waitCall(`Hello ${front}`);
    for (const words of ['w0', 'w0 w1', 'w0 w1 w2', 'w0 w1 w2 w3']) {
      // The provider has said no more than this, and waits until it is on the screen.
      await page.waitForFunction((wanted) => document.querySelector('.answer-text')?.textContent.trim() === wanted, words);
      call.step();
    }
    await answered(page);
    assert.equal((await page.textContent('.answer-text')).trim(), 'w0 w1 w2 w3 w4');
    assert.match(await page.textContent('.usage'), /16 tokens/);
    const rows = await parley.sql("select content from messages where role = 'assistant' order by rowid desc limit 1");
    assert.match(rows[0].content, /^w0 w1 w2 w3 w4/);
    await shoot(page, `end-to-end-${front}`);
    assert.deepEqual(page.problems.filter((one) => !/status of 404/.test(one)), []);
  });

test('the page goes on in the same conversation', async () => {
  page = await openPage(browser, `${parley.url}/chat`);
  await say(page, 'My first question mock:deltas=1');
  await answered(page);
  await say(page, 'My second question mock:deltas=1');
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
  const call = await mock.waitCall('My second question');
  assert.ok(call.messages.some((message) => message.content.includes('My first question')));
});

test('a cookie that was altered makes a new visitor, whose question is answered all the same', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'Before mock:deltas=1');
  await answered(page);
  const cookies = await page.context().cookies();
  assert.ok(cookies.length > 0);
  await page.context().addCookies(cookies.map((cookie) => ({ ...cookie, value: `${cookie.value.slice(0, -2)}xx` })));
  await say(page, 'After mock:deltas=1');
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
  assert.equal((await page.textContent('.message.assistant:last-child .answer-text')).trim(), 'w0');
  assert.equal(await page.locator('.notice.error').count(), 0);
});

test('a provider that fails is told in the page, with a way to try again', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'x mock:status=401');
  await answered(page);
  assert.equal(await page.isVisible('.notice.error button'), true);
  assert.doesNotMatch(await page.textContent('#log'), /verysecret/);
  await page.click('.notice.error button');
  await page.waitForSelector('.notice.error button');
  mock.script(({ question }) => (/status=401/.test(question) ? { deltas: 2 } : undefined));
  await page.click('.notice.error button');
  await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.trim() === 'w0 w1');
  await answered(page);
  await page.reload();
  await answered(page);
  assert.equal(await page.locator('.message').count(), 2, 'nothing of what failed before is left');
  await say(page, 'y mock:deltas=5,cut=2');
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
  assert.match(await page.textContent('.message.assistant:last-child .answer-text'), /w0 w1/);
  assert.equal(await page.isVisible('.message.assistant:last-child .notice'), true);
  await page.waitForFunction(() => document.querySelectorAll('#conversations .title').length === 1);
  await shoot(page, 'end-to-end-failure');
});

test('Stop in the page ends the call to the provider', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'Stop me mock:deltas=500,delay=20');
  await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.includes('w3'));
  const call = await mock.waitCall('Stop me');
  await page.click('#stop');
  await answered(page);
  await call.left;
  assert.match(await page.textContent('.notice'), /Stopped/);
});

test('model output cannot run in the page', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'x mock:deltas=2,text=<img/src=x/onerror=window.hacked=1><script>window.hacked=1</script>');
  await answered(page);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.$('.answer-text img, .answer-text script'), null);
});

test('dark mode and a phone, with the real server and its policy', async () => {
  page = await openPage(browser, `${parley.url}/`, { size: 'phone', colorScheme: 'dark' });
  await page.waitForSelector('.status.up');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  await say(page, 'Hello from a phone mock:deltas=30');
  await answered(page);
  await shoot(page, 'end-to-end-phone-dark');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
});
