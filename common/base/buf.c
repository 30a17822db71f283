/*
 * buf: the one growable buffer of the program. Grows by half, from 256 bytes, never beyond its cap;
 * once a put was refused all later puts are refused too, so that the content stays a prefix of what
 * was meant and callers ask `failed` once at the end. Any thread, one owner at a time.
 */
#include "common/base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 256

void buf_init(struct buf *buf, size_t cap)
{
    *buf = (struct buf){ .cap = cap };
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->cap);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

static bool refuse(struct buf *buf)
{
    buf->failed = true;
    return false;
}

/* The next allocation that holds `needed` bytes (NUL included); at most cap + 1. */
static size_t next_size(const struct buf *buf, size_t needed)
{
    size_t size = buf->size + buf->size / 2;
    if (size < FIRST_SIZE)
        size = FIRST_SIZE;
    if (size < needed)
        size = needed;
    if (size - 1 > buf->cap)
        size = buf->cap + 1;
    return size;
}

bool buf_reserve(struct buf *buf, size_t more)
{
    if (buf->failed || more > buf->cap - buf->len || buf->cap == SIZE_MAX)
        return refuse(buf);
    size_t needed = buf->len + more + 1;
    if (needed <= buf->size)
        return true;

    size_t size = next_size(buf, needed);
    char *data = realloc(buf->data, size);
    if (!data)
        return refuse(buf);
    data[buf->len] = '\0';
    buf->data = data;
    buf->size = size;
    return true;
}

bool buf_put(struct buf *buf, const void *bytes, size_t len)
{
    if (!buf_reserve(buf, len))
        return false;
    if (len > 0)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return true;
}

bool buf_puts(struct buf *buf, const char *string)
{
    return buf_put(buf, string, strlen(string));
}

bool buf_putc(struct buf *buf, char byte)
{
    return buf_put(buf, &byte, 1);
}

bool buf_vputf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = buf->size > buf->len ? buf->size - buf->len : 0;
    char *end = room > 0 ? buf->data + buf->len : NULL;
    int wanted = vsnprintf(end, room, format, args);
    bool done = wanted >= 0 && !buf->failed;

    if (done && (size_t)wanted >= room) {
        done = buf_reserve(buf, (size_t)wanted);
        if (done)
            vsnprintf(buf->data + buf->len, (size_t)wanted + 1, format, again);
    }
    va_end(again);
    if (done)
        buf->len += (size_t)wanted;
    else if (buf->data)
        buf->data[buf->len] = '\0';
    return done ? true : refuse(buf);
}

bool buf_putf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool done = buf_vputf(buf, format, args);
    va_end(args);
    return done;
}

void buf_drop(struct buf *buf, size_t count)
{
    if (count > buf->len)
        count = buf->len;
    if (count == 0)
        return;
    buf->len -= count;
    memmove(buf->data, buf->data + count, buf->len + 1);
}

const char *buf_str(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data ? buf->data : calloc(1, 1);
    buf_init(buf, buf->cap);
    return data;
}
