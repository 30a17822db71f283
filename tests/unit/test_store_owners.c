/*
 * store, owners: the owner rule, keys, erasing everything, the audit log, leases, the secret beside the database.
 */
#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <sys/stat.h>

#include "common/store/secret_file.h"
#include "common/store/store_files.h"
#include "common/store/store_owners.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static const struct owner nobody = { .kind = OWNER_NONE };
static const struct owner ada = { .kind = OWNER_VISITOR, .id = "vis_ada_ada_ada" };
static const struct owner eve = { .kind = OWNER_VISITOR, .id = "vis_eve_eve_eve" };
static const struct owner eve_open = { .kind = OWNER_VISITOR,
                                       .id = "vis_eve_eve_eve",
                                       .any = true };
static const struct owner site = { .kind = OWNER_KEY, .id = "site", .any = true };
static const struct ask about_bob = { .contract = "user", .user_id = "bob" };

static enum result ask_as(struct store_fixture *fixture, const struct owner *owner,
                          const struct ask *ask, struct store_turn_begun *begun,
                          struct fault *fault)
{
    fixture->owner = *owner;
    return store_fixture_ask(fixture, "hello", ask, begun, fault);
}

static void turn_as(struct store_fixture *fixture, const struct owner *owner, const struct ask *ask,
                    char *conversation)
{
    struct store_turn_begun begun;

    assert_int_equal(ask_as(fixture, owner, ask, &begun, NULL), RESULT_OK);
    if (conversation != NULL)
        snprintf(conversation, CAP_ID, "%s", begun.conversation_id);
    store_turn_begun_free(&begun);
}

static void assert_unknown(struct store_fixture *fixture, const struct owner *owner,
                           const struct ask *ask, const char *code)
{
    int64_t before = store_fixture_int(fixture, "SELECT count(*) FROM messages");
    struct store_turn_begun begun;
    struct fault fault = { 0 };

    assert_int_equal(ask_as(fixture, owner, ask, &begun, &fault), RESULT_NOT_FOUND);
    assert_string_equal(fault.code, code);
    assert_null(begun.history);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), before);
}

/* ---- the rule ---- */

static void a_user_id_belongs_to_its_first_visitor(void **state)
{
    struct store_fixture *fixture = *state;
    static const struct owner login = { .kind = OWNER_LOGIN, .id = "vis_ada_ada_ada" };

    turn_as(fixture, &ada, &about_bob, NULL);
    turn_as(fixture, &ada, &about_bob, NULL);
    assert_unknown(fixture, &eve, &about_bob, "unknown_user");
    assert_unknown(fixture, &nobody, &about_bob, "unknown_user");
    assert_unknown(fixture, &login, &about_bob, "unknown_user");
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations"), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM visitors"), 1);
}

static void a_key_and_open_access_reach_every_user_id(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun;

    turn_as(fixture, &ada, &about_bob, NULL);
    assert_int_equal(ask_as(fixture, &site, &about_bob, &begun, NULL), RESULT_OK);
    assert_int_equal(begun.history_len, 2);
    store_turn_begun_free(&begun);
    turn_as(fixture, &eve_open, &about_bob, NULL);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations"
                                                " WHERE owner_id = 'vis_ada_ada_ada'"),
                     1);
}

static void what_a_key_made_no_visitor_takes_over(void **state)
{
    struct store_fixture *fixture = *state;

    turn_as(fixture, &site, &about_bob, NULL);
    assert_unknown(fixture, &ada, &about_bob, "unknown_user");
}

static void the_server_s_ids_are_for_whoever_knows_them(void **state)
{
    struct store_fixture *fixture = *state;
    char conversation[CAP_ID], of_bob[CAP_ID];

    turn_as(fixture, &ada, &(struct ask){ 0 }, conversation);
    turn_as(fixture, &eve, &(struct ask){ .conversation_id = conversation }, NULL);
    turn_as(fixture, &ada, &about_bob, of_bob);
    turn_as(fixture, &ada, &(struct ask){ .conversation_id = of_bob }, NULL);
    assert_unknown(fixture, &eve, &(struct ask){ .conversation_id = of_bob },
                   "unknown_conversation");
}

