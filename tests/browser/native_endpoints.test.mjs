/*
 * Page and widget with the real server's conversation endpoints: history after a reload, on the page and in the widget on
 * another site. Needs the routes api/conversations/{id}, widget.js and widget-demo. Run it by name:
 * node --test tests/browser/native_endpoints.mjs
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { startParley } from '../system/harness.mjs';
import { startMock } from '../system/mock_provider.mjs';
import { answered, launch, openPage, say, shoot } from './browser.mjs';
import { startSite } from './fixture.mjs';

let browser;
let mock;
let parley;
let site;
let page;

const sitePage = () => `<!doctype html><title>Site</title><meta name="viewport" content="width=device-width">
<script src="${parley.url}/widget.js" defer data-title="Helper"></script><h1>Another site</h1>`;

before(async () => {
  [browser, mock, site] = await Promise.all([launch(), startMock(), startSite(() => sitePage())]);
  parley = await startParley({ mock, env: { CORS_ORIGIN: site.origin } });
});
after(async () => {
  await browser?.close();
  await parley?.stop();
  await mock?.stop();
  await site?.close();
});
afterEach(async () => {
  await page?.context().close();
  page = null;
});

test('reload in the middle of an answer: it goes on and ends whole', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'Reload mock:deltas=40,delay=50');
  await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.includes('w5'));
  await page.reload();
  await page.waitForSelector('.message.assistant');
  await answered(page);
  assert.equal((await page.textContent('.answer-text')).trim(), Array.from({ length: 40 }, (_, i) => `w${i}`).join(' '));
});

test('the widget on another site: session, chat, reload, history back', async () => {
  page = await openPage(browser, `${site.origin}/`);
  await page.click('.chat-toggle');
  await page.waitForSelector('.chat-panel');
  const texts = () => page.$$eval('.message', (nodes) => nodes.map((node) => node.textContent));
  await page.fill('#chatInput', 'Widget asks mock:deltas=4');
  await page.press('#chatInput', 'Enter');
  await page.waitForFunction(() => /w3/.test(document.querySelector('.parley-widget').shadowRoot.textContent));
  await shoot(page, 'end-to-end-widget');
  await page.reload();
  await page.waitForFunction(() => /w3/.test(document.querySelector('.parley-widget')?.shadowRoot.textContent));
  assert.ok((await texts()).some((text) => text.includes('Widget asks')));
});

test('the sample page is served by the program itself', async () => {
  page = await openPage(browser, `${parley.url}/widget-demo`);
  await page.click('.chat-toggle');
  await page.waitForSelector('.chat-panel');
  assert.deepEqual(page.problems, []);
});

test('conversations are listed, renamed and deleted on the real server', async () => {
  page = await openPage(browser, `${parley.url}/`);
  for (const text of ['Apples', 'Pears']) {
    await page.click('#new-chat');
    await say(page, `${text} mock:deltas=1`);
    await answered(page);
  }
  await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 2);
  await page.click('#conversations .more >> nth=0');
  await page.click('.pop >> text=Rename');
  await page.fill('.rename', 'Fruit');
  await page.press('.rename', 'Enter');
  await page.waitForSelector('#conversations .title >> text=Fruit');
  await page.reload();
  await page.click('[aria-label="More for Fruit"]');
  await page.click('.pop >> text=Delete');
  await page.click('dialog .danger');
  await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 1);
});
