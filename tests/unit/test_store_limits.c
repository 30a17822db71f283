/*
 * store, limits: questions counted with the turn or not at all, windows that begin and end, tokens reserved,
 * settled and never spent twice.
 */
#include "tests/unit/store_fixture.h"

#include <pthread.h>

#define MINUTE 60000
#define DAY    (24 * 3600 * 1000)

struct limited {
    struct store_charge *charges;
    size_t charge_count;
    struct store_spending *spending;
    const char *client_message_id;
    const char *conversation_id;
    int64_t at;
};

static enum result ask_limited(struct store_fixture *fixture, const struct limited *limited,
                               struct store_turn_begun *begun, struct fault *fault)
{
    struct turn_request request = {
        .message = (char *)"hello",
        .message_len = 5,
        .conversation_id = (char *)limited->conversation_id,
        .client_message_id = (char *)limited->client_message_id,
    };
    struct store_limits limits = { limited->charges, limited->charge_count, limited->spending };
    struct store_turn turn = {
        .contract = "support",
        .owner = &fixture->owner,
        .request = &request,
        .provider = "demo",
        .model = "demo-1",
        .writer = "writer",
        .history_max = 10,
        .now_ms = T0 + limited->at,
        .lease_until_ms = T0 + limited->at + LEASE,
        .limits = &limits,
    };

    return store_turn_begin(fixture->store, &turn, begun, fault);
}

/* Ask and forget; the result's code, "" when it was taken. */
static const char *ask_once(struct store_fixture *fixture, const struct limited *limited)
{
    static char code[40];
    struct store_turn_begun begun;
    struct fault fault = { 0 };
    enum result result = ask_limited(fixture, limited, &begun, &fault);

    assert_true(result == RESULT_OK || result == RESULT_LIMITED);
    if (result == RESULT_OK)
        store_turn_begun_free(&begun);
    snprintf(code, sizeof code, "%s", result == RESULT_OK ? "" : fault.code);
    return code;
}

static const char *ask_charged(struct store_fixture *fixture, struct store_charge *charge,
                               int64_t at)
{
    return ask_once(fixture, &(struct limited){ .charges = charge, .charge_count = 1, .at = at });
}

/* ---- windows ---- */

static void exactly_as_many_questions_pass_as_the_limit_says(void **state)
{
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 3 };

    for (int i = 1; i <= 3; i++) {
        assert_string_equal(ask_charged(*state, &charge, i), "");
        assert_int_equal(charge.used, i);
        assert_int_equal(charge.ends_ms, T0 + 1 + MINUTE);
    }
    assert_string_equal(ask_charged(*state, &charge, 50), "rate_limited");
    assert_int_equal(charge.used, 3);
    assert_int_equal(charge.ends_ms, T0 + 1 + MINUTE);
}

static void a_refused_question_leaves_nothing_behind(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_charge charges[] = {
        { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 5 },
        { .bucket = "address:b", .window_ms = MINUTE, .limit = 1 },
    };
    struct limited limited = { .charges = charges, .charge_count = 2 };

    assert_string_equal(ask_once(fixture, &limited), "");
    assert_string_equal(ask_once(fixture, &limited), "rate_limited");
    assert_string_equal(ask_once(fixture, &limited), "rate_limited");
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations"), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 2);
    assert_int_equal(
        store_fixture_int(fixture, "SELECT used FROM rate_windows WHERE bucket = 'visitor:a'"), 1);
}

static void a_window_ends_its_length_after_its_first_question(void **state)
{
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 1 };

    assert_string_equal(ask_charged(*state, &charge, 0), "");
    assert_string_equal(ask_charged(*state, &charge, MINUTE - 1), "rate_limited");
    assert_string_equal(ask_charged(*state, &charge, MINUTE), "");
    assert_int_equal(charge.ends_ms, T0 + 2 * MINUTE);
}

static void buckets_and_windows_are_counted_apart(void **state)
{
    struct store_charge a = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 1 };
    struct store_charge b = { .bucket = "visitor:b", .window_ms = MINUTE, .limit = 1 };
    struct store_charge day = { .bucket = "visitor:a", .window_ms = DAY, .limit = 1 };

    assert_string_equal(ask_charged(*state, &a, 0), "");
    assert_string_equal(ask_charged(*state, &b, 0), "");
    assert_string_equal(ask_charged(*state, &day, 0), "");
    assert_string_equal(ask_charged(*state, &a, 1), "rate_limited");
}

static void jobs_that_run_out_of_order_share_a_window(void **state)
{
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 10 };

    ask_charged(*state, &charge, 20);
    ask_charged(*state, &charge, 0);
    assert_int_equal(charge.used, 2);
    assert_int_equal(charge.ends_ms, T0 + 20 + MINUTE);
}

