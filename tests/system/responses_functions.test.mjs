/*
 * The function endpoints of the Responses app: exact bodies, lenient parameters, and JSON whatever happens.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startParley } from './harness.mjs';
import { startResponsesMock } from './mock_responses.mjs';

describe('functions', () => {
  let mock, parley;
  before(async () => {
    mock = await startResponsesMock();
    parley = await startParley({ workers: 1, env: { ...mock.env, TOOL_TIMEOUT_MS: 500, TOOL_USER_AGENT: 'Parley test (me@example.org)' } });
  });
  after(async () => {
    await parley?.stop();
    await mock?.stop();
  });
  const geo = () => mock.of('/geo/search');

  test('the weather of a place is its temperature at this hour', async () => {
    const reply = await parley.get('/api/functions/get_weather?location=Berlin&unit=fahrenheit');
    assert.equal(reply.status, 200);
    assert.equal(reply.text, '{"temperature":21.5}');
    assert.match(reply.headers['content-type'], /^application\/json/);
    const forecast = mock.of('/wx/forecast').at(-1);
    assert.equal(forecast.query.get('latitude'), '52.5170365');
    assert.equal(forecast.query.get('temperature_unit'), 'fahrenheit');
    assert.equal(forecast.query.get('hourly'), 'temperature_2m');
    assert.equal(geo().at(-1).headers['user-agent'], 'Parley test (me@example.org)');
    assert.equal(geo().at(-1).query.get('format'), 'json');
  });
  test('the same question again is answered from memory, for a short while', async () => {
    await parley.get('/api/functions/get_weather?location=Lisbon&unit=celsius');
    const asked = mock.calls.length;
    const again = await parley.get('/api/functions/get_weather?location=Lisbon&unit=celsius');
    assert.equal(again.text, '{"temperature":21.5}');
    assert.equal(mock.calls.length, asked);
  });
  test('an unknown unit is celsius, and a place that is not found is 404', async () => {
    await parley.get('/api/functions/get_weather?location=Oslo&unit=undefined');
    assert.equal(mock.of('/wx/forecast').at(-1).query.get('temperature_unit'), 'celsius');
    for (const query of ['location=Nowhere&unit=celsius', 'location=', '']) {
      const reply = await parley.get(`/api/functions/get_weather?${query}`);
      assert.equal(reply.status, 404, query);
      assert.deepEqual(reply.json, { error: 'Invalid location' });
    }
  });
  test('what a page writes unescaped is read leniently and written properly', async () => {
    await parley.get('/api/functions/get_weather?location=S%C3%A3o+Paulo,%20100%&unit=celsius');
    assert.equal(geo().at(-1).query.get('q'), 'São Paulo, 100%');
    await parley.get('/api/functions/get_weather?location=a%26b%23c%zz&unit=celsius');
    assert.equal(geo().at(-1).query.get('q'), 'a&b#c%zz');
  });
  test('when the hour is missing or the service is broken the body says which', async () => {
    const bad = async (place, handler, expected) => {
      const usual = mock.handlers.get('GET /wx/forecast');
      mock.on('GET /wx/forecast', handler);
      const reply = await parley.get(`/api/functions/get_weather?location=${place}&unit=celsius`);
      mock.on('GET /wx/forecast', usual);
      assert.equal(reply.status, 500);
      assert.deepEqual(reply.json, { error: expected });
    };
    const hour = `${new Date().toISOString().slice(0, 13)}:00`;
    await bad('p1', (c, res) => res.end('{"hourly":{"time":["2020-01-01T00:00"],"temperature_2m":[1]}}'), 'Temperature data unavailable');
    await bad('p2', (c, res) => res.end(`{"hourly":{"time":["${hour}"],"temperature_2m":[null]}}`), 'Temperature data unavailable');
    await bad('p3', (c, res) => res.end('<html>'), 'Error getting weather');
    await bad('p4', (c, res) => res.socket.destroy(), 'Error getting weather');
    await bad('p5', () => {}, 'Error getting weather');
    await bad('p6', (c, res) => { res.writeHead(503); res.end('{}'); }, 'Error getting weather');
  });
  test('a joke of one part or two; every failure is one sentence', async () => {
    const path = 'GET /joke/joke/Programming';
    const ask = async (body, status = 200) => {
      mock.on(path, (c, res) => { res.writeHead(status); res.end(body); });
      return parley.get('/api/functions/get_joke');
    };
    assert.deepEqual((await ask('{"type":"single","joke":"é \\" x"}')).json, { joke: 'é " x' });
    assert.deepEqual((await ask('{"type":"twopart","setup":"a","delivery":"b"}')).json, { joke: 'a - b' });
    for (const [body, status] of [['{"error":true,"message":"none"}', 200], ['x', 200], ['{}', 500], ['{"type":"twopart","setup":"a"}', 200]]) {
      const reply = await ask(body, status);
      assert.equal(reply.status, 500);
      assert.deepEqual(reply.json, { error: 'Could not fetch joke' });
    }
  });
  test('other methods and addresses are refused in JSON', async () => {
    const wrong = await parley.post('/api/functions/get_joke', {});
    assert.equal(wrong.status, 405);
    assert.ok(wrong.json.error);
    const unknown = await parley.get('/api/functions/save_context');
    assert.equal(unknown.status, 404);
    assert.ok(unknown.json.error);
  });
});
