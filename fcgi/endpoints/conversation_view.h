/*
 * conversation_view: a stored conversation as JSON or Markdown, in one buffer.
 */
#ifndef PARLEY_ENDPOINTS_CONVERSATION_VIEW_H
#define PARLEY_ENDPOINTS_CONVERSATION_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/store/conversations.h"

struct app;
struct exchange;

struct conversation_view {
    struct buf out;        /* at most CAP_RESPONSE_BODY; failed when the conversation is longer */
    bool all;              /* superseded answers too */
    bool exported;         /* say when */
    bool head_only;        /* without messages */
    char title[CAP_TITLE]; /* out */
    size_t answers_at;     /* private: where the answers to the newest question begin */
    size_t text_end;       /* private: where the text of the message before ends */
    bool answered;         /* private: there is one that came to something */
};
void conversation_view_init(struct conversation_view *view);
void conversation_view_free(struct conversation_view *view);

/* Read the conversation that the path names. A buffer that failed is not a failure here. */
enum result conversation_view_json(struct conversation_view *view, struct exchange *exchange,
                                   struct fault *fault);
enum result conversation_view_markdown(struct conversation_view *view, struct exchange *exchange,
                                       struct fault *fault);

/* The members of a conversation without its messages, as lists show it. */
void conversation_view_head(struct buf *out, const struct store_conversation *conversation);

/* Who asks, now. */
struct store_asker conversation_view_asker(const struct exchange *exchange);

/* An answer of an erased conversation may still be growing here: stop it on the loop (sets on_loop). */
void conversations_stop_erased(struct exchange *exchange, const struct store_removed *removed);
/* Loop thread: the same at once. An unknown one is fine. */
void conversations_stop_answer(struct app *app, const char *id);

/* The line that the audit log gets for what is done here. Of an id only the beginning: the rest is a right. */
#define CONVERSATION_SHORT 13
struct store_audit conversation_view_audit(const struct exchange *exchange, const char *action,
                                           char subject[CONVERSATION_SHORT]);

/* A whole decimal number from min to max. */
bool conversation_view_number(const char *text, size_t min, size_t max, size_t *out);

#endif
