/*
 * json_check: is this exactly one JSON value by RFC 8259? Private to json.c.
 */
#ifndef PARLEY_BASE_JSON_CHECK_H
#define PARLEY_BASE_JSON_CHECK_H

#include <stddef.h>

enum json_flaw { JSON_FINE, JSON_BROKEN, JSON_TOO_DEEP };

/* *at is the byte where reading stopped. The bytes are known to be UTF-8. */
enum json_flaw json_check(const char *bytes, size_t len, unsigned max_depth, size_t *at);

#endif
