/*
 * text: UTF-8, trimming, escaping and the encodings that ids and cookies need. Pure and
 * thread-safe.
 */
#ifndef PARLEY_BASE_TEXT_H
#define PARLEY_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/*
 * True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, <=
 * U+10FFFF).
 */
bool text_utf8_valid(const char *bytes, size_t len);

/* Bytes of the well-formed character that `bytes` begins with; 0 when there is none. */
size_t text_utf8_sequence(const char *bytes, size_t len);

/* Number of code points in valid UTF-8. */
size_t text_utf8_count(const char *bytes, size_t len);

/*
 * The longest prefix of `bytes`, at most `max` bytes, that ends at a character boundary of valid
 * UTF-8. Used where a stream or a cap might cut a character in two.
 */
size_t text_utf8_prefix(const char *bytes, size_t len, size_t max);

/*
 * Number of bytes at the end of `bytes` that begin a character which is not complete yet (0 to 3).
 */
size_t text_utf8_partial(const char *bytes, size_t len);

/*
 * Append `bytes` to `out` as well-formed UTF-8, each malformed sequence replaced by U+FFFD.
 * A partial character at the very end counts as malformed.
 */
bool text_utf8_repair(struct buf *out, const char *bytes, size_t len);

/*
 * Clean a message in place: remove control characters (C0 but tab and newline, DEL, C1, U+0000; CR
 * LF and lone CR become LF), trim white space (Unicode White_Space) at both ends. Input is valid
 * UTF-8. Returns the new length; the result is NUL-terminated where `len` had room (the caller's
 * buffer has at least len + 1 bytes).
 */
size_t text_clean(char *text, size_t len);

/*
 * True when there is a control character (C0, DEL, C1) in valid UTF-8. Tab and newline count too.
 */
bool text_has_control(const char *text, size_t len);

/* The lower case of the character at `at`, of all scripts; *step: its bytes, 1 for what is no character. `len` > 0. */
uint32_t text_utf8_lower(const char *at, size_t len, size_t *step);
/* Is this code point white space, but for the blanks that do not break? */
bool text_utf8_space(uint32_t code);
/* Is `part` somewhere in `text`, in upper or lower case of all scripts? Nothing is in everything. Takes time for both
 * lengths added, not multiplied. No, when out of memory. */
bool text_contains(const char *text, size_t len, const char *part, size_t part_len);

/* ASCII case-insensitive. */
bool text_same_nocase(const char *a, const char *b);
bool text_starts_with(const char *text, const char *prefix);

/*
 * Copy at most size - 1 bytes, cut at a character boundary, always NUL-terminated. False when cut.
 */
bool text_copy(char *target, size_t size, const char *source);

/* A copy of `len` bytes with a NUL behind them, the caller's to free; NULL only when out of memory. */
char *text_dup(const char *text, size_t len);

/*
 * Percent-decode a path segment or (plus_is_space) a query value in place; false on malformed %XX
 * or %00.
 */
bool text_percent_decode(char *text, bool plus_is_space);
/* Append percent-encoded: everything but RFC 3986 unreserved characters. */
bool text_percent_encode(struct buf *out, const char *text, size_t len);

/* Append billionths, not below 0, as a decimal number with nine digits behind the point: 0.000124000. */
bool text_nano(struct buf *out, int64_t nano);

/* Append base64url without padding (RFC 4648 5). */
bool text_base64url(struct buf *out, const void *bytes, size_t len);

/* Append with & < > " ' escaped, for HTML. */
bool text_html(struct buf *out, const char *text, size_t len);

#endif
