/*
 * gate: a provider's answer that the test lets out piece by piece. So whether an answer streams is a matter of order
 * (the client has a piece before the next one is sent), not of a clock that a busy machine may stop.
 *
 *   const gate = openGate(mock, 'name');        // answers the question that contains "name"
 *   gate.send('text');  gate.finish();
 */
export function openGate(mock, name) {
  const waiting = [];
  let wake = () => {};
  const put = (frame) => { waiting.push(frame); wake(); };
  const chunk = (delta, finish) => `data: ${JSON.stringify({ id: 'chatcmpl-gate', object: 'chat.completion.chunk', created: 1700000000,
    model: 'mock-model', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

  const answer = async (call, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (;;) {
      while (waiting.length === 0 && !call.leftAt) {
        await Promise.race([call.left, new Promise((resolve) => { wake = resolve; })]);
      }
      if (call.leftAt) return;
      const frame = waiting.shift();
      if (frame === null) break;
      res.write(frame);
    }
    res.end(`${chunk({}, 'stop')}data: [DONE]\n\n`);
  };
  mock.script((call) => (String(call.question).includes(name) ? answer : undefined));
  return { send: (text) => put(chunk({ content: text }, null)), finish: () => put(null) };
}
