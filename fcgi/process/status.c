/*
 * status: see status.h.
 *
 * All forms show the same view: one pass over the slots and one sum of the counts, made before anything is
 * written. A sum is some 60 KB, so it is on the heap.
 */
#include "fcgi/process/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"

struct view_worker {
    int slot;
    int32_t pid;
    enum scoreboard_state state;
    uint32_t generation;
    int64_t age_s, silent_ms, lag_us, lag_most_us, streams, busy, memory_kb, threads_busy, queued;
    uint64_t requests, turns;
    const struct metrics *metrics;
};

struct view {
    const struct scoreboard *board;
    int64_t uptime_s;
    uint64_t requests, turns;
    int64_t streams, busy, threads_busy, queued, memory_kb;
    struct view_worker workers[SCOREBOARD_SLOTS];
    size_t count;
    struct metrics sum;
};

static int64_t not_negative(int64_t number)
{
    return number > 0 ? number : 0;
}

static void look_at(const struct scoreboard *board, int slot, struct view_worker *out)
{
    const struct scoreboard_slot *from = &board->slots[slot];

    *out = (struct view_worker){
        .slot = slot,
        .pid = from->pid,
        .state = (enum scoreboard_state)from->state,
        .generation = from->generation,
        .age_s = not_negative((clock_wall_ms() - from->started_ms) / 1000),
        .silent_ms = not_negative(clock_mono_ms() - from->beat_ms),
        .lag_us = from->lag_us,
        .lag_most_us = from->lag_most_us,
        .streams = from->streams,
        .busy = from->busy,
        .memory_kb = from->memory_kb,
        .threads_busy = from->metrics.gauges[METRICS_THREADS_BUSY],
        .queued = from->metrics.gauges[METRICS_THREADS_QUEUED],
        .requests = metrics_total(&from->metrics, METRICS_REQUESTS),
        .turns = metrics_total(&from->metrics, METRICS_TURNS),
        .metrics = &from->metrics,
    };
}

static struct view *view_make(const struct scoreboard *board)
{
    struct view *view = calloc(1, sizeof *view);

    if (view == NULL)
        return NULL;
    view->board = board;
    view->uptime_s = not_negative((clock_wall_ms() - board->started_ms) / 1000);
    scoreboard_sum(board, &view->sum);
    view->requests = metrics_total(&view->sum, METRICS_REQUESTS);
    view->turns = metrics_total(&view->sum, METRICS_TURNS);
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct view_worker *worker = &view->workers[view->count];

        if (board->slots[i].state == SLOT_FREE)
            continue;
        look_at(board, i, worker);
        view->streams += worker->streams;
        view->busy += worker->busy;
        view->threads_busy += worker->threads_busy;
        view->queued += worker->queued;
        view->memory_kb += worker->memory_kb;
        view->count++;
    }
    return view;
}

/* ---- JSON ---- */

static void put_number(struct buf *out, const char *key, uint64_t number)
{
    json_put_member_int(out, key, (int64_t)number);
}

static void put_time_json(const struct metrics_histogram *time, struct buf *out)
{
    uint64_t count = time->count;

    buf_puts(out, "{");
    put_number(out, "count", count);
    put_number(out, "mean_us", count > 0 ? time->sum_us / count : 0);
    json_put_member_int(out, "p50_us", metrics_quantile(time, 0.5));
    json_put_member_int(out, "p95_us", metrics_quantile(time, 0.95));
    json_put_member_int(out, "p99_us", metrics_quantile(time, 0.99));
    buf_puts(out, "}");
}

static void put_times_json(const struct metrics *metrics, struct buf *out)
{
    buf_puts(out, ",\"times\":{");
    for (int t = 0; t < METRICS_TIMES; t++) {
        buf_putf(out, "%s\"%s\":", t == 0 ? "" : ",", metrics_time_name((enum metrics_time)t));
        put_time_json(&metrics->times[t], out);
    }
    buf_puts(out, "}");
}

