/*
 * store_sqlite: what the files of the SQLite store share. Private to them.
 */
#ifndef PARLEY_STORE_STORE_SQLITE_H
#define PARLEY_STORE_STORE_SQLITE_H

#include "common/store/db.h"
#include "common/store/db_readers.h"
#include "common/store/db_writer.h"
#include "common/store/store.h"

struct store {
    char *path;
    struct db_options write_options;
    struct db_options read_options;
    struct db_writer *writer;
    struct db_readers *readers;
};

/* Tell the client about the database's trouble. Always RESULT_STORE_DOWN. */
enum result store_sqlite_fault(struct fault *fault, enum db_status status);

/* db_writer_run, and the fault filled when the database failed. A job that decided against itself has
 * filled it already. */
enum result store_sqlite_write(struct store *store, db_writer_job *job, void *arg,
                               struct fault *fault);
/* The same for up to DB_WRITER_GROUP jobs of one caller, each with its own result. */
void store_sqlite_write_all(struct store *store, struct db_writer_work *works, size_t count);

/* What a turn needs of a conversation's past, up to the question (or the answer to go on from) in row
 * `question`. */
struct store_sqlite_past {
    int64_t conversation;
    int64_t question;
    int64_t now_ms;
    size_t max;
};

/*
 * Fill out->history, oldest first: every question, and of its answers the newest usable one, joined with what
 * it goes on from (store_sqlite_window.c). RESULT_INTERNAL when out of memory; the caller frees what is there.
 */
enum result store_sqlite_history(struct db *db, const struct store_sqlite_past *past,
                                 struct store_turn_begun *out, struct fault *fault);

/* ---- owners (store_sqlite_owner.c) ---- */

/*
 * The owner rule, for the WHERE of every statement that reaches a conversation for somebody from outside.
 * The columns are those of conversations.
 */
#define OWNER_RULE "(user_id IS NULL OR :any OR (owner_kind = :kind AND owner_id = :owner))"

/* Bind :any, :kind and :owner of a statement with OWNER_RULE. */
void store_sqlite_bind_rule(struct db_stmt *stmt, const struct owner *owner);
/* Bind :kind and :owner alone: for rows that are made, and for lists of somebody's own. */
void store_sqlite_bind_owner(struct db_stmt *stmt, const struct owner *owner);

/* The owner does something: keep the row of a visitor, note the use of a key; writes only now and then. */
void store_sqlite_owner_seen(struct db *db, const struct owner *owner, int64_t now_ms);

/* ---- store_sqlite_limits.c: parts of other jobs ---- */

/* Count the charges. RESULT_LIMITED rate_limited: the job must end with it, which undoes the counting. `limits` may
 * be NULL. */
enum result store_sqlite_charge(struct db *db, const struct store_limits *limits, int64_t now_ms,
                                struct fault *fault);
/* Reserve for the answer that was just inserted, whose history is known. RESULT_LIMITED budget_exhausted. */
enum result store_sqlite_reserve(struct db *db, const struct store_limits *limits,
                                 const struct store_turn_begun *begun, int64_t now_ms,
                                 struct fault *fault);
/* Replace the reservation of an answer that has ended by what it has spent. */
void store_sqlite_settle(struct db *db, const struct store_answer_end *end);

/* The stored name of an owner kind. */
const char *store_sqlite_owner_kind(enum owner_kind kind);
/* And back; OWNER_NONE for what is none. */
enum owner_kind store_sqlite_owner_kind_parse(const char *name);

/* Facts about a user_id, as far as they are the owner's (store_sqlite_memory.c). */
void store_sqlite_forget_user(struct db *db, const char *user_id, const struct owner *owner);

/* What the readers of an answer are told of its passages; JSON (store_sqlite_knowledge.c). */
void store_sqlite_put_sources(struct db *db, int64_t message_row, const char *sources);

/* A line of the audit log, within the transaction of what it is about (store_sqlite_audit.c). */
struct store_audit;
void store_sqlite_audit(struct db *db, const struct store_audit *line);

/* Parts of the final commit (store_sqlite_usage.c): usage, before the lease is taken away; the cache,
 * after it. */
void store_sqlite_count_end(struct db *db, const struct store_answer_end *end);
void store_sqlite_cache_end(struct db *db, const struct store_answer_end *end);

/* Pictures (store_sqlite_pictures.c): those of a question; of a history that has been read; of a question that
 * is all there is. The latter two say false when out of memory. */
void store_sqlite_pictures_insert(struct db *db, int64_t message, const struct store_turn *turn);
/* Keep a picture; its name goes to `id` (store_sqlite_files.c). */
void store_sqlite_file_insert(struct db *db, const struct owner *owner,
                              const struct chat_image *image, int64_t now_ms, char id[CAP_ID]);
bool store_sqlite_pictures_read(struct db *db, const struct store_sqlite_past *past,
                                struct store_turn_begun *out);
bool store_sqlite_pictures_copy(const struct turn_request *request, struct store_turn_begun *out);

#endif
