/*
 * signals: what was recorded before another program takes over is not lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <cmocka.h>

#include "fcgi/process/signals.h"

static void what_is_given_back_is_pending_while_signals_are_held(void **state)
{
    static const int list[] = { SIGTERM, SIGUSR1 };
    sigset_t pending;

    (void)state;
    assert_true(signals_watch(list, 2) >= 0);
    raise(SIGTERM);
    signals_hold();
    signals_give_back();
    assert_int_equal(signals_next(), 0);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGTERM), 1);
    assert_int_equal(sigismember(&pending, SIGUSR1), 0);
    signals_release(); /* nothing came of it: recorded once more */
    assert_int_equal(signals_next(), SIGTERM);
    assert_int_equal(signals_next(), 0);
    signals_unwatch();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_back_is_pending_while_signals_are_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
