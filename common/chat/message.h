/*
 * message: one message of a conversation as models see it. Shared by window, providers and store.
 */
#ifndef PARLEY_CHAT_MESSAGE_H
#define PARLEY_CHAT_MESSAGE_H

#include <stddef.h>

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

/* Content is valid UTF-8; whoever holds the array says who owns the strings. */
struct chat_message {
    enum chat_role role;
    char *content;
    size_t len;
};

/* A picture that goes with a user message. `base64` is RFC 4648 with padding, without line breaks;
 * whoever takes it in checks that, its type and its size. Borrowed strings. */
struct chat_image {
    const char *mime; /* "image/png" */
    const char *base64;
    size_t base64_len;
    const char *file_id; /* of one that the store has under this name already; NULL = it is new */
};

/* The pictures of one message, in the order in which they were sent. */
struct chat_images {
    const struct chat_image *list;
    size_t count;
};

/*
 * What a message is when it is no text: the model's call of a function (its content is the arguments, a JSON
 * object), or what came of it (its content is the output). A call is CHAT_ASSISTANT's, a result CHAT_USER's.
 */
enum chat_use_kind { CHAT_USE_NONE, CHAT_USE_CALL, CHAT_USE_RESULT };
struct chat_use {
    enum chat_use_kind kind;
    const char *id; /* joins a result to its call */
    const char *name;
};

/* A function that the model may call. Borrowed strings. */
struct chat_tool {
    const char *name;
    const char *description;
    const char *parameters; /* JSON schema, an object */
};

/* "system", "user", "assistant". */
const char *chat_role_name(enum chat_role role);

/* Free `count` pictures whose strings were allocated, and the array itself. */
void chat_images_free(struct chat_image *images, size_t count);

/* Free `count` messages with their contents and the array itself. */
void chat_messages_free(struct chat_message *messages, size_t count);

#endif
