/*
 * errors: what a person reads when something failed. The server's own sentence counts, except where we can say it in the
 * reader's language.
 */
import { language, t } from './i18n.js';

const BY_CODE = {
  network: 'error_network',
  connection_lost: 'error_lost',
  timeout: 'error_timeout',
  bad_reply: 'error_reply',
  rate_limited: 'error_limit',
  budget_exhausted: 'error_budget',
  unknown_conversation: 'error_gone',
  empty: 'error_empty',
  invalid_key: 'error_access',
};
/* The server's own sentence knows more, but only in English. */
const BY_CODE_ABROAD = {
  unknown_model: 'error_choice',
  unknown_provider: 'error_choice',
  invalid_message: 'error_too_large',
  provider_timeout: 'error_timeout',
  interrupted: 'interrupted',
  overloaded: 'error_busy',
};
const BY_STATUS = {
  401: 'error_access', 403: 'error_access', 404: 'error_gone', 413: 'error_too_large', 429: 'error_limit', 503: 'error_busy', 504: 'error_timeout',
};

/** Would the same question fail again, however often it is asked? */
export const isFinal = (error) => error.code === 'invalid_message' || error.status === 413;

/** What went wrong with an answer that is over, null if nothing. `last`: its last frame; `text`: all of it. */
export function failureOf(last, text) {
  if (last.failed || last.error) return last.failed ?? last;
  return !text.trim() && (last.finish_reason ?? 'stop') === 'stop' ? { code: 'empty', done: true } : null;
}

/** Seconds as a person says them. */
export function waitText(seconds) {
  if (seconds < 90) return t('wait_seconds', { n: Math.ceil(seconds) });
  if (seconds < 5400) return t('wait_minutes', { n: Math.ceil(seconds / 60) });
  return t('wait_hours', { n: Math.ceil(seconds / 3600) });
}

/** `error` is an ApiError or the last frame of an answer that failed half way. */
export function errorText(error) {
  const said = typeof error.error === 'string' ? error.error : error.message;
  const abroad = () => BY_CODE_ABROAD[error.code] ?? (/^provider_/.test(error.code) ? 'error_model' : BY_STATUS[error.status] ?? 'error_server');
  // A web server's own page instead of ours says nothing but its status.
  const key = error.code === 'http_error' ? BY_STATUS[error.status] ?? 'error_server'
    : BY_CODE[error.code] ?? (language() === 'en' && said ? null : abroad());
  const text = key ? t(key) : said || t('error_server');
  const after = error.retryAfter ?? error.retry_after;
  return after ? `${text} ${t('try_again_in', { wait: waitText(after) })}` : text;
}
