/*
 * provider_health: what is known of each provider's health, for /api/health/detailed. Any thread.
 */
#ifndef PARLEY_ENDPOINTS_PROVIDER_HEALTH_H
#define PARLEY_ENDPOINTS_PROVIDER_HEALTH_H

struct app;
struct buf;

/* Append a JSON array: {"name","kind","model","default","breaker":"closed|open|half_open","failures",
 * "retry_in_ms","last_success","last_error","last_error_code"} per provider; times are null when there was
 * none. The figures are those of all workers together. */
void provider_health_put(const struct app *app, struct buf *out);

#endif
