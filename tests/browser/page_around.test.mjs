/*
 * Around the conversation: the list, models, pictures, limits, languages, voice.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answered, axe, openPage, say, shoot } from './browser.mjs';
import { makeGate } from './fixture.mjs';
import { browser, fixture, open, page, texts, usePage } from './page_setup.mjs';

describe('around the conversation', () => {
  async function withThree() {
    await open();
    for (const text of ['Apples and pears', 'Bicycles', 'Cats']) {
      await page.click('#new-chat');
      await say(page, text);
      await answered(page);
    }
    await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 3);
  }

  test('conversations are listed, opened, renamed and deleted', async () => {
    await withThree();
    assert.deepEqual(await texts('#conversations .title'), ['Cats', 'Bicycles', 'Apples and pears']);
    assert.equal(await page.textContent('#conversations .current .title'), 'Cats');
    await page.click('#conversations .title >> text=Bicycles');
    await page.waitForFunction(() => document.querySelector('.bubble')?.textContent === 'Bicycles');

    await page.click('[aria-label="More for Bicycles"]');
    assert.deepEqual(await axe(page, '.pop'), []);
    await shoot(page, 'page-menu');
    assert.equal(await page.getAttribute('.pop a >> text=Markdown', 'href').then((href) => new URL(href).search), '?format=markdown');
    await page.click('.pop >> text=Rename');
    await page.fill('.rename', 'Two wheels');
    await page.press('.rename', 'Enter');
    await page.waitForSelector('#conversations .title >> text=Two wheels');
    assert.deepEqual([...fixture.conversations.values()].map((one) => one.title).sort(), ['Apples and pears', 'Cats', 'Two wheels']);

    await page.click('[aria-label="More for Two wheels"]');
    await page.click('.pop >> text=Delete');
    await page.waitForSelector('dialog[open]');
    assert.deepEqual(await axe(page), []);
    await shoot(page, 'page-delete');
    await page.click('dialog .danger');
    await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 2);
    assert.equal(fixture.conversations.size, 2);
    assert.deepEqual(await texts('.bubble'), [], 'the deleted conversation is no longer on the screen');
  });

  test('all of that by keyboard', async () => {
    await withThree();
    await page.focus('#conversations .title >> nth=0');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.pop');
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.classList.contains('more')), true, 'focus goes back to the button');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await page.keyboard.type('Felines');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#conversations .title >> text=Felines');
  });

  test('a conversation is listed from its first word on, and who is at work in the list is not disturbed by an answer', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['One ', 'two'], gate: gate.wait });
    await open();
    const titles = (wanted) => page.waitForFunction((list) => [...document.querySelectorAll('#conversations .title')]
      .map((node) => node.textContent).join() === list.join(), wanted);
    const focused = () => page.evaluate(() => document.activeElement.className);
    const listed = () => page.waitForResponse(/api\/conversations$/);
    await say(page, 'running');
    await titles(['running']);
    await page.focus('#conversations .more');
    await page.keyboard.press('Enter');
    const first = listed();
    gate.open(2);
    await answered(page);
    await first;
    assert.equal(await page.isVisible('.pop'), true);
    await page.click('.pop >> text=Delete');
    await page.press('dialog', 'Escape');
    await page.waitForFunction(() => document.activeElement.className.includes('more'));

    await say(page, 'another');
    await page.click('#conversations .more');
    await page.click('.pop >> text=Rename');
    await page.keyboard.type('New ');
    const second = listed();
    gate.open(2);
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
    await second;
    await page.keyboard.type('name');
    await page.click('#field');
    await titles(['New name']);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'field', 'it stays where one clicked');
    const third = listed();
    await page.fill('#field', 'x');
    await page.focus('#conversations .title');
    await page.evaluate(() => document.getElementById('field').form.requestSubmit());
    gate.open(2);
    await third;
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 3);
    assert.equal(await focused(), 'title');
  });

  test('the list can be searched', async () => {
    await withThree();
    for (const text of ['Dogs', 'Elephants']) {
      await page.click('#new-chat');
      await say(page, text);
      await answered(page);
    }
    await page.waitForSelector('#search:not([hidden])');
    await page.fill('#search', 'pear');
    await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 1);
    assert.deepEqual(await texts('#conversations .title'), ['Apples and pears']);
    await page.fill('#search', 'zzz');
    await page.waitForSelector('#conversations .empty');
  });

  test('a server without conversation list, models and limits is no trouble', async () => {
    fixture.absent = ['api/conversations', 'api/models', 'api/rate-limit', 'api/messages', 'api/chat/stop'];
    fixture.reply = () => ({ deltas: ['Fine.'] });
    await open();
    await say(page, 'x');
    await answered(page);
    await page.click('[aria-label="Answer again"]');
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 1);
    await page.reload();
    await page.waitForSelector('.greeting');
    assert.deepEqual(page.problems.filter((one) => !/status of 404/.test(one)), []);
  });

  test('models can be chosen and the choice is remembered', async () => {
    fixture.models.models.push({ id: 'claude-x', name: 'Claude X', provider: 'claude' });
    await open();
    await page.selectOption('#model', { label: 'Claude X' });
    await page.reload();
    await page.waitForSelector('#model-row:not([hidden])');
    await say(page, 'x');
    await answered(page);
    const { body } = fixture.requests.find((one) => one.path === 'api/chat/stream');
    assert.deepEqual([body.provider, body.model], ['claude', 'claude-x']);
  });

  test('pictures are offered for a model that can see, and made small', async () => {
    fixture.models.models[0].vision = true;
    await open();
    await page.waitForSelector('#attach:not([hidden])');
    const png = await page.evaluate(async () => {
      const canvas = document.createElement('canvas');
      canvas.width = 1600;
      canvas.height = 1200;
      const context = canvas.getContext('2d');
      for (let i = 0; i < 2000; i += 1) {
        context.fillStyle = `hsl(${i * 7} 80% 50%)`;
        context.fillRect((i * 97) % 1600, (i * 61) % 1200, 60, 60);
      }
      return canvas.toDataURL('image/png').split(',')[1];
    });
    await page.setInputFiles('#picture', { name: 'cat.png', mimeType: 'image/png', buffer: Buffer.from(png, 'base64') });
    await page.waitForSelector('#tray img');
    await page.fill('#field', 'What is this?');
    await shoot(page, 'page-picture');
    await page.press('#field', 'Enter');
    await answered(page);
    const { body } = fixture.requests.find((one) => one.path === 'api/chat/stream');
    assert.match(body.attachments[0].data_url, /^data:image\/jpeg;base64,/);
    assert.equal(body.attachments[0].type, 'image');
    assert.ok(JSON.stringify(body).length < 65_536);
    assert.equal(await page.isVisible('.sent-picture'), true);

    await page.evaluate(() => {
      const canvas = document.createElement('canvas');
      canvas.toBlob((blob) => {
        const clipboardData = new DataTransfer();
        for (const name of ['a', 'b', 'c', 'd']) clipboardData.items.add(new File([blob], name, { type: 'image/png' }));
        document.getElementById('field').dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
      });
    });
    assert.match(await page.textContent('.banner'), /3/);
    await page.waitForFunction(() => document.querySelectorAll('#tray img').length === 3);
  });

  test('a phone may take a photo, a desktop goes straight to its files', async () => {
    fixture.models.models[0].vision = true;
    const choose = async (selector) => (await Promise.all([page.waitForEvent('filechooser'), page.click(selector)]))[0];
    await open();
    await page.waitForSelector('#attach:not([hidden])');
    const picker = await choose('#attach');
    assert.equal(await picker.element().getAttribute('capture'), null);

    await open({ size: 'phone' });
    await page.click('#attach');
    await page.waitForSelector('.pop');
    await shoot(page, 'page-camera');
    assert.deepEqual(await axe(page), []);
    const camera = await choose('.pop >> text=Take a photo');
    assert.equal(await camera.element().getAttribute('capture'), 'environment');
    assert.equal(await camera.element().getAttribute('accept'), 'image/*');
    await camera.setFiles({ name: 'photo.png', mimeType: 'image/png',
      buffer: Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64') });
    await page.waitForSelector('#tray img');
    await page.click('#attach');
    const files = await choose('.pop >> text=Add a picture');
    assert.equal(await files.element().getAttribute('capture'), null);
  });

  /* Give the page a picture as the browser would: a paste in the field, or a drop somewhere. */
  const give = (how, { times = 1, send = false } = {}) => page.evaluate(async ({ kind, count, submits }) => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 40;
    const blob = await new Promise((resolve) => { canvas.toBlob(resolve); });
    const field = document.getElementById('field');
    let event;
    for (let i = 0; i < count; i += 1) {
      const transfer = new DataTransfer();
      transfer.items.add(new File([blob], 'shot.png', { type: 'image/png' }));
      event = kind === 'paste'
        ? new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
      (kind === 'paste' ? field : document.getElementById('log')).dispatchEvent(event);
    }
    if (submits) field.form.requestSubmit();
    return event.defaultPrevented;
  }, { kind: how, count: times, submits: send });

  test('pictures are pasted and dropped, taken back, and at most three', async () => {
    fixture.models.models[0].vision = true;
    await open();
    await page.waitForSelector('#attach:not([hidden])');
    assert.equal(await page.getAttribute('#picture', 'accept'), 'image/*');
    assert.equal(await give('paste'), true);
    await page.waitForFunction(() => document.querySelectorAll('#tray img').length === 1);
    await give('dragover');
    assert.equal(await page.$eval('#composer', (form) => form.classList.contains('dropping')), true);
    await give('drop');
    await page.waitForFunction(() => document.querySelectorAll('#tray img').length === 2);
    assert.equal(await page.$eval('#composer', (form) => form.classList.contains('dropping')), false);
    await page.click('#tray button >> nth=0');
    await page.waitForFunction(() => document.querySelectorAll('#tray img').length === 1);
    for (const count of [2, 3]) {
      await give('drop');
      await page.waitForFunction((wanted) => document.querySelectorAll('#tray img').length === wanted, count);
    }
    await give('paste');
    await page.waitForFunction(() => /At most 3 pictures/.test(document.getElementById('banners').textContent));
    assert.deepEqual(await axe(page), []);
    assert.equal(await page.isEnabled('#send'), false, 'the contract wants words with a picture');
    await say(page, 'What do you see?');
    await answered(page);
    assert.equal(fixture.requests.find((one) => one.path === 'api/chat/stream').body.attachments.length, 3);
    assert.equal(await page.isVisible('#tray'), false);
  });

  test('pictures that are pasted faster than they are made small all go with the question', async () => {
    fixture.models.models[0].vision = true;
    await open();
    await page.waitForSelector('#attach:not([hidden])');
    await page.fill('#field', 'Look');
    await give('paste', { times: 2, send: true });
    await answered(page);
    assert.equal(fixture.requests.find((one) => one.path === 'api/chat/stream').body.attachments?.length, 2);
    assert.equal(await page.isVisible('#tray'), false);
    assert.deepEqual(await texts('.bubble'), ['Look']);
  });

  test('a model that cannot see gets no pictures, and a dropped file does not lead away', async () => {
    await open();
    assert.equal(await page.isVisible('#attach'), false);
    assert.equal(await give('paste'), false);
    assert.equal(await give('drop'), true);
    assert.equal(await page.$('#tray img'), null);
    assert.equal(page.url(), fixture.url);
  });

  test('the reasoning of a model is shown folded, and only when it was asked for', async () => {
    fixture.reply = (body) => ({ deltas: ['The ', 'answer.'], reasoning: body.reasoning ? 'First <b>this</b>,\nthen that.' : undefined });
    await open();
    assert.equal(await page.isVisible('#reasoning'), false, 'a server that shows none is not asked');
    fixture.config.features.reasoning = true;
    await page.reload();
    await page.waitForSelector('#reasoning');
    await say(page, 'x');
    await answered(page);
    assert.equal(await page.$('.reasoning'), null);
    await page.check('#reasoning');
    await page.reload();
    await page.waitForSelector('.message.assistant[aria-busy="false"]');
    assert.equal(await page.isChecked('#reasoning'), true, 'the wish is remembered');
    await say(page, 'y');
    await page.waitForFunction(() => document.querySelectorAll('.message.assistant[aria-busy="false"]').length === 2);
    assert.deepEqual(fixture.requests.filter((one) => one.path === 'api/chat/stream').map((one) => one.body.reasoning), [undefined, true]);
    assert.equal(await page.isVisible('.thoughts'), false);
    await page.click('.reasoning summary');
    assert.equal(await page.textContent('.thoughts'), 'First <b>this</b>,\nthen that.');
    assert.equal((await texts('.answer-text')).at(-1).trim(), 'The answer.');
    assert.deepEqual(await axe(page), []);
    await shoot(page, 'page-reasoning');
  });

  test('the limits that are left are told when they get few', async () => {
    await open();
    assert.equal(await page.textContent('#limits'), '');
    fixture.limits[0].remaining = 2;
    await say(page, 'x');
    await answered(page);
    await page.waitForFunction(() => document.getElementById('limits').textContent === '2 of 10 messages left this minute');
  });

  test('the demo says that it is one', async () => {
    fixture.config.demo = true;
    await open();
    assert.match(await page.textContent('#banner-demo'), /demo/);
    await shoot(page, 'page-demo');
  });

  test('the page speaks six languages, right to left where that is due', async () => {
    await open({ locale: 'de-AT' });
    assert.equal(await page.getAttribute('html', 'lang'), 'de');
    assert.match(await page.textContent('#new-chat'), /Neue/);
    await page.selectOption('#language', 'ar');
    await page.waitForSelector('html[dir="rtl"][lang="ar"]');
    await say(page, 'مرحبا');
    await answered(page);
    await shoot(page, 'page-arabic');
    assert.deepEqual(await axe(page), []);
    await page.reload();
    await page.waitForSelector('html[dir="rtl"][lang="ar"]');
    assert.deepEqual(page.problems, []);
  });

  test('the language chosen last is the one that is shown, however late the others come', async () => {
    await open({});
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await page.route('**/assets/de-*', async (route) => {
      await held;
      await route.continue();
    });
    await page.selectOption('#language', 'de');
    await page.selectOption('#language', 'fr');
    const late = page.waitForEvent('requestfinished', (request) => /\/de-/.test(request.url()));
    await page.waitForFunction(() => document.documentElement.lang === 'fr');
    release();
    await late;
    await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 50); }));
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'fr');
  });

  test('where the browser stores nothing, choices last as long as the page', async () => {
    usePage(await openPage(browser, null, { colorScheme: 'light' }));
    await page.addInitScript(() => {
      for (const name of ['localStorage', 'sessionStorage'])
        Object.defineProperty(window, name, { get() { throw new DOMException('Denied.', 'SecurityError'); } });
    });
    await page.goto(fixture.url);
    await page.waitForSelector('.status.up');
    await page.click('#theme');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await page.click('#theme');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
    assert.deepEqual(page.problems, []);
  });

  test('voice and reading aloud use what the browser has', async () => {
    usePage(await openPage(browser));
    await page.addInitScript(() => {
      window.spokenAloud = [];
      window.SpeechRecognition = class {
        start() { setTimeout(() => { this.onresult({ resultIndex: 0, results: [Object.assign([{ transcript: 'spoken words' }], { isFinal: true })] }); this.onend(); }); }
        stop() {}
      };
      Object.defineProperty(window, 'speechSynthesis', { value: { cancel: () => window.spokenAloud.push('quiet'), speak: (words) => window.spokenAloud.push(words.text) } });
    });
    await page.goto(fixture.url);
    await page.click('#voice');
    await page.waitForFunction(() => document.getElementById('field').value === 'spoken words');
    await page.press('#field', 'Enter');
    await answered(page);
    await page.click('[aria-label="Read aloud"]');
    await page.click('#new-chat');
    assert.deepEqual(await page.evaluate(() => window.spokenAloud.map((text) => text.trim())), ['quiet', 'You said: spoken words', 'quiet'],
      'what is left is not read on');
  });
});
