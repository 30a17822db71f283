/*
 * metrics: see metrics.h.
 *
 * A series is found by hashing its labels, as the text that Prometheus reads; a new one is claimed by
 * compare-and-swap and is visible when its state says ready. Two threads that claim the same labels at once
 * may make two series of it: readers add up, so nothing is lost. All orders are relaxed but that of the
 * state, because numbers here need not agree with each other to the last unit.
 */
#include "common/base/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"

#define COST_UNIT 1000

enum { SERIES_FREE, SERIES_MAKING, SERIES_READY };

static const int64_t bounds_us[METRICS_BUCKETS - 1] = { 500,     1000,     2500,    5000,
                                                        10000,   25000,    50000,   100000,
                                                        250000,  500000,   1000000, 2500000,
                                                        5000000, 15000000, 60000000 };

static const struct {
    const char *name; /* without prefix and _total */
    const char *help;
} counters[METRICS_COUNTERS] = {
    [METRICS_REQUESTS] = { "requests", "Requests by route, method and status." },
    [METRICS_ERRORS] = { "errors", "Error replies by code." },
    [METRICS_TURNS] = { "turns", "Answers by provider, model and how they ended." },
    [METRICS_TOKENS] = { "tokens", "Tokens by provider, model and kind." },
    [METRICS_PROVIDER_FAILS] = { "provider_failures", "Failed answers by provider and code." },
    [METRICS_ATTEMPTS] = { "provider_attempts", "Times that a provider was asked." },
    [METRICS_ATTEMPT_FAILS] = { "attempt_failures",
                                "Attempts that failed, by provider and code, made good or not." },
    [METRICS_UNSAVED] = { "unsaved_answers", "Answers that the store did not take at once: late "
                                             "ones, and lost ones." },
    [METRICS_COST] = { "cost", "Cost of answers in millionths of the currency of the prices." },
};

static const struct {
    const char *name;
    const char *help;
} times[METRICS_TIMES] = {
    [METRICS_QUEUE] = { "queue", "First byte of a request until a request thread took it." },
    [METRICS_HANDLER] = { "handler", "Work on a request thread." },
    [METRICS_STORE] = { "store", "Write transactions, waiting included." },
    [METRICS_FIRST_DELTA] = { "first_delta", "Question until the first piece of its answer." },
    [METRICS_REPLY] = { "reply", "Question until its whole answer." },
};

/* Process-wide, as the log is. */
static struct metrics own;
static struct metrics *target = &own;

void metrics_use(struct metrics *metrics)
{
    target = metrics != NULL ? metrics : &own;
}

static void add(_Atomic uint64_t *number, uint64_t by)
{
    atomic_fetch_add_explicit(number, by, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

/* ---- writing ---- */

void metrics_time(enum metrics_time which, int64_t us)
{
    struct metrics_histogram *histogram = &target->times[which];
    size_t bucket = 0;

    if (us < 0)
        us = 0;
    while (bucket < METRICS_BUCKETS - 1 && us > bounds_us[bucket])
        bucket++;
    add(&histogram->buckets[bucket], 1);
    add(&histogram->sum_us, (uint64_t)us);
    add(&histogram->count, 1);
}

void metrics_gauge_add(enum metrics_gauge which, int by)
{
    atomic_fetch_add_explicit(&target->gauges[which], by, memory_order_relaxed);
}

static uint32_t hash_of(enum metrics_counter which, const char *labels)
{
    uint32_t hash = 2166136261u ^ (uint32_t)which;

    for (const char *at = labels; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return hash;
}

static bool is_series(const struct metrics_series *series, uint32_t ready, const char *labels)
{
    return atomic_load_explicit(&series->state, memory_order_acquire) == ready &&
           strcmp(series->labels, labels) == 0;
}

/* Found or made; NULL when the table is full. */
static struct metrics_series *series_of(struct metrics *metrics, enum metrics_counter which,
                                        const char *labels)
{
    uint32_t ready = SERIES_READY + (uint32_t)which;
    uint32_t start = hash_of(which, labels);

    for (uint32_t i = 0; i < METRICS_SERIES; i++) {
        struct metrics_series *series = &metrics->series[(start + i) % METRICS_SERIES];
        uint32_t free_state = SERIES_FREE;

        if (is_series(series, ready, labels))
            return series;
        if (!atomic_compare_exchange_strong(&series->state, &free_state, SERIES_MAKING))
            continue;
        text_copy(series->labels, sizeof series->labels, labels);
        atomic_store_explicit(&series->state, ready, memory_order_release);
        return series;
    }
    return NULL;
}

/* Label values as Prometheus wants them; control characters have no business there. */
static void put_label_value(struct buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            buf_putc(out, '\\');
        buf_putc(out, (unsigned char)*value < 0x20 ? ' ' : *value);
    }
}

void metrics_count(enum metrics_counter which, const struct metrics_label *labels, uint64_t by)
{
    struct metrics_series *series = NULL;
    struct buf text;

    buf_init(&text, METRICS_LABELS - 1);
    for (size_t i = 0; labels[i].name != NULL; i++) {
        buf_putf(&text, "%s%s=\"", i == 0 ? "" : ",", labels[i].name);
        put_label_value(&text, labels[i].value != NULL ? labels[i].value : "");
        buf_putc(&text, '"');
    }
    if (!text.failed)
        series = series_of(target, which, buf_str(&text));
    if (series != NULL)
        add(&series->value, by);
    else
        add(&target->dropped, by);
    buf_free(&text);
}

/* ---- reading ---- */

void metrics_fold(struct metrics *into, const struct metrics *from)
{
    for (int t = 0; t < METRICS_TIMES; t++) {
        add(&into->times[t].count, get(&from->times[t].count));
        add(&into->times[t].sum_us, get(&from->times[t].sum_us));
        for (int b = 0; b < METRICS_BUCKETS; b++)
            add(&into->times[t].buckets[b], get(&from->times[t].buckets[b]));
    }
    add(&into->dropped, get(&from->dropped));
    for (int i = 0; i < METRICS_SERIES; i++) {
        const struct metrics_series *series = &from->series[i];
        uint32_t state = atomic_load_explicit(&series->state, memory_order_acquire);
        struct metrics_series *sum;

        if (state < SERIES_READY)
            continue;
        sum = series_of(into, (enum metrics_counter)(state - SERIES_READY), series->labels);
        add(sum != NULL ? &sum->value : &into->dropped, get(&series->value));
    }
}

static bool is_of(const struct metrics_series *series, enum metrics_counter which)
{
    return atomic_load_explicit(&series->state, memory_order_acquire) ==
           SERIES_READY + (uint32_t)which;
}

uint64_t metrics_total(const struct metrics *metrics, enum metrics_counter which)
{
    uint64_t total = 0;

    for (int i = 0; i < METRICS_SERIES; i++)
        total += is_of(&metrics->series[i], which) ? get(&metrics->series[i].value) : 0;
    return total;
}

int64_t metrics_quantile(const struct metrics_histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)get(&histogram->count) * share);
    uint64_t seen = 0;

    if (get(&histogram->count) == 0)
        return 0;
    for (int b = 0; b < METRICS_BUCKETS - 1; b++) {
        seen += get(&histogram->buckets[b]);
        if (seen > wanted || seen == get(&histogram->count))
            return bounds_us[b];
    }
    return bounds_us[METRICS_BUCKETS - 2];
}

