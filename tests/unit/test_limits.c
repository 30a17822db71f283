/*
 * limits: who is counted under which name, the tightest window, sentences, REDIS_URL in its parts.
 */
#include "tests/unit/store_fixture.h"

#include "common/limits/limits.h"
#include "common/config_redis.h"

#define MINUTE 60000

struct fixture {
    struct config config;
    struct limits *limits;
    struct owner owner;
    struct limits_plan plan;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct fault fault;

    log_set_sink(store_fixture_sink, NULL);
    f->config.system_prompt = (char *)"You are the test.";
    f->config.redis_url = (char *)"";
    f->config.redis_down = (char *)"allow";
    f->config.ratelimit_minute = 10;
    f->config.ratelimit_hour = 100;
    f->config.ratelimit_day = 500;
    f->config.address_limit_factor = 10;
    f->config.openai_max_tokens = 100;
    *state = f;
    return limits_open(&f->config, &f->limits, &fault) == RESULT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    limits_close(f->limits);
    free(f);
    return 0;
}

static void plan_for(struct fixture *f, enum owner_kind kind, const char *id, const char *address,
                     bool newcomer)
{
    struct limits_asker asker = { &f->owner, address, newcomer };

    f->owner.kind = kind;
    snprintf(f->owner.id, sizeof f->owner.id, "%s", id);
    limits_plan(f->limits, &asker, &f->plan);
}

/* ---- who ---- */

static void a_visitor_is_counted_and_so_is_the_address(void **state)
{
    struct fixture *f = *state;

    plan_for(f, OWNER_VISITOR, "vis_1", "192.0.2.7", false);
    assert_string_equal(f->plan.who, "visitor:vis_1");
    assert_string_equal(f->plan.network, "address:192.0.2.7");
    assert_int_equal(f->plan.charge_count, 6);
    assert_ptr_equal(f->plan.charges[0].bucket, f->plan.who);
    assert_int_equal(f->plan.charges[0].limit, 10);
    assert_int_equal(f->plan.charges[2].window_ms, 24 * 60 * MINUTE);
    assert_ptr_equal(f->plan.charges[3].bucket, f->plan.network);
    assert_int_equal(f->plan.charges[3].limit, 100);
}

static void a_key_is_counted_by_itself(void **state)
{
    struct fixture *f = *state;

    f->config.tokens_per_day = 1000;
    f->config.tokens_per_visitor = 500;
    plan_for(f, OWNER_KEY, "shop", "192.0.2.7", false);
    assert_string_equal(f->plan.who, "key:shop");
    assert_int_equal(f->plan.charge_count, 3);
    assert_int_equal(f->plan.budget_count, 1);
    assert_string_equal(f->plan.budgets[0].bucket, "all");
}

static void who_shows_no_cookie_is_counted_with_all_strangers_of_the_address(void **state)
{
    struct fixture *f = *state;

    plan_for(f, OWNER_NONE, "", "192.0.2.7", false);
    assert_string_equal(f->plan.who, "stranger:192.0.2.7");
    assert_int_equal(f->plan.charges[0].limit, 10);
    plan_for(f, OWNER_VISITOR, "vis_2", "192.0.2.7", true);
    assert_string_equal(f->plan.who, "stranger:192.0.2.7");
}