static void a_clock_that_was_set_back_locks_nobody_out(void **state)
{
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 1 };

    assert_string_equal(ask_charged(*state, &charge, 3 * MINUTE), "");
    assert_string_equal(ask_charged(*state, &charge, 0), "");
}

static void a_question_that_comes_again_is_not_charged_twice(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 1 };
    struct limited limited = { .charges = &charge, .charge_count = 1, .client_message_id = "m1" };
    struct store_turn_begun first, again;
    struct fault fault = { 0 };

    assert_int_equal(ask_limited(fixture, &limited, &first, &fault), RESULT_OK);
    limited.conversation_id = first.conversation_id;
    charge.ends_ms = 0;
    assert_int_equal(ask_limited(fixture, &limited, &again, &fault), RESULT_OK);
    assert_true(again.duplicate);
    assert_int_equal(charge.ends_ms, 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT used FROM rate_windows"), 1);
    store_turn_begun_free(&first);
    store_turn_begun_free(&again);
}

static void an_unknown_conversation_costs_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 1 };
    struct limited limited = { .charges = &charge, .charge_count = 1, .conversation_id = "conv_x" };
    struct store_turn_begun begun;
    struct fault fault = { 0 };

    assert_int_equal(ask_limited(fixture, &limited, &begun, &fault), RESULT_NOT_FOUND);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM rate_windows"), 0);
}

static void windows_that_have_ended_are_cleared_away(void **state)
{
    struct store_fixture *fixture = *state;
    char bucket[32];

    for (int i = 0; i < 40; i++) {
        struct store_charge charge = { .bucket = bucket, .window_ms = MINUTE, .limit = 1 };

        snprintf(bucket, sizeof bucket, "stranger:%d", i);
        ask_charged(fixture, &charge, i * MINUTE);
    }
    assert_true(store_fixture_int(fixture, "SELECT count(*) FROM rate_windows") <= 2);
}

static void looking_counts_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 3 };

    assert_int_equal(store_limits_get(fixture->store, &charge, 1, NULL, 0, T0), RESULT_OK);
    assert_int_equal(charge.used, 0);
    assert_int_equal(charge.ends_ms, T0 + MINUTE);
    ask_charged(fixture, &charge, 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_limits_get(fixture->store, &charge, 1, NULL, 0, T0 + 9), RESULT_OK);
        assert_int_equal(charge.used, 1);
        assert_int_equal(charge.ends_ms, T0 + 5 + MINUTE);
    }
    store_limits_get(fixture->store, &charge, 1, NULL, 0, T0 + 5 + MINUTE);
    assert_int_equal(charge.used, 0);
}

static void all_checks_of_a_turn_are_one_transaction(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_charge charges[6];
    struct store_budget budgets[3] = { { .bucket = "all", .limit = 100000 },
                                       { .bucket = "visitor:a", .limit = 100000 },
                                       { .bucket = "address:b", .limit = 100000 } };
    struct store_spending spending = { .budgets = budgets, .count = 3, .answer_tokens = 10 };
    struct limited limited = { .charges = charges, .charge_count = 6, .spending = &spending };
    struct store_stats before, after;

    for (int i = 0; i < 6; i++)
        charges[i] = (struct store_charge){ .bucket = i < 3 ? "visitor:a" : "address:b",
                                            .window_ms = MINUTE * (1 + i % 3),
                                            .limit = 1 };
    store_stats(fixture->store, &before);
    assert_string_equal(ask_once(fixture, &limited), "");
    store_stats(fixture->store, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(after.writes - before.writes, 1);
    assert_string_equal(ask_once(fixture, &limited), "rate_limited");
    store_stats(fixture->store, &before);
    assert_int_equal(before.commits - after.commits, 1);
}

/* ---- threads, group commit ---- */

struct crowd {
    struct store_fixture *fixture;
    int passed; /* atomic */
};

static void *ask_ten_times(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 10; i++) {
        struct store_charge charge = { .bucket = "visitor:a", .window_ms = MINUTE, .limit = 10 };
        struct limited limited = { .charges = &charge, .charge_count = 1, .at = i };
        struct store_turn_begun begun;
        struct fault fault = { 0 };

        if (ask_limited(crowd->fixture, &limited, &begun, &fault) == RESULT_OK) {
            __atomic_add_fetch(&crowd->passed, 1, __ATOMIC_SEQ_CST);
            store_turn_begun_free(&begun);
        }
    }
    return NULL;
}

static void a_crowd_gets_no_question_more_than_the_limit(void **state)
{
    struct crowd crowd = { .fixture = *state };
    pthread_t threads[8];

    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_ten_times, &crowd), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd.passed, 10);
    assert_int_equal(
        store_fixture_int(crowd.fixture, "SELECT count(*) FROM messages WHERE role = 'user'"), 10);
}

