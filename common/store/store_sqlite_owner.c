/*
 * store_sqlite_owner: the owner rule that all statements about conversations carry, visitors, and API keys.
 *
 * A key is kept as a hash (BLAKE2b) without salt: it has 132 random bits, nobody guesses it from the
 * hash, and the hash can be looked up. Runs on request threads and in the administrator's commands.
 */
#include <sodium.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/store/store_owners.h"
#include "common/store/store_memory.h"
#include "common/store/store_sqlite.h"

#define DAY_MS        (INT64_C(24) * 3600 * 1000)
#define KEY_USED_MS   60000 /* a use is noted when the last noted one is older */
#define KEY_HASH_SIZE 32
#define KEY_HASH_TEXT 64 /* base64url of it, NUL included */

/* ---- the rule ---- */

const char *store_sqlite_owner_kind(enum owner_kind kind)
{
    switch (kind) {
    case OWNER_NONE:
        return "none";
    case OWNER_VISITOR:
        return "visitor";
    case OWNER_KEY:
        return "key";
    case OWNER_LOGIN:
        return "login";
    }
    return "none";
}

enum owner_kind store_sqlite_owner_kind_parse(const char *name)
{
    static const enum owner_kind kinds[] = { OWNER_VISITOR, OWNER_KEY, OWNER_LOGIN };

    for (size_t i = 0; name != NULL && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(store_sqlite_owner_kind(kinds[i]), name) == 0)
            return kinds[i];
    return OWNER_NONE;
}

void store_sqlite_bind_owner(struct db_stmt *stmt, const struct owner *owner)
{
    db_bind_text(stmt, ":kind", store_sqlite_owner_kind(owner->kind));
    db_bind_text(stmt, ":owner", owner->id);
}

void store_sqlite_bind_rule(struct db_stmt *stmt, const struct owner *owner)
{
    store_sqlite_bind_owner(stmt, owner);
    db_bind_int(stmt, ":any", owner->any);
}

static void key_seen(struct db *db, const char *name, int64_t now_ms)
{
    struct db_stmt *stmt =
        db_prepare(db, "UPDATE api_keys SET used_ms = :now WHERE name = :name"
                       " AND revoked_ms IS NULL AND coalesce(used_ms, 0) < :before");

    db_bind_text(stmt, ":name", name);
    db_bind_int(stmt, ":now", now_ms);
    db_bind_int(stmt, ":before", now_ms - KEY_USED_MS);
    db_run(stmt);
}

static void visitor_seen(struct db *db, const char *id, int64_t now_ms)
{
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO visitors (id, created_ms, seen_ms) VALUES (:id, :now, :now)"
                       " ON CONFLICT (id) DO UPDATE SET seen_ms = :now WHERE seen_ms < :before");

    db_bind_text(stmt, ":id", id);
    db_bind_int(stmt, ":now", now_ms);
    db_bind_int(stmt, ":before", now_ms - DAY_MS);
    db_run(stmt);
}

void store_sqlite_owner_seen(struct db *db, const struct owner *owner, int64_t now_ms)
{
    if (owner->kind == OWNER_VISITOR)
        visitor_seen(db, owner->id, now_ms);
    else if (owner->kind == OWNER_KEY)
        key_seen(db, owner->id, now_ms);
}

/* ---- keys ---- */

struct key {
    const char *name;
    char prefix[STORE_KEY_PREFIX_SIZE];
    char hash[KEY_HASH_TEXT];
    int64_t now_ms;
    struct fault *fault;
};

static void hash_key(const char *key, char out[KEY_HASH_TEXT])
{
    unsigned char hash[KEY_HASH_SIZE];

    crypto_generichash(hash, sizeof hash, (const unsigned char *)key, strlen(key), NULL, 0);
    sodium_bin2base64(out, KEY_HASH_TEXT, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static bool good_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);

    return len > 0 && len < CAP_ID && strspn(name, allowed) == len && *name != '-';
}

static void audit_key(struct db *db, const struct key *key, const char *action)
{
    struct store_audit line = {
        .actor = "admin", .action = action, .subject = key->name, .now_ms = key->now_ms
    };

    store_sqlite_audit(db, &line);
}

static enum result add_key(struct db *db, void *arg)
{
    const struct key *key = arg;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO api_keys (name, prefix, hash, created_ms) SELECT :name, :prefix,"
            " :hash, :now WHERE NOT EXISTS (SELECT 1 FROM api_keys"
            " WHERE name = :name AND revoked_ms IS NULL)");

    db_bind_text(stmt, ":name", key->name);
    db_bind_text(stmt, ":prefix", key->prefix);
    db_bind_text(stmt, ":hash", key->hash);
    db_bind_int(stmt, ":now", key->now_ms);
    if (db_run(stmt) && db_changes(db) == 0)
        return fault_set(key->fault, RESULT_CONFLICT, "key_exists", "name",
                         "There is a key of this name already.");
    audit_key(db, key, "key_added");
    return RESULT_OK;
}

enum result store_key_add(struct store *store, const char *name, char *key, int64_t now_ms,
                          struct fault *fault)
{
    struct key row = { .name = name, .now_ms = now_ms, .fault = fault };

