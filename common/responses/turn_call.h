/*
 * turn_call: the question of a round in the terms of providers. Private to common/responses. Pure.
 */
#ifndef PARLEY_RESPONSES_TURN_CALL_H
#define PARLEY_RESPONSES_TURN_CALL_H

#include "common/responses/round.h"

/* Everything in `call` is borrowed from the other two. */
void turn_call_fill(const struct round_plan *plan, const struct item_history *history,
                    struct provider_call *call);

#endif