struct contender {
    struct store_fixture fixture; /* a copy: its owner is its own */
    struct owner owner;
    pthread_barrier_t *barrier;
    enum result result;
};

static void *contend(void *arg)
{
    struct contender *contender = arg;
    struct store_turn_begun begun;

    pthread_barrier_wait(contender->barrier);
    contender->result = ask_as(&contender->fixture, &contender->owner, &about_bob, &begun, NULL);
    if (contender->result == RESULT_OK)
        store_turn_begun_free(&begun);
    return NULL;
}

static void of_many_at_once_with_one_user_id_one_becomes_the_owner(void **state)
{
    struct store_fixture *fixture = *state;
    struct contender contenders[8];
    pthread_barrier_t barrier;
    pthread_t threads[8];
    int winners = 0;

    pthread_barrier_init(&barrier, NULL, 8);
    for (size_t i = 0; i < 8; i++) {
        contenders[i] = (struct contender){ .fixture = *fixture, .barrier = &barrier };
        contenders[i].owner.kind = OWNER_VISITOR;
        snprintf(contenders[i].owner.id, CAP_ID, "vis_%zu", i);
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        winners += contenders[i].result == RESULT_OK;
        assert_true(contenders[i].result == RESULT_OK || contenders[i].result == RESULT_NOT_FOUND);
    }
    pthread_barrier_destroy(&barrier);
    assert_int_equal(winners, 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 2);
}

static void a_visitor_s_row_is_touched_once_a_day(void **state)
{
    struct store_fixture *fixture = *state;

    turn_as(fixture, &ada, &(struct ask){ .at = 0 }, NULL);
    turn_as(fixture, &ada, &(struct ask){ .at = DAY_MS - 1 }, NULL);
    assert_int_equal(store_fixture_int(fixture, "SELECT seen_ms FROM visitors"), T0);
    turn_as(fixture, &ada, &(struct ask){ .at = DAY_MS + 1 }, NULL);
    assert_int_equal(store_fixture_int(fixture, "SELECT seen_ms FROM visitors"), T0 + DAY_MS + 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT created_ms FROM visitors"), T0);
}

static void a_turn_costs_one_transaction_with_its_owner(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_stats before, after;

    turn_as(fixture, &ada, &about_bob, NULL);
    store_stats(fixture->store, &before);
    turn_as(fixture, &ada, &about_bob, NULL);
    store_stats(fixture->store, &after);
    assert_int_equal(after.commits - before.commits, 1);
}

/* ---- keys ---- */

static void keys_are_found_until_they_are_revoked(void **state)
{
    struct store_fixture *fixture = *state;
    char key[CAP_ID], second[CAP_ID], name[CAP_ID];
    struct fault fault = { 0 };

    assert_int_equal(store_key_add(fixture->store, "site", key, T0, &fault), RESULT_OK);
    assert_int_equal(store_key_find(fixture->store, key, name, &fault), RESULT_OK);
    assert_string_equal(name, "site");
    assert_int_equal(store_key_find(fixture->store, "pk_other", name, &fault), RESULT_NOT_FOUND);
    assert_int_equal(store_key_add(fixture->store, "site", second, T0, &fault), RESULT_CONFLICT);
    assert_int_equal(store_key_revoke(fixture->store, "site", T0, &fault), RESULT_OK);
    assert_int_equal(store_key_find(fixture->store, key, name, &fault), RESULT_NOT_FOUND);
    assert_int_equal(store_key_revoke(fixture->store, "site", T0, &fault), RESULT_NOT_FOUND);
    assert_int_equal(store_key_add(fixture->store, "site", second, T0, &fault), RESULT_OK);
    assert_string_not_equal(key, second);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM audit WHERE action IN"
                                                " ('key_added', 'key_revoked')"),
                     3);
}

