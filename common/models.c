/*
 * models: see models.h. A look goes: claim on a request thread (only one worker gets it), GET on the loop, put
 * on a request thread. A provider that does not answer keeps its old list and is asked again sooner.
 */
#include "common/models.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/providers/discovery.h"
#include "common/relay.h"
#include "common/store/store.h"

#define LOOK_MS   (60 * 1000)      /* how often we see whether a look is due */
#define FRESH_MS  (60 * 60 * 1000) /* a list is believed for so long */
#define AGAIN_MS  (5 * 60 * 1000)  /* after a failure */
#define REPLY_MS  (15 * 1000)      /* deadline of the whole reply */
#define CAP_REPLY (2 * 1024 * 1024)

struct look {
    uv_work_t work;
    struct models *models;
    const struct provider *provider;
    struct relay_call *call;
    int status;
    struct buf body;
    struct buf names;
    bool good;
    bool busy; /* a job is on a request thread, or the relay is asking */
    enum result result;
};

struct models {
    uv_loop_t *loop;
    const struct providers *providers;
    struct store *store;
    struct relay *relay;
    uv_timer_t timer;
    unsigned jobs;
    struct look looks[]; /* one per provider */
};

/* ---- the end of a look ---- */

static void put_run(uv_work_t *work)
{
    struct look *look = work->data;
    int64_t now = clock_wall_ms();

    look->result = store_models_put(look->models->store, look->provider->name,
                                    look->good ? buf_str(&look->names) : NULL,
                                    look->good ? now : now - FRESH_MS + AGAIN_MS);
}

static void put_done(uv_work_t *work, int status)
{
    struct look *look = work->data;

    (void)status;
    look->models->jobs--;
    look->busy = false;
    buf_free(&look->names);
}

static void finish(struct look *look, const char *detail)
{
    if (look->good)
        log_info("models_discovered", LOG_STR("provider", look->provider->name),
                 LOG_INT("bytes", (int64_t)look->names.len));
    else
        log_warn("models_not_discovered", LOG_STR("provider", look->provider->name),
                 LOG_INT("status", look->status), LOG_STR("detail", detail));
    buf_free(&look->body);
    look->models->jobs++;
    uv_queue_work(look->models->loop, &look->work, put_run, put_done);
}

/* ---- asking ---- */

static void on_head(void *ctx, int status)
{
    struct look *look = ctx;

    look->status = status;
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct look *look = ctx;

    buf_put(&look->body, bytes, len);
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct look *look = ctx;

    look->call = NULL;
    look->good = end == RELAY_COMPLETE && look->status == 200 && !look->body.failed &&
                 discovery_read(buf_str(&look->body), look->body.len, &look->names) == RESULT_OK;
    finish(look, end != RELAY_COMPLETE && detail[0] != '\0' ? detail : relay_end_name(end));
}

static const struct relay_handler handler = { .head = on_head, .body = on_body, .done = on_done };

static void ask(struct look *look)
{
    struct provider_request encoded;
    struct relay_request request = { .method = "GET",
                                     .connect_timeout_ms = look->provider->connect_timeout_ms,
                                     .total_timeout_ms = REPLY_MS };

    look->status = 0;
    look->good = false;
    buf_init(&look->body, CAP_REPLY);
    buf_init(&look->names, CAP_REPLY);
    provider_request_init(&encoded);
    discovery_encode(look->provider, &encoded);
    request.url = buf_str(&encoded.url);
    request.headers = buf_str(&encoded.headers);
    look->call = relay_start(look->models->relay, &request, &handler, look);
    provider_request_free(&encoded);
    if (look->call == NULL)
        finish(look, "could not be asked");
}

/* ---- whether a look is due ---- */

static void claim_run(uv_work_t *work)
{
    struct look *look = work->data;
    int64_t now = clock_wall_ms();

    look->result =
        store_models_claim(look->models->store, look->provider->name, now, now - FRESH_MS);
}

static void claim_done(uv_work_t *work, int status)
{
    struct look *look = work->data;

    (void)status;
    look->models->jobs--;
    look->busy = look->result == RESULT_OK;
    if (look->busy)
        ask(look);
}

static void on_timer(uv_timer_t *timer)
{
    struct models *models = timer->data;

    for (size_t i = 0; i < models->providers->count; i++) {
        struct look *look = &models->looks[i];

        if (look->busy || !look->provider->discovers)
            continue;
        look->busy = true;
        models->jobs++;
        uv_queue_work(models->loop, &look->work, claim_run, claim_done);
    }
}

enum result models_open(uv_loop_t *loop, const struct providers *providers, struct store *store,
                        struct relay *relay, struct models **out)
{
    struct models *models = calloc(1, sizeof *models + providers->count * sizeof(struct look));

    if (models == NULL)
        return RESULT_INTERNAL;
    models->loop = loop;
    models->providers = providers;
    models->store = store;
    models->relay = relay;
    for (size_t i = 0; i < providers->count; i++) {
        models->looks[i].models = models;
        models->looks[i].provider = &providers->list[i];
        models->looks[i].work.data = &models->looks[i];
    }
    uv_timer_init(loop, &models->timer);
    models->timer.data = models;
    uv_timer_start(&models->timer, on_timer, 0, LOOK_MS);
    *out = models;
    return RESULT_OK;
}

bool models_idle(const struct models *models)
{
    return models == NULL || models->jobs == 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void models_close(struct models *models)
{
    if (models == NULL)
        return;
    for (size_t i = 0; i < models->providers->count; i++) {
        struct look *look = &models->looks[i];

        if (look->call != NULL)
            relay_cancel(look->call);
        buf_free(&look->body);
        buf_free(&look->names);
    }
    uv_close((uv_handle_t *)&models->timer, on_closed);
}