    if (!good_name(name))
        return fault_set(fault, RESULT_INVALID, "invalid_name", "name",
                         "The name of a key has 1 to %d letters, digits, dots, hyphens and "
                         "underscores, and does not begin with a hyphen.",
                         CAP_ID - 1);
    id_make(key, STORE_KEY_PREFIX);
    text_copy(row.prefix, sizeof row.prefix, key);
    hash_key(key, row.hash);
    return store_sqlite_write(store, add_key, &row, fault);
}

static enum result revoke_key(struct db *db, void *arg)
{
    const struct key *key = arg;
    struct db_stmt *stmt = db_prepare(
        db, "UPDATE api_keys SET revoked_ms = :now WHERE name = :name AND revoked_ms IS NULL");

    db_bind_text(stmt, ":name", key->name);
    db_bind_int(stmt, ":now", key->now_ms);
    if (db_run(stmt) && db_changes(db) == 0)
        return fault_set(key->fault, RESULT_NOT_FOUND, "unknown_key", "name",
                         "There is no valid key of this name.");
    audit_key(db, key, "key_revoked");
    return RESULT_OK;
}

enum result store_key_revoke(struct store *store, const char *name, int64_t now_ms,
                             struct fault *fault)
{
    struct key row = { .name = name, .now_ms = now_ms, .fault = fault };

    return store_sqlite_write(store, revoke_key, &row, fault);
}

enum result store_key_find(struct store *store, const char *key, char *name, struct fault *fault)
{
    char hash[KEY_HASH_TEXT];
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool found;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    hash_key(key, hash);
    stmt = db_prepare(db, "SELECT name FROM api_keys WHERE hash = :hash AND revoked_ms IS NULL");
    db_bind_text(stmt, ":hash", hash);
    found = db_step(stmt);
    if (found)
        text_copy(name, CAP_ID, db_text(stmt, 0, NULL));
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    if (status != DB_OK)
        return store_sqlite_fault(fault, status);
    return found ? RESULT_OK : RESULT_NOT_FOUND;
}

static enum result use_key(struct db *db, void *arg)
{
    const struct key *key = arg;

    key_seen(db, key->name, key->now_ms);
    return RESULT_OK;
}

static bool use_is_due(struct store *store, const struct key *key)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool due;

    if (db == NULL)
        return false;
    stmt = db_prepare(db, "SELECT 1 FROM api_keys WHERE name = :name AND revoked_ms IS NULL"
                          " AND coalesce(used_ms, 0) < :before");
    db_bind_text(stmt, ":name", key->name);
    db_bind_int(stmt, ":before", key->now_ms - KEY_USED_MS);
    due = db_step(stmt);
    db_reset(stmt);
    db_readers_return(store->readers, db);
    return due;
}

enum result store_key_used(struct store *store, const char *name, int64_t now_ms)
{
    struct key row = { .name = name, .now_ms = now_ms };

    return use_is_due(store, &row) ? store_sqlite_write(store, use_key, &row, NULL) : RESULT_OK;
}

enum result store_key_list(struct store *store,
                           void (*show)(void *ctx, const struct store_key *key), void *ctx,
                           struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT name, prefix, created_ms, used_ms, revoked_ms FROM api_keys"
                          " ORDER BY name, id");
    while (db_step(stmt)) {
        struct store_key key = {
            .name = db_text(stmt, 0, NULL),
            .prefix = db_text(stmt, 1, NULL),
            .created_ms = db_int(stmt, 2),
            .used_ms = db_int(stmt, 3),
            .revoked_ms = db_int(stmt, 4),
        };

        show(ctx, &key);
    }
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}

enum result store_owner_users(struct store *store, const struct owner *owner,
                              struct store_users *out, struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool enough = true;

    *out = (struct store_users){ 0 };
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT user_id FROM conversations WHERE owner_kind = :kind"
                          " AND owner_id = :owner AND user_id IS NOT NULL");
    store_sqlite_bind_owner(stmt, owner);
    while (enough && db_step(stmt)) {
        char **moved = realloc(out->list, (out->count + 1) * sizeof *moved);

        enough = moved != NULL;
        out->list = enough ? moved : out->list;
        if (enough && (moved[out->count] = strdup(db_text(stmt, 0, NULL))) != NULL)
            out->count++;
    }
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    if (status == DB_OK && enough)
        return RESULT_OK;
    store_users_free(out);
    return status != DB_OK ? store_sqlite_fault(fault, status)
                           : fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}

bool store_subject_gone(struct store *store, const struct store_subject *subject)
{
    bool named = subject->user_id != NULL, gone;
    enum db_status status;
    struct db *db;
    struct db_stmt *stmt;

    if (!named && subject->owner->kind != OWNER_VISITOR)
        return false;
    db = db_readers_take(store->readers, &status);
    if (db == NULL)
        return false;
    stmt = db_prepare(db, named ? "SELECT 1 FROM conversations WHERE user_id = :name"
                                : "SELECT 1 FROM visitors WHERE id = :name");
    db_bind_text(stmt, ":name", named ? subject->user_id : subject->owner->id);
    gone = !db_step(stmt);
    db_reset(stmt);
    return db_readers_return(store->readers, db) == DB_OK && gone;
}

void store_users_free(struct store_users *users)
{
    for (size_t i = 0; i < users->count; i++)
        free(users->list[i]);
    free(users->list);
    *users = (struct store_users){ 0 };
}
