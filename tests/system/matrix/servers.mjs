/*
 * servers: every web server with the configuration that deploy/ ships for it, on Debian's own main configuration
 * where that can be moved to another place. Only ports, paths and, where asked, timeouts are replaced.
 *
 * An entry of `servers`
 *   name, below     below is the path at which Parley is to be found ('' = the root)
 *   settings        what the file says that Parley must be told
 *   serve           true: parley serve runs beside the web server; false: the web server starts it
 *   command(site, port, timeout)   what to start; timeout = seconds of silence that the server allows, or
 *                                  null for what is shipped
 *   streams         false: the server holds answers back, and deploy/ says so
 *   notices         a client that leaves is noticed: 'at once' or 'by writing'; null = not at all
 *   bodyMax         largest body that the host lets through, when it is less than what others do
 */
import fs from 'node:fs';
import path from 'node:path';

import { ROOT } from '../harness.mjs';
import { substitute } from './site.mjs';

const APACHE = '/etc/apache2';
/* What Debian's packages of Apache enable when they are installed. */
const APACHE_MODULES = ['mpm_event', 'access_compat', 'alias', 'auth_basic', 'authn_core', 'authn_file', 'authz_core',
  'authz_host', 'authz_user', 'autoindex', 'deflate', 'dir', 'env', 'filter', 'mime', 'negotiation', 'reqtimeout',
  'setenvif', 'status'];
const APACHE_CONFS = ['charset', 'localized-error-pages', 'other-vhosts-access-log', 'security', 'serve-cgi-bin'];

const when = (condition, pairs) => (condition ? pairs : []);

/* ---- lighttpd ---- */

/* Debian's lighttpd.conf with our snippet for conf-enabled/. */
function lighttpd(site, port, snippet, timeout) {
  const debian = substitute('lighttpd.conf', fs.readFileSync('/etc/lighttpd/lighttpd.conf', 'utf8'), [
    ['/var/www/html', site.path('www')], ['/var/cache/lighttpd/uploads', site.path('run')],
    ['/var/log/lighttpd', site.path('log')], ['/run/lighttpd.pid', site.path('run/lighttpd.pid')],
    [/server.port\s*= 80/.exec(fs.readFileSync('/etc/lighttpd/lighttpd.conf', 'utf8'))[0],
      `server.port = ${port}\nserver.bind = "127.0.0.1"`],
    ['include_shell "/usr/share/lighttpd/use-ipv6.pl " + server.port', ''],
    ['/etc/lighttpd/conf-enabled/*.conf', site.write('50-parley.conf', snippet)]]);
  const file = site.write('lighttpd.conf', debian + (timeout ? `\nserver.max-write-idle = ${timeout}\n` : ''));
  return { command: 'lighttpd', args: ['-D', '-f', file] };
}

const lighttpdBelow = (below) => when(below, [['"^/"', `"^${below}(/|$)"`], ['( "/" =>', `( "${below}" =>`]]);

function linkProgram(site, name) {
  const place = site.path(`lib/${name}`);
  if (!fs.existsSync(place)) fs.symlinkSync(site.program, place);
}

/* ---- nginx ---- */

