/*
 * Page and widget with the real server's endpoints: history after a reload, on the page and in the widget on another site
 * (the one of deploy/sample-website); the list of conversations; other answers, feedback, export.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { ROOT, parleyCommand, startParley } from '../system/harness.mjs';
import { startMock } from '../system/mock_provider.mjs';
import { startResponsesMock } from '../system/mock_responses.mjs';
import { answered, axe, launch, openPage, say, shoot } from './browser.mjs';
import { startSite } from './fixture.mjs';

let browser;
let mock;
let services;
let parley;
let site;
let page;

/* The sample website as it is shipped; only the server's address is another one here. */
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css' };
function siteFile(url) {
  const name = url === '/' ? 'index.html' : path.basename(url);
  return readFileSync(path.join(ROOT, 'deploy/sample-website', name), 'utf8').replaceAll('http://127.0.0.1:8080', parley.url);
}
const siteHeaders = (url) => ({ 'Content-Type': TYPES[path.extname(url)] ?? TYPES['.html'] });

/* A model that thinks before it speaks. */
function thinker(call) {
  if (!String(call.question).includes('think well')) return undefined;
  return async (asked, res) => {
    const frame = (delta, finish = null) => res.write(`data: ${JSON.stringify({ id: 'x', model: asked.model, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const piece of ['Hm, <b>tea</b> ', 'or coffee?']) frame({ reasoning_content: piece });
    frame({ content: 'Tea.' });
    frame({}, 'stop');
    res.end('data: [DONE]\n\n');
  };
}

/* A model that asks for a joke, and for the weather where there is none, before it answers. */
function joker(call) {
  if (!String(call.question).includes('use your tools')) return undefined;
  return async (asked, res) => {
    const done = asked.messages.filter((message) => message.role === 'tool').length;
    const frame = (delta, finish = null) => res.write(`data: ${JSON.stringify({ id: 'x', model: asked.model, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
    const functions = [{ name: 'get_joke', arguments: '{}' }, { name: 'get_weather', arguments: '{"location":"Nowhere","unit":"<b>kelvin</b>"}' }];
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    frame(done < 2 ? { tool_calls: [{ index: 0, id: 'c', type: 'function', function: functions[done] }] } : { content: 'There you are.' });
    frame({}, done < 2 ? 'tool_calls' : 'stop');
    res.end('data: [DONE]\n\n');
  };
}

before(async () => {
  [browser, mock, services, site] = await Promise.all([launch(), startMock(), startResponsesMock(), startSite(siteFile, siteHeaders)]);
  const { JOKE_BASE, WEATHER_GEOCODE_BASE } = services.env;
  parley = await startParley({ mock, env: { CORS_ORIGIN: site.origin, REASONING: 'on', KNOWLEDGE: 'on', TOOLS: 'get_joke,get_weather', JOKE_BASE, WEATHER_GEOCODE_BASE } });
  writeFileSync(path.join(parley.dir, 'kettle.md'), '# Kettle guide\n## Descaling\nBoil vinegar in the kettle and rinse it twice.\n');
  const added = await parleyCommand(['knowledge', 'add', path.join(parley.dir, 'kettle.md'), '--url', 'https://site.example/kettle'],
    { cwd: parley.dir, env: { PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${parley.db}`, LOG_LEVEL: 'error' } });
  assert.equal(added.code, 0, added.stdout + added.stderr);
  mock.script(thinker);
  mock.script(joker);
});
after(async () => {
  await browser?.close();
  await parley?.stop();
  await mock?.stop();
  await services?.stop();
  await site?.close();
});
afterEach(async () => {
  await page?.context().close();
  page = null;
});

test('the sample website on another origin: session, chat, reload, history back', async () => {
  page = await openPage(browser, `${site.origin}/`);
  await page.click('.chat-toggle');
  await page.waitForSelector('.chat-panel');
  const texts = () => page.$$eval('.message', (nodes) => nodes.map((node) => node.textContent));
  const shows = (word) => page.waitForFunction((wanted) => document.querySelector('.parley-widget')?.shadowRoot.textContent.includes(wanted), word);
  await page.fill('#chatInput', 'Widget asks mock:deltas=4');
  await page.press('#chatInput', 'Enter');
  await shows('w3');
  const call = await mock.waitCall('Widget asks');
  const system = call.messages.find((message) => message.role === 'system').content;
  assert.match(system, /bread/, 'what setContext said reaches the model');
  await shoot(page, 'end-to-end-widget');
  await page.reload();
  await shows('w3');
  assert.ok((await texts()).some((text) => text.includes('Widget asks')));
  await page.fill('#chatInput', 'Once more mock:deltas=2');
  await page.press('#chatInput', 'Enter');
  const again = await mock.waitCall('Once more');
  assert.ok(again.messages.some((message) => message.content.includes('Widget asks')), 'the same session goes on');
  await page.waitForFunction(() => !document.querySelector('.parley-widget').shadowRoot.querySelector('.dots'));

  page.removeAllListeners('dialog');
  page.on('dialog', (dialog) => dialog.accept());
  await page.click('[aria-label="Menu"]');
  await page.click('.chat-menu >> text=Erase my data');
  await shows('Your data has been erased.');
  const rows = await parley.sql("select count(*) as n from messages where content like '%Widget asks%'");
  assert.equal(rows[0].n, 0);
  assert.deepEqual(page.problems, []);
});

test('a button of the site starts the conversation', async () => {
  page = await openPage(browser, `${site.origin}/`);
  await page.click('#ask');
  await page.waitForSelector('.chat-panel');
  await mock.waitCall('free of nuts');
  await page.waitForFunction(() => /w2/.test(document.querySelector('.parley-widget').shadowRoot.textContent));
});

test('a site that is not listed reads in the console what the real server wants', async () => {
  const stranger = await startSite(siteFile, siteHeaders);
  page = await openPage(browser, `${stranger.origin}/`);
  await page.click('.chat-toggle');
  await page.fill('#chatInput', 'Hello?');
  await page.press('#chatInput', 'Enter');
  await page.waitForSelector('.message.bot.error');
  await page.waitForFunction(() => true);
  for (let i = 0; i < 100 && !page.problems.some((one) => one.startsWith('Parley:')); i += 1) await page.waitForTimeout(20);
  assert.match(page.problems.find((one) => one.startsWith('Parley:')), new RegExp(`Add ${stranger.origin} to CORS_ORIGIN`));
  await stranger.close();
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

test('an answer can be rated and made again; the list can be searched, a conversation exported', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'Grapes are blue mock:deltas=2');
  await answered(page);
  await page.click('[aria-label="Good answer"]');
  await page.waitForSelector('[aria-label="Good answer"][aria-pressed="true"]');
  await page.click('[aria-label="Answer again"]');
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 1);
  await answered(page);
  assert.equal(mock.calls('Grapes').length, 2);
  await page.click('[aria-label="Bad answer"]');
  await page.waitForSelector('[aria-label="Bad answer"][aria-pressed="true"]');
  await page.reload();
  await page.waitForSelector('[aria-label="Bad answer"][aria-pressed="true"]');
  assert.equal(await page.locator('.bubble').count(), 1);
  assert.equal(await page.locator('.message.assistant').count(), 1, 'the newest answer is the one that is shown');

  for (const text of ['Two', 'Three', 'Four', 'Five']) {
    await page.click('#new-chat');
    await say(page, `${text} mock:deltas=1`);
    await answered(page);
  }
  await page.waitForSelector('#search:not([hidden])');
  await page.fill('#search', 'grapes');
  await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 1);
  await page.click('#conversations .more');
  const href = await page.getAttribute('.pop a >> text=Markdown', 'href');
  const text = await page.evaluate(async (url) => (await fetch(url)).text(), href);
  assert.match(text, /Grapes are blue/);
  await shoot(page, 'end-to-end-list');
  assert.deepEqual(page.problems.filter((one) => !/status of 404/.test(one)), []);
});

test('the reasoning of the model comes folded, for who wants it', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await page.check('#reasoning');
  await say(page, 'think well');
  await answered(page);
  assert.equal(await page.textContent('.thoughts'), 'Hm, <b>tea</b> or coffee?');
  assert.equal(await page.isVisible('.thoughts'), false);
  assert.equal((await page.textContent('.answer-text')).trim(), 'Tea.');
});

test('page and widget show a line for each tool that was called, also after a reload', async () => {
  const shown = ['Asked get_joke', 'get_weather (Nowhere, <b>kelvin</b>) gave no answer'];
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'use your tools');
  await answered(page);
  assert.deepEqual(await page.locator('.tool-line').allTextContents(), shown);
  assert.equal((await page.textContent('.answer-text')).trim(), 'There you are.');
  await page.reload();
  await page.waitForSelector('.message-foot .usage');
  assert.deepEqual(await page.locator('.tool-line').allTextContents(), shown);
  await shoot(page, 'end-to-end-tools');
  assert.deepEqual(page.problems, []);
  await page.context().close();

  page = await openPage(browser, `${site.origin}/`);
  await page.click('.chat-toggle');
  await page.fill('#chatInput', 'use your tools');
  await page.press('#chatInput', 'Enter');
  for (let i = 0; i < 2; i++) {
    await page.waitForFunction(() => /There you are/.test(document.querySelector('.parley-widget')?.shadowRoot.textContent));
    assert.deepEqual(await page.locator('.tool-line').allTextContents(), shown);
    if (i === 0) await page.reload();
  }
});

test('a pasted picture reaches the model', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await page.waitForSelector('#attach:not([hidden])');
  await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 40;
    const blob = await new Promise((resolve) => { canvas.toBlob(resolve); });
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], 'shot.png', { type: 'image/png' }));
    document.getElementById('field').dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
  });
  await page.waitForSelector('#tray img');
  await say(page, 'What is on the picture? mock:deltas=1');
  await answered(page);
  assert.equal(await page.isVisible('.sent-picture'), true);
  const sent = mock.requests.map((call) => call.body).filter((body) => body.includes('What is on the picture'));
  assert.equal(sent.length, 1);
  assert.match(sent[0], /data:image\/jpeg;base64,/);
  await page.reload();
  await page.waitForFunction(() => document.querySelector('.sent-picture')?.naturalWidth === 40);
  assert.match(await page.getAttribute('.sent-picture', 'src'), /\/api\/files\/file_/);
});

test('an answer that reached its length limit goes on after Continue', async () => {
  page = await openPage(browser, `${parley.url}/`);
  await say(page, 'Break mock:deltas=3,finish=length');
  await answered(page);
  await page.click('.notice >> text=Continue');
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
  assert.equal(await page.locator('.bubble').count(), 1);
});

for (const colorScheme of ['light', 'dark'])
  test(`without script: ask, read, go on (${colorScheme})`, async () => {
    page = await openPage(browser, `${parley.url}/`, { javaScriptEnabled: false, colorScheme, size: colorScheme === 'light' ? 'desktop' : 'phone' });
    await page.fill('#plain-field', 'First line\nSecond <b>line</b> mock:deltas=6');
    await page.click('.plain button');
    await page.waitForSelector('.assistant .text >> text=w5');
    assert.equal(await page.locator('.user .text').textContent(), 'First line\nSecond <b>line</b> mock:deltas=6');
    await page.fill('#plain-field', 'And then? مرحبا mock:deltas=3');
    await page.click('.plain button');
    await page.waitForSelector('.assistant >> nth=1');
    await page.waitForSelector('#plain-field');
    assert.deepEqual(await page.locator('section h2').allTextContents(), ['You', 'Answer', 'You', 'Answer']);
    const call = await mock.waitCall('And then?');
    assert.ok(call.messages.some((message) => message.content.includes('Second <b>line</b>')));
    await shoot(page, `plain-${colorScheme}`);
    await page.reload();
    await page.waitForSelector('#plain-field');
    assert.equal(mock.calls('And then?').length, colorScheme === 'light' ? 1 : 2, 'loaded again, it is the same answer');
    assert.deepEqual(page.problems, []);
  });

for (const colorScheme of ['light', 'dark'])
  test(`the page without script has no axe violation (${colorScheme})`, async () => {
    // axe itself needs script, so the form is sent by a browser that has it.
    page = await openPage(browser, `${parley.url}/`, { colorScheme });
    await page.evaluate(() => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'post', action: 'chat' });
      form.append(Object.assign(document.createElement('input'), { name: 'message', value: 'Look mock:deltas=4,cut=2' }));
      document.body.append(form);
      form.submit();
    });
    await page.waitForSelector('.error');
    assert.deepEqual(await axe(page), []);
    await shoot(page, `plain-failed-${colorScheme}`);
  });

test('sources stand below an answer, on the page and in the widget, also after a reload', async () => {
  const links = (root) => root.$$eval('.sources a', (nodes) => nodes.map((node) => [node.textContent, node.href, node.rel]));
  const wanted = [['Kettle guide', 'https://site.example/kettle', 'noopener noreferrer']];
  page = await openPage(browser, `${parley.url}/chat`);
  await say(page, 'How do I descale the kettle with vinegar? mock:deltas=2');
  await answered(page);
  assert.deepEqual(await links(page), wanted);
  await say(page, 'And a song please? mock:deltas=2');
  await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
  assert.deepEqual(await links(page), wanted, 'none below an answer without');
  await page.reload();
  await page.waitForSelector('.sources a');
  assert.deepEqual(await links(page), wanted);
  assert.deepEqual(await axe(page), []);
  await shoot(page, 'sources-page');
  await page.goto(`${site.origin}/`);
  await page.click('.chat-toggle');
  await page.fill('#chatInput', 'Descale the kettle with vinegar mock:deltas=2');
  await page.press('#chatInput', 'Enter');
  for (const moment of ['told', 'reloaded']) {
    const link = await page.waitForSelector('.parley-widget .sources a');
    assert.equal(await link.getAttribute('href'), 'https://site.example/kettle', moment);
    if (moment === 'told') await page.reload();
  }
  assert.deepEqual(page.problems, []);
});

test('what is remembered about the visitor is shown, and erased one by one or at once', async () => {
  page = await openPage(browser, `${parley.url}/chat`);
  await page.click('#remembered');
  await page.waitForSelector('dialog.remembered[open]');
  await page.waitForFunction(() => document.querySelector('.remembered .empty').textContent.includes('Nothing is remembered'));
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog.remembered', { state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.id), 'remembered');
  for (const fact of ['My dog is called <b>Bello</b>', 'Lives in Ulm', 'Plays the violin'])
    await page.evaluate((said) => fetch('api/memory', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ fact: said }) }), fact);
  const facts = () => page.$$eval('.remembered .facts li', (nodes) => nodes.map((node) => node.textContent).sort());
  await page.click('#remembered');
  await page.waitForSelector('.remembered .facts li');
  assert.deepEqual(await facts(), ['Lives in Ulm', 'My dog is called <b>Bello</b>', 'Plays the violin']);
  assert.deepEqual(await axe(page), []);
  await shoot(page, 'remembered');
  await page.click('.remembered button[aria-label="Forget: Lives in Ulm"]');
  await page.waitForFunction(() => document.querySelectorAll('.remembered .facts li').length === 2);
  assert.ok(await page.evaluate(() => document.activeElement.closest('.remembered') !== null), 'the focus stays in the dialog');
  await page.click('.remembered .danger');
  assert.equal((await facts()).length, 2, 'it asks first');
  await page.click('.remembered .danger');
  await page.waitForFunction(() => document.querySelector('.remembered .empty').textContent.includes('Nothing is remembered'));
  assert.equal((await page.evaluate(async () => (await fetch('api/memory')).json())).count, 0);
  assert.deepEqual(page.problems, []);
});
