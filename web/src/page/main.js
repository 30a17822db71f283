/*
 * main: puts the page together. Reads as a list: language, theme, parts, their wiring, first calls.
 */
import { createLink } from '../answer.js';
import { createPageClient } from '../client.js';
import { createSpeaker, h, icon, iconButton } from '../dom.js';
import { errorText } from '../errors.js';
import { warmUp } from '../growing.js';
import { LANGUAGES, direction, language, pickLanguage, t, translateTree, useLanguage } from '../i18n.js';
import { createChat } from './chat.js';
import { startComposer } from './composer.js';
import './icons.js';
import { startLimits } from './limits.js';
import { createMarkdown } from './markdown.js';
import { startModels } from './models.js';
import { startPictures } from './pictures.js';
import { prefs } from './prefs.js';
import { startRemembered } from './remembered.js';
import { fitToViewport, startScroll } from './scroll.js';
import { startSidebar } from './sidebar.js';
import { createReader, startVoiceInput } from './speech.js';
import { startStatus } from './status.js';
import { startTheme } from './theme.js';

const LANGUAGE_FILES = {
  de: () => import('../lang/de.json'),
  es: () => import('../lang/es.json'),
  fr: () => import('../lang/fr.json'),
  ar: () => import('../lang/ar.json'),
  zh: () => import('../lang/zh.json'),
};

const $ = (id) => document.getElementById(id);

/* The bundle lies in assets/: the installation is one level up, whatever path it is under and however we were reached. */
const client = createPageClient({ base: new URL('../', import.meta.url).href });
const settings = { name: 'Chat', features: {} };
const link = createLink();

let wanted;
async function setLanguage(code) {
  let loaded = {};
  wanted = code;
  try {
    loaded = LANGUAGE_FILES[code] ? (await LANGUAGE_FILES[code]()).default : {};
  } catch {
    if (wanted === code) wanted = 'en';
    code = 'en';
  }
  if (wanted !== code) return; // another one was chosen while this one came
  useLanguage(code, loaded);
  document.documentElement.lang = code;
  document.documentElement.dir = direction();
  translateTree(document);
}

function fillIcons() {
  const names = { 'open-sidebar': 'menu', 'close-sidebar': 'close', 'new-chat-top': 'plus', attach: 'picture', voice: 'mic', send: 'send', stop: 'stop' };
  for (const [id, name] of Object.entries(names)) $(id).append(icon(name));
  $('new-chat').prepend(icon('plus'));
  $('new-text').prepend(icon('arrow'));
}

const speak = createSpeaker($('speaker'));

function banner(id, text, { closable = true } = {}) {
  $(`banner-${id}`)?.remove();
  if (!text) return;
  const box = h('div', { class: 'banner', id: `banner-${id}`, role: 'note' }, h('span', {}, text));
  if (closable) box.append(iconButton('close', t('close'), () => box.remove()));
  $('banners').append(box);
}

