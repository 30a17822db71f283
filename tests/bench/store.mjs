// Scenario (f): what a turn, a history and a list of conversations cost with a million messages in the store,
// against the same on an empty one. The reader's own conversations are the same in both.
import { rmSync, copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'node:http';
import { run, cpu_us } from './processes.mjs';
import { parley } from './contestants.mjs';
import { load } from './load.mjs';

const CONVERSATIONS = 50_000;
const MESSAGES_EACH = 20;

/** Of a thousand visitors, in the order in which it would have grown: turns of all conversations mixed. */
const fill = `PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${CONVERSATIONS})
INSERT INTO conversations (public_id, contract, owner_kind, owner_id, title, created_ms, updated_ms)
  SELECT 'conv_fill' || hex(randomblob(12)), '000', 'visitor', 'vis_fill' || (i % 1000), 'A question ' || i,
    1700000000000 + i * 1000, 1700000000000 + i * 1000 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${CONVERSATIONS * MESSAGES_EACH})
INSERT INTO messages (public_id, conversation_id, role, status, reply_to, provider, model, finish, prompt_tokens,
    completion_tokens, total_tokens, created_ms, updated_ms, content)
  SELECT 'msg_fill' || hex(randomblob(12)), 1 + ((i - 1) / 2) % ${CONVERSATIONS},
    CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, 'complete', CASE i % 2 WHEN 0 THEN i - 1 END,
    CASE i % 2 WHEN 0 THEN 'openai' END, CASE i % 2 WHEN 0 THEN 'bench' END, CASE i % 2 WHEN 0 THEN 'stop' END,
    CASE i % 2 WHEN 0 THEN 10 END, CASE i % 2 WHEN 0 THEN 10 END, CASE i % 2 WHEN 0 THEN 20 END,
    1700000000000 + i * 1000, 1700000000000 + i * 1000, 'Words of a message, number ' || i || hex(randomblob(60)) FROM n;
COMMIT; PRAGMA wal_checkpoint(TRUNCATE);`;

const kept = join(import.meta.dirname, '../../build/bench/million.db');

/** A filled store at `path`; it is made once and copied, as long as the schema is the same. */
function fillStore(path) {
  const schema = () => run('sqlite3', [path, 'PRAGMA user_version']).trim();
  if (existsSync(kept) && run('sqlite3', [kept, 'PRAGMA user_version']).trim() !== schema()) rmSync(kept);
  if (!existsSync(kept)) {
    run('sqlite3', [path, fill]);
    copyFileSync(path, kept);
  }
  for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
  copyFileSync(kept, path);
}

function ask(port, path, { method = 'GET', body, cookie } = {}) {
  return new Promise((resolve, reject) => {
    const headers = { ...(body && { 'Content-Type': 'application/json' }), ...(cookie && { Cookie: cookie }) };
    request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (reply) => {
      let text = '';
      reply.on('data', (bytes) => (text += bytes)).on('end', () =>
        reply.statusCode === 200
          ? resolve({ text, cookie: reply.headers['set-cookie']?.[0].split(';')[0] })
          : reject(new Error(`${path}: ${reply.statusCode} ${text.slice(0, 200)}`)));
    }).once('error', reject).end(body);
  });
}

/** Ten conversations of three turns, under one cookie. */
async function ownConversations(port) {
  const say = (more) => JSON.stringify({ message: 'bench 1 n=5 d=0', ...more });
  let cookie, id;
  for (let i = 0; i < 10; i++) {
    const first = await ask(port, '/api/chat', { method: 'POST', body: say({}), cookie });
    cookie ??= first.cookie;
    id = JSON.parse(first.text).conversation_id;
    for (let turn = 0; turn < 2; turn++)
      await ask(port, '/api/chat', { method: 'POST', body: say({ conversation_id: id }), cookie });
  }
  return { cookie, id };
}

/** CPU of one request of many, in milliseconds. */
async function costOf(target, count, path, cookie) {
  for (let i = 0; i < 20; i++) await ask(target.port, path, { cookie });
  const before = cpu_us(target.measured.pid);
  for (let i = 0; i < count; i++) await ask(target.port, path, { cookie });
  return (cpu_us(target.measured.pid) - before) / count / 1000;
}

async function measure(first, filled, quick) {
  let target = first;
  try {
    if (filled) {
      await ownConversations(target.port); // whoever answers has made the schema
      await target.stop();
      for (const table of ['messages', 'conversations']) run('sqlite3', [target.store, `DELETE FROM ${table}`]);
      fillStore(target.store);
      rmSync(target.socket, { force: true });
      target = await parley.start({ dir: target.dir, provider: target.provider });
    }
    const { cookie, id } = await ownConversations(target.port);
    const list = await costOf(target, quick ? 200 : 500, '/api/conversations', cookie);
    const history = await costOf(target, quick ? 200 : 500, `/api/conversations/${id}`, cookie);
    const found = await load(target, { streams: 16, deltas: 20, pace: 0, warm: 5, seconds: quick ? 3 : 6 });
    return {
      'CPU per turn, ms': found.cpu_us / found.replies / 1000, 'CPU per list, ms': list, 'CPU per history, ms': history,
      'first p50, ms': found.first_p50_us / 1000, failures: found.failed, complaints: found.complaints,
    };
  } finally {
    if (target !== first) await target.stop();
  }
}

export const store = {
  title: 'A store with 1,000,000 messages in 50,000 conversations, against an empty one',
  plot: 'CPU per turn, ms',
  who: (one) => one.name === 'Parley',
  cases: (quick) => [false, true].map((filled) => ({
    name: filled ? 'a million messages' : 'empty store',
    measure: (target) => measure(target, filled, quick),
  })),
};
