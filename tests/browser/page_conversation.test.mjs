/*
 * Talking: sending, reading, stopping, and what one can do with an answer.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answered, say, shoot } from './browser.mjs';
import { makeGate } from './fixture.mjs';
import { SAMPLE, fixture, lastAnswer, open, page, pieces, texts } from './page_setup.mjs';

describe('a conversation', () => {
  test('an answer grows on the screen, piece by piece', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['One ', 'two ', 'three ', 'four.'], gate: gate.wait });
    await open();
    await say(page, 'Count, please');
    assert.deepEqual(await texts('.bubble'), ['Count, please']);
    for (const text of ['One', 'One two', 'One two three']) {
      gate.open();
      await page.waitForFunction((wanted) => document.querySelector('.answer-text').textContent.trim() === wanted, text);
    }
    assert.equal(await page.isVisible('#stop'), true);
    gate.open();
    await answered(page);
    assert.equal((await lastAnswer()).trim(), 'One two three four.');
    assert.equal(await page.isVisible('#stop'), false);
    assert.match(await page.textContent('.usage'), /mock-1 · 16 tokens/);
    assert.deepEqual(page.problems, []);
  });

  test('the second message goes into the same conversation, a new chat into another', async () => {
    await open();
    await say(page, 'first');
    await answered(page);
    await say(page, 'second');
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
    await page.click('#new-chat');
    assert.deepEqual(await texts('.bubble'), []);
    await say(page, 'third');
    await answered(page);
    const asked = fixture.requests.filter((one) => one.path === 'api/chat/stream').map((one) => one.body);
    assert.equal(asked[0].conversation_id, undefined);
    assert.ok(asked[1].conversation_id);
    assert.equal(asked[2].conversation_id, undefined);
    assert.equal(new Set(asked.map((body) => body.client_message_id)).size, 3);
  });

  test('Stop ends the answer on the server and keeps what was written', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['Some text. ', 'never seen'], gate: gate.wait });
    await open();
    await say(page, 'go');
    gate.open();
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.includes('Some text.'));
    await page.click('#stop');
    await answered(page);
    assert.equal((await lastAnswer()).trim(), 'Some text.');
    assert.match(await page.textContent('.notice'), /Stopped/);
    assert.equal([...fixture.answers.values()][0].status, 'stopped');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'field');
  });

  test('a double click on Send sends, and does not stop what it began', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['All of it.'], gate: gate.wait });
    await open();
    for (const text of ['one', 'two']) {
      await page.fill('#field', text);
      await page.dblclick('#send');
      gate.open();
      await page.waitForFunction((wanted) => [...document.querySelectorAll('.bubble')].at(-1)?.textContent === wanted, text);
      await answered(page);
      assert.equal((await lastAnswer()).trim(), 'All of it.');
    }
    assert.equal(await page.locator('.notice').count(), 0);
    assert.deepEqual(await texts('.bubble'), ['one', 'two']);
  });

  test('Stop before the server was heard of: it is told as soon as it can be, and what never arrived is asked by "Answer again"', async () => {
    await open();
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await page.route('**/api/chat/stream', async (route) => {
      await held;
      await route.continue();
    }, { times: 1 });
    fixture.reply = () => ({ deltas: ['never seen'], gate: makeGate().wait });
    await say(page, 'slow');
    await page.click('#stop');
    release();
    await answered(page);
    assert.match(await page.textContent('.notice'), /Stopped/);
    assert.equal([...fixture.answers.values()][0].status, 'stopped');

    fixture.reply = ({ message }) => ({ deltas: [`Now: ${message}`] });
    await page.route('**/api/chat/stream', () => {}, { times: 1 });
    await say(page, 'lost');
    await page.click('#stop');
    await page.waitForSelector('.message:last-child .notice');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'field');
    await page.click('.message:last-child [aria-label="Answer again"]');
    await page.waitForFunction(() => [...document.querySelectorAll('.answer-text')].at(-1).textContent.trim() === 'Now: lost');
    assert.equal(fixture.conversations.size, 1, 'both in one conversation');
  });

  test('Enter sends, Shift+Enter breaks the line, the field grows', async () => {
    await open();
    const height = () => page.$eval('#field', (field) => field.offsetHeight);
    const before = await height();
    await page.focus('#field');
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    assert.equal(await page.inputValue('#field'), 'one\ntwo');
    assert.ok(await height() > before);
    await page.keyboard.press('Enter');
    await answered(page);
    assert.equal(await page.inputValue('#field'), '');
    assert.equal(await height(), before);
    assert.equal(fixture.requests.find((one) => one.path === 'api/chat/stream').body.message, 'one\ntwo');
  });

  test('a message that is too long is counted in characters and not sent', async () => {
    fixture.config.max_message_length = 20;
    await open();
    await page.fill('#field', '😀'.repeat(20));
    assert.equal(await page.textContent('#count'), '20 of 20 characters');
    assert.equal(await page.isEnabled('#send'), true);
    await page.fill('#field', '😀'.repeat(21));
    assert.equal(await page.isEnabled('#send'), false);
    await page.press('#field', 'Enter');
    assert.deepEqual(await texts('.bubble'), []);
  });

  test('the view follows the text until the reader scrolls up, and then offers a way back', async () => {
    const gate = makeGate();
    const line = 'A line of text that fills some room.\n\n';
    fixture.reply = () => ({ deltas: Array(40).fill(line), gate: gate.wait });
    await open();
    const distance = () => page.$eval('#scroller', (area) => Math.round(area.scrollHeight - area.clientHeight - area.scrollTop));
    const paragraphs = (count) => page.waitForFunction((wanted) => document.querySelectorAll('.answer-text p').length >= wanted, count);
    await say(page, 'write');
    gate.open(25);
    await paragraphs(25);
    await page.waitForFunction(() => {
      const area = document.getElementById('scroller');
      return area.scrollTop > 0 && area.scrollHeight - area.clientHeight - area.scrollTop < 3;
    });
    await page.hover('#scroller');
    await page.mouse.wheel(0, -400);
    await page.waitForFunction(() => {
      const area = document.getElementById('scroller');
      return area.scrollHeight - area.clientHeight - area.scrollTop > 300;
    });
    const top = await page.$eval('#scroller', (area) => area.scrollTop);
    gate.open(15);
    await paragraphs(40);
    await page.waitForSelector('#new-text:not([hidden])');
    assert.equal(await page.$eval('#scroller', (area) => area.scrollTop), top);
    await shoot(page, 'page-new-text');
    await page.click('#new-text');
    assert.ok(await distance() < 3);
    assert.equal(await page.isVisible('#new-text'), false);
  });

  test('an answer can be made again, rated and copied', async () => {
    await open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await say(page, 'question');
    await answered(page);
    fixture.reply = () => ({ deltas: ['Another **answer**.'] });
    await page.click('[aria-label="Answer again"]');
    await page.waitForFunction(() => document.querySelector('.answer-text')?.textContent.trim() === 'Another answer.');
    await answered(page);
    assert.deepEqual(await texts('.bubble'), ['question']);
    await page.click('[aria-label="Good answer"]');
    await page.waitForSelector('[aria-label="Good answer"][aria-pressed="true"]');
    assert.equal([...fixture.answers.values()].at(-1).rating, 1);
    await page.click('[aria-label="Copy answer"]');
    await page.waitForFunction(async () => await navigator.clipboard.readText() === 'Another **answer**.');
    const [copied, after] = await page.evaluate(async () => {
      const button = document.querySelector('[aria-label="Copy answer"]');
      const shape = () => button.querySelector('path').getAttribute('d');
      const later = window.setTimeout;
      const due = [];
      window.setTimeout = (then, ms) => (ms > 1000 && ms < 2000 ? due.push(then) : later(then, ms));
      for (const times of [1, 2]) {
        button.click();
        while (due.length < times) await new Promise((resolve) => { later(resolve, 5); });
      }
      window.setTimeout = later;
      const shapes = [shape()];
      for (const then of due) then();
      return [...shapes, shape()];
    });
    assert.notEqual(after, copied, 'copied twice in a row, the button is itself again');
  });

  test('code has its language, colours and a copy button', async () => {
    fixture.reply = () => ({ deltas: pieces(SAMPLE) });
    await open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await say(page, 'code');
    await answered(page);
    assert.equal(await page.textContent('.code-head span'), 'python');
    assert.ok((await texts('.tok-keyword')).includes('def'));
    await page.click('.code-head button');
    await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith('def greet(name: str) -> str:\n    """Say'));
  });

  test('screen readers hear the start and the whole end, not every piece', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['Alpha ', 'beta ', 'gamma.'], gate: gate.wait });
    await open();
    await page.evaluate(() => {
      window.spoken = [];
      new MutationObserver(() => {
        const text = document.getElementById('speaker').textContent;
        if (text) window.spoken.push(text);
      }).observe(document.getElementById('speaker'), { childList: true });
    });
    await say(page, 'speak');
    await page.waitForFunction(() => window.spoken.length === 1);
    gate.open(3);
    await answered(page);
    await page.waitForFunction(() => window.spoken.length === 2);
    assert.deepEqual(await page.evaluate(() => window.spoken), ['Parley is writing.', 'Alpha beta gamma.']);
    assert.equal(await page.getAttribute('#scroller', 'aria-live'), 'off');
  });
});
