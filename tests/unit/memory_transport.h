/*
 * memory_transport: a request and its answer in memory, for the tests of fcgi/http and fcgi/endpoints. The CGI
 * variables and the body come from the test, what was written is kept for it.
 */
#ifndef PARLEY_TESTS_MEMORY_TRANSPORT_H
#define PARLEY_TESTS_MEMORY_TRANSPORT_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/request.h"
#include "fcgi/http/response.h"
#include "fcgi/http/transport.h"

struct memory_transport {
    struct transport transport;
    struct {
        const char *name, *value;
    } variables[16];
    const char *body; /* NULL = none */
    size_t body_at;
    struct buf out;
    size_t flushed; /* bytes of `out` that were flushed */
    bool dead;      /* writes fail from now on */
    bool finished;
};

static inline const char *memory_variable(struct transport *transport, const char *name)
{
    struct memory_transport *memory = (struct memory_transport *)transport;
    for (size_t i = 0; i < 16 && memory->variables[i].name != NULL; i++)
        if (strcmp(memory->variables[i].name, name) == 0)
            return memory->variables[i].value;
    return NULL;
}

static inline enum result memory_read(struct transport *transport, char *out, size_t size,
                                      size_t *got)
{
    struct memory_transport *memory = (struct memory_transport *)transport;
    size_t left = memory->body != NULL ? strlen(memory->body) - memory->body_at : 0;
    *got = left < size ? left : size;
    if (*got > 0)
        memcpy(out, memory->body + memory->body_at, *got);
    memory->body_at += *got;
    return RESULT_OK;
}

static inline enum result memory_write(struct transport *transport, const char *bytes, size_t len)
{
    struct memory_transport *memory = (struct memory_transport *)transport;
    if (memory->dead)
        return RESULT_GONE;
    assert_true(buf_put(&memory->out, bytes, len));
    return RESULT_OK;
}

static inline enum result memory_flush(struct transport *transport)
{
    struct memory_transport *memory = (struct memory_transport *)transport;
    memory->flushed = memory->out.len;
    return memory->dead ? RESULT_GONE : RESULT_OK;
}

static inline bool memory_writable(struct transport *transport)
{
    return !((struct memory_transport *)transport)->dead;
}

static inline int memory_watch_fd(struct transport *transport, int *hangup_events)
{
    (void)transport;
    *hangup_events = 0;
    return -1;
}

static inline bool memory_hung_up(struct transport *transport)
{
    return ((struct memory_transport *)transport)->dead;
}

static inline void memory_finish(struct transport *transport)
{
    ((struct memory_transport *)transport)->finished = true;
}

static const struct transport_ops memory_ops = {
    .variable = memory_variable,
    .read = memory_read,
    .write = memory_write,
    .flush = memory_flush,
    .writable = memory_writable,
    .watch_fd = memory_watch_fd,
    .hung_up = memory_hung_up,
    .finish = memory_finish,
};

static inline void memory_open(struct memory_transport *memory)
{
    memset(memory, 0, sizeof(*memory));
    memory->transport.ops = &memory_ops;
    buf_init(&memory->out, 1024 * 1024);
}

static inline void memory_close(struct memory_transport *memory)
{
    buf_free(&memory->out);
}

static inline void memory_set(struct memory_transport *memory, const char *name, const char *value)
{
    for (size_t i = 0; i < 15; i++) {
        if (memory->variables[i].name != NULL && strcmp(memory->variables[i].name, name) != 0)
            continue;
        memory->variables[i].name = name;
        memory->variables[i].value = value;
        return;
    }
    fail_msg("no room for another variable");
}

/* A request as request_read would leave it. */
static inline void memory_request(struct memory_transport *memory, struct request *request,
                                  enum http_method method, const char *path)
{
    memset(request, 0, sizeof(*request));
    request->transport = &memory->transport;
    request->method = method;
    strcpy(request->id, "req_test");
    request->path = strdup(path);
    request->base = strdup("");
    request->query = "";
    request->address = "192.0.2.1";
    buf_init(&request->body, 65536);
}

/* An exchange as the server makes it; exchange_finish frees it. */
static inline struct exchange *memory_exchange(struct memory_transport *memory, struct app *app,
                                               enum http_method method, const char *path)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    assert_non_null(exchange);
    exchange->app = app;
    exchange->transport = &memory->transport;
    memory_request(memory, &exchange->request, method, path);
    response_init(&exchange->response, &memory->transport, &exchange->request);
    exchange->accepted_us = 1;
    return exchange;
}

/* The value of a header in the answer, "" when it is not there. Lives until the next call. */
static inline const char *memory_header(const struct memory_transport *memory, const char *name)
{
    static char value[4096];
    size_t name_len = strlen(name);
    const char *line = buf_str(&memory->out);
    value[0] = '\0';
    while (line[0] != '\r' && line[0] != '\0') {
        size_t len = strcspn(line, "\r");
        if (strncmp(line, name, name_len) == 0 && strncmp(line + name_len, ": ", 2) == 0) {
            size_t value_len = len - name_len - 2;
            assert_true(value_len < sizeof(value));
            memcpy(value, line + name_len + 2, value_len);
            value[value_len] = '\0';
            return value;
        }
        line += len + 2;
    }
    return value;
}

/* What follows the head. */
static inline const char *memory_body(const struct memory_transport *memory)
{
    const char *end = strstr(buf_str(&memory->out), "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

#endif
