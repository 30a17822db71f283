/*
 * test_breaker: when a breaker opens, who may probe, what closes it; and that processes forked afterwards
 * share it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/breaker.h"

#define SLOT 3

static void wait_until(struct breakers *breakers, enum breaker_state state)
{
    struct breaker_facts facts;
    int64_t until = clock_mono_ms() + 5000;
    do
        breaker_facts(breakers, SLOT, &facts);
    while (facts.state != state && clock_mono_ms() < until);
    assert_int_equal(facts.state, state);
}

static void failures_in_a_row_open_it_and_a_success_between_does_not(void **state)
{
    (void)state;
    struct breakers *breakers = breakers_new(3, 60000);
    struct breaker_facts facts;
    assert_false(breaker_failure(breakers, SLOT, "provider_timeout"));
    assert_false(breaker_failure(breakers, SLOT, "provider_timeout"));
    assert_false(breaker_success(breakers, SLOT));
    assert_false(breaker_failure(breakers, SLOT, "provider_timeout"));
    assert_false(breaker_failure(breakers, SLOT, "provider_timeout"));
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_ASK);
    assert_true(breaker_failure(breakers, SLOT, "provider_tls"));
    assert_false(breaker_failure(breakers, SLOT, "provider_unreachable")); /* opened before */
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_REFUSE);
    assert_int_equal(breaker_ask(breakers, SLOT + 1), BREAKER_ASK);
    breaker_facts(breakers, SLOT, &facts);
    assert_int_equal(facts.state, BREAKER_OPEN);
    assert_in_range(facts.open_ms, 50000, 60000);
    assert_int_equal(facts.failures, 4);
    assert_string_equal(facts.last_error, "provider_unreachable");
    assert_true(facts.last_success_ms > 0 && facts.last_error_ms >= facts.last_success_ms);
    breakers_free(breakers);
}

static void one_probe_at_a_time_and_its_outcome_decides(void **state)
{
    (void)state;
    struct breakers *breakers = breakers_new(1, 300);
    assert_true(breaker_failure(breakers, SLOT, "provider_error"));
    wait_until(breakers, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_PROBE);
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_REFUSE);
    breaker_cancel(breakers, SLOT);
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_PROBE);
    assert_false(breaker_failure(breakers, SLOT, "provider_error")); /* open anew, not opened */
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_REFUSE);
    wait_until(breakers, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_PROBE);
    assert_true(breaker_success(breakers, SLOT));
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_ASK);
    breakers_free(breakers);
}

static void what_says_nothing_about_health_is_only_noted(void **state)
{
    (void)state;
    struct breakers *breakers = breakers_new(1, 60000);
    struct breaker_facts facts;
    breaker_note(breakers, SLOT, "provider_auth");
    breaker_facts(breakers, SLOT, &facts);
    assert_int_equal(facts.state, BREAKER_CLOSED);
    assert_string_equal(facts.last_error, "provider_auth");
    breaker_note(breakers, SLOT, "a_code_of_the_future");
    breaker_facts(breakers, SLOT, &facts);
    assert_string_equal(facts.last_error, "provider_error");
    breakers_free(breakers);
}

static void zero_failures_means_never(void **state)
{
    (void)state;
    struct breakers *breakers = breakers_new(0, 60000);
    for (int i = 0; i < 100; i++)
        assert_false(breaker_failure(breakers, SLOT, "provider_error"));
    assert_int_equal(breaker_ask(breakers, SLOT), BREAKER_ASK);
    breakers_free(breakers);
}

static void without_a_board_or_a_slot_everything_is_allowed(void **state)
{
    (void)state;
    struct breakers *breakers = breakers_new(1, 60000);
    struct breaker_facts facts;
    assert_false(breaker_failure(breakers, 10000, "provider_error"));
    assert_int_equal(breaker_ask(breakers, 10000), BREAKER_ASK);
    assert_int_equal(breaker_ask(NULL, 0), BREAKER_ASK);
    breaker_cancel(NULL, 0);
    breaker_facts(NULL, 0, &facts);
    assert_string_equal(facts.last_error, "");
    breakers_free(breakers);
    breakers_free(NULL);
}

static void processes_share_it_and_one_of_many_probes(void **state)
{
    (void)state;
    enum { CHILDREN = 8 };
    struct breakers *breakers = breakers_new(CHILDREN, 20);
    int status, probes = 0;
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            breaker_failure(breakers, SLOT, "provider_error");
            wait_until(breakers, BREAKER_HALF_OPEN);
            _exit(breaker_ask(breakers, SLOT) == BREAKER_PROBE);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        probes += WEXITSTATUS(status);
    }
    assert_int_equal(probes, 1);
    breakers_free(breakers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it_and_a_success_between_does_not),
        cmocka_unit_test(one_probe_at_a_time_and_its_outcome_decides),
        cmocka_unit_test(what_says_nothing_about_health_is_only_noted),
        cmocka_unit_test(zero_failures_means_never),
        cmocka_unit_test(without_a_board_or_a_slot_everything_is_allowed),
        cmocka_unit_test(processes_share_it_and_one_of_many_probes),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
