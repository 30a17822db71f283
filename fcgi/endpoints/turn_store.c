/*
 * turn_store: the store's side of a running turn: items as they are done, text and lease every two seconds, the end.
 * One job at a time; it works on copies and on what no longer changes, so no lock is needed.
 *
 * Loop thread, but for the job itself.
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/providers/skim.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/turn.h"

#define ITEMS_FIRST 8

struct job {
    uv_work_t work;
    struct turn *turn;
    struct turn_item *items;
    size_t item_count;
    char *text; /* of a checkpoint, or NULL */
    size_t text_len;
    bool checkpoint;
    bool end;
    bool stop_requested;
    enum result result;
};

static void free_items(struct turn_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].json);
    free(items);
}

/* ---- request thread ---- */

static void store_items(struct job *job)
{
    for (size_t i = 0; i < job->item_count; i++) {
        const struct turn_item *item = &job->items[i];
        struct store_item row = { .id = item->id[0] != '\0' ? item->id : NULL,
                                  .json = item->json,
                                  .len = item->len };

        store_items_add(job->turn->app->store, job->turn->message_id, !item->out, NULL, &row, 1);
    }
}

static void store_checkpoint(struct job *job)
{
    struct store_checkpoint row = {
        .message_row = job->turn->row,
        .message_id = job->turn->message_id,
        .writer = job->turn->app->writer,
        .text = job->text,
        .text_len = job->text_len,
    };
    int64_t now = clock_wall_ms();

    job->result =
        store_answers_checkpoint(job->turn->app->store, &row, 1, now, now + TURN_LEASE_MS);
    job->stop_requested = job->result == RESULT_OK && row.stop_requested;
}

static void store_end(struct job *job)
{
    const struct turn *turn = job->turn;
    struct store_answer_end end = {
        .message_row = turn->row,
        .message_id = turn->message_id,
        .writer = turn->app->writer,
        .status = turn->status,
        .text = buf_str(&turn->text),
        .text_len = turn->text.len,
        .provider = turn->provider_name,
        .model = turn->model,
        .finish = turn->finish,
        .usage = &turn->usage,
        .unspent = turn_unspent(turn),
        .cost_nano = turn_cost(turn),
        .error_code = turn->has_fault ? turn->fault.code : "",
        .now_ms = clock_wall_ms(),
    };

    job->result = store_answer_end(turn->app->store, &end);
}

static void run(uv_work_t *work)
{
    struct job *job = work->data;

    store_items(job);
    if (job->end)
        store_end(job);
    else if (job->checkpoint)
        store_checkpoint(job);
}

/* ---- loop ---- */

static void done(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct turn *turn = job->turn;
    bool end = job->end, stop = job->stop_requested;

    (void)status;
    if (end && job->result != RESULT_OK && job->result != RESULT_NOT_FOUND)
        log_error("turn_not_stored", LOG_STR("message_id", turn->message_id),
                  LOG_STR("result", result_name(job->result)));
    free_items(job->items, job->item_count);
    free(job->text);
    free(job);
    turn->storing = false;
    if (end)
        turn->ended = true;
    if (stop)
        turn_stop(turn);
    turn_stored(turn);
}

/* ---- tokens ---- */

struct turn_save {
    uv_work_t work;
    struct turn *turn; /* NULL: it does not wait any more */
    enum result result;
    struct app *app;
    struct owner owner;
    struct google_tokens tokens;
    char session[GOOGLE_SESSION_SIZE];
};

static void save_run(uv_work_t *work)
{
    struct turn_save *save = work->data;

    save->result = google_save_tokens(save->app, save->session, &save->owner, &save->tokens);
}

static void save_done(uv_work_t *work, int status)
{
    struct turn_save *save = work->data;
    struct turn *turn = save->turn;
    bool signed_out = save->result == RESULT_NOT_FOUND;

    (void)status;
    save->app->turns--;
    google_tokens_free(&save->tokens);
    free(save);
    if (turn == NULL)
        return;
    turn->save = NULL;
    turn_google_stored(turn, signed_out);
}

static char *copy(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

void turn_store_google_alone(struct turn *turn)
{
    if (turn->save != NULL)
        turn->save->turn = NULL;
    turn->save = NULL;
}

bool turn_store_google(struct turn *turn)
{
    struct turn_save *save;

    if (turn->session[0] == '\0' || (save = calloc(1, sizeof *save)) == NULL)
        return false;
    save->work.data = save;
    save->turn = turn;
    save->app = turn->app;
    save->owner = turn->owner;
    save->tokens.access = copy(turn->google.access);
    save->tokens.refresh = copy(turn->google.refresh);
    save->tokens.id = copy(turn->google.id);
    save->tokens.expires_ms = turn->google.expires_ms;
    save->tokens.kept = turn->google.kept;
    memcpy(save->session, turn->session, sizeof save->session);
    turn->app->turns++; /* the process waits for it */
    uv_queue_work(turn->app->loop, &save->work, save_run, save_done);
    turn->save = save;
    return true;
}

/* ---- what is due ---- */

static bool checkpoint_due(const struct turn *turn)
{
    return clock_mono_ms() - turn->renewed_ms >= TURN_RENEW_MS;
}

static void take_text(struct job *job, struct turn *turn)
{
    job->checkpoint = true;
    turn->renewed_ms = clock_mono_ms();
    if (turn->text.len == turn->stored_len || (job->text = malloc(turn->text.len)) == NULL)
        return;
    memcpy(job->text, turn->text.data, turn->text.len);
    job->text_len = turn->stored_len = turn->text.len;
}

void turn_store(struct turn *turn)
{
    bool end = turn->ending && !turn->ended;
    struct job *job;

    if (turn->storing || turn->ended || (turn->item_count == 0 && !end && !checkpoint_due(turn)) ||
        (job = calloc(1, sizeof *job)) == NULL)
        return;
    job->work.data = job;
    job->turn = turn;
    job->end = end;
    job->items = turn->items;
    job->item_count = turn->item_count;
    turn->items = NULL;
    turn->item_count = turn->item_size = 0;
    if (!end && checkpoint_due(turn))
        take_text(job, turn);
    turn->storing = true;
    uv_queue_work(turn->app->loop, &job->work, run, done);
}

static bool grow(struct turn *turn)
{
    size_t size = turn->item_size > 0 ? 2 * turn->item_size : ITEMS_FIRST;
    struct turn_item *items = realloc(turn->items, size * sizeof *items);

    if (items == NULL)
        return false;
    turn->items = items;
    turn->item_size = size;
    return true;
}

void turn_store_item(struct turn *turn, const char *json, size_t len, bool out)
{
    static const struct skim_key keys[] = { SKIM_KEY("id") };
    struct turn_item *item;
    struct skim id;

    if (turn->item_count == turn->item_size && !grow(turn))
        return;
    item = &turn->items[turn->item_count];
    *item = (struct turn_item){ .json = malloc(len), .len = len, .out = out };
    if (item->json == NULL)
        return;
    memcpy(item->json, json, len);
    if (skim_object((struct skim){ json, len }, keys, 1, &id) && skim_is_string(id) &&
        id.len - 2 < sizeof item->id)
        memcpy(item->id, id.at + 1, id.len - 2);
    turn->item_count++;
}
