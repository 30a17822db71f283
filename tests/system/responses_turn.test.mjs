/*
 * POST /api/turn_response against the Responses API: a client that imitates the starter app's front end, a scripted API.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually, startParley } from './harness.mjs';
import { events, frame, startResponsesMock, wrap } from './mock_responses.mjs';
import { Page, TOOLS_STATE } from './responses_client.mjs';

const STATE = TOOLS_STATE;

describe('turn_response', () => {
  let mock, parley;
  const post = (json) => parley.post('/api/turn_response', json);
  before(async () => {
    mock = await startResponsesMock();
    parley = await startParley({ workers: 1, env: { ...mock.env, HEARTBEAT_SECONDS: 1, OPENAI_ORG_ID: 'org-1', TURN_MODEL: 'gpt-test', TOOL_ROUNDS: 2 } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });

  test('a question and its answer, and what goes upstream', async () => {
    const page = new Page(parley.url);
    mock.answer(() => events.text('Hel', 'lo.'));
    assert.equal(await page.say(' Hi there '), 'Hello.');
    const call = mock.turns.at(-1);
    assert.deepEqual(Object.keys(call.json), ['model', 'input', 'instructions', 'tools', 'stream', 'parallel_tool_calls']);
    assert.equal(call.json.model, 'gpt-test');
    assert.equal(call.json.parallel_tool_calls, false);
    assert.deepEqual(call.json.input, [{ role: 'user', content: 'Hi there' }]);
    assert.deepEqual(call.json.tools.map((tool) => tool.name), ['get_weather', 'get_joke']);
    assert.ok(call.json.tools.every((tool) => tool.strict === true && tool.parameters.additionalProperties === false));
    assert.match(call.json.instructions, /\n\nToday is \w+day, [A-Z]\w+ \d{1,2}, \d{4}\.$/);
    assert.equal(call.headers.authorization, 'Bearer sk-test-secret');
    assert.equal(call.headers['openai-organization'], 'org-1');
  });

  test('frames are exactly the contract\'s, and every event is passed on', async () => {
    mock.answer(() => [{ type: 'response.unheard_of', x: 1.0 }, ...events.text('é€😀')]);
    const reply = await post({ messages: [{ role: 'user', content: 'frames' }], toolsState: STATE });
    assert.equal(reply.status, 200);
    assert.match(reply.headers['content-type'], /^text\/event-stream/);
    assert.equal(reply.headers['cache-control'], 'no-cache, no-transform');
    assert.equal(reply.headers['x-accel-buffering'], 'no');
    assert.match(reply.text, /^[\x20-\x7e\n]*$/, 'ASCII');
    assert.ok(reply.text.includes('"delta":"\\u00e9\\u20ac\\ud83d\\ude00"'));
    const blocks = reply.text.split('\n\n');
    assert.equal(blocks.pop(), '');
    for (const block of blocks) {
      assert.match(block, /^data: \{"event":"response\.[a-z_.]+","data":\{/);
      const { event, data } = JSON.parse(block.slice(6));
      assert.equal(data.type, event);
    }
    assert.ok(blocks.some((block) => block.includes('response.unheard_of')));
    assert.match(blocks.at(-1), /^data: \{"event":"response.completed"/);
  });

  test('items pass through byte for byte in both directions', async () => {
    const odd = '{"type":"reasoning","id":"rs_1","n":1.50,"big":123456789012345678901234567890,"z":null,"a":[ ],"u":"\\u00e9é","deep":DEEP}'
      .replace('DEEP', `${'[{"x":'.repeat(60)}1${'}]'.repeat(60)}`);
    mock.answer(async (call, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write(`event: response.output_item.done\ndata: {"type":"response.output_item.done","item":${odd}}\n\n`);
      for (const event of wrap([], call)) res.write(frame(event));
      res.end();
    });
    const body = `{"messages":[${odd},{"role":"user","content":"x"}],"toolsState":${JSON.stringify(STATE)}}`;
    const reply = await parley.request('/api/turn_response', { method: 'POST', body, headers: { 'Content-Type': 'text/plain' } });
    assert.ok(mock.turns.at(-1).body.toString().includes(`"input":[${odd},`));
    assert.ok(reply.text.includes(odd.replace('é', '\\u00e9').replace('\\u00e9\\u00e9', '\\u00e9\\u00e9')));
  });

  test('a function call, its result and the answer; the two turns overlap', async () => {
    const page = new Page(parley.url);
    let release;
    const released = new Promise((resolve) => { release = resolve; });
    mock.answer(async (call, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const all = wrap(events.call('get_weather', { location: 'Köln', unit: 'celsius' }), call);
      for (const event of all.slice(0, -1)) res.write(frame(event));
      await released; /* the old stream stays open until the new turn has been asked */
      res.end(frame(all.at(-1)));
    });
    mock.answer((call) => { release(); return events.text(`It is ${call.json.input.at(-1).output}`); });
    assert.equal(await page.say('Weather in Köln?'), 'It is {"temperature":21.5}');
    assert.equal(page.turns, 2);
    assert.deepEqual(mock.of('/geo/search').at(-1).query.get('q'), 'Köln');
    const [row] = await parley.sql(`SELECT count(*) AS n, count(DISTINCT conversation_id) AS c FROM messages WHERE conversation_id =
      (SELECT conversation_id FROM messages WHERE content = 'Weather in Köln?')`);
    assert.deepEqual(row, { n: 4, c: 1 }, 'both turns are one conversation');
  });

  test('two turns of one browser run at the same time, each with its own answer', async () => {
    const [one, two] = [new Page(parley.url), new Page(parley.url)];
    await one.say('first, for the cookie');
    two.jar = one.jar;
    const both = [];
    const together = new Promise((resolve) => { both.ready = resolve; });
    const script = async (call, res) => {
      if (both.push(call) === 2) both.ready();
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      await together; /* neither is answered before both were asked */
      res.end(wrap(events.text(`re: ${call.json.input.at(-1).content}`), call).map(frame).join(''));
    };
    mock.answer(script);
    mock.answer(script);
    assert.deepEqual(await Promise.all([one.say('left'), two.say('right')]), ['re: left', 're: right']);
    const list = JSON.parse((await one.request('/api/conversations')).text).conversations;
    assert.equal(list.length, 2);
  });

  test('toolsState becomes tools, and the legacy array is taken as it is', async () => {
    const tools = async (state) => {
      await post({ messages: [{ role: 'user', content: 'tools' }], toolsState: state });
      return mock.turns.at(-1).json.tools;
    };
    assert.deepEqual(await tools({ webSearchEnabled: true, webSearchConfig: STATE.webSearchConfig, fileSearchEnabled: true,
      vectorStore: { id: 'vs_1', name: 'x' }, codeInterpreterEnabled: true, mcpEnabled: true,
      mcpConfig: { server_label: 'l', server_url: 'https://m', allowed_tools: ' a, ,b ', skip_approval: false } }), [
      { type: 'web_search' }, { type: 'file_search', vector_store_ids: ['vs_1'] },
      { type: 'code_interpreter', container: { type: 'auto' } },
      { type: 'mcp', server_label: 'l', server_url: 'https://m', allowed_tools: ['a', 'b'] }]);
    const place = { type: 'approximate', country: 'DE', city: '', region: '' };
    assert.deepEqual(await tools({ webSearchEnabled: true, webSearchConfig: { user_location: place } }), [{ type: 'web_search', user_location: place }]);
    assert.deepEqual(await tools({ fileSearchEnabled: true, vectorStore: { id: '', name: '' }, mcpEnabled: true, googleIntegrationEnabled: true }), []);
    const legacy = [{ type: 'web_search_preview' }];
    await post({ messages: [{ role: 'user', content: 'legacy' }], tools: legacy });
    assert.deepEqual(mock.turns.at(-1).json.tools, legacy);
  });

  test('web search, file search, code with a file, and an MCP approval', async () => {
    const page = new Page(parley.url, { state: { webSearchEnabled: true } });
    mock.answer(() => [...events.item({ type: 'web_search_call', id: 'ws_1x' }, [{ type: 'response.web_search_call.completed' }]),
      ...events.text('Found.'), ...events.annotation({ type: 'url_citation', url: 'https://e', title: 't' })]);
    await page.say('search');
    assert.equal(page.cell('ws_1x').status, 'completed');
    assert.equal(page.annotations[0].url, 'https://e');
    mock.answer(() => [...events.item({ type: 'code_interpreter_call', id: 'ci_1x' }, [
      { type: 'response.code_interpreter_call_code.delta', delta: 'print(1)' }, { type: 'response.code_interpreter_call.completed' }]),
    ...events.text('Done.'), ...events.annotation({ type: 'container_file_citation', container_id: 'cntr_1', file_id: 'cfile_1', filename: 'a.png' })]);
    await page.say('code');
    assert.equal(page.cell('ci_1x').code, 'print(1)');
    mock.answer(() => [...events.item({ type: 'mcp_list_tools', server_label: 'l', tools: [{ name: 'n' }] }),
      ...events.item({ type: 'mcp_approval_request', id: 'mcpr_1', server_label: 'l', name: 'n', arguments: '{}' })]);
    await page.say('mcp');
    assert.equal(page.toolLists.length, 1);
    mock.answer((call) => events.text(`approved: ${call.json.input.at(-1).approve}`));
    await page.approve(page.approvals[0], true);
    assert.equal(page.bubbles.at(-1).text, 'approved: true');
  });

  test('a multi-byte answer survives every split of the network, up and down', async () => {
    const text = 'Grüße, 世界 😀 fin';
    for (let size = 1; size <= 7; size++) {
      const page = new Page(parley.url, { cut: size });
      mock.answer(async (call, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' });
        const bytes = Buffer.from(wrap(events.text('Grüße, 世', '界 😀 fin'), call).map(frame).join(''));
        for (let at = 0; at < bytes.length; at += size) {
          res.write(bytes.subarray(at, at + size));
          if (at % 64 < size) await new Promise(setImmediate);
        }
        res.end();
      });
      assert.equal(await page.say(`split ${size}`), text, `pieces of ${size}`);
    }
  });

  test('the turn is stored as a conversation with its items, and goes with the visitor', async () => {
    const page = new Page(parley.url);
    mock.answer(() => events.text('First answer.'));
    await page.say('Remember this');
    mock.answer(() => events.text('Second answer.'));
    await page.say('And this');
    const list = JSON.parse((await page.request('/api/conversations')).text);
    const [mine] = list.conversations ?? list;
    assert.equal((list.conversations ?? list).length, 1);
    const whole = JSON.parse((await page.request(`/api/conversations/${mine.id}`)).text);
    assert.deepEqual(whole.messages.map((m) => m.content), ['Remember this', 'First answer.', 'And this', 'Second answer.']);
    const items = await parley.sql(`SELECT json FROM items WHERE conversation_id = (SELECT id FROM conversations WHERE public_id = '${mine.id}') ORDER BY id`);
    assert.deepEqual(items.map((row) => JSON.parse(row.json).type ?? JSON.parse(row.json).role), ['user', 'message', 'user', 'message']);
    const exported = JSON.parse((await page.request(`/api/conversations/${mine.id}/export?format=json`)).text);
    assert.deepEqual(exported.messages.map((m) => m.items.map((item) => item.type ?? item.role)), [['user'], ['message'], ['user'], ['message']]);
    const gone = await page.request('/api/visitor', { method: 'DELETE' });
    assert.ok(gone.status < 300, gone.text);
    assert.equal((await parley.sql(`SELECT count(*) AS n FROM items JOIN conversations AS c ON c.id = conversation_id WHERE c.public_id = '${mine.id}'`))[0].n, 0);
  });

  test('what a function of the page said is nobody\'s words: not in the export, not when a chat goes on from there', async () => {
    const page = new Page(parley.url);
    mock.answer(() => [...events.text('Let me look.'), ...events.call('get_weather', { location: 'Rome', unit: 'celsius' })]);
    mock.answer(() => events.text('It is warm.'));
    assert.equal(await page.say('Weather?'), 'It is warm.');
    const [{ id }] = JSON.parse((await page.request('/api/conversations')).text).conversations;
    const { text } = await page.request(`/api/conversations/${id}/export?format=markdown`);
    assert.deepEqual(text.match(/^## .*/gm), ['## You', '## Assistant', '## Tool', '## Assistant']);
    await page.request('/api/chat', { method: 'POST', json: { message: 'Thanks', conversation_id: id } });
    assert.deepEqual(mock.of('/v1/chat/completions').at(-1).json.messages.slice(1).map((m) => [m.role, m.content]),
      [['user', 'Weather?'], ['assistant', 'Let me look.'], ['assistant', 'It is warm.'], ['user', 'Thanks']]);
  });

  test('nobody else\'s conversation is continued by knowing an item', async () => {
    const [mine, other] = [new Page(parley.url), new Page(parley.url)];
    mock.answer(() => events.text('Mine.'));
    await mine.say('my question');
    other.items = structuredClone(mine.items);
    mock.answer(() => events.text('Other.'));
    await other.say('intruder');
    const rows = await parley.sql("SELECT count(DISTINCT conversation_id) AS n FROM messages WHERE content IN ('my question', 'intruder')");
    assert.equal(rows[0].n, 2);
  });

  test('upstream refuses: always 500 with JSON, and never its words', async () => {
    for (const status of [400, 401, 404, 429]) {
      mock.answer((call, res) => {
        res.writeHead(status, { 'Content-Type': 'application/json', 'Retry-After': '100' });
        res.end('{"error":{"message":"key sk-verysecret","type":"x","code":"invalid_api_key"}}');
      });
      const reply = await post({ messages: [{ role: 'user', content: `refused ${status}` }], toolsState: STATE });
      assert.equal(reply.status, 500);
      assert.ok(reply.json.error && reply.json.code, reply.text);
      assert.ok(!reply.text.includes('verysecret'));
    }
    assert.ok(!parley.logText().includes('verysecret'));
    assert.ok(!parley.logText().includes('sk-test-secret'));
  });

  test('a short trouble upstream is tried again, three times at most', async () => {
    const refuse = (call, res) => { res.writeHead(503, { 'retry-after-ms': '1' }); res.end(); };
    mock.answer(refuse);
    mock.answer(refuse);
    const page = new Page(parley.url);
    mock.answer(() => events.text('Third time.'));
    assert.equal(await page.say('try again'), 'Third time.');
    const asked = mock.turns.length;
    for (let i = 0; i < 3; i++) mock.answer(refuse);
    const reply = await post({ messages: [{ role: 'user', content: 'in vain' }], toolsState: STATE });
    assert.equal(reply.status, 500);
    assert.equal(mock.turns.length - asked, 3);
  });

  test('the pause that a provider asks for is kept, and the client hears that the turn is alive', async () => {
    const asked = mock.turns.length;
    mock.answer((call, res) => { res.writeHead(429, { 'Retry-After': '30' }); res.end(); });
    const stream = await parley.stream('/api/turn_response', { messages: [{ role: 'user', content: 'later' }], toolsState: STATE });
    await stream.until(() => stream.comments.length > 0);
    assert.equal(mock.turns.length, asked + 1);
    stream.abort();
  });

  const half = (call, res, then) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const event of wrap(events.text('Half an answer'), call).slice(0, 5)) res.write(frame(event));
    setTimeout(() => then(res), 20);
  };
  test('an upstream cut, an error event and broken JSON end with an error frame; the text stays', async () => {
    for (const [name, then] of [['cut', (res) => res.socket.destroy()],
      ['error', (res) => res.end(frame({ type: 'error', code: 'server_error', message: 'sk-verysecret' }))],
      ['broken', (res) => res.end('data: {"type":"response.output_text.delta","delta":"x\n\n')],
      ['end', (res) => res.end()]]) {
      const page = new Page(parley.url);
      mock.answer((call, res) => half(call, res, then));
      assert.equal(await page.say(`torn ${name}`), 'Half an answer', name);
      assert.equal(page.errors.length, 1, name);
      assert.equal(typeof page.errors[0], 'string');
      assert.ok(!page.raw.includes('verysecret'));
      const [row] = await parley.sql(`SELECT a.status, a.content FROM messages AS q JOIN messages AS a ON a.reply_to = q.id WHERE q.content = 'torn ${name}'`);
      assert.deepEqual(row, { status: 'failed', content: 'Half an answer' }, name);
    }
  });
  test('response.failed is passed on and ends cleanly', async () => {
    const page = new Page(parley.url);
    mock.answer(() => [{ type: 'response.failed', response: { id: 'r', status: 'failed', error: { code: 'server_error', message: 'm' }, output: [] } }]);
    await page.say('fails');
    assert.equal(page.events.at(-1).event, 'response.failed');
    assert.deepEqual(page.errors, []);
  });

  test('silence is broken by a comment that the front end skips', async () => {
    const page = new Page(parley.url);
    mock.answer(async (call, res) => {
      const all = wrap(events.text('slow'), call);
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.flushHeaders();
      await new Promise((resolve) => { setTimeout(resolve, 1600); });
      res.end(all.map(frame).join(''));
    });
    assert.equal(await page.say('wait for it'), 'slow');
    assert.ok(page.raw.startsWith(': ping\n\n'));
  });

  test('a client that leaves closes upstream; what came is kept', async () => {
    const page = new Page(parley.url);
    let call;
    mock.answer(async (c, res) => { call = c; half(c, res, () => {}); });
    page.items.push({ role: 'user', content: 'leaving' });
    const run = page.turn();
    assert.ok(await eventually(() => page.bubbles.at(-1)?.text === 'Half an answer'));
    page.last.destroy();
    assert.equal(await call.leaving, true);
    await run;
    assert.ok(await eventually(async () => (await parley.sql("SELECT a.status AS s FROM messages AS q JOIN messages AS a ON a.reply_to = q.id WHERE q.content = 'leaving'"))[0]?.s === 'stopped'));
  });

  test('a long answer to a slow reader loses nothing', async () => {
    const piece = 'x'.repeat(4000);
    mock.answer(() => events.text(...Array.from({ length: 1000 }, () => piece)));
    const reply = await post({ messages: [{ role: 'user', content: 'long' }], toolsState: STATE });
    assert.equal(reply.text.split(piece).length - 1, 4 * 1000, 'deltas, text done, item done, completed');
  });

  test('bad bodies are refused in JSON, before anything goes upstream', async () => {
    const asked = mock.turns.length;
    const bodies = ['', 'nonsense', '[]', '{}', '{"messages":[]}', '{"messages":[{"role":"user","content":"x"}]}',
      '{"messages":["x"],"toolsState":{}}', '{"messages":{},"toolsState":{}}', '{"messages":[{}],"toolsState":[]}',
      '{"messages":[{"role":"user","content":"x"}],"toolsState":{},"server_tools":"yes"}'];
    for (const body of bodies) {
      const reply = await parley.request('/api/turn_response', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
      assert.ok(reply.status >= 400, body);
      assert.ok(reply.json?.error, `${body}: ${reply.text}`);
    }
    const wrong = await parley.get('/api/turn_response');
    assert.equal(wrong.status, 405);
    assert.ok(wrong.json.error);
    assert.equal(mock.turns.length, asked);
  });

  test('a body longer than a chat turn\'s may be is fine here, and still bounded', async () => {
    const filler = (bytes) => [{ role: 'user', content: 'y'.repeat(bytes) }, { role: 'user', content: 'big' }];
    mock.answer(() => events.text('ok'));
    const fine = await parley.post('/api/turn_response/', { messages: filler(3 * 1024 * 1024), toolsState: STATE });
    assert.equal(fine.status, 200);
    assert.equal(mock.turns.at(-1).json.input[0].content.length, 3 * 1024 * 1024);
    const refused = await post({ messages: filler(5 * 1024 * 1024), toolsState: STATE });
    assert.equal(refused.status, 413);
    assert.ok(refused.json.error);
  });

  test('with server_tools the server runs the functions and goes on in the same stream', async () => {
    mock.answer(() => events.call('get_weather', { location: 'Rome', unit: 'celsius' }));
    mock.answer((call) => events.text(`Rome: ${call.json.input.at(-1).output}`));
    const reply = await post({ messages: [{ role: 'user', content: 'loop' }], toolsState: STATE, server_tools: true });
    const all = reply.text.split('\n\n').filter(Boolean).map((block) => JSON.parse(block.slice(6)));
    assert.equal(all.filter((e) => e.event === 'response.completed').length, 1);
    assert.ok(all.some((e) => e.data.item?.type === 'function_call_output'));
    assert.equal(all.filter((e) => e.event === 'response.output_text.delta').map((e) => e.data.delta).join(''), 'Rome: {"temperature":21.5}');
    assert.deepEqual(mock.turns.at(-1).json.input.map((item) => item.type ?? item.role), ['user', 'function_call', 'function_call_output']);

    mock.answer(() => [...events.call('get_weather', { location: 'Rome', unit: 'celsius' }), ...events.call('get_joke', {})]);
    mock.answer(() => events.text('Both.'));
    assert.match((await post({ messages: [{ role: 'user', content: 'both' }], toolsState: STATE, server_tools: true })).text, /"delta":"Both\."/);
    const back = mock.turns.at(-1).json.input.slice(1);
    assert.deepEqual(back.map((item) => item.type), ['function_call', 'function_call', 'function_call_output', 'function_call_output']);
    assert.deepEqual(back.slice(2).map((item) => item.call_id), back.slice(0, 2).map((item) => item.call_id), 'each call has its output');

    for (let i = 0; i < 3; i++) mock.answer(() => events.call('get_joke', {}));
    const asked = mock.turns.length;
    const stubborn = await post({ messages: [{ role: 'user', content: 'loop for ever' }], toolsState: STATE, server_tools: true });
    assert.equal(mock.turns.length - asked, 3, 'TOOL_ROUNDS=2: two results go back');
    assert.match(stubborn.text, /"event":"response.completed"/);
  });

  test('the loop on the server ends after TOOL_ROUNDS with a round that may call nothing', async () => {
    const asked = mock.turns.length;
    const script = (call) => (call.json.tool_choice === 'none' ? events.text('Enough.') : events.call('get_joke', {}));
    for (let i = 0; i < 3; i++) mock.answer(script);
    const reply = await post({ messages: [{ role: 'user', content: 'for ever' }], toolsState: STATE, server_tools: true });
    assert.deepEqual(mock.turns.slice(asked).map((call) => call.json.tool_choice), [undefined, undefined, 'none']);
    const items = mock.turns.at(-1).json.input;
    assert.deepEqual(items.map((item) => item.type ?? item.role),
      ['user', 'function_call', 'function_call_output', 'function_call', 'function_call_output']);
    assert.match(reply.text, /"delta":"Enough\."/);
    assert.equal(reply.text.split('"event":"response.completed"').length, 2);
  });

  test('a function that the server does not know is left to the client; one that fails tells the model', async () => {
    mock.answer(() => events.call('of_the_page', {}));
    const unknown = await post({ messages: [{ role: 'user', content: 'x' }], tools: [{ type: 'function', name: 'of_the_page' }], server_tools: true });
    assert.ok(!unknown.text.includes('function_call_output'));
    assert.match(unknown.text, /"event":"response.completed"/);
    mock.answer(() => events.call('get_weather', { location: 'Nowhere', unit: 'celsius' }));
    await post({ messages: [{ role: 'user', content: 'x' }], toolsState: STATE, server_tools: true });
    assert.equal(mock.turns.at(-1).json.input.at(-1).output, '{"error":"Invalid location"}');
  });
});

