/*
 * db_writer and db_readers: group commit, jobs that fail, one lock for several processes, handles lent out.
 */
#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/store/db_readers.h"
#include "common/store/db_writer.h"

#define THREADS  16
#define ROUNDS   200
#define PER_FORK 250

struct writing {
    struct db_options options;
    struct db_writer *writer;
    int64_t next; /* atomic: numbers for rows */
};

static struct writing start_writing(struct store_fixture *fixture, int busy_ms)
{
    struct writing writing = { .options = {
                                   .path = fixture->path, .busy_ms = busy_ms, .cache_kib = 512 } };
    struct db *db = store_fixture_handle(fixture);

    assert_true(db_exec(db, "CREATE TABLE rows (value INTEGER PRIMARY KEY, kind TEXT) STRICT"));
    db_close(db);
    return writing;
}

enum job_kind { JOB_GOOD, JOB_REFUSES, JOB_BREAKS_A_RULE };

struct row_job {
    int64_t value;
    enum job_kind kind;
};

static enum result insert_row(struct db *db, void *arg)
{
    const struct row_job *job = arg;
    struct db_stmt *stmt = db_prepare(db, "INSERT INTO rows (value, kind) VALUES (:value, :kind)");

    db_bind_int(stmt, ":value", job->value);
    db_bind_text(stmt, ":kind", job->kind == JOB_GOOD ? "good" : "bad");
    db_run(stmt);
    if (job->kind == JOB_BREAKS_A_RULE) {
        stmt = db_prepare(db, "INSERT INTO rows (value) VALUES (:value)");
        db_bind_int(stmt, ":value", job->value);
        db_run(stmt);
    }
    return job->kind == JOB_REFUSES ? RESULT_CONFLICT : RESULT_OK;
}

static void *write_rows(void *arg)
{
    struct writing *writing = arg;
    intptr_t wrong = 0;

    for (int i = 0; i < ROUNDS; i++) {
        static const enum result expected[] = { RESULT_OK, RESULT_CONFLICT, RESULT_STORE_DOWN };
        struct row_job job = { __atomic_add_fetch(&writing->next, 1, __ATOMIC_RELAXED),
                               i % 7 == 3   ? JOB_REFUSES
                               : i % 7 == 5 ? JOB_BREAKS_A_RULE
                                            : JOB_GOOD };
        enum db_status why;
        enum result result = db_writer_run(writing->writer, insert_row, &job, &why);

        wrong += result != expected[job.kind];
        wrong += why != (job.kind == JOB_BREAKS_A_RULE ? DB_CONSTRAINT : DB_OK);
    }
    return (void *)wrong;
}

static void jobs_share_commits_and_a_failing_one_hurts_no_other(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = start_writing(fixture, 20000);
    struct db_writer_stats stats;
    pthread_t threads[THREADS];
    int64_t good = 0;
    void *wrong;

    writing.writer = db_writer_new(&writing.options);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_rows, &writing);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    db_writer_stats(writing.writer, &stats);
    db_writer_free(writing.writer);
    for (int i = 0; i < ROUNDS; i++)
        good += i % 7 != 3 && i % 7 != 5;
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM rows WHERE kind = 'good'"),
                     good * THREADS);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM rows WHERE kind <> 'good'"),
                     0);
    assert_int_equal(stats.jobs, THREADS * ROUNDS);
    assert_true(stats.commits < stats.jobs);
    assert_true(stats.commits > 0);
}

static void *write_batches(void *arg)
{
    struct writing *writing = arg;
    intptr_t wrong = 0;

    for (int i = 0; i < ROUNDS / 10; i++) {
        static const enum job_kind kinds[] = { JOB_GOOD, JOB_REFUSES, JOB_GOOD, JOB_BREAKS_A_RULE };
        static const enum result expected[] = { RESULT_OK, RESULT_CONFLICT, RESULT_STORE_DOWN };
        struct row_job rows[DB_WRITER_GROUP];
        struct db_writer_work works[DB_WRITER_GROUP];
        size_t count = 1 + (size_t)i * 7 % DB_WRITER_GROUP;

        for (size_t at = 0; at < count; at++) {
            rows[at].value = __atomic_add_fetch(&writing->next, 1, __ATOMIC_RELAXED);
            rows[at].kind = kinds[at % 4];
            works[at] = (struct db_writer_work){ .run = insert_row, .arg = &rows[at] };
        }
        db_writer_run_all(writing->writer, works, count);
        for (size_t at = 0; at < count; at++)
            wrong += works[at].result != expected[rows[at].kind];
    }
    return (void *)wrong;
}

