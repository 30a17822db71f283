/*
 * The website widget in Chromium, on a site of another origin than the server's.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { axe, launch, openPage, shoot } from './browser.mjs';
import { makeGate, startFixture, startSite } from './fixture.mjs';

let browser;
let fixture;
let site;
let page;
let shared = null; // for tests that want nothing special of their page: each site is an origin of its own
let attributes = '';
let extra = '';
let headers = {};

const html = () => `<!doctype html><html lang="en"><head><title>A site</title><meta name="viewport" content="width=device-width">
<style>body{font-family:serif;margin:0 20px;min-height:1500px}button{text-transform:uppercase;background:red!important}${extra}</style>
<script src="${fixture.url}widget.js" defer ${attributes}></script></head>
<body><main><h1>A site</h1><p>Its own words.</p><button>Its own button</button></main></body></html>`;

before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });
beforeEach(async () => {
  attributes = '';
  extra = '';
  headers = {};
  fixture = await startFixture();
});
afterEach(async () => {
  if (page && page === shared) {
    await page.goto('about:blank');
    page.problems.length = 0;
  } else await page?.context().close();
  page = null;
  await site?.close();
  site = null;
  await fixture.close();
});

async function open(options) {
  site ??= await startSite(html, headers);
  fixture.origins = fixture.allowed(site.origin);
  if (options) page = await openPage(browser, `${site.origin}/`, options);
  else {
    shared ??= await openPage(browser);
    page = shared;
    await page.goto(`${site.origin}/`);
  }
  await page.waitForSelector('.chat-toggle');
  return page;
}
async function say(text) {
  await page.fill('#chatInput', text);
  await page.press('#chatInput', 'Enter');
}
/* Calls of the API, without the browser's own questions before them. */
const asked = (path) => fixture.requests.filter((one) => one.method === 'POST' && one.path === path);
const answered = () => page.waitForFunction(() => {
  const root = document.querySelector('.parley-widget').shadowRoot ?? document;
  const last = [...root.querySelectorAll('.message')].at(-1);
  return last?.classList.contains('bot') && !last.querySelector('.dots');
});
/* What one reads in the messages, without the words that are only for screen readers. */
const said = (who) => page.$$eval(`.chat-messages .message.${who}`, (nodes) => nodes.map((node) => {
  const copy = node.cloneNode(true);
  copy.querySelector('.hidden-text')?.remove();
  return copy.textContent.trim();
}));

