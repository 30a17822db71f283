/*
 * prefs: what the page remembers in this browser. Storage may be forbidden (private mode, settings); then it forgets.
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
  return {
    get(name) {
      try {
        return storage?.getItem(PREFIX + name) ?? null;
      } catch {
        return null;
      }
    },
    set(name, value) {
      try {
        if (value === null || value === '') storage?.removeItem(PREFIX + name);
        else storage?.setItem(PREFIX + name, value);
      } catch {
        // full or forbidden: the page works without
      }
    },
  };
}

/** For this browser: theme, language, model, last conversation. */
export const prefs = make(area('localStorage'));
/** For this tab: which conversation is open, what is typed. */
export const tab = make(area('sessionStorage'));