describe('turn_response: what a turn costs, and failures that the page shows', () => {
  const refuse = (call, res) => { res.writeHead(401); res.end('{}'); };
  async function instance(t, env) {
    const mock = await startResponsesMock();
    const parley = await startParley({ workers: 1, env: { ...mock.env, RATELIMIT_PER_HOUR: 0, RATELIMIT_PER_DAY: 0, ...env } });
    t.after(async () => {
      await parley.stop();
      await mock.stop();
    });
    return { mock, parley };
  }

  test('a turn is charged as a question is: limits, budget, cost; one over the limit asks nobody', async (t) => {
    const { mock, parley } = await instance(t, { RATELIMIT_PER_MINUTE: 3, TOKENS_PER_DAY: 100000, OPENAI_PRICE_INPUT: 2, OPENAI_PRICE_OUTPUT: 10 });
    const ask = () => parley.post('/api/turn_response', { messages: [{ role: 'user', content: 'limits' }], toolsState: TOOLS_STATE });
    const spent = async () => (await parley.sql("SELECT tokens FROM token_days WHERE bucket = 'all'"))[0].tokens;
    assert.equal((await ask()).headers['ratelimit-remaining'], '2');
    assert.equal(await spent(), 28, 'as the API said');
    const [{ cost_nano: cost }] = await parley.sql('SELECT cost_nano FROM usage_by_day');
    assert.equal(cost, 21 * 2000 + 7 * 10000);
    mock.answer(refuse);
    assert.equal((await ask()).status, 500);
    assert.equal(await spent(), 28, 'what was refused costs nothing');
    assert.deepEqual(await parley.sql('SELECT * FROM token_reservations'), []);
    assert.equal((await ask()).status, 200);
    const asked = mock.turns.length;
    const over = await ask();
    assert.equal(over.status, 429);
    assert.equal(over.json.code, 'rate_limited');
    assert.ok(over.headers['retry-after']);
    assert.equal(mock.turns.length, asked);
  });

  test('a history that the budget has no room for is refused before anybody is asked', async (t) => {
    const { mock, parley } = await instance(t, { RATELIMIT_PER_MINUTE: 0, TOKENS_PER_DAY: 20000, OPENAI_MAX_TOKENS: 1000 });
    const reply = await parley.post('/api/turn_response', { toolsState: TOOLS_STATE,
      messages: [{ role: 'user', content: 'word '.repeat(40000) }, { role: 'user', content: 'short' }] });
    assert.equal(reply.status, 429, reply.text);
    assert.equal(reply.json.code, 'budget_exhausted');
    assert.equal(mock.turns.length, 0);
  });

  test('with TURN_ERRORS=message every failure is a message that the page shows', async (t) => {
    const { mock, parley } = await instance(t, { TURN_ERRORS: 'message', RATELIMIT_PER_MINUTE: 2 });
    const page = new Page(parley.url);
    const shown = async (question, script) => {
      if (script) mock.answer(script);
      const bubbles = page.bubbles.length;
      const text = await page.say(question);
      assert.ok(page.bubbles.length > bubbles && text.length > 10, question);
      assert.equal(page.dot, false);
      assert.equal(page.events.at(-1).event, 'response.completed');
      assert.deepEqual(page.errors, []);
      assert.equal(page.statuses.at(-1), 200);
      return text;
    };
    await shown('wrong key', refuse);
    assert.match(await shown('torn', (call, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      for (const event of wrap(events.text('Half an answer'), call).slice(0, 5)) res.write(frame(event));
      setTimeout(() => res.socket.destroy(), 20);
    }), /^Half an answer.+broke off/s);
    await shown('failed', () => [{ type: 'response.failed', response: { id: 'r', status: 'failed', error: { code: 'server_error', message: 'sk-verysecret' }, output: [] } }]);
    const asked = mock.turns.length;
    assert.match(await shown('over the limit'), /limit of 2 messages per minute/);
    assert.equal(mock.turns.length, asked);
    const broken = await parley.post('/api/turn_response', {});
    assert.equal(broken.status, 400, 'a mistake in the body stays one');
  });
});