function nginx(site, port, inHttp) {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${site.path(`run/${n}`)};`).join('\n');
  const file = site.write('nginx.conf', `daemon off;
worker_processes 1;
pid ${site.path('run/nginx.pid')};
events { worker_connections 1024; }
http {
access_log off;
${temp}
gzip on;
${inHttp}
}
`);
  return { command: 'nginx', args: ['-e', site.path('log/nginx.err'), '-c', file, '-p', site.dir] };
}

const nginxCommon = (timeout) => [['include fastcgi_params;', 'include /etc/nginx/fastcgi_params;'],
  ...when(timeout, [['fastcgi_read_timeout 300s', `fastcgi_read_timeout ${timeout}s`]])];

/* ---- Apache ---- */

function enable(dir, module) {
  const file = path.join(APACHE, 'mods-available', `${module}.load`);
  const depends = /^# Depends: (.*)$/m.exec(fs.readFileSync(file, 'utf8'));
  if (depends) depends[1].split(' ').forEach((name) => enable(dir, name));
  for (const kind of ['load', 'conf']) {
    const from = path.join(APACHE, 'mods-available', `${module}.${kind}`);
    const to = path.join(dir, 'mods-enabled', `${module}.${kind}`);
    if (fs.existsSync(from) && !fs.existsSync(to)) fs.symlinkSync(from, to);
  }
}

/* Debian's Apache as its packages install it, with `modules` enabled and `vhost` as its only site. */
function apache(site, port, modules, vhost, more = '') {
  const dir = site.path('apache');
  for (const name of ['mods-enabled', 'conf-enabled', 'sites-enabled']) fs.mkdirSync(path.join(dir, name), { recursive: true });
  [...APACHE_MODULES, ...modules].forEach((name) => enable(dir, name));
  for (const name of APACHE_CONFS) {
    const to = path.join(dir, `conf-enabled/${name}.conf`);
    if (!fs.existsSync(to)) fs.symlinkSync(path.join(APACHE, `conf-available/${name}.conf`), to);
  }
  for (const name of ['magic', 'envvars', 'apache2.conf']) fs.copyFileSync(path.join(APACHE, name), path.join(dir, name));
  site.write('apache/ports.conf', `Listen 127.0.0.1:${port}\nServerName localhost\n`);
  site.write('apache/sites-enabled/parley.conf', vhost);
  site.write('apache/conf-enabled/test.conf', `${more}\n<IfModule mod_fcgid.c>
FcgidIPCDir ${site.path('run/fcgid')}
FcgidProcessTableFile ${site.path('run/fcgid_shm')}
</IfModule>\n`);
  for (const name of ['run/socks', 'run/fcgid']) {
    fs.mkdirSync(site.path(name), { recursive: true });
    site.give(name);
  }
  return { command: 'apache2', args: ['-d', dir, '-f', path.join(dir, 'apache2.conf'), '-DFOREGROUND'],
    env: { APACHE_RUN_USER: 'www-data', APACHE_RUN_GROUP: 'www-data', APACHE_PID_FILE: site.path('run/apache2.pid'),
      APACHE_RUN_DIR: site.path('run'), APACHE_LOCK_DIR: site.path('run'), APACHE_LOG_DIR: site.path('log') } };
}

const onPort = (port) => [['*:80', `127.0.0.1:${port}`]];

/* The layout that deploy/shared-hosting describes, in a home directory; the host's own vhost allows .htaccess. */
export function sharedHost(site, port, program, timeout, from = path.join(ROOT, 'deploy/shared-hosting')) {
  fs.cpSync(from, site.path('home'), { recursive: true });
  fs.chmodSync(site.path('home'), 0o711);
  const chat = site.path('home/public_html/chat');
  if (program === 'cgi') {
    const htaccess = path.join(chat, '.htaccess');
    fs.writeFileSync(htaccess, substitute('.htaccess', fs.readFileSync(htaccess, 'utf8'), [['parley.fcgi/$1', 'parley.cgi/$1']]));
  }
  fs.copyFileSync(site.settingsFile, site.path('home/parley/.env'));
  if (!fs.existsSync(site.path('home/parley/parley'))) fs.linkSync(site.program, site.path('home/parley/parley'));
  /* Put where they should not be; checked is that nobody gets them. */
  fs.copyFileSync(site.settingsFile, path.join(chat, '.env'));
  fs.writeFileSync(path.join(chat, 'parley.db'), 'SQLite format 3');
  site.give('home/parley');
  return apache(site, port, ['fcgid', 'cgid', 'rewrite'], `<VirtualHost 127.0.0.1:${port}>
DocumentRoot ${site.path('home/public_html')}
<Directory ${site.path('home/public_html')}>
AllowOverride All
Options All
Require all granted
</Directory>
</VirtualHost>
`, timeout ? `FcgidIOTimeout ${timeout}\nTimeout ${timeout}` : '');
}

/* ---- Caddy ---- */

function caddy(site, port, text) {
  const file = site.write('Caddyfile', `{\n\tadmin off\n\tauto_https off\n}\n${text}`);
  return { command: 'caddy', args: ['run', '--adapter', 'caddyfile', '--config', file],
    env: { HOME: site.path('run'), XDG_DATA_HOME: site.path('run'), XDG_CONFIG_HOME: site.path('run') } };
}

/* ---- the table ---- */

const lighttpdSocket = (below) => ({
  name: 'lighttpd, socket', below, serve: true, streams: true, notices: 'at once',
  settings: below ? { BASE_PATH: below } : {},
  command: (site, port, timeout) => lighttpd(site, port, site.shipped('deploy/lighttpd/socket.conf', lighttpdBelow(below)), timeout),
});

const apacheProxy = (below) => ({
  name: 'Apache, mod_proxy_fcgi', below, serve: true, streams: true, notices: 'by writing',
  settings: below ? { BASE_PATH: below } : {},
  command: (site, port, timeout) => apache(site, port, ['proxy_fcgi'], site.shipped('deploy/apache/proxy_fcgi.conf',
    [...onPort(port), ...when(timeout, [['timeout=300', `timeout=${timeout}`]]),
      ...when(below, [['fcgi://parley/', `fcgi://parley${below}`], ['ProxyPass "/"', `ProxyPass "${below}"`],
        ['<Location "/">', `<Location "${below}">`]])])),
});

