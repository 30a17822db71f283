/*
 * The native additions: a visitor's conversations, other answers, feedback and export; what is sent twice.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

/* Somebody with a browser: keeps cookies. */
function visitor() {
  const jar = new Map();
  const send = async (where, options = {}) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const reply = await parley.request(where, { ...options, headers: { ...(cookie && { Cookie: cookie }), ...options.headers } });
    for (const line of reply.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      jar.set(name, value);
    }
    return reply;
  };
  return {
    get: (where) => send(where),
    post: (where, json, headers) => send(where, { method: 'POST', json, headers }),
    patch: (where, json) => send(where, { method: 'PATCH', json }),
    remove: (where) => send(where, { method: 'DELETE' }),
  };
}

const titles = (reply) => reply.json.conversations.map((one) => one.title);
const texts = (reply) => reply.json.messages.map((one) => `${one.role}: ${one.content}`);

test('a visitor lists, searches, renames and deletes what is his own', async () => {
  const [ann, bob] = [visitor(), visitor()];
  for (const fruit of ['Apples', 'Pears', 'Plums']) await ann.post('/api/chat', { message: `${fruit} mock:deltas=1,text=${fruit}-juice` });
  await bob.post('/api/chat', { message: 'Bob mock:' });
  const list = await ann.get('/api/conversations');
  assert.deepEqual(titles(list).map((one) => one.split(' ')[0]), ['Plums', 'Pears', 'Apples']);
  assert.equal(list.json.next, null);
  assert.equal(titles(await bob.get('/api/conversations')).length, 1);
  assert.equal(titles(await visitor().get('/api/conversations')).length, 0);

  const first = await ann.get('/api/conversations?limit=2');
  assert.equal(titles(first).length, 2);
  const rest = await ann.get(`/api/conversations?limit=2&cursor=${first.json.next}`);
  assert.deepEqual([...titles(first), ...titles(rest)], titles(list));
  assert.equal(rest.json.next, null);

  const found = await ann.get('/api/conversations?q=pears-JUICE');
  assert.equal(found.json.query, 'pears-JUICE');
  assert.equal(titles(found).length, 1);
  const { id } = found.json.conversations[0];
  assert.equal((await ann.patch(`/api/conversations/${id}`, { title: '  My\n pears ' })).json.title, 'My  pears');
  assert.equal(titles(await ann.get('/api/conversations?q=my')).length, 1);
  assert.equal((await ann.patch(`/api/conversations/${id}`, { title: 'Öl & 100 % Äpfel' })).status, 200);
  for (const [query, count] of [['öl', 1], ['äPFEL', 1], ['% ä', 1], ['%äpfel', 0], ['_pfel', 0]])
    assert.equal(titles(await ann.get(`/api/conversations?q=${encodeURIComponent(query)}`)).length, count, query);
  for (const title of [null, 1, '', ' ', 'x'.repeat(121)]) {
    const reply = await ann.patch(`/api/conversations/${id}`, { title });
    assert.deepEqual([reply.status, reply.json.field], [400, 'title'], JSON.stringify(title));
  }
  assert.equal((await ann.remove(`/api/conversations/${id}`)).status, 200);
  assert.equal((await ann.get(`/api/conversations/${id}`)).status, 404);
  assert.equal(titles(await ann.get('/api/conversations')).length, 2);
  assert.equal((await parley.sql(`SELECT count(*) AS n FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id WHERE c.public_id = '${id}'`))[0].n, 0);
});

test('parameters of a list that make no sense are refused by name', async () => {
  for (const query of ['limit=101', 'limit=-1', 'cursor=abc', 'cursor=1-', 'cursor=99999999999999999999-1', `q=${'x'.repeat(900)}`]) {
    const reply = await parley.get(`/api/conversations?${query}`);
    assert.deepEqual([reply.status, reply.json.field], [400, query.split('=')[0]], query);
  }
});

test('a title is the beginning of the first question, cut where a word ends', async () => {
  const { json } = await parley.post('/api/chat', { message: 'What is the capital of France,\nand why do they call it the city of light? mock:' });
  await parley.post('/api/chat', { message: 'more mock:', conversation_id: json.conversation_id });
  const reply = await parley.get(`/api/conversations/${json.conversation_id}`);
  assert.equal(reply.json.title, 'What is the capital of France, and why do they call it the…');
});

