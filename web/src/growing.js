/*
 * growing: an answer on the screen while it grows. At most one change of the document per animation frame, and only the
 * end of the last block is made anew: blocks before it are final, and so are the items, rows and runs of a long one before
 * its last (parts.js); an open piece of code is only added to (code.js). finish() compares with one clean rendering of the
 * whole text, so the end result is the same as if it had come at once.
 *
 * Building has a task of its own between two frames, so that it and the browser's layout and painting are never one long
 * task; pace.js says how much text the next one may take and whether the last frame leaves it room.
 */
import { createCodeWriter } from './code.js';
import { createPace } from './pace.js';
import { buildInParts, buildRun, endOfRun, innerOf } from './parts.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})([^\n]*)\n/;
/* All of a table's text but its last row; its head. */
const ROWS = /^[^\n]*\n[^\n]*\n(?:[^\n]+\n)*(?=[^\n]+\n*$)/;
const HEAD = /^[^\n]*\n[^\n]*\n/;
const PAST = 'past';
const SLICE_MS = 6; // of a task, for the last comparison,
const LONG = 8000; // which waits for a frame of its own when the text is as long as this

/** Call in a task of its own, after the next frame is drawn. */
const afterFrame = (call) => requestAnimationFrame(() => setTimeout(call));

const lastIndexOf = (tokens, test) => {
  for (let i = tokens.length - 1; i >= 0; i -= 1) if (test(tokens[i])) return i;
  return -1;
};

/** What of a list or a table is final: all but the last item or row. */
function finalPart(token) {
  const raw = token.type === 'list' ? token.items.slice(0, -1).map((item) => item.raw).join('') : ROWS.exec(token.raw)?.[0];
  return raw && token.raw.startsWith(raw) ? raw.length : 0;
}

const FIRST_WORDS = ['A **b** *c* `d` [e](https://example.org) f.', '- a\n- b', '1. a\n2. b', '| a | b |\n|--|--|\n| c | d |', '# a\n\n> b\n\n```js\nc\n```'];

/** Read and build a little of everything while nothing else is to be done, so that an answer's first words find it compiled. */
export function warmUp(markdown) {
  const idle = window.requestIdleCallback ?? setTimeout;
  const next = (i) => {
    markdown.build(markdown.split(FIRST_WORDS[i % FIRST_WORDS.length]));
    if (i + 1 < 2 * FIRST_WORDS.length) idle(() => next(i + 1));
  };
  idle(() => next(0));
}

/**
 * Grow an answer inside `container`. `decorate(nodes)` is called once for nodes that are final, and for an open piece of
 * code before it has any text (it gets its head and buttons there); `paint(language)` makes its colours, see code.js;
 * `onGrown` after each change of the document.
 */
