/*
 * Answers that cannot be lost, in a browser with the real server: the page is loaded again in the middle of an answer,
 * the network goes away for three seconds, and EventSource comes back by itself.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { eventually, startParley } from '../system/harness.mjs';
import { startMock } from '../system/mock_provider.mjs';
import { answered, launch, openPage, say } from './browser.mjs';
import { startProxy } from './proxy.mjs';

let browser;
let mock;
let parley;
let proxy;
let page;

before(async () => {
  [browser, mock] = await Promise.all([launch(), startMock()]);
  parley = await startParley({ mock, env: { DISCONNECT_GRACE_SECONDS: '30' } });
  proxy = await startProxy(parley.url);
});
after(async () => {
  await browser?.close();
  await proxy?.stop();
  await parley?.stop();
  await mock?.stop();
});
afterEach(async () => {
  await page?.context().close();
  page = null;
  proxy.down = false;
});

const words = (count) => Array.from({ length: count }, (_, i) => `w${i}`).join(' ');
const shows = (word) => page.waitForFunction((wanted) => document.querySelector('.answer-text')?.textContent.includes(wanted), word);
const answer = async () => (await page.textContent('.answer-text')).trim();

test('the page is loaded again in the middle of an answer: it goes on and ends whole', async () => {
  page = await openPage(browser, `${proxy.url}/`);
  await say(page, 'Reload mock:deltas=40,step=1');
  const call = await mock.waitCall('Reload');
  call.step(9);
  await shows('w5');
  await page.reload();
  await shows('w9');
  assert.equal(await page.getAttribute('.message.assistant', 'aria-busy'), 'true', 'it is not over yet');
  call.step(30);
  await answered(page);
  assert.equal(await answer(), words(40));
  assert.equal(mock.calls('Reload').length, 1);
});

test('the network of the page is gone for three seconds: the same', async () => {
  page = await openPage(browser, `${proxy.url}/`);
  await say(page, 'Tunnel mock:deltas=80,step=1');
  const call = await mock.waitCall('Tunnel');
  call.step(9);
  await shows('w5');
  proxy.down = true;
  proxy.cut();
  await page.waitForSelector('.waiting.reconnecting');
  call.step(30);
  await page.waitForTimeout(3000);
  proxy.down = false;
  call.step(40);
  await answered(page);
  assert.equal(await answer(), words(80));
  assert.equal(mock.calls('Tunnel').length, 1);
  assert.equal(await page.$('.notice'), null);
});

test('the network goes before the first word: the question was not lost, and is not asked twice', async () => {
  page = await openPage(browser, `${proxy.url}/`);
  // A visitor is known by the cookie that comes with the first reply.
  await say(page, 'Hello mock:deltas=1');
  await answered(page);
  await page.click('#new-chat');
  await say(page, 'Early mock:deltas=5,step=2');
  const call = await mock.waitCall('Early');
  proxy.cut();
  call.step(5);
  await answered(page);
  assert.equal(await answer(), words(5));
  assert.equal(mock.calls('Early').length, 1);
});

test('the process that wrote the answer is killed: what there is stays, and Continue gets the rest', async () => {
  page = await openPage(browser, `${proxy.url}/`);
  await say(page, 'Killed mock:deltas=100,step=1');
  (await mock.waitCall('Killed')).step(9);
  await shows('w9');
  await eventually(async () => (await parley.sql("select content from messages where content like 'w0 %w9%'")).length === 1);
  for (const pid of parley.workerPids()) process.kill(pid, 'SIGKILL');
  await page.waitForSelector('.notice >> text=Continue', { timeout: 30_000 });
  assert.equal(await answer(), words(10));
  mock.script(({ messages }) => (JSON.stringify(messages).includes('Killed') ? { text: 'rest ', deltas: 2, step: 0 } : undefined));
  await page.click('.notice >> text=Continue');
  await page.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1).textContent.trim() === 'rest rest');
  await answered(page);
});

test('EventSource comes back by itself, without a repeated or missing character', async () => {
  page = await openPage(browser, `${proxy.url}/`);
  const text = 'äö€😀';
  const stream = await parley.stream('/api/chat/stream', { message: `Source mock:deltas=60,step=1,text=${text}` });
  const { message_id: id } = (await stream.until((one) => one.first)).first;
  await page.evaluate((url) => {
    window.seen = { text: '', opens: 0, last: null };
    const source = new EventSource(url);
    source.onopen = () => { window.seen.opens += 1; };
    source.onmessage = ({ data }) => {
      if (data === '[DONE]') {
        source.close();
        window.seen.over = true;
        return;
      }
      const frame = JSON.parse(data);
      window.seen.text += frame.content;
      if (frame.done) window.seen.last = frame;
    };
  }, `${proxy.url}/api/chat/stream/${id}`);
  const call = await mock.waitCall('Source');
  for (const pieces of [10, 20]) {
    call.step(pieces - call.sent.length);
    await page.waitForFunction((wanted) => window.seen.text.length === wanted, pieces * text.length);
    proxy.cut();
  }
  call.step(40);
  await page.waitForFunction(() => window.seen.over, null, { timeout: 30_000 });
  const seen = await page.evaluate(() => window.seen);
  assert.equal(seen.text, text.repeat(60));
  assert.equal(seen.opens, 3);
  assert.equal(seen.last.finish_reason, 'stop');
});
