/*
 * outcomes: when each provider last answered, and when and how it last failed, as this process saw it.
 * For health pages; decides nothing. Thread-safe.
 */
#ifndef PARLEY_PROVIDERS_OUTCOMES_H
#define PARLEY_PROVIDERS_OUTCOMES_H

#include <stdbool.h>
#include <stdint.h>

struct outcome {
    int64_t success_ms; /* wall clock, 0 = never */
    int64_t error_ms;   /* 0 = never */
    char error[40];     /* its code */
};

/* `code` NULL: it answered. More names than OUTCOMES_MAX are not kept. */
#define OUTCOMES_MAX 32
void outcomes_note(const char *provider, const char *code, int64_t now_ms);

/* Zeros when nothing is known. */
void outcomes_get(const char *provider, struct outcome *out);

#endif
