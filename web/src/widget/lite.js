/*
 * lite: the widget's Markdown, a tenth of the size of the page's. Reads what models really write: paragraphs, headings,
 * lists in lists, code, tables, quotations, emphasis, links. HTML is shown as text. What it makes still goes through
 * safe.js; it has the same two functions as page/markdown.js.
 */
import { escapeHtml, finishBlocks } from '../blocks.js';
import { createCleaner } from '../safe.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const TABLE_LINE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const BLANK = /^[ \t]*$/;

const INTERRUPTS = [FENCE, HEADING, RULE, QUOTE];

/* By the line alone, so that reading stays linear. */
const opensBlock = (line) => ITEM.test(line) || INTERRUPTS.some((pattern) => pattern.test(line));
const indentOf = (line) => /^[ \t]*/.exec(line)[0].replaceAll('\t', '    ').length;
const isOrdered = (mark) => /\d/.test(mark);

/* ---- inside a line ---- */

const LINK = /^(!?)\[((?:[^[\]\\]|\\.|\[[^\]]*\])*)\]\(\s*<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+["'(][^)]*)?\s*\)/;
const SPANS = [
  [/^\*\*(?=\S)([\s\S]*?\S\**)\*\*/, 'strong'], [/^__(?=\S)([\s\S]*?\S)__(?!\w)/, 'strong'], [/^~~(?=\S)([\s\S]*?\S)~~/, 'del'],
  [/^\*(?=[^\s*])((?:\*\*[^*]*\*\*|[^*])*?[^\s*])\*(?!\*)/, 'em'], [/^_(?=[^\s_])([^_]*?[^\s_])_(?!\w)/, 'em'],
];

function inline(text) {
  let html = '';
  let rest = text;
  let before = '';
  const take = (length, made) => {
    before = rest[length - 1];
    rest = rest.slice(length);
    html += made;
  };
  while (rest) {
    let match;
    if ((match = /^(`+)(?!`)([\s\S]*?[^`])\1(?!`)/.exec(rest)))
      take(match[0].length, `<code>${escapeHtml(match[2].replace(/\n/g, ' ').replace(/^ (.*[^ ].*) $/, '$1'))}</code>`);
    else if ((match = /^\\([!-/:-@[-`{-~])/.exec(rest))) take(2, escapeHtml(match[1]));
    else if ((match = LINK.exec(rest))) {
      const target = escapeHtml(match[3].replace(/\\(.)/g, '$1'));
      take(match[0].length, match[1] ? `<img src="${target}" alt="${escapeHtml(match[2])}">` : `<a href="${target}">${inline(match[2])}</a>`);
    } else if (!/\w/.test(before) && (match = /^(?:<(https?:\/\/[^\s<>]+)>|(https?:\/\/[^\s<>]*[^\s<>.,:;"')\]!?*_~]))/.exec(rest))) {
      const target = escapeHtml(match[1] ?? match[2]);
      take(match[0].length, `<a href="${target}">${target}</a>`);
    } else if ((match = /^(?: {2,}|\\)\n|^<br\s*\/?>/i.exec(rest))) take(match[0].length, '<br>');
    else {
      const span = SPANS.find(([pattern]) => (match = pattern.exec(rest)) && !(rest[0] === '_' && /\w/.test(before)));
      if (span) take(match[0].length, `<${span[1]}>${inline(match[1])}</${span[1]}>`);
      else {
        // Up to the next sign that may mean something; an address may also begin inside a word.
        const plain = /^[\s\S](?:(?!https?:\/\/| {2,}\n)[^`\\![<*_~])*/.exec(rest)[0];
        take(plain.length, escapeHtml(plain));
      }
    }
  }
  return html;
}

/* ---- blocks: each reader takes lines from `at` and returns {type, lines, ...} or null ---- */

function readCode(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open || (open[1][0] === '`' && lines[at].slice(open[0].indexOf(open[1]) + open[1].length).includes('`'))) return null;
  const close = new RegExp(`^ {0,3}${open[1][0]}{${open[1].length},}[ \t]*$`);
  let end = at + 1;
  while (end < lines.length && !close.test(lines[end])) end += 1;
  return { type: 'code', language: open[2], code: lines.slice(at + 1, end), lines: Math.min(end + 1, lines.length) - at };
}

function readHeading(lines, at) {
  const match = HEADING.exec(lines[at]);
  return match && { type: 'heading', level: match[1].length, text: match[2], lines: 1 };
}

const readRule = (lines, at) => (RULE.test(lines[at]) ? { type: 'hr', lines: 1 } : null);

function readQuote(lines, at) {
  if (!QUOTE.test(lines[at])) return null;
  let end = at;
  while (end < lines.length && (QUOTE.test(lines[end]) || (!BLANK.test(lines[end]) && !opensBlock(lines[end])))) end += 1;
  return { type: 'quote', inner: lines.slice(at, end).map((line) => line.replace(QUOTE, '')).join('\n'), lines: end - at };
}

function readTable(lines, at) {
  if (at + 1 >= lines.length || !lines[at].includes('|') || !TABLE_LINE.test(lines[at + 1]) || !lines[at + 1].includes('-')) return null;
  const cells = (line) => line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
  const align = cells(lines[at + 1]).map((cell) => (cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'right') : ''));
  if (cells(lines[at]).length !== align.length) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].includes('|') && !BLANK.test(lines[end])) end += 1;
  return { type: 'table', align, head: cells(lines[at]), rows: lines.slice(at + 2, end).map(cells), lines: end - at };
}

function readList(lines, at) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const ordered = isOrdered(first[2]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const match = ITEM.exec(lines[end]);
    if (!match || isOrdered(match[2]) !== ordered || RULE.test(lines[end])) break;
    const inset = match[3] ? match[0].length - Math.max(0, match[3].length - 4) : match[0].length + 1;
    const begin = end;
    const inner = [lines[end].slice(match[0].length)];
    end += 1;
    for (; end < lines.length; end += 1) {
      if (BLANK.test(lines[end])) {
        // A blank line belongs to the item only when something indented, or the next item, follows.
        let next = end;
        while (next < lines.length && BLANK.test(lines[next])) next += 1;
        if (next === lines.length || (indentOf(lines[next]) < Math.min(inset, 2) && !ITEM.test(lines[next]))) break;
      } else if (indentOf(lines[end]) < Math.min(inset, 2) && (opensBlock(lines[end]) || BLANK.test(lines[end - 1]))) break;
      else if (indentOf(lines[end]) < inset && ITEM.test(lines[end]) && indentOf(lines[end]) <= first[1].length + 1) break;
      inner.push(lines[end].replace(new RegExp(`^[ \t]{0,${inset}}`), ''));
    }
    items.push({ text: inner.join('\n'), count: end - begin });
  }
  return { type: 'list', ordered, start: parseInt(first[2], 10), items, lines: end - at };
}

