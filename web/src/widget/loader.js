/*
 * loader: what the script tag costs: a button, and the small interface for the site. The panel with all the rest is
 * fetched when it is first wanted. A classic script, and so is the panel, because a script tag needs no CORS.
 *
 * Attributes of the tag: data-title, data-accent, data-position (left|right), data-greeting, data-lang, data-theme
 * (auto|light|dark), data-shadow="off" (the site's own style sheets reach the widget), data-open (open at once),
 * data-images="on" (remote pictures may load).
 */
/* global PANEL, LANGUAGE_SCRIPTS, OPEN_LABELS */
import style from './toggle.css';

const PANEL_HOOK = Symbol.for('parley.panel');
const LANGUAGE_HOOK = Symbol.for('parley.language');
const CHAT = 'M4 5h16v11H9l-5 4z';
const CROSS = 'M6 6l12 12M18 6L6 18';

const tag = document.currentScript;

function svg(shape) {
  const make = (name, attributes) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    return node;
  };
  const drawing = make('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' });
  drawing.append(make('path', { d: shape }));
  return drawing;
}

function load(base, path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = new URL(path, base);
    script.onload = resolve;
    script.onerror = () => reject(new Error(`Parley: ${script.src} could not be loaded. Does this site's Content-Security-Policy allow it in script-src?`));
    document.head.append(script);
  });
}

/** Relative luminance of a CSS colour, by the browser's own reading of it; null when it is none. */
function rgbOf(color) {
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = '#000';
  probe.fillStyle = color;
  const hex = /^#(..)(..)(..)$/.exec(probe.fillStyle);
  return hex && hex.slice(1).map((part) => parseInt(part, 16) / 255);
}
const luminance = (rgb) => rgb
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);

function start() {
  const data = { ...tag.dataset };
  const base = new URL('.', tag.src).href;
  const wish = data.lang || document.documentElement.lang || navigator.language || 'en';
  const known = wish.toLowerCase().split('-')[0];
  const language = Object.hasOwn(LANGUAGE_SCRIPTS, known) ? known : 'en';
  const [openLabel, closeLabel] = OPEN_LABELS[language];
  const listeners = {};
  const waiting = []; // calls that came before the panel
  let context = {};
  let panel = null;
  let loading = null;
  let isOpen = false;
  let gone = false;

  const host = document.createElement('div');
  host.className = 'parley-widget';
  const shadowed = data.shadow !== 'off';
  const root = shadowed ? host.attachShadow({ mode: 'open' }) : host;
  const sheets = shadowed ? root : document;
  const area = document.createElement('div');
  area.className = 'parley';
  area.dataset.side = data.position === 'left' ? 'left' : 'right';
  area.lang = language;
  root.append(area);

  function addStyle(text) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    sheets.adoptedStyleSheets = [...sheets.adoptedStyleSheets, sheet];
    return sheet;
  }
  const ownSheets = [addStyle(style)];

  const accent = data.accent && rgbOf(data.accent);
  if (accent) {
    const light = luminance(accent);
    area.style.setProperty('--accent', data.accent);
    // Black or white on it, whichever can be read better.
    area.style.setProperty('--on-accent', 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? '#fff' : '#000');
    area.dataset.accent = 1.05 / (light + 0.05) >= 4.5 ? 'dark' : 'light';
  }
  const system = matchMedia('(prefers-color-scheme: dark)');
  const applyTheme = () => {
    area.dataset.theme = ['light', 'dark'].includes(data.theme) ? data.theme : system.matches ? 'dark' : 'light';
  };
  system.addEventListener('change', applyTheme);
  applyTheme();

  const toggle = document.createElement('button');
  toggle.type = 'button';
  toggle.className = 'chat-toggle';
  area.append(toggle);

  function showToggle() {
    const label = isOpen ? closeLabel : openLabel;
    toggle.replaceChildren(svg(isOpen ? CROSS : CHAT));
    toggle.setAttribute('aria-label', label);
    toggle.setAttribute('aria-expanded', isOpen);
    toggle.title = label;
    if (isOpen) delete toggle.dataset.unread;
  }

  function emit(name, detail) {
    for (const listener of [...(listeners[name] ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        console.error(error);
      }
    }
  }

  function whenReady(call) {
    if (panel) return call(panel);
    waiting.push(call);
    loading ??= Promise.all([load(base, PANEL), load(base, LANGUAGE_SCRIPTS[language])]).then(() => {
      if (gone) return;
      panel = window[PANEL_HOOK]({
        base, data, area, language, emit, addStyle: (text) => ownSheets.push(addStyle(text)),
        texts: window[LANGUAGE_HOOK][language], close: () => set(false, true), isOpen: () => isOpen, context: () => context,
        unread() { toggle.dataset.unread = ''; },
      });
      toggle.setAttribute('aria-controls', 'chatPanel');
      emit('ready');
      waiting.splice(0).forEach((one) => one(panel));
    }).catch((error) => {
      loading = null;
      isOpen = false;
      showToggle();
      waiting.splice(0).forEach((one) => one());
      console.error(error.message);
      emit('error', error);
    });
    return undefined;
  }

  function set(open, takeFocus) {
    if (gone || open === isOpen) return;
    isOpen = open;
    showToggle();
    try {
      sessionStorage.setItem('parley.open', open ? '1' : '');
    } catch {
      // storage forbidden: it will not reopen on the next page
    }
    if (open) whenReady((ready) => isOpen && ready.show(takeFocus));
    else {
      panel?.hide();
      if (takeFocus) toggle.focus();
    }
    emit(open ? 'open' : 'close');
  }
  toggle.addEventListener('click', () => set(!isOpen, true));

  window.Parley = {
    open: () => set(true, true),
    close: () => set(false, false),
    toggle: () => set(!isOpen, true),
    /** Send a message as if the visitor had typed it. Resolves to false where it cannot be sent now: nothing is kept of it. */
    send: (text) => new Promise((resolve) => { whenReady((ready) => resolve(ready?.send(String(text)) ?? false)); }),
    /** Listen to ready, open, close, message {role, text}, error. Returns the function that ends it. */
    on(name, listener) {
      (listeners[name] ??= new Set()).add(listener);
      if (name === 'ready' && panel) listener();
      return () => listeners[name].delete(listener);
    },
    /** What the model may know of the visitor: {page, product_interest, ...}. Goes with every message from now on. Throws what is no JSON. */
    setContext(values) {
      context = JSON.parse(JSON.stringify({ ...values }));
    },
    destroy() {
      if (gone) return;
      gone = true;
      panel?.destroy();
      host.remove();
      system.removeEventListener('change', applyTheme);
      sheets.adoptedStyleSheets = sheets.adoptedStyleSheets.filter((sheet) => !ownSheets.includes(sheet));
      delete window.Parley;
    },
  };

  showToggle();
  document.body.append(host);
  let wasOpen = false;
  try {
    wasOpen = sessionStorage.getItem('parley.open') === '1';
  } catch {
    // as above
  }
  if (wasOpen || (data.open !== undefined && data.open !== 'false')) set(true, false);
}

if (window.Parley) console.warn('Parley: the widget is on this page already.');
else if (document.body) start();
else document.addEventListener('DOMContentLoaded', start);
