/*
 * panel: the widget once it is open. Builds the panel into the loader's element, keeps the visitor's session for this
 * site, talks by the session contract (sessionId) and shows answers as they grow.
 */
import { byteLength, createLink, followAnswer } from '../answer.js';
import { createToolLines } from '../tools.js';
import { createClient, makeMessageId } from '../client.js';
import { createSpeaker, h, icon, iconButton } from '../dom.js';
import { errorText, failureOf } from '../errors.js';
import { createGrowing } from '../growing.js';
import { direction, t, useLanguage } from '../i18n.js';
import { createSources } from '../sources.js';
import { createLiteMarkdown } from './lite.js';
import style from './panel.css';

const SPOKEN_MAX = 800;
const NEAR = 50;

/** The session's place in this site's storage; one per server, so that two widgets would not meet. */
function createMemory(base) {
  const key = `parley.session:${base}`;
  const attempt = (action) => {
    try {
      return action();
    } catch {
      return null; // storage forbidden: the chat lasts as long as the page
    }
  };
  let session = null;
  return {
    // Looked for each time until there is one: another tab of this site may have made it.
    get: () => (session ??= attempt(() => localStorage.getItem(key))),
    set(id) {
      session = id;
      attempt(() => (id ? localStorage.setItem(key, id) : localStorage.removeItem(key)));
    },
  };
}

/** A browser hides why a call to another site failed. Find out, and tell the site's owner in the console. */
async function explainRefusal(base) {
  if (new URL(base).origin === window.location.origin) return;
  try {
    await fetch(new URL('api/health', base), { mode: 'no-cors', credentials: 'omit' });
    console.error(`Parley: ${base} answers, but does not let this page read it. Add ${window.location.origin} to CORS_ORIGIN in the configuration of Parley.`);
  } catch {
    console.error(`Parley: ${base} cannot be reached from this page: it is down, or this site's Content-Security-Policy does not list it in connect-src.`);
  }
}

/** The panel's nodes. */
function buildPanel(title) {
  const nodes = {
    messages: h('div', { class: 'chat-messages', id: 'chatMessages', role: 'log', 'aria-live': 'off', tabindex: 0, 'aria-label': t('messages') }),
    field: h('textarea', { id: 'chatInput', rows: 1, dir: 'auto', enterkeyhint: 'send', autocomplete: 'off', placeholder: t('type_message'), 'aria-label': t('type_message') }),
    send: h('button', { type: 'button', class: 'send-button', 'aria-label': t('send'), title: t('send'), disabled: true }, icon('send')),
    stop: h('button', { type: 'button', class: 'stop-button', 'aria-label': t('stop'), title: t('stop'), hidden: true }, icon('stop')),
    foot: h('div', { class: 'chat-foot' }, t('widget_powered')),
    speaker: h('div', { class: 'hidden-text', role: 'status' }),
    newText: h('button', { type: 'button', class: 'new-text', hidden: true }, t('new_text')),
    more: iconButton('more', t('widget_menu'), null, { 'aria-expanded': 'false' }),
    close: iconButton('close', t('widget_close')),
    fresh: h('button', { type: 'button' }, t('new_chat')),
    erase: h('button', { type: 'button', class: 'danger' }, t('widget_erase')),
  };
  nodes.menu = h('div', { class: 'chat-menu', hidden: true }, nodes.fresh, nodes.erase);
  nodes.panel = h('section', { class: 'chat-panel', id: 'chatPanel', role: 'dialog', 'aria-label': title, hidden: true },
    h('div', { class: 'chat-header' }, h('h3', { dir: 'auto', 'aria-level': 2 }, title), nodes.more, nodes.close),
    nodes.menu, nodes.messages, nodes.newText,
    h('div', { class: 'chat-input-area' }, nodes.field, nodes.stop, nodes.send),
    nodes.foot, nodes.speaker);
  return nodes;
}

