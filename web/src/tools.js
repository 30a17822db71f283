/*
 * tools: a small line for each tool that the model called for an answer, above its text.
 */
import { h } from './dom.js';
import { t } from './i18n.js';

const MOST = 80; // characters of what it was asked

/** Lines in front of `body`: show(call) as it begins and again when it is over, over() when nothing more will come. */
export function createToolLines(body) {
  const lines = [];
  const words = (key, call) => {
    const asked = Object.values(call.arguments ?? {}).map(String).join(', ');
    const whole = asked.length > MOST ? `${asked.slice(0, MOST)}…` : asked;
    lines[call.index].node.textContent = t(key, { name: whole ? `${call.name} (${whole})` : call.name });
  };
  return {
    show(call) {
      lines[call.index] ??= { node: body.parentNode.insertBefore(h('div', { class: 'tool-line', dir: 'auto' }), body) };
      lines[call.index].call = call;
      words('result' in call ? 'tool_used' : 'error' in call ? 'tool_failed' : 'tool_runs', call);
    },
    over: () => lines.forEach(({ call }) => 'result' in call || words('tool_failed', call)),
  };
}
