/*
 * metrics: what this process has done, in numbers: counters with labels, gauges, and histograms of times.
 * Any thread adds, without a lock; the memory may be shared with other processes, who read it at any time.
 *
 * Knows nothing of who reads: fcgi/process/scoreboard gives each worker its own struct metrics in shared memory.
 */
#ifndef PARLEY_BASE_METRICS_H
#define PARLEY_BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum metrics_counter {
    METRICS_REQUESTS,       /* route, method, status */
    METRICS_ERRORS,         /* code */
    METRICS_TURNS,          /* provider, model, status */
    METRICS_TOKENS,         /* provider, model, kind */
    METRICS_PROVIDER_FAILS, /* provider, code; of answers that failed in the end */
    METRICS_ATTEMPTS,       /* provider */
    METRICS_ATTEMPT_FAILS,  /* provider, code; also those that another attempt made good */
    METRICS_UNSAVED,        /* provider, outcome: late, lost */
    METRICS_COST,           /* provider, model; counted in billionths, shown in millionths */
    METRICS_COUNTERS
};

enum metrics_time {
    METRICS_QUEUE,       /* first byte of a request until a request thread has it */
    METRICS_HANDLER,     /* on the request thread: gate, body, store */
    METRICS_STORE,       /* one write transaction, waiting for its turn included */
    METRICS_FIRST_DELTA, /* of an answer, since it was asked for */
    METRICS_REPLY,       /* of a whole answer */
    METRICS_TIMES
};

enum metrics_gauge {
    METRICS_THREADS_BUSY,   /* request threads at work */
    METRICS_THREADS_QUEUED, /* requests that wait for one */
    METRICS_GAUGES
};

#define METRICS_BUCKETS 16  /* bounds in metrics.c, the last one is endless */
#define METRICS_SERIES  256 /* different label sets; what comes later is counted as dropped */
#define METRICS_LABELS  216 /* bytes of one label set as text, NUL included */
#define METRICS_PAIRS   4   /* labels of one set */

struct metrics_histogram {
    _Atomic uint64_t count;
    _Atomic uint64_t sum_us;
    _Atomic uint64_t buckets[METRICS_BUCKETS];
};

struct metrics_series {
    _Atomic uint32_t state; /* 0 free, 1 being made, 2 + counter when ready */
    char labels[METRICS_LABELS];
    _Atomic uint64_t value;
};

/* All zero is a fresh one. */
struct metrics {
    struct metrics_histogram times[METRICS_TIMES];
    _Atomic int64_t gauges[METRICS_GAUGES];
    _Atomic uint64_t dropped;
    struct metrics_series series[METRICS_SERIES];
};

struct metrics_label {
    const char *name;
    const char *value; /* NULL is "" */
};

/* From here on this process counts there; NULL = in memory of its own, as at the start. Before threads. */
void metrics_use(struct metrics *target);

void metrics_time(enum metrics_time which, int64_t us);
void metrics_gauge_add(enum metrics_gauge which, int by);
/* `labels` ends with a NULL name; at most METRICS_PAIRS. */
void metrics_count(enum metrics_counter which, const struct metrics_label *labels, uint64_t by);
#define METRICS_COUNT(which, by, ...)                                                              \
    metrics_count(which, (const struct metrics_label[]){ __VA_ARGS__, { NULL, NULL } }, by)

/* ---- reading ---- */

/* Add all of `from` but its gauges, which end with their process, to `into`; nobody else writes to that. */
void metrics_fold(struct metrics *into, const struct metrics *from);

/* All counters of one kind together. */
uint64_t metrics_total(const struct metrics *metrics, enum metrics_counter which);

/* The time, in microseconds, below which `share` (0 to 1) of all lie, as far as buckets can tell; 0 = none. */
int64_t metrics_quantile(const struct metrics_histogram *histogram, double share);
const char *metrics_time_name(enum metrics_time which);

/* Counters and histograms in Prometheus' text format. */
void metrics_put_prometheus(const struct metrics *metrics, struct buf *out);
/* A member of a JSON object: "counters":{"requests":[{"route":...,"value":1}, ...], ...}. */
void metrics_put_json(const struct metrics *metrics, struct buf *out);

#endif