const READERS = [readCode, readHeading, readRule, readQuote, readTable, readList];
function readParagraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && !BLANK.test(lines[end]) && !INTERRUPTS.some((pattern) => pattern.test(lines[end]))
    && !readTable(lines, end) && !(ITEM.test(lines[end]) && /^ {0,3}([-*+]|1[.)])[ \t]+\S/.test(lines[end]))) end += 1;
  return { type: 'paragraph', text: lines.slice(at, end).join('\n'), lines: end - at };
}

function readSpace(lines, at) {
  let end = at;
  while (end < lines.length && BLANK.test(lines[end])) end += 1;
  return end > at ? { type: 'space', lines: end - at } : null;
}

/** Text to tokens; the raw texts of all, one after the other, are the text again. */
function split(text) {
  const lines = text.split('\n');
  const rawOf = (from, count) => lines.slice(from, from + count).join('\n') + (from + count < lines.length ? '\n' : '');
  const tokens = [];
  for (let at = 0; at < lines.length;) {
    let token = readSpace(lines, at);
    for (let i = 0; !token && i < READERS.length; i += 1) token = READERS[i](lines, at);
    token ??= readParagraph(lines, at);
    let from = at;
    for (const item of token.items ?? []) {
      item.raw = rawOf(from, item.count);
      from += item.count;
    }
    token.raw = rawOf(at, token.lines);
    tokens.push(token);
    at += token.lines;
  }
  return tokens;
}

/* ---- tokens to HTML ---- */

const cell = (tag, text, align) => `<${tag}${align ? ` align="${align}"` : ''}>${inline(text)}</${tag}>`;

const RENDER = {
  space: () => '',
  hr: () => '<hr>',
  paragraph: ({ text }) => `<p>${inline(text.replace(/^[ \t]+/gm, '').trimEnd())}</p>`,
  heading: ({ level, text }) => `<h${Math.min(6, level + 2)}>${inline(text)}</h${Math.min(6, level + 2)}>`,
  code: ({ language, code }) => `<pre><code${language ? ` class="language-${language}"` : ''}>${escapeHtml(code.map((line) => `${line}\n`).join(''))}</code></pre>`,
  quote: ({ inner }) => `<blockquote>${render(split(inner))}</blockquote>`,
  table: ({ align, head, rows }) => `<table><thead><tr>${head.map((text, i) => cell('th', text, align[i])).join('')}</tr></thead><tbody>${
    rows.map((row) => `<tr>${align.map((side, i) => cell('td', row[i] ?? '', side)).join('')}</tr>`).join('')}</tbody></table>`,
  list: ({ ordered, start, items }) => {
    const body = items.map(({ text }) => {
      const box = text.replace(/^\[( |x)\] /i, (whole, mark) => (mark === ' ' ? '☐ ' : '☑ '));
      const tokens = split(box).filter((token) => token.type !== 'space');
      // An item of one paragraph stands without its <p>, as in a tight list.
      const [head, ...rest] = tokens;
      const tight = head?.type === 'paragraph' && rest.every((token) => token.type === 'list');
      return `<li>${tight ? inline(head.text.trim()) + render(rest) : render(tokens)}</li>`;
    }).join('');
    return ordered ? `<ol${start > 1 ? ` start="${start}"` : ''}>${body}</ol>` : `<ul>${body}</ul>`;
  },
};
function render(tokens) {
  return tokens.map((token) => RENDER[token.type](token)).join('');
}

export function createLiteMarkdown(settings) {
  const clean = createCleaner(settings);
  return { split, build: (tokens) => finishBlocks(clean(render(tokens))) };
}
