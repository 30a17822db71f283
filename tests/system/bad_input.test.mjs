/*
 * Bad input gets its documented error and never reaches the provider. One table, sent through lighttpd and
 * through nginx.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

const FRONTS = ['lighttpd', 'nginx', 'nginx-unbuffered'];
const SECRET = 'never-log-this-text';

let mock, parley;
before(async () => {
  mock = await startMock();
  parley = await startParley({ mock, via: FRONTS, env: { MAX_BODY_BYTES: 20000, LOG_LEVEL: 'debug' } });
});
after(async () => {
  await parley?.stop();
  await mock?.stop();
});

const raw = (body, type = 'application/json') => ({ body, headers: { 'Content-Type': type } });
const nested = (depth, open = '[', close = ']') => `{"message":"x","deep":${open.repeat(depth)}${close.repeat(depth)}}`;
const message = `hello ${SECRET}`;
const context = (user_context) => ({ json: { message, user_context } });

/* what, options of the request (POST /api/chat), status, code (null: any), field */
const CASES = [
  ['no JSON', raw('{"message":'), 400, 'invalid_json'],
  ['an empty body', raw(''), 400, 'invalid_json'],
  ['an array', raw('["message"]'), 400, 'invalid_json'],
  ['a string', raw('"message"'), 400, 'invalid_json'],
  ['null', raw('null'), 400, 'invalid_json'],
  ['two values', raw('{"message":"x"} {}'), 400, 'invalid_json'],
  ['single quotes', raw("{'message':'x'}"), 400, 'invalid_json'],
  ['comments', raw('{"message":"x" /* no */}'), 400, 'invalid_json'],
  ['a trailing comma', raw('{"message":"x",}'), 400, 'invalid_json'],
  ['NaN', raw('{"message":"x","n":NaN}'), 400, 'invalid_json'],
  ['a raw newline in a string', raw('{"message":"a\nb"}'), 400, 'invalid_json'],
  ['bytes that are not UTF-8', raw(Buffer.from('{"message":"a\xff\xfe"}', 'latin1')), 400, 'invalid_json'],
  ['an overlong UTF-8 form', raw(Buffer.from('{"message":"\xc0\xaf"}', 'latin1')), 400, 'invalid_json'],
  ['a UTF-8 surrogate', raw(Buffer.from('{"message":"\xed\xa0\x80"}', 'latin1')), 400, 'invalid_json'],
  ['arrays nested 33 deep', raw(nested(32)), 400, 'invalid_json'],
  ['arrays nested thousands deep', raw('['.repeat(19000)), 400, 'invalid_json'],
  ['objects nested thousands deep', raw('{"a":'.repeat(3000)), 400, 'invalid_json'],
  ['no message', { json: {} }, 400, 'invalid_message', 'message'],
  ['a number as message', { json: { message: 5 } }, 400, null, 'message'],
  ['a list as message', { json: { message: ['x'] } }, 400, null, 'message'],
  ['null as message', { json: { message: null } }, 400, 'invalid_message', 'message'],
  ['an empty message', { json: { message: '' } }, 400, 'invalid_message', 'message'],
  ['a message of white space', { json: { message: ' \t\r\n\u00a0 ' } }, 400, 'invalid_message', 'message'],
  ['a message of control characters', { json: { message: '\u0000\u0001\u007f' } }, 400, 'invalid_message', 'message'],
  ['a message of 1001 characters', { json: { message: 'ä'.repeat(1001) } }, 400, 'invalid_message', 'message'],
  ['sessionId and user_id', { json: { message, sessionId: 's', user_id: 'u' } }, 400, 'ambiguous_contract'],
  ['an unknown conversation', { json: { message, conversation_id: 'conv_doesnotexist' } }, 404, 'unknown_conversation'],
  ['a conversation id with SQL in it', { json: { message, conversation_id: "x' OR '1'='1" } }, 404, 'unknown_conversation'],
  ['a number as conversation_id', { json: { message, conversation_id: 7 } }, 400, null, 'conversation_id'],
  ['an unknown session', { json: { message, sessionId: 'session_unknown_1' } }, 404, null],
  ['a number as sessionId', { json: { message, sessionId: 7 } }, 400, null, 'sessionId'],
  ['an empty user_id', { json: { message, user_id: '' } }, 400, null, 'user_id'],
  ['a number as user_id', { json: { message, user_id: 7 } }, 400, null, 'user_id'],
  ['a user_id of 129 characters', { json: { message, user_id: 'u'.repeat(129) } }, 400, null, 'user_id'],
  ['a user_id with a newline', { json: { message, user_id: 'a\nb' } }, 400, null, 'user_id'],
  ['a string as stream', { json: { message, stream: 'yes' } }, 400, null, 'stream'],
  ['a string as user_context', context('vip'), 400, null, 'user_context'],
  ['a number as user_context.page', context({ page: 1 }), 400, null, /page$/],
  ['a long user_context.page', context({ page: 'p'.repeat(201) }), 400, null, /page$/],
  ['an unknown provider', { json: { message, provider: 'nobody' } }, 400, 'unknown_provider', 'provider'],
  ['text/plain', raw('{"message":"x"}', 'text/plain'), 415, null],
  ['a form', raw('message=x', 'application/x-www-form-urlencoded'), 415, null],
  ['a type that begins like JSON', raw('{"message":"x"}', 'application/jsonp'), 415, null],
  ['a body over the cap', raw(JSON.stringify({ message, pad: 'x'.repeat(20000) })), 413, 'body_too_large'],
  ['a body over the cap without Content-Length', { ...raw(JSON.stringify({ message, pad: 'x'.repeat(20000) })), chunked: true }, 413, 'body_too_large'],
  ['a megabyte without Content-Length', { ...raw(JSON.stringify({ message, pad: 'x'.repeat(1000000) })), chunked: true }, 413, 'body_too_large'],
];

