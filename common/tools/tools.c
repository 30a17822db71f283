/*
 * tools: see tools.h. The table of tools, the life of a run, and the small memory that all tools share. Loop
 * thread.
 *
 * The memory is a ring: the newest entry takes the oldest one's place. It saves the services from the
 * same question asked twice in a row, and is no cache that anybody could rely on.
 */
#include "common/tools/tools.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/tools/tool.h"

#define MEMORY_SIZE 64

struct memory {
    char *key;
    char *value;
    int64_t until_ms; /* monotonic */
};

struct tools {
    const struct config *config;
    struct relay *relay;
    struct memory memory[MEMORY_SIZE];
    size_t next; /* place of the memory to be used */
};

static const struct tool *const table[] = { &tool_get_weather, &tool_get_joke };
#define TOOLS (sizeof table / sizeof table[0])

const struct tool *const *tools_list(size_t *count)
{
    *count = TOOLS;
    return table;
}

const struct tool *tools_find(const char *name)
{
    for (size_t i = 0; i < TOOLS; i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

struct tools *tools_open(const struct config *config, struct relay *relay)
{
    struct tools *tools = calloc(1, sizeof *tools);

    if (tools != NULL) {
        tools->config = config;
        tools->relay = relay;
    }
    return tools;
}

static void forget(struct memory *memory)
{
    free(memory->key);
    free(memory->value);
    *memory = (struct memory){ 0 };
}

void tools_close(struct tools *tools)
{
    if (tools == NULL)
        return;
    for (size_t i = 0; i < MEMORY_SIZE; i++)
        forget(&tools->memory[i]);
    free(tools);
}

/* ---- memory ---- */

const char *tool_recall(struct tool_run *run, const char *key)
{
    int64_t now = clock_mono_ms();

    for (size_t i = 0; i < MEMORY_SIZE; i++) {
        const struct memory *memory = &run->tools->memory[i];

        if (memory->key != NULL && now < memory->until_ms && strcmp(memory->key, key) == 0)
            return memory->value;
    }
    return NULL;
}

void tool_remember(struct tool_run *run, const char *key, const char *value, int64_t ttl_ms)
{
    struct tools *tools = run->tools;
    struct memory *memory = &tools->memory[tools->next];

    if (ttl_ms <= 0)
        return;
    forget(memory);
    memory->key = strdup(key);
    memory->value = strdup(value);
    memory->until_ms = clock_mono_ms() + ttl_ms;
    if (memory->key == NULL || memory->value == NULL)
        forget(memory);
    else
        tools->next = (tools->next + 1) % MEMORY_SIZE;
}

/* ---- a run ---- */

static void run_free(struct tool_run *run)
{
    free(run->state);
    free(run);
}

bool tool_get(struct tool_run *run, const char *url, relay_fetch_done *done)
{
    struct buf headers;
    struct relay_request request = {
        .method = "GET",
        .url = url,
        .connect_timeout_ms = run->config->tool_timeout_ms,
        .first_byte_timeout_ms = run->config->tool_timeout_ms,
        .total_timeout_ms = run->config->tool_timeout_ms,
    };

    buf_init(&headers, 1024);
    buf_putf(&headers, "User-Agent: %s\nAccept: application/json\n", run->config->tool_user_agent);
    request.headers = buf_str(&headers);
    run->fetch = headers.failed
                     ? NULL
                     : relay_fetch_start(run->tools->relay, &request, TOOL_REPLY_MAX, done, run);
    buf_free(&headers);
    return run->fetch != NULL;
}

void tool_finish(struct tool_run *run, int status, const char *json)
{
    struct tool_reply reply = { .status = status, .json = json, .len = strlen(json) };

    if (status >= 500)
        log_warn("tool_failed", LOG_STR("tool", run->tool->name), LOG_INT("status", status));
    run->over = true;
    run->done(run->ctx, &reply);
    if (!run->starting)
        run_free(run);
}

void tool_fail(struct tool_run *run, int status, const char *text)
{
    struct buf json;

    buf_init(&json, 512);
    buf_putc(&json, '{');
    json_put_member(&json, "error", text);
    buf_putc(&json, '}');
    tool_finish(run, status, json.failed ? "{\"error\":\"Out of memory\"}" : buf_str(&json));
    buf_free(&json);
}

struct tool_run *tool_start(struct tools *tools, const struct tool *tool, struct json_object *args,
                            tool_done *done, void *ctx)
{
    static const char no_memory[] = "{\"error\":\"Out of memory\"}";
    struct tool_reply reply = { 500, no_memory, sizeof no_memory - 1 };
    struct tool_run *run = calloc(1, sizeof *run);

    if (run == NULL) {
        done(ctx, &reply);
        return NULL;
    }
    run->tools = tools;
    run->config = tools->config;
    run->tool = tool;
    run->done = done;
    run->ctx = ctx;
    run->starting = true;
    tool->start(run, args);
    run->starting = false;
    if (!run->over)
        return run;
    run_free(run);
    return NULL;
}

void tool_cancel(struct tool_run *run)
{
    if (run == NULL)
        return;
    relay_fetch_cancel(run->fetch);
    run_free(run);
}
