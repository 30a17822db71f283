/*
 * turn: a running turn of POST /api/turn_response. turn_response.c reads it on a request thread, turn_stream.c runs it
 * on the loop, turn_store.c brings it to the store, turn_account.c says what it came to, turn_failure.c how a failure
 * looks. Private to these files.
 */
#ifndef PARLEY_ENDPOINTS_TURN_H
#define PARLEY_ENDPOINTS_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/chat/turn.h"
#include "common/limits/limits.h"
#include "common/responses/round.h"
#include "common/responses/turn_body.h"
#include "common/store/store_items.h"
#include "fcgi/endpoints/google.h"

#define TURN_LEASE_MS 6000 /* how long the row is believed to be running without a sign */
#define TURN_RENEW_MS 2000

struct app;
struct config;
struct exchange;
struct outflow;
struct tool_run;
struct turn_save;

/* An item that waits for the store. */
struct turn_item {
    char *json;
    size_t len;
    char id[STORE_ITEM_ID_SIZE];
    bool out; /* an answer's */
};

#define TURN_CALLS                                                                                 \
    8 /* of one round; parallel_tool_calls is false, but not every upstream heeds it */

/* The call of a function that the server itself runs. */
struct turn_function {
    char name[64];
    char call_id[128];
    char *arguments; /* owned */
};

struct turn {
    struct app *app;
    struct exchange *exchange; /* NULL once it was finished */
    struct outflow *flow;
    char request_id[CAP_ID];

    char *body; /* owned; `fields` points into it */
    size_t body_len;
    struct turn_body fields;
    struct buf extra; /* items of earlier rounds: a comma before each */
    struct round_plan plan;
    char *model;
    char *instructions;
    struct buf tools;
    struct round_request request;
    bool prepared; /* request is to be sent */
    struct round *round;
    int64_t rounds;

    struct google_tokens google; /* with toolsState.googleIntegrationEnabled only */
    struct google_call *refresh; /* under way */
    struct turn_save *save;      /* of what it brought, under way */
    struct owner owner;
    char session[GOOGLE_SESSION_SIZE]; /* of the browser, "" = none */

    struct turn_function functions[TURN_CALLS]; /* of this round */
    size_t function_count, function_at;         /* the one that is running */
    bool too_many_calls;
    struct tool_run *tool;

    char message_id[CAP_ID];
    char conversation_id[CAP_ID];
    int64_t row;
    const char *provider_name;
    const struct provider *payer; /* whose prices count; NULL = nobody's */
    struct limits_plan limits;

    bool begun; /* the head is out */
    bool ending;
    bool ended; /* the end is stored, or cannot be */
    bool has_fault;
    bool fault_told; /* by an event of upstream's */
    struct fault fault;
    char detail[200];
    enum turn_status status;
    enum finish_reason finish;
    struct stream_usage usage;
    struct buf text;
    struct buf waiting; /* frames that may go out when the store has what is in them */

    struct turn_item *items; /* owned array */
    size_t item_count, item_size;
    bool storing;
    size_t stored_len;  /* of text */
    int64_t renewed_ms; /* monotonic */
    int64_t started_ms;
};

/* turn_stream.c: loop. Takes the turn over; the exchange's on_loop. */
void turn_on_loop(struct exchange *exchange);
/* A job of turn_store.c is over. */
void turn_stored(struct turn *turn);
/* What turn_store_google has begun is over. */
void turn_google_stored(struct turn *turn, bool signed_out);
void turn_stop(struct turn *turn); /* somebody asked for it */
/* Forget the calls of a round. */
void turn_drop_functions(struct turn *turn);

/* turn_store.c: loop. Start a job if there is something to store and none is running. */
void turn_store(struct turn *turn);
/* Keep refreshed tokens in the store; false when there is no session to keep them for. */
bool turn_store_google(struct turn *turn);
/* They are kept all the same, but turn_google_stored will not come. */
void turn_store_google_alone(struct turn *turn);
/* Keep a copy of an item for the next job. */
void turn_store_item(struct turn *turn, const char *json, size_t len, bool out);

/* turn_account.c: on a turn that is ending. Any thread: nothing was spent, so nothing is charged to a budget. */
bool turn_unspent(const struct turn *turn);
int64_t turn_cost(const struct turn *turn); /* any thread; billionths of the prices' currency */
/* Loop: the line of the log, and the metrics. */
void turn_account(const struct turn *turn);

/* turn_failure.c: any thread. TURN_ERRORS=message. */
bool turn_failure_visible(const struct config *config);
/* Frames of an assistant's message that tells it. */
void turn_failure_message(struct buf *out, const char *model, const struct fault *fault);
/* turn->fault as the whole reply, when nothing is out yet. */
void turn_failure_reply(struct turn *turn);

/* turn_response.c: any thread. NULL is fine. */
void turn_free(struct turn *turn);

#endif
