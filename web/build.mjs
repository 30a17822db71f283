/*
 * build: web/src -> build/web, what the binary embeds. Prints sizes as they travel (gzip) and fails over budget.
 *
 *   index.html                 the page, served at "/" and "/chat"
 *   sw.js widget.js            names that must not change
 *   widget-demo.html           the sample website, served at "/widget-demo"
 *   docs.html openapi.json     the documentation of the API, from docs/openapi.json, served at "/docs"
 *   plain.html                 the frame of the pages without script; the server fills it at its marks
 *   assets/NAME-HASH.EXT       everything else; may be cached for ever
 *
 * Usage: node web/build.mjs [--out DIR] [--quiet] [--budget PERCENT]
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import esbuild from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(here);
const src = path.join(here, 'src');
const { values: options } = parseArgs({ options: { out: { type: 'string' }, quiet: { type: 'boolean' }, budget: { type: 'string', default: '100' } } });
const out = path.resolve(options.out ?? path.join(root, 'build', 'web'));
const made = `${out}.new-${process.pid}`;
const assets = path.join(made, 'assets');

/* Gzipped bytes. The widget's are promises to those who put it on their site. */
const BUDGETS = {
  'page, first load': 64_000,
  'widget, tag only': 4_096,
  'widget, opened': 30_720,
};

/* DOMPurify's lists of attributes that it allows unless it is told which. safe.js always tells; without them nothing is allowed. */
const DEFAULT_ATTRIBUTES = /^(const (?:html|svg|mathMl|xml) = freeze\(\[)[^\]]*\]/gm;

/** The purifier without those lists: 1.5 KB less to load. */
const leanPurifier = {
  name: 'lean-purifier',
  setup(build) {
    build.onLoad({ filter: /purify\.es\.mjs$/ }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8');
      const lists = text.match(DEFAULT_ATTRIBUTES)?.length ?? 0;
      if (lists !== 4) throw new Error(`DOMPurify has ${lists} of the 4 lists of attributes that are left out`);
      return { contents: text.replace(DEFAULT_ATTRIBUTES, '$1]'), loader: 'js' };
    });
  },
};

const common = {
  plugins: [leanPurifier],
  bundle: true,
  minify: true,
  write: true,
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  absWorkingDir: root,
};
const named = { entryNames: '[name]-[hash]', chunkNames: '[name]-[hash]', outdir: assets };

/** Path below the web root of the output that came from an entry point. */
function outputOf(result, entry) {
  const wanted = path.relative(root, path.join(src, entry));
  const found = Object.entries(result.metafile.outputs).find(([, info]) => info.entryPoint === wanted);
  if (!found) throw new Error(`no output for ${entry}`);
  return path.relative(made, path.resolve(root, found[0]));
}

async function addAsset(name, content) {
  const { name: stem, ext } = path.parse(name);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  const target = `assets/${stem}-${hash}${ext}`;
  await writeFile(path.join(made, target), content);
  return target;
}

/** Put the names of built files into a page. */
function fill(template, parts) {
  return template.replace(/\{\{([\w.-]+)\}\}/g, (whole, name) => {
    if (!parts[name]) throw new Error(`${whole} was not built`);
    return parts[name];
  });
}

async function buildIcons() {
  const icons = {};
  for (const name of ['icon.svg', 'icon-192.png', 'icon-512.png', 'icon-maskable-512.png'])
    icons[name] = await addAsset(name, await readFile(path.join(src, 'icons', name)));
  const beside = (name) => path.basename(icons[name]);
  icons.manifest = await addAsset('app.webmanifest', JSON.stringify({
    name: 'Chat', short_name: 'Chat', id: '../', start_url: '../', scope: '../', display: 'standalone',
    background_color: '#ffffff', theme_color: '#3448c5',
    icons: [
      { src: beside('icon.svg'), sizes: 'any', type: 'image/svg+xml' },
      { src: beside('icon-192.png'), sizes: '192x192', type: 'image/png' },
      { src: beside('icon-512.png'), sizes: '512x512', type: 'image/png' },
      { src: beside('icon-maskable-512.png'), sizes: '512x512', type: 'image/png', purpose: 'maskable' },
    ],
  }));
  return icons;
}

