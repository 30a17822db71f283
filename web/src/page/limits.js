/*
 * limits: says how many messages are left in the tightest window, as soon as it is worth knowing.
 */
import { t } from '../i18n.js';

const TELL_BELOW = 0.5;

/** `node` gets the sentence. */
export function startLimits(client, node) {
  let available = true;
  let tightest = null;

  function show() {
    const worth = tightest && tightest.remaining <= tightest.limit * TELL_BELOW;
    node.textContent = worth
      ? t(`left_${tightest.window}`, { n: tightest.remaining, limit: tightest.limit }) : '';
  }

  return {
    refresh: show,
    async load() {
      if (!available) return;
      try {
        const { limits = [] } = await client.rateLimit();
        tightest = limits.filter((one) => one.limit > 0)
          .sort((a, b) => a.remaining / a.limit - b.remaining / b.limit)[0] ?? null;
      } catch (error) {
        if (error.absent) available = false;
      }
      show();
    },
  };
}
