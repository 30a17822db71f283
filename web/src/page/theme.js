/*
 * theme: light or dark. The system decides until the switch was used; the choice is remembered, and choosing what the
 * system says anyway gives the decision back to it.
 */
import { icon } from '../dom.js';
import { t } from '../i18n.js';
import { prefs } from './prefs.js';

const COLORS = { light: '#ffffff', dark: '#14161b' };

/** Wire the switch. Returns {refresh} for a change of language. */
export function startTheme(button) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;

  function apply() {
    const theme = prefs.get('theme') ?? (system.matches ? 'dark' : 'light');
    const label = t(theme === 'dark' ? 'theme_light' : 'theme_dark');
    root.dataset.theme = theme;
    document.querySelector('meta[name="theme-color"]').content = COLORS[theme];
    button.replaceChildren(icon(theme === 'dark' ? 'sun' : 'moon'));
    button.setAttribute('aria-label', label);
    button.title = label;
  }

  button.addEventListener('click', () => {
    const wanted = root.dataset.theme === 'dark' ? 'light' : 'dark';
    prefs.set('theme', wanted === (system.matches ? 'dark' : 'light') ? null : wanted);
    apply();
  });
  system.addEventListener('change', apply);
  window.addEventListener('storage', (event) => {
    if (event.key === 'parley.theme') apply();
  });
  apply();
  return { refresh: apply };
}