static void networks(void **state)
{
    static const struct {
        const char *address, *bucket;
    } cases[] = {
        { "192.0.2.7", "address:192.0.2.7" },
        { "::ffff:192.0.2.7", "address:192.0.2.7" },
        { "2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64" },
        { "2001:db8:1:2::1", "address:2001:db8:1:2::/64" },
        { "2001:db8:1:3::1", "address:2001:db8:1:3::/64" },
        { "unix:", "address:unix:" },
        { "", "address:unknown" },
        { NULL, "address:unknown" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        plan_for(f, OWNER_NONE, "", cases[i].address, false);
        assert_string_equal(f->plan.network, cases[i].bucket);
    }
}

static void a_window_whose_limit_is_0_is_not_counted(void **state)
{
    struct fixture *f = *state;
    struct fault fault;

    limits_close(f->limits);
    f->config.ratelimit_minute = f->config.ratelimit_day = 0;
    assert_int_equal(limits_open(&f->config, &f->limits, &fault), RESULT_OK);
    plan_for(f, OWNER_VISITOR, "vis_1", "192.0.2.7", false);
    assert_int_equal(f->plan.charge_count, 2);
    assert_int_equal(f->plan.charges[0].window_ms, 60 * MINUTE);
}

/* ---- telling ---- */

static void set_used(struct fixture *f, size_t charge, int64_t used, int64_t ends_in_ms)
{
    f->plan.charges[charge].used = used;
    f->plan.charges[charge].ends_ms = T0 + ends_in_ms;
    f->plan.known = true;
}

static void the_tightest_window_has_the_fewest_questions_left(void **state)
{
    struct fixture *f = *state;

    plan_for(f, OWNER_VISITOR, "vis_1", "192.0.2.7", false);
    assert_null(limits_tightest(&f->plan)); /* nothing is known yet */
    for (size_t i = 0; i < f->plan.charge_count; i++)
        set_used(f, i, 1, MINUTE);
    assert_ptr_equal(limits_tightest(&f->plan), &f->plan.charges[0]);
    set_used(f, 1, 95, MINUTE);
    assert_ptr_equal(limits_tightest(&f->plan), &f->plan.charges[1]);
    set_used(f, 5, 5000, MINUTE);
    assert_ptr_equal(limits_tightest(&f->plan), &f->plan.charges[5]);
    assert_ptr_equal(limits_tightest_of(&f->plan, 0), &f->plan.charges[0]);
    assert_int_equal(limits_remaining(&f->plan.charges[5]), 0);
}

static void equally_tight_windows_are_told_by_the_one_that_lasts_longer(void **state)
{
    struct fixture *f = *state;

    plan_for(f, OWNER_KEY, "shop", "", false);
    set_used(f, 0, 10, 10);
    set_used(f, 1, 100, 20);
    set_used(f, 2, 1, 99);
    assert_ptr_equal(limits_tightest(&f->plan), &f->plan.charges[1]);
}

static void settle(struct fixture *f, const char *code, struct fault *fault)
{
    struct limits_cost cost = { .answer_tokens = 50 };

    assert_int_equal(limits_admit(f->limits, &f->plan, &cost, T0, fault), RESULT_OK);
    fault_set(fault, RESULT_LIMITED, code, NULL, "Short.");
    limits_settle(NULL, &f->plan, T0, RESULT_LIMITED, fault);
}

static void the_sentence_says_which_window_and_when_again(void **state)
{
    struct fixture *f = *state;
    struct fault fault;

    plan_for(f, OWNER_VISITOR, "vis_1", "192.0.2.7", false);
    set_used(f, 0, 10, 41500);
    settle(f, "rate_limited", &fault);
    assert_string_equal(fault.text, "You have reached the limit of 10 messages per minute. Please "
                                    "try again in 42 seconds (2023-11-14T22:14:01.500Z).");
    assert_int_equal(fault.retry_after_s, 42);

    set_used(f, 4, 1000, 3000 * 1000);
    settle(f, "rate_limited", &fault);
    assert_string_equal(fault.text,
                        "All visitors of your network have together reached the limit of 1000 "
                        "messages per hour. Please try again in 50 minutes "
                        "(2023-11-14T23:03:20.000Z).");
    assert_int_equal(fault.retry_after_s, 3000);
}

static void a_wait_is_never_0_seconds(void **state)
{
    struct fixture *f = *state;
    struct fault fault;

    plan_for(f, OWNER_VISITOR, "vis_1", "192.0.2.7", false);
    set_used(f, 0, 10, -5);
    settle(f, "rate_limited", &fault);
    assert_int_equal(fault.retry_after_s, 1);
}

static void a_budget_too_small_for_one_message_is_told_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct fault fault;

    limits_close(f->limits);
    f->config.tokens_per_visitor = 90;
    store_fixture_log[0] = '\0';
    assert_int_equal(limits_open(&f->config, &f->limits, &fault), RESULT_OK);
    assert_non_null(strstr(store_fixture_log, "budget_too_small"));
    assert_non_null(strstr(store_fixture_log, "TOKENS_PER_VISITOR_PER_DAY"));
}