test('regenerate: the model sees the history up to the question, the new answer counts, the old one stays', async () => {
  const first = (await parley.post('/api/chat', { message: 'again-1 mock:deltas=1,text=one' })).json;
  const id = first.conversation_id;
  await parley.post('/api/chat', { message: 'again-2 mock:deltas=1,text=two', conversation_id: id });
  let n = 0, broken = false;
  mock.script((call) => (call.question.startsWith('again-2') ? (broken ? { status: 400 } : { deltas: 1, text: `new${++n}` }) : undefined));
  const reply = await parley.post(`/api/conversations/${id}/regenerate`, {});
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.json.response, 'new1');
  assert.equal(reply.json.conversation_id, id);
  const call = mock.calls('again-2').at(-1);
  assert.deepEqual(call.messages.slice(1).map((m) => m.content.split(' ')[0]), ['again-1', 'one', 'again-2']);

  const stream = await parley.stream(`/api/conversations/${id}/regenerate`, {}, { headers: { Accept: 'text/event-stream' } });
  await stream.ended;
  assert.equal(stream.text, 'new2');
  assert.equal(stream.first.conversation_id, id);
  assert.equal(stream.last.finish_reason, 'stop');
  assert.deepEqual(texts(await parley.get(`/api/conversations/${id}`)).slice(2), ['user: again-2 mock:deltas=1,text=two', 'assistant: new2']);
  broken = true;
  assert.equal((await parley.post(`/api/conversations/${id}/regenerate`, {})).status, 502);
  assert.deepEqual(texts(await parley.get(`/api/conversations/${id}`)).slice(3), ['assistant: new2'], 'a failure hides the answer that there was');
  assert.doesNotMatch((await parley.get(`/api/conversations/${id}/export?format=markdown`)).text, /failed/);
  assert.equal((await parley.get(`/api/conversations/${id}?all=1`)).json.messages.length, 7);

  await parley.post('/api/chat', { message: 'again-3 mock:', conversation_id: id });
  assert.deepEqual(mock.calls('again-3').at(-1).messages.slice(1).map((m) => m.content.split(' ')[0]), ['again-1', 'one', 'again-2', 'new2', 'again-3']);
});

test('regenerate may name another provider, and refuses what is not there', async () => {
  const { conversation_id: id } = (await parley.post('/api/chat', { message: 'other mock:' })).json;
  assert.equal((await parley.post(`/api/conversations/${id}/regenerate`, { provider: 'demo' })).json.provider, 'demo');
  for (const [body, code] of [[{ provider: 'x' }, 'unknown_provider'], [{ model: 'x' }, 'unknown_model'], [{ stream: 1 }, 'invalid_field'], [[], 'invalid_json']]) {
    const reply = await parley.post(`/api/conversations/${id}/regenerate`, body);
    assert.deepEqual([reply.status, reply.json.code], [400, code]);
  }
});

test('regenerate and continue answer in the contract of the conversation', async () => {
  await parley.post('/api/chat/simple', { user_id: 'contract', message: 'kept mock:' });
  const [{ id }] = await parley.sql("SELECT public_id AS id FROM conversations WHERE user_id = 'contract'");
  const stream = await parley.stream(`/api/conversations/${id}/regenerate`, {});
  await stream.ended;
  assert.equal(stream.first.user_id, 'contract');
  const { sessionId } = (await parley.post('/api/create-session', {})).json;
  await parley.post('/api/chat', { sessionId, message: 'kept mock:finish=length' });
  const reply = await parley.post(`/api/conversations/${sessionId}/regenerate`, {});
  assert.equal(reply.json.sessionId, sessionId);
});