describe('a visitor', () => {
  test('opens it, chats, reloads, and finds everything again', async () => {
    attributes = 'data-title="Helper" data-greeting="Hello there!"';
    await open();
    assert.deepEqual(fixture.requests.map((one) => one.path), ['widget.js'], 'nothing else is loaded before it is wanted');
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    assert.equal(await page.textContent('.chat-header h3'), 'Helper');
    assert.deepEqual(await said('bot'), ['Hello there!']);
    assert.equal(await page.evaluate(() => document.querySelector('.parley-widget').shadowRoot.activeElement.id), 'chatInput');
    await say('first');
    await answered();
    await say('second');
    await answered();
    assert.deepEqual(await said('user'), ['first', 'second']);
    assert.deepEqual(await said('bot'), ['Hello there!', 'You said: first', 'You said: second']);
    const sent = fixture.requests.filter((one) => one.method === 'POST').map((one) => one.path);
    assert.deepEqual(sent, ['api/create-session', 'api/chat', 'api/chat']);

    await page.reload();
    await page.waitForFunction(() => document.querySelector('.parley-widget')?.shadowRoot.querySelectorAll('.message').length === 4);
    assert.deepEqual(await said('user'), ['first', 'second']);
    await say('third');
    await answered();
    assert.equal(asked('api/create-session').length, 1, 'the session goes on');
    assert.deepEqual(page.problems, []);
  });

  test('who types faster than the server says how it is configured is told of tools all the same', async () => {
    fixture.config.features.tool_calls = true;
    await open({});
    let configured;
    const held = new Promise((resolve) => { configured = resolve; });
    await page.route('**/api/config', async (route) => {
      await held;
      await route.continue();
    });
    await page.click('.chat-toggle');
    const session = page.waitForResponse(/create-session/);
    await say('early bird');
    await session;
    configured();
    await answered();
    assert.equal(asked('api/chat')[0].body.tool_calls, true);
  });

  /* Keep the first request waiting until the function that it gives is called. */
  async function hold(pattern) {
    let go;
    const held = new Promise((resolve) => { go = resolve; });
    await page.route(pattern, async (route) => {
      await held;
      await route.continue();
    }, { times: 1 });
    return go;
  }
  const shows = (wanted, who = page) => who.waitForFunction((list) => [...document.querySelector('.parley-widget').shadowRoot
    .querySelectorAll('.message')].map((node) => [...node.children].slice(1).map((one) => one.textContent.trim()).join('') || node.lastChild.textContent.trim()).join() === list.join(), wanted);

  test('stops, starts anew or erases while the session is still being made, and goes on in that one', async () => {
    attributes = 'data-greeting="Hi"';
    await open({});
    page.removeAllListeners('dialog');
    page.on('dialog', (dialog) => dialog.accept());
    const made = await hold('**/api/create-session');
    await page.click('.chat-toggle');
    await say('stopped');
    await page.click('.stop-button');
    await shows(['Hi', 'stopped', 'Stopped.']);
    await page.click('[aria-label="Menu"]');
    await page.click('.chat-menu >> text=New chat');
    await say('given up');
    await page.click('[aria-label="Menu"]');
    await page.click('.chat-menu >> text=Erase my data');
    await shows(['Your data has been erased.']);
    await say('one');
    made();
    await answered();
    await page.fill('#chatInput', 'two');
    await page.dblclick('.send-button');
    await answered();
    await shows(['Your data has been erased.', 'one', 'You said: one', 'two', 'You said: two']);
    assert.equal(new Set(asked('api/chat').map((one) => one.body.sessionId)).size, 1);
    assert.deepEqual(asked('api/chat').map((one) => one.body.message), ['one', 'two']);
    assert.equal(asked('api/create-session').length, 1);
  });

  test('asks in two tabs of the site, types faster than the history comes, and finds all of it in order', async () => {
    attributes = 'data-open data-greeting="Hi"';
    await open();
    const other = await page.context().newPage();
    await other.goto(`${site.origin}/`);
    await shows(['Hi'], other);
    await say('one');
    await answered();
    await other.evaluate(() => {
      window.Parley.send('two');
      window.Parley.send('lost');
    });
    await shows(['Hi', 'two', 'You said: two'], other);
    await other.close();
    const history = await hold('**/api/conversations/*');
    await page.reload();
    await say('three');
    history();
    await shows(['one', 'You said: one', 'two', 'You said: two', 'three', 'You said: three']);
    assert.equal(asked('api/create-session').length, 1);
  });

  test('asks again what failed when nothing else is being answered, below what was said since', async () => {
    const gate = makeGate();
    fixture.reply = ({ message }) => (message === 'one' ? { refuse: { status: 429, body: { error: 'Limit.', code: 'rate_limited' } } }
      : { deltas: ['Two.'], gate: gate.wait });
    attributes = 'data-open data-greeting="Hi"';
    await open();
    await say('one');
    await page.waitForSelector('.again');
    await say('two');
    await page.waitForSelector('.stop-button');
    await page.click('.again');
    assert.deepEqual(asked('api/chat').map((one) => one.body.message), ['one', 'two']);
    gate.open();
    await page.waitForSelector('.send-button');
    fixture.reply = () => ({ deltas: ['One.'] });
    await page.click('.again');
    await shows(['Hi', 'two', 'Two.', 'one', 'One.']);
    assert.equal(new Set(asked('api/chat').map((one) => one.body.client_message_id)).size, 3);
  });

  test('finds a long history laid out at once, and reads there what was stopped or failed', async () => {
    attributes = 'data-open data-greeting="Hi"';
    await open({});
    await say('first');
    await answered();
    const [{ messages }] = fixture.conversations.values();
    for (let i = 0; i < 30; i += 1)
      messages.push({ id: `q${i}`, role: 'user', content: `q${i}` }, { id: `a${i}`, role: 'assistant', content: `a${i}`, status: 'complete' });
    for (const [i, status] of ['stopped', 'interrupted', 'failed'].entries())
      messages.push({ id: `x${i}`, role: 'assistant', content: '', status });
    await page.addInitScript(() => {
      const { get } = Object.getOwnPropertyDescriptor(Element.prototype, 'scrollHeight');
      window.looks = 0;
      Object.defineProperty(Element.prototype, 'scrollHeight', { get() {
        if (this.className === 'chat-messages') window.looks += 1;
        return get.call(this);
      } });
    });
    await page.reload();
    await page.waitForFunction(() => document.querySelector('.parley-widget')?.shadowRoot.querySelectorAll('.message').length === 65);
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.ok(await page.evaluate(() => window.looks) < 20);
    assert.deepEqual((await said('bot')).slice(-3), ['Stopped.', 'The answer was interrupted.', 'This answer failed.']);
  });

  test('reads in ordinary words that something else than the server answered, and goes on when it is there again', async () => {
    attributes = 'data-open data-greeting="Hi"';
    await open({});
    await say('one');
    await answered();
    const unreadable = 'The server sent something unreadable.';
    for (const body of ['null', '<h1>Log in</h1>']) {
      await page.route(/api\/(?:config|create-session|conversations\/)/, (route) =>
        route.fulfill({ body, headers: { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*' } }));
      await page.reload();
      await shows([unreadable]);
      await page.click('[aria-label="Menu"]');
      await page.click('.chat-menu >> text=New chat');
      await say('two');
      await shows(['Hi', 'two', `${unreadable}Try again`]);
      await page.unrouteAll();
      await page.click('.again');
      await shows(['Hi', 'two', 'You said: two']);
    }
    assert.deepEqual(page.problems, []);
  });

  test('sees the answer grow, and can stop it', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['One ', 'two ', 'three'], gate: gate.wait });
    await open();
    await page.click('.chat-toggle');
    await say('count');
    for (const text of ['One', 'One two']) {
      gate.open();
      await page.waitForFunction((wanted) => [...document.querySelector('.parley-widget').shadowRoot.querySelectorAll('.text')].at(-1).textContent.trim() === wanted, text);
    }
    await page.click('.stop-button');
    await answered();
    assert.equal([...fixture.answers.values()][0].status, 'stopped');
    assert.match((await said('bot')).at(-1), /^One two\s*Stopped\.$/);
  });

  test('reloads in the middle of an answer and gets the rest', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['Begin… ', 'and end.'], gate: gate.wait });
    await open();
    await page.click('.chat-toggle');
    await say('x');
    gate.open();
    await page.waitForFunction(() => /Begin/.test(document.querySelector('.parley-widget').shadowRoot.textContent));
    await page.reload();
    await page.waitForFunction(() => /Begin/.test(document.querySelector('.parley-widget')?.shadowRoot.textContent));
    gate.open();
    await answered();
    assert.equal((await said('bot')).at(-1), 'Begin… and end.');
  });

  test('starts a new chat, and erases everything', async () => {
    await open({}); // its own page: it answers dialogs
    await page.click('.chat-toggle');
    await say('one');
    await answered();
    await page.click('[aria-label="Menu"]');
    await page.click('.chat-menu >> text=New chat');
    assert.deepEqual(await said('user'), []);
    await say('two');
    await answered();
    assert.equal(asked('api/create-session').length, 2);
    const erase = async (sure) => {
      page.removeAllListeners('dialog');
      page.on('dialog', (dialog) => (sure ? dialog.accept() : dialog.dismiss()));
      await page.click('[aria-label="Menu"]');
      await page.click('.chat-menu >> text=Erase my data');
    };
    await erase(false);
    assert.equal(await page.evaluate(() => document.querySelector('.parley-widget').shadowRoot.activeElement?.ariaLabel), 'Menu', 'the focus stays inside');
    await erase(true);
    await page.waitForFunction(() => /has been erased/.test(document.querySelector('.parley-widget').shadowRoot.querySelector('.chat-messages').textContent));
    assert.equal(fixture.requests.filter((one) => one.method === 'DELETE' && one.path.startsWith('api/sessions/')).length, 1);
    assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), []);
  });

  test('comes back after the session expired: the question goes into a new one', async () => {
    await open();
    await page.click('.chat-toggle');
    await say('one');
    await answered();
    fixture.conversations.clear();
    await say('two');
    await page.waitForFunction(() => /You said: two/.test(document.querySelector('.parley-widget').shadowRoot.textContent));
    await answered();
    assert.deepEqual(await said('user'), ['one', 'two']);
  });

  test('works it by keyboard alone', async () => {
    await open();
    await page.focus('main button');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.chat-panel');
    await page.waitForFunction(() => document.querySelector('.parley-widget').shadowRoot.activeElement?.id === 'chatInput');
    await page.keyboard.type('hello');
    await page.keyboard.press('Enter');
    await answered();
    await page.keyboard.press('Escape');
    assert.equal(await page.isVisible('.chat-panel'), false);
    assert.equal(await page.evaluate(() => document.querySelector('.parley-widget').shadowRoot.activeElement.className), 'chat-toggle');
  });

  test('is told by a dot that an answer came while it was closed', async () => {
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['Done.'], gate: gate.wait });
    await open();
    await page.click('.chat-toggle');
    await say('x');
    await page.waitForFunction(() => document.querySelector('.parley-widget').shadowRoot.querySelector('.dots'));
    await page.click('.chat-toggle');
    gate.open();
    await page.waitForSelector('.chat-toggle[data-unread]');
  });
});