static void put_worker_json(const struct view_worker *worker, struct buf *out)
{
    buf_puts(out, "{");
    json_put_member_int(out, "slot", worker->slot);
    json_put_member_int(out, "pid", worker->pid);
    json_put_member(out, "state", scoreboard_state_name(worker->state));
    put_number(out, "generation", worker->generation);
    json_put_member_int(out, "age_s", worker->age_s);
    put_number(out, "requests", worker->requests);
    put_number(out, "turns", worker->turns);
    json_put_member_int(out, "streams", worker->streams);
    json_put_member_int(out, "busy", worker->busy);
    json_put_member_int(out, "threads_busy", worker->threads_busy);
    json_put_member_int(out, "threads_queued", worker->queued);
    json_put_member_int(out, "silent_ms", worker->silent_ms);
    json_put_member_int(out, "lag_us", worker->lag_us);
    json_put_member_int(out, "lag_most_us", worker->lag_most_us);
    json_put_member_int(out, "memory_kb", worker->memory_kb);
    put_times_json(worker->metrics, out);
    buf_puts(out, "}");
}

static void put_summary_json(const struct view *view, struct buf *out)
{
    const struct scoreboard *board = view->board;

    json_put_member(out, "version", board->version);
    json_put_member_int(out, "pid", board->pid);
    put_number(out, "generation", board->generation);
    json_put_member_int(out, "uptime_s", view->uptime_s);
    put_number(out, "requests", view->requests);
    put_number(out, "turns", view->turns);
    json_put_member_int(out, "streams", view->streams);
    json_put_member_int(out, "busy", view->busy);
    json_put_member_int(out, "threads_busy", view->threads_busy);
    json_put_member_int(out, "threads_queued", view->queued);
    json_put_member_int(out, "memory_kb", view->memory_kb);
    put_number(out, "restarts", board->restarts);
    put_number(out, "recycled", board->recycled);
    put_number(out, "stuck", board->stuck);
    put_number(out, "reloads", board->reloads);
    put_number(out, "replaced", board->replaced);
}

void status_put_json(const struct scoreboard *board, struct buf *out)
{
    struct view *view = view_make(board);

    if (view == NULL) {
        out->failed = true;
        return;
    }
    buf_puts(out, "{");
    put_summary_json(view, out);
    buf_puts(out, ",\"workers\":[");
    for (size_t i = 0; i < view->count; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        put_worker_json(&view->workers[i], out);
    }
    buf_puts(out, "]");
    put_times_json(&view->sum, out);
    buf_puts(out, ",");
    metrics_put_json(&view->sum, out);
    buf_puts(out, "}\n");
    free(view);
}

/* ---- plain text ---- */

static void put_times_text(const struct view *view, struct buf *out)
{
    buf_putf(out, "%-12s %10s %10s %10s %10s\n", "time", "count", "mean ms", "p50 ms", "p95 ms");
    for (int t = 0; t < METRICS_TIMES; t++) {
        const struct metrics_histogram *time = &view->sum.times[t];
        uint64_t count = time->count;

        buf_putf(out, "%-12s %10" PRIu64 " %10.2f %10.1f %10.1f\n",
                 metrics_time_name((enum metrics_time)t), count,
                 count > 0 ? (double)time->sum_us / (double)count / 1000.0 : 0.0,
                 (double)metrics_quantile(time, 0.5) / 1000.0,
                 (double)metrics_quantile(time, 0.95) / 1000.0);
    }
}

