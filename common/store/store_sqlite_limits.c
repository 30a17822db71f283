/*
 * store_sqlite_limits: questions counted in windows of time, tokens reserved and spent by the day. All of
 * it happens inside the jobs that begin and end a turn, so that nothing is counted which was not stored,
 * and no two processes admit the same last question.
 *
 * A refused turn has counted in vain: its job ends with RESULT_LIMITED, and the writer undoes it.
 *
 * Runs on request threads.
 */
#include "common/store/store_sqlite.h"

#include <string.h>

#define DAY_MS         (24 * 3600 * INT64_C(1000))
#define DAYS_KEPT      2  /* of days and reservations that can still be settled */
#define CONTEXT_TOKENS 32 /* of the words around the visitor's data in the system prompt */

/* A window that began up to its own length in the future is live all the same: jobs do not run in the
 * order of their clocks. One further ahead was stored before the clock was set back. */
#define LIVE "ends_ms > :now AND ends_ms <= :now + 2 * :window"

/* ---- windows ---- */

/* Each new window clears away more old ones than itself, so the table stays as small as the traffic is. */
static void prune_windows(struct db *db, int64_t now_ms)
{
    struct db_stmt *stmt =
        db_prepare(db, "DELETE FROM rate_windows WHERE id IN (SELECT id FROM rate_windows"
                       " WHERE ends_ms <= :now ORDER BY ends_ms LIMIT 4)");

    db_bind_int(stmt, ":now", now_ms);
    db_run(stmt);
}

/* Run an upsert or update that returns used and ends_ms. False when no row came of it. */
static bool count_by(struct db *db, const char *sql, struct store_charge *charge, int64_t now_ms)
{
    struct db_stmt *stmt = db_prepare(db, sql);

    db_bind_text(stmt, ":bucket", charge->bucket);
    db_bind_int(stmt, ":window", charge->window_ms);
    db_bind_int(stmt, ":now", now_ms);
    if (!db_step(stmt))
        return false;
    charge->used = db_int(stmt, 0);
    charge->ends_ms = db_int(stmt, 1);
    db_reset(stmt);
    return true;
}

/* A running window first, and by itself: naming ends_ms in the SET would rewrite its index each time. */
static void count_one(struct db *db, struct store_charge *charge, int64_t now_ms)
{
    static const char go_on[] = "UPDATE rate_windows SET used = used + 1 WHERE bucket = :bucket"
                                " AND window_ms = :window AND " LIVE " RETURNING used, ends_ms";
    static const char begin[] =
        "INSERT INTO rate_windows (bucket, window_ms, ends_ms, used)"
        " VALUES (:bucket, :window, :now + :window, 1) ON CONFLICT (bucket, window_ms)"
        " DO UPDATE SET used = 1, ends_ms = excluded.ends_ms RETURNING used, ends_ms";

    if (!count_by(db, go_on, charge, now_ms))
        count_by(db, begin, charge, now_ms);
}

enum result store_sqlite_charge(struct db *db, const struct store_limits *limits, int64_t now_ms,
                                struct fault *fault)
{
    bool over = false, begun = false;
    size_t count = limits != NULL ? limits->charge_count : 0;

    for (size_t i = 0; i < count; i++) {
        struct store_charge *charge = &limits->charges[i];

        count_one(db, charge, now_ms);
        over = over || charge->used > charge->limit;
        begun = begun || charge->used == 1;
    }
    if (begun && !over)
        prune_windows(db, now_ms);
    if (!over)
        return RESULT_OK;
    for (size_t i = 0; i < count; i++)
        limits->charges[i].used--;
    return fault_set(fault, RESULT_LIMITED, "rate_limited", NULL,
                     "Too many messages. Please try again later.");
}

/* ---- tokens ---- */

static bool is_there(struct db *db, const char *sql, int64_t message_row)
{
    struct db_stmt *stmt = db_prepare(db, sql);
    bool found;

    db_bind_int(stmt, ":message", message_row);
    found = db_step(stmt) && db_int(stmt, 0) != 0;
    db_reset(stmt);
    return found;
}

