// The bars: what was promised, what this run found, met or missed. A bar whose scenario was not run, or whose other
// side was not there, is left out. All are ratios within one run, or sizes; none is a fixed time of one machine
// but where it says so.
import { median } from './report.mjs';

/** Median of a figure of one row, NaN where it was not measured. */
function finder(results) {
  return (id, at, who, figure) => {
    const row = results.find((one) => one.id === id)?.rows.find((one) => one.case.startsWith(at) && one.who === who);
    const values = (row?.figures[figure] ?? []).filter(Number.isFinite);
    return values.length > 0 ? median(values) : NaN;
  };
}

const delta = 'CPU per delta, µs', late = 'late p99, ms', replies = 'replies per second', request = 'CPU per request, ms';

/** [what, found, limit, 'most' | 'least'] */
function bars(of) {
  const ours = (id, at, figure) => of(id, at, 'Parley', figure);
  const deltaOver = (who) => ours('a', '1000', delta) / of('a', '1000', who, delta);
  const repliesOver = (clients, who, least) =>
    [`short replies per second of ${clients} clients, over ${who}`, ours('b', clients, replies) / of('b', clients, who, replies), least, 'least'];
  return [
    ['CPU per delta at 1,000 streams, over nginx proxy_pass', deltaOver('nginx proxy_pass'), 1.2, 'most'],
    ['CPU per delta at 1,000 streams, over PHP-FPM', deltaOver('PHP-FPM'), 0.5, 'most'],
    ...['Express', 'FastAPI', 'Flask'].map((who) => [`CPU per delta at 1,000 streams, over ${who}`, deltaOver(who), 0.1, 'most']),
    ['PSS per stream at 1,000 streams, KB', ours('a', '1000', 'PSS per stream, KB'), 40, 'most'],
    ['PSS of an idle pool of two workers, MB', ours('h', 'idle', 'PSS after 20 turns, MB'), 12, 'most'],
    ['p99 lateness at 1,000 streams, ms', ours('a', '1000', late), 5, 'most'],
    ['p99 lateness at 1,000 streams, ms more than nginx proxy_pass', ours('a', '1000', late) - of('a', '1000', 'nginx proxy_pass', late), 3, 'most'],
    ...['32', '256'].flatMap((clients) => [
      repliesOver(clients, 'PHP-FPM', 4), repliesOver(clients, 'Express', 8), repliesOver(clients, 'FastAPI', 8)]),
    ['5,000 mostly idle streams, PSS in all, MB', ours('c', '5000', 'PSS in all, MB'), 250, 'most'],
    ['CPU of a health call as plain CGI under lighttpd, ms', ours('e', 'health call, lighttpd', request), 10, 'most'],
    ['CPU of a health call as plain CGI under Apache, ms', ours('e', 'health call, Apache', request), 10, 'most'],
    ['CPU of a turn with a million messages, over an empty store', ours('f', 'a million', 'CPU per turn, ms') / ours('f', 'empty', 'CPU per turn, ms'), 1.2, 'most'],
    ['start to first answer, ms', ours('g', 'start', 'start to first answer, ms'), 100, 'most'],
  ];
}

/** The lines of the table of bars, none when there is nothing to compare. */
export function barTable(results) {
  const known = bars(finder(results)).filter(([, found]) => Number.isFinite(found));
  if (known.length === 0) return [];
  return ['### Bars', '', '| bar | found | wanted | |', '| --- | ---: | ---: | --- |',
    ...known.map(([what, found, limit, kind]) => {
      const met = kind === 'most' ? found <= limit : found >= limit;
      return `| ${what} | ${found.toFixed(2)} | at ${kind} ${limit} | ${met ? 'met' : '**missed**'} |`;
    })];
}
