/*
 * browser: starts Debian's Chromium for the tests, makes pages of both sizes, takes screenshots into build/screenshots.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const SCREENSHOTS = path.join(root, 'build', 'screenshots');
mkdirSync(SCREENSHOTS, { recursive: true });

export const SIZES = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 760 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/**
 * Open a page in its own context. `page.problems` collects what the console and the page complain about: a test that
 * expects none compares it with [].
 */
export async function openPage(browser, url, { size = 'desktop', ...more } = {}) {
  const context = await browser.newContext({ ...SIZES[size], locale: 'en-GB', serviceWorkers: 'block', ...more });
  const page = await context.newPage();
  page.problems = [];
  page.setDefaultTimeout(10_000);
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => {
    if (/^(?:error|warning)$/.test(message.type()) && !/blocked by Playwright/.test(message.text())) page.problems.push(message.text());
  });
  page.on('dialog', (dialog) => {
    page.problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  if (url) await page.goto(url);
  return page;
}

export const shoot = (page, name) => page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * Run axe-core with the rules of WCAG 2.2 AA and its best practices, on all of the page or `within` a selector (a list of
 * selectors goes through shadow roots). Returns short lines, [] when all is well.
 */
export async function axe(page, within = 'html') {
  // By the debugger's evaluate, so that the page's CSP stays as it is.
  if (!await page.evaluate(() => Boolean(window.axe))) await page.evaluate(`${axeSource};0`);
  const { violations } = await page.evaluate((selector) => window.axe.run(selector, {
    resultTypes: ['violations'],
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }), Array.isArray(within) ? { fromShadowDom: within } : within);
  return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(' | ')}`);
}

/** Type a message and send it with Enter. */
export async function say(page, text) {
  await page.fill('#field', text);
  await page.press('#field', 'Enter');
}

/** Wait until the last answer on the page is over. */
export const answered = (page) => page.waitForSelector('.message.assistant:last-child[aria-busy="false"]');
