/*
 * upkeep: see upkeep.h. Every process asks every few minutes; a lease in the store, good for an hour, decides
 * who does it, and that it is done once an hour however many processes there are, CGI programs included.
 *
 * The timer runs on the loop, the work on a request thread, in portions: between two of them other writers
 * have their turn.
 */
#include "fcgi/upkeep.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/store_files.h"
#include "common/store/store_owners.h"
#include "fcgi/app.h"

#define FIRST_MS   1000 /* after the start */
#define EVERY_MS   (5 * 60 * 1000)
#define LEASE_MS   (INT64_C(3600) * 1000)
#define DAY_MS     (INT64_C(24) * 3600 * 1000)
#define COOKIE_MS  (400 * DAY_MS) /* by then a visitor's cookie is over */
#define PORTION    200            /* conversations of one transaction */
#define LONGEST_MS (60 * 1000)    /* of one run; the rest is for the next */
#define ONCE_MS    2000           /* of a run that a CGI program is held up by */

struct upkeep {
    const struct app *app;
    uv_timer_t timer;
    uv_work_t work;
    bool running;
    bool timer_closed;
    atomic_bool closing; /* asked by the request thread */
};

struct run {
    const struct app *app;
    const atomic_bool *closing; /* NULL: nobody breaks it off */
    int64_t now_ms;
    int64_t deadline_ms; /* monotonic */
};

/* ---- the work ---- */

static bool may_go_on(const struct run *run)
{
    return clock_mono_ms() < run->deadline_ms &&
           (run->closing == NULL || !atomic_load(run->closing));
}

/* Portion by portion until there is nothing left or the time is over; returns how many conversations. */
static int64_t erase_all(const struct run *run, enum store_erase_what what, int64_t before_ms,
                         const char *action)
{
    struct store_erased erased;
    int64_t total = 0;

    do {
        struct store_erase erase = {
            .what = what,
            .before_ms = before_ms,
            .most = PORTION,
            .audit = { .actor = "server", .action = action, .now_ms = run->now_ms },
        };

        if (store_erase(run->app->store, &erase, &erased, NULL) != RESULT_OK)
            break;
        total += erased.conversations;
    } while (erased.conversations == PORTION && may_go_on(run));
    return total;
}

static void run_all(const struct run *run)
{
    const struct config *config = run->app->config;
    int64_t retention_ms = config->retention_days * DAY_MS;
    int64_t erased = 0, sessions = 0;

    if (retention_ms > 0)
        erased = erase_all(run, STORE_ERASE_OLD, run->now_ms - retention_ms, "purged");
    if (config->session_ttl_s > 0)
        sessions = erase_all(run, STORE_ERASE_EMPTY_SESSIONS,
                             run->now_ms - config->session_ttl_s * 1000, NULL);
    store_sweep(run->app->store, run->now_ms - (retention_ms > 0 ? retention_ms : COOKIE_MS),
                config->audit_days > 0 ? run->now_ms - config->audit_days * DAY_MS : INT64_MIN);
    store_files_sweep(run->app->store, run->now_ms);
    log_info("upkeep_done", LOG_INT("conversations", erased), LOG_INT("empty_sessions", sessions),
             LOG_INT("ms", clock_wall_ms() - run->now_ms));
}

static void run_if_due(const struct app *app, const atomic_bool *closing, int64_t longest_ms)
{
    struct run run = { app, closing, clock_wall_ms(), clock_mono_ms() + longest_ms };
    bool mine = false;

    store_lease_take(app->store, "upkeep", app->writer, run.now_ms, run.now_ms + LEASE_MS, &mine);
    if (mine)
        run_all(&run);
}

void upkeep_run_once(const struct app *app)
{
    run_if_due(app, NULL, ONCE_MS);
}

/* ---- the timer ---- */

static void free_when_done(struct upkeep *upkeep)
{
    if (upkeep->timer_closed && !upkeep->running)
        free(upkeep);
}

static void do_work(uv_work_t *work)
{
    struct upkeep *upkeep = work->data;

    run_if_due(upkeep->app, &upkeep->closing, LONGEST_MS);
}

static void work_done(uv_work_t *work, int status)
{
    struct upkeep *upkeep = work->data;

    (void)status;
    upkeep->running = false;
    free_when_done(upkeep);
}

static void on_timer(uv_timer_t *timer)
{
    struct upkeep *upkeep = timer->data;

    if (upkeep->running)
        return;
    upkeep->work.data = upkeep;
    upkeep->running = uv_queue_work(timer->loop, &upkeep->work, do_work, work_done) == 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct upkeep *upkeep = handle->data;

    upkeep->timer_closed = true;
    free_when_done(upkeep);
}

struct upkeep *upkeep_open(struct uv_loop_s *loop, const struct app *app)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);

    if (upkeep == NULL)
        return NULL;
    upkeep->app = app;
    uv_timer_init(loop, &upkeep->timer);
    upkeep->timer.data = upkeep;
    uv_timer_start(&upkeep->timer, on_timer, FIRST_MS, EVERY_MS);
    return upkeep;
}

void upkeep_close(struct upkeep *upkeep)
{
    if (upkeep == NULL)
        return;
    atomic_store(&upkeep->closing, true);
    uv_close((uv_handle_t *)&upkeep->timer, on_closed);
}