static void a_key_is_nowhere_in_the_store(void **state)
{
    struct store_fixture *fixture = *state;
    char key[CAP_ID], sql[256];

    store_key_add(fixture->store, "site", key, T0, NULL);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM api_keys WHERE hash LIKE '%%%s%%' OR prefix = '%s'", key + 3,
             key);
    assert_int_equal(store_fixture_int(fixture, sql), 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT length(prefix) FROM api_keys"), 9);
}

static void odd_names_of_keys_are_refused(void **state)
{
    static const char *const names[] = {
        "",    "-list",    "a b",
        "a\n", "\xc3\xa4", "0123456789012345678901234567890123456789012345678901234567890123"
    };
    struct store_fixture *fixture = *state;
    char key[CAP_ID];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(store_key_add(fixture->store, names[i], key, T0, NULL), RESULT_INVALID);
}

/* ---- erasing ---- */

static struct store_erased erase(struct store_fixture *fixture, struct store_erase what)
{
    struct store_erased erased;

    what.audit = (struct store_audit){ .actor = "admin", .action = "purged", .now_ms = T0 };
    if (what.owner != NULL)
        what.audit.owner = what.owner;
    assert_int_equal(store_erase(fixture->store, &what, &erased, NULL), RESULT_OK);
    return erased;
}

/* A row for every column of a table that has owners, so that one which erasing forgets shows up. */
static void insert_owned_row(const struct store_fixture *fixture, const char *table)
{
    struct db_options options = {
        .path = fixture->path, .busy_ms = 1000, .cache_kib = 256, .no_references = true
    };
    enum db_status status;
    struct db *db = db_open(&options, &status);
    char names[1024] = "", values[1024] = "", sql[2304],
         pragma[128]; /* a statement's key is its address */
    struct db_stmt *stmt;

    assert_non_null(db);
    snprintf(pragma, sizeof pragma, "SELECT name, type FROM pragma_table_info('%s') ORDER BY cid",
             table);
    stmt = db_prepare(db, pragma);
    while (db_step(stmt)) {
        const char *name = db_text(stmt, 0, NULL), *type = db_text(stmt, 1, NULL);
        const char *value = strcmp(name, "owner_kind") == 0 ? "'visitor'"
                            : strcmp(name, "owner_id") == 0 ? "'vis_ada_ada_ada'"
                            : strcmp(name, "bucket") == 0   ? "'visitor:vis_ada_ada_ada'"
                            : strcmp(type, "INTEGER") == 0  ? "987654"
                                                            : "'x'";

        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 *names != '\0' ? ", " : "", name);
        snprintf(values + strlen(values), sizeof values - strlen(values), "%s%s",
                 *values != '\0' ? ", " : "", value);
    }
    snprintf(sql, sizeof sql, "INSERT INTO %s (%s) VALUES (%s)", table, names, values);
    assert_true(db_exec(db, sql));
    db_close(db);
}

/* Names of all tables for which `sql` says so, each passed on. */
static int each_table(const struct store_fixture *fixture, const char *sql,
                      void (*visit)(const struct store_fixture *fixture, const char *table))
{
    struct db *db = store_fixture_handle(fixture);
    char tables[32][64];
    struct db_stmt *stmt = db_prepare(db, sql);
    int count = 0;

    while (db_step(stmt) && count < 32)
        snprintf(tables[count++], sizeof tables[0], "%s", db_text(stmt, 0, NULL));
    db_close(db);
    for (int i = 0; i < count; i++)
        visit(fixture, tables[i]);
    return count;
}

