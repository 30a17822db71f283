/*
 * store, an answer grows and ends: checkpoints, leases, the end, stop requests, reading, health.
 */
#include "tests/unit/store_fixture.h"

static enum result checkpoint(struct store_fixture *fixture, int64_t row, const char *writer,
                              const char *text, int64_t at, bool *stop)
{
    struct store_checkpoint one = { .message_row = row,
                                    .writer = writer,
                                    .text = text,
                                    .text_len = text != NULL ? strlen(text) : 0 };
    enum result result =
        store_answers_checkpoint(fixture->store, &one, 1, T0 + at, T0 + at + LEASE);

    if (stop != NULL)
        *stop = one.stop_requested;
    return result;
}

static void assert_answer(struct store_fixture *fixture, const char *id, int64_t at,
                          enum turn_status status, const char *text)
{
    struct store_answer answer = store_fixture_get(fixture, id, 0, at);

    assert_int_equal(answer.status, status);
    assert_string_equal(answer.text, text);
    assert_int_equal(answer.total_len, strlen(text));
    store_answer_free(&answer);
}

/* Begin a turn whose history nobody looks at. */
static struct store_turn_begun begin(struct store_fixture *fixture)
{
    struct store_turn_begun begun = store_fixture_begin(fixture, "question", &(struct ask){ 0 });

    free(begun.rows);
    begun.rows = NULL;
    chat_messages_free(begun.history, begun.history_len);
    begun.history = NULL;
    begun.history_len = 0;
    return begun;
}

static void an_answer_begins_grows_and_ends(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    struct store_answer answer;

    assert_answer(fixture, begun.message_id, 0, TURN_STREAMING, "");
    assert_int_equal(checkpoint(fixture, begun.message_row, "writer", "Hel", 250, NULL), RESULT_OK);
    assert_answer(fixture, begun.message_id, 300, TURN_STREAMING, "Hel");
    assert_int_equal(
        store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "Hello"), RESULT_OK);
    answer = store_fixture_get(fixture, begun.message_id, 0, 600);
    assert_int_equal(answer.status, TURN_COMPLETE);
    assert_int_equal(answer.finish, FINISH_STOP);
    assert_string_equal(answer.text, "Hello");
    assert_string_equal(answer.conversation_id, begun.conversation_id);
    assert_string_equal(answer.contract, "support");
    assert_string_equal(answer.provider, "demo");
    assert_string_equal(answer.model, "demo-2");
    assert_string_equal(answer.error_code, "");
    assert_null(answer.user_id);
    assert_true(answer.usage.known);
    assert_int_equal(answer.usage.total_tokens, 18);
    assert_int_equal(answer.usage.prompt_tokens, 11);
    assert_int_equal(answer.updated_ms, T0 + 500);
    store_answer_free(&answer);
}

static void usage_that_nobody_reported_stays_unknown(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    struct store_answer_end end = { .message_row = begun.message_row,
                                    .writer = "writer",
                                    .status = TURN_FAILED,
                                    .finish = FINISH_ERROR,
                                    .error_code = "upstream_down",
                                    .now_ms = T0 };
    struct store_answer answer;

    assert_int_equal(store_answer_end(fixture->store, &end), RESULT_OK);
    answer = store_fixture_get(fixture, begun.message_id, 0, 1);
    assert_int_equal(answer.status, TURN_FAILED);
    assert_false(answer.usage.known);
    assert_string_equal(answer.error_code, "upstream_down");
    assert_string_equal(answer.provider, "demo");
    assert_string_equal(answer.model, "demo-1");
    assert_string_equal(answer.text, "");
    store_answer_free(&answer);
}

