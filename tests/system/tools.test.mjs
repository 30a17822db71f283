/*
 * Tools in ordinary chats: the model calls, the server runs the tool and asks again; over every format, and whatever
 * happens meanwhile.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually, PARLEY, startParley } from './harness.mjs';
import { events, frame, startResponsesMock, wrap } from './mock_responses.mjs';

const CHAT = '/v1/chat/completions';
const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const usage = (prompt, completion) => `data: ${JSON.stringify({ id: 'c', choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion } })}\n\ndata: [DONE]\n\n`;
const say = (...pieces) => [...pieces.map((content) => chunk({ content })), chunk({}, 'stop'), usage(20, 2)];
const call = (name, args, ...before) => [...before.map((content) => chunk({ content })),
  chunk({ tool_calls: [{ index: 0, id: 'call_x', type: 'function', function: { name, arguments: '' } }] }),
  ...JSON.stringify(args).match(/.{1,5}/gu).map((piece) => chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
  chunk({}, 'tool_calls'), usage(10, 1)];
const PLACE = { location: 'Köln', unit: 'celsius' };
const DONE = { type: 'tool_call', index: 0, at: 0, name: 'get_weather', arguments: PLACE, result: { temperature: 21.5 } };

let mock, parley;
const scripts = []; /* replies of the next rounds over Chat Completions: a list, or what to do */
const usual = new Map();
const ask = async (message, more = {}) => (await parley.stream('/api/chat/stream', { message, tool_calls: true, ...more })).ended;
const tools = (stream) => stream.frames.filter((one) => one.json?.tool).map((one) => one.json.tool);
const rounds = () => mock.of(CHAT).map((one) => one.json);
const row = async (id) => (await parley.sql(`SELECT * FROM messages WHERE public_id = '${id}'`))[0];
const started = async (message) => {
  const stream = await parley.stream('/api/chat/stream', { message, tool_calls: true });
  await stream.until(() => tools(stream).length > 0);
  return stream;
};