/* ---- tokens ---- */

static int64_t tokens_of(struct store_fixture *fixture, const char *bucket, int64_t at)
{
    struct store_budget budget = { .bucket = bucket, .limit = 1 };

    assert_int_equal(store_limits_get(fixture->store, NULL, 0, &budget, 1, T0 + at), RESULT_OK);
    return budget.used;
}

/* Ask with one budget; the answer's row, 0 when it was refused for the budget. */
static int64_t reserve(struct store_fixture *fixture, int64_t limit, int64_t answer_tokens,
                       int64_t at, int64_t *reserved)
{
    struct store_budget budget = { .bucket = "all", .limit = limit };
    struct store_spending spending = { .budgets = &budget,
                                       .count = 1,
                                       .answer_tokens = answer_tokens };
    struct limited limited = { .spending = &spending, .at = at };
    struct store_turn_begun begun;
    struct fault fault = { 0 };
    enum result result = ask_limited(fixture, &limited, &begun, &fault);
    int64_t row = 0;

    if (result == RESULT_OK) {
        row = begun.message_row;
        store_turn_begun_free(&begun);
    } else {
        assert_int_equal(result, RESULT_LIMITED);
        assert_string_equal(fault.code, "budget_exhausted");
    }
    if (reserved != NULL)
        *reserved = spending.reserved;
    return row;
}

static void end(struct store_fixture *fixture, int64_t row, const struct stream_usage *usage,
                bool unspent)
{
    struct store_answer_end last = { .message_row = row,
                                     .writer = "writer",
                                     .status = TURN_COMPLETE,
                                     .text = "x",
                                     .text_len = 1,
                                     .finish = FINISH_STOP,
                                     .usage = usage,
                                     .unspent = unspent,
                                     .error_code = "",
                                     .now_ms = T0 + 100 };

    assert_int_equal(store_answer_end(fixture->store, &last), RESULT_OK);
}

static void a_turn_reserves_its_prompt_and_the_longest_answer(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t reserved;

    assert_true(reserve(fixture, 1000, 90, 0, &reserved) > 0);
    assert_int_equal(reserved, 90 + window_estimate("hello", 5));
    assert_int_equal(tokens_of(fixture, "all", 0), reserved);
}

static void the_history_and_the_visitors_data_count_as_prompt(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first = store_fixture_turn(
        fixture, "hello", &(struct ask){ .context_json = "{\"page\":\"/a\"}" }, TURN_COMPLETE,
        "a long answer, of which every word goes to the model again");
    struct store_budget budget = { .bucket = "all", .limit = 1000 };
    struct store_spending spending = {
        .budgets = &budget, .count = 1, .answer_tokens = 10, .window = { .system_tokens = 100 }
    };
    int64_t history =
        window_estimate("a long answer, of which every word goes to the model again", 58);

    assert_string_equal(
        ask_once(fixture, &(struct limited){ .spending = &spending,
                                             .conversation_id = first.conversation_id }),
        "");
    assert_true(spending.reserved >= 110 + 2 * window_estimate("hello", 5) + history +
                                         window_estimate("{\"page\":\"/a\"}", 13));
    spending.window.max_messages = 1;
    assert_string_equal(
        ask_once(fixture, &(struct limited){ .spending = &spending,
                                             .conversation_id = first.conversation_id }),
        "");
    assert_true(spending.reserved < 110 + history + 60);
    store_turn_begun_free(&first);
}

static void the_end_puts_what_was_used_in_the_place_of_the_reservation(void **state)
{
    struct store_fixture *fixture = *state;
    struct stream_usage usage = {
        .prompt_tokens = 11, .completion_tokens = 7, .total_tokens = 18, .known = true
    };
    int64_t row = reserve(fixture, 1000, 90, 0, NULL);

    end(fixture, row, &usage, false);
    assert_int_equal(tokens_of(fixture, "all", 0), 18);
    end(fixture, row, &usage, false);
    assert_int_equal(tokens_of(fixture, "all", 0), 18);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM token_reservations"), 0);
}

static void usage_without_a_total_is_added_up(void **state)
{
    struct store_fixture *fixture = *state;
    struct stream_usage usage = { .prompt_tokens = 11, .completion_tokens = 7, .known = true };

    end(fixture, reserve(fixture, 1000, 90, 0, NULL), &usage, false);
    assert_int_equal(tokens_of(fixture, "all", 0), 18);
}

static void an_answer_that_cost_nothing_gives_all_back(void **state)
{
    struct store_fixture *fixture = *state;
    struct stream_usage guess = { .prompt_tokens = 11, .known = true, .estimated = true };

    end(fixture, reserve(fixture, 1000, 90, 0, NULL), &guess, true);
    assert_int_equal(tokens_of(fixture, "all", 0), 0);
}

