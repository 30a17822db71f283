/*
 * buf: a growable byte buffer with a cap. The cap is given at birth, so unbounded growth is
 * impossible; hitting it, or running out of memory, sets a sticky mark that is asked once at the
 * end. Always NUL-terminated when data is not NULL. Not thread-safe: one owner at a time.
 */
#ifndef PARLEY_BASE_BUF_H
#define PARLEY_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;  /* NULL until something was put */
    size_t len;  /* bytes in use, without the NUL */
    size_t size; /* bytes allocated */
    size_t cap;  /* len never exceeds this */
    bool failed; /* a put was refused; what is there is a clean prefix of whole puts */
};

/* Make an empty buffer that may grow to `cap` bytes. Allocates nothing. */
void buf_init(struct buf *buf, size_t cap);

/* Free the memory and leave an empty buffer of the same cap. A zeroed buf is fine. */
void buf_free(struct buf *buf);

/* Forget the content and the failure mark, keep the memory. */
void buf_clear(struct buf *buf);

/* Append. False (and buf->failed) when refused; then nothing was appended. */
bool buf_put(struct buf *buf, const void *bytes, size_t len);
bool buf_puts(struct buf *buf, const char *string);
bool buf_putc(struct buf *buf, char byte);
bool buf_putf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vputf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Make room for `more` further bytes without changing the content. */
bool buf_reserve(struct buf *buf, size_t more);

/* Drop `count` bytes (at most len) from the front. */
void buf_drop(struct buf *buf, size_t count);

/* The content as a C string, "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *buf);

/*
 * Hand the memory (a NUL-terminated string, never NULL unless out of memory) to the caller, who
 * frees.
 */
char *buf_take(struct buf *buf);

#endif
