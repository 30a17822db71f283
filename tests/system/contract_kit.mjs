/*
 * contract_kit: what the contract tests share: one parley behind lighttpd and nginx, a mock provider, and what ids and
 * timestamps look like.
 */
import assert from 'node:assert/strict';

import { startParley } from './harness.mjs';
import { startMock } from './mock_provider.mjs';

export const FRONTS = ['lighttpd', 'nginx'];
export const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/* What the mock provider says of an answer of three pieces. */
export const USAGE = { prompt_tokens: 11, completion_tokens: 3, total_tokens: 14 };

export async function startContract(env = {}) {
  const mock = await startMock();
  const parley = await startParley({ mock, via: FRONTS, env: { SYSTEM_PROMPT: 'You are the test.', CORS_ORIGIN: 'https://shop.example', ...env } });
  return { mock, parley };
}

export const isTimestamp = (text) => { assert.match(text, TIMESTAMP); assert.ok(Math.abs(Date.now() - Date.parse(text)) < 60000); };
export const isText = (text) => { assert.equal(typeof text, 'string'); assert.notEqual(text, ''); };
