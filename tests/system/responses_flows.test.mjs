/*
 * Every flow of the Responses app from its beginning to its end, by a client that imitates the app's front end, with
 * an answer of many-byte characters: whole, and split at every boundary, upstream's writes and the page's reads alike.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { events, frame, startResponsesMock, wrap } from './mock_responses.mjs';
import { Page } from './responses_client.mjs';

const SAID = 'Grüße, 世界 😀 ﷽ fin';
const said = () => events.text(...SAID.match(/.{1,4}/gu));
const json = (res, value) => { res.setHeader('Content-Type', 'application/json'); res.end(JSON.stringify(value)); };

let mock, parley, google;
before(async () => {
  mock = await startResponsesMock();
  mock.on('POST /v1/files', (c, res) => json(res, { id: 'file-1' }));
  mock.on('POST /v1/vector_stores', (c, res) => json(res, { id: 'vs_1', name: c.json.name }));
  mock.on('GET /v1/vector_stores/vs_1', (c, res) => json(res, { id: 'vs_1', name: 'Größe 😀' }));
  mock.on('POST /v1/vector_stores/vs_1/files', (c, res) => json(res, { id: c.json.file_id }));
  mock.on('GET /v1/containers/cntr_1/files/cfile_1/content', (c, res) => { res.setHeader('Content-Type', 'image/png'); res.end('PNG 世界'); });
  mock.on('POST /google/token', (c, res) => {
    const challenge = crypto.createHash('sha256').update(c.form.get('code_verifier') ?? '').digest('base64url');
    if (challenge !== google) { res.statusCode = 400; return json(res, { error: 'invalid_grant' }); }
    return json(res, { access_token: 'ya29.a/1', refresh_token: '1//r', expires_in: 3600 });
  });
  parley = await startParley({ workers: 2, env: { ...mock.env, TOOL_CACHE_SECONDS: 0, GOOGLE_CLIENT_ID: 'c', GOOGLE_CLIENT_SECRET: 's' } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

const flows = {
  async chat(page, answer) {
    answer(said);
    assert.equal(await page.say('Hallo 世界'), SAID);
    assert.equal(page.items.at(-1).content[0].text, SAID, 'the item that goes back up is whole, too');
  },
  async functions(page, answer) {
    answer(() => events.call('get_weather', { location: 'Þórshöfn 😀', unit: 'celsius' }));
    answer((call) => { assert.equal(call.json.input.at(-1).output, '{"temperature":21.5}'); return events.call('get_joke', {}); });
    answer(said);
    assert.equal(await page.say('Wetter und Witz?'), SAID);
    assert.equal(page.turns, 3);
    assert.equal(mock.of('/geo/search').at(-1).query.get('q'), 'Þórshöfn 😀');
    assert.deepEqual(page.cells.map((cell) => [cell.name, cell.status]), [['get_weather', 'completed'], ['get_joke', 'completed']]);
  },
  async 'web search'(page, answer) {
    page.state.webSearchEnabled = true;
    answer(() => [...events.item({ type: 'web_search_call' }, [{ type: 'response.web_search_call.completed' }]), ...said(),
      ...events.annotation({ type: 'url_citation', url: 'https://e.example', title: 'Üb 世' })]);
    assert.equal(await page.say('search'), SAID);
    assert.equal(page.cells[0].status, 'completed');
    assert.equal(page.annotations[0].title, 'Üb 世');
    assert.equal(mock.turns.at(-1).json.tools[0].type, 'web_search');
  },
  async 'file search with an upload'(page, answer) {
    const send = async (path, body) => JSON.parse((await page.request(`/api/vector_stores/${path}`, body && { method: 'POST', json: body })).text);
    const file = await send('upload_file', { fileObject: { name: 'ü😀.txt', content: Buffer.from('世界').toString('base64') } });
    assert.ok(mock.of('/v1/files').at(-1).body.includes('世界'));
    const { id } = await send('create_store', { name: 'Default store' });
    const [store, added] = await Promise.all([send(`retrieve_store?vector_store_id=${id}`), send('add_file', { vectorStoreId: id, fileId: file.id })]);
    assert.equal(added.id, file.id);
    Object.assign(page.state, { fileSearchEnabled: true, vectorStore: store });
    answer(() => [...events.item({ type: 'file_search_call' }, [{ type: 'response.file_search_call.completed' }]), ...said(),
      ...events.annotation({ type: 'file_citation', file_id: file.id, filename: 'ü😀.txt' })]);
    assert.equal(await page.say('in the file?'), SAID);
    assert.deepEqual(mock.turns.at(-1).json.tools[0], { type: 'file_search', vector_store_ids: ['vs_1'] });
    assert.equal(page.annotations[0].filename, 'ü😀.txt');
  },
  async 'code interpreter with a container file'(page, answer) {
    page.state.codeInterpreterEnabled = true;
    answer(() => [...events.item({ type: 'code_interpreter_call' }, [{ type: 'response.code_interpreter_call_code.delta', delta: 'print("世' },
      { type: 'response.code_interpreter_call_code.delta', delta: '界😀")' }, { type: 'response.code_interpreter_call.completed' }]), ...said(),
    ...events.annotation({ type: 'container_file_citation', container_id: 'cntr_1', file_id: 'cfile_1', filename: 'bild😀.png' })]);
    assert.equal(await page.say('draw'), SAID);
    assert.equal(page.cells[0].code, 'print("世界😀")');
    const { container_id: container, file_id: id, filename } = page.annotations[0];
    const file = await page.request(`/api/container_files/content?file_id=${id}&container_id=${container}&filename=${encodeURIComponent(filename)}`);
    assert.equal(file.text, 'PNG 世界');
    assert.match(file.headers['content-disposition'], /filename\*=UTF-8''bild%F0%9F%98%80\.png/);
  },
  async 'MCP with an approval, and with a refusal'(page, answer) {
    Object.assign(page.state, { mcpEnabled: true, mcpConfig: { server_label: 'l', server_url: 'https://m.example', allowed_tools: '', skip_approval: false } });
    for (const yes of [true, false]) {
      const id = `mcpr_${crypto.randomUUID()}`;
      answer(() => [...events.item({ type: 'mcp_list_tools', server_label: 'l', tools: [{ name: 'n', description: '世' }] }),
        ...events.item({ type: 'mcp_approval_request', id, server_label: 'l', name: 'n', arguments: '{"q":"é"}' })]);
      await page.say('ask it');
      assert.equal(page.toolLists.at(-1).tools[0].description, '世');
      const request = page.approvals.at(-1);
      assert.equal(request.id, id);
      answer((call) => {
        assert.deepEqual(call.json.input.at(-1), { type: 'mcp_approval_response', approve: yes, approval_request_id: id });
        return [...(yes ? events.item({ type: 'mcp_call', name: 'n', server_label: 'l', output: 'Ausgabe 世' },
          [{ type: 'response.mcp_call_arguments.done', arguments: '{"q":"é"}' }]) : []), ...said()];
      });
      await page.approve(request, yes);
      assert.equal(page.bubbles.at(-1).text, SAID);
    }
    assert.deepEqual(page.cells.map((cell) => [cell.arguments, cell.output]), [['{"q":"é"}', 'Ausgabe 世']]);
    assert.equal(mock.turns.at(-1).json.tools.at(-1).require_approval, undefined);
  },
  async Google(page, answer) {
    page.state.googleIntegrationEnabled = true;
    const to = new URL((await page.request('/api/google/auth')).headers.location).searchParams;
    google = to.get('code_challenge');
    const back = await page.request(`/api/google/callback?code=4%2F0A&state=${to.get('state')}&iss=https%3A%2F%2Faccounts.google.com`);
    assert.equal(back.headers.location, '/?connected=1');
    const states = await Promise.all([1, 2].map(() => page.request('/api/google/status')));
    for (const one of states) assert.deepEqual(JSON.parse(one.text), { connected: true, oauthConfigured: true });
    answer(() => [...events.item({ type: 'mcp_call', name: 'search_events', server_label: 'GoogleCalendar', output: 'Zürich 😀' },
      [{ type: 'response.mcp_call_arguments.done', arguments: '{}' }]), ...said()]);
    assert.equal(await page.say('my calendar?'), SAID);
    assert.deepEqual(mock.turns.at(-1).json.tools.slice(-2).map((tool) => [tool.connector_id, tool.authorization]),
      [['connector_googlecalendar', 'ya29.a/1'], ['connector_gmail', 'ya29.a/1']]);
    assert.equal(page.cells[0].output, 'Zürich 😀');
  },
};

/* Each multi-byte character alone on the wire, byte by byte; what lies between them in one piece. */
async function byteByByte(script, call, res) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  res.socket.setNoDelay(true);
  const bytes = Buffer.from(wrap(script(call), call).map(frame).join(''));
  for (let at = 0, from = 0; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] < 0x80) continue;
    if (at > from) res.write(bytes.subarray(from, at));
    if (at < bytes.length) res.write(bytes.subarray(at, at + 1));
    from = at + 1;
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  res.end();
}

