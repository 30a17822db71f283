/*
 * rate_limit: the limits as HTTP shows them. For endpoints that ask a question: plan, admit (limits.h), and
 * the headers on whatever is replied. Request thread.
 */
#ifndef PARLEY_ENDPOINTS_RATE_LIMIT_H
#define PARLEY_ENDPOINTS_RATE_LIMIT_H

#include <stdbool.h>

struct buf;
struct exchange;
struct limits_plan;

/* What a question of this request is charged to. */
void rate_limit_plan(const struct exchange *exchange, struct limits_plan *plan);

/*
 * RateLimit-Limit, -Remaining and -Reset (seconds) of the tightest window. When nothing was counted (a
 * duplicate, a body with a mistake) what is left is looked up first. Without limits nothing is added.
 */
void rate_limit_headers(struct exchange *exchange, struct limits_plan *plan);

/* Append the members "limits" and, with a budget, "tokens" to a JSON object. False: not known now; nothing added. */
bool rate_limit_put(const struct exchange *exchange, struct buf *out);

#endif
