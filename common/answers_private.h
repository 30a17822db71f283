/*
 * answers_private: what the answers*.c files share. answers.c keeps the registry, the readers and the life of an
 * answer; answers_upstream.c asks a provider; answers_failover.c decides who is asked, again or next;
 * answers_persist.c brings text and ends to the store and follows other workers' answers; answers_alone.c finds out
 * whether anybody still reads one; answers_tools.c runs what the model calls, answers_calls.c lists it;
 * answers_prepare.c is the request thread's part.
 */
#ifndef PARLEY_ANSWERS_PRIVATE_H
#define PARLEY_ANSWERS_PRIVATE_H

#include <stdatomic.h>
#include <uv.h>

#include "common/answers.h"
#include "common/config.h"
#include "common/relay.h"
#include "common/tools/tools.h"

#define ANSWERS_TICK_MS    250  /* checkpoints, heartbeats of readers, grace periods */
#define ANSWERS_FOLLOW_MS  200  /* how often followed answers are read from the store */
#define ANSWERS_LEASE_MS   6000 /* how long a row is believed to be running without a sign */
#define ANSWERS_RENEW_MS   2000 /* a silent answer renews its lease this often */
#define ANSWERS_EXPIRE_MS  5000 /* how often leases of dead workers are looked for */
#define ANSWERS_RETRY_MS   2000 /* an end that could not be stored is tried again this often ... */
#define ANSWERS_GIVE_UP_MS 120000 /* ... and given up after this long */
#define ANSWERS_STOPS_MAX  64     /* stop marks taken per look; the rest is taken by the next */
#define ANSWERS_THOUGHTS   (1024 * 1024) /* bytes of thoughts that are passed on; more is dropped */
#define ANSWERS_KNOWLEDGE  "knowledge"   /* the provider of an answer quoted from documents */
#define ANSWERS_BUCKETS    1024          /* of the table of message ids */

enum answer_phase {
    ANSWER_RUNNING,  /* this worker writes it */
    ANSWER_FOLLOWED, /* read from the store until it ends */
    ANSWER_ENDING,   /* the final commit is under way */
    ANSWER_ENDED     /* readers may take their last event */
};

struct answer {
    struct answers *answers;
    struct answer *next, *prev; /* all answers that are here */
    struct answer *bucket_next; /* same bucket of the table */
    struct answer *ending_next; /* waits for its final commit, too */
    enum answer_phase phase;
    char message_id[CAP_ID];
    char conversation_id[CAP_ID];
    char request_id[CAP_ID];
    char *user_id;
    int64_t row;

    const struct provider *provider; /* that is asked now; start->provider is the chosen one */
    char *model;                     /* asked for, then the one that answers */
    struct answer_start
        *start;     /* what failover needs; freed at the first delta, unless tools are offered */
    bool committed; /* something was said or called: nobody else will be asked */
    struct tool_loop *loop; /* of answers_tools.c; NULL = no call yet */
    struct answer_call *calls;
    size_t round_from;         /* where this round's part of text begins */
    struct failover *failover; /* of answers_failover.c */
    struct relay_call *call;
    struct provider_stream *stream;
    uv_timer_t *pace; /* of an offline provider; or upstream_later's */
    void (*later)(struct answer *answer);
    struct buf error_body;        /* of an HTTP error reply */
    int http_status;              /* of the provider's reply, 0 = none yet */
    bool provider_ended;          /* finish is set and nothing more will come */
    bool overflow;                /* the answer hit CAP_ANSWER */
    struct fault *provider_fault; /* the provider's decoder gave up */
    char *log_detail;             /* what the provider or curl said, for the log */
    char failed_code[40];         /* why the last attempt failed, also when a later one did not */
    unsigned attempts, failed_attempts;
    bool cached;                   /* given from the cache, nobody was asked */
    char cache_key[CAP_CACHE_KEY]; /* to be kept under it when it ends well; "" = not */

    struct buf text;
    struct buf reasoning; /* never stored */
    bool wants_reasoning;
    bool more;                /* bytes that came together with these are still to be read */
    size_t stored_len;        /* of text that a checkpoint has written */
    int64_t lease_renewed_ms; /* monotonic */
    int64_t prompt_estimate;
    struct stream_usage usage;
    enum finish_reason finish; /* as the provider said, or why we ended it */
    enum turn_status status;
    struct fault *fault;

