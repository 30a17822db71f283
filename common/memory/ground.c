/*
 * ground: see ground.h. Neighbours: memory.c asks the store and hands over; answers_prepare.c puts it in front of the
 * question.
 */
#include "common/memory/ground.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/chat/window.h"

#define CAP_GROUND  (1024 * 1024)
#define COSINE_NEAR 0.55 /* near enough without a word in common */
#define QUOTE_BYTES 500  /* of a passage in an offline answer */
#define QUOTES      3

char *ground_facts(const char *const *texts, size_t count, int64_t tokens)
{
    struct buf out;
    size_t taken = 0;

    buf_init(&out, CAP_GROUND);
    buf_putc(&out, '[');
    for (size_t i = 0; i < count; i++) {
        int64_t cost = window_estimate(texts[i], strlen(texts[i])) + 1; /* quotes and comma */

        if (cost > tokens)
            continue;
        tokens -= cost;
        if (taken++ > 0)
            buf_putc(&out, ',');
        json_put_string(&out, texts[i], strlen(texts[i]));
    }
    buf_putc(&out, ']');
    if (taken == 0 || out.failed) {
        buf_free(&out);
        return NULL;
    }
    return buf_take(&out);
}

/* "Guide: Delivery > Abroad"; a title that the headings begin with is not repeated. */
static void put_name(struct buf *out, const struct store_passage *passage)
{
    size_t len = strlen(passage->title);

    buf_puts(out, passage->title);
    if (*passage->heading == '\0')
        return;
    if (strncmp(passage->heading, passage->title, len) != 0)
        buf_putf(out, ": %s", passage->heading);
    else
        buf_puts(out, passage->heading + len);
}

static void put_passage(struct buf *out, const struct store_passage *passage)
{
    struct buf name;

    buf_init(&name, CAP_GROUND);
    put_name(&name, passage);
    buf_puts(out, out->len > 1 ? ",{" : "{");
    json_put_member(out, "title", buf_str(&name));
    if (*passage->url != '\0')
        json_put_member(out, "url", passage->url);
    json_put_member(out, "text", passage->body);
    buf_putc(out, '}');
    buf_free(&name);
}

/* Is there an earlier one of the same document among the first `count`? */
static bool seen(const struct store_passages *passages, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(passages->list[i].title, passages->list[at].title) == 0 &&
            strcmp(passages->list[i].url, passages->list[at].url) == 0)
            return true;
    return false;
}

/* With title and link, which go along, too. */
static int64_t cost_of(const struct store_passage *passage)
{
    struct buf all;
    int64_t tokens;

    buf_init(&all, CAP_GROUND);
    put_passage(&all, passage);
    tokens = window_estimate(buf_str(&all), all.len);
    buf_free(&all);
    return tokens;
}

static void put_source(struct buf *out, const struct store_passage *passage)
{
    buf_puts(out, out->len > 1 ? ",{" : "{");
    json_put_member(out, "title", passage->title);
    json_put_member(out, "url", *passage->url != '\0' ? passage->url : NULL);
    buf_putc(out, '}');
}

/* One passage as a Markdown quotation with its link. */
static void put_quote(struct buf *out, const struct store_passage *passage)
{
    size_t len = strlen(passage->body), at = 0;
    size_t kept = text_utf8_prefix(passage->body, len, QUOTE_BYTES);

    buf_puts(out, out->len > 0 ? "\n\n**" : "**");
    put_name(out, passage);
    buf_puts(out, "**\n\n");
    while (at < kept) {
        size_t line = strcspn(passage->body + at, "\n");

        line = line < kept - at ? line : kept - at;
        buf_puts(out, "> ");
        buf_put(out, passage->body + at, line);
        at += line + 1;
        buf_puts(out, at < kept ? "\n" : "");
    }
    if (kept < len)
        buf_puts(out, " ...");
    if (*passage->url != '\0')
        buf_putf(out, "\n\n%s", passage->url);
}

static char *take_or_null(struct buf *out)
{
    if (!out->failed)
        return buf_take(out);
    buf_free(out);
    return NULL;
}

void ground_passages(const struct store_passages *passages, int64_t tokens, const char *offline,
                     struct turn_ground *out)
{
    struct buf texts, sources, quotes;
    size_t taken = 0;

    buf_init(&texts, CAP_GROUND);
    buf_init(&sources, CAP_GROUND);
    buf_init(&quotes, CAP_GROUND);
    buf_putc(&texts, '[');
    buf_putc(&sources, '[');
    buf_puts(&quotes, offline != NULL ? offline : "");
    for (size_t i = 0; i < passages->count; i++) {
        const struct store_passage *passage = &passages->list[i];
        int64_t cost = cost_of(passage);

        if (cost > tokens)
            break;
        tokens -= cost;
        put_passage(&texts, passage);
        if (!seen(passages, i))
            put_source(&sources, passage);
        if (taken++ < QUOTES)
            put_quote(&quotes, passage);
    }
    buf_putc(&texts, ']');
    buf_putc(&sources, ']');
    if (taken > 0) {
        out->passages_json = take_or_null(&texts);
        out->sources_json = take_or_null(&sources);
        out->offline = offline != NULL ? take_or_null(&quotes) : NULL;
    }
    buf_free(&texts);
    buf_free(&sources);
    buf_free(&quotes);
}

static void free_passage(struct store_passage *passage)
{
    free(passage->title);
    free(passage->heading);
    free(passage->body);
    free(passage->url);
}

void ground_filter(struct store_passages *passages, int64_t threshold)
{
    size_t kept = 0;

    for (size_t i = 0; i < passages->count; i++) {
        struct store_passage *passage = &passages->list[i];

        if (passage->share * 100 >= (double)threshold || passage->cosine >= COSINE_NEAR)
            passages->list[kept++] = *passage;
        else
            free_passage(passage);
    }
    passages->count = kept;
}