async function buildPage(icons) {
  const script = await esbuild.build({ ...common, ...named, format: 'esm', splitting: true, entryPoints: { page: path.join(src, 'page/main.js') } });
  const rest = await esbuild.build({
    ...common, ...named, format: 'iife',
    entryPoints: { page: path.join(src, 'page/page.css'), early: path.join(src, 'page/early.js') },
  });
  const plain = await esbuild.build({ ...common, ...named, entryPoints: { plain: path.join(src, 'plain/plain.css') } });
  const parts = {
    'plain.css': outputOf(plain, 'plain/plain.css'),
    'page.js': outputOf(script, 'page/main.js'),
    'page.css': outputOf(rest, 'page/page.css'),
    'early.js': outputOf(rest, 'page/early.js'),
    ...icons,
  };
  const template = await readFile(path.join(src, 'page/index.html'), 'utf8');
  await writeFile(path.join(made, 'index.html'), fill(template, parts));
  await writeFile(path.join(made, 'plain.html'), fill(await readFile(path.join(src, 'plain/plain.html'), 'utf8'), parts));

  // What the first visit loads: the entry with the chunks that it imports at once; languages come on demand.
  const imports = (file) => script.metafile.outputs[file].imports.filter((one) => one.kind === 'import-statement').map((one) => one.path);
  const entry = path.relative(root, path.join(made, parts['page.js']));
  const eager = [entry, ...imports(entry)].map((file) => path.relative(made, path.resolve(root, file)));
  const first = ['index.html', parts['page.css'], parts['early.js'], ...eager];
  const all = Object.keys(script.metafile.outputs).map((file) => path.relative(made, path.resolve(root, file)));
  return { first, shell: [...new Set([...first.slice(1), ...all, ...Object.values(icons)])] };
}

async function buildWorker(shell) {
  const version = createHash('sha256').update(shell.join('\n')).update(await readFile(path.join(made, 'index.html'))).digest('hex').slice(0, 12);
  await esbuild.build({
    ...common, format: 'iife', entryPoints: [path.join(src, 'sw.js')], outfile: path.join(made, 'sw.js'),
    define: { SHELL: JSON.stringify(shell), VERSION: JSON.stringify(version) },
  });
}

/* ---- widget ---- */

const languageFile = (code) => path.join(src, 'lang', `${code}.json`);
const readTexts = async (code) => JSON.parse(await readFile(languageFile(code), 'utf8'));

/** CSS as a minified string; no texts, because the loader fetches those of the visitor's language. */
function widgetParts() {
  return {
    name: 'widget-parts',
    setup(build) {
      build.onLoad({ filter: /widget[\\/]\w+\.css$/ }, async ({ path: file }) => {
        const { code } = await esbuild.transform(await readFile(file, 'utf8'), { loader: 'css', minify: true, target: 'chrome110' });
        return { contents: code.trim(), loader: 'text' };
      });
      build.onLoad({ filter: /lang[\\/]en\.json$/ }, () => ({ contents: '{}', loader: 'json' }));
    },
  };
}

const pick = (texts, keys) => Object.fromEntries(Object.entries(texts).filter(([key]) => keys.has(key)));

/** The texts that the panel names: every quoted word in its modules that is the key of a text. */
async function panelKeys(entry) {
  const dry = await esbuild.build({ ...common, format: 'iife', entryPoints: [entry], outdir: assets, write: false, plugins: [leanPurifier, widgetParts()] });
  const files = Object.keys(dry.metafile.inputs).filter((file) => file.endsWith('.js') && !file.includes('node_modules'));
  const words = new Set();
  for (const file of files)
    for (const [, word] of (await readFile(path.join(root, file), 'utf8')).matchAll(/'(\w+)'/g)) words.add(word);
  return new Set(Object.keys(await readTexts('en')).filter((key) => words.has(key)));
}

