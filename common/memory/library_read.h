/*
 * library_read: a document's bytes from wherever it is, and PDF as text. Blocks, with deadlines. Private to library.
 */
#ifndef PARLEY_MEMORY_LIBRARY_READ_H
#define PARLEY_MEMORY_LIBRARY_READ_H

#include "common/base/buf.h"
#include "common/relay.h"

#define LIBRARY_FETCH_MS  30000
#define LIBRARY_PDF_MS    60000
#define LIBRARY_REDIRECTS 5

/* A file by its whole path, at most PASSAGES_DOCUMENT bytes; a link that leads out of its directory is not followed. NULL
 * when that worked, else why not. */
const char *library_read_file(const char *path, struct buf *out);

/*
 * A page, redirections followed; *type (64 bytes) is its Content-Type. Runs the loop. `named` is the address that the
 * operator wrote: what is named by a page, or that a page redirects to, must lie on the same host or on a public one, so that
 * no page can have the site's inner services read out to visitors.
 */
const char *library_read_url(struct relay *relay, struct uv_loop_s *loop, const char *named,
                             const char *url, struct buf *out, char type[64]);

/* The text of a PDF, by pdftotext of the PATH. */
const char *library_pdf_text(const struct buf *pdf, struct buf *out);

#endif
