/*
 * dom: element building without innerHTML, and the icons. Used by page and widget.
 */

/** Make an element: h('button', {class: 'x', type: 'button', onclick: fn, 'aria-label': '…'}, child, 'text'). */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

/* Drawn on a 24 by 24 field with a stroke of 2; "!" in front means filled instead. */
const shapes = {
  send: 'M12 20V5M5 12l7-7 7 7',
  stop: '!M7 6h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1z',
  close: 'M6 6l12 12M18 6L6 18',
  more: '!M3.5 12a2 2 0 1 0 4 0a2 2 0 1 0-4 0M10 12a2 2 0 1 0 4 0a2 2 0 1 0-4 0M16.5 12a2 2 0 1 0 4 0a2 2 0 1 0-4 0',
};

/** Add more drawings; the page has many, the widget few. */
export const addShapes = (more) => Object.assign(shapes, more);

/** An icon as an SVG element, hidden from screen readers. */
export function icon(name) {
  const shape = shapes[name];
  const filled = shape.startsWith('!');
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  for (const [key, value] of Object.entries({ viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' }))
    svg.setAttribute(key, value);
  path.setAttribute('d', filled ? shape.slice(1) : shape);
  path.setAttribute('class', filled ? 'filled' : 'stroked');
  svg.append(path);
  return svg;
}

/** The way to say something to screen readers by `region`, the one live region there is. */
export function createSpeaker(region) {
  let timer;
  return (text) => {
    clearTimeout(timer);
    region.textContent = '';
    timer = setTimeout(() => { region.textContent = text; }, 60);
  };
}

/** A button that is only an icon; its label is spoken and shown as its title. */
export function iconButton(name, label, onclick, props = {}) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...props }, icon(name));
}
