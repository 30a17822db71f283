/*
 * notify_socket: what systemd has behind NOTIFY_SOCKET. node speaks no datagrams over unix sockets, so python3 does.
 *
 *   const manager = await openNotifySocket(`${dir}/notify`);      // or '@name', an abstract one
 *   manager.messages                                              // [{ READY: '1', MAINPID: '42' }, ...] as they come
 *   await manager.next('READY')                                   // the next one with that name which was not asked for yet
 *   await manager.close()
 */
import assert from 'node:assert/strict';

import { end, eventually, start } from './harness.mjs';

const LISTENER = `
import json, socket, sys
name = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind('\\0' + name[1:] if name[0] == '@' else name)
print('listening', file=sys.stderr, flush=True)
while True:
    lines = listener.recv(4096).decode().split('\\n')
    print(json.dumps(dict(line.split('=', 1) for line in lines)), file=sys.stderr, flush=True)
`;

export async function openNotifySocket(name) {
  const messages = [];
  let listening = false;
  let read = 0;
  const child = start('python3', ['-c', LISTENER, name], { env: { PATH: process.env.PATH },
    lines: (line) => { if (line === 'listening') listening = true; else if (line) messages.push(JSON.parse(line)); } });
  assert.ok(await eventually(() => listening, 10000, 5), child.output);
  return {
    name, messages,
    next: async (key) => {
      const find = () => messages.findIndex((message, i) => i >= read && key in message);
      assert.ok(await eventually(() => find() >= 0, 15000, 5), `no ${key}: ${JSON.stringify(messages.slice(read))}`);
      const at = find();
      read = at + 1;
      return messages[at];
    },
    close: () => end(child, 'SIGKILL').catch(() => {}),
  };
}
