/*
 * wire: what the requests and replies of all formats have in common: addresses, pictures, the verdict on
 * an encoded request, counts of tokens. Pure; any thread.
 */
#ifndef PARLEY_PROVIDERS_WIRE_H
#define PARLEY_PROVIDERS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/providers/provider.h"

struct json_object;

/* `base` with `path` behind it, before a query that the base may bring along (Azure's api-version). */
void wire_put_url(struct buf *out, const char *base, const char *path);

/* "Content-Type" and "Accept" of a request that streams. */
void wire_put_headers(struct buf *out);

/* The line that carries the provider's key, in the header that the operator or else the format (`usual`:
 * "bearer" or "x-api-key") wants; nothing without a key. */
void wire_put_key(struct buf *out, const struct provider *provider, const char *usual);

/* Begin an item of a JSON array: a comma unless it is the first. */
void wire_put_comma(struct buf *out);

/* The pictures of message `index`; none when it is not the user's. */
struct chat_images wire_images(const struct provider_call *call, size_t index);

/* A JSON member that holds the picture as a data URL. */
void wire_put_data_url(struct buf *out, const char *key, const struct chat_image *image);

/* A member "temperature", unless the provider's is negative; at most `most`. */
void wire_put_temperature(struct buf *out, const struct provider *provider, double most);

/* What message `index` is, when it is no text; kind CHAT_USE_NONE otherwise. */
struct chat_use wire_use(const struct provider_call *call, size_t index);

/* The member "tools", nothing when there are none: of each the name, the description and, as `parameters`, the schema,
 * between `open` and `close`. */
void wire_put_tools(struct buf *out, const struct provider_call *call, const char *open,
                    const char *parameters, const char *close);

/* How OpenAI's formats say that one call at a time is wanted, or none at all; nothing without tools. */
void wire_put_tool_choice(struct buf *out, const struct provider_call *call);

/* RESULT_OK, or RESULT_TOO_LARGE with its fault when a part did not fit. */
enum result wire_check(const struct provider_request *request, struct fault *fault);

/* A count in a usage object: 0 when it is absent, negative or no number. */
int64_t wire_tokens(struct json_object *usage, const char *key);

#endif
