/*
 * composer: the field where one types, with Send and Stop. Keeps what is typed over reloads, counts when the text gets
 * long, grows with it. Enter sends, Shift+Enter breaks; an input method that is composing keeps its Enter.
 */
import { t } from '../i18n.js';
import { tab } from './prefs.js';

const COUNT_FROM = 0.8; // share of the allowed length from which the count is shown

/** Characters as the server counts them: code points, not UTF-16 units. */
export const countCharacters = (text) => {
  let count = 0;
  for (const sign of text) count += sign ? 1 : 0;
  return count;
};

/** `nodes`: {form, field, send, stop, count}. `on.send(text)` and `on.stop()`. */
export function startComposer(nodes, on) {
  const { form, field, send, stop, count } = nodes;
  let limit = 1000;
  let running = false;

  function refresh() {
    const length = countCharacters(field.value.trim());
    field.style.height = 'auto';
    field.style.height = `${Math.min(field.scrollHeight, 240)}px`;
    field.style.overflowY = field.scrollHeight > 240 ? 'auto' : 'hidden';
    count.hidden = length < limit * COUNT_FROM;
    count.textContent = t('characters', { used: length, limit });
    count.classList.toggle('over', length > limit);
    send.disabled = length === 0 || length > limit;
    send.hidden = running;
    stop.hidden = !running;
    tab.set('draft', field.value);
  }

  function submit() {
    const text = field.value.trim();
    if (running || send.disabled) return;
    if (on.send(text) === false) return;
    field.value = '';
    refresh();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  });
  field.addEventListener('input', refresh);
  // The second half of a double click on Send is not meant for what takes its place.
  stop.addEventListener('click', (event) => event.detail < 2 && on.stop());
  window.addEventListener('resize', refresh);

  field.value ||= tab.get('draft') ?? ''; // typed before this script was there
  refresh();
  return {
    refresh,
    submit,
    focus: () => field.focus(),
    setLimit(characters) {
      limit = characters;
      refresh();
    },
    setRunning(isRunning) {
      const hadFocus = document.activeElement === send || document.activeElement === stop;
      running = isRunning;
      refresh();
      if (hadFocus) (running ? stop : field).focus();
    },
    /** Put text back, for example when sending failed; typed text is kept. */
    restore(text) {
      if (!field.value) field.value = text;
      refresh();
    },
    insert(text) {
      const space = field.value && !/\s$/.test(field.value) ? ' ' : '';
      field.value += space + text;
      refresh();
    },
  };
}
