/*
 * message: names of the roles, and freeing an array of messages. Any thread.
 */
#include "common/chat/message.h"

#include <stdlib.h>

const char *chat_role_name(enum chat_role role)
{
    static const char *const names[] = { "system", "user", "assistant" };
    return names[role];
}

void chat_messages_free(struct chat_message *messages, size_t count)
{
    if (!messages)
        return;
    for (size_t i = 0; i < count; i++)
        free(messages[i].content);
    free(messages);
}

void chat_images_free(struct chat_image *images, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)images[i].mime);
        free((char *)images[i].base64);
        free((char *)images[i].file_id);
    }
    free(images);
}
