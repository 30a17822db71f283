/*
 * prefs: what the page remembers in this browser. Storage may be forbidden (private mode, settings) or full; then it
 * remembers as long as it is open.
 */

const PREFIX = 'parley.';

function area(kind) {
  try {
    return window[kind];
  } catch {
    return null;
  }
}

function make(storage) {
  const kept = new Map(); // what storage did not take

  return {
    get(name) {
      if (kept.has(name)) return kept.get(name);
      try {
        return storage?.getItem(PREFIX + name) ?? null;
      } catch {
        return null;
      }
    },
    set(name, value) {
      const wanted = value === '' ? null : value;
      kept.delete(name);
      try {
        if (wanted === null) storage.removeItem(PREFIX + name);
        else storage.setItem(PREFIX + name, wanted);
      } catch {
        kept.set(name, wanted);
      }
    },
  };
}

/** For this browser: theme, language, model, last conversation. */
export const prefs = make(area('localStorage'));
/** For this tab: which conversation is open, what is typed. */
export const tab = make(area('sessionStorage'));
