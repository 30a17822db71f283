/*
 * store in trouble: locked, full, a query-only handle, wrong SQL. Each is told to the client in a sentence
 * without SQL or path, logged without values, and over when its cause is.
 */
#include "tests/unit/store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void assert_turn_fails(struct store_fixture *fixture, const char *code)
{
    struct store_turn_begun begun;
    struct fault fault = { 0 };

    assert_int_equal(
        store_fixture_ask(fixture, "my secret question", &(struct ask){ 0 }, &begun, &fault),
        RESULT_STORE_DOWN);
    assert_string_equal(fault.code, code);
    assert_null(begun.history);
    assert_null(strstr(fault.text, "INSERT"));
    assert_null(strstr(fault.text, fixture->dir));
    assert_true(fault.text[0] != '\0');
}

static void assert_turn_works(struct store_fixture *fixture)
{
    struct store_turn_begun begun =
        store_fixture_turn(fixture, "question", &(struct ask){ 0 }, TURN_COMPLETE, "answer");
    store_turn_begun_free(&begun);
}

static int open_impatient(void **state)
{
    struct store_fixture *fixture;

    if (store_fixture_prepare(state) != 0)
        return -1;
    fixture = *state;
    fixture->config.store_busy_ms = 100;
    return store_open(&fixture->config, &fixture->store, NULL) == RESULT_OK ? 0 : -1;
}

static void a_store_that_somebody_locked_is_busy_and_says_when_to_come_back(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *holder = store_fixture_handle(fixture);
    struct store_turn_begun begun;
    struct fault fault = { 0 };
    int64_t started = clock_mono_ms();

    assert_true(db_begin(holder));
    assert_turn_fails(fixture, "store_busy");
    assert_in_range(clock_mono_ms() - started, 100, 5000);
    assert_int_equal(store_fixture_ask(fixture, "q", &(struct ask){ 0 }, &begun, &fault),
                     RESULT_STORE_DOWN);
    assert_int_equal(fault.retry_after_s, 1);
    assert_int_equal(store_ping(fixture->store, NULL), RESULT_STORE_DOWN);
    assert_int_equal(store_leases_expire(fixture->store, T0, NULL), RESULT_STORE_DOWN);
    db_rollback(holder);
    db_close(holder);
    assert_turn_works(fixture);
    assert_int_equal(store_ping(fixture->store, NULL), RESULT_OK);
}

static void reading_goes_on_while_somebody_writes(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "q", &(struct ask){ 0 });
    struct db *holder = store_fixture_handle(fixture);
    struct store_answer answer;

    assert_true(db_begin(holder));
    answer = store_fixture_get(fixture, begun.message_id, 0, 0);
    assert_int_equal(answer.status, TURN_STREAMING);
    store_answer_free(&answer);
    db_rollback(holder);
    db_close(holder);
    store_turn_begun_free(&begun);
}

/* The largest file that this process may write; 0 takes the limit away. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes != 0 ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_refuses_turns_keeps_reading_and_heals_by_itself(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "q", &(struct ask){ 0 });
    struct store_checkpoint grown = {
        .message_row = begun.message_row, .writer = "writer", .text = "text", .text_len = 4
    };
    struct store_answer answer;
    struct stat info;
    char wal[112];

    snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    assert_int_equal(stat(wal, &info), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)info.st_size);
    assert_turn_fails(fixture, "store_full");
    assert_non_null(strstr(store_fixture_log, "\"status\":\"full\""));
    assert_null(strstr(store_fixture_log, "secret"));
    assert_int_equal(store_answers_checkpoint(fixture->store, &grown, 1, T0, T0),
                     RESULT_STORE_DOWN);
    assert_int_equal(store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "x"),
                     RESULT_STORE_DOWN);
    assert_int_equal(store_ping(fixture->store, NULL), RESULT_STORE_DOWN);
    answer = store_fixture_get(fixture, begun.message_id, 0, 0);
    assert_int_equal(answer.status, TURN_STREAMING);
    store_answer_free(&answer);
    limit_files(0);
    assert_turn_works(fixture);
    assert_int_equal(store_ping(fixture->store, NULL), RESULT_OK);
    assert_int_equal(store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "x"),
                     RESULT_OK);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 4);
    store_turn_begun_free(&begun);
}

/* In a process that is not root, which may write anywhere. 0 when opening failed as it should. */
static int open_without_rights(struct store_fixture *fixture)
{
    struct fault fault = { 0 };

    if (geteuid() == 0 && setuid(65534) != 0)
        return 1;
    if (store_open(&fixture->config, &fixture->store, &fault) != RESULT_STORE_DOWN)
        return 2;
    if (strcmp(fault.code, "store_unusable") != 0)
        return 3;
    return strstr(fault.text, "must belong") == NULL && strstr(fault.text, "ermission") == NULL ? 4
                                                                                                : 0;
}

