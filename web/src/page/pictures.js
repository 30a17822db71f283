/*
 * pictures: takes pictures by file picker, camera, paste and drop, and makes them small enough for one request. Offered only
 * while the chosen model can see. On touch devices the button asks first: a picker there does not always offer the camera.
 */
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { openMenu } from './menu.js';

const MAX_PICTURES = 3;
const SIDES = [1280, 1024, 768, 512, 384];
const QUALITIES = [0.82, 0.6, 0.45];

/** Scale a picture down until its data URL has at most `budget` characters; null when that cannot be done. */
async function shrink(file, budget) {
  const bitmap = await createImageBitmap(file);
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  for (const side of SIDES) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    for (const quality of QUALITIES) {
      const url = canvas.toDataURL('image/jpeg', quality);
      if (url.length <= budget) return url;
    }
  }
  return null;
}

/** `nodes`: {button, input, camera, tray, form}; `camera` is an input too. `on.problem(text)`. */
export function startPictures(nodes, on) {
  const { button, input, camera, tray, form } = nodes;
  let enabled = false;
  let budget = 48_000;
  let pictures = [];
  let busy = Promise.resolve(); // while pictures are being made small, one lot after the other
  let waiting = 0;

  function show() {
    tray.hidden = pictures.length === 0;
    tray.replaceChildren(...pictures.map((picture) => h('figure', {},
      h('img', { src: picture.url, alt: t('your_picture') }),
      h('button', {
        type: 'button', class: 'icon-button', 'aria-label': t('remove_picture'),
        onclick() {
          pictures = pictures.filter((other) => other !== picture);
          show();
          button.focus();
        },
      }, icon('close')))));
  }

  function add(files) {
    waiting += 1;
    busy = busy.then(() => addAll(files)).finally(() => { waiting -= 1; });
  }

  async function addAll(files) {
    for (const file of files) {
      if (!file.type.startsWith('image/')) continue;
      if (pictures.length >= MAX_PICTURES) {
        on.problem(t('too_many_pictures', { n: MAX_PICTURES }));
        break;
      }
      // All pictures of a message share one request: each new one makes the others smaller.
      const all = [...pictures, { file }];
      try {
        const urls = [];
        for (const one of all) urls.push(await shrink(one.file, Math.floor(budget / all.length)));
        if (urls.every(Boolean)) pictures = all.map((one, i) => ({ file: one.file, url: urls[i] }));
        else on.problem(t('picture_too_large'));
      } catch {
        on.problem(t('picture_unreadable'));
      }
    }
    show();
  }

  const hasTouch = matchMedia('(pointer: coarse)');
  const entry = (name, text, from) => h('button', { type: 'button', onclick: () => from.click() }, icon(name), text);
  button.addEventListener('click', () => {
    if (hasTouch.matches) openMenu(button, [entry('camera', t('take_photo'), camera), entry('picture', t('add_picture'), input)]);
    else input.click();
  });
  for (const from of [input, camera])
    from.addEventListener('change', () => {
      add([...from.files]);
      from.value = '';
    });
  form.addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!enabled || !files.some((file) => file.type.startsWith('image/'))) return;
    event.preventDefault();
    add(files);
  });
  document.addEventListener('dragover', (event) => {
    // Also when we cannot take it: else the browser would leave the page for the dropped file.
    event.preventDefault();
    form.classList.toggle('dropping', enabled);
  });
  document.addEventListener('dragleave', () => form.classList.remove('dropping'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    form.classList.remove('dropping');
    if (enabled) add([...(event.dataTransfer?.files ?? [])]);
  });

  return {
    /** Resolves when all that was picked is in the tray; null when it is already. */
    pending: () => (waiting ? busy : null),
    /** Hand the pictures over and empty the tray. */
    take() {
      const taken = pictures.map((picture) => picture.url);
      pictures = [];
      show();
      return taken;
    },
    configure({ canSee, maxBody }) {
      enabled = canSee;
      budget = Math.max(8_000, (maxBody ?? 65_536) - 12_000);
      button.hidden = !canSee;
      if (!canSee && pictures.length) {
        pictures = [];
        show();
      }
    },
  };
}
