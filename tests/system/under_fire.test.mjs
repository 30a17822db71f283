/*
 * The crash test: clients chat with resume while workers are killed with SIGKILL at random moments; then every
 * answer is checked against what the mock provider sent and what the store holds.
 *
 *   PARLEY_FIRE_SECONDS   how long (6; 60 is the full test)
 *   PARLEY_FIRE_CLIENTS   how many clients at once (40; 100 is the full test)
 *   PARLEY_FIRE_SEED      of the moments at which workers die
 *
 * 0 lost questions, 0 lost `done` answers, 0 wrong characters; the share of turns that ended interrupted is
 * printed, because a killed worker's provider connection is gone with it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { eventually, startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const SECONDS = Number(process.env.PARLEY_FIRE_SECONDS ?? 6);
const CLIENTS = Number(process.env.PARLEY_FIRE_CLIENTS ?? 40);
const KILL_EVERY_MS = 1000;
const LEASE_MS = 6000;
const DELTAS = 40, DELAY = 20;
const WHOLE = Array.from({ length: DELTAS }, (_, i) => `w${i} `).join('');

let seed = Number(process.env.PARLEY_FIRE_SEED ?? 20261121);
/* mulberry32: the same moments for the same seed */
function random() {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: 'nginx', workers: 3, env: { DISCONNECT_GRACE_SECONDS: -1 } });
});
after(async () => { await parley?.stop(); await mock?.stop(); });

/* One turn as a patient client has it: ask, again if nothing came of it, without a cookie but with the same
 * client_message_id, and come back with the offset until the answer has ended. */
async function turn(name) {
  const outcome = { name, id: null, text: '', end: null, resumed: 0, repeated: 0 };
  const take = async (stream) => {
    outcome.id ??= stream.first?.message_id;
    const before = outcome.text;
    await stream.ended;
    outcome.id ??= stream.first?.message_id;
    outcome.text = before + stream.text;
    outcome.end = stream.last ?? null;
  };
  const deadline = Date.now() + LEASE_MS + 10000;
  const question = { message: `${name} mock:deltas=${DELTAS},delay=${DELAY},first=200`, client_message_id: crypto.randomUUID() };
  let stream;
  for (; outcome.id === null && outcome.end === null && Date.now() < deadline; outcome.repeated++) {
    if (outcome.repeated > 0) await sleep(50);
    stream = await parley.stream('/api/chat/stream', question).catch(() => null);
    if (stream?.status === 200) await take(stream);
    else if (stream?.json?.code === 'interrupted') outcome.end = stream.json; /* the first send was lost with its worker, before a word */
  }
  while (outcome.end === null && outcome.id && Date.now() < deadline) {
    outcome.resumed++;
    stream = await parley.stream(`/api/chat/stream/${outcome.id}?after=${Buffer.byteLength(outcome.text)}`, undefined, { method: 'GET' }).catch(() => null);
    if (stream === null || stream.status !== 200) await sleep(50);
    else await take(stream);
  }
  return outcome;
}

test(`${CLIENTS} clients for ${SECONDS} s, a worker killed every second`, { timeout: (SECONDS + 60) * 1000 }, async (t) => {
  const until = Date.now() + SECONDS * 1000;
  const outcomes = [];
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let n = 0; Date.now() < until; n++) outcomes.push(await turn(`fire ${client}.${n}`));
  });
  let kills = 0;
  while (Date.now() < until) {
    await sleep(KILL_EVERY_MS * (0.5 + random()));
    const pids = parley.workerPids().filter((pid) => pid !== parley.pid); /* the master alone: nobody to kill */
    if (pids.length === 0) continue;
    try { process.kill(pids[Math.floor(random() * pids.length)], 'SIGKILL'); kills++; } catch { /* it died by itself */ }
  }
  await Promise.all(clients);

  assert.ok(await eventually(async () => (await parley.sql("SELECT count(*) AS n FROM messages WHERE status = 'streaming'"))[0].n === 0, LEASE_MS + 8000, 100),
    'rows are streaming after their leases have ended');
  const rows = new Map((await parley.sql("SELECT public_id, status, content FROM messages WHERE role = 'assistant'")).map((row) => [row.public_id, row]));
  const questions = new Set((await parley.sql("SELECT content FROM messages WHERE role = 'user'")).map((row) => row.content.split(' mock:')[0]));
  const done = outcomes.filter((outcome) => outcome.end && !outcome.end.error);
  const interrupted = outcomes.filter((outcome) => outcome.end?.code === 'interrupted');

  for (const outcome of outcomes) {
    assert.ok(WHOLE.startsWith(outcome.text), `${outcome.name} has wrong characters: ${outcome.text}`);
    assert.ok(questions.has(outcome.name), `the question of ${outcome.name} is lost`);
    assert.ok(mock.calls(`${outcome.name} mock:`).length <= 1, `${outcome.name} was asked twice`);
    if (!outcome.id) continue;
    const row = rows.get(outcome.id);
    assert.ok(row, `the row of ${outcome.name} is lost`);
    assert.ok(WHOLE.startsWith(row.content), `${outcome.name} is stored wrong: ${row.content}`);
  }
  for (const outcome of done) {
    assert.equal(outcome.text, WHOLE, `${outcome.name} ended whole but is not`);
    assert.deepEqual(rows.get(outcome.id), { public_id: outcome.id, status: 'complete', content: WHOLE });
  }
  const [{ n: asked }] = await parley.sql("SELECT count(*) AS n FROM messages WHERE role = 'user'");
  assert.equal(rows.size, asked, 'questions and answers differ in number');
  const [check] = await parley.sql('PRAGMA integrity_check');
  assert.equal(check.integrity_check, 'ok');
  const accepted = outcomes.filter((outcome) => outcome.end).length;
  assert.equal(asked, outcomes.length, 'a question that was sent again is there twice');
  t.diagnostic(`${kills} kills, ${outcomes.length} turns, ${accepted} accepted, ${done.length} done, ${interrupted.length} interrupted `
    + `(${(100 * interrupted.length / Math.max(1, accepted)).toFixed(1)} %), ${outcomes.filter((o) => o.resumed).length} resumed, `
    + `${outcomes.filter((o) => o.repeated > 1).length} sent again`);
  assert.ok(kills > 0 && done.length > 0 && interrupted.length > 0);
  assert.equal(done.length + interrupted.length, accepted, 'a turn neither ended nor was interrupted');
});
