/*
 * sources: the site's documents that an answer was given, as a short list of links below it. Used by page and widget.
 */
import { h } from './dom.js';
import { t } from './i18n.js';

const MOST = 20;

/* Only what is a web address becomes a link: the server says what is there, but a link must never run anything. */
function address(url) {
  try {
    const parsed = new URL(url);
    return ['http:', 'https:'].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

/** The list for `[{title, url}]`; null when there is nothing to show. */
export function createSources(sources) {
  if (!Array.isArray(sources) || !sources.length) return null;
  const items = sources.slice(0, MOST).map(({ title, url }) => {
    const href = address(url);
    const name = String(title || href || '');
    return h('li', { dir: 'auto' }, href ? h('a', { href, target: '_blank', rel: 'noopener noreferrer' }, name) : name);
  });
  return h('div', { class: 'sources' }, h('span', {}, t('sources')), h('ul', {}, ...items));
}