test('continue goes on from the stored text, once, and the model later sees one answer', async () => {
  const first = (await parley.post('/api/chat', { message: 'cut mock:deltas=2,finish=length' })).json;
  assert.equal(first.finish_reason, 'length');
  const [a, b] = await Promise.all([1, 2].map(async () => {
    const stream = await parley.stream(`/api/messages/${first.message_id}/continue`, {}, { headers: { Accept: 'text/event-stream' } });
    return stream.ended;
  }));
  assert.equal(a.last.message_id, b.last.message_id);
  assert.notEqual(a.last.message_id, first.message_id);
  const calls = mock.calls('Go on from exactly where it ends');
  assert.equal(calls.length, 1);
  assert.deepEqual(calls[0].messages.slice(1).map((m) => m.role), ['user', 'assistant', 'user']);
  assert.equal(calls[0].messages[2].content, 'w0 w1 ');

  const { json } = await parley.get(`/api/conversations/${first.conversation_id}`);
  assert.equal(json.messages.length, 3);
  assert.equal(json.messages[2].continues, first.message_id);
  await parley.post('/api/chat', { message: 'after the seam mock:', conversation_id: first.conversation_id });
  const call = mock.calls('after the seam')[0];
  assert.deepEqual(call.messages.slice(1).map((m) => m.role), ['user', 'assistant', 'user']);
  assert.equal(call.messages[2].content, `w0 w1 ${a.text}`);
  const late = await parley.post(`/api/messages/${a.last.message_id}/continue`, {});
  assert.deepEqual([late.status, late.json.code], [409, 'answer_superseded']);
});

test('a first send that is repeated finds the answer of the first, and the model is asked once', async () => {
  for (const [name, one, two] of [['visitor', ...Array(2).fill(visitor())], ['newcomer', parley, parley]]) {
    const body = { message: `twice ${name} mock:`, client_message_id: `c_${name}_0123456789abcdef` };
    const first = await one.post('/api/chat', body);
    const second = await two.post('/api/chat', body);
    assert.equal(second.json.message_id, first.json.message_id, name);
    assert.equal(second.json.conversation_id, first.json.conversation_id);
    assert.equal(second.json.response, first.json.response);
    assert.equal(mock.calls(`twice ${name}`).length, 1);
  }
});

test('the provider was asked twice when the very first reply of a newcomer got lost with his cookie', async () => {
  const body = { message: 'newcomer mock:deltas=30,delay=10', client_message_id: '0d9f4c1e-77aa-4b0e-9f44-newcomer' };
  const lost = await parley.stream('/api/chat/stream', body);
  lost.abort();
  const [first, second] = await Promise.all([parley.post('/api/chat', body), parley.post('/api/chat', body)]);
  assert.equal(first.json.response.split(' ').length, 31);
  assert.equal(second.json.message_id, first.json.message_id);
  assert.equal(mock.calls('newcomer mock:deltas=30').length, 1);
  const cookies = [first, second].map((reply) => reply.headers['set-cookie']);
  assert.deepEqual(cookies.map((lines) => lines.length), [1, 1]);
  assert.equal(cookies[0][0].split(';')[0], cookies[1][0].split(';')[0]);
  const list = await parley.request('/api/conversations', { headers: { Cookie: cookies[0][0].split(';')[0] } });
  assert.deepEqual(list.json.conversations.map((one) => one.id), [first.json.conversation_id]);
  /* who knows the id but not the text is somebody else, and gets no other's cookie */
  const other = await parley.post('/api/chat', { ...body, message: 'something else mock:' });
  assert.notEqual(other.json.conversation_id, first.json.conversation_id);
  assert.notEqual(other.headers['set-cookie'][0].split(';')[0], cookies[0][0].split(';')[0]);
});

test('regenerate and continue may be polled, too', async () => {
  const poll = async ({ status, json, text }) => {
    assert.equal(status, 202, text);
    const { json: whole } = await parley.get(`/api/messages/${json.message_id}?wait=10&after=0`);
    let last = whole;
    while (!last.done) last = (await parley.get(`/api/messages/${json.message_id}?wait=10&after=${last.next}`)).json;
    return { id: json.message_id, conversation_id: json.conversation_id, status: last.status };
  };
  const { json: begun } = await parley.post('/api/chat', { message: 'polled again mock:deltas=3' });
  const anew = await poll(await parley.post(`/api/conversations/${begun.conversation_id}/regenerate`, { deliver: 'poll' }));
  assert.deepEqual([anew.status, anew.conversation_id], ['complete', begun.conversation_id]);
  const cut = await parley.stream('/api/chat/stream', { message: 'polled on mock:deltas=200,delay=20' });
  await cut.until((s) => s.deltas.length >= 2);
  await parley.post('/api/chat/stop', { message_id: cut.first.message_id });
  await cut.ended;
  mock.script((call) => (String(call.question).startsWith('Your last answer was cut off') ? { deltas: 2 } : undefined));
  const on = await poll(await parley.post(`/api/messages/${cut.first.message_id}/continue`, { deliver: 'poll' }));
  assert.equal(on.status, 'complete');
  for (const where of [`/api/conversations/${begun.conversation_id}/regenerate`, `/api/messages/${on.id}/continue`])
    assert.deepEqual((({ status, json }) => [status, json.field])(await parley.post(where, { deliver: 'pigeon' })), [400, 'deliver']);
});

