// TLS in front of the mock provider, with a certificate authority of our own; by an nginx that nobody measures.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startNginx } from './contestants.mjs';
import { run, stop } from './processes.mjs';

function makeCertificate(dir) {
  const at = (name) => join(dir, name);
  writeFileSync(at('san'), 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  run('openssl', ['req', '-x509', ...key, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=bench CA']);
  run('openssl', ['req', ...key, '-keyout', at('key.pem'), '-out', at('csr'), '-subj', '/CN=127.0.0.1']);
  run('openssl', ['x509', '-req', '-in', at('csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial',
    '-out', at('cert.pem'), '-days', '2', '-extfile', at('san')]);
}

/** { url, ca, http2, stop } of the provider over https. */
export async function startTls(provider, parent, http2) {
  const dir = join(parent, 'tls');
  mkdirSync(dir, { recursive: true });
  makeCertificate(dir);
  const { port, child } = await startNginx(dir, {
    listen: http2 ? 'ssl http2' : 'ssl',
    server: `ssl_certificate ${dir}/cert.pem; ssl_certificate_key ${dir}/key.pem; ssl_session_cache shared:s:10m;
             http2_max_concurrent_streams 256; http2_recv_timeout 600s; keepalive_requests 100000;`,
    body: `proxy_pass ${provider.url.replace(/\/v1$/, '')}; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s;`,
  });
  return { url: `https://127.0.0.1:${port}/v1`, ca: join(dir, 'ca.pem'), http2, stop: () => stop(child) };
}
