/*
 * menu: a few choices at a button. Used by the list of conversations and by the picture button.
 */
import { h } from '../dom.js';

/** A small menu at a button. `entries`: nodes. Closes on Escape, on a click elsewhere, after a choice. */
export function openMenu(button, entries, onClosed = () => {}) {
  document.querySelector('.pop')?.remove();
  const menu = h('div', { class: 'pop', role: 'group', 'aria-label': button.getAttribute('aria-label') }, ...entries);
  const abort = new AbortController();
  const close = (focusButton) => {
    abort.abort();
    menu.remove();
    button.setAttribute('aria-expanded', 'false');
    if (focusButton) button.focus();
  };
  button.after(menu);
  const place = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(place.left, window.innerWidth - size.width - 8))}px`;
  const below = place.bottom + 4;
  menu.style.top = `${below + size.height < window.innerHeight ? below : Math.max(8, place.top - size.height - 10)}px`;
  button.setAttribute('aria-expanded', 'true');
  menu.addEventListener('click', () => {
    close(false);
    onClosed();
  });
  document.addEventListener('pointerdown', (event) => {
    if (menu.contains(event.target) || button.contains(event.target)) return;
    close(false);
    // Not before the click has found what it is meant for.
    document.addEventListener('click', onClosed, { once: true });
  }, { signal: abort.signal });
  menu.addEventListener('keydown', (event) => {
    const items = [...menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape') {
      event.preventDefault();
      close(true);
      onClosed();
    } else if (step) {
      event.preventDefault();
      items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
    } else if (event.key === 'Tab') {
      close(false);
      onClosed();
    }
  });
  entries[0].focus();
}
