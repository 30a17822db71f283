// The scenarios: each is a list of cases, and a case is measured once per contestant and round. `measure` gets
// the started contestant and gives figures by name; the order of the figures is that of the table's columns.
import { status, pss_kb, until } from './processes.mjs';
import { load } from './load.mjs';
import { startTls } from './tls.mjs';
import { cgi } from './cgi.mjs';
import { store } from './store.mjs';

const share = (part, whole) => (whole > 0 ? part / whole : NaN);
const named = (...names) => (one) => names.includes(one.name);
const hasHealth = (one) => !one.raw;

function streamFigures(found) {
  return {
    'CPU per delta, µs': share(found.cpu_us, found.deltas),
    'of the web server in front, µs': found.front_us > 0 ? share(found.front_us, found.deltas) : NaN,
    'PSS per stream, KB': found.most_kb > 0 ? (found.most_kb - found.idle_kb) / found.streams : NaN,
    'late p50, ms': found.late_p50_us / 1000,
    'late p99, ms': found.late_p99_us / 1000,
    'first p50, ms': found.first_p50_us / 1000,
    'first p99, ms': found.first_p99_us / 1000,
    failures: found.failed,
    complaints: found.complaints,
  };
}

/** Whatever is set up by the first turns is no memory of a stream. */
const warmUp = (target) => load(target, { streams: 50, deltas: 5, pace: 5 });

const streams = (count, quick) => ({
  name: `${count} streams`,
  with: { streams: count },
  async measure(target) {
    await warmUp(target);
    return streamFigures(await load(target, { streams: count, deltas: quick ? 40 : 100, pace: 50, ramp: 2000 }));
  },
});

/** 20 deltas as fast as they go, turn after turn, in conversations that have ten messages already. */
const short = (clients, quick) => ({
  name: `${clients} clients`,
  with: { streams: clients },
  async measure(target) {
    const found = await load(target, { streams: clients, deltas: 20, pace: 0, warm: 5, seconds: quick ? 3 : 6 });
    return {
      'replies per second': share(found.replies * 1e6, found.wall_us),
      'CPU per reply, ms': share(found.cpu_us / 1000, found.replies),
      'of the web server in front, ms': found.front_us > 0 ? share(found.front_us / 1000, found.replies) : NaN,
      'first p50, ms': found.first_p50_us / 1000,
      'first p99, ms': found.first_p99_us / 1000,
      failures: found.failed,
      complaints: found.complaints,
    };
  },
});

const idle = (count, quick) => ({
  name: `${count} idle streams`,
  with: { streams: count },
  async measure(target) {
    await warmUp(target);
    const found = await load(target, { streams: count, deltas: quick ? 2 : 4, pace: 5000, ramp: 5000 });
    const { 'PSS per stream, KB': each, 'late p50, ms': p50, 'late p99, ms': p99, failures, complaints } = streamFigures(found);
    return {
      'PSS in all, MB': found.most_kb > 0 ? found.most_kb / 1024 : NaN, 'PSS per stream, KB': each,
      'CPU per stream, ms': share(found.cpu_us / 1000, count), 'late p50, ms': p50, 'late p99, ms': p99, failures, complaints,
    };
  },
});

const overTls = (protocol, quick) => ({
  name: `1000 streams, ${protocol}`,
  protocol,
  with: { streams: 1000 },
  wrap: (provider, dir) => startTls(provider, dir, protocol === 'HTTP/2'),
  measure: (target) => streams(1000, quick).measure(target),
});

const firstAnswer = {
  name: 'start',
  async measure(target) {
    await until('no answer', async () => (await status(target.port, '/api/health')) === 200, target.measured, 20_000, 1);
    return { 'start to first answer, ms': performance.now() - target.since };
  },
};

const idleMemory = {
  name: 'idle',
  async measure(target) {
    const fresh = pss_kb(target.measured.pid);
    await load(target, { streams: 20, deltas: 20, pace: 0 });
    return { 'PSS after the start, MB': fresh / 1024, 'PSS after 20 turns, MB': pss_kb(target.measured.pid) / 1024 };
  },
};

/** { id: { title, cases(quick), who(contestant, case), plot, rounds at most } } */
export const scenarios = {
  a: {
    title: 'Streams of 100 deltas, one each 50 ms',
    plot: 'CPU per delta, µs',
    cases: (quick) => (quick ? [1000] : [100, 500, 1000]).map((count) => streams(count, quick)),
  },
  b: {
    title: 'Short answers as fast as they go, after ten messages',
    plot: 'replies per second',
    who: hasHealth,
    cases: (quick) => [32, 256].map((clients) => short(clients, quick)),
  },
  c: {
    title: 'Mostly idle streams: a delta each 5 s',
    plot: 'PSS in all, MB',
    rounds: 1,
    who: named('nginx proxy_pass', 'Parley', 'Express', 'FastAPI'),
    cases: (quick) => [idle(5000, quick)],
  },
  d: {
    title: 'The same as (a) over TLS to the provider',
    plot: 'CPU per delta, µs',
    rounds: 2,
    who: (one, spec) => (spec.protocol === 'HTTP/2' ? one.name === 'Parley' : true),
    cases: (quick) => ['HTTP/1.1', 'HTTP/2'].map((protocol) => overTls(protocol, quick)),
  },
  e: cgi,
  f: store,
  g: { title: 'From the start to the first answer', plot: 'start to first answer, ms', who: hasHealth, cases: () => [firstAnswer] },
  h: { title: 'Memory of an idle server', plot: 'PSS after 20 turns, MB', who: hasHealth, cases: () => [idleMemory] },
};