const plain = (script) => mock.answer(script);
for (const [how, size, answer] of [['whole', undefined, plain], ['in single bytes', 1, plain], ['in pieces of two', 2, plain], ['in pieces of three', 3, plain],
  ['each byte of a character alone', 1, (script) => mock.answer((call, res) => byteByByte(script, call, res))]]) {
  describe(`flows of the Responses app, ${how}`, () => {
    before(() => { mock.split = size; });
    for (const [name, flow] of Object.entries(flows)) {
      test(name, async () => {
        const page = new Page(parley.url, { cut: size });
        await flow(page, answer);
        assert.deepEqual(page.errors, []);
        assert.equal(page.dot, false);
        assert.match(page.raw, /^[\x20-\x7e\n]*$/, 'ASCII on the wire');
        const list = JSON.parse((await page.request('/api/conversations')).text).conversations;
        assert.equal(list.length, 1, 'all turns are one conversation');
        const exported = JSON.parse((await page.request(`/api/conversations/${list[0].id}/export`)).text);
        const kept = exported.messages.flatMap((message) => message.items ?? []);
        const sent = page.items.filter((item) => !Array.isArray(item.content) || item.content[0].text !== '');
        assert.deepEqual(kept, sent, 'the export has every item, as it was');
      });
    }
  });
}
