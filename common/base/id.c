/*
 * id: random identifiers. libsodium is used here for its random numbers only. Any thread once
 * id_init() has returned true.
 */
#include "common/base/id.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

#define RANDOM_CHARS 22 /* of 6 bits each: 132 bits */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool id_init(void)
{
    return sodium_init() >= 0;
}

void id_random(void *out, size_t len)
{
    randombytes_buf(out, len);
}

void id_make(char out[CAP_ID], const char *prefix)
{
    size_t at = strlen(prefix);
    assert(at + RANDOM_CHARS < CAP_ID);

    unsigned char random[RANDOM_CHARS];
    randombytes_buf(random, sizeof random);
    memcpy(out, prefix, at);
    for (size_t i = 0; i < RANDOM_CHARS; i++)
        out[at + i] = alphabet[random[i] & 63];
    out[at + RANDOM_CHARS] = '\0';
}

void id_make_session(char out[CAP_ID])
{
    id_make(out, "session_");
    size_t len = strlen(out);
    snprintf(out + len, CAP_ID - len, "_%" PRId64, clock_wall_ms());
}

bool id_of_session(const char *id)
{
    return strncmp(id, "session_", 8) == 0;
}

bool id_plausible(const char *id)
{
    size_t len = strnlen(id, CAP_ID);
    if (len == 0 || len == CAP_ID)
        return false;
    return strspn(id, alphabet) == len;
}