    char *sources_json;
    char *offline;             /* what is said when no provider answers, NULL = nothing */
    bool from_knowledge;       /* ... and it was */
    struct memory_turn *learn; /* whom it may be remembered for, NULL = nobody */

    struct answer_reader *readers;
    bool notifying;
    bool unattended;          /* goes on without readers, however long */
    int64_t unsaved_since_ms; /* monotonic; 0 = its end is in the store, or is not due yet */
    int64_t retry_at_ms;      /* monotonic; when to try again to store its end */
    int64_t alone_since_ms;   /* monotonic, 0 = has readers here */
    bool let_go;              /* it runs elsewhere, and we stop following it */
    bool looking;             /* for readers elsewhere */
    int64_t started_ms, first_delta_ms; /* monotonic */
    int64_t finished_ms;                /* wall clock */
};

/* The final commit: one at a time, and what ends meanwhile is committed together by the next. */
struct end_job {
    uv_work_t work;
    bool busy;
    size_t count;
    struct answer *ended[STORE_ENDS_MAX]; /* in phase ENDING nobody changes or frees them */
    enum result results[STORE_ENDS_MAX];
};

struct answers {
    uv_loop_t *loop;
    struct answers_options options;
    struct answer *list;
    struct answer *buckets[ANSWERS_BUCKETS];
    _Atomic size_t running; /* phases RUNNING and ENDING of our own */
    size_t followed;
    size_t unsaved; /* ended, but the store did not take the end yet */
    uint64_t lost;  /* ends that were given up */
    uv_timer_t tick, follow, expire;
    struct answer *ending, **ending_last; /* wait for the final commit, oldest first */
    struct end_job end_job;
    bool checkpoint_busy, follow_busy, stops_busy, expire_busy, signing;
    int64_t
        sign_due_ms; /* monotonic; when to tell other writers next that we follow their answers */
    unsigned jobs;   /* on request threads */
    unsigned open_timers; /* while closing */
};

/* ---- answers.c ---- */

/* Text grew by whole characters. False when over CAP_ANSWER. */
bool answer_grow(struct answer *answer, const char *text, size_t len);
/* Who answered, as clients and the store are told. */
const char *answer_provider_name(const struct answer *answer);
/* Tell the readers; frees an ended answer that none of them wants any more. */
void answer_notify(struct answer *answer);
/* The provider's side is over: settle, commit, tell readers. `fault` may be NULL. Once per answer. */
void answer_end(struct answer *answer, enum turn_status status, enum finish_reason finish,
                const struct fault *fault);
/* A try to store the end is over; `stored` false: it failed, and is tried again for a while. */
void answer_committed(struct answer *answer, bool stored);
/* A followed answer has ended in the store; status is set. */
void answer_followed_end(struct answer *answer, const char *error_code);
/* Free an ended (or followed) answer that nobody reads any more; otherwise nothing. */
void answer_release(struct answer *answer);

/* ---- answers_account.c ---- */
/* Fill in tokens that the provider did not tell. */
void account_usage(struct answer *answer);
/* What came from the cache or from FALLBACK_MESSAGE cost nothing; nor did an answer that failed before its first
 * word, with no figures from the provider, unless that was only too slow to be waited for. Any thread, on an answer
 * that has ended; so is account_cost. */
bool account_unspent(const struct answer *answer);
/* Billionths of the currency of the prices. */
int64_t account_cost(const struct answer *answer);
/* Add an answer that has ended to the metrics. */
void account_count(const struct answer *answer);
void account_log(const struct answer *answer, bool stored);
/* The end that could not be stored is `stored` now, or lost for good: log and count it. */
void account_unsaved(const struct answer *answer, bool stored, int64_t unsaved_ms);

/* ---- answers_prepare.c ---- */
/* The call that asks `provider` for what was begun. Borrows from `start`. */
void answer_start_call(const struct answer_start *start, const struct provider *provider,
                       const char *model, struct provider_call *out);

/* ---- answers_ground.c ---- */