async function buildWidget(icons) {
  const entry = path.join(src, 'widget/panel.js');
  const keys = await panelKeys(entry);
  const panel = await esbuild.build({
    ...common, ...named, format: 'iife', entryPoints: { 'widget-panel': entry }, plugins: [leanPurifier, widgetParts()],
  });
  const panelPath = outputOf(panel, 'widget/panel.js');

  const codes = (await readdir(path.join(src, 'lang'))).map((name) => path.parse(name).name).sort();
  const english = await readTexts('en');
  const scripts = {};
  const labels = {};
  for (const code of codes) {
    const texts = { ...english, ...await readTexts(code) };
    labels[code] = [texts.widget_open, texts.widget_close];
    const line = `(window[Symbol.for("parley.language")]??={})[${JSON.stringify(code)}]=${JSON.stringify(pick(texts, keys))}`;
    scripts[code] = await addAsset(`widget-${code}.js`, line);
  }
  await esbuild.build({
    ...common, format: 'iife', entryPoints: [path.join(src, 'widget/loader.js')], outfile: path.join(made, 'widget.js'), plugins: [leanPurifier, widgetParts()],
    define: { PANEL: JSON.stringify(panelPath), LANGUAGE_SCRIPTS: JSON.stringify(scripts), OPEN_LABELS: JSON.stringify(labels) },
  });

  const css = await esbuild.transform(await readFile(path.join(src, 'widget/demo.css'), 'utf8'), { loader: 'css', minify: true });
  const parts = { 'demo.css': await addAsset('demo.css', css.code), ...icons };
  const demo = await readFile(path.join(src, 'widget/demo.html'), 'utf8');
  await writeFile(path.join(made, 'widget-demo.html'), fill(demo, parts));
  // With the largest language: what a visitor may have to load at most.
  const sizes = await Promise.all(Object.values(scripts).map(async (file) => [await gzipped([file]), file]));
  const [, largest] = sizes.sort((a, b) => b[0] - a[0])[0];
  return { tag: ['widget.js'], opened: ['widget.js', panelPath, largest] };
}

/* ---- the documentation of the API ---- */

async function buildDocs(icons) {
  const script = await esbuild.build({ ...common, ...named, format: 'esm', entryPoints: { docs: path.join(src, 'docs/docs.js') } });
  const style = await esbuild.build({ ...common, ...named, entryPoints: { docs: path.join(src, 'docs/docs.css') } });
  const parts = { 'docs.js': outputOf(script, 'docs/docs.js'), 'docs.css': outputOf(style, 'docs/docs.css'), ...icons };
  await writeFile(path.join(made, 'docs.html'), fill(await readFile(path.join(src, 'docs/index.html'), 'utf8'), parts));
  const spec = JSON.parse(await readFile(path.join(root, 'docs/openapi.json'), 'utf8'));
  await writeFile(path.join(made, 'openapi.json'), JSON.stringify(spec));
}

/** The licences of what is bundled travel with it. */
async function addLicences() {
  const texts = [];
  for (const name of ['marked', 'dompurify']) {
    const folder = path.join(root, 'node_modules', name);
    const file = (await readdir(folder)).find((one) => /^licen[cs]e(\.|$)/i.test(one));
    const { version } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
    texts.push(`${name} ${version}\n\n${await readFile(path.join(folder, file), 'utf8')}`);
  }
  await addAsset('licences.txt', texts.join('\n\n'));
}

async function gzipped(files) {
  let total = 0;
  for (const file of files) total += gzipSync(await readFile(path.join(made, file)), { level: 9 }).length;
  return total;
}

async function report(groups) {
  let over = false;
  for (const [name, files] of Object.entries(groups)) {
    const size = await gzipped(files);
    const budget = Math.floor(BUDGETS[name] * Number(options.budget) / 100);
    over ||= size > budget;
    if (!options.quiet || size > budget)
      console.log(`${name.padEnd(18)} ${String(size).padStart(7)} bytes gzipped, budget ${budget}${size > budget ? '  OVER' : ''}`);
  }
  if (over) throw new Error('over budget');
}

async function main() {
  await rm(made, { recursive: true, force: true });
  await mkdir(assets, { recursive: true });
  try {
    const icons = await buildIcons();
    const page = await buildPage(icons);
    await buildWorker(page.shell);
    const widget = await buildWidget(icons);
    await buildDocs(icons);
    await addLicences();
    await report({ 'page, first load': page.first, 'widget, tag only': widget.tag, 'widget, opened': widget.opened });
    await rm(out, { recursive: true, force: true });
    await rename(made, out);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(`web build: ${error.message}`);
  process.exitCode = 1;
});
