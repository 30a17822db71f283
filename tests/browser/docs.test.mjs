/*
 * The documentation of the API as a page: drawn whole, without complaint of the browser, accessible, light and dark.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parleyCommand, startParley } from '../system/harness.mjs';
import { axe, launch, openPage, shoot } from './browser.mjs';

let browser;
let parley;
before(async () => { [browser, parley] = await Promise.all([launch(), startParley({ subPath: '/chat' })]); });
after(async () => {
  await browser?.close();
  await parley?.stop();
});

for (const colorScheme of ['light', 'dark']) {
  test(`every route is shown, ${colorScheme}`, async () => {
    const page = await openPage(browser, `${parley.url}/docs`, { colorScheme });
    await page.waitForSelector('#schemas');
    const shown = await page.$$eval('.operation > h3', (nodes) => nodes.map((node) => [...node.children].slice(0, 2).map((one) => one.textContent).join(' ')));
    const { stdout } = await parleyCommand(['print-routes']);
    for (const route of stdout.trim().split('\n')) assert.ok(shown.includes(route), route);
    assert.match(await page.textContent('pre'), new RegExp(`'${parley.url}/api/chat'`));
    await page.click('text=Responses and example >> nth=0');
    await shoot(page, `docs-${colorScheme}`);
    assert.deepEqual(await axe(page), []);
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });
}