/** Follow the end of the messages until the reader scrolls up. */
function followEnd(area, button) {
  let following = true;
  let waiting = false;
  let lastTop = 0;
  const distance = () => area.scrollHeight - area.clientHeight - area.scrollTop;
  const toEnd = () => {
    following = true;
    area.scrollTop = area.scrollHeight;
    lastTop = area.scrollTop;
    if (!button.hidden) button.hidden = true;
  };
  area.addEventListener('scroll', () => {
    if (distance() < NEAR) following = true;
    else if (area.scrollTop < lastTop - 2) following = false;
    lastTop = area.scrollTop;
    if (following) button.hidden = true;
  }, { passive: true });
  button.addEventListener('click', toEnd);
  return {
    toEnd,
    /** Once for all that grew in this task: each look at the height costs a layout of everything. */
    grown() {
      if (waiting) return;
      waiting = true;
      queueMicrotask(() => {
        waiting = false;
        if (following) toEnd();
        else button.hidden = distance() < NEAR;
      });
    },
  };
}

/** The menu: opens below its button, closes on Escape, on a choice, and when the focus leaves it. */
function wireMenu({ more, menu }) {
  const set = (isOpen) => {
    menu.hidden = !isOpen;
    more.setAttribute('aria-expanded', String(isOpen));
    if (isOpen) menu.firstChild.focus();
  };
  more.addEventListener('click', () => set(menu.hidden));
  menu.addEventListener('click', () => set(false));
  menu.addEventListener('focusout', (event) => {
    if (!menu.contains(event.relatedTarget) && event.relatedTarget !== more) set(false);
  });
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    set(false);
    more.focus();
  });
}

/** On a phone the panel fills the window: the keyboard must not cover it, and the focus must not leave it. */
function fitPhone(area, panel) {
  const full = matchMedia('(max-width: 480px)');
  const view = window.visualViewport;
  const fit = () => {
    area.style.setProperty('--view-height', `${view.height}px`);
    area.style.setProperty('--view-top', `${view.offsetTop}px`);
  };
  view?.addEventListener('resize', fit);
  view?.addEventListener('scroll', fit);
  if (view) fit();
  panel.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab' || !full.matches) return;
    const stops = [...panel.querySelectorAll('button, textarea, a[href], [tabindex="0"]')].filter((node) => !node.disabled && node.offsetParent);
    const end = event.shiftKey ? stops[0] : stops.at(-1);
    if (panel.getRootNode().activeElement !== end) return;
    event.preventDefault();
    (event.shiftKey ? stops.at(-1) : stops[0]).focus();
  });
  return () => {
    view?.removeEventListener('resize', fit);
    view?.removeEventListener('scroll', fit);
  };
}

