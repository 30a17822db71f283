/*
 * charset: documents that are not written in UTF-8. Pure; any thread.
 */
#ifndef PARLEY_MEMORY_CHARSET_H
#define PARLEY_MEMORY_CHARSET_H

#include <stdbool.h>

#include "common/base/buf.h"

/*
 * Make UTF-8 of a document that says what it is written in: by a byte order mark, by its Content-Type ("" = none), or
 * (html) in its head. One that says nothing, or is UTF-8 whatever it says, stays as it is.
 */
void charset_make_utf8(struct buf *document, const char *type, bool html);

#endif