const char *metrics_time_name(enum metrics_time which)
{
    return times[which].name;
}

/* Cost is counted finer than it is shown, so that small answers are not rounded to nothing. */
static uint64_t shown(const struct metrics_series *series, enum metrics_counter which)
{
    return get(&series->value) / (which == METRICS_COST ? COST_UNIT : 1);
}

static void put_counter(const struct metrics *metrics, enum metrics_counter which, struct buf *out)
{
    const char *name = counters[which].name;

    buf_putf(out, "# HELP parley_%s_total %s\n# TYPE parley_%s_total counter\n", name,
             counters[which].help, name);
    for (int i = 0; i < METRICS_SERIES; i++) {
        const struct metrics_series *series = &metrics->series[i];

        if (is_of(series, which))
            buf_putf(out, "parley_%s_total{%s} %" PRIu64 "\n", name, series->labels,
                     shown(series, which));
    }
}

static void put_histogram(const struct metrics_histogram *histogram, enum metrics_time which,
                          struct buf *out)
{
    const char *name = times[which].name;
    uint64_t sum = 0;

    buf_putf(out, "# HELP parley_%s_seconds %s\n# TYPE parley_%s_seconds histogram\n", name,
             times[which].help, name);
    for (int b = 0; b < METRICS_BUCKETS - 1; b++) {
        sum += get(&histogram->buckets[b]);
        buf_putf(out, "parley_%s_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                 (double)bounds_us[b] / 1e6, sum);
    }
    sum += get(&histogram->buckets[METRICS_BUCKETS - 1]);
    buf_putf(out, "parley_%s_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, sum);
    buf_putf(out, "parley_%s_seconds_sum %.6f\nparley_%s_seconds_count %" PRIu64 "\n", name,
             (double)get(&histogram->sum_us) / 1e6, name, sum);
}

void metrics_put_prometheus(const struct metrics *metrics, struct buf *out)
{
    for (int c = 0; c < METRICS_COUNTERS; c++)
        put_counter(metrics, (enum metrics_counter)c, out);
    for (int t = 0; t < METRICS_TIMES; t++)
        put_histogram(&metrics->times[t], (enum metrics_time)t, out);
    buf_putf(out,
             "# HELP parley_metrics_dropped_total Counts whose label set found no room.\n"
             "# TYPE parley_metrics_dropped_total counter\n"
             "parley_metrics_dropped_total %" PRIu64 "\n",
             get(&metrics->dropped));
}

/* `a="x",b="y"` as members of an object: the escapes of both formats are the same where we make any. */
static void put_labels_json(const char *labels, struct buf *out)
{
    bool inside = false;

    buf_putc(out, '"');
    for (const char *at = labels; *at != '\0'; at++) {
        if (*at == '\\' && inside) {
            buf_put(out, at, 2);
            at++;
        } else if (*at == '=' && !inside) {
            buf_puts(out, "\":");
        } else if (*at == ',' && !inside) {
            buf_puts(out, ",\"");
        } else {
            inside ^= *at == '"';
            buf_putc(out, *at);
        }
    }
}

void metrics_put_json(const struct metrics *metrics, struct buf *out)
{
    buf_puts(out, "\"counters\":{");
    for (int c = 0; c < METRICS_COUNTERS; c++) {
        bool first = true;

        buf_putf(out, "%s\"%s\":[", c == 0 ? "" : ",", counters[c].name);
        for (int i = 0; i < METRICS_SERIES; i++) {
            if (!is_of(&metrics->series[i], (enum metrics_counter)c))
                continue;
            buf_puts(out, first ? "{" : ",{");
            put_labels_json(metrics->series[i].labels, out);
            buf_putf(out, ",\"value\":%" PRIu64 "}",
                     shown(&metrics->series[i], (enum metrics_counter)c));
            first = false;
        }
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}
