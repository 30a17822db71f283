/*
 * page_setup: a browser for the file, a fresh fixture for each test, and a page. `page` and `fixture` are live bindings: they
 * are what the running test has open. Tests that want nothing special of their page share one: each fixture is an origin of
 * its own, so nothing that a page keeps comes to the next test.
 */
import { after, afterEach, before, beforeEach } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { startFixture } from './fixture.mjs';

export let browser;
export let fixture;
export let page;
let shared = null;

before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });
beforeEach(async () => { fixture = await startFixture(); });
afterEach(async () => {
  if (page && page === shared) await leave(page);
  else await page?.context().close();
  page = null;
  await fixture.close();
});

/** Make the shared page ready for the next test. */
async function leave(used) {
  await used.unrouteAll();
  await used.context().setOffline(false);
  for (const other of used.context().pages()) if (other !== used) await other.close();
  await used.goto('about:blank');
  used.problems.length = 0;
}

/** For a test that makes its own page or fixture: from now on it is the one that is closed afterwards. */
export const usePage = (made) => { page = made; };
export const useFixture = (made) => { fixture = made; };

/** Open the chat page and wait until it has found the server. */
export async function open(options) {
  if (options) page = await openPage(browser, fixture.url, options);
  else {
    shared ??= await openPage(browser);
    page = shared;
    await page.goto(fixture.url);
  }
  await page.waitForSelector('.status.up');
  return page;
}

export const texts = (selector) => page.$$eval(selector, (nodes) => nodes.map((node) => node.textContent));
export const lastAnswer = () => page.textContent('.message.assistant:last-child .answer-text');

/** Cut a text into deltas of `size` characters. */
export const pieces = (text, size = 3) => text.match(new RegExp(`[\\s\\S]{1,${size}}`, 'gu'));

/* An answer with a little of everything. */
export const SAMPLE = `Here is **what you asked for**, with a [link](https://example.org) and \`inline code\`.

## A list

1. First point with some text that is long enough to wrap over the end of the line on every phone
2. Second point
   - nested *one*
   - nested two

\`\`\`python
def greet(name: str) -> str:
    """Say hello."""
    return f"Hello, {name}!"  # 42 times
\`\`\`

| Server | Streams | Memory |
|---|---:|:--:|
| nginx | 1,000 | 48 KB |
| lighttpd | 1,000 | 48 KB |

> A quotation that says something wise.

مرحبا بالعالم، هذه فقرة من اليمين إلى اليسار.
`;
