/*
 * tool: what a tool's own file needs. Private to common/tools. Loop thread.
 */
#ifndef PARLEY_TOOLS_TOOL_H
#define PARLEY_TOOLS_TOOL_H

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/config.h"
#include "common/relay_fetch.h"
#include "common/tools/tools.h"

#define TOOL_REPLY_MAX (1024 * 1024) /* of a service; a week's forecast has 10 KB */

struct tool_run {
    struct tools *tools;
    const struct config *config;
    const struct tool *tool;
    struct relay_fetch *fetch; /* under way, or NULL */
    void *state;               /* the tool's own; freed with free() */
    tool_done *done;
    void *ctx;
    bool starting; /* tool_start is on the stack */
    bool over;
};

/* Ask a service: GET `url`. `done` gets the run as its ctx. False when out of memory. */
bool tool_get(struct tool_run *run, const char *url, relay_fetch_done *done);

/* The end: tell, and free the run. Nothing of it may be touched afterwards. */
void tool_finish(struct tool_run *run, int status, const char *json);
/* The same with {"error":text}. */
void tool_fail(struct tool_run *run, int status, const char *text);

/* Remembered text for `key`, or NULL; and remember some for `ttl_ms`. */
const char *tool_recall(struct tool_run *run, const char *key);
void tool_remember(struct tool_run *run, const char *key, const char *value, int64_t ttl_ms);

#endif