/* What was found for the question goes over to the answer, and goes with it. */
void ground_take(struct answer *answer, struct answer_start *start);
void ground_free(struct answer *answer);
/* Say what the site's documents say, because no provider answers. False: nothing fits, or something was said. */
bool ground_quote(struct answer *answer);
/* The answer of a turn that no provider may be asked for: begins and ends here. */
void ground_instead(struct answer *answer);
/* It is over: see what is worth remembering. */
void ground_learn(const struct answer *answer);
/* It was erased before it was over: nothing of it is remembered. */
void ground_unlearn(struct answer *answer);

/* ---- answers_alone.c ---- */

/* Tell the writers of all followed answers that they have readers here. May be called often. */
void alone_sign(struct answers *answers);
/* Stop an answer of this worker that has had no reader, here or elsewhere, for DISCONNECT_GRACE_SECONDS. Looks
 * elsewhere first, so it is running still when this returns, unless memory is out. */
void alone_check(struct answer *answer);

/* ---- answers_failover.c ---- */

/* Why an attempt gave no answer. */
struct attempt_failure {
    struct provider_failure failure; /* retryable: asking again, here or elsewhere, may help */
    bool not_here;                   /* ... but not here */
    bool ill;                        /* says something about the provider's health */
};

/* Ask the chosen provider, or who stands in for it. */
void failover_begin(struct answer *answer);
/* The attempt failed: ask again, ask another, or end the answer. */
void failover_failed(struct answer *answer, const struct attempt_failure *failure);
/* The provider answers: there is text, or a proper end. May be repeated. */
void failover_succeeded(struct answer *answer);
/* The attempt is over without a verdict, perhaps. */
void failover_release(struct answer *answer);
void failover_free(struct answer *answer);
/* End an answer that failed: with FALLBACK_MESSAGE where nothing was said yet. */
void failover_give_up(struct answer *answer, const struct fault *fault);

/* What is left of ANSWER_TIMEOUT_MS; may be negative. */
int64_t failover_left_ms(const struct answer *answer);

/* ---- answers_calls.c ---- */

struct answer_call_facts {
    size_t index, at;
    const char *name, *arguments; /* arguments: a JSON object */
};
/* NULL when out of memory. `reply` NULL: it runs. */
char *calls_json(const struct answer_call_facts *facts, const struct tool_reply *reply);
/* Takes `json` over, also when it gives NULL: no memory, or `json` was NULL. */
struct answer_call *calls_add(struct answer *answer, char *json, size_t at);
/* What the store has of them, an array; those that are known already are left alone. NULL is fine. */
void calls_take(struct answer *answer, const char *stored);
void calls_free(struct answer *answer);

/* ---- answers_tools.c ---- */

/* The decoder's events: a call; text; and what this round has used, with what the rounds before it have. */
void tool_loop_called(struct answer *answer, const struct stream_event *event);
bool tool_loop_grow(struct answer *answer, const char *text, size_t len);
void tool_loop_spent(const struct answer *answer, const struct stream_usage *round,
                     struct stream_usage *out);
/* The provider has ended well. True: with a call, which is seen to; the answer goes on. */
bool tool_loop_goes_on(struct answer *answer);
void tool_loop_tick(struct answer *answer); /* the answer's deadline, while a tool runs */
void tool_loop_cancel(struct answer *answer);
void tool_loop_free(struct answer *answer);

/* ---- answers_upstream.c ---- */
/* Call `then` in a while, unless the upstream side is closed before. False when out of memory. */
bool upstream_later(struct answer *answer, int64_t wait_ms, void (*then)(struct answer *));
/* Ask answer->provider once for answer->model; start->encoded holds the request. At most
 * `total_timeout_ms`. */
void upstream_begin(struct answer *answer, int64_t total_timeout_ms);
/* Close everything towards the provider. Not from inside the provider's decoder. */
void upstream_close(struct answer *answer);

/* ---- answers_persist.c ---- */
void persist_checkpoint(struct answers *answers);
void persist_end(struct answer *answer);
void persist_follow(struct answers *answers);
/* Look for marks that other workers left on our answers: stop. */
void persist_stops(struct answers *answers);
/* Give up answers whose worker died. */
void persist_expire(struct answers *answers);

#endif
