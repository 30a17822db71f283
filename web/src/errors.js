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
  http_error: 'error_server',
  unknown_conversation: 'error_gone',
};
const BY_STATUS = { 413: 'error_too_large', 429: 'error_limit', 502: 'error_model', 503: 'error_busy', 504: 'error_timeout' };

/** Seconds as a person says them. */
export function waitText(seconds) {
  if (seconds < 90) return t('wait_seconds', { n: Math.ceil(seconds) });
  if (seconds < 5400) return t('wait_minutes', { n: Math.ceil(seconds / 60) });
  return t('wait_hours', { n: Math.ceil(seconds / 3600) });
}

/** `error` is an ApiError or the last frame of an answer that failed half way. */
export function errorText(error) {
  const said = typeof error.error === 'string' ? error.error : error.message;
  // The server's own sentence knows more, but only in English.
  const key = BY_CODE[error.code] ?? (language() === 'en' && said ? null : BY_STATUS[error.status]);
  const text = key ? t(key) : said || t('error_server');
  const after = error.retryAfter ?? error.retry_after;
  return after ? `${text} ${t('try_again_in', { wait: waitText(after) })}` : text;
}