export function createGrowing(container, markdown, { decorate = () => {}, paint = () => undefined, onGrown = () => {} } = {}) {
  let text = ''; // what may be on the screen
  let coming = ''; // what has come and waits for its turn
  let stable = 0; // text before this is final and on the screen
  let live = []; // nodes of what is still growing
  let open = null; // {type, ordered, inner, head, start}: the block that goes on across renderings
  let code = null; // {writer, close, line, shown}: the open piece of code
  let frame = 0;
  let timer = 0;
  let conclude = null; // what comes after the last of the text
  const pace = createPace();

  function clearLive() {
    for (const node of live) node.remove();
    live = [];
  }

  const drain = (steps) => {
    let step = steps.next();
    while (!step.done) step = steps.next();
    return step.value;
  };

  /** Inside an open fence: add what is new, hold back a line that may become the closing one. */
  function growCode() {
    const rest = text.slice(code.line);
    const close = code.close.exec(rest);
    const lastLine = rest.lastIndexOf('\n') + 1;
    const until = code.line + (close ? close.index : /^ {0,3}[`~]*\s*$/.test(rest.slice(lastLine)) ? lastLine : rest.length);
    if (until > code.shown) {
      code.writer.add(text.slice(code.shown, until));
      code.shown = until;
    }
    if (!close) {
      code.line += lastLine;
      return true;
    }
    code.writer.end();
    stable = code.line + close.index + close[0].length;
    code = null;
    live = [];
    return false;
  }

  function openCode(token, start, nodes) {
    const fence = FENCE.exec(token.raw);
    const pre = nodes.find((node) => node.nodeName === 'PRE');
    if (!fence || !pre) return;
    const [head, marks] = fence;
    const close = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}[ \\t]*\\n`, 'm');
    if (close.test(token.raw.slice(head.length))) return;
    const node = pre.querySelector('code');
    node.textContent = '';
    decorate([pre]);
    const from = start + head.length;
    code = { writer: createCodeWriter(node, paint(node.className.slice(9))), close, line: from, shown: from };
    growCode();
  }

  /** The last item or row is live, those before it are final; the next rendering starts there. */
  function keepLast(token, start, nodes) {
    const length = finalPart(token);
    decorate(length ? nodes.slice(0, -1) : []);
    live = length ? nodes.slice(-1) : nodes;
    if (length) stable = start + length;
  }

  /** The runs of a paragraph that are over are final. */
  function keepRuns(start, raw) {
    let at = 0;
    for (let end = endOfRun(raw); end >= 0; end = endOfRun(raw.slice(at))) {
      open.inner.append(...buildRun(markdown, raw.slice(at, at + end)), raw[at + end]);
      at += end + 1;
    }
    stable = start + at;
    live = buildRun(markdown, raw.slice(at));
    open.inner.append(...live);
  }

  function openBlock(token, start, nodes) {
    const inner = token.type === 'paragraph' ? nodes[0] : innerOf(nodes);
    open = { type: token.type, ordered: token.ordered, inner, head: '', start };
    if (token.type === 'paragraph' && endOfRun(token.raw) >= 0) {
      inner.replaceChildren();
      return keepRuns(start, token.raw);
    }
    if (token.type === 'table' && token.rows.length > 1) open.head = HEAD.exec(token.raw)[0];
    else if (token.type !== 'list' || token.items.length < 2) return void (open = null);
    return keepLast(token, start, [...inner.children]);
  }

  /** The first token goes on with the block on the screen: its parts replace the unfinished one there. */
  function growBlock(token, start, isLast) {
    clearLive();
    if (open.type === 'paragraph') keepRuns(start, token.raw);
    else {
      const parts = [...innerOf(drain(buildInParts(markdown, token))).children];
      open.inner.append(...parts);
      if (isLast) keepLast(token, start, parts);
      else decorate(parts);
    }
    if (isLast) return;
    open = null;
    live = [];
  }

  function render() {
    if (code && growCode()) return;
    let tokens = markdown.split((open?.head ?? '') + text.slice(stable));
    if (open && (tokens[0]?.type !== open.type || tokens[0].ordered !== open.ordered)) {
      // Its next line made something else of it.
      if (open.type === 'paragraph') {
        stable = open.start;
        open.inner.remove();
        tokens = markdown.split(text.slice(stable));
      }
      open = null;
    }
    const last = lastIndexOf(tokens, (token) => token.type !== 'space');
    if (last < 0) return;
    if (!open) clearLive();
    let at = stable - (open?.head.length ?? 0);
    for (let i = 0; i <= last; i += 1) {
      const token = tokens[i];
      const start = at;
      at += token.raw.length;
      if (i === 0 && open) growBlock(token, start, i === last);
      else if (token.type !== 'space') {
        const nodes = drain(buildInParts(markdown, token));
        container.append(...nodes);
        if (i < last) decorate(nodes);
        else {
          live = nodes;
          if (token.type === 'code') openCode(token, start, nodes);
          else openBlock(token, start, nodes);
        }
      }
      if (i < last) stable = at;
    }
  }

  /** What grows on is in sight; what lies before it gets a mark by which the style sheet spares the browser its layout. */
  function markPast() {
    const near = container.lastElementChild?.previousElementSibling;
    for (let node = near?.previousElementSibling; node && !node.classList.contains(PAST); node = node.previousElementSibling)
      node.classList.add(PAST);
  }

  function take(length) {
    // Not between the halves of a character.
    const end = /[\uD800-\uDBFF]/.test(coming[length - 1] ?? '') ? length + 1 : length;
    text += coming.slice(0, end);
    coming = coming.slice(end);
  }

  /** The task after a frame: build what comes next, unless that frame had its fill. */
  function build(drawing) {
    timer = 0;
    const length = pace.next(drawing, coming.length);
    if (length) {
      const begin = performance.now();
      take(length);
      render();
      markPast();
      pace.built(performance.now() - begin);
    }
    if (coming) schedule();
    else if (conclude) conclude();
    else if (length) schedule(); // to learn what drawing it costs
  }

  function onFrame() {
    frame = 0;
    const begin = performance.now();
    onGrown();
    timer = setTimeout(() => build(performance.now() - begin));
  }

  function schedule() {
    // A hidden tab gets no animation frames; what piles up there is drawn when it is looked at.
    if (!frame && !timer) frame = requestAnimationFrame(onFrame);
  }

  const sameCode = (have, wanted) => {
    const [a, b] = [have, wanted].map((node) => node?.querySelector?.('code'));
    return wanted.nodeName === 'PRE' && a && /^(?:PRE|DIV)$/.test(have.nodeName) && a.className === b.className && a.textContent === b.textContent;
  };

  /** One rendering of the whole text, block by block; what is already right on the screen is left alone. */
  function* settle() {
    const tokens = markdown.split(text).filter((token) => token.type !== 'space');
    const links = tokens.filter((token) => token.type === 'def').map((token) => `\n\n${token.raw}`).join('');
    let count = 0;
    for (const token of tokens) {
      for (const node of yield* buildInParts(markdown, token, links)) {
        const have = container.childNodes[count];
        have?.classList?.add(PAST);
        count += 1;
        if (have && !live.includes(have) && sameCode(have, node)) continue; // what is live has no colours yet
        const holder = document.createElement('div');
        holder.append(node);
        decorate([node]);
        const wanted = holder.firstChild;
        wanted.classList?.add(PAST);
        if (!have) container.append(wanted);
        else if (!have.isEqualNode(wanted)) have.replaceWith(wanted);
      }
      yield;
    }
    while (container.childNodes.length > count) container.lastChild.remove();
  }

  /** Compare with the clean rendering, a slice after each frame. */
  function settleInSlices(onFinal) {
    const steps = settle();
    const go = () => {
      const until = performance.now() + SLICE_MS;
      let step = steps.next();
      while (!step.done && (document.hidden || performance.now() < until)) step = steps.next();
      if (!step.done) return afterFrame(go);
      onGrown();
      return onFinal();
    };
    return text.length > LONG && container.hasChildNodes() && !document.hidden ? afterFrame(go) : go();
  }

  return {
    push(piece) {
      coming += piece.replaceAll('\r', '');
      schedule();
    },
    /** No more text: show the final form, a long one over some frames. `onFinal` when it stands. */
    finish(onFinal = () => {}) {
      conclude = () => {
        conclude = null;
        code?.writer.end();
        settleInSlices(onFinal);
      };
      if (coming.length > pace.most() && container.hasChildNodes() && !document.hidden) return schedule();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      take(coming.length);
      if (container.hasChildNodes()) render();
      return conclude();
    },
    get text() {
      return text + coming;
    },
  };
}
