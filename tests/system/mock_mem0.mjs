/*
 * mock_mem0: a Mem0 service, hosted (style 'platform') or the open source server ('server'), with a mood:
 *   well    answers        slow    keeps every request waiting        refuse  401
 * Search gives all facts of the user_id in its filter; one for "slowly" never answers. What is added is kept when
 * mem0.learning, if it is a promise, is settled.
 */
import http from 'node:http';

export async function startMem0(style) {
  const mem0 = { mood: 'well', count: 0, facts: new Map(), requests: [], waiting: [] };
  const paths = style === 'platform' ? { add: '/v3/memories/add/', search: '/v3/memories/search/', list: '/v3/memories/?page=1&', one: /^\/v1\/memories\/([^/?]+)\/$/, forget: '/v1/memories/?' }
    : { add: '/memories', search: '/search', list: '/memories?', one: /^\/memories\/([^/?]+)$/, forget: '/memories?' };
  const key = (headers) => style === 'platform' ? headers.authorization === 'Token m0-key' : headers['x-api-key'] === 'm0-key';
  const server = http.createServer(async (req, res) => {
    const parts = [];
    for await (const part of req) parts.push(part);
    const json = parts.length ? JSON.parse(Buffer.concat(parts).toString()) : {};
    const reply = (status, body) => { res.writeHead(status, { 'Content-Type': 'application/json' }); res.end(JSON.stringify(body)); };
    mem0.requests.push({ method: req.method, path: req.url, json });
    if (mem0.mood === 'slow' || json.query === 'slowly') return mem0.waiting.push(res);
    if (mem0.mood === 'refuse' || !key(req.headers)) return reply(401, { detail: 'Invalid token.' });
    if (req.method === 'POST' && req.url === paths.add) {
      await mem0.learning;
      const facts = mem0.facts.get(json.user_id) ?? [];
      facts.push({ id: `00000000-0000-4000-8000-${String(++mem0.count).padStart(12, '0')}`, memory: json.messages[0].content, user_id: json.user_id, metadata: json.metadata ?? null, created_at: '2026-01-02T03:04:05.123456-08:00', updated_at: null });
      mem0.facts.set(json.user_id, facts);
      return reply(200, style === 'platform' ? { event_id: 'e1', status: 'PENDING' } : { results: [{ id: facts.at(-1).id, memory: facts.at(-1).memory, event: 'ADD' }] });
    }
    if (req.url === paths.search)
      return reply(200, { results: (mem0.facts.get(json.filters.user_id) ?? []).map((fact) => ({ ...fact, score: 0.9 })) });
    const id = paths.one.exec(req.url)?.[1];
    if (id) {
      const [owner, facts] = [...mem0.facts].find(([, list]) => list.some((fact) => fact.id === id)) ?? [];
      if (!owner) return reply(404, { error: 'Memory not found!' });
      if (req.method === 'GET') return reply(200, facts.find((fact) => fact.id === id));
      mem0.facts.set(owner, facts.filter((fact) => fact.id !== id));
      return reply(200, { message: 'Memory deleted successfully!' });
    }
    if (req.method === (style === 'platform' ? 'POST' : 'GET') && req.url.startsWith(paths.list))
      return reply(200, { results: mem0.facts.get(json.filters?.user_id ?? new URL(req.url, mem0.url).searchParams.get('user_id')) ?? [] });
    const user = new URL(req.url, mem0.url).searchParams.get('user_id');
    if (req.method === 'DELETE' && req.url.startsWith(paths.forget) && user)
      return mem0.facts.delete(user), reply(200, { message: 'Memories deleted' });
    return reply(404, { detail: 'Not Found' });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  mem0.url = `http://127.0.0.1:${server.address().port}`;
  mem0.stop = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return mem0;
}