function mount({ base, data, area, language, emit, addStyle, texts, close, isOpen, context, unread }) {
  useLanguage(language, texts);
  area.dir = direction();
  addStyle(style);

  const name = data.title || t('widget_title');
  const nodes = buildPanel(name);
  const { panel, messages, field, send, stop, foot } = nodes;
  const client = createClient({ base, credentials: 'omit' });
  const memory = createMemory(base);
  const markdown = createLiteMarkdown({ allowRemoteImages: data.images === 'on' });
  const end = followEnd(messages, nodes.newText);
  const link = createLink();
  const speak = createSpeaker(nodes.speaker);
  let limit = 1000;
  let run = null;
  let turn = 0;
  let begun = null;
  let ready = false; // what was said before is on the screen, or will not come
  let eager = false; // somebody could not wait for that
  let making = null;

  function refresh() {
    const length = [...field.value.trim()].length;
    const over = length > limit;
    field.style.height = 'auto';
    field.style.height = `${Math.min(field.scrollHeight + 2, 130)}px`;
    send.disabled = length === 0 || over;
    send.hidden = Boolean(run);
    stop.hidden = !run;
    foot.textContent = length > limit * 0.8 ? t('characters', { used: length, limit }) : t('widget_powered');
    foot.className = over ? 'chat-foot over' : 'chat-foot';
  }

  function add(role, ...children) {
    const said = h('span', { class: 'hidden-text' }, t(role === 'user' ? 'you_said' : 'assistant_said', { name }));
    const node = h('div', { class: `message ${role}`, ...(role === 'user' ? { dir: 'auto' } : {}) }, said, ...children);
    messages.append(node);
    end.grown();
    return node;
  }

  function addBot() {
    const text = h('div', { class: 'text' });
    const dots = h('div', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'));
    const node = add('bot', text, dots);
    const growing = createGrowing(text, markdown, {
      onGrown: end.grown,
      decorate: (made) => made.forEach((one) => (one.matches?.('pre') ? [one] : one.querySelectorAll?.('pre') ?? []).forEach((pre) => { pre.tabIndex = 0; })),
    });
    const lines = createToolLines(text);
    return {
      node,
      push: growing.push,
      tool: lines.show,
      text: () => growing.text.trim(),
      note: (words) => node.append(h('div', { class: 'note' }, words)),
      cite: (sources) => node.append(createSources(sources) ?? ''),
      over() {
        lines.over();
        growing.finish(() => dots.remove());
        if (!growing.text) text.remove();
      },
    };
  }

  function problem(error, bot, retry) {
    const text = errorText(error);
    bot.node.classList.toggle('error', !bot.text());
    bot.node.append(h('div', {}, text),
      retry ? h('button', { type: 'button', class: 'again', onclick: () => {
        if (run) return;
        // Something else was said since: this question goes to the end.
        const isLast = !bot.node.nextSibling;
        if (!isLast) messages.append(bot.node.previousSibling);
        bot.node.remove();
        retry(error.done || (error.status && !isLast));
        field.focus();
      } }, t('retry')) : '');
    speak(text);
    emit('error', error);
    if (error.code === 'network') explainRefusal(base);
    end.grown();
  }

  /** Words of our own; none where something failed before there was an answer. */
  function tell(text = '') {
    const bot = addBot();
    bot.push(text);
    bot.over();
    return bot;
  }
  const greet = () => tell(data.greeting || t('widget_greeting'));

  /** Where nobody waits for it any more, nothing is kept of it. */
  async function session() {
    if (memory.get()) return memory.get();
    making ??= client.createSession().finally(() => { making = null; });
    return (await making).sessionId;
  }

  /** What is to be said below an answer, live or from the history. */
  function remark(bot, { status, finish_reason: reason, provider, sources }) {
    const ended = (how) => status === how || reason === how;
    if (ended('stopped')) bot.note(t('stopped'));
    if (ended('length')) bot.note(t('cut_by_length'));
    if (ended('interrupted')) bot.note(t('interrupted'));
    if (ended('failed')) bot.note(t('error_failed'));
    if (provider === 'knowledge') bot.note(t('quoted'));
    bot.cite(sources);
  }

  async function follow(bot, source, retry) {
    const mine = turn;
    run = followAnswer(client, source, link, { text: bot.push, tool: bot.tool });
    refresh();
    speak(t('answer_begins', { name }));
    let last;
    try {
      last = await run.done;
    } catch (error) {
      last = { failed: error };
    }
    if (mine !== turn) return null;
    run = null;
    bot.over();
    refresh();
    const failure = failureOf(last, bot.text());
    if (failure?.code === 'unknown_session') return failure;
    if (failure && failure.code !== 'aborted') problem(failure, bot, retry);
    else {
      remark(bot, failure ? { status: 'stopped' } : last);
      speak(bot.text().slice(0, SPOKEN_MAX) || t('answer_over'));
      emit('message', { role: 'bot', text: bot.text() });
      if (!isOpen()) unread();
    }
    end.grown();
    return null;
  }

  async function ask(message, clientMessageId, isSecond) {
    const mine = turn;
    const bot = addBot();
    // Under its old name an answer that failed would come again.
    const retry = (anew) => ask(message, anew ? makeMessageId() : clientMessageId);
    let given = false;
    run = {
      // A session is being made; the question has not been sent.
      stop() {
        given = true;
        run = null;
        bot.over();
        bot.note(t('stopped'));
        refresh();
      },
      leave() {},
    };
    refresh();
    end.toEnd();
    try {
      const values = context();
      const body = { sessionId: await session(), message, client_message_id: clientMessageId };
      if (Object.keys(values).length) body.user_context = values;
      if (mine !== turn || given) return;
      memory.set(body.sessionId);
      const expired = await follow(bot, { path: 'api/chat', body }, retry);
      if (!expired) return;
      // The session expired while the visitor was away: the question goes into a new one.
      memory.set(null);
      bot.node.remove();
      if (isSecond) problem(expired, tell(), retry);
      else await ask(message, clientMessageId, true);
    } catch (error) {
      if (mine !== turn || given) return;
      run = null;
      bot.over();
      refresh();
      problem(error, bot, retry);
    }
  }

  function submit(text) {
    const message = text.trim();
    eager = !ready;
    if (!message || run || eager || [...message].length > limit) return false;
    add('user', message);
    emit('message', { role: 'user', text: message });
    ask(message, makeMessageId());
    return true;
  }

  /** What this visitor said and read before, from the server. */
  async function restore() {
    const id = memory.get();
    if (!id) return false;
    const mine = turn;
    let reply;
    try {
      reply = await client.conversation(id);
    } catch (error) {
      if (mine !== turn) return true;
      if (error.status !== 404) {
        problem(error, tell(), null);
        return true;
      }
      if (!error.absent) memory.set(null);
      return false;
    }
    if (mine !== turn || !reply.messages?.length) return false;
    for (const message of reply.messages) {
      if (message.role === 'user') add('user', message.content);
      else if (message.role === 'assistant') {
        const bot = addBot();
        message.tool_calls?.forEach(bot.tool);
        bot.push(String(message.content ?? ''));
        if (message.status === 'streaming') follow(bot, { messageId: message.id ?? message.message_id, after: byteLength(message.content ?? '') }, null);
        else {
          bot.over();
          remark(bot, message);
        }
      }
    }
    end.toEnd();
    return true;
  }

  function clear() {
    turn += 1;
    ready = true;
    run?.leave();
    run = null;
    memory.set(null);
    messages.replaceChildren();
    refresh();
  }

  async function beginOnce() {
    client.config().then((config) => {
      if (Number.isInteger(config.max_message_length)) limit = config.max_message_length;
      link.learn(config.features);
      if (config.demo === true) speak(t('demo'));
      refresh();
    }, () => link.learn());
    if (!(await restore()) && !messages.childElementCount) greet();
    ready = true;
    if (eager) send.click();
  }
  const begin = () => (begun ??= beginOnce());

  async function erase() {
    nodes.more.focus(); // the menu closes
    // The browser's own question: short, translated, and no style of ours or the site's can hide it.
    if (!window.confirm(t('widget_erase_sure'))) return;
    try {
      if (memory.get()) await client.eraseSession(memory.get());
    } catch (error) {
      if (error.status !== 404) {
        problem(error, tell(), null);
        field.focus();
        return;
      }
    }
    clear();
    tell(t('widget_erased'));
    speak(t('widget_erased'));
    field.focus();
  }

  nodes.fresh.addEventListener('click', () => {
    clear();
    greet();
    field.focus();
  });
  nodes.erase.addEventListener('click', erase);
  nodes.close.addEventListener('click', close);
  send.addEventListener('click', () => { if (submit(field.value)) { field.value = ''; refresh(); field.focus(); } });
  stop.addEventListener('click', (event) => {
    // The second half of a double click on Send is not meant for what takes its place.
    if (event.detail < 2) run?.stop();
    field.focus();
  });
  field.addEventListener('input', refresh);
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send.click();
  });
  panel.addEventListener('keydown', (event) => {
    // What is typed here is none of the site's keyboard shortcuts.
    event.stopPropagation();
    if (event.key === 'Escape') close();
  });
  wireMenu(nodes);
  const unfit = fitPhone(area, panel);
  area.prepend(panel);

  return {
    show(takeFocus) {
      panel.hidden = false;
      begin();
      end.toEnd();
      refresh();
      if (takeFocus) field.focus();
    },
    hide() {
      panel.hidden = true;
    },
    async send(text) {
      await begin();
      return submit(text);
    },
    destroy() {
      turn += 1;
      run?.leave();
      unfit();
      panel.remove();
    },
  };
}

window[Symbol.for('parley.panel')] = mount;