static void reading_goes_on_from_an_offset_and_never_splits_a_character(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    const struct {
        size_t after;
        const char *text;
    } cases[] = { { 0, "gr\xc3\xbc\xc3\x9f" },
                  { 2, "\xc3\xbc\xc3\x9f" },
                  { 3, "\xc3\x9f" },
                  { 4, "\xc3\x9f" },
                  { 6, "" },
                  { 99, "" } };

    store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "gr\xc3\xbc\xc3\x9f");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store_answer answer =
            store_fixture_get(fixture, begun.message_id, cases[i].after, 600);

        assert_string_equal(answer.text, cases[i].text);
        assert_int_equal(answer.text_len, strlen(cases[i].text));
        assert_int_equal(answer.total_len, 6);
        store_answer_free(&answer);
    }
}

static void an_answer_with_a_nul_inside_comes_back_whole(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    struct store_answer_end end = { .message_row = begun.message_row,
                                    .writer = "writer",
                                    .status = TURN_COMPLETE,
                                    .text = "a\0b",
                                    .text_len = 3 };
    struct store_answer answer;

    assert_int_equal(store_answer_end(fixture->store, &end), RESULT_OK);
    answer = store_fixture_get(fixture, begun.message_id, 0, 1);
    assert_int_equal(answer.text_len, 3);
    assert_memory_equal(answer.text, "a\0b", 4);
    store_answer_free(&answer);
}

static void only_answers_can_be_read_and_only_by_their_id(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db;
    struct db_stmt *stmt;
    struct store_answer answer;
    struct fault fault = { 0 };
    char question[CAP_ID];

    begin(fixture);
    db = store_fixture_handle(fixture);
    stmt = db_prepare(db, "SELECT public_id FROM messages WHERE role = 'user'");
    assert_true(db_step(stmt));
    snprintf(question, sizeof question, "%s", db_text(stmt, 0, NULL));
    db_close(db);
    assert_int_equal(store_answer_get(fixture->store, question, 0, T0, &answer, &fault),
                     RESULT_NOT_FOUND);
    assert_int_equal(store_answer_get(fixture->store, "msg_none", 0, T0, &answer, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_message");
    assert_null(answer.text);
}

/* ---- leases ---- */

static void an_expired_lease_reads_as_interrupted_before_anybody_marks_it(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);

    assert_answer(fixture, begun.message_id, LEASE, TURN_STREAMING, "");
    assert_answer(fixture, begun.message_id, LEASE + 1, TURN_INTERRUPTED, "");
}

static void a_checkpoint_renews_the_lease_with_and_without_text(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);

    checkpoint(fixture, begun.message_row, "writer", "text", 4000, NULL);
    checkpoint(fixture, begun.message_row, "writer", NULL, 8000, NULL);
    assert_answer(fixture, begun.message_id, 8000 + LEASE, TURN_STREAMING, "text");
    assert_answer(fixture, begun.message_id, 8000 + LEASE + 1, TURN_INTERRUPTED, "text");
}

static void expired_leases_become_interrupted_and_others_stay(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun dead = begin(fixture);
    struct store_turn_begun done = begin(fixture);
    struct store_turn_begun alive = begin(fixture);
    int64_t count = -1;

    checkpoint(fixture, dead.message_row, "writer", "so far", 250, NULL);
    store_fixture_end(fixture, done.message_row, "writer", TURN_COMPLETE, "whole");
    checkpoint(fixture, alive.message_row, "writer", "growing", 5000, NULL);
    assert_int_equal(store_leases_expire(fixture->store, T0 + 8000, &count), RESULT_OK);
    assert_int_equal(count, 1);
    assert_answer(fixture, dead.message_id, 0, TURN_INTERRUPTED, "so far");
    assert_answer(fixture, done.message_id, 8000, TURN_COMPLETE, "whole");
    assert_answer(fixture, alive.message_id, 8000, TURN_STREAMING, "growing");
    assert_int_equal(store_leases_expire(fixture->store, T0 + 8000, &count), RESULT_OK);
    assert_int_equal(count, 0);
}

