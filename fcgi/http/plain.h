/*
 * plain: the frame of the pages for browsers without JavaScript: web/src/plain/plain.html, cut at its marks.
 */
#ifndef PARLEY_HTTP_PLAIN_H
#define PARLEY_HTTP_PLAIN_H

#include "common/base/buf.h"

struct response;

#define PLAIN_TYPE "text/html; charset=utf-8"

/* The policy of such a page: no script at all. */
void plain_headers(struct response *response);

/* From the doctype up to where the messages stand. `name` is shown as the heading. */
void plain_open(struct buf *out, const char *name);

/* The form and the end of the page. The ids go back with the next question; NULL: a new conversation, a send
 * that may be repeated. */
void plain_close(struct buf *out, const char *conversation_id, const char *client_message_id);

/* A whole page that says what went wrong. */
void plain_fault(struct buf *out, const char *sentence);

#endif