static void assert_cannot_open(struct store_fixture *fixture)
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(open_without_rights(fixture));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void what_may_not_be_written_is_refused_at_the_start(void **state)
{
    struct store_fixture *fixture = *state;
    char var[80];

    snprintf(var, sizeof var, "%s/var", fixture->dir);
    assert_int_equal(chmod(fixture->dir, 0555), 0);
    assert_cannot_open(fixture); /* no directory can be made */
    assert_int_equal(chmod(fixture->dir, 0755), 0);

    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(chmod(var, 0555), 0);
    assert_int_equal(chmod(fixture->path, 0666), 0);
    assert_cannot_open(fixture); /* no log can be made beside the file */
    assert_int_equal(chmod(var, 0777), 0);
    assert_int_equal(chmod(fixture->path, 0444), 0);
    assert_cannot_open(fixture); /* the file itself */
    assert_int_equal(chmod(fixture->path, 0600), 0);
    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
}

static void a_table_that_is_gone_is_a_failure_not_a_crash(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db = store_fixture_handle(fixture);
    struct store_answer answer;
    struct fault fault = { 0 };

    assert_true(db_exec(db, "DROP TABLE messages"));
    db_close(db);
    assert_turn_fails(fixture, "store_failed");
    assert_non_null(strstr(store_fixture_log, "no such table"));
    assert_int_equal(store_answer_get(fixture->store, "msg_x", 0, T0, &answer, &fault),
                     RESULT_STORE_DOWN);
    assert_string_equal(fault.code, "store_failed");
}

static void a_failed_handle_swallows_what_follows_until_it_is_cleared(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db = store_fixture_handle(fixture);
    struct db_stmt *stmt = db_prepare(db, "SELECT nonsense");

    db_bind_int(stmt, ":x", 1);
    assert_false(db_step(stmt));
    assert_int_equal(db_status(db), DB_FAILED);
    assert_int_equal(db_exec_int(db, "SELECT 7", -1), -1);
    db_clear(db);
    assert_int_equal(db_exec_int(db, "SELECT 7", -1), 7);
    stmt = db_prepare(db, "SELECT :a");
    db_bind_int(stmt, ":b", 1);
    assert_int_equal(db_status(db), DB_FAILED);
    db_close(db);
}

static void a_handle_serves_more_statements_than_it_keeps(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db = store_fixture_handle(fixture);
    char sql[100][24];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(sql[i], sizeof sql[i], "SELECT %d", i);
            assert_int_equal(db_exec_int(db, sql[i], -1), i);
        }
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_store_that_somebody_locked_is_busy_and_says_when_to_come_back, open_impatient,
            store_fixture_close),
        STORE_TEST(reading_goes_on_while_somebody_writes),
        STORE_TEST(a_full_disk_refuses_turns_keeps_reading_and_heals_by_itself),
        STORE_TEST_UNOPENED(what_may_not_be_written_is_refused_at_the_start),
        STORE_TEST(a_table_that_is_gone_is_a_failure_not_a_crash),
        STORE_TEST(a_failed_handle_swallows_what_follows_until_it_is_cleared),
        STORE_TEST(a_handle_serves_more_statements_than_it_keeps),
    };
    return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
