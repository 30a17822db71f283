/*
 * The README's commands work as written: `make run` is started on a free port, then every shell block that is
 * marked as runnable runs against it. A block is marked by the words "sh run" behind its fence or by a line
 * "<!-- run -->" above it; 127.0.0.1:8080 and localhost:8080 in it become the address of this run.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { eventually, freePort, PARLEY, request, ROOT, tempDir } from './harness.mjs';

const run = promisify(execFile);
const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');

/* Shell blocks that stand in the README: {text, marked}. */
function blocks() {
  return [...readme.matchAll(/^(<!-- run -->\n+)?```sh( run)?\n(.*?)^```$/gms)]
    .map(([, above, behind, text]) => ({ text, marked: Boolean(above ?? behind) }));
}

/* Run a shell text with our address in it. */
function shell(text, { port, cwd }) {
  const here = text.replaceAll(/(127\.0\.0\.1|localhost):(8080|8000|3001|5000)\b/g, `127.0.0.1:${port}`);
  return run('bash', ['-euo', 'pipefail', '-c', here], { cwd, timeout: 60000, env: { ...process.env, PATH: `${path.dirname(PARLEY)}:${process.env.PATH}` } });
}

test('the README says how to start it and how to ask it', () => {
  assert.match(readme, /^ *make run$/m);
  assert.ok(blocks().some((block) => block.marked && block.text.includes('curl')), 'no runnable curl example');
});

describe('make run', () => {
  let child, port, dir, output = '';
  before(async () => {
    port = await freePort();
    dir = fs.mkdtempSync(path.join(process.env.TMPDIR ?? '/tmp', 'parley-readme-'));
    child = spawn('sh', [path.join(ROOT, 'deploy/run.sh')], { cwd: dir, detached: true, stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, PORT: String(port), PARLEY, PARLEY_ENV: '/dev/null', DEMO_DELAY_MS: '1' } });
    child.ended = new Promise((resolve) => { child.on('exit', (code) => resolve(code)); });
    child.stdout.on('data', (data) => { output += data; });
    child.stderr.on('data', (data) => { output += data; });
    assert.ok(await eventually(() => output.includes('Ctrl-C stops it') || child.exitCode !== null, 20000), output);
  });
  after(async () => {
    if (child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
    await child.ended;
    fs.rmSync(dir, { recursive: true, force: true });
  });

  test('prints the address, who answers and where the data is', () => {
    assert.ok(output.includes(`http://127.0.0.1:${port}`), output);
    assert.match(output, /demo/);
    assert.match(output, /parley\.db/);
  });

  for (const [i, block] of blocks().entries()) {
    if (!block.marked) continue;
    test(`README block ${i + 1}: ${block.text.trim().split('\n')[0].slice(0, 60)}`, async () => {
      await shell(block.text, { port, cwd: ROOT });
    });
  }

  test('the curl examples of the sources work as written, but for the port', async () => {
    const data = (json) => `-H "Content-Type: application/json" -d '${JSON.stringify(json)}'`;
    const user = { user_id: 'user123', message: 'What is the capital of France?' };
    const streamed = (await shell(`curl -sS -X POST "http://localhost:8000/api/chat" ${data(user)}`, { port, cwd: dir })).stdout;
    assert.match(streamed, /^data: \{"content":"[^"]+","done":false\}$/m);
    assert.match(streamed, /"done":true/);
    assert.ok(streamed.endsWith('data: [DONE]\n\n'));
    const simple = JSON.parse((await shell(`curl -sS -X POST "http://localhost:8000/api/chat/simple" ${data(user)}`, { port, cwd: dir })).stdout);
    assert.equal(simple.user_id, 'user123');
    assert.equal(simple.message, user.message);
    assert.equal(typeof simple.response, 'string');
    const health = JSON.parse((await shell('curl -sS "http://localhost:8000/api/health"', { port, cwd: dir })).stdout);
    assert.equal(health.status, 'healthy');

    const support = JSON.parse((await shell(`curl -sS http://localhost:5000/api/chat ${data({ message: 'Hi', user_context: { page: '/' } })}`, { port, cwd: dir })).stdout);
    assert.equal(support.status, 'success');
    const { sessionId } = JSON.parse((await shell(`curl -sS -X POST http://localhost:3001/api/create-session ${data({})}`, { port, cwd: dir })).stdout);
    const session = JSON.parse((await shell(`curl -sS http://localhost:3001/api/chat ${data({ sessionId, message: 'Hi' })}`, { port, cwd: dir })).stdout);
    assert.equal(session.sessionId, sessionId);
    assert.equal(JSON.parse((await shell('curl -sS http://localhost:3001/health', { port, cwd: dir })).stdout).status, 'OK');
  });

  test('a second one on the same port says that it is taken', async () => {
    await assert.rejects(run('sh', [path.join(ROOT, 'deploy/run.sh')], { cwd: dir, timeout: 20000,
      env: { PATH: process.env.PATH, PORT: String(port), PARLEY, PARLEY_ENV: '/dev/null' } }), /taken/);
  });

  test('Ctrl-C stops all of it', async () => {
    process.kill(-child.pid, 'SIGINT');
    assert.equal(await child.ended, 0);
    assert.ok(await eventually(async () => request(`http://127.0.0.1:${port}/`).then(() => false, () => true)));
    const left = (await run('ps', ['-eo', 'pid,args'])).stdout.split('\n').filter((line) => line.includes(dir));
    assert.deepEqual(left, []);
  });
});

test('make install puts a working program below DESTDIR', async (t) => {
  const dest = tempDir(t);
  await run('make', ['-C', ROOT, 'install', `DESTDIR=${dest}`, 'PREFIX=/usr'], { timeout: 300000 });
  const { stdout } = await run(path.join(dest, 'usr/bin/parley'), ['version'], { env: { PATH: process.env.PATH } });
  assert.match(stdout, /\d/);
  assert.ok(fs.existsSync(path.join(dest, 'usr/share/parley/lighttpd.conf')));
});
