/*
 * tries: whether a request to OpenAI that failed is made again, and when, as its own SDK does it
 * (contracts/turn_response.md, section 1): three tries, with a pause that grows or that the reply asked for. What cannot
 * be cured by another try is not tried again. Any thread, but for tries_after_reply: loop thread.
 */
#ifndef PARLEY_RESPONSES_TRIES_H
#define PARLEY_RESPONSES_TRIES_H

#include <stdint.h>

struct relay_fetch_reply;

/* Milliseconds before the next try when `made` were made; -1: there is none. `asked_ms`: what the reply asked for, -1 =
 * nothing; more than `most_ms` is not waited for. */
int64_t tries_pause_ms(unsigned made, int64_t asked_ms, int64_t most_ms);

/* The same after a reply that is not good; inside its callback. */
int64_t tries_after_reply(unsigned made, const struct relay_fetch_reply *reply, int64_t most_ms);

#endif
