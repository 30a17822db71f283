/*
 * How the page looks at desktop and phone size, light and dark, and as an installed app.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answered, axe, openPage, say, shoot } from './browser.mjs';
import { makeGate, startFixture } from './fixture.mjs';
import { SAMPLE, browser, fixture, open, page, pieces, useFixture, usePage } from './page_setup.mjs';

describe('looks', () => {
  for (const size of ['desktop', 'phone'])
    for (const colorScheme of ['light', 'dark'])
      test(`${size}, ${colorScheme}: readable, nothing sticks out, no axe violation`, async () => {
        const gate = makeGate();
        const deltas = pieces(SAMPLE, 8);
        fixture.reply = () => ({ deltas, gate: gate.wait });
        await open({ size, colorScheme });
        assert.equal(await page.isVisible('.with-keys'), size === 'desktop', 'a phone has no Shift+Enter');
        await shoot(page, `page-${size}-${colorScheme}-empty`);
        assert.deepEqual(await axe(page), []);
        await say(page, 'Show me what you can do, please.');
        gate.open(20);
        await page.waitForSelector('.answer-text ol');
        await shoot(page, `page-${size}-${colorScheme}-growing`);
        assert.deepEqual(await axe(page), []);
        gate.open(deltas.length);
        await answered(page);
        await shoot(page, `page-${size}-${colorScheme}`);
        assert.deepEqual(await axe(page), []);
        const wide = await page.evaluate(() => [document.documentElement.scrollWidth > window.innerWidth,
          document.getElementById('scroller').scrollWidth > document.getElementById('scroller').clientWidth]);
        assert.deepEqual(wide, [false, false]);
        assert.equal(await page.$eval('#field', (field) => parseFloat(getComputedStyle(field).fontSize) >= 16), true, 'phones zoom into smaller fields');
        const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        assert.equal(dark, colorScheme === 'dark' ? 'rgb(20, 22, 27)' : 'rgb(255, 255, 255)');
        assert.deepEqual(page.problems, []);
      });

  test('the switch for dark mode is remembered, and the system decides before', async () => {
    await open({ colorScheme: 'light' });
    const theme = () => page.getAttribute('html', 'data-theme');
    assert.equal(await theme(), 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForSelector('html[data-theme="dark"]');
    await page.click('#theme');
    assert.equal(await theme(), 'light');
    await page.reload();
    assert.equal(await theme(), 'light');
    await page.click('#theme');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.waitForSelector('html[data-theme="light"]');
  });

  test('on a phone the conversations are a drawer that keeps the focus', async () => {
    await open({ size: 'phone' });
    await say(page, 'x');
    await answered(page);
    assert.equal(await page.isVisible('#sidebar'), false);
    await page.click('#open-sidebar');
    await page.waitForFunction(() => document.getElementById('sidebar').getBoundingClientRect().left === 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'close-sidebar');
    assert.deepEqual(await axe(page), []);
    await shoot(page, 'page-phone-drawer');
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => getComputedStyle(document.getElementById('sidebar')).visibility === 'hidden');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'open-sidebar');
  });

  test('on a phone the page keeps above the keyboard, clear of the notch, and lets one zoom', async () => {
    await open({ size: 'phone' });
    const viewport = await page.getAttribute('meta[name="viewport"]', 'content');
    assert.match(viewport, /viewport-fit=cover/);
    assert.doesNotMatch(viewport, /user-scalable|maximum-scale/);
    await page.evaluate(() => {
      Object.defineProperty(visualViewport, 'height', { value: 420, configurable: true });
      visualViewport.dispatchEvent(new Event('resize'));
    });
    const bottom = await page.$eval('#composer', (form) => form.getBoundingClientRect().bottom);
    assert.ok(bottom > 300 && bottom <= 420, `the field ends at ${bottom}`);
  });

  test('without script there is a form', async () => {
    usePage(await openPage(browser, fixture.url, { javaScriptEnabled: false }));
    assert.equal(await page.isVisible('.plain textarea[name="message"]'), true);
    assert.equal(await page.isVisible('.app'), false);
    assert.equal(await page.getAttribute('.plain form', 'action'), 'chat');
    await shoot(page, 'page-no-script');
  });

  test('a visitor who wants less motion gets none', async () => {
    await open({ reducedMotion: 'reduce' });
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['x'], gate: gate.wait });
    await say(page, 'x');
    assert.equal(await page.$eval('.waiting i', (node) => parseFloat(getComputedStyle(node).animationDuration) < 0.01), true);
    gate.open();
  });
});

describe('as an app', () => {
  test('below a sub-path everything is asked for there', async () => {
    await fixture.close();
    useFixture(await startFixture({ base: '/some/where/' }));
    await open();
    await say(page, 'x');
    await answered(page);
    await page.goto(`${fixture.url}chat`);
    await page.waitForSelector('.message.assistant[aria-busy="false"]');
    assert.deepEqual(page.problems, []);
  });

  test('it opens without a connection, says so, and keeps what was typed', async () => {
    await open({ serviceWorkers: 'allow' });
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.fill('#field', 'typed before');
    await fixture.close();
    await page.reload();
    await page.waitForSelector('#banner-offline');
    assert.equal(await page.inputValue('#field'), 'typed before');
    assert.match(await page.textContent('#status'), /Not connected|Offline/);
    await shoot(page, 'page-offline');
    const kept = await page.evaluate(async () => {
      const names = await caches.keys();
      const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return requests.flat().map((request) => new URL(request.url).pathname);
    });
    assert.ok(kept.length > 3);
    assert.deepEqual(kept.filter((path) => path.includes('/api/')), [], 'answers are never kept');
    useFixture(await startFixture({ port: Number(new URL(fixture.url).port), config: { brand_name: 'Back again' } }));
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await page.waitForFunction(() => document.title === 'Back again');
    assert.equal(await page.inputValue('#field'), 'typed before');
  });

  test('it can be installed: manifest and icons are there', async () => {
    await open();
    const manifest = await page.evaluate(async () => {
      const link = document.querySelector('link[rel=manifest]').href;
      const body = await (await fetch(link)).json();
      const sizes = await Promise.all(body.icons.map(async (one) => {
        const image = new Image();
        image.src = new URL(one.src, link);
        await image.decode();
        return image.naturalWidth;
      }));
      return { display: body.display, start: new URL(body.start_url, link).href, sizes };
    });
    assert.equal(manifest.display, 'standalone');
    assert.equal(manifest.start, fixture.url);
    assert.deepEqual(manifest.sizes.slice(1), [192, 512, 512]);
  });
});