static void a_picture_that_no_question_shows_goes_after_a_week(void **state)
{
    struct store_fixture *fixture = *state;
    struct chat_image picture = { "image/gif", "AAAA", 4, NULL };
    struct ask ask = { .images = &picture, .image_count = 1 };
    struct store_file file;
    struct fault fault;
    char id[CAP_ID];

    turn_as(fixture, &ada, &ask, NULL);
    assert_int_equal(store_file_put(fixture->store, &ada, &picture, NULL, T0, id, &fault),
                     RESULT_OK);
    store_files_sweep(fixture->store, T0 + STORE_FILES_UNUSED_MS);
    assert_int_equal(store_file_get(fixture->store, &ada, id, true, &file, &fault), RESULT_OK);
    assert_string_equal(file.base64, "AAAA");
    free(file.base64);
    assert_int_equal(store_file_get(fixture->store, &eve, id, false, &file, &fault),
                     RESULT_NOT_FOUND);
    store_files_sweep(fixture->store, T0 + STORE_FILES_UNUSED_MS + 1);
    assert_int_equal(store_file_get(fixture->store, &ada, id, true, &file, &fault),
                     RESULT_NOT_FOUND);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM files"), 1);
}

/* Rows that go with their conversation or message need no line of their own. */
static const char owned_tables[] =
    "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c"
    " WHERE m.type = 'table' AND c.name IN ('owner_id', 'bucket') AND NOT EXISTS"
    " (SELECT 1 FROM pragma_foreign_key_list(m.name) AS f WHERE f.on_delete = 'CASCADE')";

static void assert_no_owned_row(const struct store_fixture *fixture, const char *table)
{
    char sql[512];
    int64_t has_bucket;

    snprintf(sql, sizeof sql, "SELECT count(*) FROM pragma_table_info('%s') WHERE name = 'bucket'",
             table);
    has_bucket = store_fixture_int(fixture, sql);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE %s LIKE '%%vis_ada_ada_ada'", table,
             has_bucket > 0 ? "bucket" : "owner_id");
    if (store_fixture_int(fixture, sql) != 0)
        fail_msg("%s keeps rows of an owner who was erased: add it to store_sqlite_erase.c", table);
}

static void erasing_an_owner_leaves_no_row_in_any_table(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_audit line = {
        .owner = &ada, .address = "192.0.2.1", .action = "exported", .now_ms = T0
    };
    struct store_erased erased;

    turn_as(fixture, &ada, &about_bob, NULL);
    turn_as(fixture, &ada, &(struct ask){ 0 }, NULL);
    turn_as(fixture, &eve, &(struct ask){ 0 }, NULL);
    store_audit_add(fixture->store, &line);
    assert_true(each_table(fixture, owned_tables, insert_owned_row) > 0);

    erased = erase(fixture, (struct store_erase){ .what = STORE_ERASE_OWNER, .owner = &ada });
    assert_int_equal(erased.conversations, 3);
    assert_int_equal(erased.messages, 4);
    each_table(fixture, owned_tables, assert_no_owned_row);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM visitors"), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 2);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM audit WHERE"
                                                " actor_id = 'vis_ada_ada_ada' OR address <> ''"),
                     0);
    assert_int_equal(store_fixture_int(fixture, "SELECT count FROM audit WHERE action = 'purged'"
                                                " AND actor_id = 'vis_ada_ada_'"),
                     3);
}

static void assert_cascades(const struct store_fixture *fixture, const char *table)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pragma_foreign_key_list('%s') WHERE \"table\" = 'conversations'"
             " AND on_delete = 'CASCADE'",
             table);
    if (store_fixture_int(fixture, sql) == 0)
        fail_msg("rows of %s outlive their conversation", table);
}

static void every_table_of_a_conversation_goes_with_it(void **state)
{
    assert_true(each_table(*state,
                           "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name)"
                           " AS c WHERE m.type = 'table' AND c.name = 'conversation_id'",
                           assert_cascades) > 0);
}

static void old_conversations_are_erased_in_portions(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_erase old = { .what = STORE_ERASE_OLD, .before_ms = T0 + DAY_MS, .most = 2 };

    for (int i = 0; i < 3; i++)
        turn_as(fixture, &ada, &(struct ask){ .at = i }, NULL);
    turn_as(fixture, &ada, &(struct ask){ .at = DAY_MS }, NULL);
    old.dry_run = true;
    assert_int_equal(erase(fixture, old).conversations, 2);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations"), 4);
    old.dry_run = false;
    assert_int_equal(erase(fixture, old).messages, 4);
    assert_int_equal(erase(fixture, old).conversations, 1);
    assert_int_equal(erase(fixture, old).conversations, 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 2);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM audit"), 2);
}