describe('a site', () => {
  test('drives it by its interface', async () => {
    await open();
    await page.evaluate(() => {
      window.events = [];
      for (const name of ['ready', 'open', 'close', 'message']) window.Parley.on(name, (detail) => window.events.push(detail ? `${detail.role}: ${detail.text}` : name));
      window.Parley.setContext({ page: '/pricing', product_interest: 'big plan' });
      window.Parley.open();
      window.Parley.send('from the site');
    });
    await page.waitForFunction(() => window.events.length === 4);
    assert.deepEqual(await page.evaluate(() => window.events), ['open', 'ready', 'user: from the site', 'bot: You said: from the site']);
    assert.deepEqual(asked('api/chat')[0].body.user_context, { page: '/pricing', product_interest: 'big plan' });
    assert.deepEqual(await page.evaluate(() => Promise.all([window.Parley.send('two'), window.Parley.send('while two is answered'), window.Parley.send(' ')])), [true, false, false]);
    assert.match(await page.evaluate(() => {
      const circle = {};
      circle.circle = circle;
      try {
        return window.Parley.setContext(circle);
      } catch (error) {
        return error.message;
      }
    }), /circular/);
    await answered();
    assert.deepEqual(asked('api/chat').at(-1).body.user_context, { page: '/pricing', product_interest: 'big plan' });
    await page.evaluate(() => window.Parley.toggle());
    assert.equal(await page.isVisible('.chat-panel'), false);
    await page.evaluate(() => window.Parley.destroy());
    assert.equal(await page.$('.parley-widget'), null);
    assert.equal(await page.evaluate(() => window.Parley), undefined);
  });

  test('opens it by an attribute, dark, closes it without taking the focus, and hears of what fails', async () => {
    attributes = 'data-open data-theme="dark"';
    await open();
    await page.waitForSelector('.chat-panel');
    assert.equal(await page.$eval('.chat-panel', (node) => getComputedStyle(node).backgroundColor), 'rgb(20, 22, 27)', 'on a system that is light');
    assert.equal(await page.evaluate(() => document.activeElement), await page.evaluate(() => document.body), 'nobody asked for it');
    fixture.reply = () => ({ refuse: { status: 503, body: { error: 'Down.', code: 'provider_unavailable' } } });
    const failed = await page.evaluate(() => new Promise((resolve) => {
      window.closings = 0;
      const off = window.Parley.on('close', () => { window.closings += 1; });
      window.stopListening = off;
      window.Parley.on('error', (error) => resolve(error.code));
      window.Parley.send('x');
    }));
    assert.equal(failed, 'provider_unavailable');
    fixture.reply = () => ({ deltas: ['Well again.'] });
    await page.click('.again');
    await answered();
    assert.deepEqual(await said('bot').then((all) => all.at(-1)), 'Well again.');
    await page.focus('main button');
    await page.evaluate(() => window.Parley.close());
    assert.equal(await page.isVisible('.chat-panel'), false);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Its own button');
    await page.evaluate(() => {
      window.stopListening();
      window.Parley.open();
      window.Parley.close();
    });
    assert.equal(await page.evaluate(() => window.closings), 1, 'whoever stopped listening hears no more');
  });

  test('lets remote pictures load only by its own wish', async () => {
    fixture.reply = () => ({ deltas: ['![a loaf](https://pictures.invalid/loaf.png)'] });
    attributes = 'data-images="on"';
    await open({});
    await page.route('https://pictures.invalid/**', (route) => route.fulfill({ status: 204 }));
    await page.click('.chat-toggle');
    await say('show');
    await answered();
    assert.equal(await page.$eval('.text img', (image) => image.src), 'https://pictures.invalid/loaf.png');
    attributes = '';
    await page.reload();
    await page.waitForFunction(() => document.querySelector('.parley-widget')?.shadowRoot.querySelectorAll('.message').length === 2);
    assert.equal(await page.locator('.text img').count(), 0);
    assert.equal(await page.getAttribute('.text a', 'href'), 'https://pictures.invalid/loaf.png');
  });

  test('and the widget do not touch each other, by the shadow root', async () => {
    await open();
    const before = await page.$eval('main', (node) => node.innerHTML + getComputedStyle(node.querySelector('button')).cssText);
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    assert.equal(await page.$eval('main', (node) => node.innerHTML + getComputedStyle(node.querySelector('button')).cssText), before);
    const style = await page.$eval('.chat-toggle', (node) => [getComputedStyle(node).textTransform, getComputedStyle(node).backgroundColor]);
    assert.deepEqual(style, ['none', 'rgb(52, 72, 197)']);
  });

  test('that wants its own style sheets for the known class names gets its way without the shadow root', async () => {
    attributes = 'data-shadow="off"';
    extra = '.chat-toggle{border-radius:0!important}.chat-panel{width:300px}.chat-header{background:green}.message.user{background:black}';
    await open();
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    await say('x');
    await answered();
    const styleOf = (selector, name) => page.$eval(selector, (node, key) => getComputedStyle(node)[key], name);
    assert.equal(await styleOf('.chat-toggle', 'borderRadius'), '0px');
    assert.equal(await styleOf('.chat-panel', 'width'), '300px');
    assert.equal(await styleOf('.chat-header', 'backgroundColor'), 'rgb(0, 128, 0)');
    assert.equal(await styleOf('.message.user', 'backgroundColor'), 'rgb(0, 0, 0)');
    for (const name of ['chat-toggle', 'chat-panel', 'chat-header', 'chat-messages', 'chat-input-area'])
      assert.equal(await page.locator(`.${name}`).count(), 1, name);
  });

  test('with a strict policy of its own can have it', async () => {
    headers = { 'Content-Security-Policy': `default-src 'none'; style-src 'unsafe-inline'; script-src ${fixture.origin}; connect-src ${fixture.origin}` };
    await open();
    await page.click('.chat-toggle');
    await say('x');
    await answered();
    assert.deepEqual(page.problems, []);
  });

  test('hears at once that nothing was sent where the panel cannot be loaded', async () => {
    await open({});
    await page.route('**/assets/widget-panel-*', (route) => route.abort());
    assert.equal(await page.evaluate(() => window.Parley.send('x')), false);
    await page.unrouteAll();
    assert.equal(await page.evaluate(() => window.Parley.send('x')), true);
  });

  test('that is not listed in CORS_ORIGIN reads in the console what to do', async () => {
    fixture.allowed = () => [];
    await open();
    await page.click('.chat-toggle');
    await say('x');
    await page.waitForSelector('.message.bot.error');
    await page.waitForFunction(() => true);
    for (let i = 0; i < 50 && !page.problems.some((one) => one.startsWith('Parley:')); i += 1) await page.waitForTimeout(50);
    const told = page.problems.find((one) => one.startsWith('Parley:'));
    assert.match(told, new RegExp(`Add ${site.origin} to CORS_ORIGIN`));
    assert.match((await said('bot')).at(-1), /cannot be reached/);
  });

  test('chooses colour, side and language', async () => {
    attributes = 'data-accent="gold" data-position="left" data-lang="de"';
    await open();
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    assert.deepEqual(await said('bot'), ['Hallo! Wie kann ich helfen?']);
    assert.equal(await page.getAttribute('.chat-toggle', 'aria-label'), 'Chat schließen');
    assert.equal(await page.$eval('.chat-toggle', (node) => node.offsetLeft), 20);
    assert.equal(await page.$eval('.chat-header', (node) => getComputedStyle(node).color), 'rgb(0, 0, 0)', 'dark letters on a light colour');
    await say('x');
    await answered();
    assert.deepEqual(await axe(page, '.parley-widget'), []);
    await shoot(page, 'widget-gold-left-german');
  });
});