static void jobs_of_one_caller_are_committed_together_each_with_its_own_result(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = start_writing(fixture, 20000);
    struct row_job rows[] = { { 1, JOB_GOOD }, { 2, JOB_BREAKS_A_RULE }, { 3, JOB_GOOD } };
    struct db_writer_work works[3];
    struct db_writer_stats stats;
    pthread_t threads[4];
    void *wrong;

    for (size_t i = 0; i < 3; i++)
        works[i] = (struct db_writer_work){ .run = insert_row, .arg = &rows[i] };
    writing.next = 3;
    writing.writer = db_writer_new(&writing.options);
    db_writer_run_all(writing.writer, works, 3);
    assert_int_equal(works[0].result, RESULT_OK);
    assert_int_equal(works[1].result, RESULT_STORE_DOWN);
    assert_int_equal(works[1].why, DB_CONSTRAINT);
    assert_int_equal(works[2].result, RESULT_OK);
    db_writer_stats(writing.writer, &stats);
    assert_int_equal(stats.jobs, 3);
    assert_int_equal(stats.commits, 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT sum(value) FROM rows"), 4);

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, write_batches, &writing);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    db_writer_free(writing.writer);
}

static void *write_one(void *arg)
{
    struct writing *writing = arg;
    struct row_job job = { __atomic_add_fetch(&writing->next, 1, __ATOMIC_RELAXED), JOB_GOOD };
    enum db_status why;
    enum result result = db_writer_run(writing->writer, insert_row, &job, &why);

    return (void *)(intptr_t)(result == RESULT_STORE_DOWN && why == DB_BUSY);
}

static void a_lock_that_stays_held_fails_every_job_within_its_deadline(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = start_writing(fixture, 150);
    struct db *holder = store_fixture_handle(fixture);
    pthread_t threads[THREADS];
    int64_t started = clock_mono_ms(), took;
    void *busy;

    writing.writer = db_writer_new(&writing.options);
    assert_true(db_begin(holder));
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_one, &writing);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &busy);
        assert_non_null(busy);
    }
    took = clock_mono_ms() - started;
    assert_in_range(took, 150, 5000);
    db_rollback(holder);
    db_close(holder);
    assert_null(write_one(&writing));
    db_writer_free(writing.writer);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM rows"), 1);
}

static enum result rewrite_everything(struct db *db, void *arg)
{
    (void)arg;
    db_exec(db, "ROLLBACK");
    return RESULT_OK;
}

static void a_transaction_that_was_lost_is_reported_even_when_the_job_says_ok(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = start_writing(fixture, 1000);
    struct row_job job = { 1, JOB_GOOD };

    writing.writer = db_writer_new(&writing.options);
    assert_int_equal(db_writer_run(writing.writer, rewrite_everything, NULL, NULL),
                     RESULT_STORE_DOWN);
    assert_int_equal(db_writer_run(writing.writer, insert_row, &job, NULL), RESULT_OK);
    db_writer_free(writing.writer);
}

static void readers_are_lent_up_to_their_number_and_come_back(void **state)
{
    struct store_fixture *fixture = *state;
    struct db_options options = {
        .path = fixture->path, .busy_ms = 50, .cache_kib = 128, .query_only = true
    };
    struct db_readers *readers = db_readers_new(&options);
    struct db *lent[DB_READERS_MAX];
    enum db_status status;

    for (size_t i = 0; i < DB_READERS_MAX; i++) {
        lent[i] = db_readers_take(readers, &status);
        assert_non_null(lent[i]);
    }
    assert_null(db_readers_take(readers, &status));
    assert_int_equal(status, DB_BUSY);
    assert_false(db_exec(lent[0], "DELETE FROM conversations"));
    assert_int_equal(db_readers_return(readers, lent[0]), DB_READONLY);
    assert_ptr_equal(db_readers_take(readers, &status), lent[0]);
    assert_int_equal(db_status(lent[0]), DB_OK);
    for (size_t i = 0; i < DB_READERS_MAX; i++)
        assert_int_equal(db_readers_return(readers, lent[i]), DB_OK);
    db_readers_free(readers);
}