/* The most that memory and the site's documents will add to this turn. */
static int64_t ground_tokens(struct db *db, const struct store_spending *spending,
                             int64_t message_row)
{
    static const char facts[] =
        "SELECT EXISTS (SELECT 1 FROM memories AS m WHERE m.user_id = c.user_id"
        " AND m.user_id <> '') OR (c.user_id IS NULL AND EXISTS (SELECT 1 FROM memories AS m"
        " WHERE m.owner_kind = c.owner_kind AND m.owner_id = c.owner_id AND m.user_id = ''))"
        " FROM messages AS q JOIN conversations AS c ON c.id = q.conversation_id"
        " WHERE q.id = :message";
    static const char passages[] = "SELECT EXISTS (SELECT 1 FROM passages) AND :message > 0";
    int64_t tokens = 0;

    if (spending->facts_tokens > 0 && is_there(db, facts, message_row))
        tokens += spending->facts_tokens;
    if (spending->passages_tokens > 0 && is_there(db, passages, message_row))
        tokens += spending->passages_tokens;
    return tokens;
}

static int64_t estimate(struct db *db, const struct store_spending *spending,
                        const struct store_turn_begun *begun)
{
    struct window_limits window = spending->window;
    int64_t tokens;

    window.system_tokens += ground_tokens(db, spending, begun->message_row);
    if (begun->context_json != NULL)
        window.system_tokens +=
            CONTEXT_TOKENS + window_estimate(begun->context_json, strlen(begun->context_json));
    tokens = window.system_tokens + spending->answer_tokens;
    for (size_t i = window_first(begun->history, begun->history_len, &window);
         i < begun->history_len; i++)
        tokens += window_estimate(begun->history[i].content, begun->history[i].len);
    return tokens;
}

static void prune_days(struct db *db, int64_t day)
{
    static const char *const statements[] = {
        "DELETE FROM token_days WHERE day < :day",
        "DELETE FROM token_reservations WHERE day < :day",
    };

    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        struct db_stmt *stmt = db_prepare(db, statements[i]);

        db_bind_int(stmt, ":day", day - DAYS_KEPT);
        db_run(stmt);
    }
}

/* True when the budget had room for it. */
static bool reserve_one(struct db *db, struct store_budget *budget, int64_t day, int64_t tokens,
                        int64_t message_row)
{
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO token_days (day, bucket, tokens) VALUES (:day, :bucket, :tokens)"
            " ON CONFLICT (day, bucket) DO UPDATE SET tokens = tokens + :tokens"
            " RETURNING tokens");

    db_bind_int(stmt, ":day", day);
    db_bind_text(stmt, ":bucket", budget->bucket);
    db_bind_int(stmt, ":tokens", tokens);
    if (db_step(stmt))
        budget->used = db_int(stmt, 0) - tokens;
    db_reset(stmt);
    stmt = db_prepare(db, "INSERT INTO token_reservations (message_id, bucket, day, tokens)"
                          " VALUES (:message, :bucket, :day, :tokens)");
    db_bind_int(stmt, ":message", message_row);
    db_bind_text(stmt, ":bucket", budget->bucket);
    db_bind_int(stmt, ":day", day);
    db_bind_int(stmt, ":tokens", tokens);
    db_run(stmt);
    return budget->used + tokens <= budget->limit;
}

enum result store_sqlite_reserve(struct db *db, const struct store_limits *limits,
                                 const struct store_turn_begun *begun, int64_t now_ms,
                                 struct fault *fault)
{
    struct store_spending *spending = limits != NULL ? limits->spending : NULL;
    int64_t day = now_ms / DAY_MS;
    bool room = true, first = false;

    if (spending == NULL || spending->count == 0)
        return RESULT_OK;
    spending->reserved = estimate(db, spending, begun);
    for (size_t i = 0; i < spending->count; i++) {
        struct store_budget *budget = &spending->budgets[i];

        room = reserve_one(db, budget, day, spending->reserved, begun->message_row) && room;
        first = first || budget->used == 0;
    }
    if (!room)
        return fault_set(fault, RESULT_LIMITED, "budget_exhausted", NULL,
                         "The budget of tokens for today is used up.");
    if (first)
        prune_days(db, day);
    return RESULT_OK;
}

