/*
 * sidebar: the visitor's conversations: open, rename, export, delete, search. A drawer on narrow windows. Where the server
 * has no conversation list it stays empty and only "New chat" and the language remain.
 */
import { h, icon, iconButton } from '../dom.js';
import { t } from '../i18n.js';
import { openMenu } from './menu.js';

const SEARCH_PAUSE_MS = 250;
const DAY_MS = 86_400_000;

export const idOf = (conversation) => conversation.id ?? conversation.conversation_id;

/** The drawer on narrow windows: focus goes in, Escape and the backdrop close it, focus comes back. */
function startDrawer(nodes) {
  const { app, sidebar, column, open, close, backdrop } = nodes;
  const narrow = matchMedia('(max-width: 860px)');

  function set(isOpen, { keepFocus = false } = {}) {
    const drawn = narrow.matches && isOpen;
    app.classList.toggle('drawer-open', drawn);
    backdrop.hidden = !drawn;
    sidebar.inert = narrow.matches && !isOpen;
    column.inert = drawn;
    open.setAttribute('aria-expanded', String(drawn));
    if (drawn) close.focus();
    else if (narrow.matches && !keepFocus) open.focus();
  }
  const shut = (options) => {
    if (app.classList.contains('drawer-open')) set(false, options);
  };
  open.addEventListener('click', () => set(true));
  close.addEventListener('click', () => shut());
  backdrop.addEventListener('click', () => shut());
  sidebar.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !event.defaultPrevented) shut();
  });
  narrow.addEventListener('change', () => set(false, { keepFocus: true }));
  set(false, { keepFocus: true });
  return { shut };
}

/** A question with two buttons. Resolves to true or false. */
function confirmDialog(title, text, action) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { class: 'ask', 'aria-labelledby': 'ask-title' },
      h('h2', { id: 'ask-title' }, title), h('p', { dir: 'auto' }, text),
      h('div', { class: 'row' },
        h('button', { type: 'button', onclick: () => dialog.close('no') }, t('cancel')),
        h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, action)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function groupOf(conversation) {
  const time = Date.parse(conversation.updated_at ?? conversation.created_at ?? '');
  if (Number.isNaN(time)) return 'older';
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  if (time >= today.getTime()) return 'today';
  return time >= today.getTime() - 7 * DAY_MS ? 'last_week' : 'older';
}

/**
 * `nodes`: {app, sidebar, column, open, close, backdrop, list, search}. `on`: {open(id), removed(id), changed(), problem(text)}.
 */
