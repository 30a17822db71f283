// The two C programs of the benchmark: the provider (mock.c) and the clients (load.c).
import { join } from 'node:path';
import { mkdirSync, existsSync, statSync } from 'node:fs';
import { start, stop, run, cpu_us, pss_kb, until } from './processes.mjs';

const here = import.meta.dirname;
const tools = join(here, '../../build/bench');

export function buildTools() {
  mkdirSync(tools, { recursive: true });
  for (const name of ['mock', 'load']) {
    const source = join(here, `${name}.c`), made = join(tools, name);
    if (existsSync(made) && statSync(made).mtimeMs > statSync(source).mtimeMs) continue;
    run('cc', ['-std=c17', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-o', made, source]);
  }
}

/** The provider, at `url`; it ends with its stdin. */
export async function startProvider() {
  const child = start(join(tools, 'mock'), []);
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  const port = await until('the mock provider did not start', () => /^port (\d+)/.exec(said)?.[1], child);
  return { port: Number(port), url: `http://127.0.0.1:${port}/v1`, stop: () => stop(child) };
}

/** "name value" lines to an object. */
function figuresOf(text) {
  return Object.fromEntries(
    [...text.matchAll(/^(\w+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
}

/**
 * One run of load.c against a started contestant, with what that cost: CPU between the end of the warm-up and
 * the end, the most memory seen once all streams were open. Options are those of load.c.
 */
export async function load(target, options, limit_s = 120) {
  const measured = target.measured.pid, front = target.front?.pid;
  const args = Object.entries({ wait: 1, raw: target.raw ? 1 : 0, ...options, port: target.port });
  const child = start(join(tools, 'load'), args.map(([name, value]) => `${name}=${value}`));
  let said = '', before, most_kb = 0, watcher;
  const idle_kb = pss_kb(measured);
  child.stdout.on('data', (text) => {
    said += text;
    if (!before && said.includes('ready\n')) {
      before = { cpu: cpu_us(measured), front: front ? cpu_us(front) : 0 };
      child.stdin.write('\n');
    }
    if (!watcher && said.includes('full\n'))
      watcher = setInterval(() => (most_kb = Math.max(most_kb, pss_kb(measured))), 700);
  });
  const late = setTimeout(() => child.kill('SIGKILL'), limit_s * 1000);
  const code = await child.ended;
  clearTimeout(late);
  clearInterval(watcher);
  if (!before || !/^wall_us/m.test(said)) throw new Error(`load: ${code} ${child.said}`);
  const settle = new Promise((resolve) => setTimeout(resolve, 600)); // the last commits
  await settle;
  return {
    ...figuresOf(said), complaints: child.said.trim(),
    cpu_us: cpu_us(measured) - before.cpu, front_us: front ? cpu_us(front) - before.front : 0, idle_kb, most_kb,
  };
}
