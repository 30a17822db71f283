/*
 * breaker: see breaker.h. Times are CLOCK_MONOTONIC, which all processes of a machine share. What two
 * workers do at the same moment may count once more or less, which does no harm; that only one of them
 * probes is a compare-and-swap.
 */
#include "common/breaker.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/clock.h"

#define SLOTS 32
#define PROBE_MS                                                                                   \
    (120 * 1000) /* a probe without an outcome for so long is forgotten: its worker died */

struct slot {
    _Atomic int64_t failures;
    _Atomic int64_t open_until_ms; /* 0 = closed */
    _Atomic int64_t probe_until_ms;
    _Atomic int64_t last_success_ms, last_error_ms; /* wall clock */
    _Atomic int last_error;                         /* of codes */
};

struct breakers {
    int64_t failures, open_ms;
    struct slot slots[SLOTS];
};

/* Codes are kept as numbers, so that nobody reads half of one. The first one is for all others. */
static const char *const codes[] = {
    "provider_error",        "provider_auth",        "provider_not_found",
    "provider_quota",        "provider_rejected",    "provider_rate_limited",
    "provider_bad_response", "provider_stream_cut",  "provider_context_length",
    "provider_timeout",      "provider_unreachable", "provider_tls",
};

struct breakers *breakers_new(int64_t failures, int64_t open_ms)
{
    struct breakers *breakers =
        mmap(NULL, sizeof *breakers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (breakers == MAP_FAILED)
        return NULL;
    breakers->failures = failures;
    breakers->open_ms = open_ms;
    return breakers;
}

void breakers_free(struct breakers *breakers)
{
    if (breakers != NULL)
        munmap(breakers, sizeof *breakers);
}

static struct slot *slot_of(struct breakers *breakers, size_t slot)
{
    return breakers != NULL && slot < SLOTS ? &breakers->slots[slot] : NULL;
}

enum breaker_verdict breaker_ask(struct breakers *breakers, size_t number)
{
    struct slot *slot = slot_of(breakers, number);
    int64_t now = clock_mono_ms(), open_until, probe_until;

    if (slot == NULL || (open_until = slot->open_until_ms) == 0)
        return BREAKER_ASK;
    probe_until = slot->probe_until_ms;
    if (now < open_until || now < probe_until)
        return BREAKER_REFUSE;
    return atomic_compare_exchange_strong(&slot->probe_until_ms, &probe_until, now + PROBE_MS)
               ? BREAKER_PROBE
               : BREAKER_REFUSE;
}

bool breaker_success(struct breakers *breakers, size_t number)
{
    struct slot *slot = slot_of(breakers, number);

    if (slot == NULL)
        return false;
    slot->last_success_ms = clock_wall_ms();
    slot->failures = 0;
    slot->probe_until_ms = 0;
    return atomic_exchange(&slot->open_until_ms, 0) != 0;
}

void breaker_note(struct breakers *breakers, size_t number, const char *code)
{
    struct slot *slot = slot_of(breakers, number);
    int known = 0;

    if (slot == NULL)
        return;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i], code) == 0)
            known = (int)i;
    slot->last_error = known;
    slot->last_error_ms = clock_wall_ms();
}

bool breaker_failure(struct breakers *breakers, size_t number, const char *code)
{
    struct slot *slot = slot_of(breakers, number);
    int64_t closed = 0, until = clock_mono_ms();

    if (slot == NULL)
        return false;
    until += breakers->open_ms;
    breaker_note(breakers, number, code);
    slot->failures++;
    if (breakers->failures == 0 || slot->failures < breakers->failures)
        return false;
    if (atomic_compare_exchange_strong(&slot->open_until_ms, &closed, until))
        return true;
    slot->open_until_ms = until;
    slot->probe_until_ms = 0;
    return false;
}

void breaker_cancel(struct breakers *breakers, size_t number)
{
    struct slot *slot = slot_of(breakers, number);

    if (slot != NULL)
        slot->probe_until_ms = 0;
}

void breaker_facts(struct breakers *breakers, size_t number, struct breaker_facts *out)
{
    struct slot *slot = slot_of(breakers, number);
    int64_t now = clock_mono_ms(), open_until;

    *out = (struct breaker_facts){ .last_error = "" };
    if (slot == NULL)
        return;
    open_until = slot->open_until_ms;
    out->failures = slot->failures;
    out->last_success_ms = slot->last_success_ms;
    out->last_error_ms = slot->last_error_ms;
    if (out->last_error_ms != 0)
        out->last_error = codes[slot->last_error];
    if (open_until == 0)
        return;
    out->state = now < open_until ? BREAKER_OPEN : BREAKER_HALF_OPEN;
    out->open_ms = now < open_until ? open_until - now : 0;
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = { "closed", "open", "half_open" };

    return names[state];
}
