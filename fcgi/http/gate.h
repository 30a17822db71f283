/*
 * gate: the checks before every handler, in one fixed order: capacity, origin/CORS, method, auth, body
 * cap, rate limit (DESIGN.md section 3). No handler can forget one.
 */
#ifndef PARLEY_HTTP_GATE_H
#define PARLEY_HTTP_GATE_H

#include <stdbool.h>

struct exchange;

/*
 * Find the row (exchange->route, path_arg) and run its checks; a row with ROUTE_JSON has its body read
 * afterwards. True: the handler may run. False: the reply (an error, a preflight answer) is out. On a request
 * thread.
 */
bool gate_pass(struct exchange *exchange);

#endif
