/*
 * skim: finding a few values in a piece of JSON without building a tree. A provider's stream is
 * thousands of small objects a second of which one string matters; a tree of each costs four times
 * as much as everything else together. Rare values (usage, errors) are handed to json-c as text.
 *
 * Looks only as closely as it must: brackets, strings and the commas and colons of the object or
 * array it walks are checked; what lies in between is skipped by its brackets. Pure.
 */
#ifndef PARLEY_PROVIDERS_SKIM_H
#define PARLEY_PROVIDERS_SKIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/* The JSON text of a value, borrowed; at = NULL when there is none. */
struct skim {
    const char *at;
    size_t len;
};

struct skim_key {
    const char *name;
    size_t len;
};
#define SKIM_KEY(literal)                                                                          \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/*
 * Walk an object (white space around it is fine) and set values[i] to the last member named keys[i];
 * JSON null counts as absent. Keys are compared as written, without unescaping. False when the text is
 * not one object.
 */
bool skim_object(struct skim text, const struct skim_key *keys, size_t count, struct skim *values);

/*
 * Step through an array: `rest` is the array at first. True with the next item; false at the end, and
 * also when the text is no array or broken.
 */
bool skim_next(struct skim *rest, struct skim *item);

bool skim_is_string(struct skim value);
bool skim_is_object(struct skim value);
bool skim_is_array(struct skim value);

/* A non-negative whole number of up to nine digits, else `otherwise`. */
int64_t skim_number(struct skim value, int64_t otherwise);

/*
 * The characters of a string value. Without escapes they are those of the text itself, else they are
 * put into `scratch` (cleared first). Bytes are passed through as they are, and a lone surrogate of
 * an escape becomes its three bytes: emit repairs both. False when it is no string, an escape is
 * malformed, or scratch is full.
 */
bool skim_string(struct skim value, struct buf *scratch, const char **chars, size_t *len);

#endif
