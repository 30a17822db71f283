/*
 * proxy: a TCP proxy between browser and web server, to break their connections at will.
 *
 *   const proxy = await startProxy(url);      // proxy.url: the same installation, through us
 *   proxy.cut();                              // every connection is reset
 *   proxy.down = true;                        // and new ones too, until it is false again
 */
import { once } from 'node:events';
import net from 'node:net';

export async function startProxy(url) {
  const target = new URL(url);
  const pairs = new Set();
  const proxy = { down: false, passed: 0 };
  const server = net.createServer((client) => {
    if (proxy.down) {
      client.resetAndDestroy();
      return;
    }
    proxy.passed += 1;
    const upstream = net.connect(Number(target.port), target.hostname);
    const pair = { client, upstream };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      socket.on('error', end);
      socket.on('close', end);
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${server.address().port}${target.pathname.replace(/\/$/, '')}`;
  proxy.cut = () => {
    for (const { client, upstream } of [...pairs]) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  };
  proxy.stop = async () => {
    server.close();
    proxy.cut();
  };
  return proxy;
}
