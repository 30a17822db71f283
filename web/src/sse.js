/*
 * sse: a reader for server-sent events that arrive by fetch. Bytes may be split anywhere, also inside a
 * character or between CR and LF. Knows nothing of chat; client.js gives meaning to what it finds.
 */

/**
 * Make a reader. `onEvent({id, event, data})` is called once per event that has data; comments are dropped.
 * push(bytes) takes a Uint8Array; end() delivers what stands before a missing last blank line.
 */
export function createSseReader(onEvent) {
  const decoder = new TextDecoder();
  let pending = '';
  let id = '';
  let event = '';
  let data = [];

  function dispatch() {
    if (data.length) onEvent({ id, event: event || 'message', data: data.join('\n') });
    event = '';
    data = [];
  }

  function line(text) {
    if (text === '') return dispatch();
    const colon = text.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    let value = colon < 0 ? '' : text.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
  }

  function take(final) {
    let from = 0;
    for (;;) {
      const match = /\r\n|\n|\r/g;
      match.lastIndex = from;
      const found = match.exec(pending);
      if (!found) break;
      // A CR at the very end may be the first half of CRLF: wait for the next bytes.
      if (found[0] === '\r' && match.lastIndex === pending.length && !final) break;
      line(pending.slice(from, found.index));
      from = match.lastIndex;
    }
    pending = pending.slice(from);
  }

  return {
    push(bytes) {
      pending += decoder.decode(bytes, { stream: true });
      take(false);
    },
    end() {
      pending += decoder.decode();
      take(true);
      if (pending) line(pending);
      pending = '';
      dispatch();
    },
  };
}