static void expiring_leases_does_not_look_through_the_history(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db = store_fixture_handle(fixture);
    struct db_stmt *stmt =
        db_prepare(db, "EXPLAIN QUERY PLAN UPDATE messages SET status = 'interrupted'"
                       " WHERE status = 'streaming' AND lease_until_ms < 5");

    assert_true(db_step(stmt));
    assert_non_null(strstr(db_text(stmt, 3, NULL), "messages_running"));
    db_close(db);
}

static void the_end_takes_back_an_answer_that_was_given_up(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);

    store_leases_expire(fixture->store, T0 + LEASE + 1, NULL);
    assert_answer(fixture, begun.message_id, 0, TURN_INTERRUPTED, "");
    assert_int_equal(
        store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "whole"), RESULT_OK);
    assert_answer(fixture, begun.message_id, 0, TURN_COMPLETE, "whole");
}

static void a_slow_writer_takes_its_answer_back_with_the_next_checkpoint(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);

    store_leases_expire(fixture->store, T0 + LEASE + 1, NULL);
    checkpoint(fixture, begun.message_row, "writer", "goes on", 7000, NULL);
    assert_answer(fixture, begun.message_id, 7001, TURN_STREAMING, "goes on");
}

static void a_checkpoint_that_comes_after_the_end_changes_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    const enum turn_status ends[] = { TURN_COMPLETE, TURN_STOPPED, TURN_INTERRUPTED, TURN_FAILED };

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct store_turn_begun begun = begin(fixture);

        store_fixture_end(fixture, begun.message_row, "writer", ends[i], "the whole text");
        checkpoint(fixture, begun.message_row, "writer", "the whole", 700, NULL);
        checkpoint(fixture, begun.message_row, "writer", NULL, 700, NULL);
        assert_answer(fixture, begun.message_id, 701, ends[i], "the whole text");
    }
}

static void an_end_may_be_repeated(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);

    for (int i = 0; i < 2; i++)
        assert_int_equal(
            store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "text"),
            RESULT_OK);
    assert_answer(fixture, begun.message_id, 0, TURN_COMPLETE, "text");
}

static void another_writer_cannot_touch_the_answer(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    bool stop = false;

    assert_int_equal(checkpoint(fixture, begun.message_row, "thief", "stolen", 1, &stop),
                     RESULT_OK);
    assert_true(stop);
    assert_int_equal(
        store_fixture_end(fixture, begun.message_row, "thief", TURN_COMPLETE, "stolen"),
        RESULT_NOT_FOUND);
    assert_answer(fixture, begun.message_id, 1, TURN_STREAMING, "");
}

static void the_end_of_an_erased_answer_says_so(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    struct db *db = store_fixture_handle(fixture);

    assert_true(db_exec(db, "DELETE FROM conversations"));
    assert_int_equal(db_exec_int(db, "SELECT count(*) FROM messages", -1), 0);
    db_close(db);
    assert_int_equal(checkpoint(fixture, begun.message_row, "writer", "x", 1, NULL), RESULT_OK);
    assert_int_equal(store_fixture_end(fixture, begun.message_row, "writer", TURN_COMPLETE, "x"),
                     RESULT_NOT_FOUND);
}

static void one_checkpoint_serves_many_answers(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun[100];
    struct store_checkpoint grown[100];
    struct store_stats before, after;

    for (size_t i = 0; i < 100; i++) {
        begun[i] = begin(fixture);
        grown[i] = (struct store_checkpoint){
            .message_row = begun[i].message_row, .writer = "writer", .text = "text", .text_len = 4
        };
    }
    store_stats(fixture->store, &before);
    assert_int_equal(store_answers_checkpoint(fixture->store, grown, 100, T0 + 1, T0 + LEASE),
                     RESULT_OK);
    store_stats(fixture->store, &after);
    assert_int_equal(after.commits, before.commits + 1);
    for (size_t i = 0; i < 100; i++)
        assert_answer(fixture, begun[i].message_id, 2, TURN_STREAMING, "text");
    assert_int_equal(store_answers_checkpoint(fixture->store, NULL, 0, T0, T0), RESULT_OK);
}