/* ---- the log ---- */

static enum result insert_pages(struct db *db, void *arg)
{
    const int *pages = arg;
    struct db_stmt *stmt =
        db_prepare(db, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
                       " i < :pages) INSERT INTO rows (kind) SELECT hex(zeroblob(2000)) FROM n");

    db_bind_int(stmt, ":pages", *pages);
    db_run(stmt);
    return RESULT_OK;
}

/* In pages, by groups that are large enough for a look at the log after each. */
static off_t log_after_writing(struct db_writer *writer, const struct store_fixture *fixture,
                               int groups)
{
    char path[112];
    struct stat log;
    int pages = 1000;

    for (int i = 0; i < groups; i++)
        assert_int_equal(db_writer_run(writer, insert_pages, &pages, NULL), RESULT_OK);
    snprintf(path, sizeof path, "%s-wal", fixture->path);
    assert_int_equal(stat(path, &log), 0);
    return log.st_size / 4096;
}

static void a_log_begins_anew_and_a_long_reader_holds_nobody_up(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = start_writing(fixture, 10000);
    struct db *reader = store_fixture_handle(fixture);
    int64_t started;
    off_t grown;

    writing.writer = db_writer_new(&writing.options);
    assert_true(log_after_writing(writing.writer, fixture, 12) < 4000);

    assert_true(db_exec(reader, "BEGIN; SELECT count(*) FROM rows"));
    started = clock_mono_ms();
    grown = log_after_writing(writing.writer, fixture, 8);
    assert_true(grown > 7000);
    assert_true(clock_mono_ms() - started < 10000); /* it would be that for each try */

    db_rollback(reader);
    db_close(reader);
    assert_true(log_after_writing(writing.writer, fixture, 12) <= grown + 3000);
    db_writer_free(writing.writer);
}

/* ---- two processes ---- */

static void *take_turns(void *arg)
{
    struct store_fixture *fixture = arg;
    intptr_t wrong = 0;

    for (int i = 0; i < PER_FORK; i++) {
        struct store_turn_begun begun;
        const struct ask ask = { 0 };

        if (store_fixture_ask(fixture, "question", &ask, &begun, NULL) != RESULT_OK) {
            wrong++;
            continue;
        }
        wrong += begun.history_len != 1;
        wrong += store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "answer") !=
                 RESULT_OK;
        store_turn_begun_free(&begun);
    }
    return (void *)wrong;
}

/* A worker's life: opens after fork, four request threads, closes. */
static int be_a_worker(struct store_fixture *fixture)
{
    pthread_t threads[4];
    bool bad = store_open(&fixture->config, &fixture->store, NULL) != RESULT_OK;
    void *wrong;

    for (int i = 0; i < 4 && !bad; i++)
        pthread_create(&threads[i], NULL, take_turns, fixture);
    for (int i = 0; i < 4 && !bad; i++) {
        pthread_join(threads[i], &wrong);
        bad = bad || wrong != NULL;
    }
    store_close(fixture->store);
    return bad;
}

static void two_processes_write_two_thousand_turns_together(void **state)
{
    struct store_fixture *fixture = *state;
    int status;

    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(be_a_worker(fixture));
    }
    for (int i = 0; i < 2; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 4000);
    assert_int_equal(store_fixture_int(fixture,
                                       "SELECT count(*) FROM messages WHERE status = 'complete'"
                                       " AND role = 'assistant' AND content = 'answer'"),
                     2000);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations"), 2000);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM pragma_foreign_key_check"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST_UNOPENED(two_processes_write_two_thousand_turns_together),
        STORE_TEST(jobs_share_commits_and_a_failing_one_hurts_no_other),
        STORE_TEST(jobs_of_one_caller_are_committed_together_each_with_its_own_result),
        STORE_TEST(a_lock_that_stays_held_fails_every_job_within_its_deadline),
        STORE_TEST(a_transaction_that_was_lost_is_reported_even_when_the_job_says_ok),
        STORE_TEST(a_log_begins_anew_and_a_long_reader_holds_nobody_up),
        STORE_TEST(readers_are_lent_up_to_their_number_and_come_back),
    };
    return cmocka_run_group_tests_name("store_writer", tests, NULL, NULL);
}
