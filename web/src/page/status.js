/*
 * status: is the server there? Asks api/health now and then while the page is looked at, at once when a call failed, and
 * listens to the browser's own online and offline events.
 */
import { t } from '../i18n.js';

const EVERY_MS = 30_000;
const EVERY_WHEN_DOWN_MS = 5_000;

/** `nodes`: {box, text}. `onChange(isUp)` on each change. */
export function startStatus(client, nodes, onChange) {
  let up = null;
  let timer;

  function show() {
    const key = up === null ? 'connecting' : up ? 'connected' : navigator.onLine ? 'disconnected' : 'offline';
    nodes.box.classList.toggle('up', up === true);
    nodes.box.classList.toggle('down', up === false);
    nodes.text.textContent = t(key);
    nodes.box.title = t(key);
  }

  function set(isUp) {
    const changed = up !== isUp;
    up = isUp;
    show();
    if (changed) onChange(isUp);
  }

  async function check() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      await client.health({ timeout: 8_000 });
      set(true);
    } catch (error) {
      // Any answer but 5xx means that somebody is there.
      set(error.status > 0 && error.status < 500);
    }
    timer = setTimeout(check, up ? EVERY_MS : EVERY_WHEN_DOWN_MS);
  }

  window.addEventListener('online', check);
  window.addEventListener('offline', () => set(false));
  document.addEventListener('visibilitychange', check);
  show();
  check();
  return { check, refresh: show };
}
