// Processes of the benchmark: starting and stopping them, what they cost (from /proc), free ports.
import { spawn, execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const HERTZ = Number(execFileSync('getconf', ['CLK_TCK']));
const running = new Set();

process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** Starts a program; what it says on stderr is kept for `child.said`. It gets only the environment given. */
export function start(program, args, { env = {}, cwd, stdio = ['pipe', 'pipe', 'pipe'] } = {}) {
  const child = spawn(program, args, { env: { PATH: `${process.env.PATH}:/usr/sbin`, ...env }, cwd, stdio });
  child.said = '';
  child.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  child.once('error', (error) => (child.said += error.message));
  child.stderr?.on('data', (text) => (child.said = (child.said + text).slice(-4000)));
  running.add(child);
  child.ended.then(() => running.delete(child));
  return child;
}

/** SIGTERM, and SIGKILL for whoever is still there after `patience_ms`, with its children. */
export async function stop(child, patience_ms = 3000) {
  if (!running.has(child)) return;
  const all = tree(child.pid);
  child.stdin?.destroy();
  child.kill('SIGTERM');
  const hard = setTimeout(() => all.forEach(killHard), patience_ms);
  await child.ended;
  clearTimeout(hard);
  all.forEach(killHard);
}

function killHard(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    /* it has ended */
  }
}

/** The process and all below it. */
export function tree(pid) {
  const pids = [pid];
  try {
    for (const task of readdirSync(`/proc/${pid}/task`))
      for (const child of readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean))
        pids.push(...tree(Number(child)));
  } catch {
    /* it has ended */
  }
  return pids;
}

/** Nanoseconds that the threads of a process have run; exact, where `stat` counts whole ticks of 10 ms. */
function threads_ns(pid) {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    try {
      return sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      return sum; // it has ended
    }
  }, 0);
}

/**
 * CPU time of all processes in microseconds, of children too that were waited for. A thread that has ended is in
 * `stat` only, so the larger of both figures is the better one.
 */
export function cpu_us(pid) {
  let us = 0;
  for (const one of tree(pid)) {
    try {
      const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ').pop().split(' ').map(Number);
      const ticks_us = (ticks) => (ticks * 1e6) / HERTZ;
      us += Math.max(threads_ns(one) / 1000, ticks_us(fields[11] + fields[12])) + ticks_us(fields[13] + fields[14]);
    } catch {
      /* it has ended */
    }
  }
  return us;
}

/** Memory of all processes in kilobytes, shared pages divided by those who share them. */
export function pss_kb(pid) {
  let sum = 0;
  for (const one of tree(pid)) {
    try {
      sum += Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))[1]);
    } catch {
      /* it has ended */
    }
  }
  return sum;
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until `check` says something true; throws with what `child` said. */
export async function until(what, check, child, wait_ms = 20_000, pause_ms = 2) {
  for (const end = Date.now() + wait_ms; Date.now() < end; await sleep(pause_ms)) {
    const found = await check();
    if (found) return found;
    if (child && !running.has(child)) break;
  }
  throw new Error(`${what}: ${child?.said.trim() || 'nothing was said'}`);
}

export function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Status of a GET, 0 when there was none. */
export function status(port, path) {
  return new Promise((resolve) => {
    get({ port, host: '127.0.0.1', path, agent: false }, (reply) => {
      reply.resume().once('end', () => resolve(reply.statusCode));
    }).once('error', () => resolve(0));
  });
}

/** Runs a program to its end; what it wrote, or an error with what it complained about. */
export function run(program, args, options = {}) {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });
}
