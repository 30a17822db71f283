/*
 * safe: the one door through which HTML made from a model's words enters a document. Whatever renders Markdown hands its
 * HTML to cleanFragment; nothing else in page or widget parses HTML.
 */
import createPurifier from 'dompurify';

const TAGS = [
  'p', 'br', 'hr', 'strong', 'b', 'em', 'i', 'del', 's', 'u', 'sub', 'sup', 'kbd', 'mark', 'small', 'code', 'pre', 'blockquote',
  'ul', 'ol', 'li', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'a', 'img', 'table', 'thead', 'tbody', 'tr', 'th', 'td',
  'details', 'summary', 'span',
];
const ATTRIBUTES = ['href', 'src', 'alt', 'title', 'start', 'align', 'class', 'colspan', 'rowspan'];
const LINK = /^(?:https?:|mailto:|tel:)/i;
const LOCAL_IMAGE = /^data:image\/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=\s]+$/i;
const REMOTE_IMAGE = /^https:/i;

export const ALLOWED_TAGS = new Set(TAGS);

/** Turn a picture that may not be loaded into a link to it: a remote picture tells its server what was said. */
function imageAsLink(image) {
  const source = image.getAttribute('src') ?? '';
  const label = image.getAttribute('alt') || source;
  if (!/^https?:/i.test(source)) return document.createTextNode(label);
  const link = document.createElement('a');
  link.setAttribute('href', source);
  link.textContent = label;
  return link;
}

function finishLink(link) {
  const target = link.getAttribute('href') ?? '';
  if (!LINK.test(target.trim())) {
    link.removeAttribute('href');
    return;
  }
  link.setAttribute('target', '_blank');
  link.setAttribute('rel', 'noopener noreferrer nofollow');
}

/** Make a cleaner: HTML text in, a DocumentFragment of harmless nodes out. */
export function createCleaner({ allowRemoteImages = false } = {}) {
  const purifier = createPurifier(window);
  const options = {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  };
  return function cleanFragment(html) {
    const fragment = purifier.sanitize(html, options);
    for (const node of fragment.querySelectorAll('[class]')) {
      // A model must not borrow the looks of our own buttons and notices.
      if (!(node.tagName === 'CODE' && /^language-[\w+#.-]{1,30}$/.test(node.className))) node.removeAttribute('class');
    }
    for (const image of fragment.querySelectorAll('img')) {
      const source = image.getAttribute('src') ?? '';
      if (LOCAL_IMAGE.test(source) || (allowRemoteImages && REMOTE_IMAGE.test(source))) {
        image.setAttribute('loading', 'lazy');
        image.setAttribute('referrerpolicy', 'no-referrer');
      } else image.replaceWith(imageAsLink(image));
    }
    for (const link of fragment.querySelectorAll('a')) finishLink(link);
    return fragment;
  };
}
