/*
 * detached: an answer made by a process of its own. Plain CGI needs it: the process that took the question
 * must end with its reply, and web servers kill it when the client leaves.
 */
#ifndef PARLEY_DETACHED_H
#define PARLEY_DETACHED_H

#include <stdbool.h>

struct config;
struct owner;

/* Start `parley answer MESSAGE_ID` in a session of its own, which no web server knows, and tell it who asks. False:
 * could not. */
bool detached_spawn(const char *message_id, const struct owner *asker);

/* What that process does: take the answer over, make it, end. Returns the exit status. */
int detached_run(const struct config *config, const char *message_id);

#endif