function start() {
  fillIcons();
  fitToViewport();
  const theme = startTheme($('theme'));
  const scroll = startScroll($('scroller'), $('log'), $('new-text'));
  let markdown = createMarkdown({});
  let demo = false;

  const problem = (error) => {
    const text = typeof error === 'string' ? error : errorText(error);
    banner('problem', text);
    speak(text);
  };
  const showDemo = (isDemo) => {
    if (isDemo && !demo) banner('demo', t('demo'));
    if (!isDemo) banner('demo', null);
    demo = isDemo;
  };

  function send(text) {
    // A picture that is still being made small belongs to the question, too.
    const pending = pictures.pending();
    pending?.then(() => composer.submit());
    return !pending && chat.send(text, pictures.take);
  }
  const composer = startComposer(
    { form: $('composer'), field: $('field'), send: $('send'), stop: $('stop'), count: $('count') },
    { send, stop: () => chat.stop() });
  const pictures = startPictures(
    { button: $('attach'), input: $('picture'), camera: $('camera'), tray: $('tray'), form: $('composer') },
    { problem });

  const models = startModels(client, { row: $('model-row'), select: $('model') },
    () => pictures.configure({ canSee: models.canSee(), maxBody: settings.maxBody }));
  const limits = startLimits(client, $('limits'));
  const status = startStatus(client, { box: $('status'), text: $('status-text') }, (isUp) => {
    banner('offline', isUp ? null : t('offline_notice'), { closable: false });
    if (isUp) askServer(page);
  });

  const remembered = startRemembered(client, $('remembered'), { speak });

  const chat = createChat({
    client, composer, scroll, speak, link,
    log: $('log'),
    markdown: () => markdown,
    name: () => settings.name,
    choice: () => ({ ...models.choice(), ...(settings.reasoning && prefs.get('reasoning') ? { reasoning: true } : {}) }),
    readAloud: createReader(),
  }, {
    conversation: (id) => sidebar.setCurrent(id),
    demo: showDemo,
    trouble: () => status.check(),
    settled() {
      limits.load();
      sidebar.load();
    },
  });

  const sidebar = startSidebar(client, {
    app: $('app'), sidebar: $('sidebar'), column: $('column'), open: $('open-sidebar'), close: $('close-sidebar'),
    backdrop: $('backdrop'), list: $('conversations'), search: $('search'), newChat: $('new-chat'),
  }, {
    problem,
    changed: () => {},
    async open(id) {
      if (await chat.load(id)) composer.focus();
      else {
        problem(t('error_gone'));
        sidebar.load();
      }
    },
    removed(id) {
      chat.tellRemoved(id);
      if (id === chat.conversation()) chat.start();
    },
  });

  for (const id of ['new-chat', 'new-chat-top'])
    $(id).addEventListener('click', () => {
      sidebar.shut({ keepFocus: true });
      chat.start();
    });
  startVoiceInput($('voice'), { text: (words) => composer.insert(words), problem });

  $('language').append(...Object.entries(LANGUAGES).map(([code, name]) => h('option', { value: code, lang: code }, name)));
  $('language').value = language();
  $('language').addEventListener('change', async () => {
    prefs.set('language', $('language').value);
    await setLanguage($('language').value);
    for (const part of [theme, composer, status, sidebar, limits]) part.refresh();
    chat.greet();
  });

  $('reasoning').checked = Boolean(prefs.get('reasoning'));
  $('reasoning').addEventListener('change', () => prefs.set('reasoning', $('reasoning').checked ? '1' : null));

  chat.greet();
  if (matchMedia('(hover: hover)').matches) composer.focus();
  const page = { chat, sidebar, composer, models, limits, remembered, showDemo, setMarkdown: (made) => { markdown = made; } };
  return page;
}

/** What the server wants the page to know. Absent parts have defaults, so an older or busy server does no harm. */
function applyConfig(page, config) {
  settings.name = config.app_name || config.brand_name || 'Chat';
  settings.maxBody = config.max_body_bytes;
  settings.reasoning = config.features?.reasoning === true;
  $('reasoning-row').hidden = !settings.reasoning;
  page.remembered.configure(config.features?.memory === true);
  $('brand').textContent = config.brand_name || settings.name;
  document.title = config.brand_name || settings.name;
  const markdown = createMarkdown({ allowRemoteImages: config.allow_remote_images === true });
  page.setMarkdown(markdown);
  warmUp(markdown);
  if (Number.isInteger(config.max_message_length)) page.composer.setLimit(config.max_message_length);
  if (config.demo === true || config.provider === 'demo') page.showDemo(true);
}

let asked = false;

/** The first calls; done again when the server is back after it could not be reached. */
async function askServer(page) {
  if (asked) return;
  asked = true;
  const config = await client.config().catch(() => null); // the status line says it
  asked = config !== null;
  applyConfig(page, config ?? {});
  page.chat.greet();
  const models = page.models.load();
  if (prefs.get('model')) await models; // a question waits for the model that was chosen for it
  link.learn(config?.features);
  await Promise.all([page.chat.restore(), models, page.limits.load(), page.sidebar.load()]);
}

function installWorker() {
  if (!('serviceWorker' in navigator) || !window.isSecureContext) return;
  navigator.serviceWorker.register(new URL('sw.js', client.base), { scope: client.base }).catch(() => {
    // an app that cannot be installed is still a page
  });
}

await setLanguage(pickLanguage([prefs.get('language'), ...(navigator.languages ?? [])]));
await askServer(start());
installWorker();
