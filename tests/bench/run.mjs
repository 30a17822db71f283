// `make bench`: measures the contestants against each other and writes build/bench/results.md, results.json and
// plots. BENCH=a,b names scenarios; BENCH_WHO=Parley,nginx contestants (by the beginning of a name); BENCH_ROUNDS=N rounds;
// BENCH_QUICK=1 makes less of all; BENCH_MINUTES=N bounds the whole (25).
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { contestants } from './contestants.mjs';
import { scenarios } from './scenarios.mjs';
import { markdownTable, svgBars, cell } from './report.mjs';
import { barTable } from './bars.mjs';
import { buildTools, startProvider } from './load.mjs';
import { run } from './processes.mjs';

const out = join(import.meta.dirname, '../../build/bench');
const quick = Boolean(process.env.BENCH_QUICK);
const rounds = Number(process.env.BENCH_ROUNDS ?? (quick ? 1 : 3));
const deadline = Date.now() + Number(process.env.BENCH_MINUTES ?? 25) * 60_000;
const wanted = process.env.BENCH?.split(',') ?? Object.keys(scenarios);
const work = mkdtempSync(join(tmpdir(), 'parley-bench-'));
chmodSync(work, 0o755); // Apache's user is another one
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

const say = (text) => process.stderr.write(`${text}\n`);

/** Those that were asked for and can be installed; the others are named once. */
function present() {
  const names = process.env.BENCH_WHO?.split(',');
  return contestants.filter((one) => {
    if (names && !names.some((name) => one.name.startsWith(name))) return false;
    try {
      one.install?.();
      return true;
    } catch (error) {
      say(`skipped: ${one.name}: ${String(error.message).trim().split('\n').pop()}`);
      return false;
    }
  });
}

let started = 0;

/** One contestant, one case, one time; its figures are added to the row. */
async function once(scenario, one, row, provider) {
  const dir = join(work, `${++started}`);
  mkdirSync(dir);
  let target, wrapped;
  try {
    wrapped = await row.spec.wrap?.(provider, dir);
    const what = { dir, provider: provider.url, ...(wrapped && { provider: wrapped.url, ca: wrapped.ca }) };
    target = scenario.alone ? {} : await one.start({ ...what, ...row.spec.with });
    const figures = await row.spec.measure({ ...target, raw: one.raw, ...what });
    if (figures.complaints) say(figures.complaints);
    delete figures.complaints;
    for (const [name, value] of Object.entries(figures)) (row.figures[name] ??= []).push(value);
    say(`  ${row.case}, ${one.name}: ${Object.entries(figures).map(([name, value]) => `${name} ${cell([value])}`).join('; ')}`);
  } catch (error) {
    row.failed = (row.failed ?? 0) + 1;
    say(`  ${row.case}, ${one.name}: ${error.message}`);
  } finally {
    await target?.stop?.();
    await wrapped?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Round by round, so that a slow minute of the machine meets all of them; every other round backwards. */
async function measure(id, who, provider) {
  const scenario = scenarios[id];
  say(`(${id}) ${scenario.title}`);
  const rows = scenario.cases(quick).flatMap((spec) =>
    who.filter((one) => (scenario.who ?? (() => true))(one, spec))
      .map((one) => ({ spec, one, case: spec.name, who: one.name, figures: {} })));
  const times = Math.min(rounds, scenario.rounds ?? rounds);
  for (let round = 0; round < times; round++)
    for (const row of round % 2 ? rows.toReversed() : rows) {
      if (Date.now() > deadline) {
        say(`  out of time in round ${round + 1}: ${row.case}, ${row.who}`);
        continue;
      }
      if (!row.failed) await once(scenario, row.one, row, provider);
    }
  return { id, title: scenario.title, plot: scenario.plot, rows: rows.map(({ spec, one, ...row }) => row) };
}

function machine() {
  const cpu = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
  const memory_gb = Math.round(Number(/MemTotal: +(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) / 1048576);
  return `${cpus().length} cores (${cpu}), ${memory_gb} GB, Linux ${run('uname', ['-r']).trim()}, ${
    /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))[1]}`;
}

function write(results, before) {
  const lines = [
    `Machine: ${machine()}; load average before the run ${before.toFixed(2)}. Run of ${new Date().toISOString().slice(0, 10)}, ` +
      `${rounds} round${rounds === 1 ? '' : 's'}${quick ? ', shortened (BENCH_QUICK)' : ''}. Figures are medians, with the least and the most of the rounds.`,
    '', ...barTable(results),
    ...results.flatMap(({ id, title, rows }) => {
      const missing = rows.filter((row) => row.failed).map((row) => `${row.who} at ${row.case}`);
      return ['', `### (${id}) ${title}`, '', markdownTable(rows.filter((row) => Object.keys(row.figures).length > 0)),
        ...(missing.length ? ['', `Did not finish: ${missing.join('; ')}.`] : [])];
    }),
  ];
  writeFileSync(join(out, 'results.md'), `${lines.join('\n')}\n`);
  writeFileSync(join(out, 'results.json'), JSON.stringify(results, null, 1));
  for (const { id, title, plot, rows } of results) {
    const bars = rows.map((row) => ({ label: `${row.who}, ${row.case}`, who: row.who, values: (row.figures[plot] ?? []).filter(Number.isFinite) }))
      .filter((bar) => bar.values.length > 0);
    if (bars.length > 0) writeFileSync(join(out, `${id}.svg`), svgBars(`${title}: ${plot}`, bars));
  }
  process.stdout.write(`\n${lines.join('\n')}\n\nWritten: build/bench/results.md, results.json and plots.\n`);
}

for (const id of wanted)
  if (!scenarios[id]) {
    say(`bench: there is no scenario "${id}" (${Object.keys(scenarios).join(', ')})`);
    process.exit(2);
  }
buildTools();
const before = loadavg()[0];
const who = present();
const provider = await startProvider();
const results = [];
for (const id of wanted) results.push(await measure(id, who, provider));
await provider.stop();
write(results, before);
process.exit(0);
