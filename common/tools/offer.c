/*
 * offer: see offer.h. The list is read anew each time: it has a handful of names, and nothing needs to be kept and
 * freed. Any thread.
 */
#include "common/tools/offer.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/tools/tools.h"

#define SEPARATORS ", \t\n"
#define NAME_SIZE  64

/* The next name of the list; false at its end. One that is too long comes cut, and is no tool's. */
static bool next_name(const char **at, char name[NAME_SIZE])
{
    size_t len;

    *at += strspn(*at, SEPARATORS);
    len = strcspn(*at, SEPARATORS);
    text_copy(name, len < NAME_SIZE ? len + 1 : NAME_SIZE, *at);
    *at += len;
    return len > 0;
}

static void put_known(struct buf *out)
{
    size_t count;
    const struct tool *const *tools = tools_list(&count);

    for (size_t i = 0; i < count; i++)
        buf_putf(out, "%s%s", i > 0 ? ", " : "", tools[i]->name);
}

enum result offer_check(const struct config *config, struct fault *fault)
{
    const char *at = config->tools;
    char name[NAME_SIZE];
    struct buf known;
    enum result result = RESULT_OK;

    buf_init(&known, CAP_OPTION_VALUE);
    put_known(&known);
    while (result == RESULT_OK && next_name(&at, name))
        if (tools_find(name) == NULL)
            result = fault_set(fault, RESULT_INVALID, "invalid_option", "TOOLS",
                               "TOOLS has the name \"%s\", but the tools are: %s.", name,
                               buf_str(&known));
    buf_free(&known);
    return result;
}

static bool has(const struct chat_tool *tools, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tools[i].name, name) == 0)
            return true;
    return false;
}

size_t offer_list(const struct config *config, struct chat_tool out[OFFER_MAX])
{
    const char *at = config->tools;
    char name[NAME_SIZE];
    size_t count = 0;

    while (count < OFFER_MAX && next_name(&at, name)) {
        const struct tool *tool = tools_find(name);

        if (tool != NULL && !has(out, count, tool->name))
            out[count++] = (struct chat_tool){ tool->name, tool->description, tool->parameters };
    }
    return count;
}

const struct tool *offer_find(const struct config *config, const char *name)
{
    struct chat_tool tools[OFFER_MAX];
    size_t count = offer_list(config, tools);

    for (size_t i = 0; i < count; i++)
        if (strcmp(tools[i].name, name) == 0)
            return tools_find(name);
    return NULL;
}