static void a_day_ends_at_midnight_utc(void **state)
{
    char text[CLOCK_RFC3339_SIZE];

    (void)state;
    assert_string_equal(clock_rfc3339(limits_day_end(T0), text), "2023-11-15T00:00:00.000Z");
    assert_int_equal(limits_day_end(limits_day_end(T0)) - limits_day_end(T0), 24 * 60 * MINUTE);
}

/* ---- REDIS_URL ---- */

static void assert_url(const char *text, const char *host, int port, const char *user,
                       const char *password, int database)
{
    struct config_redis url;

    assert_true(config_redis_parse(text, &url));
    assert_string_equal(url.host, host);
    assert_int_equal(url.port, port);
    assert_string_equal(url.user, user);
    assert_string_equal(url.password, password);
    assert_int_equal(url.database, database);
    assert_string_equal(url.path, "");
}

static void a_redis_url_is_read_in_its_parts(void **state)
{
    struct config_redis url;

    (void)state;
    assert_url("redis://cache", "cache", 6379, "", "", 0);
    assert_url("redis://127.0.0.1:7000/3", "127.0.0.1", 7000, "", "", 3);
    assert_url("redis://cache/", "cache", 6379, "", "", 0);
    assert_url("redis://:p%40ss@cache:1", "cache", 1, "", "p@ss", 0);
    assert_url("redis://ann:a:b@[::1]:7000/0", "::1", 7000, "ann", "a:b", 0);
    assert_true(config_redis_parse("unix:/run/redis.sock", &url));
    assert_string_equal(url.path, "/run/redis.sock");
}

static void a_malformed_redis_url_is_refused(void **state)
{
    static const char *const urls[] = { "",
                                        "cache:6379",
                                        "http://cache",
                                        "rediss://cache",
                                        "redis://",
                                        "redis:///1",
                                        "redis://cache:",
                                        "redis://cache:0",
                                        "redis://cache:65536",
                                        "redis://cache:6379x",
                                        "redis://cache/one",
                                        "redis://cache/-1",
                                        "redis://secret@cache",
                                        "redis://[::1",
                                        "redis://[::1]7",
                                        "redis://:%zz@cache",
                                        "unix:",
                                        "unix:redis.sock" };
    struct config_redis url;

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (config_redis_parse(urls[i], &url))
            fail_msg("%s was taken", urls[i]);
}

#define LIMITS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITS_TEST(a_visitor_is_counted_and_so_is_the_address),
        LIMITS_TEST(a_key_is_counted_by_itself),
        LIMITS_TEST(who_shows_no_cookie_is_counted_with_all_strangers_of_the_address),
        LIMITS_TEST(networks),
        LIMITS_TEST(a_window_whose_limit_is_0_is_not_counted),
        LIMITS_TEST(the_tightest_window_has_the_fewest_questions_left),
        LIMITS_TEST(equally_tight_windows_are_told_by_the_one_that_lasts_longer),
        LIMITS_TEST(the_sentence_says_which_window_and_when_again),
        LIMITS_TEST(a_wait_is_never_0_seconds),
        LIMITS_TEST(a_budget_too_small_for_one_message_is_told_at_the_start),
        LIMITS_TEST(a_day_ends_at_midnight_utc),
        cmocka_unit_test(a_redis_url_is_read_in_its_parts),
        cmocka_unit_test(a_malformed_redis_url_is_refused),
    };

    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