before(async () => {
  mock = await startResponsesMock();
  mock.on(`POST ${CHAT}`, (one, res) => {
    const next = scripts.shift() ?? say('You said nothing new.');
    if (typeof next === 'function') return next(one, res);
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const piece of next) res.write(piece);
    return res.end();
  });
  for (const [what, handler] of mock.handlers) usual.set(what, handler);
  parley = await startParley({ workers: 2, env: { ...mock.env, TOOLS: 'get_weather, get_joke', TOOL_ROUNDS: 2, TOOL_CACHE_SECONDS: 0,
    RESPONSE_CACHE_TTL: 60, PROVIDERS: 'resp', PROVIDER_RESP_KIND: 'openai_responses', PROVIDER_RESP_BASE: `${mock.url}/v1`, PROVIDER_RESP_API_KEY: 'k', PROVIDER_RESP_MODEL: 'm',
    ANTHROPIC_API_KEY: 'ak', ANTHROPIC_API_BASE: mock.url, PROVIDER_FAILOVER: 'anthropic', DISCONNECT_GRACE_SECONDS: 0, ANSWER_TIMEOUT_MS: 3000,
    DEMO_DELAY_MS: 0, BREAKER_FAILURES: 0 } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

/* A weather service that does not answer until it is let go. */
function slowWeather() {
  let go;
  const waiting = new Promise((resolve) => { go = resolve; });
  const asked = new Promise((resolve) => {
    mock.on('GET /wx/forecast', async (one, res, json) => {
      resolve(one);
      await waiting;
      usual.get('GET /wx/forecast')(one, res, json);
    });
  });
  return { asked, go, back: () => { go(); mock.on('GET /wx/forecast', usual.get('GET /wx/forecast')); } };
}

describe('tools in ordinary chats', () => {
  test('Chat Completions: the call is run, shown, stored, and what came of it goes back to the model', async () => {
    scripts.push(call('get_weather', PLACE, 'Let me ', 'look.'), say('It is ', '21.5°.'));
    const stream = await ask('weather one');
    assert.equal(stream.text, 'Let me look.\n\nIt is 21.5°.');
    const at = Buffer.byteLength('Let me look.');
    const { result, ...running } = { ...DONE, at };
    assert.deepEqual(tools(stream), [running, { ...running, result }]);
    for (const one of stream.frames.filter((frame_) => frame_.json?.tool)) {
      assert.deepEqual(Object.keys(one.json), ['tool', 'content', 'done']);
      assert.equal(one.id, `${stream.last.message_id}:${at}`);
    }
    const kinds = stream.frames.map((one) => (one.json?.tool ? 'tool' : one.json?.content ? 'text' : '')).join(' ').trim();
    assert.match(kinds, /^text( text)? tool tool text( text)*$/, 'each in its place');

    const [first, second] = rounds().slice(-2);
    assert.deepEqual(first.tools.map((tool) => tool.function.name), ['get_weather', 'get_joke']);
    assert.equal(first.tool_choice, undefined);
    assert.deepEqual(second.messages.slice(-4).map((one) => one.role), ['user', 'assistant', 'assistant', 'tool']);
    assert.equal(second.messages.at(-3).content, 'Let me look.');
    assert.deepEqual(JSON.parse(second.messages.at(-2).tool_calls[0].function.arguments), PLACE);
    assert.equal(second.messages.at(-1).content, '{"temperature":21.5}');
    assert.equal(second.messages.at(-1).tool_call_id, second.messages.at(-2).tool_calls[0].id);

    assert.deepEqual(stream.last.usage, { prompt_tokens: 30, completion_tokens: 3, total_tokens: 33 });
    const kept = await row(stream.last.message_id);
    assert.deepEqual([kept.content, kept.status, kept.total_tokens], [stream.text, 'complete', 33]);
    const [day] = await parley.sql('SELECT sum(prompt_tokens) AS p, sum(completion_tokens) AS c FROM usage_by_day');
    assert.deepEqual(day, { p: 30, c: 3 });
  });

  test('it stands in the conversation, in both exports, and goes with it; later turns work', async () => {
    scripts.push(call('get_weather', PLACE), say('Warm.'));
    const stream = await ask('weather two');
    const id = stream.first.conversation_id;
    const view = (await parley.get(`/api/conversations/${id}`)).json;
    assert.deepEqual(view.messages.map((one) => one.tool_calls), [undefined, [DONE]]);
    const whole = await parley.get(`/api/conversations/${id}/export?format=json`);
    assert.deepEqual(whole.json.messages[1].tool_calls, [DONE]);
    const text = (await parley.get(`/api/conversations/${id}/export?format=markdown`)).text;
    assert.match(text, /> Tool `"get_weather"` `\{"location":"Köln","unit":"celsius"\}`: `\{"temperature":21\.5\}`\n\nWarm\./);
    scripts.push(say('You are welcome.'));
    assert.equal((await ask('thanks', { conversation_id: id })).text, 'You are welcome.');
    assert.deepEqual(rounds().at(-1).messages.slice(-3).map((one) => one.content), ['weather two', 'Warm.', 'thanks']);
    await parley.request(`/api/conversations/${id}`, { method: 'DELETE' });
    const [left] = await parley.sql(`SELECT count(*) AS n FROM items WHERE message_id NOT IN (SELECT id FROM messages)`);
    assert.equal(left.n, 0);
  });

  test('nobody who did not ask sees a frame more than before, and the wish must be true or false', async () => {
    for (const more of [{ tool_calls: undefined }, { tool_calls: false }, { tool_calls: undefined, user_id: 'u1' }]) {
      scripts.push(call('get_weather', PLACE), say('Plain.'));
      const stream = await ask('plain', more);
      assert.equal(stream.text, 'Plain.');
      assert.ok(!stream.raw.includes('tool'), stream.raw);
    }
    scripts.push(call('get_weather', PLACE), say('Whole.'));
    const whole = await parley.post('/v1/chat/completions', { model: 'mock-model', messages: [{ role: 'user', content: 'openai' }] });
    if (whole.status === 200) assert.ok(!whole.text.includes('get_weather'));
    else scripts.length = 0;
    const wrong = await parley.post('/api/chat', { message: 'x', tool_calls: 'yes' });
    assert.deepEqual([wrong.status, wrong.json.field ?? wrong.json.code], [400, 'tool_calls']);
  });

  test('Anthropic, Responses and the demo go round in the same way', async () => {
    const claude = (type, data = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
    mock.on('POST /v1/messages', (one, res) => {
      const result = one.json.messages.at(-1).content?.[0]?.type === 'tool_result' && one.json.messages.at(-1).content[0];
      const block = (content_block, deltas) => [claude('content_block_start', { index: 0, content_block }),
        ...deltas.map((delta) => claude('content_block_delta', { index: 0, delta })), claude('content_block_stop', { index: 0 })];
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.end([claude('message_start', { message: { model: 'claude-x', usage: { input_tokens: 10 } } }),
        ...result ? block({ type: 'text', text: '' }, [{ type: 'text_delta', text: `Got ${result.content}` }])
          : block({ type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {} }, ['{"location":"K', 'öln","unit":', '"celsius"}'].map((partial_json) => ({ type: 'input_json_delta', partial_json }))),
        claude('message_delta', { delta: { stop_reason: result ? 'end_turn' : 'tool_use' }, usage: { output_tokens: 1 } }), claude('message_stop')].join(''));
    });
    mock.answer(() => events.call('get_weather', PLACE));
    mock.answer((one) => events.text('Got ', one.json.input.at(-1).output));
    for (const [provider, question, answer, total] of [['anthropic', 'w', 'Got {"temperature":21.5}', 22], ['resp', 'w', 'Got {"temperature":21.5}', 56],
      ['demo', `/call get_weather ${JSON.stringify(PLACE)}`, 'The function answered: {"temperature":21.5}', null]]) {
      const stream = await ask(question, { provider });
      assert.equal(stream.text, answer, provider);
      assert.deepEqual(tools(stream).at(-1), DONE, provider);
      if (total) assert.equal(stream.last.usage.total_tokens, total, provider);
    }
    const claudes = mock.of('/v1/messages').at(-1).json;
    assert.deepEqual(claudes.messages.map((one) => one.role), ['user', 'assistant', 'user']);
    assert.equal(claudes.messages[1].content[0].id, claudes.messages[2].content[0].tool_use_id);
  });

  test('after TOOL_ROUNDS the model is asked for words; one that insists gets its last call left undone', async () => {
    scripts.push(call('get_weather', PLACE), call('get_joke', {}), say('Enough.'));
    const stream = await ask('two calls');
    assert.deepEqual(tools(stream).filter((one) => one.result).map((one) => [one.index, one.name]), [[0, 'get_weather'], [1, 'get_joke']]);
    assert.deepEqual(rounds().slice(-3).map((one) => one.tool_choice), [undefined, undefined, 'none']);
    assert.equal(stream.text, 'Enough.');
    scripts.push(call('get_joke', {}), call('get_joke', {}), call('get_joke', {}, 'And one more.'));
    const stubborn = await ask('stubborn');
    assert.deepEqual([stubborn.text, stubborn.last.finish_reason, tools(stubborn).filter((one) => one.result).length], ['And one more.', 'tool_calls', 2]);
  });

  test('a tool that fails, and one that was made up, are answered with an error that model and reader see', async () => {
    scripts.push(call('get_weather', { location: 'Nowhere', unit: 'celsius' }), call('launch_rocket', { now: true }), say('Sorry.'));
    const stream = await ask('bad tools');
    const over = tools(stream).filter((one) => 'error' in one);
    assert.deepEqual(over.map((one) => one.error), ['Invalid location', 'There is no such tool.']);
    assert.equal(rounds().at(-1).messages.at(-1).content, '{"error":"There is no such tool."}');
    assert.equal(stream.text, 'Sorry.');
  });

  test('a reader who comes back sees the calls again, from either worker, running or over', async () => {
    const weather = slowWeather();
    scripts.push(call('get_weather', PLACE, 'Hm.'), say('Mild.'));
    const stream = await started('resume me');
    const id = stream.first.message_id;
    await weather.asked;
    const others = await Promise.all(Array.from({ length: 4 }, () => parley.stream(`/api/chat/stream/${id}?after=0&tool_calls=true`, undefined, { method: 'GET' })));
    weather.back();
    for (const one of [stream, ...others]) {
      await one.ended;
      assert.equal(one.text, 'Hm.\n\nMild.');
      assert.deepEqual(tools(one).at(-1), { ...DONE, at: 3 });
    }
    const later = await (await parley.stream(`/api/chat/stream/${id}?after=4&tool_calls=true`, undefined, { method: 'GET' })).ended;
    assert.deepEqual([tools(later).length, later.text], [0, '\nMild.']);
    const polled = (await parley.get(`/api/messages/${id}?tool_calls=true`)).json;
    assert.deepEqual(polled.tool_calls, [{ ...DONE, at: 3 }]);
    assert.equal((await parley.get(`/api/messages/${id}`)).json.tool_calls, undefined);
  });

  test('a call is shown while its tool runs, also when more came together with the end of the reply', async () => {
    const weather = slowWeather();
    mock.answer((one, res) => {
      const pieces = [...wrap(events.call('get_weather', PLACE), one).map(frame), 'data: [DONE]\n\n', ''];
      const chunks = pieces.map((piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`).join('');
      res.socket.end(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
    });
    mock.answer(() => events.text('Fine.'));
    const stream = await parley.stream('/api/chat/stream', { message: 'show it', tool_calls: true, provider: 'resp' });
    await stream.until(() => tools(stream).length > 0);
    weather.back();
    await stream.ended;
    assert.equal(stream.text, 'Fine.', stream.raw);
  });

  test('while a tool runs: stop, and a reader who leaves, end it and its request; other visitors go on', async () => {
    for (const way of ['stop', 'leave']) {
      const weather = slowWeather();
      scripts.push(call('get_weather', PLACE, 'Wait.'));
      const stream = await started(`${way} now`);
      const asked = await weather.asked;
      scripts.push(say('Not blocked.'));
      assert.equal((await ask(`meanwhile, ${way}`)).text, 'Not blocked.');
      const id = stream.first.message_id;
      if (way === 'stop') await parley.post('/api/chat/stop', { message_id: id });
      else stream.abort();
      assert.equal(await asked.leaving, true, `${way}: the tool's request is closed`);
      assert.ok(await eventually(async () => (await row(id)).status === 'stopped'), way);
      const kept = await row(id);
      assert.deepEqual([kept.content, kept.total_tokens], ['Wait.', 11], way);
      weather.back();
    }
  });

  test('the deadline of the answer covers the tool, and regenerate calls anew', async () => {
    const weather = slowWeather();
    scripts.push(call('get_weather', PLACE));
    const stream = await ask('too slow');
    weather.back();
    assert.equal(stream.last.code, 'provider_timeout');
    const id = stream.first.conversation_id;
    scripts.push(call('get_weather', PLACE), say('Now it works.'));
    const again = await (await parley.stream(`/api/conversations/${id}/regenerate`, { tool_calls: true, stream: true })).ended;
    assert.equal(again.text, 'Now it works.');
    assert.deepEqual(tools(again).at(-1), DONE);
    const view = (await parley.get(`/api/conversations/${id}`)).json.messages.at(-1);
    assert.deepEqual([view.regenerated, view.tool_calls], [true, [DONE]]);
  });

  test('another provider steps in before anything was said or called, and never after', async () => {
    const refuse = (one, res) => { res.writeHead(503); res.end(); };
    const asked = mock.of('/v1/messages').length;
    scripts.push(call('get_weather', PLACE), refuse);
    const stream = await ask('fails after the call');
    assert.equal(stream.last.code, 'provider_error');
    assert.equal(mock.of('/v1/messages').length, asked);
    scripts.push(refuse);
    const other = await ask('fails at once');
    assert.deepEqual([other.text, other.last.provider], ['Got {"temperature":21.5}', 'anthropic']);
  });

  test('an answer with a call is not kept for others', async () => {
    for (let i = 0; i < 2; i++) {
      scripts.push(call('get_weather', PLACE), say(`Number ${i}.`));
      assert.equal((await ask('the same question')).text, `Number ${i}.`);
    }
  });

  test('calls and words survive every split of the network', async () => {
    for (const size of [1, 2, 3, 5]) {
      const slowly = (list) => async (one, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' });
        const bytes = Buffer.from(list.join(''));
        for (let at = 0; at < bytes.length; at += size) {
          res.write(bytes.subarray(at, at + size));
          if (at % 64 < size) await new Promise(setImmediate);
        }
        res.end();
      };
      scripts.push(slowly(call('get_weather', PLACE, 'Mal sehen, ')), slowly(say('世界 😀')));
      const stream = await ask(`split ${size}`);
      assert.equal(stream.text, 'Mal sehen, \n\n世界 😀');
      assert.deepEqual(tools(stream).at(-1).arguments, PLACE);
    }
  });
});

test('a name in TOOLS that no tool has is an error of the configuration', async () => {
  const { spawnSync } = await import('node:child_process');
  const checked = spawnSync(PARLEY, ['check-config'], { env: { PATH: process.env.PATH, TOOLS: 'get_weather,get_rich', DATABASE_URL: 'sqlite:///tmp/never.db' }, cwd: '/', encoding: 'utf8' });
  assert.notEqual(checked.status, 0);
  assert.match(checked.stdout + checked.stderr, /TOOLS has the name "get_rich", but the tools are: get_weather, get_joke\./);
});