function checkError(reply, status, code, field) {
  assert.equal(reply.status, status, reply.text);
  assert.match(reply.headers['content-type'], /^application\/json/);
  const { json } = reply;
  assert.equal(json.status, 'error');
  assert.match(json.error, /^[A-Z].*/);
  assert.match(json.code, /^[a-z][a-z_]*$/);
  assert.equal(json.request_id, reply.headers['x-request-id']);
  if (code) assert.equal(json.code, code);
  if (field) assert.match(json.field, new RegExp(field));
  assert.equal(reply.headers['cache-control'], 'no-store');
  assert.doesNotMatch(reply.text, /SELECT|INSERT|\/tmp|sqlite|\.c:/i);
}

for (const front of FRONTS) {
  describe(`through ${front}`, () => {
    let at;
    before(() => { at = parley.through(front); });

    for (const [what, options, status, code, field] of CASES) {
      test(`${what}: ${status} ${code ?? ''}`, async () => {
        checkError(await at.request('/api/chat', { method: 'POST', ...options }), status, code, field);
      });
    }

    test('the same where the reply would have been a stream', async () => {
      checkError(await at.post('/api/chat/stream', { message: '' }), 400, 'invalid_message', 'message');
      checkError(await at.post('/api/chat', { user_id: 'u', message: '' }), 400, 'invalid_message', 'message');
      checkError(await at.post('/api/chat/simple', { message }), 400, null, 'user_id');
    });

    test('a wrong method is 405 with what is allowed', async () => {
      const chat = await at.get('/api/chat');
      checkError(chat, 405, 'method_not_allowed');
      assert.deepEqual(chat.headers.allow.split(/, ?/).sort(), ['OPTIONS', 'POST']);
      const health = await at.request('/api/health', { method: 'DELETE' });
      checkError(health, 405, 'method_not_allowed');
      assert.match(health.headers.allow, /GET/);
      assert.match(health.headers.allow, /HEAD/);
    });

    test('an unknown path below /api is a JSON 404', async () => {
      for (const where of ['/api', '/api/nothing', '/api/chat/nothing/deeper', '/api/chatter', '/api/healthy']) {
        checkError(await at.get(where), 404, 'unknown_path');
      }
    });

    test('odd paths and queries do no harm', async () => {
      for (const where of ['/api/health?x=%zz&&=', '/api/health?' + 'a=b&'.repeat(500), '/api/%2e%2e/%2e%2e/etc/passwd', '/%0d%0aX-Evil:%201', '/api/health%00']) {
        const reply = await at.get(where);
        assert.ok(reply.status === 200 || (reply.status >= 400 && reply.status < 500), `${where}: ${reply.status}`);
        assert.equal(reply.headers['x-evil'], undefined);
      }
    });
  });
}

test('none of it reached the provider, none of it is in the log or in the store', async () => {
  assert.equal((await parley.get('/api/health')).status, 200);
  assert.deepEqual(mock.requests.map((call) => call.question), []);
  assert.ok(!parley.logText().includes(SECRET));
  assert.deepEqual(await parley.sql('SELECT count(*) AS n FROM messages'), [{ n: 0 }]);
  assert.equal(parley.logs.filter((line) => /died|crash|killed/.test(line.event ?? '')).length, 0);
});
