/*
 * tools: a small line for each tool that the model called for an answer, above its text.
 */
import { h } from './dom.js';
import { t } from './i18n.js';

/** Lines in front of `body`: show(call) as it begins and again when it is over, over() when nothing more will come. */
export function createToolLines(body) {
  const lines = [];
  const words = (key, call) => {
    const asked = Object.values(call.arguments ?? {}).join(', ');
    lines[call.index].textContent = t(key, { name: asked ? `${call.name} (${asked})` : call.name });
  };
  const running = [];
  return {
    show(call) {
      const { index } = call;
      lines[index] ??= body.parentNode.insertBefore(h('div', { class: 'tool-line', dir: 'auto' }), body);
      running[index] = 'result' in call || 'error' in call ? null : call;
      words('result' in call ? 'tool_used' : running[index] ? 'tool_runs' : 'tool_failed', call);
    },
    over: () => running.forEach((call) => call && words('tool_failed', call)),
  };
}