/* ---- stop ---- */

static void a_stop_request_reaches_the_writer_with_its_next_checkpoint(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = begin(fixture);
    struct store_stop stop;
    bool requested = true;

    checkpoint(fixture, begun.message_row, "writer", "gr\xc3\xbc", 100, &requested);
    assert_false(requested);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_answer_stop(fixture->store, begun.message_id, T0 + 150, &stop, NULL),
                         RESULT_OK);
        assert_int_equal(stop.status, TURN_STREAMING);
        assert_int_equal(stop.content_length, 4);
    }
    checkpoint(fixture, begun.message_row, "writer", "more", 200, &requested);
    assert_true(requested);
    checkpoint(fixture, begun.message_row, "writer", NULL, 300, &requested);
    assert_true(requested);
}

static void stopping_what_has_ended_or_died_only_tells_how_it_is(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun done = begin(fixture);
    struct store_turn_begun dead = begin(fixture);
    struct store_stop stop;
    struct fault fault = { 0 };

    store_fixture_end(fixture, done.message_row, "writer", TURN_COMPLETE, "whole");
    assert_int_equal(store_answer_stop(fixture->store, done.message_id, T0, &stop, NULL),
                     RESULT_OK);
    assert_int_equal(stop.status, TURN_COMPLETE);
    assert_int_equal(stop.content_length, 5);
    assert_int_equal(
        store_fixture_int(fixture, "SELECT count(*) FROM messages WHERE stop_requested"), 0);
    assert_int_equal(
        store_answer_stop(fixture->store, dead.message_id, T0 + LEASE + 1, &stop, NULL), RESULT_OK);
    assert_int_equal(stop.status, TURN_INTERRUPTED);
    assert_int_equal(store_answer_stop(fixture->store, "msg_none", T0, &stop, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_message");
}

static void a_ping_writes_and_reads_back(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t latency_us = -1;

    assert_int_equal(store_ping(fixture->store, &latency_us), RESULT_OK);
    assert_int_equal(store_ping(fixture->store, NULL), RESULT_OK);
    assert_true(latency_us >= 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM health"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_answer_begins_grows_and_ends),
        STORE_TEST(usage_that_nobody_reported_stays_unknown),
        STORE_TEST(reading_goes_on_from_an_offset_and_never_splits_a_character),
        STORE_TEST(an_answer_with_a_nul_inside_comes_back_whole),
        STORE_TEST(only_answers_can_be_read_and_only_by_their_id),
        STORE_TEST(an_expired_lease_reads_as_interrupted_before_anybody_marks_it),
        STORE_TEST(a_checkpoint_renews_the_lease_with_and_without_text),
        STORE_TEST(expired_leases_become_interrupted_and_others_stay),
        STORE_TEST(expiring_leases_does_not_look_through_the_history),
        STORE_TEST(the_end_takes_back_an_answer_that_was_given_up),
        STORE_TEST(a_slow_writer_takes_its_answer_back_with_the_next_checkpoint),
        STORE_TEST(a_checkpoint_that_comes_after_the_end_changes_nothing),
        STORE_TEST(an_end_may_be_repeated),
        STORE_TEST(another_writer_cannot_touch_the_answer),
        STORE_TEST(the_end_of_an_erased_answer_says_so),
        STORE_TEST(one_checkpoint_serves_many_answers),
        STORE_TEST(a_stop_request_reaches_the_writer_with_its_next_checkpoint),
        STORE_TEST(stopping_what_has_ended_or_died_only_tells_how_it_is),
        STORE_TEST(a_ping_writes_and_reads_back),
    };
    return cmocka_run_group_tests_name("store_answer", tests, NULL, NULL);
}
