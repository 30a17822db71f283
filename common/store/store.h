/*
 * store: conversations and answers, in the domain's verbs. store_sqlite*.c are the only files that know
 * the driver.
 *
 * Every verb blocks (deadline STORE_BUSY_MS) and so belongs on a request thread, never on the loop.
 * Thread-safe: reads use a small pool of handles, writes are committed in groups by whoever holds the
 * write handle. Opened after fork, once per worker; several processes may share one database.
 *
 * Failures of the database: RESULT_STORE_DOWN with a sentence for the client; the SQL and SQLite's words
 * go to the log.
 */
#ifndef PARLEY_STORE_STORE_H
#define PARLEY_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/caps.h"
#include "common/base/result.h"
#include "common/chat/message.h"
#include "common/chat/stream.h"
#include "common/chat/turn.h"
#include "common/chat/window.h"

struct config;
struct store;

/* Open, create and migrate (under a lock; after a backup when there was data). RESULT_STORE_DOWN with the
 * operator's sentence: path not writable, newer schema, network file system ... */
enum result store_open(const struct config *config, struct store **out, struct fault *fault);

/* Is there a file already, which store_open would otherwise make? A command that only looks into the store must not
 * make an empty one. True also where that cannot be told. */
bool store_is_there(const struct config *config);
void store_close(struct store *store);

/*
 * Who asks. Every read and write of a conversation carries it in its SQL: a conversation under a user_id is
 * its owner's alone, unless `any`; under an id that the server made it belongs to whoever knows the id.
 * store_owners.h has keys, visitors, erasing and the audit log.
 */
enum owner_kind { OWNER_NONE, OWNER_VISITOR, OWNER_KEY, OWNER_LOGIN };
struct owner {
    enum owner_kind kind;
    char id[CAP_ID]; /* of the visitor or login, name of the key; "" for OWNER_NONE */
    bool any;        /* may act for any user_id: a key, or everybody with USER_ID_ACCESS=open */
};

/* ---- what somebody may still ask ---- */

/* Questions of `bucket` within a window of time, which begins with the first of them. */
struct store_charge {
    const char *bucket; /* who is counted, such as "visitor:vis_1" */
    int64_t window_ms;
    int64_t limit;   /* questions; more than 0 */
    int64_t used;    /* out: so far, with this one when it was admitted */
    int64_t ends_ms; /* out: when the window ends; of one that has not begun: if it began now */
};

/* Tokens of `bucket` in a day (UTC). */
struct store_budget {
    const char *bucket;
    int64_t limit; /* tokens; more than 0 */
    int64_t used;  /* out: spent and reserved, without this turn */
    int64_t
        pending; /* out of store_limits_get: the part of it that running answers have reserved */
};

/* What a turn reserves of each budget: the estimate of its prompt, and the longest answer. */
struct store_spending {
    struct store_budget *budgets;
    size_t count;
    struct window_limits window; /* what of the history goes to the model, and the system prompt */
    int64_t answer_tokens;
    int64_t facts_tokens;    /* the most that goes along of what is remembered, if anything is */
    int64_t passages_tokens; /* the same of the site's documents */
    int64_t reserved;        /* out: tokens */
};

/* All that one answer is charged to: counted and reserved together, or not at all. */
struct store_limits {
    struct store_charge *charges;
    size_t charge_count;
    struct store_spending *spending; /* NULL: no budget */
};

/* Read how much is used. Counts nothing. */
enum result store_limits_get(struct store *store, struct store_charge *charges, size_t charge_count,
                             struct store_budget *budgets, size_t budget_count, int64_t now_ms);

/* ---- a turn begins ---- */

struct store_turn {
    const char *contract; /* the dialect's name */
    const struct owner *owner;
    const struct turn_request *request;
    const char *provider; /* resolved names */
    const char *model;
    const char *writer; /* id of the worker that will write the answer */
    size_t history_max; /* newest messages to give back, the question included */
    int64_t now_ms;     /* wall clock */
    int64_t lease_until_ms;
    int64_t session_ttl_ms;            /* sessions idle for longer are unknown; 0 = never */
    const struct store_limits *limits; /* NULL: none */
    bool newcomer; /* the owner was made for this very request: no cookie was shown */
};

struct store_turn_begun {
    bool
        duplicate; /* client_message_id was known, its answer not failed: message_id is that one's */
    char visitor[CAP_ID]; /* of a newcomer's duplicate: who the newcomer is; "" otherwise */
    char conversation_id[CAP_ID];
    char message_id[CAP_ID];      /* of the assistant message */
    int64_t message_row;          /* its row, for checkpoints */
    struct chat_message *history; /* oldest first, the new question last; the caller frees */
    size_t history_len;
    struct chat_images *images; /* one per message of the history, or NULL: no pictures */
    int64_t *rows;              /* of the history's messages; for the store itself */
    char *context_json; /* the conversation's user_context, NULL if none; the caller frees */
    bool first;         /* nothing was said in this conversation before */
};

