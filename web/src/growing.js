/*
 * growing: an answer on the screen while it grows. At most one change of the document per animation frame, and only the
 * last block is made anew: blocks before it are final, the items of a list before its last are final, and inside an open
 * piece of code the new characters are simply appended. finish() compares with one clean rendering of the whole text, so
 * the end result is the same as if it had come at once.
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})([^\n]*)\n/;
const SLOW_MS = 6; // a rendering longer than this makes the next one wait

const lastIndexOf = (tokens, test) => {
  for (let i = tokens.length - 1; i >= 0; i -= 1) if (test(tokens[i])) return i;
  return -1;
};

/**
 * Grow an answer inside `container`. `decorate(nodes)` is called once for nodes that are final (code gets its colours and
 * buttons there); `onGrown` after each change of the document.
 */
export function createGrowing(container, markdown, { decorate = () => {}, onGrown = () => {} } = {}) {
  let text = '';
  let stable = 0; // text before this is final and on the screen
  let live = []; // nodes of the block that is still growing
  let list = null; // {node, ordered}: the list that goes on across renderings
  let code = null; // {node, close, from, shown}: the open piece of code
  let frame = 0;
  let restUntil = 0;
  let finished = false;

  function clearLive() {
    for (const node of live) node.remove();
    live = [];
  }

  function append(tokens, final) {
    const fragment = markdown.build(tokens);
    const nodes = [...fragment.childNodes];
    container.append(fragment);
    if (final) decorate(nodes);
    else live.push(...nodes);
    return nodes;
  }

  const element = (nodes, name) => nodes.find((node) => node.nodeName === name);

  /** Inside an open fence: append what is new, hold back a line that may become the closing one. */
  function growCode() {
    const rest = text.slice(code.from);
    const close = code.close.exec(rest);
    if (close) {
      stable = code.start;
      code = null;
      return false;
    }
    const lineStart = rest.lastIndexOf('\n') + 1;
    const maybe = /^ {0,3}[`~]*\s*$/.test(rest.slice(lineStart));
    const until = maybe ? Math.max(0, lineStart - 1) : rest.length;
    if (until > code.shown) {
      code.node.append(rest.slice(code.shown, until));
      code.node.normalize();
      code.shown = until;
    }
    return true;
  }

  function openCode(token, start, nodes) {
    const fence = FENCE.exec(token.raw);
    const pre = element(nodes, 'PRE');
    if (!fence || !pre) return;
    const [head, marks] = fence;
    const close = new RegExp(`(?:^|\\n) {0,3}${marks[0]}{${marks.length},}[ \\t]*(?:\\n|$)`);
    if (close.test(token.raw.slice(head.length))) return;
    const node = pre.querySelector('code');
    node.textContent = '';
    code = { node, close, start, from: start + head.length, shown: 0 };
    growCode();
  }

  /** All items but the last are final; the next rendering starts at the last one and goes into the same element. */
  function openList(token, start, nodes) {
    const node = element(nodes, token.ordered ? 'OL' : 'UL');
    if (!node || token.items.length < 2) return;
    const raw = token.items.slice(0, -1).map((item) => item.raw).join('');
    if (!token.raw.startsWith(raw)) return;
    decorate([...node.children].slice(0, -1));
    stable = start + raw.length;
    list = { node, ordered: token.ordered };
    live = [node.lastElementChild];
  }

  /** The first token goes on with the list on the screen: its items replace the unfinished one there. */
  function growList(token, start, isLast) {
    const made = element([...markdown.build([token]).childNodes], list.ordered ? 'OL' : 'UL');
    const items = [...made.children];
    clearLive();
    list.node.append(...items);
    if (!isLast) {
      decorate(items);
      list = null;
      return;
    }
    const raw = token.items.slice(0, -1).map((item) => item.raw).join('');
    if (token.raw.startsWith(raw)) {
      decorate(items.slice(0, -1));
      stable = start + raw.length;
      live = [items.at(-1)];
    } else live = items;
  }

  function render() {
    if (code && growCode()) return;
    const tokens = markdown.split(text.slice(stable));
    const last = lastIndexOf(tokens, (token) => token.type !== 'space');
    if (last < 0) return;
    let at = stable;
    if (!(list && tokens[0].type === 'list' && tokens[0].ordered === list.ordered)) {
      clearLive();
      list = null;
    }
    for (let i = 0; i <= last; i += 1) {
      const token = tokens[i];
      const start = at;
      at += token.raw.length;
      if (i < last) stable = at;
      if (i === 0 && list) growList(token, start, i === last);
      else if (token.type !== 'space') {
        const nodes = append([token], i < last);
        if (i === last && token.type === 'code') openCode(token, start, nodes);
        if (i === last && token.type === 'list') openList(token, start, nodes);
      }
    }
  }

  function onFrame(now) {
    frame = 0;
    if (finished) return;
    if (now < restUntil) return schedule();
    const begin = performance.now();
    render();
    const took = performance.now() - begin;
    restUntil = took > SLOW_MS ? now + took * 4 : 0;
    onGrown();
    return undefined;
  }

  function schedule() {
    // A hidden tab gets no animation frames; what piles up there is drawn when it is looked at.
    if (!frame && !finished) frame = requestAnimationFrame(onFrame);
  }

  /** One rendering of the whole text; what is already right on the screen is left alone. */
  function settle() {
    const wanted = document.createElement('div');
    const tokens = markdown.split(text).filter((token) => token.type !== 'space');
    for (const token of tokens) wanted.append(markdown.build([token]));
    decorate([...wanted.childNodes]);
    const have = [...container.childNodes];
    const nodes = [...wanted.childNodes];
    nodes.forEach((node, i) => {
      if (!have[i]) container.append(node);
      else if (!have[i].isEqualNode(node)) have[i].replaceWith(node);
    });
    for (const node of have.slice(nodes.length)) node.remove();
  }

  return {
    push(piece) {
      text += piece.replaceAll('\r', '');
      schedule();
    },
    /** No more text: show the final form at once. */
    finish() {
      finished = true;
      cancelAnimationFrame(frame);
      settle();
      onGrown();
    },
    get text() {
      return text;
    },
  };
}