describe('what the model writes', () => {
  const PAYLOADS = [
    '<script>window.hacked = 1</script>', '<img src=x onerror="window.hacked = 1">', '[click](javascript:window.hacked=1)',
    '[a](java\nscript:window.hacked=1)', '![b](https://evil.invalid/pixel.png?secret)', '[x](https://a.invalid/"onmouseover="window.hacked=1)',
    '**<svg onload=window.hacked=1>**', '`</code><script>window.hacked=1</script>`', '```x"onload="y\n</code><script>window.hacked=1</script>\n```',
    '| <img src=x onerror=window.hacked=1> |\n|---|\n| [z](vbscript:x) |', '> <iframe src=javascript:window.hacked=1>', '- <b onclick=window.hacked=1>',
    '![x](data:image/svg+xml;base64,PHN2Zy8+)', 'https://ok.invalid/"><script>window.hacked=1</script>',
  ];
  for (const size of [100_000, 1])
    test(`never runs nor calls home (${size === 1 ? 'character by character' : 'whole'})`, async () => {
      fixture.reply = () => ({ deltas: PAYLOADS.join('\n\n').match(new RegExp(`[\\s\\S]{1,${size}}`, 'gu')) });
      await open();
      const outside = [];
      page.on('request', (request) => {
        if (/invalid/.test(request.url())) outside.push(request.url());
      });
      await page.click('.chat-toggle');
      await say('attack');
      await answered();
      const found = await page.$eval('.chat-messages', (root) => ({
        bad: [...root.querySelectorAll('script,iframe,img,style,form')].map((node) => node.outerHTML),
        handlers: [...root.querySelectorAll('.text *')].flatMap((node) => [...node.attributes]).filter((one) => /^on|^style$/.test(one.name)).map((one) => one.name),
        links: [...new Set([...root.querySelectorAll('a[href]')].map((link) => `${new URL(link.href).protocol} ${link.target} ${link.rel}`))],
      }));
      assert.deepEqual(found, { bad: [], handlers: [], links: ['https: _blank noopener noreferrer nofollow'] });
      assert.equal(await page.evaluate(() => window.hacked), undefined);
      assert.deepEqual(outside, []);
      assert.deepEqual(page.problems, []);
    });

  test('is read as Markdown, the same however it was cut', async () => {
    const text = `# Title\n\nSome **bold**, *slanted*, ~~gone~~ and \`code\` with snake_case_words and 2*3*4.\nSecond line\\\nbroken, and https://example.org/a_b?c=d.\n
1. one\n   - inner *a*\n   - inner b\n\n2. two\n\n   more of two\n3. three\n\n- [x] done\n- [ ] open\n\n\`\`\`js\nlet a = 1 < 2;\n\n// end\n\`\`\`
| Name | Value |\n|:--|--:|\n| a \\| b | \`1\` |\n\n> quoted\nlazy\n\n***\n\n[link](https://example.org/x_(y) "t") and \\*stars\\* & <tags>\n\n<br>مرحبا`;
    const shown = [];
    await open();
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    for (const size of [100_000, 1, 9]) {
      fixture.reply = () => ({ deltas: text.match(new RegExp(`[\\s\\S]{1,${size}}`, 'gu')), delay: size === 9 ? 2 : 0 });
      await say('x');
      await answered();
      shown.push(await page.$$eval('.text', (nodes) => nodes.at(-1).innerHTML.replace(/ class="past"| past(?=")/g, '')));
    }
    assert.equal(shown[1], shown[0]);
    assert.equal(shown[2], shown[0]);
    const expected = readFileSync(new URL('./widget-markdown.html', import.meta.url), 'utf8');
    assert.equal(shown[0].replace(/></g, '>\n<'), expected.trimEnd());
  });
});

describe('looks', () => {
  for (const size of ['desktop', 'phone'])
    for (const colorScheme of ['light', 'dark'])
      test(`${size}, ${colorScheme}: readable, inside the window, no axe violation`, async () => {
        fixture.reply = () => ({ deltas: ['Of course. **Three** points:\n\n1. First, `code`\n2. Second, [a link](https://example.org)\n3. Third\n\n', '| Day | Hours |\n|--|--|\n| Monday | 7–18 |\n\n```\nmake run\n```\n'] });
        await open({ size, colorScheme });
        await shoot(page, `widget-${size}-${colorScheme}-closed`);
        assert.deepEqual(await axe(page, '.parley-widget'), []);
        await page.click('.chat-toggle');
        await page.waitForSelector('.chat-panel');
        await say('What can you tell me about your opening hours?');
        await answered();
        await page.waitForTimeout(250);
        await shoot(page, `widget-${size}-${colorScheme}`);
        assert.deepEqual(await axe(page, '.parley-widget'), []);
        const box = await page.$eval('.chat-panel', (node) => {
          const { left, top, right, bottom } = node.getBoundingClientRect();
          return left >= 0 && top >= 0 && right <= window.innerWidth && bottom <= window.innerHeight && node.scrollWidth <= node.clientWidth;
        });
        assert.equal(box, true);
        assert.ok(await page.$eval('#chatInput', (field) => parseFloat(getComputedStyle(field).fontSize)) >= 16);
        await page.click('[aria-label="Menu"]');
        assert.deepEqual(await axe(page, ['.parley-widget', '.chat-menu']), []);
      });

  test('right to left where the language is, without motion where none is wanted', async () => {
    attributes = 'data-lang="ar"';
    await open({ reducedMotion: 'reduce' });
    const gate = makeGate();
    fixture.reply = () => ({ deltas: ['مرحبا'], gate: gate.wait });
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    assert.equal(await page.$eval('.chat-panel', (node) => getComputedStyle(node).direction), 'rtl');
    await page.evaluate(() => {
      const speaker = document.querySelector('.parley-widget').shadowRoot.querySelector('[role="status"]');
      window.spoken = [];
      new MutationObserver(() => speaker.textContent && window.spoken.push(speaker.textContent)).observe(speaker, { childList: true });
    });
    await say('مرحبا');
    await page.waitForFunction(() => window.spoken.length === 1);
    assert.equal(await page.$eval('.dots i', (node) => getComputedStyle(node).animationName), 'none');
    gate.open();
    await answered();
    await page.waitForFunction(() => window.spoken.length === 2);
    assert.equal(await page.evaluate(() => window.spoken[1]), 'مرحبا');
    assert.deepEqual(await axe(page, '.parley-widget'), []);
    await shoot(page, 'widget-arabic');
  });

  test('the sample page shows it', async () => {
    page = await openPage(browser, `${fixture.url}widget-demo`);
    await page.click('.chat-toggle');
    await page.waitForSelector('.chat-panel');
    await say('Do you have rye bread?');
    await answered();
    await shoot(page, 'widget-demo');
    assert.deepEqual(page.problems, []);
  });
});

test('a host that holds streams back: the widget notices and asks by long-poll', async () => {
  const gate = makeGate();
  const text = 'slow but steady '.repeat(18);
  fixture.reply = () => ({ deltas: text.match(/.{1,16}/g), gate: gate.wait, lump: true });
  await open();
  await page.click('.chat-toggle');
  await say('x');
  gate.open(5);
  await page.waitForFunction(() => (/steady/.test(document.querySelector('.parley-widget').shadowRoot.textContent)), null, { timeout: 15_000 });
  assert.equal(await page.isVisible('.dots'), true, 'it shows text before the end');
  gate.open(13);
  await answered();
  assert.equal((await said('bot')).at(-1), text.trim());
  assert.equal(fixture.answers.size, 1);
});
