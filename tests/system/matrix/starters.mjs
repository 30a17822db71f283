/*
 * starters: the ways to keep Parley running, each with the files that deploy/ ships for it.
 *
 * An entry of `starters`
 *   start(site)     until the socket accepts
 *   stop(site)      as an administrator would; resolves when it says that it has stopped
 *   restart(site)
 *   keeps           true: the socket stays open during a restart, so no request is refused
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { end, eventually } from '../harness.mjs';
import { openNotifySocket } from '../notify_socket.mjs';
import { GROUP, substitute, USER } from './site.mjs';

const STOP_MS = 15000;

async function run(site, command, args) {
  const { code, output } = await site.run(command, args);
  assert.equal(code, 0, `${command} ${args.join(' ')}: ${output}\n${site.log()}`);
  return output;
}

/* A socket file is there, and something of Parley runs. */
const isUp = (site) => eventually(() => fs.existsSync(site.socket) && site.processes().length > 0, 10000);

/* ---- spawn-fcgi ---- */

const spawnScript = (site) => site.path('parley.sh');
const spawnFcgi = {
  name: 'spawn-fcgi', keeps: false,
  start: async (site) => {
    site.write('parley.sh', site.shipped('deploy/spawn-fcgi/parley.sh',
      [['run=/run/parley ', `run=${site.path('run')} `], ['user=parley', `user=${USER}`], ['group=www-data', `group=${GROUP}`]]));
    await run(site, 'sh', [spawnScript(site), 'start']);
    assert.match(await run(site, 'sh', [spawnScript(site), 'status']), /runs/);
    assert.match(await run(site, 'sh', [spawnScript(site), 'start']), /already/);
  },
  stop: async (site) => {
    await run(site, 'sh', [spawnScript(site), 'stop']);
    assert.equal((await site.run('sh', [spawnScript(site), 'status'])).code, 3);
    /* A pid file that was left behind, and the number is another's now: that of this shell. */
    const stale = 'echo $$ >"$2"; sh "$1" status; code=$?; rm "$2"; exit $code';
    assert.equal((await site.run('sh', ['-c', stale, 'sh', spawnScript(site), site.path('run/parley.pid')])).code, 3);
  },
  restart: (site) => run(site, 'sh', [spawnScript(site), 'restart']),
};

/* ---- supervisord ---- */

/* startsecs is how long supervisorctl waits to be sure; the tests ask Parley itself. */
function supervisorConfig(site, file) {
  const program = site.shipped(`deploy/supervisor/${file}`, [['user=parley', `user=${USER}`], ['/var/log/supervisor', site.path('log')], ['startsecs=1', 'startsecs=0'],
    ...(file === 'parley-fcgi.conf' ? [['socket_owner=parley:www-data', `socket_owner=${USER}:${GROUP}`]] : [])]);
  site.write('supervisor/conf.d/parley.conf', program);
  return site.write('supervisor/supervisord.conf', `[unix_http_server]
file=${site.path('run/supervisor.sock')}
[supervisord]
nodaemon=true
logfile=${site.path('log/supervisord.log')}
pidfile=${site.path('run/supervisord.pid')}
childlogdir=${site.path('log')}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://${site.path('run/supervisor.sock')}
[include]
files = ${site.path('supervisor/conf.d/*.conf')}
`);
}

const ctl = (site, ...words) => run(site, 'supervisorctl', ['-c', site.path('supervisor/supervisord.conf'), ...words]);

/* All processes of [fcgi-program] at once would let the socket go with the last one: they are restarted in turn. */
const supervisor = (name, file, restarted) => ({
  name, keeps: restarted.length > 1,
  start: async (site) => {
    if (site.supervisord) {
      await ctl(site, 'start', 'parley:*');
      return;
    }
    site.supervisord = site.start('supervisord', ['-c', supervisorConfig(site, file)]);
    assert.ok(await isUp(site), `supervisord: ${site.supervisord.output}`);
  },
  stop: (site) => ctl(site, 'stop', 'parley:*'),
  restart: async (site) => {
    for (const one of restarted) await ctl(site, 'restart', one);
  },
});

/* ---- systemd ---- */

const unit = (site, name) => site.shipped(`deploy/systemd/${name}`);
const commandOf = (text) => /^ExecStart=(.*)$/m.exec(text)[1].split(' ');

/*
 * There is no systemd as process 1 here. systemd-socket-activate opens the socket of parley.socket as systemd does; the
 * shell behind it holds that socket and starts ExecStart again and again, as Restart= and a restart do.
 */
