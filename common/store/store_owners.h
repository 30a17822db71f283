/*
 * store_owners: the verbs of the store about people: API keys, visitors, erasing, the audit log, and the
 * leases by which processes agree who does the upkeep. The same rules as in store.h.
 */
#ifndef PARLEY_STORE_STORE_OWNERS_H
#define PARLEY_STORE_STORE_OWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/store/store.h"

/* ---- the secret that belongs to a store ---- */

#define STORE_SECRET_SIZE 32

/*
 * Random bytes, made once and kept in a file of mode 0600 beside the database; every process gets the same
 * ones, whoever comes first. RESULT_STORE_DOWN with the operator's sentence.
 */
enum result store_secret(const struct store *store, unsigned char out[STORE_SECRET_SIZE],
                         struct fault *fault);

/* ---- the audit log ---- */

/* Who, what, when; never text of a message, never a key. */
struct store_audit {
    const struct owner *owner; /* NULL: `actor` */
    const char *actor;         /* "admin" at the command line, "server" by itself */
    const char *address;       /* of the client, NULL = none */
    const char *action;        /* key_refused, key_added, key_revoked, erased, exported, purged */
    const char *subject;       /* a name or an id, NULL = none */
    int64_t count;             /* of conversations, where they are what it is about */
    int64_t now_ms;
    int64_t most_per_hour; /* 0 = no bound; else lines of this action beyond it are dropped */
};

enum result store_audit_add(struct store *store, const struct store_audit *line);

struct store_audit_row {
    int64_t at_ms;
    const char *actor_kind;
    const char *actor_id;
    const char *address;
    const char *action;
    const char *subject;
    int64_t count;
};

/* The newest `limit` lines, oldest of them first. */
enum result store_audit_list(struct store *store, int64_t limit,
                             void (*show)(void *ctx, const struct store_audit_row *row), void *ctx,
                             struct fault *fault);

/* ---- API keys ---- */

#define STORE_KEY_PREFIX      "pk_"
#define STORE_KEY_PREFIX_SIZE 10 /* shown in lists, NUL included */

/*
 * Make a key: `key` (CAP_ID bytes) is the only copy, what is stored is a hash. RESULT_INVALID invalid_name (1 to
 * 63 of A-Z a-z 0-9 . _ -), RESULT_CONFLICT key_exists.
 */
enum result store_key_add(struct store *store, const char *name, char *key, int64_t now_ms,
                          struct fault *fault);
/* From the next request on it is refused. RESULT_NOT_FOUND unknown_key. */
enum result store_key_revoke(struct store *store, const char *name, int64_t now_ms,
                             struct fault *fault);

/* Whose key is it? RESULT_NOT_FOUND when nobody's (the fault is left alone). `name` has CAP_ID bytes. */
enum result store_key_find(struct store *store, const char *key, char *name, struct fault *fault);
/* Note the use of a key where no turn does. At most one write a minute. */
enum result store_key_used(struct store *store, const char *name, int64_t now_ms);

struct store_key {
    const char *name;
    const char *prefix;
    int64_t created_ms;
    int64_t used_ms;    /* 0 = never */
    int64_t revoked_ms; /* 0 = valid */
};

/* All keys, revoked ones too, by name. */
enum result store_key_list(struct store *store,
                           void (*show)(void *ctx, const struct store_key *key), void *ctx,
                           struct fault *fault);

/* ---- erasing ---- */

enum store_erase_what {
    STORE_ERASE_OLD,            /* conversations whose newest question came before before_ms */
    STORE_ERASE_EMPTY_SESSIONS, /* sessions made before before_ms in which nobody said anything */
    STORE_ERASE_OWNER,          /* everything of `owner`, the visitor's row included */
    STORE_ERASE_USER            /* the conversation of user_id, whoever owns it */
};

struct store_erase {
    enum store_erase_what what;
    int64_t before_ms;
    const struct owner *owner;
    const char *user_id;
    int64_t most;             /* conversations of one call, 0 = all; not for STORE_ERASE_OWNER */
    bool dry_run;             /* only count */
    struct store_audit audit; /* written with it when there was something; count is filled in */
};

struct store_erased {
    int64_t conversations;
    int64_t messages;
};

/* One transaction; every row in every table goes. Answers that still run end without being stored. */
enum result store_erase(struct store *store, const struct store_erase *erase,
                        struct store_erased *out, struct fault *fault);

/*
 * Complete the beginning of a visitor's id, as people are shown it. RESULT_NOT_FOUND unknown_visitor,
 * RESULT_CONFLICT ambiguous_visitor. `id` has CAP_ID bytes.
 */
enum result store_visitor_find(struct store *store, const char *beginning, char *id,
                               struct fault *fault);

/* What piles up: visitors without conversations not seen since visitors_ms, audit lines from before audit_ms
 * (INT64_MIN = keep). */
enum result store_sweep(struct store *store, int64_t visitors_ms, int64_t audit_ms);

/* ---- leases ---- */

/*
 * *taken: the job `name` is due (nobody took it until a time after now) and is now this holder's, not due
 * again before until_ms. Only reads when it is not due.
 */
enum result store_lease_take(struct store *store, const char *name, const char *holder,
                             int64_t now_ms, int64_t until_ms, bool *taken);

#endif
