// The scenarios: each is a list of cases, and a case is measured once per contestant and round. `measure` gets
// the started contestant and gives figures by name; the order of the figures is that of the table's columns.
import { load } from './load.mjs';

const percent = (part, whole) => (whole > 0 ? part / whole : NaN);

function streamFigures(found) {
  return {
    'CPU per delta, µs': percent(found.cpu_us, found.deltas),
    'of the web server in front, µs': found.front_us > 0 ? percent(found.front_us, found.deltas) : NaN,
    'PSS per stream, KB': found.most_kb > 0 ? (found.most_kb - found.idle_kb) / found.streams : NaN,
    'late p50, ms': found.late_p50_us / 1000,
    'late p99, ms': found.late_p99_us / 1000,
    'first p50, ms': found.first_p50_us / 1000,
    'first p99, ms': found.first_p99_us / 1000,
    failures: found.failed,
    complaints: found.complaints,
  };
}

const streams = (count, quick) => ({
  name: `${count} streams`,
  with: { streams: count },
  async measure(target) {
    return streamFigures(await load(target, { streams: count, deltas: quick ? 40 : 100, pace: 50, ramp: 2000 }));
  },
});

/** { id: { title, cases(quick), who(contestant, case) } } */
export const scenarios = {
  a: {
    title: 'Streams of 100 deltas, one each 50 ms',
    plot: 'CPU per delta, µs',
    cases: (quick) => (quick ? [1000] : [100, 500, 1000]).map((count) => streams(count, quick)),
  },
};
