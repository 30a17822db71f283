// Scenario (e): Parley as a plain CGI program under lighttpd and Apache: what one request costs.
import { mkdirSync, writeFileSync, readFileSync, rmSync, chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { start, stop, run, freePort, until, listens, status } from './processes.mjs';
import { program, parleySettings } from './contestants.mjs';
import { load } from './load.mjs';
import { median } from './report.mjs';

function lighttpdConf({ dir, port, bin }) {
  return `server.modules = ("mod_cgi", "mod_alias")
server.document-root = "${dir}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${dir}/web.err"
server.stream-response-body = 1
alias.url = ("/cgi-bin/" => "${bin}/")
cgi.assign = (".cgi" => "")
`;
}

function apacheConf({ dir, port, bin }) {
  const modules = ['mpm_event', 'authz_core', 'alias', 'cgid', 'unixd']
    .filter((name) => existsSync(`/usr/lib/apache2/modules/mod_${name}.so`))
    .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
  const user = process.getuid() === 0 ? 'User www-data\nGroup www-data' : '';
  return `ServerRoot ${dir}
ServerName localhost
PidFile ${dir}/apache.pid
Listen 127.0.0.1:${port}
ErrorLog ${dir}/web.err
${modules.join('\n')}
${user}
ScriptSock ${dir}/cgisock
ScriptAlias /cgi-bin/ ${bin}/
<Directory ${bin}>
  Require all granted
</Directory>
`;
}

const servers = {
  lighttpd: { conf: lighttpdConf, args: (file) => ['lighttpd', '-D', '-f', file] },
  Apache: { conf: apacheConf, args: (file) => ['apache2', '-X', '-f', file] },
};

/** The web server with the program below /cgi-bin/, through cgi_cost. */
async function startServer(name, dir, provider) {
  const bin = join(dir, 'cgi-bin'), log = join(dir, 'cost.log'), env = join(dir, 'parley.env');
  mkdirSync(bin);
  mkdirSync(join(dir, 'data'));
  for (const open of [dir, join(dir, 'data')]) chmodSync(open, 0o777); // Apache's user is another one
  const settings = { ...parleySettings(join(dir, 'data'), provider), LOG_FILE: '' };
  delete settings.PARLEY_ENV;
  writeFileSync(env, Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join(''));
  run('cc', ['-D_GNU_SOURCE', '-O2', `-DPROGRAM="${program}"`, `-DENV_FILE="${env}"`, `-DLOG="${log}"`,
    '-o', join(bin, 'parley.cgi'), join(import.meta.dirname, 'cgi_cost.c')]);
  const port = await freePort();
  const file = join(dir, 'web.conf');
  writeFileSync(file, servers[name].conf({ dir, port, bin }));
  const [command, ...args] = servers[name].args(file);
  const child = start(command, args);
  await until(`${name} did not start`, () => listens(port), child);
  return { port, log, measured: child, stop: () => stop(child) };
}

/** CPU of each run since the last look, in milliseconds. */
function costs(log) {
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').map((us) => Number(us) / 1000) : [];
  rmSync(log, { force: true });
  return lines;
}

async function health(server, count) {
  const path = '/cgi-bin/parley.cgi/api/health', waits = [];
  for (let i = 0; i < count; i++) {
    const since = performance.now();
    if ((await status(server.port, path)) !== 200) throw new Error(`${path} is not answered`);
    waits.push(performance.now() - since);
  }
  return { 'CPU per request, ms': median(costs(server.log)), 'answered after p50, ms': median(waits) };
}

async function turns(server, seconds) {
  const found = await load(server, { path: '/cgi-bin/parley.cgi/api/chat/stream', streams: 2, deltas: 20, pace: 0, seconds, warm: 1 });
  const spent = costs(server.log);
  return {
    'CPU per request, ms': median(spent), 'answered after p50, ms': found.first_p50_us / 1000,
    'replies per second': (found.replies * 1e6) / found.wall_us, failures: found.failed, complaints: found.complaints,
  };
}

const kinds = {
  'health call': (server, quick) => health(server, quick ? 20 : 60),
  'chat turn, 20 deltas': (server, quick) => turns(server, quick ? 2 : 5),
};

export const cgi = {
  title: 'Parley as a plain CGI program',
  plot: 'CPU per request, ms',
  alone: true,
  who: (one) => one.name === 'Parley',
  cases: (quick) => Object.keys(servers).flatMap((name) => Object.keys(kinds).map((kind) => ({
    name: `${kind}, ${name}`,
    async measure({ dir, provider }) {
      const server = await startServer(name, dir, provider);
      try {
        await status(server.port, '/cgi-bin/parley.cgi/api/health'); // makes the store
        costs(server.log);
        return await kinds[kind](server, quick);
      } finally {
        await server.stop();
      }
    },
  }))),
};
