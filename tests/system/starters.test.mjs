/*
 * The ways to keep Parley running (deploy/spawn-fcgi, supervisor, systemd, procfile), behind nginx: it starts, an answer
 * that runs when it is stopped is finished, a restart works, and afterwards nothing is left. Then web servers that start
 * Parley themselves: a process that dies is replaced, and all end with the server.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';

import { end, eventually, freePort } from './harness.mjs';
import { openGate } from './matrix/gate.mjs';
import { servers } from './matrix/servers.mjs';
import { openSite } from './matrix/site.mjs';
import { starters } from './matrix/starters.mjs';
import { startMock } from './mock_provider.mjs';

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

const nginx = servers.find(({ name, below }) => name === 'nginx' && below === '');

async function withSite(work) {
  const site = await openSite({ mock });
  try {
    await work(site);
  } finally {
    await site.close();
  }
}

async function converse(site, name) {
  const reply = await site.post('/api/chat', { message: `${name} mock:deltas=2` });
  assert.equal(reply.json?.response, 'w0 w1 ', reply.text);
}

/* While `work` runs an answer is in the middle; it ends whole. */
async function duringAnAnswer(site, name, work) {
  const gate = openGate(mock, name);
  gate.send('before ');
  const stream = await site.stream('/api/chat/stream', { message: name });
  await stream.until((s) => s.text === 'before ');
  const working = work();
  assert.ok(await eventually(() => site.log().includes('worker_draining'), 10000), 'nobody drains');
  gate.send('after');
  gate.finish();
  await stream.ended;
  assert.equal(stream.text, 'before after');
  assert.equal(stream.frames.at(-1).data, '[DONE]');
  await working;
}

/* Requests one after the other while `work` runs; their status codes. */
async function meanwhile(site, work) {
  const seen = [];
  let busy = true;
  const asking = (async () => {
    while (busy) seen.push((await site.get('/api/health')).status);
  })();
  try {
    await work();
  } finally {
    busy = false;
  }
  await asking;
  return seen;
}

describe('kept running by', { concurrency: 3 }, () => {
  for (const starter of starters.filter((one) => !one.ownServer)) {
    test(starter.name, () => withSite(async (site) => {
      await starter.start(site);
      await site.startServer((port) => nginx.command(site, port, null));
      await converse(site, `${starter.name} one`);

      const seen = await meanwhile(site, () => starter.restart(site));
      if (starter.keeps) assert.deepEqual(seen.filter((status) => status !== 200), [], 'refused during the restart');
      assert.ok(await site.answers(), site.log());
      await converse(site, `${starter.name} two`);

      await duringAnAnswer(site, `${starter.name} stopped`, () => starter.stop(site));
      assert.ok(await site.goneWithin(5000), `left: ${site.processes()}`);
      assert.equal((await site.get('/api/health')).status, 502);
      await starter.start(site);
      assert.ok(await site.answers(), site.log());
      await starter.stop(site);
      assert.ok(await site.goneWithin(5000), `left: ${site.processes()}`);
    }));
  }

  test('Procfile', () => withSite(async (site) => {
    const starter = starters.find(({ name }) => name === 'Procfile');
    site.url = `http://127.0.0.1:${site.port = await freePort()}`;
    await starter.start(site, site.port);
    assert.ok(await site.answers(), site.procs.map((child) => child.output).join('\n'));
    await converse(site, 'Procfile');
    await starter.stop(site);
    assert.ok(await site.goneWithin(5000));
  }));
});

describe('started by', { concurrency: 2 }, () => {
  for (const wanted of ['lighttpd, bin-path', 'Apache, mod_fcgid']) {
    test(wanted, () => withSite(async (site) => {
      const server = servers.find(({ name, below }) => name === wanted && below === '');
      await site.startServer((port) => server.command(site, port, null));
      await converse(site, `${wanted} one`);
      assert.equal(site.processes().length, 1);

      const died = site.processes();
      died.forEach((pid) => process.kill(pid, 'SIGKILL'));
      assert.ok(await eventually(async () => (await site.get('/api/health')).status === 200, 10000), 'no new process after a crash');
      assert.deepEqual(site.processes().filter((pid) => died.includes(pid)), []);
      await converse(site, `${wanted} two`);

      await end(site.server);
      assert.ok(await site.goneWithin(10000), `left: ${site.processes()}`);
      await site.startServer((port) => server.command(site, port, null));
      await converse(site, `${wanted} three`);
    }));
  }
});

test('the units of systemd are correct', () => withSite(async (site) => {
  const files = ['parley.service', 'parley.socket'].map((name) => site.write(`units/${name}`,
    site.shipped(`deploy/systemd/${name}`)));
  const output = execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$@" 2>&1', 'verify', ...files], { encoding: 'utf8' });
  assert.equal(output.split('\n').filter((line) => line.includes('parley')).join('\n'), '');
}));
