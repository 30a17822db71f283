/*
 * The process manager under load: reloads, a new program, stuck, stopped and grown workers, rotated logs, a killed
 * master. Nobody may notice what need not be noticed.
 *
 * PARLEY_TEST_LOAD_SECONDS=60 makes the load test longer (6), with a reload every five seconds.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { PARLEY, end, eventually, parleyCommand, start, startParley, tempDir } from './harness.mjs';
import { startMock } from './mock_provider.mjs';
import { openNotifySocket } from './notify_socket.mjs';

const LOAD_S = Number(process.env.PARLEY_TEST_LOAD_SECONDS ?? 6);
const RELOAD_MS = LOAD_S >= 60 ? 5000 : 1000;

let mock;
before(async () => { mock = await startMock(); });
after(async () => { await mock?.stop(); });

/* A parley whose settings are in a file, so that a reload finds them changed. */
async function withSettings(options = {}) {
  const parley = await startParley({ mock, via: 'nginx', ...options });
  parley.settings = (text) => fs.writeFileSync(path.join(parley.dir, 'empty.env'), text);
  parley.count = (event) => parley.logs.filter((line) => line.event === event).length;
  /* `n` more of them */
  parley.more = async (event, signal, n = 1) => {
    const had = parley.count(event);
    if (signal) process.kill(parley.pid, signal);
    assert.ok(await eventually(() => parley.count(event) >= had + n, 10000, 5), `no ${event}:\n${parley.logText(15)}`);
    return parley.logs.filter((line) => line.event === event).at(-1);
  };
  return parley;
}

const alive = (pid) => { try { process.kill(pid, 0); return true; } catch { return false; } };

/* Clients that ask and stream until told to stop; everything that went wrong is in `wrong`. */
function load(t, parley, clients) {
  const result = { requests: 0, streams: 0, wrong: [], stop: false };
  const ask = async (i) => {
    for (let n = 0; !result.stop; n++) {
      const message = `load-${i}-${n} mock:deltas=12,delay=${20 + 10 * (i % 5)}`;
      try {
        if (i % 2) {
          const stream = await parley.stream('/api/chat/stream', { message });
          await stream.ended;
          if (stream.status !== 200 || stream.deltas.length === 0 || stream.last?.finish_reason !== 'stop' || stream.closed !== 'end')
            result.wrong.push(`stream ${i}-${n}: ${stream.status} ${stream.closed} ${stream.raw.slice(-200)}`);
          result.streams++;
        } else {
          const reply = await parley.get('/api/health');
          if (reply.status !== 200) result.wrong.push(`request ${i}-${n}: ${reply.status} ${reply.text}`);
          result.requests++;
        }
      } catch (error) {
        result.wrong.push(`${i}-${n}: ${error.message}`);
      }
    }
  };
  t.after(() => { result.stop = true; });
  result.done = Promise.all(Array.from({ length: clients }, (_, i) => ask(i)));
  return result;
}

test('reloads and a new program under load: no failed request, no cut stream', { timeout: (LOAD_S + 60) * 1000 }, async (t) => {
  const parley = await withSettings({ workers: 2, env: { DRAIN_SECONDS: 10 } });
  t.after(() => parley.stop());
  const { pid } = parley;
  const running = load(t, parley, 12);
  const until = Date.now() + LOAD_S * 1000;
  for (let n = 1; Date.now() < until; n++) {
    await sleep(RELOAD_MS);
    if (n === 2) await parley.more('switched', 'SIGUSR2');
    else await parley.more('switched', 'SIGHUP');
  }
  running.stop = true;
  await running.done;
  t.diagnostic(`${running.requests} requests, ${running.streams} streams, ${parley.count('switched')} generations`);
  assert.deepEqual(running.wrong, []);
  assert.ok(running.streams > 20 && running.requests > 100);
  assert.equal(parley.count('program_replacing'), 1);
  assert.equal(parley.pid, pid);
  assert.ok(await eventually(() => parley.workerPids().length === 2, 15000, 20), `${parley.workerPids()}`);
  assert.deepEqual(await parley.stopParley(), { code: 0, signal: null }, parley.logText(40));
});

