/*
 * store_sqlite_audit: the audit log, and the leases by which processes agree who does the upkeep.
 *
 * A line stands in the transaction of what it tells about, so that neither is there without the other.
 * Runs on request threads and in the administrator's commands.
 */
#include "common/store/store_owners.h"
#include "common/store/store_sqlite.h"

#define HOUR_MS (INT64_C(3600) * 1000)

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Somebody who tries keys must not be able to fill the disk with the news of it. */
static bool is_too_many(struct db *db, const struct store_audit *line)
{
    struct db_stmt *stmt;
    bool many;

    if (line->most_per_hour <= 0)
        return false;
    stmt = db_prepare(db, "SELECT count(*) FROM audit WHERE action = :action AND at_ms > :since");
    db_bind_text(stmt, ":action", line->action);
    db_bind_int(stmt, ":since", line->now_ms - HOUR_MS);
    many = db_step(stmt) && db_int(stmt, 0) >= line->most_per_hour;
    db_reset(stmt);
    return many;
}

void store_sqlite_audit(struct db *db, const struct store_audit *line)
{
    const struct owner *owner = line->owner;
    struct db_stmt *stmt;

    if (is_too_many(db, line))
        return;
    stmt =
        db_prepare(db, "INSERT INTO audit (at_ms, actor_kind, actor_id, address, action, subject,"
                       " count) VALUES (:now, :kind, :actor, :address, :action, :subject, :count)");
    db_bind_int(stmt, ":now", line->now_ms);
    db_bind_text(stmt, ":kind",
                 owner != NULL ? store_sqlite_owner_kind(owner->kind) : or_empty(line->actor));
    db_bind_text(stmt, ":actor", owner != NULL ? owner->id : "");
    db_bind_text(stmt, ":address", or_empty(line->address));
    db_bind_text(stmt, ":action", line->action);
    db_bind_text(stmt, ":subject", or_empty(line->subject));
    db_bind_int(stmt, ":count", line->count);
    db_run(stmt);
}

static enum result add_line(struct db *db, void *arg)
{
    store_sqlite_audit(db, arg);
    return RESULT_OK;
}

enum result store_audit_add(struct store *store, const struct store_audit *line)
{
    return store_sqlite_write(store, add_line, (void *)line, NULL);
}

enum result store_audit_list(struct store *store, int64_t limit,
                             void (*show)(void *ctx, const struct store_audit_row *row), void *ctx,
                             struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT at_ms, actor_kind, actor_id, address, action, subject, count"
                          " FROM (SELECT * FROM audit ORDER BY id DESC LIMIT :limit) ORDER BY id");
    db_bind_int(stmt, ":limit", limit);
    while (db_step(stmt)) {
        struct store_audit_row row = {
            .at_ms = db_int(stmt, 0),
            .actor_kind = db_text(stmt, 1, NULL),
            .actor_id = db_text(stmt, 2, NULL),
            .address = db_text(stmt, 3, NULL),
            .action = db_text(stmt, 4, NULL),
            .subject = db_text(stmt, 5, NULL),
            .count = db_int(stmt, 6),
        };

        show(ctx, &row);
    }
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}

/* ---- leases ---- */

struct lease {
    const char *name;
    const char *holder;
    int64_t now_ms;
    int64_t until_ms;
    bool taken;
};

static bool is_due(struct store *store, const struct lease *lease)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool held;

    if (db == NULL)
        return false;
    stmt = db_prepare(db, "SELECT 1 FROM leases WHERE name = :name AND until_ms > :now");
    db_bind_text(stmt, ":name", lease->name);
    db_bind_int(stmt, ":now", lease->now_ms);
    held = db_step(stmt);
    db_reset(stmt);
    return db_readers_return(store->readers, db) == DB_OK && !held;
}

static enum result take_lease(struct db *db, void *arg)
{
    struct lease *lease = arg;
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO leases (name, holder, until_ms) VALUES (:name, :holder, :until)"
                       " ON CONFLICT (name) DO UPDATE SET holder = :holder, until_ms = :until"
                       " WHERE until_ms <= :now");

    db_bind_text(stmt, ":name", lease->name);
    db_bind_text(stmt, ":holder", lease->holder);
    db_bind_int(stmt, ":until", lease->until_ms);
    db_bind_int(stmt, ":now", lease->now_ms);
    lease->taken = db_run(stmt) && db_changes(db) > 0;
    return RESULT_OK;
}

enum result store_lease_take(struct store *store, const char *name, const char *holder,
                             int64_t now_ms, int64_t until_ms, bool *taken)
{
    struct lease lease = { name, holder, now_ms, until_ms, false };
    enum result result = RESULT_OK;

    if (is_due(store, &lease))
        result = store_sqlite_write(store, take_lease, &lease, NULL);
    *taken = result == RESULT_OK && lease.taken;
    return result;
}
