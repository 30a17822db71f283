/*
 * code: writes into a <code> element that grows. What is coloured is never touched again, and long code lies in
 * stretches of lines, each a block of its own, because a browser lays out a growing piece of text from its beginning.
 */
import { h } from './dom.js';

const STRETCH = 10; // lines

const nothing = (text) => ({ pieces: [[text, null]], rest: '' });

/**
 * A writer for `code`, which is empty. `paint(text, isEnd)` gives {pieces: [[text, kind or null], ...], rest}: `rest` is
 * too short to judge and comes again with what follows it.
 */
export function createCodeWriter(code, paint = nothing) {
  const tail = document.createTextNode('');
  let place = code;
  let lines = 0;
  let rest = '';
  code.append(tail);

  function put(text, kind) {
    const before = tail.previousSibling;
    if (kind) tail.before(h('span', { class: `tok-${kind}` }, text));
    else if (before?.nodeType === Node.TEXT_NODE) before.appendData(text);
    else tail.before(text);
    lines += text.split('\n').length - 1;
    if (lines < STRETCH || !text.endsWith('\n')) return;
    lines = 0;
    place = h('span', { class: 'stretch' }, tail);
    code.append(place);
  }

  function write(isEnd) {
    const painted = paint(rest, isEnd);
    rest = painted.rest;
    // Plain text between the colours is where a stretch may end.
    for (const [text, kind] of painted.pieces)
      if (kind) put(text, kind);
      else for (const line of text.match(/[^\n]*\n|[^\n]+/g) ?? []) put(line, null);
    tail.data = rest;
  }

  return {
    add(text) {
      rest += text;
      write(false);
    },
    end() {
      write(true);
      tail.remove();
      if (place !== code && !place.textContent) place.remove();
    },
  };
}
