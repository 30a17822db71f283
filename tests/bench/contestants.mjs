// Who is compared: each contestant says how it is installed and started. `start` gives the port on which it
// answers POST /api/chat/stream and GET /api/health, and the process whose family is measured; a web server
// in front of it is not part of that and is measured by itself.
import { existsSync, mkdirSync, writeFileSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { start, stop, freePort, until, listens, run } from './processes.mjs';

const here = import.meta.dirname;
const root = join(here, '../..');
export const program = process.env.PARLEY ?? join(root, 'build/parley');
const files = 20000;

// ---- nginx, in front or as the floor ----

function nginxConf(dir, port, location) {
  const user = process.getuid() === 0 ? 'user root;' : '';
  return `${user} daemon off; worker_processes 1; worker_rlimit_nofile ${files}; pid ${dir}/nginx.pid;
error_log ${dir}/nginx.err; events { worker_connections ${files * 0.6}; }
http { access_log off; client_body_temp_path ${dir}/b; fastcgi_temp_path ${dir}/f; proxy_temp_path ${dir}/p;
uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/c;
${location.http ?? ''}
server { listen 127.0.0.1:${port} ${location.listen ?? ''} backlog=4096; ${location.server ?? ''}
location / { ${location.body} } } }
`;
}

/** An nginx of one worker with one location; `location.body` is what is in it. */
export async function startNginx(dir, location) {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  writeFileSync(join(dir, 'nginx.conf'), nginxConf(dir, port, location));
  const child = start('nginx', ['-p', dir, '-e', join(dir, 'nginx.err'), '-c', join(dir, 'nginx.conf')]);
  await until('nginx did not start', () => listens(port), child);
  return { port, child };
}

export const fastcgi = (socket, more = '') => ({
  body: `include /etc/nginx/fastcgi_params; ${more} fastcgi_pass unix:${socket}; fastcgi_read_timeout 600s;`,
});

const floor = {
  name: 'nginx proxy_pass',
  raw: true,
  async start({ dir, provider, ca }) {
    const trust = ca ? `proxy_ssl_verify on; proxy_ssl_trusted_certificate ${ca}; proxy_ssl_name 127.0.0.1;` : '';
    const nginx = await startNginx(dir, {
      body: `proxy_pass ${provider}/chat/completions; proxy_http_version 1.1; proxy_buffering off;
             proxy_read_timeout 600s; ${trust}`,
    });
    return { port: nginx.port, measured: nginx.child, stop: () => stop(nginx.child) };
  },
};

// ---- Parley ----

/** Settings of a Parley with the checks that it has by itself, and limits no load test could stay within. */
export function parleySettings(dir, provider, more = {}) {
  return {
    PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${dir}/parley.db`, LOG_LEVEL: 'warn', LOG_FILE: `${dir}/parley.log`,
    OPENAI_API_BASE: provider, OPENAI_API_KEY: 'sk-bench', MAX_STREAMS: '10000', MAX_HISTORY: '11',
    RATELIMIT_PER_MINUTE: '0', RATELIMIT_PER_HOUR: '0', RATELIMIT_PER_DAY: '0', ...more,
  };
}

export const parley = {
  name: 'Parley',
  async start({ dir, provider, ca }) {
    mkdirSync(dir, { recursive: true });
    const socket = join(dir, 's');
    const front = await startNginx(join(dir, 'front'), fastcgi(socket));
    const since = performance.now();
    const child = start(program, ['serve', '--listen', `unix:${socket}`, '--workers', '2'], {
      env: parleySettings(dir, provider, ca ? { CA_FILE: ca } : {}),
    });
    await until('parley did not start', () => existsSync(socket), child);
    return {
      port: front.port, measured: child, front: front.child, since, store: join(dir, 'parley.db'), socket,
      stop: () => Promise.all([stop(front.child), stop(child)]),
    };
  },
};

// ---- what people use today ----

const rivals = join(here, 'rivals');
const debian = (group) => () => run('sh', [join(root, 'deploy/install-deps.sh'), group]);

/** Their store, as a deployment would have made it before the start. */
function makeDatabase(dir) {
  const path = join(dir, 'chat.db');
  run('sqlite3', [path, `.read ${join(rivals, 'schema.sql')}`]);
  return path;
}

/** A server that speaks HTTP itself, started by `command(port)`. */
function rival(name, install, command) {
  return {
    name,
    install,
    async start({ dir, provider, ca, streams = 256 }) {
      mkdirSync(dir, { recursive: true });
      const port = await freePort();
      const { args, cwd, env } = command({ port, streams, dir });
      const trust = ca ? { NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: ca, REQUESTS_CA_BUNDLE: ca } : {};
      const DB = makeDatabase(dir);
      const since = performance.now();
      const child = start(args[0], args.slice(1), {
        cwd, env: { DB, PROVIDER: provider, PORT: String(port), ...trust, ...env },
      });
      await until(`${name} did not start`, () => listens(port), child);
      return { port, measured: child, since, stop: () => stop(child) };
    },
  };
}

/** Express and the rest, below build/, at the versions of the lock file; better-sqlite3 is compiled there. */
const expressDir = join(root, 'build/bench/express');
function installExpress() {
  cpSync(join(rivals, 'express'), expressDir, { recursive: true });
  if (!existsSync(join(expressDir, 'node_modules/.package-lock.json')))
    run('npm', ['ci', '--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: expressDir });
}

const express = rival('Express', installExpress, () => ({
  args: [process.execPath, join(expressDir, 'server.mjs')], env: { NODE_ENV: 'production' },
}));

const fastapi = rival('FastAPI', debian('bench-python'), ({ port }) => ({
  args: ['/usr/bin/python3', '-m', 'uvicorn', 'app:app', '--port', String(port), '--no-access-log', '--log-level', 'warning',
    '--backlog', '4096', '--workers', '2'],
  cwd: join(rivals, 'fastapi'), env: { PYTHONDONTWRITEBYTECODE: '1' },
}));

/** As many threads as streams, for with fewer the others would wait. */
const flask = rival('Flask', debian('bench-python'), ({ port, streams }) => ({
  args: ['/usr/bin/gunicorn', 'app:app', '-k', 'gthread', '--workers', '2', '--threads', String(Math.ceil(streams / 2) + 8),
    '--bind', `127.0.0.1:${port}`, '--backlog', '4096', '--timeout', '300', '--worker-connections', '5000'],
  cwd: join(rivals, 'flask'), env: { PYTHONDONTWRITEBYTECODE: '1' },
}));

/** As many processes as streams, for the same reason. */
function fpmConf({ dir, provider, ca, children }) {
  const user = process.getuid() === 0 ? 'user = root\ngroup = root\n' : '';
  return `[global]
error_log = ${dir}/fpm.log
daemonize = no
[chat]
${user}listen = ${dir}/s
listen.backlog = 4096
pm = static
pm.max_children = ${children}
env[DB] = ${makeDatabase(dir)}
env[PROVIDER] = ${provider}
${ca ? `php_admin_value[curl.cainfo] = ${ca}` : ''}
`;
}

const php = {
  name: 'PHP-FPM',
  install: debian('bench-php'),
  async start({ dir, provider, ca, streams = 256 }) {
    mkdirSync(dir, { recursive: true });
    const found = readdirSync('/usr/sbin').find((name) => name.startsWith('php-fpm'));
    if (!found) throw new Error('php-fpm is not installed');
    writeFileSync(join(dir, 'fpm.conf'), fpmConf({ dir, provider, ca, children: streams + 8 }));
    const script = `fastcgi_param SCRIPT_FILENAME ${join(rivals, 'php/chat.php')};`;
    const front = await startNginx(join(dir, 'front'), fastcgi(join(dir, 's'), script));
    const since = performance.now();
    const child = start(found, ['-R', '-F', '-y', join(dir, 'fpm.conf')]);
    await until('php-fpm did not start', () => existsSync(join(dir, 's')), child);
    return {
      port: front.port, measured: child, front: front.child, since,
      stop: () => Promise.all([stop(front.child), stop(child)]),
    };
  },
};

export const contestants = [floor, parley, php, express, fastapi, flask];
