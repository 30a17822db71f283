/*
 * message: one message on the screen: its text, its small print, its buttons. Knows nothing of the network; what a button
 * does is given by the conversation.
 */
import { h, icon, iconButton } from '../dom.js';
import { t } from '../i18n.js';
import { createGrowing } from '../growing.js';
import { createSources } from '../sources.js';
import { createToolLines } from '../tools.js';
import { createPainter, highlight } from './highlight.js';

const COPIED_MS = 1600;

const usual = new WeakMap(); // what is on a button when nothing was copied lately

/** Copy text; the button says for a moment that it worked. */
export async function copyText(text, button, speak) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure origin there is no clipboard interface; the old way still works from a click.
    const field = h('textarea', { class: 'visually-hidden', 'aria-hidden': 'true' });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
    button.focus();
  }
  if (!usual.has(button)) usual.set(button, [...button.childNodes]);
  button.replaceChildren(icon('check'), ...(button.classList.contains('icon-button') ? [] : [t('copied')]));
  speak(t('copied'));
  setTimeout(() => button.replaceChildren(...usual.get(button)), COPIED_MS);
}

/** Give every piece of code its head line with language and copy button, and its colours. */
function decorateCode(nodes, speak) {
  for (const node of nodes) {
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    const pres = node.tagName === 'PRE' ? [node] : [...node.querySelectorAll('pre')];
    for (const pre of pres) {
      if (pre.parentElement?.classList.contains('code-block')) continue;
      const code = pre.querySelector('code') ?? pre;
      const name = /language-([\w+#.-]+)/.exec(code.className)?.[1] ?? '';
      const copy = h('button', { type: 'button', class: 'small-button' }, icon('copy'), t('copy'));
      copy.setAttribute('aria-label', t('copy_code'));
      const block = h('div', { class: 'code-block', dir: 'ltr' },
        h('div', { class: 'code-head' }, h('span', {}, name || t('code')), copy));
      copy.addEventListener('click', () => copyText(code.textContent.replace(/\n$/, ''), copy, speak));
      pre.tabIndex = 0;
      pre.replaceWith(block);
      block.append(pre);
      highlight(code, name);
    }
  }
}

/* Each part on its own: a model's name must not turn a sentence in Arabic around. */
function usageText({ model, provider, usage, cached }) {
  const parts = [];
  if (model || provider) parts.push(model || provider);
  if (usage?.total_tokens) parts.push(t('tokens', { total: usage.total_tokens, answer: usage.completion_tokens ?? 0 }));
  if (cached) parts.push(t('cached'));
  return parts.flatMap((part, i) => [i ? ' · ' : '', h('bdi', {}, part)]);
}

/** What the reader said. Plain text, never Markdown. */
export function createQuestion(text, { pictures = [] } = {}) {
  const node = h('article', { class: 'message user' },
    h('h2', { class: 'visually-hidden' }, t('you_said')));
  for (const picture of pictures) node.append(h('img', { class: 'sent-picture', src: picture, alt: t('your_picture') }));
  if (text) node.append(h('div', { class: 'bubble', dir: 'auto' }, text));
  return { node };
}

/**
 * What the model says. `tools`: {markdown, speak(text), name}. Actions, by name, appear as buttons once the
 * answer is over: {regenerate, rate(rating), readAloud(text)}; absent ones have no button.
 */
export function createAnswer(tools) {
  const body = h('div', { class: 'answer-text' });
  const waiting = h('div', { class: 'waiting', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'));
  const foot = h('footer', { class: 'message-foot' });
  const node = h('article', { class: 'message assistant', 'aria-busy': 'true' },
    h('h2', { class: 'visually-hidden' }, t('assistant_said', { name: tools.name })), body, waiting, foot);
  let thoughts = null;
  const decorate = (nodes) => decorateCode(nodes, tools.speak);
  const growing = createGrowing(body, tools.markdown, { decorate, paint: createPainter });

  const lines = createToolLines(body);

  function button(name, label, onclick, props) {
    const made = iconButton(name, label, () => onclick(made), props);
    return made;
  }

  function ratingButtons(rate, given) {
    const make = (value, name, label) => button(name, label, async () => {
      try {
        await rate(value);
        for (const other of [up, down]) other.setAttribute('aria-pressed', String(other === (value > 0 ? up : down)));
        tools.speak(t('thanks'));
      } catch (error) {
        if (error.absent) for (const other of [up, down]) other.remove();
        else tools.speak(error.message);
      }
    }, { 'aria-pressed': String(given === value) });
    const up = make(1, 'up', t('good_answer'));
    const down = make(-1, 'down', t('bad_answer'));
    return [up, down];
  }

  /** Small print and buttons below a finished answer. */
  function setFoot(info, actions) {
    const buttons = [];
    if (growing.text) buttons.push(button('copy', t('copy_answer'), (self) => copyText(growing.text.trim(), self, tools.speak)));
    if (growing.text && actions.readAloud) buttons.push(button('sound', t('read_aloud'), (self) => actions.readAloud(body.textContent, self)));
    if (actions.regenerate) buttons.push(button('again', t('regenerate'), actions.regenerate, { 'data-last-only': true }));
    if (actions.rate && growing.text) buttons.push(...ratingButtons(actions.rate, info.rating));
    foot.replaceChildren(h('div', { class: 'message-tools' }, ...buttons), h('span', { class: 'usage' }, ...usageText(info)));
  }

  function notice(kind, text, ...buttons) {
    const box = h('div', { class: `notice ${kind}` }, icon('alert'), h('span', { dir: 'auto' }, text), ...buttons);
    body.after(box);
    return box;
  }

  function over() {
    waiting.remove();
    lines.over();
    growing.finish(() => node.setAttribute('aria-busy', 'false'));
  }

  return {
    node,
    get text() {
      return growing.text;
    },
    push: (piece) => growing.push(piece),
    /** What the model thinks before it answers: plain text, folded away, never part of the answer. */
    think(piece) {
      if (!thoughts) {
        thoughts = h('div', { class: 'thoughts', dir: 'auto' });
        body.before(h('details', { class: 'reasoning' }, h('summary', {}, t('reasoning')), thoughts));
      }
      thoughts.append(piece);
    },
    tool: lines.show,
    setWaiting(isWaiting) {
      waiting.classList.toggle('reconnecting', isWaiting);
    },
    /** The answer ended well, or was stopped, cut at the length limit, interrupted. */
    end(info, actions) {
      over();
      const note = { stopped: 'stopped', length: 'cut_by_length', content_filter: 'filtered', refusal: 'filtered',
        interrupted: 'interrupted' }[info.finish_reason];
      if (note) {
        const go = ['interrupted', 'cut_by_length'].includes(note) && actions.proceed
          ? h('button', { type: 'button', class: 'small-button', onclick: actions.proceed, 'data-last-only': true }, t('continue')) : null;
        notice('quiet', t(note), go);
      }
      if (info.provider === 'knowledge') notice('quiet', t('quoted'));
      const sources = createSources(info.sources);
      if (sources) foot.before(sources);
      setFoot(info, actions);
    },
    /** It failed: say so, and offer to try again, or only as long as nothing else was asked. */
    fail(text, retry, lastOnly) {
      over();
      const again = retry ? h('button', { type: 'button', class: 'small-button', onclick: retry, 'data-last-only': lastOnly }, icon('again'), t('retry')) : null;
      notice('error', text, again);
      setFoot({}, {});
    },
    remove() {
      node.remove();
    },
  };
}