const systemdSocket = {
  name: 'systemd, parley.socket', keeps: true,
  start: async (site) => {
    const command = commandOf(unit(site, 'parley.service'));
    const [, listen] = /^ListenStream=(.*)$/m.exec(unit(site, 'parley.socket'));
    site.write('hold.sh', `while [ ! -e ${site.path('run/stop')} ]; do sh -c 'LISTEN_PID=$$ exec "$@"' start "$@"; echo "status $?"; done\n`);
    site.holder = site.start('systemd-socket-activate', ['-l', listen, '-E', `PARLEY_ENV=${site.settingsFile}`, 'sh', site.path('hold.sh'), ...command]);
    assert.ok(await eventually(() => fs.existsSync(listen), 10000), site.holder.output);
  },
  stop: async (site) => {
    fs.writeFileSync(site.path('run/stop'), '');
    process.kill(master(site), 'SIGTERM');
    await Promise.race([site.holder.closed, end(site.holder, 0, STOP_MS).then(() => site.holder.closed)]);
    assert.match(site.holder.output, /status 0/);
    fs.rmSync(site.path('run/stop'));
    fs.rmSync(site.socket);
  },
  restart: async (site) => {
    const before = master(site);
    process.kill(before, 'SIGTERM');
    assert.ok(await eventually(() => !fs.existsSync(`/proc/${before}`) && site.processes().length > 0, STOP_MS));
  },
};

/* parley.service by itself: its command, its environment, its Type=notify and WatchdogSec=, SIGTERM. */
const systemdService = {
  name: 'systemd, parley.service', keeps: false,
  start: async (site) => {
    const text = unit(site, 'parley.service');
    const env = Object.fromEntries([...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
    const [check, ...checkArgs] = /^ExecStartPre=(.*)$/m.exec(text)[1].split(' ');
    const checked = await site.run(check, checkArgs, { env });
    assert.equal(checked.code, 0, checked.output);
    const [command, ...args] = commandOf(text);
    assert.match(text, /^Type=notify$/m);
    const manager = await openNotifySocket(site.path('run/notify'));
    site.give('run/notify');
    try {
      site.service = site.start(command, args, { env: { ...env, NOTIFY_SOCKET: manager.name,
        WATCHDOG_USEC: `${/^WatchdogSec=(\d+)$/m.exec(text)[1]}000000` } });
      await manager.next('READY');
      assert.ok(manager.messages.some((message) => 'WATCHDOG' in message));
    } finally {
      await manager.close();
      fs.rmSync(manager.name);
    }
    assert.ok(await isUp(site), site.log());
  },
  stop: async (site) => assert.deepEqual(await end(site.service), { code: 0, signal: null }),
  restart: async (site) => {
    await systemdService.stop(site);
    await systemdService.start(site);
  },
};

/* The process whose parent is none of ours. */
function master(site) {
  const pids = site.processes();
  const parent = (pid) => Number(/\) \S (\d+)/.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))[1]);
  return pids.find((pid) => !pids.includes(parent(pid)));
}

/* ---- a Procfile ---- */

/* What honcho and its kin do: every line of the Procfile by the shell, SIGTERM to all at the end. */
const procfile = {
  name: 'Procfile', keeps: false, ownServer: true,
  start: async (site, port) => {
    const top = site.path('top');
    for (const dir of ['build', 'var', 'deploy/procfile']) fs.mkdirSync(path.join(top, dir), { recursive: true });
    fs.linkSync(site.program, path.join(top, 'build/parley'));
    fs.copyFileSync(site.settingsFile, path.join(top, '.env'));
    site.write('top/lighttpd.conf', site.shipped('lighttpd.conf'));
    site.write('top/deploy/procfile/lighttpd.conf', substitute('procfile/lighttpd.conf', site.shipped('deploy/procfile/lighttpd.conf'),
      [['0.0.0.0', '127.0.0.1']]));
    site.give('top');
    const lines = site.shipped('deploy/procfile/Procfile').split('\n').filter((line) => /^\w+:/.test(line));
    site.procs = lines.map((line) => site.start('sh', ['-c', `exec ${line.replace(/^\w+:\s*/, '')}`], { cwd: top, env: { PORT: String(port) } }));
    assert.equal(site.procs.length, 2);
  },
  stop: async (site) => { await Promise.all(site.procs.map((child) => end(child))); },
};

export const starters = [spawnFcgi, supervisor('supervisord, [program]', 'parley.conf', ['parley']),
  supervisor('supervisord, [fcgi-program]', 'parley-fcgi.conf', ['parley:parley_00', 'parley:parley_01']), systemdService, systemdSocket, procfile];
