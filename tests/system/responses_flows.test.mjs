/*
 * Every flow of the Responses app's front end, with an answer of many-byte characters, whole and split at every
 * boundary: what upstream sends comes byte by byte, and what the page reads is decoded byte by byte.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { events, startResponsesMock } from './mock_responses.mjs';
import { Page } from './responses_client.mjs';

const ANSWER = 'Grüße, 世界 😀 ﷽ fin';
const answer = () => events.text(...ANSWER.match(/.{1,4}/gu));

describe('the flows of the front end', () => {
  let mock, parley;
  before(async () => {
    mock = await startResponsesMock();
    mock.on('POST /v1/files', (call, res, json) => json(res, 200, { id: `file-${mock.calls.length}`, object: 'file' }));
    mock.on('POST /v1/vector_stores', (call, res, json) => json(res, 200, { id: 'vs_1', name: call.json.name }));
    mock.on('POST /v1/vector_stores/vs_1/files', (call, res, json) => json(res, 200, { id: call.json.file_id }));
    mock.on('GET /v1/containers/cntr_1/files/cfile_1/content', (call, res) => { res.writeHead(200, { 'Content-Type': 'image/png' }); res.end('世界.png'); });
    parley = await startParley({ workers: 1, env: { ...mock.env, GOOGLE_CLIENT_ID: 'id', GOOGLE_CLIENT_SECRET: 'secret' } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });

  const flows = {
    async chat(page) {
      mock.answer(answer);
      assert.equal(await page.say('Grüß dich 😀'), ANSWER);
      assert.equal(mock.turns.at(-1).json.input.at(-1).content, 'Grüß dich 😀');
    },
    async functions(page) {
      mock.answer(() => events.call('get_weather', { location: '東京 🗼', unit: 'celsius' }));
      mock.answer(answer);
      assert.equal(await page.say('weather'), ANSWER);
      assert.equal(mock.of('/geo/search').at(-1).query.get('q'), '東京 🗼');
      assert.equal(mock.turns.at(-1).json.input.at(-1).output, '{"temperature":21.5}');
    },
    async 'web search'(page) {
      page.state.webSearchEnabled = true;
      const search = events.item({ type: 'web_search_call' }, [{ type: 'response.web_search_call.completed' }]);
      mock.answer(() => [...search, ...answer(), ...events.annotation({ type: 'url_citation', url: 'https://e/ü', title: '世界' })]);
      assert.equal(await page.say('search'), ANSWER);
      assert.equal(page.cells.at(-1).status, 'completed');
      assert.equal(page.annotations.at(-1).title, '世界');
    },
    async 'file search with upload'(page) {
      const call = async (path, json) => JSON.parse((await page.request(`/api/vector_stores/${path}`, { method: 'POST', json })).text);
      const file = await call('upload_file', { fileObject: { name: '世界.txt', content: Buffer.from(ANSWER).toString('base64') } });
      assert.ok(mock.of('/v1/files').at(-1).body.includes(ANSWER));
      page.state.vectorStore = await call('create_store', { name: '世界' });
      assert.equal(page.state.vectorStore.name, '世界');
      await call('add_file', { vectorStoreId: 'vs_1', fileId: file.id });
      page.state.fileSearchEnabled = true;
      const search = events.item({ type: 'file_search_call' }, [{ type: 'response.file_search_call.completed' }]);
      mock.answer(() => [...search, ...answer(), ...events.annotation({ type: 'file_citation', file_id: file.id, filename: '世界.txt' })]);
      assert.equal(await page.say('in my file'), ANSWER);
      assert.deepEqual(mock.turns.at(-1).json.tools.find((tool) => tool.type === 'file_search').vector_store_ids, ['vs_1']);
      assert.equal(page.annotations.at(-1).filename, '世界.txt');
    },
    async 'code with a file'(page) {
      page.state.codeInterpreterEnabled = true;
      const code = events.item({ type: 'code_interpreter_call' }, [...'print("世 😀")'].map((delta) => ({ type: 'response.code_interpreter_call_code.delta', delta })));
      const annotation = { type: 'container_file_citation', container_id: 'cntr_1', file_id: 'cfile_1', filename: '世界.png' };
      mock.answer(() => [...code, ...answer(), ...events.annotation(annotation)]);
      assert.equal(await page.say('draw'), ANSWER);
      assert.equal(page.cells.at(-1).code, 'print("世 😀")');
      const { container_id: container, file_id: file, filename } = page.annotations.at(-1);
      const got = await page.request(`/api/container_files/content?file_id=${file}&container_id=${container}&filename=${encodeURIComponent(filename)}`);
      assert.equal(got.text, '世界.png');
      assert.match(got.headers['content-disposition'], /filename\*=UTF-8''%E4%B8%96%E7%95%8C\.png$/);
    },
    async 'MCP approval'(page) {
      page.state.mcpEnabled = true;
      page.state.mcpConfig = { server_label: 'l', server_url: 'https://m', allowed_tools: '', skip_approval: false };
      for (const yes of [true, false]) {
        mock.answer(() => [...events.item({ type: 'mcp_list_tools', server_label: 'l', tools: [{ name: 'n', description: '世界' }] }),
          ...events.item({ type: 'mcp_approval_request', server_label: 'l', name: 'n', arguments: '{"q":"😀"}' })]);
        await page.say('use the server');
        assert.equal(page.approvals.at(-1).arguments, '{"q":"😀"}');
        const done = events.item({ type: 'mcp_call', server_label: 'l', name: 'n', output: '世界' });
        mock.answer((call) => { assert.equal(call.json.input.at(-1).approve, yes); return [...done, ...answer()]; });
        await page.approve(page.approvals.at(-1), yes);
        assert.equal(page.bubbles.at(-1).text, ANSWER);
        assert.equal(page.cells.at(-1).output, '世界');
      }
      assert.equal(page.toolLists[0].tools[0].description, '世界');
    },
    async Google(page) {
      page.state.googleIntegrationEnabled = true;
      page.jar.cookies.set('gc_access_token', encodeURIComponent('ya29.a/b'));
      page.jar.cookies.set('gc_expires_at', String(Date.now() + 3600000));
      mock.answer(answer);
      assert.equal(await page.say('my calendar'), ANSWER);
      assert.deepEqual(mock.turns.at(-1).json.tools.slice(-2).map((tool) => [tool.server_label, tool.authorization]),
        [['GoogleCalendar', 'ya29.a/b'], ['GoogleMail', 'ya29.a/b']]);
    },
  };

  for (const [name, flow] of Object.entries(flows))
    test(`${name}: whole, and split at every byte up and down`, async () => {
      for (const size of [undefined, 1, 2, 3]) {
        mock.split = size;
        const page = new Page(parley.url, { cut: size });
        await flow(page);
        assert.deepEqual(page.errors, [], `pieces of ${size}`);
        assert.equal(page.dot, false);
        assert.ok(!page.raw.includes('\ufffd'));
      }
    });
});