static void only_sessions_without_a_word_are_swept(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_erase empty = { .what = STORE_ERASE_EMPTY_SESSIONS, .before_ms = T0 + 10 };

    store_session_create(fixture->store, "session_silent_1", &ada, T0, NULL);
    store_session_create(fixture->store, "session_spoken_1", &ada, T0, NULL);
    store_session_create(fixture->store, "session_fresh_1", &ada, T0 + 10, NULL);
    turn_as(fixture, &ada,
            &(struct ask){ .contract = "session", .conversation_id = "session_spoken_1" }, NULL);
    assert_int_equal(erase(fixture, empty).conversations, 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations WHERE"
                                                " public_id = 'session_silent_1'"),
                     0);
}

static void an_answer_that_was_erased_while_it_ran_ends_quietly(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "hello", &about_bob);

    erase(fixture, (struct store_erase){ .what = STORE_ERASE_USER, .user_id = "bob" });
    assert_int_equal(store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "text"),
                     RESULT_NOT_FOUND);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 0);
    store_turn_begun_free(&begun);
}

static void a_visitor_is_found_by_the_beginning_of_his_id(void **state)
{
    struct store_fixture *fixture = *state;
    static const struct owner adam = { .kind = OWNER_VISITOR, .id = "vis_adam" };
    char id[CAP_ID];

    turn_as(fixture, &ada, &(struct ask){ 0 }, NULL);
    turn_as(fixture, &adam, &(struct ask){ 0 }, NULL);
    assert_int_equal(store_visitor_find(fixture->store, "vis_ada_", id, NULL), RESULT_OK);
    assert_string_equal(id, ada.id);
    assert_int_equal(store_visitor_find(fixture->store, "vis_ada", id, NULL), RESULT_CONFLICT);
    assert_int_equal(store_visitor_find(fixture->store, "vis_%", id, NULL), RESULT_NOT_FOUND);
    assert_int_equal(store_visitor_find(fixture->store, "", id, NULL), RESULT_NOT_FOUND);
}

static void sweeping_keeps_visitors_with_conversations_and_fresh_lines(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_audit line = { .actor = "server", .action = "purged", .now_ms = T0 };

    turn_as(fixture, &ada, &(struct ask){ 0 }, NULL);
    turn_as(fixture, &eve, &about_bob, NULL);
    erase(fixture, (struct store_erase){ .what = STORE_ERASE_USER, .user_id = "bob" });
    line.now_ms = T0 + DAY_MS;
    store_audit_add(fixture->store, &line);
    assert_int_equal(store_sweep(fixture->store, T0 + 1, T0 + DAY_MS), RESULT_OK);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM visitors"), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM audit"), 1);
}

/* ---- audit, leases, secret ---- */

static void collect(void *ctx, const struct store_audit_row *row)
{
    char *out = ctx;
    size_t len = strlen(out);

    snprintf(out + len, 512 - len, "%s:%s:%lld ", row->action, row->actor_kind,
             (long long)row->count);
}

static void the_audit_log_shows_the_newest_and_bounds_floods(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_audit line = {
        .owner = &ada, .action = "key_refused", .now_ms = T0, .most_per_hour = 3
    };
    char seen[512] = "";

    for (int i = 0; i < 10; i++)
        store_audit_add(fixture->store, &line);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM audit"), 3);
    line.now_ms = T0 + 3600 * 1000;
    store_audit_add(fixture->store, &line);
    line = (struct store_audit){ .actor = "admin", .action = "purged", .count = 7, .now_ms = T0 };
    store_audit_add(fixture->store, &line);
    assert_int_equal(store_audit_list(fixture->store, 2, collect, seen, NULL), RESULT_OK);
    assert_string_equal(seen, "key_refused:visitor:0 purged:admin:7 ");
}