static void without_figures_the_reservation_is_what_was_spent(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t reserved, row = reserve(fixture, 1000, 90, 0, &reserved);

    end(fixture, row, NULL, false);
    assert_int_equal(tokens_of(fixture, "all", 0), reserved);
}

static void a_dead_worker_gives_nothing_back_because_nobody_knows_what_was_spent(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_budget budget = { .bucket = "all", .limit = 1000 };
    int64_t reserved, count;

    reserve(fixture, 1000, 90, 0, &reserved);
    store_limits_get(fixture->store, NULL, 0, &budget, 1, T0);
    assert_int_equal(budget.pending, reserved);
    store_leases_expire(fixture->store, T0 + LEASE + 1, &count);
    assert_int_equal(count, 1);
    store_limits_get(fixture->store, NULL, 0, &budget, 1, T0 + LEASE + 1);
    assert_int_equal(budget.used, reserved);
    assert_int_equal(budget.pending, 0);
}

static void a_full_budget_refuses_and_stores_nothing(void **state)
{
    struct store_fixture *fixture = *state;

    assert_true(reserve(fixture, 200, 90, 0, NULL) > 0);
    assert_true(reserve(fixture, 200, 90, 0, NULL) > 0);
    assert_int_equal(reserve(fixture, 200, 90, 0, NULL), 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 4);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM token_reservations"), 2);
    assert_true(tokens_of(fixture, "all", 0) <= 200);
}

static void the_next_day_has_a_budget_of_its_own(void **state)
{
    struct store_fixture *fixture = *state;
    struct stream_usage usage = { .total_tokens = 30, .known = true };
    int64_t row = reserve(fixture, 100, 90, 0, NULL);

    assert_int_equal(reserve(fixture, 100, 90, 1, NULL), 0);
    assert_true(reserve(fixture, 100, 90, DAY, NULL) > 0);
    end(fixture, row, &usage, false); /* begun yesterday, so spent yesterday */
    assert_int_equal(tokens_of(fixture, "all", 0), 30);
    assert_true(tokens_of(fixture, "all", DAY) > 90);
}

static void days_long_past_are_forgotten(void **state)
{
    struct store_fixture *fixture = *state;

    for (int64_t day = 0; day < 8; day++)
        assert_true(reserve(fixture, 100, 90, day * DAY, NULL) > 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM token_days"), 3);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM token_reservations"), 3);
}

static void an_erased_conversation_gives_no_tokens_back(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db;
    int64_t reserved;

    reserve(fixture, 1000, 90, 0, &reserved);
    db = store_fixture_handle(fixture);
    assert_true(db_exec(db, "PRAGMA foreign_keys = ON; DELETE FROM conversations"));
    db_close(db);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM token_reservations"), 0);
    assert_int_equal(tokens_of(fixture, "all", 0), reserved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(exactly_as_many_questions_pass_as_the_limit_says),
        STORE_TEST(a_refused_question_leaves_nothing_behind),
        STORE_TEST(a_window_ends_its_length_after_its_first_question),
        STORE_TEST(buckets_and_windows_are_counted_apart),
        STORE_TEST(jobs_that_run_out_of_order_share_a_window),
        STORE_TEST(a_clock_that_was_set_back_locks_nobody_out),
        STORE_TEST(a_question_that_comes_again_is_not_charged_twice),
        STORE_TEST(an_unknown_conversation_costs_nothing),
        STORE_TEST(windows_that_have_ended_are_cleared_away),
        STORE_TEST(looking_counts_nothing),
        STORE_TEST(all_checks_of_a_turn_are_one_transaction),
        STORE_TEST(a_crowd_gets_no_question_more_than_the_limit),
        STORE_TEST(a_turn_reserves_its_prompt_and_the_longest_answer),
        STORE_TEST(the_history_and_the_visitors_data_count_as_prompt),
        STORE_TEST(the_end_puts_what_was_used_in_the_place_of_the_reservation),
        STORE_TEST(usage_without_a_total_is_added_up),
        STORE_TEST(an_answer_that_cost_nothing_gives_all_back),
        STORE_TEST(without_figures_the_reservation_is_what_was_spent),
        STORE_TEST(a_dead_worker_gives_nothing_back_because_nobody_knows_what_was_spent),
        STORE_TEST(a_full_budget_refuses_and_stores_nothing),
        STORE_TEST(the_next_day_has_a_budget_of_its_own),
        STORE_TEST(days_long_past_are_forgotten),
        STORE_TEST(an_erased_conversation_gives_no_tokens_back),
    };

    return cmocka_run_group_tests_name("store_limits", tests, NULL, NULL);
}
