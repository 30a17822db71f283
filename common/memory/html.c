/*
 * html: a page as Markdown, as far as finding passages needs it. No parser: tags are recognised by name, headings
 * become lines with #, blocks become paragraphs, what is not for readers is left out with its content. Nothing of
 * it is ever shown as HTML again.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"
#include "common/memory/passages.h"

#define TAG_NAME 16

/* Elements whose content is not for readers, or the same on every page. */
static const char *const dropped[] = { "title", "script", "style",  "noscript", "template", "svg",
                                       "nav",   "footer", "iframe", "head",     "form" };
/* Elements that end a paragraph, and those that only end a line. */
static const char *const blocks[] = { "p",  "div",   "section", "article",    "main", "ul",
                                      "ol", "table", "pre",     "blockquote", "dl",   "header",
                                      "h1", "h2",    "h3",      "h4",         "h5",   "h6" };
static const char *const lines[] = { "br", "li", "tr", "dt", "dd", "hr" };

static const struct {
    const char *name;
    const char *text;
} entities[] = {
    { "amp", "&" },          { "lt", "<" },
    { "gt", ">" },           { "quot", "\"" },
    { "apos", "'" },         { "nbsp", " " },
    { "ndash", "-" },        { "mdash", " - " },
    { "hellip", "..." },     { "lsquo", "'" },
    { "rsquo", "'" },        { "ldquo", "\"" },
    { "rdquo", "\"" },       { "euro", "\xe2\x82\xac" },
    { "copy", "\xc2\xa9" },  { "auml", "\xc3\xa4" },
    { "ouml", "\xc3\xb6" },  { "uuml", "\xc3\xbc" },
    { "szlig", "\xc3\x9f" }, { "eacute", "\xc3\xa9" },
};

struct page {
    struct buf *out;
    const char *html;
    size_t len, at;
    bool space;      /* white space waits for the next word */
    unsigned absent; /* bits of `dropped`: no end tag of it is left */
};

#define IN(list, name) in_list(list, sizeof(list) / sizeof((list)[0]), name)

static bool in_list(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* End the line, or (two) the paragraph. */
static void end_line(struct page *page, size_t breaks)
{
    struct buf *out = page->out;
    size_t have = 0;

    page->space = false;
    while (have < out->len && have < breaks && out->data[out->len - 1 - have] == '\n')
        have++;
    for (; out->len > 0 && have < breaks; have++)
        buf_putc(out, '\n');
}

static void put_text(struct page *page, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0') {
            page->space = page->out->len > 0 && page->out->data[page->out->len - 1] != '\n';
            continue;
        }
        if (page->space)
            buf_putc(page->out, ' ');
        page->space = false;
        buf_putc(page->out, text[i]);
    }
}

