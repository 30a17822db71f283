// The guard of `make test`: how many instructions the program's own processes take for a delta and for a short
// reply, counted by valgrind, so that it does not matter how busy the machine is. Fails when one of them is more
// than a tenth above what cost.json says. COST_RECORD=1 writes cost.json anew: do that, and say why in the commit,
// when a rise is worth it or another Debian counts differently.
//
// Three runs of the same program differ in one thing each, and the differences are divided: that leaves out
// the start, the end and valgrind. The worker is the real one, behind nginx, with store and checks.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTools, load, startProvider } from './load.mjs';
import { parleySettings, program, startNginx, fastcgi } from './contestants.mjs';
import { start, status, stop, until } from './processes.mjs';

const ALLOWED = 1.1;
const record = join(import.meta.dirname, 'cost.json');
const work = mkdtempSync(join(tmpdir(), 'parley-cost-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

/** Instructions of master and worker for these runs of load.c, one after the other. */
async function count(name, provider, loads) {
  const dir = join(work, name), socket = join(dir, 's'), logs = join(dir, 'logs');
  mkdirSync(logs, { recursive: true });
  const front = await startNginx(join(dir, 'front'), fastcgi(socket));
  const child = start('valgrind', ['--tool=cachegrind', '--cache-sim=no', '--cachegrind-out-file=/dev/null',
    `--log-file=${logs}/%p`, program, 'serve', '--listen', `unix:${socket}`, '--workers', '1'],
  { env: parleySettings(dir, provider.url, { REQUEST_THREADS: '4' }) });
  try {
    await until('parley did not start under valgrind', async () => (await status(front.port, '/health')) === 200, child);
    for (const options of loads) {
      const found = await load({ port: front.port, measured: child }, { streams: 1, ...options });
      if (found.failed > 0) throw new Error(`${name}: ${found.complaints}`);
    }
  } finally {
    await Promise.all([stop(child, 10_000), stop(front.child)]);
  }
  return readdirSync(logs).reduce((sum, file) => {
    const found = /I +refs: +([\d,]+)/.exec(readFileSync(join(logs, file), 'utf8'));
    return sum + (found ? Number(found[1].replaceAll(',', '')) : 0);
  }, 0);
}

const ROUNDS = 3;
const SHORT = 20, LONG = 1620, PACE = 2, TURNS = 10, MORE_TURNS = 50;
const turns = (number) => ({ deltas: SHORT, pace: 0, warm: number - 1 });

async function measure(provider, name) {
  const [base, deltas, replies] = await Promise.all([
    count(`${name}-base`, provider, [turns(TURNS), { deltas: SHORT, pace: PACE }]),
    count(`${name}-deltas`, provider, [turns(TURNS), { deltas: LONG, pace: PACE }]),
    count(`${name}-replies`, provider, [turns(MORE_TURNS), { deltas: SHORT, pace: PACE }]),
  ]);
  return {
    per_delta: Math.round((deltas - base) / (LONG - SHORT)),
    per_short_reply: Math.round((replies - base) / (MORE_TURNS - TURNS)),
  };
}

/** Says how each figure compares; true when none has risen too far. */
function judge(found) {
  const recorded = JSON.parse(readFileSync(record, 'utf8'));
  return Object.entries(found).map(([name, value]) => {
    const ratio = value / recorded[name];
    console.log(`cost: ${name} ${value} instructions, recorded ${recorded[name]} (${((ratio - 1) * 100).toFixed(1)} %)`);
    return value > 0 && ratio <= ALLOWED;
  }).every(Boolean);
}

const least = (a, b) => Object.fromEntries(Object.entries(a).map(([name, value]) => [name, Math.min(value, b[name])]));

buildTools();
const provider = await startProvider();
let found = await measure(provider, 'first');
if (process.env.COST_RECORD) writeFileSync(record, `${JSON.stringify(found, null, 2)}\n`);
// What takes longer has more timers in it, so the least of some runs is nearest to the truth.
let good = judge(found);
for (let round = 2; !good && round <= ROUNDS; round += 1) {
  found = least(found, await measure(provider, `round-${round}`));
  good = judge(found);
}
await provider.stop();
if (!good) console.log('cost: FAILED: see the top of tests/bench/cost.mjs');
process.exit(good ? 0 : 1);
