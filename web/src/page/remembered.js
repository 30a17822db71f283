/*
 * remembered: "what it remembers about me": a dialog with the facts that the server keeps about this visitor, each of which
 * can be erased, or all at once. The button is hidden where nothing is remembered.
 */
import { h, icon, iconButton } from '../dom.js';
import { errorText } from '../errors.js';
import { t } from '../i18n.js';

/** `on`: {speak(text)}. */
export function startRemembered(client, button, on) {
  let facts = [];

  function build() {
    const list = h('ul', { class: 'facts' });
    const note = h('p', { class: 'empty', role: 'status' });
    const all = h('button', { type: 'button', class: 'danger' }, t('forget_all'));
    const close = h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, t('close'));
    const dialog = h('dialog', { class: 'ask remembered', 'aria-labelledby': 'remembered-title' },
      h('h2', { id: 'remembered-title' }, t('remembered')), h('p', {}, t('remembered_text')), list, note,
      h('div', { class: 'row' }, all, close));
    let sure = false;

    const say = (text) => {
      note.textContent = text;
      note.hidden = !text;
    };

    function show() {
      sure = false;
      all.textContent = t('forget_all');
      all.hidden = facts.length === 0;
      list.hidden = facts.length === 0;
      list.replaceChildren(...facts.map((fact) => h('li', {}, h('span', { dir: 'auto' }, fact.fact),
        iconButton('trash', t('forget_one', { fact: fact.fact }), () => forget(fact)))));
      say(facts.length ? '' : t('remembered_none'));
    }

    async function attempt(action, then) {
      try {
        await action();
        facts = then();
        show();
        on.speak(t('forgotten'));
      } catch (error) {
        say(errorText(error));
      }
    }

    async function forget(fact) {
      const at = facts.indexOf(fact);
      await attempt(() => client.forget(fact.id), () => facts.filter((other) => other !== fact));
      // The button is gone: the next one, or what ends the dialog, has the focus.
      (list.querySelectorAll('button')[Math.min(at, facts.length - 1)] ?? close).focus();
    }

    all.addEventListener('click', async () => {
      if (!sure) {
        sure = true;
        all.textContent = t('forget_all_sure');
        return;
      }
      await attempt(() => client.forgetAll(), () => []);
      close.focus();
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      button.focus();
    });
    return { dialog, show, say };
  }

  async function open() {
    const { dialog, show, say } = build();
    document.body.append(dialog);
    dialog.showModal();
    try {
      facts = (await client.remembered()).memories ?? [];
      show();
    } catch (error) {
      facts = [];
      show();
      say(errorText(error));
    }
  }

  button.prepend(icon('memory'));
  button.addEventListener('click', open);
  return {
    configure(isThere) {
      button.hidden = !isThere;
    },
  };
}
