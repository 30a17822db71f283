/*
 * clock: the two clocks and the time formats on the wire. Thread-safe.
 */
#ifndef PARLEY_BASE_CLOCK_H
#define PARLEY_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_RFC3339_SIZE 32

/* Milliseconds that never jump, for deadlines. */
int64_t clock_mono_ms(void);
/* Microseconds of the same clock, for measurements. */
int64_t clock_mono_us(void);
/* Milliseconds since 1970 UTC, for what is stored. */
int64_t clock_wall_ms(void);

/* "2026-01-02T03:04:05.678Z" into `out` (CLOCK_RFC3339_SIZE bytes). Returns out. */
char *clock_rfc3339(int64_t wall_ms, char *out);

/* Parse RFC 3339 with any offset and optional fraction; false when it is not one. */
bool clock_parse_rfc3339(const char *text, int64_t *wall_ms);

/* Parse an HTTP date (RFC 9110 5.6.7, all three forms); false when it is not one. */
bool clock_parse_http_date(const char *text, int64_t *wall_ms);

/* "Sun, 06 Nov 1994 08:49:37 GMT" into `out` (CLOCK_RFC3339_SIZE bytes). Returns out. */
char *clock_http_date(int64_t wall_ms, char *out);

#endif
