/*
 * outflow: an exchange that waits on the loop for somebody outside, and sends what comes as it comes. Watches
 * for the client's leaving, queues what the client does not take yet, and says when there is room again,
 * so that whoever feeds it can hold its own source back.
 *
 * Loop thread only.
 */
#ifndef PARLEY_ENDPOINTS_OUTFLOW_H
#define PARLEY_ENDPOINTS_OUTFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app;
struct exchange;
struct outflow;

#define OUTFLOW_HIGH (256 * 1024) /* of the queue: hold the source back above it */

/* None is called from inside a function below, nor after `gone` or outflow_end. */
struct outflow_handler {
    /* The client has left or takes nothing any more, or this process must end. Let go of the source; the
     * flow finishes the exchange and frees itself afterwards. */
    void (*gone)(void *ctx);
    /* The queue, which was above OUTFLOW_HIGH, is empty. May be NULL. */
    void (*drained)(void *ctx);
    /* About four times a second. May be NULL. */
    void (*tick)(void *ctx);
};

/* NULL when out of memory; the exchange is then still to be answered and finished. */
struct outflow *outflow_open(struct exchange *exchange, const struct outflow_handler *handler,
                             void *ctx);

/* Send, or queue. Only after response_begin_stream. */
void outflow_put(struct outflow *flow, const char *bytes, size_t len);
/* The queue is above OUTFLOW_HIGH: `drained` will come. */
bool outflow_full(const struct outflow *flow);
/* Milliseconds since something was put. */
int64_t outflow_silence_ms(const struct outflow *flow);

/* There will be no more: when the queue is out, the exchange is finished. `outcome` for the log, static. */
void outflow_end(struct outflow *flow, const char *outcome);

/* For the end of draining: every flow of the process is told `gone`. */
void outflow_end_all(struct app *app);

#endif
