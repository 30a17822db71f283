/*
 * parts: long blocks in parts, each of which can be built for itself: a list by its items, a table by its rows, a
 * paragraph by runs of words. So a long block neither has to be made anew for every word nor holds up a frame at the end.
 * Where a block is cut depends on its text alone, never on how that arrived.
 */

const RUN = 700; // characters of a paragraph after which it may be cut,
const RUN_MAX = 2500; // and after which it is, whatever is open
const GROUP = 12; // items or rows that are built at once

const even = (text, sign) => text.split(sign).length % 2;

/** Is all emphasis, code and linking of this text over? */
const isClosed = (text) => even(text, '*') && even(text, '_') && even(text, '`') && even(text, '~')
  && text.split('[').length === text.split(']').length && text.split('(').length === text.split(')').length;

/**
 * Where the first run of a paragraph ends: at a blank before a letter, outside of any emphasis and not in a line that could be a
 * table's. -1: nowhere yet.
 */
export function endOfRun(text) {
  const blank = /[^\s\\|](?=[ \n]\p{L}[^|\n]*(?:\n|$))/gu;
  blank.lastIndex = RUN;
  for (let match = blank.exec(text); match; match = blank.exec(text)) {
    const at = match.index + match[0].length;
    if (at > RUN_MAX || isClosed(text.slice(0, at))) return at;
  }
  return -1;
}

/** The nodes of one run; what Markdown does not take for a paragraph stays what it is. `links`: definitions that it may need. */
export function buildRun(markdown, text, links = '') {
  const [first, ...rest] = markdown.build(markdown.split(text + links)).childNodes;
  return first?.nodeName === 'P' && !rest.length ? [...first.childNodes] : [document.createTextNode(text)];
}

/** The node that holds the parts of a list or a table. */
export const innerOf = (nodes) => {
  const [node] = nodes.filter((one) => /^(?:OL|UL|DIV)$/.test(one.nodeName));
  return node?.querySelector(':scope > table > tbody') ?? node;
};

/** Build a block step by step; what is returned at last is the list of its nodes. */
export function* buildInParts(markdown, token, links) {
  const key = { list: 'items', table: 'rows' }[token.type];
  if (key && token[key].length > GROUP) {
    const group = (at) => [...markdown.build([{ ...token, [key]: token[key].slice(at, at + GROUP) }]).childNodes];
    const nodes = group(0);
    const inner = innerOf(nodes);
    for (let at = GROUP; at < token[key].length; at += GROUP) {
      yield;
      inner.append(...innerOf(group(at)).childNodes);
    }
    return nodes;
  }
  let end = token.type === 'paragraph' ? endOfRun(token.raw) : -1;
  if (end < 0) return [...markdown.build([token]).childNodes];
  const node = document.createElement('p');
  node.dir = 'auto';
  let rest = token.raw;
  for (; end >= 0; end = endOfRun(rest)) {
    node.append(...buildRun(markdown, rest.slice(0, end), links), rest[end]);
    rest = rest.slice(end + 1);
    yield;
  }
  node.append(...buildRun(markdown, rest, links));
  return [node];
}
