/*
 * id: random identifiers from libsodium. Knowing one is the right to it, so each carries at least
 * 128 random bits. Thread-safe after id_init().
 */
#ifndef PARLEY_BASE_ID_H
#define PARLEY_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/caps.h"

/*
 * Ready libsodium; call once per process before anything else here. False when there is no
 * randomness.
 */
bool id_init(void);

/* `prefix` + 22 characters of base64url (132 bits), e.g. "msg_…", "conv_…", "req_…". */
void id_make(char out[CAP_ID], const char *prefix);

/* 003's form: "session_<22 characters>_<milliseconds since 1970>". */
void id_make_session(char out[CAP_ID]);
bool id_of_session(const char *id);

/*
 * True for 1 to CAP_ID - 1 characters of [A-Za-z0-9_-]: what an id from a stranger may look like.
 */
bool id_plausible(const char *id);

/* `len` random bytes. */
void id_random(void *out, size_t len);

#endif
