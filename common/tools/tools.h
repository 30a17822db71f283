/*
 * tools: what a model may call. A tool is one file (name, JSON schema, start) and one row in tools.c; it is used
 * by GET /api/functions/{name}, by the function loop of turn_response and by ordinary chat turns.
 *
 * A run asks public services over the relay, with a deadline per request, and remembers what is asked
 * often for a short while. Loop thread only, but for tools_find and tools_list.
 */
#ifndef PARLEY_TOOLS_TOOLS_H
#define PARLEY_TOOLS_TOOLS_H

#include <stddef.h>

#include "common/base/result.h"

struct config;
struct json_object;
struct relay;
struct tool_run;
struct tools;

struct tool {
    const char *name;
    const char *description; /* for the model */
    const char *parameters;  /* JSON schema of its arguments, as strict mode wants it */

    /* Begin; `args` is an object or NULL, borrowed during the call. Ends with tool_finish, perhaps at once. */
    void (*start)(struct tool_run *run, struct json_object *args);
};

extern const struct tool tool_get_weather;
extern const struct tool tool_get_joke;

/* All of them, in the order in which models are told. */
const struct tool *const *tools_list(size_t *count);
/* NULL when there is none of this name. */
const struct tool *tools_find(const char *name);

/* `config` and `relay` must outlive it. NULL when out of memory. */
struct tools *tools_open(const struct config *config, struct relay *relay);
void tools_close(struct tools *tools); /* no run may be left; NULL is fine */

/* What came of it: `json` is an object, an {"error":...} unless status is 200. Borrowed. */
struct tool_reply {
    int status; /* as GET /api/functions/{name} answers */
    const char *json;
    size_t len;
};
typedef void tool_done(void *ctx, const struct tool_reply *reply);

/* NULL: it is over already, `done` was called. Otherwise `done` comes later, once, unless the run is cancelled. */
struct tool_run *tool_start(struct tools *tools, const struct tool *tool, struct json_object *args,
                            tool_done *done, void *ctx);
void tool_cancel(struct tool_run *run); /* NULL is fine */

#endif
