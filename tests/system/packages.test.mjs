/*
 * What `make dist` and `make deb` build, as far as it can be seen without installing it (tests/packages/ installs both in
 * fresh systems), and whether the Docker files fit each other. The tarball is unpacked as its INSTALL.txt says and answers
 * as a CGI under Apache.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { ROOT, tempDir } from './harness.mjs';
import { sharedHost } from './matrix/servers.mjs';
import { openSite } from './matrix/site.mjs';
import { startMock } from './mock_provider.mjs';

const shell = (command, ...args) => execFileSync(command, args, { cwd: ROOT, encoding: 'utf8' });
const needed = (program) => [...shell('objdump', '-p', program).matchAll(/NEEDED\s+(\S+)/g)].map(([, name]) => name);
/* The script's last line begins with what it made. */
const build = (script) => path.join(ROOT, shell('sh', script).trim().split('\n').at(-1).split(' ')[0]);

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

test('the tarball is a shared host\'s layout, and its program answers there', async (t) => {
  const dir = tempDir(t);
  shell('tar', '-xzf', build('deploy/dist/build.sh'), '-C', dir, '--strip-components=1');
  const program = path.join(dir, 'parley/parley');
  assert.deepEqual(needed(program).filter((name) => !/^(libc|libm|ld-linux.*)\.so/.test(name)), []);
  assert.ok(fs.existsSync(path.join(dir, 'parley/lib/libcurl.so.4')), 'what is loaded is not beside it');
  assert.match(fs.readFileSync(path.join(dir, 'INSTALL.txt'), 'utf8'), /GLIBC \d/);
  assert.equal(fs.statSync(path.join(dir, 'public_html/chat/parley.cgi')).mode & 0o777, 0o755);
  assert.ok(fs.existsSync(path.join(dir, 'licenses/parley')));

  const site = await openSite({ mock });
  site.program = site.path('home/parley/parley');
  try {
    await site.startServer((port) => sharedHost(site, port, 'cgi', null, dir), '/chat');
    const reply = await site.post('/api/chat', { message: 'tarball mock:deltas=2' });
    assert.equal(reply.json?.response, 'w0 w1 ', reply.text);
    const page = await site.get('/');
    assert.match(page.headers['content-type'], /^text\/html/);
  } finally {
    await site.close();
  }
});