static void put_code_point(struct page *page, unsigned long code)
{
    char text[5] = "";

    if (code < 0x20 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        code = ' ';
    if (code < 0x80) {
        text[0] = (char)code;
    } else if (code < 0x800) {
        text[0] = (char)(0xc0 | (code >> 6));
        text[1] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        text[0] = (char)(0xe0 | (code >> 12));
        text[1] = (char)(0x80 | ((code >> 6) & 0x3f));
        text[2] = (char)(0x80 | (code & 0x3f));
    } else {
        text[0] = (char)(0xf0 | (code >> 18));
        text[1] = (char)(0x80 | ((code >> 12) & 0x3f));
        text[2] = (char)(0x80 | ((code >> 6) & 0x3f));
        text[3] = (char)(0x80 | (code & 0x3f));
    }
    put_text(page, text, strlen(text));
}

/* At an "&". */
static void take_entity(struct page *page)
{
    const char *name = page->html + page->at + 1;
    size_t left = page->len - page->at - 1, len = 0;

    while (len < left && len < 10 &&
           (strchr("#xX", name[len]) != NULL ||
            strspn(name + len, "0123456789abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ") > 0))
        len++;
    if (len > 1 && len < left && name[0] == '#') {
        bool hex = name[1] == 'x' || name[1] == 'X';

        put_code_point(page, strtoul(name + (hex ? 2 : 1), NULL, hex ? 16 : 10));
        page->at += 1 + len + (name[len] == ';');
        return;
    }
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
        if (len < left && name[len] == ';' && strlen(entities[i].name) == len &&
            strncmp(entities[i].name, name, len) == 0) {
            put_text(page, entities[i].text, strlen(entities[i].text));
            page->at += len + 2;
            return;
        }
    put_text(page, "&", 1);
    page->at++;
}

/* The name of the tag at `at`, in lower case, and where it ends. False when it is no tag. */
static bool read_tag(const struct page *page, char name[TAG_NAME], bool *closing, size_t *end)
{
    size_t at = page->at + 1, len = 0;
    char quote = '\0';

    *closing = at < page->len && page->html[at] == '/';
    at += *closing;
    while (at < page->len && len < TAG_NAME - 1 && strchr(" \t\r\n/>", page->html[at]) == NULL) {
        char byte = page->html[at++];

        name[len++] = byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : byte;
    }
    name[len] = '\0';
    for (; at < page->len; at++) {
        char byte = page->html[at];

        if (quote != '\0')
            quote = byte == quote ? '\0' : quote;
        else if (byte == '"' || byte == '\'')
            quote = byte;
        else if (byte == '>')
            break;
    }
    *end = at < page->len ? at + 1 : page->len;
    return len > 0 && ((name[0] >= 'a' && name[0] <= 'z') || name[0] == '!' || name[0] == '?');
}

/* Behind the end tag of `name`, or 0 when there is none. */
static size_t behind(const struct page *page, size_t from, const char *name)
{
    size_t len = strlen(name);

    for (size_t at = from; at + len + 2 < page->len; at++)
        if (page->html[at] == '<' && page->html[at + 1] == '/' &&
            strncasecmp(page->html + at + 2, name, len) == 0 &&
            strchr("> \t\r\n", page->html[at + 2 + len]) != NULL) {
            const char *close = memchr(page->html + at, '>', page->len - at);

            return close != NULL ? (size_t)(close - page->html) + 1 : page->len;
        }
    return 0;
}

/* Leave an element out, unless its end was forgotten: looked for once, however often it is opened. */
static void skip_element(struct page *page, const char *name)
{
    size_t which = 0, end = 0;

    while (strcmp(dropped[which], name) != 0)
        which++;
    if ((page->absent & (1u << which)) == 0)
        end = behind(page, page->at, name);
    if (end == 0)
        page->absent |= 1u << which;
    else
        page->at = end;
    page->space = page->out->len > 0;
}

static void open_heading(struct page *page, int level)
{
    end_line(page, 2);
    for (int i = 0; i < level; i++)
        buf_putc(page->out, '#');
    buf_putc(page->out, ' ');
}

/* At a "<". */
static void take_tag(struct page *page)
{
    char name[TAG_NAME];
    bool closing;
    size_t end;

    if (page->len - page->at >= 4 && strncmp(page->html + page->at, "<!--", 4) == 0) {
        const char *close = strstr(page->html + page->at, "-->");

        page->at = close != NULL ? (size_t)(close - page->html) + 3 : page->len;
        return;
    }
    if (!read_tag(page, name, &closing, &end)) {
        put_text(page, "<", 1);
        page->at++;
        return;
    }
    page->at = end;
    if (!closing && IN(dropped, name)) {
        skip_element(page, name);
    } else if (!closing && name[0] == 'h' && name[1] >= '1' && name[1] <= '6' && name[2] == '\0') {
        open_heading(page, name[1] - '0');
    } else if (IN(blocks, name)) {
        end_line(page, 2);
    } else if (IN(lines, name)) {
        end_line(page, 1);
    } else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0) {
        page->space = page->out->len > 0 && page->out->data[page->out->len - 1] != '\n';
    }
}

static void find_title(const char *html, size_t len, struct buf *title)
{
    struct page page = { .out = title, .html = html, .len = len };
    const char *open = strcasestr(html, "<title"), *from, *to;

    if (open == NULL || (from = strchr(open, '>')) == NULL ||
        (to = strcasestr(from, "</title")) == NULL || to - from > 1024)
        return;
    page.at = (size_t)(from + 1 - html);
    page.len = (size_t)(to - html);
    while (page.at < page.len) {
        if (html[page.at] == '&')
            take_entity(&page);
        else
            put_text(&page, html + page.at++, 1);
    }
}

bool passages_from_html(const char *html, size_t len, struct buf *out, struct buf *title)
{
    struct page page = { .out = out };
    struct buf clean;

    buf_init(&clean, 3 * (size_t)PASSAGES_DOCUMENT);
    if (!text_utf8_repair(&clean, html, len < PASSAGES_DOCUMENT ? len : PASSAGES_DOCUMENT)) {
        buf_free(&clean);
        return false;
    }
    for (size_t i = 0; i < clean.len; i++) /* the searches below stop at the first */
        if (clean.data[i] == '\0')
            clean.data[i] = ' ';
    page.html = buf_str(&clean);
    page.len = clean.len;
    find_title(page.html, page.len, title);
    while (page.at < page.len) {
        if (page.html[page.at] == '<')
            take_tag(&page);
        else if (page.html[page.at] == '&')
            take_entity(&page);
        else
            put_text(&page, page.html + page.at++, 1);
    }
    buf_free(&clean);
    return !out->failed;
}
