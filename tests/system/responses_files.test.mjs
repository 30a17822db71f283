/*
 * Vector stores, uploads and container files of the Responses app: relays with checked ids, and large files that never
 * stand in memory.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { eventually, startParley } from './harness.mjs';
import { events, startResponsesMock } from './mock_responses.mjs';
import { Page } from './responses_client.mjs';

const MB = 1024 * 1024;
const sha = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

/* {purpose, name, content} of a multipart body. */
function parts(call) {
  const [, boundary] = /boundary=(.*)$/.exec(call.headers['content-type']);
  const [first, second] = call.body.toString('latin1').split(`--${boundary}\r\n`).slice(1);
  const at = second.indexOf('\r\n\r\n');
  const end = second.lastIndexOf(`\r\n--${boundary}--`);
  return { purpose: first.split('\r\n\r\n')[1].trim(), head: Buffer.from(second.slice(0, at), 'latin1').toString(),
    content: Buffer.from(second.slice(at + 4, end), 'latin1') };
}

describe('files', () => {
  let mock, parley;
  const upload = (name, content) => parley.post('/api/vector_stores/upload_file', { fileObject: { name, content } }, { timeout: 60000 });
  before(async () => {
    mock = await startResponsesMock();
    mock.on('POST /v1/vector_stores', (c, res, json) => json(res, 200, { id: 'vs_1', object: 'vector_store', name: c.json.name, n: 1.5 }));
    mock.on('GET /v1/vector_stores/vs_1', (c, res) => res.end('{"id":"vs_1" , "name":"é"}'));
    mock.on('GET /v1/vector_stores/vs_1/files', (c, res, json) => json(res, 200, { object: 'list', data: [], has_more: false }));
    mock.on('POST /v1/vector_stores/vs_1/files', (c, res, json) => json(res, 200, { id: c.json.file_id, object: 'vector_store.file' }));
    mock.on('POST /v1/files', (c, res, json) => json(res, 200, { id: 'file-1', bytes: c.body.length }));
    parley = await startParley({ via: 'nginx', workers: 1, env: { ...mock.env } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });
  const peak = () => {
    const text = fs.readFileSync(`/proc/${parley.workerPids()[0]}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(text)[1]) * 1024;
  };

  test('the page\'s way: upload, create, retrieve and add at the same time, then a search', async () => {
    const page = new Page(parley.url, { state: { fileSearchEnabled: true } });
    const content = Buffer.from('The answer is 42.').toString('base64');
    const file = JSON.parse((await page.request('/api/vector_stores/upload_file', { method: 'POST', json: { fileObject: { name: 'ü "x".txt', content } } })).text);
    assert.equal(file.id, 'file-1');
    const sent = parts(mock.of('/v1/files').at(-1));
    assert.equal(sent.purpose, 'assistants');
    assert.match(sent.head, /name="file"; filename="ü %22x%22.txt"/);
    assert.equal(sent.content.toString(), 'The answer is 42.');
    const store = JSON.parse((await page.request('/api/vector_stores/create_store', { method: 'POST', json: { name: 'Default store' } })).text);
    assert.deepEqual(store, { id: 'vs_1', object: 'vector_store', name: 'Default store', n: 1.5 });
    const [retrieved, added] = await Promise.all([
      page.request('/api/vector_stores/retrieve_store?vector_store_id=vs_1'),
      page.request('/api/vector_stores/add_file', { method: 'POST', json: { vectorStoreId: 'vs_1', fileId: 'file-1' } })]);
    assert.equal(retrieved.text, '{"id":"vs_1" , "name":"é"}', 'unchanged');
    assert.equal(JSON.parse(added.text).id, 'file-1');
    for (const call of mock.calls.filter((c) => c.path.startsWith('/v1/vector_stores'))) {
      assert.equal(call.headers['openai-beta'], 'assistants=v2');
      assert.equal(call.headers.authorization, 'Bearer sk-test-secret');
    }
    assert.equal(mock.of('/v1/files').at(-1).headers['openai-beta'], undefined);
    page.state.vectorStore = JSON.parse(retrieved.text);
    mock.answer(() => [...events.item({ type: 'file_search_call', id: 'fs_1' }, [{ type: 'response.file_search_call.completed' }]),
      ...events.text('42.'), ...events.annotation({ type: 'file_citation', file_id: 'file-1', filename: 'x' })]);
    assert.equal(await page.say('What is the answer?'), '42.');
    assert.deepEqual(mock.turns.at(-1).json.tools[0], { type: 'file_search', vector_store_ids: ['vs_1'] });
  });

  test('list_files passes upstream\'s list on; older pages say storeName', async () => {
    assert.deepEqual((await parley.get('/api/vector_stores/list_files?vector_store_id=vs_1')).json, { object: 'list', data: [], has_more: false });
    await parley.post('/api/vector_stores/create_store', { storeName: 'old' });
    assert.equal(mock.of('/v1/vector_stores').at(-1).json.name, 'old');
    const wrong = await parley.post('/api/vector_stores/create_store', { name: 5 });
    assert.deepEqual([wrong.status, wrong.json.field], [400, 'name']);
  });

  test('ids that lead elsewhere are refused and never reach upstream', async () => {
    const asked = mock.calls.length;
    const bad = ['../models', 'x/../../y', '..%2Fmodels', 'a?b', 'a#b', 'a b', 'é', '', 'x'.repeat(200), '%00', 'a%0d%0ab', '.', 'vs_1/files'];
    for (const id of bad) {
      const q = encodeURIComponent(id);
      for (const path of [`vector_stores/retrieve_store?vector_store_id=${q}`, `vector_stores/list_files?vector_store_id=${q}`,
        `container_files/content?file_id=${q}`, ...(id ? [`container_files/content?file_id=cfile_1&container_id=${q}`] : [])]) {
        const reply = await parley.get(`/api/${path}`);
        assert.equal(reply.status, 400, path);
        assert.ok(reply.json?.error, `${path}: ${reply.text}`);
      }
      for (const body of [{ vectorStoreId: id, fileId: 'file-1' }, { vectorStoreId: 'vs_1', fileId: id }]) {
        const reply = await parley.post('/api/vector_stores/add_file', body);
        assert.equal(reply.status, 400, JSON.stringify(body));
        assert.ok(reply.json.error);
      }
    }
    /* As an attacker writes them into the address, encoded once, twice or not at all. */
    for (const raw of ['../models', '%2e%2e%2fmodels', '%252e%252e%252fmodels', 'x/../../y', 'x%2F..%2F..%2Fy', 'x%252F..%252Fy', '..%5cmodels', 'vs_1%00', '%ff']) {
      for (const path of ['vector_stores/retrieve_store?vector_store_id=', 'vector_stores/list_files?vector_store_id=',
        'container_files/content?file_id=', 'container_files/content?file_id=cfile_1&container_id=']) {
        assert.equal((await parley.get(`/api/${path}${raw}`)).status, 400, path + raw);
      }
    }
    for (const vectorStoreId of ['vs_1\u0000', 'vs_1\u0000/../x', ['vs_1'], 5, null]) {
      assert.equal((await parley.post('/api/vector_stores/add_file', { vectorStoreId, fileId: 'f' })).status, 400, JSON.stringify(vectorStoreId));
    }
    assert.equal(mock.calls.length, asked);
  });

  test('a short trouble upstream is tried again, with the whole file; what is refused is not', async () => {
    const busy = () => { let left = 2; return (c, res, json) => left-- > 0 ? json(res, 503, {}, { 'retry-after-ms': '1' }) : json(res, 200, { id: 'fine' }); };
    mock.on('GET /v1/vector_stores/busy', busy());
    mock.on('POST /v1/vector_stores/busy/files', busy());
    mock.on('POST /v1/files', busy());
    mock.on('GET /v1/vector_stores/refused', (c, res, json) => json(res, 401, {}));
    const replies = await Promise.all([parley.get('/api/vector_stores/retrieve_store?vector_store_id=busy'),
      parley.post('/api/vector_stores/add_file', { vectorStoreId: 'busy', fileId: 'f' }), upload('x', Buffer.from('again').toString('base64')),
      parley.get('/api/vector_stores/retrieve_store?vector_store_id=refused')]);
    assert.deepEqual(replies.map((reply) => [reply.status, reply.json.id]), [[200, 'fine'], [200, 'fine'], [200, 'fine'], [500, undefined]]);
    assert.deepEqual(mock.of('/v1/vector_stores/busy/files').map((call) => call.json), Array(3).fill({ file_id: 'f' }));
    assert.equal(parts(mock.of('/v1/files').at(-1)).content.toString(), 'again');
    assert.equal(mock.of('/v1/vector_stores/refused').length, 1);
    mock.on('POST /v1/files', (c, res, json) => json(res, 200, { id: 'file-1', bytes: c.body.length }));
  });

  test('whatever upstream says, a failure is 500 with one sentence in JSON', async () => {
    const reply = await parley.get('/api/vector_stores/retrieve_store?vector_store_id=vs_gone');
    assert.equal(reply.status, 500);
    assert.deepEqual(reply.json, { error: 'Error fetching vector store' });
    assert.deepEqual((await parley.get('/api/vector_stores/list_files?vector_store_id=vs_gone')).json, { error: 'Error fetching files' });
    assert.deepEqual((await parley.post('/api/vector_stores/add_file', { vectorStoreId: 'vs_gone', fileId: 'f' })).json, { error: 'Error adding file' });
    const usual = mock.handlers.get('POST /v1/files');
    mock.on('POST /v1/files', (c, res) => res.socket.destroy());
    assert.deepEqual((await upload('x', 'eA==')).json, { error: 'Error uploading file' });
    mock.on('POST /v1/files', usual);
    assert.deepEqual((await parley.get('/api/container_files/content?file_id=gone')).json, { error: 'Failed to fetch file' });
    assert.deepEqual((await parley.get('/api/container_files/content')).json, { error: 'Missing file_id' });
    assert.deepEqual((await parley.get('/api/container_files/content?file_id=')).json, { error: 'Missing file_id' });
  });

  test('base64 of every kind is understood, in any order of members', async () => {
    const bytes = Buffer.from([0xfb, 0xff, 0xfe, 0, 1, 2, 3]);
    const forms = [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('base64').replace(/(.{3})/g, '$1\r\n'), ''];
    for (const [i, form] of forms.entries()) {
      await upload('b', form);
      assert.deepEqual(parts(mock.of('/v1/files').at(-1)).content, i < 3 ? bytes : Buffer.alloc(0), `form ${i}`);
    }
    const body = `{ "other": {"content":"AAAA","fileObject":{"content":"BBBB"}}, "x":["content",{}], "fileObject":{"content":"${
      bytes.toString('base64').replaceAll('/', '\\/')}","extra":[1,{"name":"no"}],"name":"n\\u00e9\\ud83d\\ude00\\n"} }`;
    await parley.request('/api/vector_stores/upload_file', { method: 'POST', body });
    const sent = parts(mock.of('/v1/files').at(-1));
    assert.deepEqual(sent.content, bytes);
    assert.match(sent.head, /filename="né😀%0A"/);
  });

  test('bodies that are no upload are refused in JSON', async () => {
    const asked = mock.of('/v1/files').length;
    for (const body of ['', 'x', '[]', '{}', '{"fileObject":{}}', '{"fileObject":{"name":"x"}}', '{"fileObject":{"content":"QQ=="}', '{"fileObject":{"content":5}}',
      '{"content":"QQ=="}', '{"fileObject":{"content":"QQ==","content":"QQ=="}}']) {
      const reply = await parley.request('/api/vector_stores/upload_file', { method: 'POST', body });
      assert.ok(reply.status >= 400 && reply.json?.error, `${body}: ${reply.status} ${reply.text}`);
    }
    const named = await upload(5, 'QQ==');
    assert.deepEqual([named.status, named.json.field], [400, 'fileObject.name']);
    assert.equal(mock.of('/v1/files').length, asked);
  });

  test('a file of 50 MB goes up and down whole, and never stands in memory', { timeout: 120000 }, async () => {
    const file = crypto.randomBytes(50 * MB);
    const before = peak();
    const reply = await upload('big.bin', file.toString('base64'));
    assert.equal(reply.status, 200, reply.text);
    assert.equal(sha(parts(mock.of('/v1/files').at(-1)).content), sha(file));
    assert.ok(peak() - before < 16 * MB, `upload took ${(peak() - before) / MB} MB`);

    mock.on('GET /v1/containers/cntr_1/files/cfile_1/content', (c, res) => {
      res.writeHead(200, { 'Content-Type': 'image/png', 'Content-Length': file.length });
      res.end(file);
    });
    const down = await parley.request('/api/container_files/content?file_id=cfile_1&container_id=cntr_1&filename=big.png', { timeout: 60000 });
    assert.equal(sha(down.body), sha(file));
    assert.equal(down.headers['content-type'], 'image/png');
    assert.ok(peak() - before < 16 * MB, `download took ${(peak() - before) / MB} MB`);
  });

  test('a slow reader holds upstream back, and one that leaves closes it', { timeout: 60000 }, async () => {
    let call;
    let sent = 0;
    mock.on('GET /v1/container-files/slow/content', (c, res) => {
      call = c;
      res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      const more = () => {
        while (sent < 200 * MB && !res.destroyed) {
          sent += 64 * 1024;
          if (!res.write(Buffer.alloc(64 * 1024))) return res.once('drain', more);
        }
        return res.end();
      };
      more();
    });
    const before = peak();
    const req = http.get(`${parley.url}/api/container_files/content?file_id=slow`, { agent: false });
    const res = await new Promise((resolve) => { req.on('response', resolve); });
    res.once('data', () => res.pause());
    let last = -1;
    /* Upstream comes to a stop although it has much more to say. */
    assert.ok(await eventually(() => { const still = sent === last && sent > 0; last = sent; return still; }, 20000, 700));
    assert.ok(sent < 150 * MB, `${sent / MB} MB were taken`);
    assert.ok(peak() - before < 16 * MB);
    req.destroy();
    assert.equal(await call.leaving, true);
  });

  test('names are quoted, and what is no name is replaced', async () => {
    mock.on('GET /v1/container-files/f1/content', (c, res) => { res.writeHead(200, { 'Content-Type': 'text/html' }); res.end('<script>'); });
    const get = async (name) => (await parley.get(`/api/container_files/content?file_id=f1&filename=${encodeURIComponent(name)}`)).headers;
    assert.equal((await get('a.txt'))['content-disposition'], 'attachment; filename="a.txt"; filename*=UTF-8\'\'a.txt');
    assert.equal((await get('日"本.csv'))['content-disposition'], 'attachment; filename="___.csv"; filename*=UTF-8\'\'%E6%97%A5%22%E6%9C%AC.csv');
    const evil = await get('x\r\nSet-Cookie: a=b');
    assert.equal(evil['set-cookie'], undefined);
    assert.match(evil['content-disposition'], /filename="f1"/);
    assert.match(evil['content-security-policy'], /sandbox/);
    assert.equal(evil['x-content-type-options'], 'nosniff');
  });

  test('an upload over the limit is refused; the key goes out in the header that is set', { timeout: 60000 }, async () => {
    const small = await startParley({ workers: 1, env: { ...mock.env, UPLOAD_MAX_BYTES: 100000, OPENAI_AUTH: 'api-key' } });
    try {
      await small.get('/api/vector_stores/retrieve_store?vector_store_id=vs_1');
      await small.post('/api/turn_response', { messages: [{ role: 'user', content: 'x' }], toolsState: {} });
      for (const { headers } of mock.calls.slice(-2)) assert.deepEqual([headers['api-key'], headers.authorization], ['sk-test-secret', undefined]);
      const reply = await small.post('/api/vector_stores/upload_file', { fileObject: { name: 'x', content: 'A'.repeat(200000) } });
      assert.equal(reply.status, 413);
      assert.ok(reply.json.error);
      const chat = await small.post('/api/chat', { message: 'x'.repeat(90000) });
      assert.equal(chat.status, 413, 'other routes keep their own limit');
    } finally { await small.stop(); }
  });
});
