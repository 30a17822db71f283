/*
 * parse: reading the fields that the chat contracts share. Private to the dialects.
 *
 * Each function takes what it finds over into the turn_request, or fails naming the field.
 */
#ifndef PARLEY_DIALECTS_PARSE_H
#define PARLEY_DIALECTS_PARSE_H

#include "common/dialects/dialect.h"

/* message: cleaned, 1 to max_message_length code points. `refusal` is the contract's sentence, NULL for
 * ours. */
enum result parse_message(struct json_object *body, const struct dialect_limits *limits,
                          const char *refusal, struct turn_request *out, struct fault *fault);

/* provider, model, client_message_id, stream: the same in every contract. */
enum result parse_common(struct json_object *body, bool stream_by_default, struct turn_request *out,
                         struct fault *fault);

/* A string member as an owned copy; absent leaves *out NULL. At most max_bytes, no control characters. */
enum result parse_string(struct json_object *body, const char *key, size_t max_bytes, char **out,
                         struct fault *fault);

/* user_context: its known strings, re-written as JSON. */
enum result parse_context(struct json_object *body, struct turn_request *out, struct fault *fault);

/* history: [{role, content}], only without a conversation_id. */
enum result parse_history(struct json_object *body, const struct dialect_limits *limits,
                          struct turn_request *out, struct fault *fault);

/* attachments: [{type:"image", data_url | file_id}], pictures whose bytes are what they say, or names of ones that
 * were put before, whose mime and base64 stay NULL (attachments.c). */
enum result parse_attachments(struct json_object *body, const struct dialect_limits *limits,
                              struct turn_request *out, struct fault *fault);

#endif
