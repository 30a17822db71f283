/*
 * sw: the service worker. Keeps the shell (page, scripts, styles, icons) so that the page opens without a connection and
 * says so. Never touches the API: no question and no answer is ever kept here.
 */
/* global SHELL, VERSION */

const CACHE = `parley-shell-${VERSION}`;
const PAGE_WAIT_MS = 4_000;
const base = new URL('./', self.location.href);
const files = new Set(SHELL.map((path) => new URL(path, base).href));
const pages = new Set(['', 'chat'].map((path) => new URL(path, base).href));

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([base.href, ...files])).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  const old = (name) => name.startsWith('parley-shell-') && name !== CACHE;
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

/** The page itself: newest first, what we have when the network does not answer in time. */
async function page(request) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), PAGE_WAIT_MS);
  try {
    const response = await fetch(request, { signal: limit.signal });
    if (response.ok || response.status < 500) return response;
  } catch {
    // offline, or too slow
  } finally {
    clearTimeout(timer);
  }
  return (await caches.match(base.href, { cacheName: CACHE })) ?? Response.error();
}

/** A file of the shell: its name has its hash, so what we have is right. */
async function file(request) {
  return (await caches.match(request, { cacheName: CACHE })) ?? fetch(request);
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  const url = request.url.split(/[?#]/)[0];
  if (request.mode === 'navigate' && pages.has(url)) event.respondWith(page(request));
  else if (files.has(url)) event.respondWith(file(request));
});
