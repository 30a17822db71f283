/*
 * breaker: circuit breakers of the providers, shared by all workers. After so many failures in a row a
 * provider is left alone (open); when its time is over, one question may try it again (the probe), and
 * its outcome closes the breaker or opens it anew.
 *
 * The board is shared memory, made before fork; without one each process counts for itself. Only atomics, no
 * lock: a worker that is killed leaves nothing held. A slot is a provider's place in struct providers,
 * which is the same in all workers. Any thread.
 */
#ifndef PARLEY_BREAKER_H
#define PARLEY_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct breakers;

/* `failures` in a row open a breaker (0 = never), for `open_ms`. NULL when out of memory. */
struct breakers *breakers_new(int64_t failures, int64_t open_ms);
void breakers_free(struct breakers *breakers); /* of this process only; NULL is fine */

enum breaker_verdict {
    BREAKER_ASK,   /* it works, as far as is known */
    BREAKER_PROBE, /* you are the one who tries it: success, failure or cancel must follow */
    BREAKER_REFUSE /* leave it alone; somebody may be trying it */
};
enum breaker_verdict breaker_ask(struct breakers *breakers, size_t slot);

/* True when this closed an open breaker. */
bool breaker_success(struct breakers *breakers, size_t slot);

/* `code` as in struct fault. True when this opened a closed breaker. */
bool breaker_failure(struct breakers *breakers, size_t slot, const char *code);

/* An error that says nothing about the provider's health, for the record only. */
void breaker_note(struct breakers *breakers, size_t slot, const char *code);

/* The probe came to no result (its visitor left): somebody else may try. */
void breaker_cancel(struct breakers *breakers, size_t slot);

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_facts {
    enum breaker_state state;
    int64_t failures;        /* in a row */
    int64_t open_ms;         /* still to go */
    int64_t last_success_ms; /* wall clock, 0 = none yet */
    int64_t last_error_ms;
    const char *last_error; /* code, "" = none yet */
};
void breaker_facts(struct breakers *breakers, size_t slot, struct breaker_facts *out);

/* "closed", "open", "half_open". */
const char *breaker_state_name(enum breaker_state state);

#endif
