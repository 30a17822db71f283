/*
 * plain: see plain.h. The template is made by the web build, so that it names the style sheet that was built with
 * it. Everything that is put into it is escaped here.
 *
 * Any thread. Neighbours: endpoints/noscript.c writes what stands between open and close; response.c shows faults.
 */
#include "fcgi/http/plain.h"

#include <string.h>

#include "common/base/text.h"
#include "fcgi/http/assets.h"
#include "fcgi/http/response.h"

static const char mark_name[] = "<!--name-->";
static const char mark_messages[] = "<!--messages-->";
static const char mark_form[] = "<!--form-->";
static const char mark_hidden[] = "<!--hidden-->";
static const char mark_end[] = "<!--end-->";

/* For a program that was built without the page: ugly, and it works. */
static const char bare[] =
    "<!doctype html><html lang=\"en\"><meta "
    "charset=\"utf-8\"><title>Chat</title><h1><!--name--></h1>"
    "<!--messages--><!--form--><form action=\"chat\" method=\"post\"><!--hidden--><textarea "
    "name=\"message\">"
    "</textarea><button>Send</button></form><!--end--><p><a href=\"./\">New chat</a></p>";

/* Embedded bytes have no NUL behind them. */
static const char *template(size_t *len)
{
    const struct asset *page = assets_find("plain.html");

    *len = page != NULL ? page->len : sizeof bare - 1;
    return page != NULL ? (const char *)page->bytes : bare;
}

/* The template's text behind the mark `from` (NULL: the beginning) and before the mark `to` (NULL: the end). */
static void put_part(struct buf *out, const char *from, const char *to)
{
    size_t len;
    const char *bytes = template(&len), *begin, *end;

    begin = from != NULL ? memmem(bytes, len, from, strlen(from)) : bytes;
    if (begin == NULL)
        return;
    begin += from != NULL ? strlen(from) : 0;
    len -= (size_t)(begin - bytes);
    end = to != NULL ? memmem(begin, len, to, strlen(to)) : begin + len;
    if (end != NULL)
        buf_put(out, begin, (size_t)(end - begin));
}

void plain_headers(struct response *response)
{
    response_header(response, "Content-Security-Policy",
                    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
                    "form-action 'self'; frame-ancestors 'none'");
    response_header(response, "X-Frame-Options", "DENY");
    /* Without a referrer the next form would come with Origin: null, as a stranger's does. */
    response_header(response, "Referrer-Policy", "same-origin");
}

void plain_open(struct buf *out, const char *name)
{
    put_part(out, NULL, mark_name);
    text_html(out, name, strlen(name));
    put_part(out, mark_name, mark_messages);
}

static void put_hidden(struct buf *out, const char *name, const char *value)
{
    if (value == NULL || *value == '\0')
        return;
    buf_putf(out, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    text_html(out, value, strlen(value));
    buf_puts(out, "\">");
}

void plain_close(struct buf *out, const char *conversation_id, const char *client_message_id)
{
    put_part(out, mark_form, mark_hidden);
    put_hidden(out, "conversation_id", conversation_id);
    put_hidden(out, "client_message_id", client_message_id);
    put_part(out, mark_hidden, mark_end);
    put_part(out, mark_end, NULL);
}

void plain_fault(struct buf *out, const char *sentence)
{
    plain_open(out, "Chat");
    buf_puts(out, "<p class=\"error\" role=\"alert\">");
    text_html(out, sentence, strlen(sentence));
    buf_puts(out, "</p><p>Your browser's way back brings you to what you wrote.</p>");
    put_part(out, mark_end, NULL);
}