const apacheFcgid = (below) => ({
  name: 'Apache, mod_fcgid', below, serve: false, streams: true, notices: 'by writing',
  command: (site, port, timeout) => {
    linkProgram(site, 'parley.fcgi');
    return apache(site, port, ['fcgid'], site.shipped('deploy/apache/fcgid.conf',
      [...onPort(port), ...when(timeout, [['FcgidIOTimeout 120', `FcgidIOTimeout ${timeout}`]]),
        ...when(below, [['Alias "/" "', `Alias "${below}" "`], ['parley.fcgi/"', 'parley.fcgi"']])]));
  },
});

const apacheCgi = (below) => ({
  name: 'Apache, CGI', below, serve: false, streams: true, notices: 'by writing',
  command: (site, port, timeout) => {
    linkProgram(site, 'parley.cgi');
    return apache(site, port, ['cgid'], site.shipped('deploy/apache/cgi.conf',
      [...onPort(port), ...when(timeout, [['CGIDScriptTimeout 300', `CGIDScriptTimeout ${timeout}`]]),
        ...when(below, [['ScriptAlias "/" "', `ScriptAlias "${below}" "`], ['parley.cgi/"', 'parley.cgi"']])]));
  },
});

const caddySite = (below) => ({
  name: 'Caddy', below, serve: true, streams: true, notices: 'by writing',
  settings: below ? { BASE_PATH: below } : {},
  command: (site, port) => caddy(site, port, site.shipped('deploy/caddy/Caddyfile', [['chat.example.com {', `http://127.0.0.1:${port} {`],
    ...when(below, [['reverse_proxy /* ', `redir ${below} ${below}/\n\treverse_proxy ${below}/* `]])])),
});

export const servers = [
  lighttpdSocket(''),
  lighttpdSocket('/chat'),
  { name: 'lighttpd, bin-path', below: '', serve: false, streams: true, notices: 'at once',
    command: (site, port, timeout) => lighttpd(site, port, site.shipped('deploy/lighttpd/bin-path.conf',
      [['/run/lighttpd/parley.sock', site.socket]]), timeout) },
  { name: 'lighttpd, CGI', below: '/cgi-bin/parley.cgi', serve: false, streams: true, notices: 'at once',
    command: (site, port, timeout) => {
      linkProgram(site, 'parley.cgi');
      return lighttpd(site, port, site.shipped('deploy/lighttpd/cgi.conf'), timeout);
    } },
  { name: 'nginx', below: '', serve: true, streams: true, notices: 'at once',
    command: (site, port, timeout) => nginx(site, port, site.shipped('nginx.conf.example',
      [...nginxCommon(timeout), ['listen 80;', `listen 127.0.0.1:${port};`]])) },
  { name: 'nginx', below: '/chat', serve: true, streams: true, notices: 'at once',
    command: (site, port, timeout) => nginx(site, port,
      `server { listen 127.0.0.1:${port}; ${site.shipped('deploy/nginx/below-a-path.conf', nginxCommon(timeout))} }`) },
  apacheProxy(''),
  apacheProxy('/chat'),
  apacheFcgid(''),
  apacheFcgid('/chat'),
  apacheCgi(''),
  apacheCgi('/cgi-bin/parley.cgi'),
  caddySite(''),
  caddySite('/chat'),
  { name: 'shared host, mod_fcgid', below: '/chat', serve: false, streams: false, notices: null,
    why: 'FcgidOutputBufferSize (64 KB) cannot be changed in .htaccess',
    /* FcgidMaxRequestLen (128 KB) neither; Parley's own limit has to stay below it, as it does by default. */
    bodyMax: 65536, settings: { MAX_BODY_BYTES: 65536 },
    command: (site, port, timeout) => sharedHost(site, port, 'fcgi', timeout) },
  { name: 'shared host, CGI', below: '/chat', serve: false, streams: true, notices: 'by writing',
    command: (site, port, timeout) => sharedHost(site, port, 'cgi', timeout) },
];