test('feedback is kept with the message and shown with it', async () => {
  const { message_id, conversation_id } = (await parley.post('/api/chat', { message: 'rate mock:' })).json;
  for (const body of [{}, { rating: 0 }, { rating: '1' }, { rating: 1.5 }, { rating: 1, comment: 7 }, { rating: 1, comment: 'x'.repeat(2001) }]) {
    const reply = await parley.post(`/api/messages/${message_id}/feedback`, body);
    assert.equal(reply.status, 400, JSON.stringify(body).slice(0, 60));
  }
  const reply = await parley.post(`/api/messages/${message_id}/feedback`, { rating: -1, comment: ' too\u0000 short ' });
  assert.deepEqual(reply.json, { status: 'success', message_id, rating: -1 });
  assert.deepEqual(await parley.sql(`SELECT rating, comment FROM feedback AS f JOIN messages AS m ON m.id = f.message_id WHERE m.public_id = '${message_id}'`),
    [{ rating: -1, comment: 'too short' }]);
  const [question, answer] = (await parley.get(`/api/conversations/${conversation_id}`)).json.messages;
  assert.equal(answer.rating, -1);
  assert.equal((await parley.post(`/api/messages/${question.id}/feedback`, { rating: 1 })).status, 404);
});

test('export: a file with its name, as JSON and as Markdown', async () => {
  const { conversation_id: id } = (await parley.post('/api/chat', { message: 'Grüße "you"; mock:deltas=1,text=**bold**' })).json;
  const json = await parley.get(`/api/conversations/${id}/export`);
  assert.equal(json.json.messages[1].content, '**bold**');
  const name = /^attachment; filename="conversation-\d{4}-\d\d-\d\d\.json"; filename\*=UTF-8''(.+)\.json$/.exec(json.headers['content-disposition'])[1];
  assert.equal(decodeURIComponent(name), json.json.title);
  const markdown = await parley.get(`/api/conversations/${id}/export?format=markdown`);
  assert.match(markdown.headers['content-type'], /^text\/markdown/);
  assert.match(markdown.headers['content-disposition'], /\.md$/);
  assert.match(markdown.text, /^# Grüße "you"; .*\n\n.*\n\n## You\n\n.*\n\nGrüße .*\n\n## Assistant\n\n.*\n\n\*\*bold\*\*\n$/);
});

test('many equal sends at the same moment: one question, one answer for all', async () => {
  const ann = visitor();
  const { conversation_id } = (await ann.post('/api/chat', { message: 'crowd mock:' })).json;
  const body = { message: 'all at once mock:deltas=5,delay=20', conversation_id, client_message_id: 'c_crowd_0123456789' };
  const replies = await Promise.all(Array.from({ length: 12 }, () => parley.post('/api/chat', body)));
  assert.equal(new Set(replies.map((one) => one.json.message_id)).size, 1);
  assert.deepEqual(new Set(replies.map((one) => one.json.response)), new Set(['w0 w1 w2 w3 w4 ']));
  assert.equal(mock.calls('all at once').length, 1);
});

for (const workers of [1, 2]) {
  test(`a conversation that is deleted while it is answered: the answer stops, and the provider is left, ${workers} workers`, async (t) => {
    const own = await startParley({ mock, workers });
    t.after(() => own.stop());
    const streams = await Promise.all(Array.from({ length: 4 }, async (_, i) => {
      const stream = await own.stream('/api/chat/stream', { message: `erase ${workers}-${i} mock:deltas=1000,delay=20` });
      return stream.until((s) => s.deltas.length > 2);
    }));
    for (const [i, stream] of streams.entries()) {
      const call = await mock.waitCall(`erase ${workers}-${i}`);
      const reply = await own.request(`/api/conversations/${stream.first.conversation_id}`, { method: 'DELETE' });
      assert.equal(reply.status, 200);
      await call.left;
      await stream.ended;
      assert.ok(stream.last.done);
      assert.equal((await own.get(`/api/messages/${stream.first.message_id}`)).status, 404);
    }
  });
}