test('compose.yaml fits the Dockerfile and the settings', () => {
  const file = path.join(ROOT, 'deploy/docker/compose.yaml');
  const read = 'import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)';
  const { services, volumes } = JSON.parse(shell('python3', '-c', read, file));
  const stages = new Map(fs.readFileSync(path.join(ROOT, 'deploy/docker/Dockerfile'), 'utf8').split(/^FROM .* AS /m).slice(1)
    .map((stage) => [stage.split('\n', 1)[0], stage]));
  const mounts = (name) => services[name].volumes.map((mount) => mount.split(':'));

  for (const [name, service] of Object.entries(services)) {
    assert.ok(stages.has(service.build.target), `${name} is built from a stage that is not there`);
    assert.equal(path.resolve(path.dirname(file), service.build.context), ROOT, name);
    for (const [volume, where] of mounts(name)) {
      assert.ok(volume in volumes, `${name}: ${volume}`);
      assert.ok(where.startsWith('/'), `${name}: ${where}`);
    }
    for (const other of service.depends_on ?? []) assert.ok(other in services, `${name}: ${other}`);
  }
  assert.deepEqual(Object.keys(services).filter((name) => services[name].profiles).sort(), ['redis'], 'what runs only when asked for');
  assert.ok(!('ports' in services.redis) && !('ports' in services.parley), 'only the web server is reached from outside');

  const text = fs.readFileSync(file, 'utf8');
  const example = fs.readFileSync(path.join(ROOT, '.env.example'), 'utf8');
  const named = [...text.matchAll(/\b([A-Z]+(?:_[A-Z]+)+)=/g)].map(([, name]) => name);
  assert.ok(named.includes('REDIS_URL') && named.includes('OPENAI_API_KEY'), `${named}`);
  for (const name of named) assert.match(example, new RegExp(`^#${name}=`, 'm'));
  assert.ok(parseInt(services.parley.stop_grace_period, 10) > Number(/^#DRAIN_SECONDS=(\d+)/m.exec(example)[1]));

  const socket = /REDIS_URL=unix:(\S+)/.exec(text)[1];
  assert.ok(stages.get('redis').includes(`"--unixsocket", "${socket}"`), 'redis listens elsewhere');
  const [shared] = mounts('redis').find(([, where]) => where === path.dirname(socket));
  assert.ok(mounts('parley').some(([volume, where]) => volume === shared && where === path.dirname(socket)), 'the socket is not shared');
});

describe('the Debian package', () => {
  let dir;
  let control;
  let list;
  before(() => {
    const file = build('deploy/debian/build.sh');
    dir = fs.mkdtempSync(path.join(ROOT, 'build/deb-'));
    shell('dpkg-deb', '-R', file, dir);
    control = fs.readFileSync(path.join(dir, 'DEBIAN/control'), 'utf8');
    list = shell('dpkg-deb', '-c', file).trim().split('\n').map((line) => line.split(/\s+/));
  });
  after(() => { fs.rmSync(dir, { recursive: true, force: true }); });

  test('names the package of every library that the program needs', () => {
    const linked = needed(path.join(dir, 'usr/bin/parley')).filter((name) => !/^(libc|libm|ld-linux.*)\.so/.test(name));
    for (const library of [...linked, 'libcurl.so.4']) { // which is loaded when it is needed
      const stem = library.replace(/\.so.*/, '').replace('libsqlite3', 'libsqlite3-0');
      assert.ok(new RegExp(`Depends:.* ${stem}`).test(control), `${library} is in nobody's Depends: ${control}`);
    }
    assert.match(control, /libfcgi0ldbl \(>= 2\.4\.2-2\+deb12u1\)/);
  });

  test('needs what the Docker image has', () => {
    const packages = /^Depends: (.*)$/m.exec(control)[1].split(', ').map((entry) => entry.split(' ')[0]);
    const dockerfile = fs.readFileSync(path.join(ROOT, 'deploy/docker/Dockerfile'), 'utf8');
    const image = /AS parley\n([\s\S]*?)rm -rf/.exec(dockerfile)[1].split(/\s+/);
    assert.deepEqual(packages.filter((name) => /^lib/.test(name) && name !== 'libc6' && !image.includes(name)), []);
  });

  test('belongs to root, and the settings are nobody else\'s', () => {
    assert.deepEqual(list.filter(([, owner]) => owner !== 'root/root'), []);
    assert.deepEqual(list.filter(([mode]) => /[sS]|.......w./.test(mode.slice(1))), []);
    assert.equal(list.find((line) => line.at(-1) === './etc/parley/parley.env')[0], '-rw-------');
  });

  test('has its service where it says, and all its configuration files', () => {
    const unit = fs.readFileSync(path.join(dir, 'lib/systemd/system/parley.service'), 'utf8');
    assert.match(unit, /^ExecStart=\/usr\/bin\/parley serve/m);
    const conffiles = fs.readFileSync(path.join(dir, 'DEBIAN/conffiles'), 'utf8').trim().split('\n');
    for (const name of conffiles) assert.ok(fs.existsSync(path.join(dir, name)), name);
    assert.equal(conffiles.length, list.filter((line) => /^\.\/etc\/.*[^/]$/.test(line.at(-1))).length);
  });

  test('names no path of /usr/local', () => {
    assert.equal(shell('sh', '-c', `grep -rlI /usr/local ${dir}/etc ${dir}/lib || true`).trim(), '');
  });

  test('its scripts are correct', () => {
    for (const name of ['postinst', 'prerm', 'postrm']) shell('sh', '-n', path.join(dir, 'DEBIAN', name));
  });
});