static void a_job_is_for_one_holder_until_its_time_is_over(void **state)
{
    struct store_fixture *fixture = *state;
    bool taken;

    store_lease_take(fixture->store, "upkeep", "w_1", T0, T0 + 100, &taken);
    assert_true(taken);
    store_lease_take(fixture->store, "upkeep", "w_2", T0 + 99, T0 + 200, &taken);
    assert_false(taken);
    store_lease_take(fixture->store, "other", "w_2", T0, T0 + 200, &taken);
    assert_true(taken);
    store_lease_take(fixture->store, "upkeep", "w_2", T0 + 100, T0 + 200, &taken);
    assert_true(taken);
}

struct race {
    const char *path;
    unsigned char bytes[STORE_SECRET_SIZE];
    int error;
};

static void *read_secret(void *arg)
{
    struct race *race = arg;

    race->error = secret_file_read(race->path, race->bytes, sizeof race->bytes);
    return NULL;
}

static void the_secret_is_made_once_whoever_comes_first(void **state)
{
    struct store_fixture *fixture = *state;
    struct race races[8];
    pthread_t threads[8];
    struct stat info;
    char path[112];

    snprintf(path, sizeof path, "%s.key", fixture->path);
    for (size_t i = 0; i < 8; i++) {
        races[i] = (struct race){ .path = path };
        assert_int_equal(pthread_create(&threads[i], NULL, read_secret, &races[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(races[i].error, 0);
        assert_memory_equal(races[i].bytes, races[0].bytes, STORE_SECRET_SIZE);
    }
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_nlink, 1);
}

static void a_secret_that_is_none_stops_the_start(void **state)
{
    struct store_fixture *fixture = *state;
    unsigned char bytes[STORE_SECRET_SIZE];
    struct fault fault = { 0 };
    char path[112];
    FILE *file;

    snprintf(path, sizeof path, "%s.key", fixture->path);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("short", file);
    fclose(file);
    assert_int_equal(store_secret(fixture->store, bytes, &fault), RESULT_STORE_DOWN);
    assert_string_equal(fault.code, "no_secret");
    assert_null(strstr(fault.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_user_id_belongs_to_its_first_visitor),
        STORE_TEST(a_key_and_open_access_reach_every_user_id),
        STORE_TEST(what_a_key_made_no_visitor_takes_over),
        STORE_TEST(the_server_s_ids_are_for_whoever_knows_them),
        STORE_TEST(of_many_at_once_with_one_user_id_one_becomes_the_owner),
        STORE_TEST(a_visitor_s_row_is_touched_once_a_day),
        STORE_TEST(a_turn_costs_one_transaction_with_its_owner),
        STORE_TEST(keys_are_found_until_they_are_revoked),
        STORE_TEST(a_key_is_nowhere_in_the_store),
        STORE_TEST(odd_names_of_keys_are_refused),
        STORE_TEST(erasing_an_owner_leaves_no_row_in_any_table),
        STORE_TEST(a_picture_that_no_question_shows_goes_after_a_week),
        STORE_TEST(every_table_of_a_conversation_goes_with_it),
        STORE_TEST(old_conversations_are_erased_in_portions),
        STORE_TEST(only_sessions_without_a_word_are_swept),
        STORE_TEST(an_answer_that_was_erased_while_it_ran_ends_quietly),
        STORE_TEST(a_visitor_is_found_by_the_beginning_of_his_id),
        STORE_TEST(sweeping_keeps_visitors_with_conversations_and_fresh_lines),
        STORE_TEST(the_audit_log_shows_the_newest_and_bounds_floods),
        STORE_TEST(a_job_is_for_one_holder_until_its_time_is_over),
        STORE_TEST(the_secret_is_made_once_whoever_comes_first),
        STORE_TEST(a_secret_that_is_none_stops_the_start),
    };

    return cmocka_run_group_tests_name("store_owners", tests, NULL, NULL);
}