export function startSidebar(client, nodes, on) {
  const { list, search } = nodes;
  const drawer = startDrawer(nodes);
  let conversations = [];
  let next = null;
  let current = null;
  let available = true;
  let asked = 0;
  let loaded = false;
  let stale = false; // what is shown is not what is known

  const titleOf = (conversation) => conversation.title || t('untitled');

  function rename(item, conversation) {
    const field = h('input', { class: 'rename', type: 'text', maxlength: 120, 'aria-label': t('rename'), value: titleOf(conversation) });
    let over = false;
    const finish = async (keep) => {
      if (over) return;
      over = true;
      const title = field.value.trim();
      if (keep && title && title !== conversation.title) {
        try {
          await client.rename(idOf(conversation), title);
          for (const one of conversations) if (idOf(one) === idOf(conversation)) one.title = title;
          on.changed();
        } catch (error) {
          on.problem(error);
        }
      }
      field.replaceWith(titleOf(conversation));
      show();
      if (document.activeElement === document.body) focusOn(idOf(conversation), 'title');
    };
    field.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Enter') finish(true);
      if (event.key === 'Escape') {
        event.preventDefault();
        finish(false);
      }
    });
    field.addEventListener('blur', () => finish(true));
    item.replaceChildren(field);
    field.focus();
    field.select();
  }

  async function remove(conversation) {
    if (!(await confirmDialog(t('delete_title'), t('delete_text', { title: titleOf(conversation) }), t('delete'))))
      return focusOn(idOf(conversation), 'more');
    try {
      await client.remove(idOf(conversation));
      asked += 1; // a list that is on its way still has it
      conversations = conversations.filter((other) => idOf(other) !== idOf(conversation));
      show();
      on.removed(idOf(conversation));
      nodes.newChat.focus();
    } catch (error) {
      on.problem(error);
    }
    return undefined;
  }

  function menuFor(item, conversation, button) {
    const entry = (name, text, onclick, danger) =>
      h('button', { type: 'button', class: danger ? 'danger' : null, onclick }, icon(name), text);
    const link = (format, text) =>
      h('a', { href: client.exportUrl(idOf(conversation), format), download: '' }, icon('download'), text);
    openMenu(button, [
      entry('pencil', t('rename'), () => rename(item, conversation)),
      link('markdown', t('export_markdown')),
      link('json', t('export_json')),
      entry('trash', t('delete'), () => remove(conversation), true),
    ], () => {
      if (stale) show();
    });
  }

  function itemFor(conversation) {
    const isCurrent = idOf(conversation) === current;
    const item = h('li', { class: isCurrent ? 'current' : null, 'data-id': idOf(conversation) });
    const more = iconButton('more', t('more_for', { title: titleOf(conversation) }), () => menuFor(item, conversation, more),
      { class: 'icon-button more', 'aria-expanded': 'false' });
    item.append(
      h('button', {
        type: 'button', class: 'title', dir: 'auto', 'aria-current': isCurrent ? 'true' : null,
        onclick() {
          drawer.shut({ keepFocus: true });
          on.open(idOf(conversation));
        },
      }, titleOf(conversation)),
      more);
    return item;
  }

  const focusOn = (id, kind) => list.querySelector(`[data-id="${CSS.escape(id)}"] .${kind}`)?.focus();

  /** The list anew; while somebody is at work in it, it waits. */
  function show() {
    stale = list.querySelector('.rename, .pop') !== null;
    if (stale) return;
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    search.hidden = !available || (conversations.length < 5 && !search.value);
    const children = [];
    if (loaded && conversations.length === 0) children.push(h('p', { class: 'empty' }, t(search.value ? 'nothing_found' : 'no_conversations')));
    for (const group of ['today', 'last_week', 'older']) {
      const members = conversations.filter((conversation) => groupOf(conversation) === group);
      if (members.length) children.push(h('h2', {}, t(group)), h('ul', {}, ...members.map(itemFor)));
    }
    if (next) children.push(h('button', { type: 'button', class: 'small-button', onclick: () => load({ more: true }) }, t('show_more')));
    list.replaceChildren(...children);
    const id = focused?.closest('[data-id]')?.dataset.id;
    if (id) focusOn(id, focused.classList.contains('more') ? 'more' : 'title');
  }

  async function load({ more = false } = {}) {
    if (!available) return;
    asked += 1;
    const turn = asked;
    const query = search.value.trim();
    try {
      const reply = await client.conversations({ cursor: more ? next : null, query });
      if (turn !== asked) return;
      // A server that does not search gets help here: its list is filtered by title.
      const found = (reply.conversations ?? []).filter((conversation) =>
        !query || reply.query === query || titleOf(conversation).toLowerCase().includes(query.toLowerCase()));
      conversations = more ? [...conversations, ...found] : found;
      loaded = true;
      next = reply.next ?? reply.next_cursor ?? null;
    } catch (error) {
      if (error.absent) available = false;
    }
    const atMore = more && list.contains(document.activeElement);
    const before = list.querySelectorAll('.title').length;
    show();
    if (atMore) list.querySelectorAll('.title')[before]?.focus();
  }

  let timer;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(load, SEARCH_PAUSE_MS);
  });

  return {
    load,
    refresh: show,
    shut: drawer.shut,
    setCurrent(id) {
      current = id;
      show();
      // One that has just begun can be found again, whatever is opened next.
      if (id && asked && !search.value && !conversations.some((conversation) => idOf(conversation) === id)) load();
    },
  };
}
