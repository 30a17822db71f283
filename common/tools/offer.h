/*
 * offer: which tools an ordinary chat turn offers to the model: those that TOOLS lists. Pure; any thread.
 */
#ifndef PARLEY_TOOLS_OFFER_H
#define PARLEY_TOOLS_OFFER_H

#include <stddef.h>

#include "common/base/result.h"
#include "common/chat/message.h"

#define OFFER_MAX 16

struct config;
struct tool;

/* RESULT_INVALID invalid_option when TOOLS has a name that no tool has. */
enum result offer_check(const struct config *config, struct fault *fault);

/* Those of TOOLS, in its order, each once; returns how many. */
size_t offer_list(const struct config *config, struct chat_tool out[OFFER_MAX]);

/* The one of this name among what is offered, or NULL: a model may make names up. */
const struct tool *offer_find(const struct config *config, const char *name);

#endif