/*
 * ONE transaction: owner check, conversation found or made, user message stored, assistant row made with
 * status streaming and a lease; before them limits charged and tokens reserved, which a duplicate is not.
 * Nothing may go upstream before this returned RESULT_OK. A question that is repeated under its client_message_id
 * when its answer has failed, and nobody asked on, gets a new answer's row only.
 *
 * A repeated first send whose client lost the conversation's id finds it by its client_message_id: a known owner
 * always. Somebody without an identity, and a newcomer (the reply that carried his cookie got lost), only within
 * ten minutes and with an id of 16 characters or more. A newcomer must besides repeat the very text, and the
 * visitor whom he claims to be must have been made by that send, without a cookie, and have asked nothing since;
 * he then is that visitor (out->visitor), who gets the same cookie again. So for ten minutes, or until the next
 * question, the id is what the cookie would have been, as secret as the client's randomness makes it. Whoever guesses
 * id and text gets the one conversation, and the name under which nothing else was said yet; nothing can be
 * got of a visitor who once asked with his cookie.
 *
 * RESULT_NOT_FOUND: unknown_conversation, unknown_session ("Session not found"), unknown_user.
 * RESULT_LIMITED: rate_limited (the charges whose `used` is at their limit) or budget_exhausted (the budgets
 * without room for spending->reserved); nothing is counted.
 * On failure nothing is left to free.
 */
enum result store_turn_begin(struct store *store, const struct store_turn *turn,
                             struct store_turn_begun *out, struct fault *fault);
void store_turn_begun_free(struct store_turn_begun *begun);

/* Who takes over a running answer from the process that accepted its question. */
struct store_adoption {
    const char *message_id;
    const char *writer; /* the new one */
    size_t history_max;
    int64_t now_ms;
    int64_t lease_until_ms;
};

/* What else the new writer needs to go on. */
struct store_adopted {
    struct store_turn_begun begun; /* freed by the caller */
    char *user_id;                 /* owned, or NULL */
    struct owner owner;            /* of the conversation */
    bool continues;                /* the history ends with an answer to go on from */
    char provider[CAP_PROVIDER_NAME];
    char model[CAP_MODEL_NAME];
};

/* RESULT_NOT_FOUND unknown_message unless the answer is there and streaming. */
enum result store_turn_adopt(struct store *store, const struct store_adoption *adoption,
                             struct store_adopted *out, struct fault *fault);
void store_adopted_free(struct store_adopted *adopted);

/* ---- an answer grows and ends ---- */

struct store_checkpoint {
    int64_t message_row;
    const char *writer;
    const char *text; /* whole text so far, NULL: only renew the lease */
    size_t text_len;
    bool
        lease_stands; /* store the text alone, which costs half: the lease was renewed a moment ago */
    const char *
        message_id; /* NULL: not compared. A row that was erased may be used again, by another message */
    bool
        stop_requested; /* out: somebody asked to stop it, or the row is not its writer's any more */
};

/* All growing answers of a worker in one transaction; renews their leases, but those that stand. A row that is no longer this
 * writer's is left alone. */
enum result store_answers_checkpoint(struct store *store, struct store_checkpoint *answers,
                                     size_t count, int64_t now_ms, int64_t lease_until_ms);

struct store_answer_end {
    int64_t message_row;
    const char *message_id; /* as in a checkpoint */
    const char *writer;
    enum turn_status status; /* not TURN_STREAMING */
    const char *text;
    size_t text_len;
    const char *provider; /* that really answered */
    const char *model;
    enum finish_reason finish;
    const struct stream_usage *usage;
    bool unspent; /* the provider did no work: the turn's reservation is given back whole */
    const char *error_code; /* "" unless failed */
    int64_t cost_nano;      /* billionths of the prices' currency */
    bool from_cache;
    const char *sources;   /* JSON of the passages that it was given, NULL = none */
    const char *cache_key; /* keep it under this key until cache_until_ms; NULL or "" = do not */
    int64_t cache_until_ms;
    int64_t now_ms;
};

/* The final commit; puts what was used in the place of what the turn had reserved (with no known usage the
 * reservation counts as spent), and counts tokens and cost for the day and the conversation. Also takes back
 * a row that was given up as interrupted while its writer was alive.
 * May be repeated. RESULT_NOT_FOUND: erased meanwhile, or not this writer's. */