describe('a reload', { concurrency: 2 }, () => {
  test('takes over what the settings say now, also the number of workers', async (t) => {
    const parley = await withSettings({ env: { } });
    t.after(() => parley.stop());
    const before = parley.workerPids();
    parley.settings('BRAND_NAME=Renamed\nMAX_MESSAGE_LENGTH=50\n');
    await parley.more('switched', 'SIGHUP');
    assert.match((await parley.get('/api/config')).text, /Renamed/);
    assert.ok(await eventually(() => before.every((p) => !alive(p)), 5000, 20), 'the old workers stay');
    assert.equal(parley.workerPids().length, 2);
  });

  test('with a wrong value is refused, says why, and the old settings go on', async (t) => {
    const parley = await withSettings({});
    t.after(() => parley.stop());
    const before = parley.workerPids();
    parley.settings('MAX_STREAMS=many\nBRAND_NAME=Renamed\n');
    const line = await parley.more('reload_refused', 'SIGHUP');
    assert.match(line.error, /MAX_STREAMS.*many/);
    assert.deepEqual(parley.workerPids(), before);
    assert.doesNotMatch((await parley.get('/api/config')).text, /Renamed/);
  });

  test('whose workers cannot start is undone, and the old ones go on', async (t) => {
    const parley = await withSettings({ env: { DATABASE_URL: null } });
    t.after(() => parley.stop());
    const before = parley.workerPids();
    parley.settings('DATABASE_URL=sqlite:/dev/null/no.db\n');
    await parley.more('reload_undone', 'SIGHUP');
    assert.equal((await parley.get('/api/health')).status, 200);
    assert.ok(before.every(alive));
    parley.settings('');
    await parley.more('switched', 'SIGHUP');
    assert.equal((await parley.get('/api/health')).status, 200);
  });

  test('lets a running stream finish, and a second one does not cut it', async (t) => {
    const parley = await withSettings({ env: { DRAIN_SECONDS: 10 } });
    t.after(() => parley.stop());
    const stream = await parley.stream('/api/chat/stream', { message: 'long mock:deltas=60,delay=40' });
    await stream.until((s) => s.deltas.length === 2);
    await parley.more('switched', 'SIGHUP');
    await parley.more('switched', 'SIGHUP');
    await parley.more('switched', 'SIGUSR2');
    await stream.ended;
    assert.equal(stream.deltas.length, 60);
    assert.equal(stream.last.finish_reason, 'stop');
  });
});

test('a service manager hears when it serves, reloads, replaces its program, lives and stops', async (t) => {
  const manager = await openNotifySocket(`@parley-test-${process.pid}`);
  t.after(() => manager.close());
  const parley = await withSettings({ workers: 1, env: { NOTIFY_SOCKET: manager.name, WATCHDOG_USEC: '200000' } });
  t.after(() => parley.stop());
  assert.equal((await manager.next('READY')).MAINPID, String(parley.pid));

  for (const [settings, event, signal] of [['', 'switched', 'SIGHUP'], ['', 'switched', 'SIGUSR2'], ['MAX_STREAMS=many\n', 'reload_refused', 'SIGHUP']]) {
    const before = Number(process.hrtime.bigint() / 1000n);
    parley.settings(settings);
    await parley.more(event, signal);
    assert.ok(Number((await manager.next('RELOADING')).MONOTONIC_USEC) >= before, event);
    assert.equal((await manager.next('READY')).MAINPID, String(parley.pid));
  }

  await manager.next('WATCHDOG');
  await manager.next('WATCHDOG');
  await parley.stopParley();
  assert.ok(Number((await manager.next('STOPPING')).EXTEND_TIMEOUT_USEC) > 0);
});