/* Most turns have none, and an UPDATE ... FROM makes a table of its own even for nothing. */
static bool has_reserved(struct db *db, int64_t message_row)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT 1 FROM token_reservations WHERE message_id = :message LIMIT 1");
    bool found;

    db_bind_int(stmt, ":message", message_row);
    found = db_step(stmt);
    db_reset(stmt);
    return found;
}

void store_sqlite_settle(struct db *db, const struct store_answer_end *end)
{
    const struct stream_usage *usage = end->usage;
    struct db_stmt *stmt;
    int64_t spent = 0;

    if (!has_reserved(db, end->message_row))
        return;
    if (!end->unspent && usage != NULL && usage->known) {
        spent = usage->prompt_tokens + usage->completion_tokens;
        spent = usage->total_tokens > spent ? usage->total_tokens : spent;
    }
    if (end->unspent || (usage != NULL && usage->known)) {
        stmt = db_prepare(db, "UPDATE token_days SET tokens = token_days.tokens - r.tokens + :spent"
                              " FROM token_reservations AS r WHERE r.message_id = :message"
                              " AND token_days.day = r.day AND token_days.bucket = r.bucket");
        db_bind_int(stmt, ":spent", spent);
        db_bind_int(stmt, ":message", end->message_row);
        db_run(stmt);
    }
    stmt = db_prepare(db, "DELETE FROM token_reservations WHERE message_id = :message");
    db_bind_int(stmt, ":message", end->message_row);
    db_run(stmt);
}

/* ---- reading ---- */

static void read_charge(struct db *db, struct store_charge *charge, int64_t now_ms)
{
    struct db_stmt *stmt = db_prepare(db, "SELECT used, ends_ms FROM rate_windows WHERE bucket ="
                                          " :bucket AND window_ms = :window AND " LIVE);

    charge->used = 0;
    charge->ends_ms = now_ms + charge->window_ms;
    db_bind_text(stmt, ":bucket", charge->bucket);
    db_bind_int(stmt, ":window", charge->window_ms);
    db_bind_int(stmt, ":now", now_ms);
    if (!db_step(stmt))
        return;
    charge->used = db_int(stmt, 0);
    charge->ends_ms = db_int(stmt, 1);
    db_reset(stmt);
}

static void read_budget(struct db *db, struct store_budget *budget, int64_t now_ms)
{
    struct db_stmt *stmt = db_prepare(
        db, "SELECT (SELECT tokens FROM token_days WHERE day = :day AND bucket = :bucket),"
            " (SELECT sum(r.tokens) FROM token_reservations AS r JOIN messages AS m"
            " ON m.id = r.message_id WHERE r.bucket = :bucket AND r.day = :day"
            " AND m.status = 'streaming' AND m.lease_until_ms >= :now)");

    budget->used = budget->pending = 0;
    db_bind_int(stmt, ":day", now_ms / DAY_MS);
    db_bind_text(stmt, ":bucket", budget->bucket);
    db_bind_int(stmt, ":now", now_ms);
    if (!db_step(stmt))
        return;
    budget->used = db_int(stmt, 0); /* NULL is 0 */
    budget->pending = db_int(stmt, 1);
    db_reset(stmt);
}

enum result store_limits_get(struct store *store, struct store_charge *charges, size_t charge_count,
                             struct store_budget *budgets, size_t budget_count, int64_t now_ms)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);

    if (db == NULL)
        return RESULT_STORE_DOWN;
    for (size_t i = 0; i < charge_count; i++)
        read_charge(db, &charges[i], now_ms);
    for (size_t i = 0; i < budget_count; i++)
        read_budget(db, &budgets[i], now_ms);
    return db_readers_return(store->readers, db) == DB_OK ? RESULT_OK : RESULT_STORE_DOWN;
}
