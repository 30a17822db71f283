/*
 * charset: see charset.h. The C library's iconv knows the character sets; here is only where a document names its own.
 *
 * Neighbours: library.c reads documents, text.c repairs what is no UTF-8 afterwards.
 */
#include "common/memory/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"

#define CHARSET_NAME 40
#define HEAD_BYTES   2048 /* of a page, in which it says what it is */
#define UNREADABLE   "\xef\xbf\xbd"

static const char name_bytes[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";

/* The name behind the first "charset=" in `text`. */
static bool find_name(const char *text, size_t most, char name[CHARSET_NAME])
{
    const char *at = strcasestr(text, "charset=");
    size_t len;

    if (at == NULL || (size_t)(at - text) > most)
        return false;
    at += strlen("charset=");
    at += strspn(at, " \"'");
    len = strspn(at, name_bytes);
    if (len == 0 || len >= CHARSET_NAME)
        return false;
    memcpy(name, at, len);
    name[len] = '\0';
    return true;
}

/* What browsers take these for. */
static const char *meant(const char *name)
{
    static const char *const latin[] = { "iso-8859-1", "latin1", "us-ascii", "ascii" };

    for (size_t i = 0; i < sizeof latin / sizeof latin[0]; i++)
        if (strcasecmp(name, latin[i]) == 0)
            return "windows-1252";
    return name;
}

/* What means nothing becomes a mark, `unit` bytes at a time. False when the set is not known, or it is too large. */
static bool convert(const char *charset, size_t unit, char *from, size_t left, struct buf *out)
{
    iconv_t how = iconv_open("UTF-8", charset);
    char bytes[16384];

    if (how == (iconv_t)-1)
        return false;
    while (left > 0 && !out->failed) {
        char *to = bytes;
        size_t room = sizeof bytes;
        size_t done = iconv(how, &from, &left, &to, &room);
        int error = done == (size_t)-1 ? errno : 0;

        buf_put(out, bytes, sizeof bytes - room);
        if (error == EILSEQ || error == EINVAL) {
            size_t skipped = left < unit ? left : unit;

            buf_puts(out, UNREADABLE);
            from += skipped;
            left -= skipped;
        }
    }
    iconv_close(how);
    return !out->failed;
}

static const char *mark_of(const struct buf *document)
{
    if (document->len >= 2 && memcmp(document->data, "\xff\xfe", 2) == 0)
        return "UTF-16LE";
    if (document->len >= 2 && memcmp(document->data, "\xfe\xff", 2) == 0)
        return "UTF-16BE";
    return NULL;
}

void charset_make_utf8(struct buf *document, const char *type, bool html)
{
    const char *mark = mark_of(document);
    size_t skip = mark != NULL ? 2 : 0;
    char name[CHARSET_NAME] = "";
    struct buf out;

    if (mark == NULL && (document->len == 0 || text_utf8_valid(document->data, document->len) ||
                         !(find_name(type, strlen(type), name) ||
                           (html && find_name(buf_str(document), HEAD_BYTES, name)))))
        return;
    buf_init(&out, 3 * document->cap);
    if (convert(mark != NULL ? mark : meant(name), mark != NULL ? 2 : 1, document->data + skip,
                document->len - skip, &out)) {
        buf_free(document);
        *document = out;
        return;
    }
    buf_free(&out);
}