describe('a new program', { concurrency: 2 }, () => {
  test('that does not start is refused, and the old one goes on', async (t) => {
    const dir = tempDir(t);
    const program = path.join(dir, 'parley');
    fs.copyFileSync(PARLEY, program);
    fs.writeFileSync(path.join(dir, 'env'), '');
    const lines = [];
    const child = start(program, ['serve', '--listen', `unix:${dir}/s`, '--workers', '1'],
      { cwd: dir, env: { PATH: process.env.PATH, PARLEY_ENV: path.join(dir, 'env') }, lines: (text) => lines.push(text) });
    t.after(() => end(child));
    assert.ok(await eventually(() => lines.some((l) => l.includes('worker_serving'))));
    for (const wrong of ['RUN_USER=nobody-of-that-name', `LOG_FILE=${dir}/none/log`, `PID_FILE=${dir}/none/pid`]) {
      fs.writeFileSync(path.join(dir, 'env'), `${wrong}\n`);
      const had = lines.length;
      child.kill('SIGUSR2');
      assert.ok(await eventually(() => lines.slice(had).some((l) => /program_refused.*"status":1/.test(l))), `${wrong}\n${lines.join('\n')}`);
      assert.ok(lines.slice(had).some((l) => l.startsWith(`parley: ${wrong}`)), lines.join('\n'));
    }
    fs.writeFileSync(path.join(dir, 'env'), '');
    fs.renameSync(program, `${program}.old`);
    fs.writeFileSync(program, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
    child.kill('SIGUSR2');
    assert.ok(await eventually(() => lines.some((l) => /program_refused.*"status":3/.test(l))), lines.join('\n'));
    assert.equal(child.exitCode, null);
    for (const foreign of ['exit 0', 'exec yes']) {
      const had = lines.length;
      fs.writeFileSync(program, `#!/bin/sh\n${foreign}\n`);
      child.kill('SIGUSR2');
      assert.ok(await eventually(() => lines.slice(had).some((l) => l.includes('program_refused'))), `${foreign}\n${lines.join('\n')}`);
    }
    assert.ok(lines.some((l) => /program_refused.*"status":0.*not Parley/.test(l)), lines.join('\n'));
    assert.equal(child.exitCode, null);
    fs.rmSync(program);
    child.kill('SIGUSR2');
    assert.ok(await eventually(() => lines.some((l) => /program_refused.*"status":127.*cannot be executed/.test(l))), lines.join('\n'));
  });

  test('does not end where the settings want a user that only root could become', async (t) => {
    const dir = tempDir(t);
    const lines = [];
    const program = path.join(dir, 'parley');
    const nobody = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const [command, ...args] = [...nobody, program, 'serve', '--listen', `unix:${dir}/s`, '--workers', '1'];
    fs.copyFileSync(PARLEY, program);
    fs.writeFileSync(path.join(dir, 'env'), '');
    if (nobody.length) fs.chownSync(dir, 65534, 65534);
    const child = start(command, args, { cwd: dir, env: { PATH: process.env.PATH, PARLEY_ENV: path.join(dir, 'env') }, lines: (text) => lines.push(text) });
    t.after(() => end(child));
    assert.ok(await eventually(() => lines.some((l) => l.includes('worker_serving'))), child.output);
    fs.writeFileSync(path.join(dir, 'env'), 'RUN_USER=root\n');
    child.kill('SIGUSR2');
    assert.ok(await eventually(() => child.exitCode !== null || lines.some((l) => l.includes('"switched"'))), child.output);
    assert.match(child.output, /reload_needs_restart.*RUN_USER/);
  });

  test('keeps the counts of the scoreboard', async (t) => {
    const parley = await withSettings({});
    t.after(() => parley.stop());
    for (let i = 0; i < 5; i++) await parley.get('/api/health');
    await parley.more('switched', 'SIGUSR2');
    const { json } = await parley.get('/status?json');
    assert.ok(json.requests >= 5, JSON.stringify(json));
    assert.equal(json.replaced, 1);
  });
});

describe('workers that end', { concurrency: 2 }, () => {
  test('kill -9 of the master leaves nobody who keeps the socket, even while a stream runs', async (t) => {
    const parley = await withSettings({ env: { DRAIN_SECONDS: 20, DISCONNECT_GRACE_SECONDS: 0 } });
    t.after(() => parley.stop());
    const stream = await parley.stream('/api/chat/stream', { message: 'orphan mock:deltas=50,delay=30' });
    await stream.until((s) => s.deltas.length === 2);
    const workers = parley.workerPids();
    await parley.stopParley('SIGKILL');
    const refused = () => new Promise((resolve) => {
      const socket = net.connect({ path: parley.socket });
      socket.on('connect', () => { socket.destroy(); resolve(false); });
      socket.on('error', (error) => resolve(error.code === 'ECONNREFUSED'));
    });
    assert.ok(await eventually(refused, 3000, 20), 'somebody still listens');
    await parley.restart();
    assert.equal((await parley.get('/api/health')).status, 200);
    await stream.ended; /* and what ran may finish */
    assert.equal(stream.deltas.length, 50);
    assert.ok(await eventually(() => workers.every((pid) => !alive(pid)), 5000, 20), 'orphans');
  });

  test('a worker stopped with SIGSTOP is dumped and replaced by the watchdog', async (t) => {
    const parley = await withSettings({ env: { WATCHDOG_SECONDS: 2 } });
    t.after(() => parley.stop());
    const [stopped, other] = parley.workerPids();
    process.kill(stopped, 'SIGSTOP');
    await parley.waitLog((l) => l.event === 'worker_stuck' && l.worker_pid === stopped, 8000);
    const stack = await parley.waitLog('worker_stack');
    assert.equal(stack.pid, stopped);
    assert.match(stack.stack, /parley/);
    assert.ok(await eventually(() => !alive(stopped) && parley.workerPids().length === 2, 5000, 10));
    assert.ok(alive(other));
    assert.equal((await parley.get('/api/health')).status, 200);
  });

  test('workers are replaced after MAX_REQUESTS, the replacement first, and nobody notices', async (t) => {
    const parley = await withSettings({ workers: 1, env: { MAX_REQUESTS: 20, DRAIN_SECONDS: 10 } });
    t.after(() => parley.stop());
    const [first] = parley.workerPids();
    const running = load(t, parley, 4);
    await parley.waitLog('worker_recycling', 10000);
    assert.ok(await eventually(() => !alive(first), 15000, 20));
    running.stop = true;
    await running.done;
    assert.deepEqual(running.wrong, []);
    const started = parley.logs.findIndex((l) => l.event === 'worker_started' && l.worker_pid !== first);
    const draining = parley.logs.findIndex((l) => l.event === 'worker_draining' && l.pid === first);
    assert.ok(started < draining, 'the old one left before the new one was there');
  });

  test('a worker above MAX_MEMORY_MB is replaced', async (t) => {
    const parley = await withSettings({ workers: 1, env: { MAX_MEMORY_MB: 1 } });
    t.after(() => parley.stop());
    const line = await parley.waitLog('worker_recycling', 10000);
    assert.equal(line.why, 'MAX_MEMORY_MB');
  });

  test('SIGUSR1 opens the log files anew, in master and workers', async (t) => {
    const parley = await startParley({ mock, via: 'nginx', env: {} });
    t.after(() => parley.stop());
    await parley.stopParley();
    parley.options.env = { LOG_FILE: parley.logFile };
    await parley.restart();
    fs.renameSync(parley.logFile, `${parley.logFile}.1`);
    process.kill(parley.pid, 'SIGUSR1');
    const asked = async () => { await parley.get('/api/health'); return fs.existsSync(parley.logFile) && /"event":"request"/.test(fs.readFileSync(parley.logFile, 'utf8')); };
    assert.ok(await eventually(asked, 5000, 20), 'the old file is still written');
  });
});

describe('files and rights', { concurrency: 2 }, () => {
  const begin = async (t, env, more = []) => {
    const dir = tempDir(t);
    const lines = [];
    const child = start(PARLEY, ['serve', '--listen', `unix:${dir}/s`, '--workers', '1', ...more],
      { cwd: dir, env: { PATH: process.env.PATH, PARLEY_ENV: '/dev/null', DATABASE_URL: `sqlite:${dir}/db/p.db`, ...env(dir) }, lines: (text) => lines.push(text) });
    t.after(() => end(child).catch(() => {}));
    await eventually(() => child.exitCode !== null || lines.some((l) => l.includes('worker_serving')), 10000);
    return { dir, child, lines };
  };

  test('PID_FILE holds the pid while it runs, and a second one is refused', async (t) => {
    const { dir, child } = await begin(t, (d) => ({ PID_FILE: `${d}/pid` }));
    assert.equal(fs.readFileSync(`${dir}/pid`, 'utf8').trim(), String(child.pid));
    const second = await parleyCommand(['serve', '--listen', `unix:${dir}/s2`], { env: { PARLEY_ENV: '/dev/null', PID_FILE: `${dir}/pid` }, cwd: dir });
    assert.equal(second.code, 1);
    assert.match(second.stderr, /PID_FILE.*another Parley/);
    await end(child);
    assert.ok(!fs.existsSync(`${dir}/pid`));
  });

  test('SOCKET_MODE and UMASK count', async (t) => {
    const { dir } = await begin(t, () => ({ SOCKET_MODE: '0600', UMASK: '0077' }));
    assert.equal(fs.statSync(`${dir}/s`).mode & 0o777, 0o600);
    assert.equal(fs.statSync(`${dir}/db/p.db`).mode & 0o077, 0);
  });

  test('a reader of the log that goes away takes nothing with it', async (t) => {
    const { child } = await begin(t, () => ({}));
    const workers = () => fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    const before = workers();
    child.stdout.destroy();
    child.stderr.destroy();
    child.kill('SIGHUP'); /* which says something */
    assert.ok(await eventually(() => child.signalCode !== null || (workers() !== before && /^\d+$/.test(workers())), 10000, 20));
    assert.equal(child.signalCode, null);
  });

  test('an unknown user or owner stops the start with words', async (t) => {
    const dir = tempDir(t);
    for (const [name, words] of [['RUN_USER', /RUN_USER.*no such user/], ['SOCKET_OWNER', /SOCKET_OWNER.*no such/]]) {
      const { code, stderr } = await parleyCommand(['serve', '--listen', `unix:${dir}/s`], { env: { PARLEY_ENV: '/dev/null', [name]: 'nobody-of-that-name' }, cwd: dir });
      assert.equal(code, 1);
      assert.match(stderr, words);
      assert.ok(!fs.existsSync(`${dir}/s`), 'the socket was left behind');
    }
  });

  test('RUN_USER: the workers are that user, or a start without root says what is wrong', async (t) => {
    const root = process.getuid() === 0;
    const { dir, child, lines } = await begin(t, (d) => {
      fs.mkdirSync(`${d}/db`);
      if (root) { fs.chmodSync(d, 0o755); fs.chownSync(`${d}/db`, 65534, 65534); }
      return { RUN_USER: 'nobody' };
    });
    if (!root) {
      assert.equal((await child.exited).code, 1);
      assert.match(child.output, /need a start as root/);
      return;
    }
    assert.ok(lines.some((l) => l.includes('worker_serving')), child.output);
    const [worker] = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
    assert.match(fs.readFileSync(`/proc/${worker}/status`, 'utf8'), /^Uid:\t65534\t65534\t65534/m);
    assert.equal(fs.statSync(`${dir}/db/p.db`).uid, 65534);
    assert.equal(fs.statSync(`${dir}/s`).uid, 65534, 'only root could use the socket');
  });
});
