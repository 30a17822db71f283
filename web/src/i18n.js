/*
 * i18n: the interface texts. One file per language in lang/; English is built in (but for the widget, which loads just the
 * visitor's language) and fills the gaps of the others.
 * A text may hold {name} parts. Nothing here touches the DOM but translateTree.
 */
import english from './lang/en.json';

export const LANGUAGES = { en: 'English', de: 'Deutsch', es: 'Español', fr: 'Français', ar: 'العربية', zh: '中文' };
const RTL = new Set(['ar']);

let texts = english;
let current = 'en';

/** The best language that we have for a list of wishes ("de-AT", "de", ...), "en" at last. */
export function pickLanguage(wishes) {
  for (const wish of wishes) {
    const base = String(wish ?? '').toLowerCase().split(/[-_]/)[0];
    if (base in LANGUAGES) return base;
  }
  return 'en';
}

export function useLanguage(code, loaded) {
  current = code;
  texts = { ...english, ...loaded };
}

export const language = () => current;
export const direction = () => (RTL.has(current) ? 'rtl' : 'ltr');

/** The text for `key`, its {parts} filled in. An unknown key shows itself, so that it is found. */
export function t(key, parts = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in parts ? String(parts[name]) : whole));
}

/** Fill data-t (text), data-t-label (aria-label and title) and data-t-placeholder below `root`. */
export function translateTree(root) {
  for (const node of root.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll('[data-t-label]')) {
    node.setAttribute('aria-label', t(node.dataset.tLabel));
    if (node.matches('button, a')) node.title = t(node.dataset.tLabel);
  }
  for (const node of root.querySelectorAll('[data-t-placeholder]')) node.placeholder = t(node.dataset.tPlaceholder);
}
