/*
 * passages: see passages.h. One pass over the lines: a heading ends the passage before it, a fence keeps code from
 * being taken for headings, an empty line is where a long passage may end.
 *
 * Neighbour: html.c makes Markdown of pages.
 */
#include "common/memory/passages.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define LEVELS       6
#define HEADING_TEXT 160 /* bytes of one heading that are kept */

struct splitter {
    struct passages *out;
    size_t size;
    char headings[LEVELS][HEADING_TEXT];
    struct buf body;
    bool fenced;
    bool failed;
};

static void put_path(const struct splitter *splitter, struct buf *out)
{
    for (int i = 0; i < LEVELS; i++)
        if (splitter->headings[i][0] != '\0')
            buf_putf(out, "%s%s", out->len > 0 ? " > " : "", splitter->headings[i]);
}

static bool make_room(struct splitter *splitter)
{
    size_t size = splitter->size == 0 ? 32 : splitter->size * 2;
    struct passage *moved;

    if (splitter->out->count < splitter->size)
        return true;
    moved = realloc(splitter->out->list, size * sizeof *moved);
    if (moved == NULL)
        return false;
    splitter->out->list = moved;
    splitter->size = size;
    return true;
}

static void add(struct splitter *splitter, const char *text, size_t len)
{
    struct passage *passage;
    struct buf heading;

    while (len > 0 && strchr(" \n\t", text[len - 1]) != NULL)
        len--;
    while (len > 0 && strchr(" \n\t", *text) != NULL) {
        text++;
        len--;
    }
    if (len == 0 || splitter->failed || splitter->out->cut)
        return;
    splitter->out->cut = splitter->out->count == PASSAGES_MAX;
    if (splitter->out->cut)
        return;
    if (!make_room(splitter)) {
        splitter->failed = true;
        return;
    }
    buf_init(&heading, LEVELS * HEADING_TEXT + 32);
    put_path(splitter, &heading);
    passage = &splitter->out->list[splitter->out->count++];
    passage->body = strndup(text, len);
    passage->heading = strndup(
        buf_str(&heading), text_utf8_prefix(buf_str(&heading), heading.len, PASSAGE_HEADING - 1));
    buf_free(&heading);
    splitter->failed = passage->body == NULL || passage->heading == NULL;
}

/* Where to cut a text that is too long: behind a paragraph, else a line, a sentence, a word. */
static size_t cut_at(const char *text, size_t len)
{
    static const char *const ends[] = { "\n\n", "\n", ". ", " " };
    size_t most = text_utf8_prefix(text, len, PASSAGE_BYTES);

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        for (size_t at = most; at > PASSAGE_BYTES / 3; at--)
            if (strncmp(text + at - 1, ends[i], strlen(ends[i])) == 0)
                return at;
    return most;
}

/* The section ends: its text becomes one passage or several. */
static void flush(struct splitter *splitter)
{
    const char *text = buf_str(&splitter->body);
    size_t len = splitter->body.len;

    while (len > PASSAGE_BYTES + PASSAGE_BYTES / 4) {
        size_t cut = cut_at(text, len);

        if (cut == 0)
            break;
        add(splitter, text, cut);
        text += cut;
        len -= cut;
    }
    add(splitter, text, len);
    buf_clear(&splitter->body);
}

/* ---- lines ---- */

static void take_heading(struct splitter *splitter, int level, const char *text, size_t len)
{
    char *target = splitter->headings[level - 1];
    size_t kept;

    flush(splitter);
    while (len > 0 && strchr(" \t#", text[len - 1]) != NULL)
        len--;
    while (len > 0 && strchr(" \t", *text) != NULL) {
        text++;
        len--;
    }
    kept = text_utf8_prefix(text, len, HEADING_TEXT - 1);
    for (int i = level - 1; i < LEVELS; i++)
        splitter->headings[i][0] = '\0';
    memcpy(target, text, kept);
    target[kept] = '\0';
    if (splitter->out->title == NULL && kept > 0)
        splitter->out->title = strdup(target);
}

/* "## Text" -> 2; 0 for other lines. */
static int heading_level(const char *line, size_t len)
{
    size_t level = 0;

    while (level < len && line[level] == '#')
        level++;
    return level >= 1 && level <= LEVELS && level < len && strchr(" \t", line[level]) != NULL
               ? (int)level
               : 0;
}