static void put_view_text(const struct view *view, struct buf *out)
{
    const struct scoreboard *board = view->board;

    buf_putf(out,
             "Parley %s, process %d, up %" PRId64 " s, generation %u\n"
             "requests %" PRIu64 "  answers %" PRIu64 "  streams %" PRId64 "  threads busy %" PRId64
             "  queued %" PRId64 "  memory %" PRId64 " MB\n"
             "restarts %" PRIu64 "  recycled %" PRIu64 "  stuck %" PRIu64 "  reloads %" PRIu64
             "  programs %" PRIu64 "\n\n",
             board->version, board->pid, view->uptime_s, board->generation, view->requests,
             view->turns, view->streams, view->threads_busy, view->queued, view->memory_kb / 1024,
             board->restarts, board->recycled, board->stuck, board->reloads, board->replaced);
    buf_putf(out, "%-8s %-9s %4s %8s %10s %8s %8s %6s %7s %8s %8s\n", "pid", "state", "gen",
             "age s", "requests", "streams", "busy", "queue", "lag ms", "silent s", "memory");
    for (size_t i = 0; i < view->count; i++) {
        const struct view_worker *at = &view->workers[i];

        buf_putf(out,
                 "%-8d %-9s %4u %8" PRId64 " %10" PRIu64 " %8" PRId64 " %8" PRId64 " %6" PRId64
                 " %7.1f %8.1f %5" PRId64 " MB\n",
                 at->pid, scoreboard_state_name(at->state), at->generation, at->age_s, at->requests,
                 at->streams, at->busy, at->queued, (double)at->lag_us / 1000.0,
                 (double)at->silent_ms / 1000.0, at->memory_kb / 1024);
    }
    buf_puts(out, "\n");
    put_times_text(view, out);
}

void status_put_text(const struct scoreboard *board, struct buf *out)
{
    struct view *view = view_make(board);

    if (view == NULL)
        out->failed = true;
    else
        put_view_text(view, out);
    free(view);
}

/* The page is the terminal's text: it needs no style, no script and no second table layout. */
void status_put_html(const struct scoreboard *board, const char *title, struct buf *out)
{
    struct buf text;

    buf_init(&text, STATUS_CAP);
    status_put_text(board, &text);
    buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta http-equiv=\"refresh\" content=\"5\"><title>");
    text_html(out, title, strlen(title));
    buf_puts(out, "</title></head><body><h1>");
    text_html(out, title, strlen(title));
    buf_puts(out, "</h1><pre>");
    text_html(out, buf_str(&text), text.len);
    buf_puts(out, "</pre><p><a href=\"?json\">as JSON</a></p></body></html>\n");
    out->failed |= text.failed;
    buf_free(&text);
}

/* ---- Prometheus ---- */

static void put_gauge(struct buf *out, const char *name, const char *type, const char *help,
                      int64_t value)
{
    buf_putf(out, "# HELP parley_%s %s\n# TYPE parley_%s %s\nparley_%s %" PRId64 "\n", name, help,
             name, type, name, value);
}

static void put_lags(const struct view *view, struct buf *out)
{
    buf_puts(out, "# HELP parley_loop_lag_seconds How late the last beat of a worker's loop was.\n"
                  "# TYPE parley_loop_lag_seconds gauge\n");
    for (size_t i = 0; i < view->count; i++)
        buf_putf(out, "parley_loop_lag_seconds{slot=\"%d\"} %.6f\n", view->workers[i].slot,
                 (double)view->workers[i].lag_us / 1e6);
}

void status_put_prometheus(const struct scoreboard *board, struct buf *out)
{
    struct view *view = view_make(board);

    if (view == NULL) {
        out->failed = true;
        return;
    }
    put_gauge(out, "workers", "gauge", "Worker processes, draining ones included.",
              (int64_t)view->count);
    put_gauge(out, "streams", "gauge", "Answers being written.", view->streams);
    put_gauge(out, "threads_busy", "gauge", "Request threads at work.", view->threads_busy);
    put_gauge(out, "threads_queued", "gauge", "Requests that wait for a thread.", view->queued);
    put_gauge(out, "memory_bytes", "gauge", "Resident memory of all workers.",
              view->memory_kb * 1024);
    put_gauge(out, "uptime_seconds", "gauge", "Since the service was started.", view->uptime_s);
    put_gauge(out, "worker_restarts_total", "counter", "Workers that died and were replaced.",
              (int64_t)board->restarts);
    put_gauge(out, "workers_recycled_total", "counter", "Replaced for their age or size.",
              (int64_t)board->recycled);
    put_gauge(out, "workers_stuck_total", "counter", "Replaced by the watchdog.",
              (int64_t)board->stuck);
    put_gauge(out, "reloads_total", "counter", "Reloads of the configuration.",
              (int64_t)board->reloads);
    put_lags(view, out);
    metrics_put_prometheus(&view->sum, out);
    free(view);
}
