/*
 * blocks: the last touch on blocks that came through safe.js, the same for page and widget: text direction per block,
 * tables in a frame that scrolls, nothing that only looks like content.
 */
import { h } from './dom.js';
import { t } from './i18n.js';

/** Line breaks between elements mean nothing and would make equal blocks look different. */
function dropBlanks(parent) {
  for (const node of [...parent.childNodes]) if (node.nodeType === Node.TEXT_NODE && !node.data.trim()) node.remove();
}

/** `fragment`: clean blocks. Changed in place and returned. */
export function finishBlocks(fragment) {
  dropBlanks(fragment);
  for (const node of fragment.querySelectorAll('ul, ol, table, thead, tbody, tr')) dropBlanks(node);
  for (const table of fragment.querySelectorAll('table')) {
    const frame = h('div', { class: 'table-frame', tabindex: 0, role: 'region', 'aria-label': t('table') });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const node of [...fragment.childNodes]) {
    if (node.nodeType === Node.TEXT_NODE) node.replaceWith(h('p', { dir: 'auto' }, node.data));
    else if (node.nodeType === Node.ELEMENT_NODE) node.setAttribute('dir', node.tagName === 'PRE' ? 'ltr' : 'auto');
  }
  return fragment;
}

const SIGNS = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text as HTML that shows it. */
export const escapeHtml = (text) => text.replace(/[&<>"]/g, (sign) => SIGNS[sign]);