/* A line of === or --- makes a heading of the one above it. */
static int underline_level(const char *line, size_t len)
{
    size_t same = 0;

    while (same < len && line[same] == line[0])
        same++;
    while (len > same && strchr(" \t", line[len - 1]) != NULL)
        len--;
    if (same < 3 || same != len)
        return 0;
    return line[0] == '=' ? 1 : line[0] == '-' ? 2 : 0;
}

/* The last line of the body, when it stands alone in its paragraph; it leaves the body. */
static bool take_last_line(struct splitter *splitter, char *out, size_t size)
{
    const char *text = buf_str(&splitter->body);
    size_t len = splitter->body.len, start;

    if (len < 2 || text[len - 1] != '\n' || text[len - 2] == '\n')
        return false;
    for (start = len - 1; start > 0 && text[start - 1] != '\n';)
        start--;
    if ((start > 0 && (start < 2 || text[start - 2] != '\n')) || len - 1 - start >= size)
        return false;
    memcpy(out, text + start, len - 1 - start);
    out[len - 1 - start] = '\0';
    splitter->body.len = start;
    return true;
}

static void take_line(struct splitter *splitter, const char *line, size_t len)
{
    char above[HEADING_TEXT];
    int level;

    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (len >= 3 && (strncmp(line, "```", 3) == 0 || strncmp(line, "~~~", 3) == 0))
        splitter->fenced = !splitter->fenced;
    if (!splitter->fenced && (level = heading_level(line, len)) > 0) {
        take_heading(splitter, level, line + level, len - (size_t)level);
        return;
    }
    if (!splitter->fenced && len > 0 && (level = underline_level(line, len)) > 0 &&
        take_last_line(splitter, above, sizeof above)) {
        take_heading(splitter, level, above, strlen(above));
        return;
    }
    buf_put(&splitter->body, line, len);
    buf_putc(&splitter->body, '\n');
}

/* "---" at the very beginning: metadata, of which the title is taken. Returns its length. */
static size_t front_matter(const char *text, size_t len, struct passages *out)
{
    const char *end, *title;
    size_t title_len;

    if (len < 8 || strncmp(text, "---\n", 4) != 0 || (end = strstr(text + 3, "\n---\n")) == NULL)
        return 0;
    title = strstr(text, "\ntitle:");
    if (title != NULL && title < end) {
        title += strlen("\ntitle:");
        title += strspn(title, " \"'");
        title_len = strcspn(title, "\n");
        while (title_len > 0 && strchr(" \"'\r", title[title_len - 1]) != NULL)
            title_len--;
        if (title_len > 0)
            out->title = strndup(title, text_utf8_prefix(title, title_len, HEADING_TEXT));
    }
    return (size_t)(end + 5 - text);
}

bool passages_split(struct passages *out, const char *text, size_t len)
{
    struct splitter splitter = { .out = out };
    struct buf clean;
    size_t at;

    *out = (struct passages){ .cut = len > PASSAGES_DOCUMENT };
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    buf_init(&clean, 3 * (size_t)PASSAGES_DOCUMENT);
    buf_init(&splitter.body, 3 * (size_t)PASSAGES_DOCUMENT);
    if (!text_utf8_repair(&clean, text, len < PASSAGES_DOCUMENT ? len : PASSAGES_DOCUMENT))
        splitter.failed = true;
    clean.len = clean.len > 0 ? text_clean(clean.data, clean.len) : 0;
    at = front_matter(buf_str(&clean), clean.len, out);
    while (at < clean.len && !splitter.failed) {
        size_t line = strcspn(clean.data + at, "\n");

        take_line(&splitter, clean.data + at, line);
        at += line + 1;
    }
    flush(&splitter);
    splitter.failed = splitter.failed || splitter.body.failed;
    buf_free(&splitter.body);
    buf_free(&clean);
    return !splitter.failed;
}

void passages_free(struct passages *passages)
{
    for (size_t i = 0; i < passages->count; i++) {
        free(passages->list[i].heading);
        free(passages->list[i].body);
    }
    free(passages->list);
    free(passages->title);
    *passages = (struct passages){ 0 };
}
