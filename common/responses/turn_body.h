/*
 * turn_body: the body of POST /api/turn_response, read without changing a byte of what is passed on; and the request
 * to the Responses API made of it (contracts/turn_response.md, sections 2 and 3). Pure; any thread.
 */
#ifndef PARLEY_RESPONSES_TURN_BODY_H
#define PARLEY_RESPONSES_TURN_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/result.h"
#include "common/providers/skim.h"

struct turn_body {
    struct skim messages;    /* the raw array; borrowed, as what follows */
    struct skim tools_state; /* at = NULL: none */
    struct skim tools;       /* legacy: the finished array; at = NULL: none */
    bool server_tools;       /* run functions here and go on */
    bool google;             /* toolsState.googleIntegrationEnabled */
};

/* RESULT_INVALID with the field at fault. `bytes` must outlive `out`. */
enum result turn_body_read(const char *bytes, size_t len, struct turn_body *out,
                           struct fault *fault);

/* The text of the last item when it is the user's, or what else the turn begins with: `*role` is "user", or "tool" for
 * the result of a function and other items. */
void turn_body_question(const struct turn_body *body, struct buf *out, const char **role);

/* Ids of the items that came along, newest first, into ids; returns how many (at most `max`). */
size_t turn_body_ids(const struct turn_body *body, char (*ids)[128], size_t max);

/* The last item as it came. */
struct skim turn_body_last(const struct turn_body *body);

/* Append the tools array for the Responses API. `google_token` NULL: no Google tools. */
void turn_tools_put(struct buf *out, const struct turn_body *body, const char *google_token);

/* The functions are asked for: toolsState.functionsEnabled, or a legacy array that has any. */
bool turn_tools_functions(const struct turn_body *body);

/* Append "<prompt>\n\nToday is Saturday, November 21, 2026." */
void turn_instructions_put(struct buf *out, const char *prompt, const struct tm *today);

#endif
