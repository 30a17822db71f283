/*
 * /api/turn_response over providers that know no Responses API: Chat Completions, Anthropic, the demo. The same client.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { eventually, startParley } from './harness.mjs';
import { startResponsesMock } from './mock_responses.mjs';
import { Page, TOOLS_STATE } from './responses_client.mjs';

const sse = (res, list) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const item of list) res.write(item);
  res.end();
};
const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const claude = (type, data = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;

async function withParley(t, env, run) {
  const mock = await startResponsesMock();
  const parley = await startParley({ workers: 1, env: { ...mock.env, OPENAI_API_KEY: '', ...env } });
  t.after(async () => {
    await parley.stop();
    await mock.stop();
  });
  await run(mock, parley);
}

const lastTurn = (mock, path) => mock.of(path).at(-1).json;

describe('turns over other providers', () => {
  test('Chat Completions: text, a function call of which only the first counts, and the history', async (t) => {
    await withParley(t, { OPENAI_API_KEY: 'k', TURN_API: 'provider' }, async (mock, parley) => {
      const path = 'POST /v1/chat/completions';
      const page = new Page(parley.url, { cut: 1 });
      mock.on(path, (c, res) => sse(res, [chunk({ role: 'assistant', content: 'Grüß' }), chunk({ content: ' dich 😀' }), chunk({}, 'stop'), 'data: [DONE]\n\n']));
      assert.equal(await page.say('Hello'), 'Grüß dich 😀');
      const sent = lastTurn(mock, '/v1/chat/completions');
      assert.deepEqual(sent.tools.map((tool) => tool.function.name), ['get_weather', 'get_joke']);
      assert.equal(sent.parallel_tool_calls, false);
      assert.match(sent.messages[0].content, /Today is /);

      mock.on(path, (c, res) => {
        const result = c.json.messages.findLast((m) => m.role === 'tool');
        if (result) return sse(res, [chunk({ content: `It is ${result.content}` }), chunk({}, 'stop'), 'data: [DONE]\n\n']);
        const call = (index, id, name, args) => ({ index, id, type: 'function', function: { name, arguments: args } });
        return sse(res, [chunk({ content: 'Let me see.' }), chunk({ tool_calls: [call(0, 'a', 'get_weather', '{"location":"Bo')] }),
          chunk({ tool_calls: [{ index: 0, function: { arguments: 'nn","unit":"celsius"}' } }] }),
          chunk({ tool_calls: [call(1, 'b', 'get_joke', '{}')] }), chunk({}, 'tool_calls'), 'data: [DONE]\n\n']);
      });
      assert.equal(await page.say('Weather?'), 'It is {"temperature":21.5}');
      assert.deepEqual(page.cells.map((cell) => [cell.name, cell.arguments?.location]), [['get_weather', 'Bonn']]);
      const history = lastTurn(mock, '/v1/chat/completions').messages.slice(1);
      assert.deepEqual(history.map((m) => m.role), ['user', 'assistant', 'user', 'assistant', 'assistant', 'tool']);
      assert.equal(history.at(-1).tool_call_id, history.at(-2).tool_calls[0].id);
      const ids = page.events.filter((e) => e.event === 'response.output_item.done').map((e) => e.data.item.id);
      assert.equal(new Set(ids).size, ids.length, 'ids never repeat');
      assert.deepEqual(page.errors, []);
    });
  });

  test('Chat Completions: a refusal, an empty answer and a cut end as the contract has it', async (t) => {
    await withParley(t, { OPENAI_API_KEY: 'k', TURN_API: 'provider' }, async (mock, parley) => {
      const path = 'POST /v1/chat/completions';
      mock.on(path, (c, res) => { res.writeHead(401); res.end('{}'); });
      const refused = await parley.post('/api/turn_response', { messages: [{ role: 'user', content: 'x' }], toolsState: TOOLS_STATE });
      assert.equal(refused.status, 500);
      assert.ok(refused.json.error);
      const page = new Page(parley.url);
      mock.on(path, (c, res) => sse(res, [chunk({}, 'stop'), 'data: [DONE]\n\n']));
      assert.equal(await page.say('nothing'), '');
      assert.deepEqual([page.dot, page.errors], [false, []], 'the dot goes on pulsing');
      mock.on(path, (c, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' });
        res.write(chunk({ content: 'half' }));
        setTimeout(() => res.socket.destroy(), 20);
      });
      assert.equal(await page.say('cut'), 'half');
      assert.equal(page.errors.length, 1);
    });
  });

  test('Chat Completions of another provider without an OpenAI key: its rounds end, who leaves closes it, its own deadline counts', async (t) => {
    const mock = await startResponsesMock();
    const parley = await startParley({ workers: 1, env: { ...mock.env, OPENAI_API_KEY: null, OPENAI_API_BASE: null, OPENAI_MODEL: null,
      PROVIDERS: 'local', PROVIDER_LOCAL_BASE: `${mock.url}/v1`, PROVIDER_LOCAL_MODEL: 'llama', PROVIDER: 'local', TOOL_ROUNDS: 1, PROVIDER_LOCAL_FIRST_BYTE_TIMEOUT_MS: 2000 } });
    t.after(async () => { await parley.stop(); await mock.stop(); });
    const path = 'POST /v1/chat/completions';
    const messages = [{ role: 'user', content: 'x' }];
    mock.on(path, (c, res) => sse(res, [...(c.json.tool_choice === 'none' ? [chunk({ content: 'Enough.' }), chunk({}, 'stop')]
      : [chunk({ tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'get_joke', arguments: '{}' } }] }), chunk({}, 'tool_calls')]), 'data: [DONE]\n\n']));
    const loop = await parley.post('/api/turn_response', { messages, toolsState: TOOLS_STATE, server_tools: true });
    assert.match(loop.text, /"delta":"Enough\."/);
    assert.deepEqual(mock.of('/v1/chat/completions').map((c) => [c.json.model, c.json.tool_choice]), [['llama', undefined], ['llama', 'none']]);
    assert.equal(lastTurn(mock, '/v1/chat/completions').messages.at(-1).role, 'tool');

    let call;
    mock.on(path, (c, res) => { call = c; res.writeHead(200, { 'Content-Type': 'text/event-stream' }); res.write(chunk({ content: 'half' })); });
    const page = new Page(parley.url);
    page.items.push(messages[0]);
    const run = page.turn();
    assert.ok(await eventually(() => page.bubbles.at(-1)?.text === 'half'));
    page.last.destroy();
    assert.equal(await call.leaving, true);
    await run;

    mock.on(path, () => {});
    const late = await parley.post('/api/turn_response', { messages, toolsState: TOOLS_STATE });
    assert.deepEqual([late.status, late.json.code], [500, 'provider_timeout']);
  });

  test('Anthropic: text, a tool, its result', async (t) => {
    const env = { ANTHROPIC_API_KEY: 'ak', TURN_API: 'auto', OPENAI_API_BASE: '' };
    const mock = await startResponsesMock();
    const parley = await startParley({ workers: 1, env: { ...mock.env, ...env, OPENAI_API_KEY: '', ANTHROPIC_API_BASE: mock.url } });
    t.after(async () => { await parley.stop(); await mock.stop(); });
    mock.on('POST /v1/messages', (c, res) => {
      const start = [claude('message_start', { message: { model: 'claude-x', usage: { input_tokens: 3 } } })];
      const block = (index, content_block, delta) => [claude('content_block_start', { index, content_block }),
        claude('content_block_delta', { index, delta }), claude('content_block_stop', { index })];
      const end = (stop_reason) => [claude('message_delta', { delta: { stop_reason }, usage: { output_tokens: 5 } }), claude('message_stop')];
      const last = c.json.messages.at(-1).content;
      const result = Array.isArray(last) && last.find((part) => part.type === 'tool_result');
      if (result) return sse(res, [...start, ...block(0, { type: 'text', text: '' }, { type: 'text_delta', text: `Got ${result.content}` }), ...end('end_turn')]);
      return sse(res, [...start, ...block(0, { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {} },
        { type: 'input_json_delta', partial_json: '{"location":"Ulm","unit":"celsius"}' }), ...end('tool_use')]);
    });
    const page = new Page(parley.url);
    assert.equal(await page.say('Weather in Ulm'), 'Got {"temperature":21.5}');
    const sent = mock.of('/v1/messages').at(-1).json;
    assert.deepEqual(sent.messages.map((m) => m.role), ['user', 'assistant', 'user']);
    assert.equal(sent.tools[0].input_schema.type, 'object');
    assert.equal(sent.messages[1].content[0].id, sent.messages[2].content[0].tool_use_id);
  });

  test('without any key the demo answers, and calls a function when told to', async (t) => {
    await withParley(t, { OPENAI_API_BASE: '', DEMO_DELAY_MS: 0 }, async (mock, parley) => {
      const page = new Page(parley.url);
      assert.match(await page.say('Hello'), /built-in demo/);
      assert.match(await page.say('/call get_weather {"location":"Jena","unit":"celsius"}'), /The function answered: \{"temperature":21\.5\}/);
      assert.equal(mock.of('/geo/search').at(-1).query.get('q'), 'Jena');
      const direct = await parley.post('/api/turn_response', { messages: [{ role: 'user', content: '/call get_joke {}' }], toolsState: TOOLS_STATE, server_tools: true });
      assert.match(direct.text, /The function answered/);
      const off = await parley.post('/api/turn_response', { messages: [{ role: 'user', content: '/call get_joke {}' }], toolsState: { functionsEnabled: false } });
      assert.ok(!off.text.includes('function_call'));
    });
  });
});
