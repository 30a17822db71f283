/*
 * passages: a document cut into pieces that can be found and quoted: at its headings, and long sections at
 * paragraphs. Pure; any thread.
 */
#ifndef PARLEY_MEMORY_PASSAGES_H
#define PARLEY_MEMORY_PASSAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

#define PASSAGE_BYTES     1200       /* of one passage, about */
#define PASSAGES_MAX      20000      /* of one document */
#define PASSAGES_DOCUMENT (8u << 20) /* bytes of a document; more is not read */
#define PASSAGE_HEADING   512        /* bytes of the headings above a passage, NUL included */

struct passage {
    char *heading; /* "Delivery > Abroad", "" = none */
    char *body;
};
struct passages {
    char *title; /* of the document, NULL when it says none */
    struct passage *list;
    size_t count;
    bool cut; /* there would be more, but it is too large */
};

/* Markdown, or plain text, which is Markdown without headings. What is no UTF-8 is repaired. False when out of
 * memory; `out` is to be freed either way. */
bool passages_split(struct passages *out, const char *text, size_t len);
void passages_free(struct passages *passages);

/* HTML as Markdown: headings kept, tags, scripts, styles and navigation left out. `title` gets that of the head. */
bool passages_from_html(const char *html, size_t len, struct buf *out, struct buf *title);

#endif
