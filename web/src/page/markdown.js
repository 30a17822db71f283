/*
 * markdown: the page's Markdown. marked reads it, safe.js builds it. A block is what stands between blank lines at the top
 * level: a paragraph, a list, a table, a piece of code. The widget has widget/lite.js with the same two functions.
 */
import { Marked } from 'marked';
import { escapeHtml, finishBlocks } from '../blocks.js';
import { ALLOWED_TAGS, createCleaner } from '../safe.js';

const TAG = /<!--[\s\S]*?-->|<(\/?)([a-z][a-z0-9]*)((?:"[^"]{0,2000}"|'[^']{0,2000}'|[^'"<>])*)>|[<>]/gi;
const ATTRIBUTE = /\b(href|src|alt|title|align|start)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))/gi;

/**
 * The model's own HTML: harmless tags pass with their harmless attributes, any other tag is shown as text, because
 * a reader who asked for it wants to see it. The cleaner still looks at what comes out here.
 */
function tameHtml(text) {
  return text.replace(TAG, (whole, slash, name, attributes) => {
    if (whole.startsWith('<!--')) return '';
    if (!name || !ALLOWED_TAGS.has(name.toLowerCase())) return escapeHtml(whole);
    const kept = [...attributes.matchAll(ATTRIBUTE)].map(([, key, a, b, c]) => ` ${key}="${(a ?? b ?? c).replace(/["<>]/g, '')}"`);
    return `<${slash}${name}${kept.join('')}>`;
  });
}

/** Make the renderer for one setting of the page. */
export function createMarkdown(settings) {
  const clean = createCleaner(settings);
  const marked = new Marked({
    gfm: true,
    renderer: {
      html: (token) => tameHtml(token.text),
      // Below the page's own h1 and the h2 of each message.
      heading({ tokens, depth }) {
        const level = [3, 3, 4, 5, 6, 6][depth - 1];
        return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
      },
      checkbox: (token) => (token.checked ? '☑ ' : '☐ '),
    },
  });

  return {
    /** Split text into block tokens; each has `raw`, and those of white space only are of type "space". */
    split: (text) => marked.lexer(text),

    /** Build the DOM of some tokens. */
    build(tokens) {
      return finishBlocks(clean(marked.parser(tokens)));
    },
  };
}
