/*
 * webservers: configurations for the web servers of the tests, minimal ones, or derived from the files that
 * the repository ships (so that what a user copies is what is tested).
 */
import fs from 'node:fs';
import path from 'node:path';

const isRoot = process.getuid() === 0;

function lighttpdHead({ dir, port }) {
  return `server.modules = ("mod_access", "mod_alias", "mod_setenv", "mod_fastcgi", "mod_cgi")
server.document-root = "${dir}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${dir}/lighttpd.err"
server.upload-dirs = ("${dir}")
server.stream-response-body = 1
server.max-request-size = 73728
server.max-fds = 4096
`;
}

const quoted = (text) => `"${String(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

export function lighttpdConfig(facts) {
  if (facts.shipped) return shippedLighttpd(facts);
  const { socket, subPath, binPath, program, env } = facts;
  const starts = binPath ? `"bin-path" => ${quoted(program)}, "max-procs" => 1,
  "bin-environment" => (${Object.entries(env).map(([k, v]) => `${quoted(k)} => ${quoted(v)}`).join(', ')}),` : '';
  return `${lighttpdHead(facts)}
fastcgi.server = ("${subPath || '/'}" => ((
  "socket" => "${socket}", "check-local" => "disable", ${starts}
  ${subPath ? '' : '"fix-root-scriptname" => "enable",'} "tcp-fin-propagate" => "enable")))
`;
}

/* The program as a CGI, with its settings in the .env beside it, as on a shared host. */
export function cgiConfig(facts) {
  const bin = path.join(facts.dir, 'cgi-bin');
  fs.mkdirSync(bin, { recursive: true });
  fs.copyFileSync(facts.program, path.join(bin, 'parley.cgi'));
  const { PARLEY_ENV, ...options } = facts.env;
  const lines = Object.entries(options).filter(([name]) => name !== 'PATH').map(([name, value]) => `${name}=${value}\n`);
  fs.writeFileSync(path.join(bin, '.env'), lines.join(''), { mode: 0o600 });
  return `${lighttpdHead(facts)}
$HTTP["url"] =~ "^/cgi-bin/\\.env" { url.access-deny = ("") }
cgi.assign = (".cgi" => "")
cgi.limits = ("tcp-fin-propagate" => "SIGTERM")
`;
}

export function nginxConfig(facts) {
  const { dir, port, socket, subPath, backendPort } = facts;
  if (facts.shipped) return shippedNginx(facts);
  const pass = backendPort ? `127.0.0.1:${backendPort}` : `unix:${socket}`;
  return nginxAround(dir, `server {
    listen 127.0.0.1:${port};
    client_max_body_size 72m;
    location ${subPath}/ {
      include /etc/nginx/fastcgi_params;
      fastcgi_pass ${pass};
      fastcgi_buffer_size 16k;
      fastcgi_buffers 8 16k;
      fastcgi_read_timeout 300s;${facts.unbuffered ? '\n      fastcgi_request_buffering off;' : ''}
    }
  }`);
}

function nginxAround(dir, server) {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `  ${n}_temp_path ${dir}/${n};`).join('\n');
  return `${isRoot ? 'user root;\n' : ''}daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx.err;
events { worker_connections 4096; }
http {
  access_log off;
${temp}
  ${server}
}
`;
}

/* As deploy/run.sh does it: the file itself, only the port is ours. Its socket is var/parley.sock. */
function shippedLighttpd({ root, dir, port }) {
  return `include "${root}/lighttpd.conf"
server.port := ${port}
server.upload-dirs = ("${dir}")
server.errorlog = "${dir}/lighttpd.err"
`;
}

/* The file with the port, the socket and the place of fastcgi_params put in. */
function shippedNginx({ root, dir, port, socket }) {
  const server = fs.readFileSync(path.join(root, 'nginx.conf.example'), 'utf8')
    .replace('unix:/run/parley/parley.sock', `unix:${socket}`)
    .replace(/listen 80;/, `listen 127.0.0.1:${port};`)
    .replace('include fastcgi_params;', 'include /etc/nginx/fastcgi_params;');
  return nginxAround(dir, server);
}
