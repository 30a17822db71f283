/*
 * envelope: the frames of /api/turn_response (contracts/turn_response.md, section 2): one line of ASCII JSON that
 * holds the event's name and the event as it came. Pure; any thread.
 */
#ifndef PARLEY_RESPONSES_ENVELOPE_H
#define PARLEY_RESPONSES_ENVELOPE_H

#include <stddef.h>

#include "common/base/buf.h"

#define ENVELOPE_PING ": ping\n\n"

/*
 * Append valid JSON byte for byte, but: what is not ASCII becomes \uXXXX (which only strings can hold), line
 * ends between values become spaces. Malformed UTF-8 becomes U+FFFD.
 */
void envelope_put_ascii(struct buf *out, const char *json, size_t len);

/* Append a frame. Without a name that begins with "response." (or is "error") it has no "event". */
void envelope_put(struct buf *out, const char *event, const char *json, size_t len);

/* Append {"error":"..."} as a frame. */
void envelope_put_error(struct buf *out, const char *text);

#endif
