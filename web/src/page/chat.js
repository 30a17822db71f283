/*
 * chat: the open conversation. Sends, shows, stops, repeats; picks up an answer that was still running when the page was
 * left; keeps other tabs with the same conversation in step.
 */
import { byteLength, followAnswer } from '../answer.js';
import { makeMessageId } from '../client.js';
import { h, icon } from '../dom.js';
import { errorText, failureOf, isFinal } from '../errors.js';
import { t } from '../i18n.js';
import { createAnswer, createQuestion } from './message.js';
import { prefs, tab } from './prefs.js';

const SPOKEN_MAX = 1200;
const STATES = { stopped: 'stopped', interrupted: 'interrupted' }; // of an answer, where it is not complete

/**
 * `parts`: {client, log, composer, scroll, markdown, speak, link, name(), choice(), readAloud}.
 * `on`: {conversation(id), settled(), trouble(), demo(isDemo)}.
 */
export function createChat(parts, on) {
  const { client, log, composer, scroll } = parts;
  let conversation = null;
  let run = null;
  let shown = 0; // grows with each change of what is on the screen, so that late replies find out they are late
  let opening = false; // a conversation is on its way
  let eager = false; // and somebody could not wait to ask in it
  let missed = false; // another tab changed something while this one was busy
  let unheard = false; // the last question failed before it was accepted: only the screen has it
  let known = new Map(); // the answers on the screen: ids and states
  const channel = 'BroadcastChannel' in window ? new BroadcastChannel(`parley:${client.base}`) : null;

  function remember(id) {
    if (id === conversation) return;
    conversation = id;
    tab.set('conversation', id);
    prefs.set('conversation', id);
    on.conversation(id);
  }

  /** A question that the server was not heard of so far outlives a reload: asked again by its id it is asked once. */
  const keep = (body) => tab.set('asking', body ? JSON.stringify(body) : null);

  function greet() {
    log.replaceChildren(h('div', { class: 'greeting' }, h('div', { class: 'mark' }, icon('chat')),
      h('h2', {}, t('greeting')), h('p', {}, t('greeting_more', { name: parts.name() })),
      h('p', { class: 'with-keys' }, t('greeting_keys'))));
  }

  function add(view) {
    log.querySelector('.greeting')?.remove();
    log.append(view.node);
    return view;
  }

  const makeAnswer = () => add(createAnswer({ markdown: parts.markdown(), speak: parts.speak, name: parts.name() }));

  /** `source`: what was asked, for an answer that has no id: it was stopped before the server was heard of. */
  function actionsFor(messageId, answer, question, source = {}) {
    const regenerate = () => (messageId ? again(answer, question) : retry(answer, source, {}, question));
    return {
      readAloud: parts.readAloud,
      rate: messageId ? (rating) => client.rate(messageId, rating) : null,
      regenerate: question !== null ? regenerate : null,
      proceed: messageId ? () => proceed(answer, messageId, question) : null,
    };
  }

  /** Follow an answer to its end and show what becomes of it. `question`: {text, pictures} for another try. */
  async function follow(answer, source, question) {
    shown += 1; // whatever was loading is about a screen of the past
    unheard = false;
    const turn = shown;
    let settled = null;
    composer.setRunning(true);
    if (source.body?.message) keep(source.body);
    parts.speak(t('answer_begins', { name: parts.name() }));
    run = followAnswer(client, source, parts.link, {
      start(ids) {
        if (turn !== shown) return;
        keep(null);
        if (ids.conversation_id) remember(ids.conversation_id);
        // A plain question can be added by the others; where an answer was replaced or goes on, they look for themselves.
        if (source.body) channel?.postMessage(source.streamOnly ? { type: 'changed', conversation }
          : { type: 'asked', conversation, messageId: ids.message_id, text: question.text });
      },
      text: (piece) => answer.push(piece),
      reasoning: (piece) => answer.think(piece),
      tool: (call) => answer.tool(call),
      waiting: (isWaiting) => answer.setWaiting(isWaiting),
    });
    const mine = run;
    try {
      settled = await mine.done;
    } catch (error) {
      settled = { failed: error };
    }
    if (run === mine) run = null;
    if (turn !== shown) return;
    composer.setRunning(false);
    conclude(answer, settled, mine.messageId, source, question);
    catchUp();
    on.settled();
  }

  function conclude(answer, last, messageId, source, question) {
    const failure = failureOf(last, answer.text);
    if (!failure || failure.status) keep(null);
    unheard = Boolean(failure && !messageId);
    if (messageId) known.set(messageId, failure ? STATES[failure.code] ?? 'failed' : STATES[last.finish_reason] ?? 'complete');
    if (!failure) {
      answer.end(last, actionsFor(messageId, answer, question, source));
      if (last.provider) on.demo(last.provider === 'demo');
      parts.speak(answer.text.trim().slice(0, SPOKEN_MAX) || t('answer_over'));
      return;
    }
    if (failure.code === 'aborted' || (failure.code === 'interrupted' && answer.text)) {
      const reason = failure.code === 'aborted' ? 'stopped' : 'interrupted';
      answer.end({ finish_reason: reason }, actionsFor(messageId, answer, question, source));
      return;
    }
    if (failure.code === 'unknown_conversation' && source.body?.conversation_id) {
      // It expired, or was deleted elsewhere: the question still deserves an answer.
      remember(null);
      answer.remove();
      follow(makeAnswer(), { ...source, body: { ...source.body, conversation_id: undefined } }, question);
      return;
    }
    if (failure.absent && source.streamOnly && question) {
      // This server can neither regenerate nor continue: ask once more.
      answer.remove();
      follow(makeAnswer(), askSource(question), question);
      return;
    }
    if (failure.code === 'answer_complete' && source.partial) {
      // What the screen shows never reached the disk, so the server has nothing to go on with.
      answer.remove();
      again(source.partial, question);
      return;
    }
    const text = errorText(failure);
    const asked = question || source.messageId;
    answer.fail(text, asked && !isFinal(failure) ? () => retry(answer, source, failure, question) : null, source.streamOnly);
    // To be mended rather than repeated.
    if (question && isFinal(failure)) composer.restore(question.text);
    parts.speak(text);
    on.trouble();
  }

  function retry(answer, source, failure, question) {
    if (run) return;
    const isLast = answer.node === log.lastElementChild;
    const asked = answer.node.previousElementSibling;
    const view = makeAnswer();
    composer.focus();
    if (source.messageId && !failure.done) {
      answer.node.replaceWith(view.node);
      follow(view, { messageId: source.messageId, after: 0 }, question);
      return;
    }
    answer.remove();
    // Something else was asked since: what is asked again goes to the end, and its question with it.
    if (!isLast) view.node.before(asked);
    // Not accepted yet: the same client_message_id, so that a question that did arrive is not asked twice.
    if (source.streamOnly && !failure.done) follow(view, source, question);
    else if (source.body && !failure.done && (isLast || !failure.status))
      follow(view, { ...source, body: { ...source.body, conversation_id: conversation ?? undefined } }, question);
    else follow(view, isLast ? anewSource(question) : askSource(question), question);
  }

  const askSource = (question) => ({
    path: 'api/chat/stream',
    body: {
      message: question.text,
      conversation_id: conversation ?? undefined,
      client_message_id: makeMessageId(),
      ...(question.pictures.length ? { attachments: question.pictures.map((url) => ({ type: 'image', data_url: url })) } : {}),
    },
    choose: parts.choice,
  });

  /** Another answer to the last question. */
  const anewSource = (question) => (conversation
    ? { path: `api/conversations/${encodeURIComponent(conversation)}/regenerate`, body: {}, choose: parts.choice, streamOnly: true }
    : askSource(question));

  function again(answer, question) {
    if (run) return;
    parts.readAloud?.end();
    answer.remove();
    const view = makeAnswer();
    composer.focus();
    follow(view, anewSource(question), question);
  }

  /** Let the model go on where it was interrupted. */
  function proceed(answer, messageId, question) {
    if (run) return;
    answer.node.querySelector('.notice')?.remove();
    follow(makeAnswer(),
      { path: `api/messages/${encodeURIComponent(messageId)}/continue`, body: {}, streamOnly: true, partial: answer }, question);
  }

  /** False when it cannot be sent now. `takePictures()` hands over those that go with it. */
  function send(text, takePictures) {
    eager = opening;
    if (run || opening) return false;
    const question = { text, pictures: takePictures() };
    ask(question, askSource(question));
    return true;
  }

  function ask(question, source) {
    add(createQuestion(question.text, question));
    const answer = makeAnswer();
    scroll.toEnd();
    follow(answer, source, question);
  }

  /** What was kept over a reload, unless it arrived and is on the screen. */
  function askKept(body) {
    if (!body || run || [...log.querySelectorAll('.bubble')].at(-1)?.textContent === body.message) return;
    const question = { text: body.message, pictures: (body.attachments ?? []).map((one) => one.data_url) };
    ask(question, { ...askSource(question), body: { ...body, conversation_id: conversation ?? undefined } });
  }

  const isEmpty = () => !run && !opening && !log.querySelector('.message');

  const answersIn = (messages) => new Map(messages.filter((message) => message.role === 'assistant')
    .map((message) => [message.id ?? message.message_id, message.status]));
  /** One that was replaced is still among the known, but the server tells of it no more. */
  const areKnown = (answers) => [...answers].every(([id, state]) => known.get(id) === state);

  function showMessages(messages) {
    log.replaceChildren();
    let question = null;
    messages.forEach((message, i) => {
      const text = String(message.content ?? '');
      if (message.role === 'user') {
        question = { text, pictures: [] };
        add(createQuestion(text, { pictures: (message.attachments ?? []).filter((one) => one.file_id)
          .map((one) => new URL(`api/files/${encodeURIComponent(one.file_id)}`, client.base).href) }));
        return;
      }
      if (message.role !== 'assistant') return;
      const answer = makeAnswer();
      const id = message.id ?? message.message_id;
      message.tool_calls?.forEach(answer.tool);
      answer.push(text);
      if (message.status === 'streaming' && i === messages.length - 1)
        follow(answer, { messageId: id, after: byteLength(text) }, question);
      else if (message.status === 'failed') answer.fail(t('error_failed'), i === messages.length - 1 ? () => retry(answer, {}, { done: true }, question) : null);
      else {
        const reason = STATES[message.status] ?? message.finish_reason;
        answer.end({ ...message, finish_reason: reason }, actionsFor(id, answer, question));
      }
    });
    if (!messages.length) greet();
  }

  /** From now on this is where one asks, though its messages are still to come. */
  function openUp(id) {
    const turn = leave();
    opening = true;
    remember(id);
    log.replaceChildren(h('div', { class: 'waiting', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')));
    return turn;
  }

  function opened() {
    const wanted = eager;
    opening = false;
    eager = false;
    if (wanted) composer.submit();
    catchUp();
  }

  /** Show a conversation from the server. Resolves to false when it is not there (any more). */
  async function load(id, { quiet = false, kept = null } = {}) {
    const turn = quiet ? shown : openUp(id);
    try {
      const reply = await client.conversation(id);
      if (turn !== shown || run) return true;
      const messages = reply.messages ?? [];
      if (quiet && (unheard || areKnown(answersIn(messages)))) return true;
      known = answersIn(messages);
      shown += 1;
      parts.readAloud?.end();
      showMessages(messages);
      scroll.toEnd();
      askKept(kept);
      opened();
      return true;
    } catch (error) {
      if (turn !== shown || quiet) return true;
      if (error.status === 404 || error.status === 400) {
        start();
        askKept(kept);
        return false;
      }
      opening = false;
      keep(kept);
      log.replaceChildren(h('div', { class: 'notice error' }, icon('alert'), h('span', {}, errorText(error)),
        h('button', { type: 'button', class: 'small-button', onclick: () => load(id, { kept }) }, t('retry'))));
      on.trouble();
      return true;
    }
  }

  /** Stop looking at what is on the screen; the server finishes by itself. */
  function leave() {
    shown += 1;
    known = new Map();
    parts.readAloud?.end();
    opening = false;
    eager = false;
    missed = false;
    unheard = false;
    keep(null);
    run?.leave();
    run = null;
    composer.setRunning(false);
    return shown;
  }

  function start() {
    leave();
    remember(null);
    greet();
    composer.focus();
  }

  /** Look for what another tab did meanwhile. */
  function catchUp() {
    if (!missed || run) return;
    missed = false;
    load(conversation, { quiet: true });
  }

  channel?.addEventListener('message', ({ data }) => {
    if (data.conversation !== conversation || !conversation) return;
    if (data.type === 'removed') start();
    else if (run || opening || data.type === 'changed') {
      missed = true;
      if (!opening) catchUp();
    } else if (data.type === 'asked') {
      add(createQuestion(data.text));
      follow(makeAnswer(), { messageId: data.messageId, after: 0 }, { text: data.text, pictures: [] });
      scroll.toEnd();
    }
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && conversation && !run && known.size) load(conversation, { quiet: true });
  });

  return {
    send,
    load,
    start,
    /** Greet once more, with the name or language that came meanwhile; what was said already stays. */
    greet() {
      if (isEmpty() && !log.querySelector('.notice')) greet();
    },
    stop: () => run?.stop(),
    conversation: () => conversation,
    tellRemoved: (id) => channel?.postMessage({ type: 'removed', conversation: id }),
    /** Open what this tab, or else this browser, had open last; a reader who was faster has a new one by now. */
    async restore() {
      if (!isEmpty()) return;
      const kept = JSON.parse(tab.get('asking'));
      const id = kept ? kept.conversation_id : tab.get('conversation') ?? prefs.get('conversation');
      if (id) await load(id, { kept });
      else {
        start();
        askKept(kept);
      }
    },
  };
}
