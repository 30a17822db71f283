/*
 * turn: freeing a question, and the names of an answer's status as the store keeps them. Any
 * thread.
 */
#include "common/chat/turn.h"

#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [TURN_STREAMING] = "streaming",     [TURN_COMPLETE] = "complete", [TURN_STOPPED] = "stopped",
    [TURN_INTERRUPTED] = "interrupted", [TURN_FAILED] = "failed",
};

#define STATUS_COUNT (sizeof status_names / sizeof *status_names)

void turn_ground_free(struct turn_ground *ground)
{
    free(ground->facts_json);
    free(ground->passages_json);
    free(ground->sources_json);
    free(ground->offline);
    *ground = (struct turn_ground){ 0 };
}

void turn_request_free(struct turn_request *request)
{
    free(request->message);
    free(request->conversation_id);
    free(request->user_id);
    free(request->provider);
    free(request->model);
    free(request->client_message_id);
    free(request->context_json);
    chat_messages_free(request->history, request->history_len);
    chat_images_free(request->images, request->image_count);
    turn_ground_free(&request->ground);
    *request = (struct turn_request){ 0 };
}

const char *turn_status_name(enum turn_status status)
{
    return (size_t)status < STATUS_COUNT ? status_names[status] : status_names[TURN_FAILED];
}

enum turn_status turn_status_parse(const char *name)
{
    for (size_t i = 0; name && i < STATUS_COUNT; i++)
        if (strcmp(name, status_names[i]) == 0)
            return (enum turn_status)i;
    return TURN_FAILED;
}