enum result store_answer_end(struct store *store, const struct store_answer_end *end);

/* The same for up to STORE_ENDS_MAX answers at once, for which one commit is enough; results[i] is that of ends[i]. */
#define STORE_ENDS_MAX 32
void store_answers_end(struct store *store, const struct store_answer_end *ends, size_t count,
                       enum result *results);

struct store_stop {
    enum turn_status
        status; /* TURN_STREAMING: its writer will see the request at its next checkpoint */
    size_t content_length; /* bytes stored so far */
};

/* Ask whoever writes this answer to stop. Idempotent, harmless after its end. RESULT_NOT_FOUND
 * unknown_message. */
enum result store_answer_stop(struct store *store, const char *message_id, int64_t now_ms,
                              struct store_stop *out, struct fault *fault);

/* Somebody follows these running answers in another process than their writers': leave a sign of it there. Nothing
 * for those that do not run. */
enum result store_answers_watch(struct store *store, char (*message_ids)[CAP_ID], size_t count,
                                int64_t now_ms);

/* When that was done last; 0 = never. */
enum result store_answer_watched(struct store *store, const char *message_id, int64_t *at_ms);

/* Rows of this writer's running answers that somebody asked to stop, at most `max` of them, into `rows`. */
enum result store_stops_pending(struct store *store, const char *writer, int64_t *rows, size_t max,
                                size_t *count);

/* Expired leases become interrupted. *count: how many. */
enum result store_leases_expire(struct store *store, int64_t now_ms, int64_t *count);

/* ---- sessions (003) ---- */

/* Make an empty conversation under `session_id` (from id_make_session). */
enum result store_session_create(struct store *store, const char *session_id,
                                 const struct owner *owner, int64_t now_ms, struct fault *fault);

/* ---- reading an answer ---- */

struct store_answer {
    enum turn_status status; /* an expired lease reads as TURN_INTERRUPTED */
    char conversation_id[CAP_ID];
    char *user_id; /* or NULL */
    char contract[16];
    char provider[CAP_PROVIDER_NAME];
    char model[CAP_MODEL_NAME];
    char error_code[40];
    enum finish_reason finish;
    struct stream_usage usage;
    int64_t updated_ms;
    char *sources; /* JSON that its readers are told, or NULL */
    char *calls;   /* JSON array of the tools that were called (items of type tool_call), or NULL */
    char *text;    /* from `after` on, moved to the next character when inside of one */
    size_t text_len;
    size_t total_len;
};

/* Knowing a message id is the right to it. RESULT_NOT_FOUND unknown_message. */
enum result store_answer_get(struct store *store, const char *message_id, size_t after,
                             int64_t now_ms, struct store_answer *out, struct fault *fault);
void store_answer_free(struct store_answer *answer);

/* ---- care of the database ---- */

/* `PRAGMA integrity_check` and the schema version. False when something is wrong; the findings, one a
 * line, go to `line` either way. */
bool store_check(struct store *store, void (*line)(void *ctx, const char *text), void *ctx);

/* A consistent copy of the running database into the new file `path` (VACUUM INTO), which only our user may read.
 * RESULT_INVALID when the file exists already or cannot be made. */
enum result store_backup(struct store *store, const char *path, struct fault *fault);

/* ---- the answer cache ---- */

/* An answer that was kept under a key. */
struct store_cached {
    char provider[CAP_PROVIDER_NAME];
    char model[CAP_MODEL_NAME];
    char *text; /* the caller frees */
    size_t text_len;
};

/* RESULT_NOT_FOUND when there is none, or it is too old. */
enum result store_cache_get(struct store *store, const char *key, int64_t now_ms,
                            struct store_cached *out);

/* ---- models that providers were found to have ---- */

/* Take it upon oneself to ask `provider`, when nobody has since `stale_ms`. RESULT_NOT_FOUND: somebody has. */
enum result store_models_claim(struct store *store, const char *provider, int64_t now_ms,
                               int64_t stale_ms);

/* What it said, names with line breaks between; NULL leaves the list as it was. It counts as asked at
 * `checked_ms`. */
enum result store_models_put(struct store *store, const char *provider, const char *models,
                             int64_t checked_ms);

/* The list (the caller frees), NULL when there is none. */
char *store_models_get(struct store *store, const char *provider);

/* ---- health ---- */

/* Write and read back a row. RESULT_STORE_DOWN when that fails. *latency_us may be NULL. */
enum result store_ping(struct store *store, int64_t *latency_us);

/* What this process has written so far: group commit makes commits fewer than writes. */
struct store_stats {
    uint64_t writes;
    uint64_t commits;
};
void store_stats(struct store *store, struct store_stats *out);

#endif
