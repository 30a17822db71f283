/*
 * store, other answers: regenerate, continue, what the model then sees of a history, and first sends that are
 * repeated.
 */
#include "tests/unit/store_fixture.h"

#include "common/store/conversations.h"

typedef enum result again_verb(struct store *store, const struct store_again *again,
                               struct store_again_begun *out, struct fault *fault);

struct again_ask {
    const char *conversation_id, *message_id, *client_message_id;
    int64_t at;
};

static enum result try_again(struct store_fixture *fixture, const struct again_ask *ask,
                             struct store_again_begun *out, struct fault *fault)
{
    struct store_again again = {
        .owner = &fixture->owner,
        .conversation_id = ask->conversation_id,
        .message_id = ask->message_id,
        .client_message_id = ask->client_message_id,
        .provider = "demo",
        .model = "demo-1",
        .writer = "writer",
        .history_max = 10,
        .now_ms = T0 + ask->at,
        .lease_until_ms = T0 + ask->at + LEASE,
    };
    again_verb *verb = ask->message_id != NULL ? store_turn_continue : store_turn_regenerate;

    return verb(fixture->store, &again, out, fault);
}

static struct store_again_begun again(struct store_fixture *fixture, const struct again_ask *ask)
{
    struct store_again_begun begun;

    assert_int_equal(try_again(fixture, ask, &begun, NULL), RESULT_OK);
    return begun;
}

static void assert_refused(struct store_fixture *fixture, const struct again_ask *ask,
                           enum result result, const char *code)
{
    struct store_again_begun begun;
    struct fault fault = { 0 };
    int64_t rows = store_fixture_int(fixture, "SELECT count(*) FROM messages");

    assert_int_equal(try_again(fixture, ask, &begun, &fault), result);
    assert_string_equal(fault.code, code);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), rows);
}

static void assert_window(const struct store_turn_begun *begun, const char *expected)
{
    char seen[4096] = "";

    for (size_t i = 0; i < begun->history_len; i++) {
        const struct chat_message *message = &begun->history[i];
        size_t len = strlen(seen);

        assert_int_equal(strlen(message->content), message->len);
        snprintf(seen + len, sizeof seen - len, "%s%c:%s", i == 0 ? "" : "|",
                 *chat_role_name(message->role), message->content);
    }
    assert_string_equal(seen, expected);
}

static void end_with(struct store_fixture *fixture, const struct store_again_begun *begun,
                     enum turn_status status, const char *text)
{
    assert_int_equal(store_fixture_end(fixture, begun->turn.message_row, "writer", status, text),
                     RESULT_OK);
}

/* What a further question in the conversation shows the model. */
static void assert_next(struct store_fixture *fixture, const char *conversation_id, int64_t at,
                        const char *expected)
{
    struct store_turn_begun next = store_fixture_turn(
        fixture, "next", &(struct ask){ .conversation_id = conversation_id, .at = at }, TURN_FAILED,
        "");

    assert_window(&next, expected);
    store_turn_begun_free(&next);
}

static void regenerating_shows_the_model_the_history_up_to_the_question(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_COMPLETE, "eins");
    struct store_turn_begun second = store_fixture_turn(
        fixture, "two", &(struct ask){ .conversation_id = first.conversation_id }, TURN_COMPLETE,
        "zwei");
    struct store_again_begun begun =
        again(fixture, &(struct again_ask){ .conversation_id = first.conversation_id });

    assert_window(&begun.turn, "u:one|a:eins|u:two");
    assert_string_equal(begun.question, "two");
    assert_string_equal(begun.contract, "support");
    assert_null(begun.user_id);
    assert_string_not_equal(begun.turn.message_id, second.message_id);
    end_with(fixture, &begun, TURN_COMPLETE, "ZWEI");
    assert_next(fixture, first.conversation_id, 0, "u:one|a:eins|u:two|a:ZWEI|u:next");
    assert_int_equal(
        store_fixture_int(fixture, "SELECT count(*) FROM messages WHERE content = 'zwei'"), 1);
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
    store_again_begun_free(&begun);
}

static void a_failed_second_answer_does_not_hide_the_first(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_COMPLETE, "eins");
    struct store_again_begun begun =
        again(fixture, &(struct again_ask){ .conversation_id = first.conversation_id });

    end_with(fixture, &begun, TURN_FAILED, "half");
    assert_next(fixture, first.conversation_id, 0, "u:one|a:eins|u:next");
    store_turn_begun_free(&first);
    store_again_begun_free(&begun);
}

static void an_answer_gone_on_with_is_one_answer_to_the_model(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_INTERRUPTED, "ei");
    struct store_again_begun second =
        again(fixture, &(struct again_ask){ .message_id = first.message_id });
    struct store_again_begun third;

    assert_window(&second.turn, "u:one|a:ei");
    end_with(fixture, &second, TURN_STOPPED, "n");
    third = again(fixture, &(struct again_ask){ .message_id = second.turn.message_id });
    assert_window(&third.turn, "u:one|a:ein");
    end_with(fixture, &third, TURN_COMPLETE, "s");
    assert_next(fixture, first.conversation_id, 0, "u:one|a:eins|u:next");
    store_turn_begun_free(&first);
    store_again_begun_free(&second);
    store_again_begun_free(&third);
}

static void going_on_twice_joins_the_first_and_after_a_failure_begins_again(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_STOPPED, "ei");
    struct again_ask ask = { .message_id = first.message_id, .client_message_id = "c" };
    struct store_again_begun second = again(fixture, &ask);
    struct store_again_begun repeated = again(fixture, &ask);
    struct store_again_begun third;

    assert_true(repeated.turn.duplicate);
    assert_string_equal(repeated.turn.message_id, second.turn.message_id);
    end_with(fixture, &second, TURN_FAILED, "no");
    third = again(fixture, &ask);
    assert_false(third.turn.duplicate);
    end_with(fixture, &third, TURN_COMPLETE, "ns");
    assert_next(fixture, first.conversation_id, 0, "u:one|a:eins|u:next");
    store_turn_begun_free(&first);
    store_again_begun_free(&second);
    store_again_begun_free(&repeated);
    store_again_begun_free(&third);
}

static void end_with_fallback(struct store_fixture *fixture, const struct store_again_begun *begun)
{
    struct store_answer_end end = {
        .message_row = begun->turn.message_row,
        .writer = "writer",
        .status = TURN_COMPLETE,
        .finish = FINISH_FALLBACK,
        .text = "sorry",
        .text_len = 5,
        .now_ms = T0,
    };

    assert_int_equal(store_answer_end(fixture->store, &end), RESULT_OK);
}

static void an_answer_is_gone_on_with_although_others_came_to_nothing_meanwhile(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_STOPPED, "ei");
    struct again_ask anew = { .conversation_id = first.conversation_id };
    struct store_again_begun failed = again(fixture, &anew), fallback, last;
    struct again_ask ask = { .message_id = first.message_id };

    assert_refused(fixture, &ask, RESULT_CONFLICT, "answer_superseded");
    end_with(fixture, &failed, TURN_FAILED, "x");
    fallback = again(fixture, &anew);
    end_with_fallback(fixture, &fallback);
    last = again(fixture, &ask);
    end_with(fixture, &last, TURN_COMPLETE, "ns");
    assert_next(fixture, first.conversation_id, 0, "u:one|a:eins|u:next");
    store_turn_begun_free(&first);
    store_again_begun_free(&failed);
    store_again_begun_free(&fallback);
    store_again_begun_free(&last);
}

static void what_is_complete_running_or_left_behind_is_not_gone_on_with(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_COMPLETE, "eins");
    struct store_turn_begun second = store_fixture_begin(
        fixture, "two", &(struct ask){ .conversation_id = first.conversation_id });

    assert_refused(fixture, &(struct again_ask){ .message_id = second.message_id }, RESULT_CONFLICT,
                   "answer_running");
    assert_refused(fixture, &(struct again_ask){ .conversation_id = first.conversation_id },
                   RESULT_CONFLICT, "answer_running");
    assert_refused(fixture, &(struct again_ask){ .message_id = first.message_id }, RESULT_CONFLICT,
                   "answer_superseded");
    store_fixture_end(fixture, second.message_row, "writer", TURN_COMPLETE, "zwei");
    assert_refused(fixture, &(struct again_ask){ .message_id = second.message_id }, RESULT_CONFLICT,
                   "answer_complete");
    assert_refused(fixture, &(struct again_ask){ .message_id = "msg_none" }, RESULT_NOT_FOUND,
                   "unknown_message");
    assert_refused(fixture, &(struct again_ask){ .conversation_id = "conv_none" }, RESULT_NOT_FOUND,
                   "unknown_conversation");
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void an_answer_that_was_cut_at_its_token_limit_can_be_gone_on_with(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first = store_fixture_begin(fixture, "one", &(struct ask){ 0 });
    struct store_answer_end end = { .message_row = first.message_row,
                                    .writer = "writer",
                                    .status = TURN_COMPLETE,
                                    .text = "ei",
                                    .text_len = 2,
                                    .finish = FINISH_LENGTH };
    struct store_again_begun second;

    assert_int_equal(store_answer_end(fixture->store, &end), RESULT_OK);
    second = again(fixture, &(struct again_ask){ .message_id = first.message_id });
    assert_window(&second.turn, "u:one|a:ei");
    store_turn_begun_free(&first);
    store_again_begun_free(&second);
}

static void an_answer_whose_worker_died_can_be_gone_on_with(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first = store_fixture_begin(fixture, "one", &(struct ask){ 0 });
    struct store_checkpoint checkpoint = {
        .message_row = first.message_row, .writer = "writer", .text = "ei", .text_len = 2
    };
    struct store_again_begun second;

    assert_int_equal(store_answers_checkpoint(fixture->store, &checkpoint, 1, T0, T0 + LEASE),
                     RESULT_OK);
    assert_refused(fixture, &(struct again_ask){ .message_id = first.message_id }, RESULT_CONFLICT,
                   "answer_running");
    second = again(fixture, &(struct again_ask){ .message_id = first.message_id, .at = LEASE + 1 });
    assert_window(&second.turn, "u:one|a:ei");
    store_turn_begun_free(&first);
    store_again_begun_free(&second);
}

static void a_slow_writer_does_not_take_back_what_was_gone_on_with(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first = store_fixture_begin(fixture, "one", &(struct ask){ 0 });
    struct store_checkpoint checkpoint = {
        .message_row = first.message_row, .writer = "writer", .text = "ei", .text_len = 2
    };
    struct store_again_begun second;

    store_answers_checkpoint(fixture->store, &checkpoint, 1, T0, T0 + LEASE);
    second = again(fixture, &(struct again_ask){ .message_id = first.message_id, .at = LEASE + 1 });
    checkpoint.text = "eins";
    checkpoint.text_len = 4;
    assert_int_equal(
        store_answers_checkpoint(fixture->store, &checkpoint, 1, T0 + LEASE + 2, T0 + 2 * LEASE),
        RESULT_OK);
    assert_true(checkpoint.stop_requested);
    assert_int_equal(store_fixture_end(fixture, first.message_row, "writer", TURN_COMPLETE, "eins"),
                     RESULT_NOT_FOUND);
    end_with(fixture, &second, TURN_COMPLETE, "ns");
    assert_next(fixture, first.conversation_id, LEASE + 3, "u:one|a:eins|u:next");
    store_turn_begun_free(&first);
    store_again_begun_free(&second);
}

static void regenerating_with_the_same_client_message_id_joins_the_first(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first = store_fixture_turn(
        fixture, "one", &(struct ask){ .client_message_id = "c" }, TURN_COMPLETE, "eins");
    struct again_ask ask = { .conversation_id = first.conversation_id, .client_message_id = "c" };
    struct store_again_begun second = again(fixture, &ask);
    struct store_again_begun repeated = again(fixture, &ask);

    assert_false(second.turn.duplicate);
    assert_true(repeated.turn.duplicate);
    assert_string_equal(repeated.turn.message_id, second.turn.message_id);
    store_turn_begun_free(&first);
    store_again_begun_free(&second);
    store_again_begun_free(&repeated);
}

static void client_message_ids_of_questions_and_of_other_answers_do_not_meet(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun turn =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_COMPLETE, "eins");
    struct again_ask ask = { .conversation_id = turn.conversation_id, .client_message_id = "x" };
    struct store_again_begun begun = again(fixture, &ask);
    static const char *const ids[] = { "x", "again:x" };

    end_with(fixture, &begun, TURN_COMPLETE, "EINS");
    store_again_begun_free(&begun);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct store_turn_begun next = store_fixture_turn(
            fixture, "next",
            &(struct ask){ .conversation_id = turn.conversation_id, .client_message_id = ids[i] },
            TURN_COMPLETE, "text");

        assert_false(next.duplicate);
        store_turn_begun_free(&next);
    }
    store_turn_begun_free(&turn);
}

static void a_conversation_without_a_question_has_nothing_to_answer(void **state)
{
    struct store_fixture *fixture = *state;

    store_session_create(fixture->store, "session_a_1", &fixture->owner, T0, NULL);
    assert_refused(fixture, &(struct again_ask){ .conversation_id = "session_a_1" },
                   RESULT_CONFLICT, "no_question");
}

/* ---- repeated sends of what failed ---- */

static void a_question_whose_answer_failed_is_answered_anew_when_it_is_sent_again(void **state)
{
    struct store_fixture *fixture = *state;
    struct ask ask = { .client_message_id = "0123456789abcdef" };
    struct store_turn_begun first = store_fixture_turn(fixture, "one", &ask, TURN_FAILED, "half");
    struct store_turn_begun second = store_fixture_turn(fixture, "one", &ask, TURN_INTERRUPTED, "");
    struct store_turn_begun third = store_fixture_begin(fixture, "one", &ask);
    struct store_turn_begun fourth = store_fixture_begin(fixture, "one", &ask);

    assert_false(second.duplicate);
    assert_string_equal(second.conversation_id, first.conversation_id);
    assert_string_not_equal(second.message_id, first.message_id);
    assert_false(third.duplicate);
    assert_window(&third, "u:one");
    assert_true(fourth.duplicate);
    assert_string_equal(fourth.message_id, third.message_id);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 4);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(again) FROM messages"), 2);
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
    store_turn_begun_free(&third);
    store_turn_begun_free(&fourth);
}

static void a_failed_answer_stays_the_answer_where_somebody_asked_on(void **state)
{
    struct store_fixture *fixture = *state;
    struct ask ask = { .client_message_id = "0123456789abcdef" };
    struct store_turn_begun first = store_fixture_turn(fixture, "one", &ask, TURN_FAILED, "");
    struct store_turn_begun next = store_fixture_turn(
        fixture, "two", &(struct ask){ .conversation_id = first.conversation_id }, TURN_COMPLETE,
        "zwei");
    struct store_turn_begun again = store_fixture_begin(fixture, "one", &ask);

    assert_true(again.duplicate);
    assert_string_equal(again.message_id, first.message_id);
    store_turn_begun_free(&first);
    store_turn_begun_free(&next);
    store_turn_begun_free(&again);
}

/* ---- repeated first sends ---- */

static void assert_repeated(struct store_fixture *fixture, const char *client_id, int64_t at,
                            bool expected)
{
    struct ask ask = { .client_message_id = client_id };
    struct store_turn_begun first = store_fixture_begin(fixture, "hello", &ask);
    struct store_turn_begun second;

    ask.at = at;
    second = store_fixture_begin(fixture, "hello", &ask);
    assert_int_equal(second.duplicate, expected);
    assert_int_equal(strcmp(first.conversation_id, second.conversation_id) == 0, expected);
    assert_int_equal(strcmp(first.message_id, second.message_id) == 0, expected);
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void a_repeated_first_send_of_an_owner_finds_its_conversation(void **state)
{
    struct store_fixture *fixture = *state;

    fixture->owner = (struct owner){ .kind = OWNER_VISITOR, .id = "vis_ann" };
    assert_repeated(fixture, "c1", 3600000, true);
}

static void
another_owner_with_the_same_client_message_id_gets_a_conversation_of_his_own(void **state)
{
    struct store_fixture *fixture = *state;
    struct ask ask = { .client_message_id = "0123456789abcdef" };
    struct store_turn_begun first, second;

    fixture->owner = (struct owner){ .kind = OWNER_VISITOR, .id = "vis_ann" };
    first = store_fixture_begin(fixture, "hello", &ask);
    fixture->owner = (struct owner){ .kind = OWNER_VISITOR, .id = "vis_bob" };
    second = store_fixture_begin(fixture, "hello", &ask);
    assert_false(second.duplicate);
    assert_string_not_equal(first.conversation_id, second.conversation_id);
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void without_an_owner_a_long_client_message_id_counts_for_ten_minutes(void **state)
{
    assert_repeated(*state, "0123456789abcdef", 600000, true);
    assert_repeated(*state, "0123456789abcde-", 600001, false);
    assert_repeated(*state, "0123456789abcde", 1, false);
}

/* A newcomer asks, his reply is lost with the cookie, and he sends again: as somebody new. */
static void assert_newcomer(struct store_fixture *fixture, const char *second_text, int64_t at,
                            const char *client_id, bool expected)
{
    struct ask ask = { .client_message_id = client_id, .newcomer = true };
    struct store_turn_begun first, second;

    fixture->owner = (struct owner){ .kind = OWNER_VISITOR };
    snprintf(fixture->owner.id, CAP_ID, "vis_%s", client_id);
    first = store_fixture_begin(fixture, "hello", &ask);
    assert_string_equal(first.visitor, "");
    snprintf(fixture->owner.id, CAP_ID, "vis_new_%s", client_id);
    ask.at = at;
    second = store_fixture_begin(fixture, second_text, &ask);
    assert_int_equal(second.duplicate, expected);
    assert_int_equal(strcmp(first.message_id, second.message_id) == 0, expected);
    if (expected)
        assert_string_equal(second.visitor + strlen("vis_"), client_id);
    else
        assert_string_equal(second.visitor, "");
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void the_provider_was_asked_twice_when_a_newcomers_first_reply_was_lost(void **state)
{
    assert_newcomer(*state, "hello", 600000, "0123456789abcdef", true);
}

static void a_newcomer_is_nobody_else_for_a_short_id_another_text_or_too_late(void **state)
{
    assert_newcomer(*state, "hello", 1, "0123456789abcde", false);
    assert_newcomer(*state, "hello!", 1, "0123456789abcde-2", false);
    assert_newcomer(*state, "hello", 600001, "0123456789abcde-3", false);
}

/* `then` happens between the two sends of the same thing; the second one must not become the visitor. */
static void assert_kept(struct store_fixture *fixture, const char *client_id, bool newcomer,
                        const struct ask *then)
{
    struct ask ask = { .client_message_id = client_id, .newcomer = newcomer };
    struct store_turn_begun begun;

    fixture->owner = (struct owner){ .kind = OWNER_VISITOR };
    snprintf(fixture->owner.id, CAP_ID, "vis_%s", client_id);
    begun = store_fixture_begin(fixture, "hello", &ask);
    if (then != NULL) {
        struct ask next = *then;
        struct store_turn_begun other;

        next.conversation_id = next.at == 1 ? begun.conversation_id : NULL;
        other = store_fixture_begin(fixture, "more", &next);
        store_turn_begun_free(&other);
    }
    store_turn_begun_free(&begun);
    snprintf(fixture->owner.id, CAP_ID, "vis_new_%s", client_id);
    ask.newcomer = true;
    begun = store_fixture_begin(fixture, "hello", &ask);
    assert_false(begun.duplicate);
    assert_string_equal(begun.visitor, "");
    store_turn_begun_free(&begun);
}

static void who_has_come_with_his_cookie_cannot_be_become(void **state)
{
    assert_kept(*state, "0123456789abcde-a", false, NULL);
    assert_kept(*state, "0123456789abcde-b", true, &(struct ask){ .at = 1 });
    assert_kept(*state, "0123456789abcde-c", true, &(struct ask){ .at = 2 });
}

static void a_newcomers_user_id_is_found_again(void **state)
{
    struct store_fixture *fixture = *state;
    struct ask ask = { .client_message_id = "0123456789abcdef",
                       .newcomer = true,
                       .user_id = "ann",
                       .contract = "user" };
    struct store_turn_begun begun, second;
    struct fault fault = { 0 };

    fixture->owner = (struct owner){ .kind = OWNER_VISITOR, .id = "vis_1" };
    begun = store_fixture_begin(fixture, "hello", &ask);
    fixture->owner = (struct owner){ .kind = OWNER_VISITOR, .id = "vis_2" };
    second = store_fixture_begin(fixture, "hello", &ask);
    assert_true(second.duplicate);
    assert_string_equal(second.visitor, "vis_1");
    store_turn_begun_free(&second);
    assert_int_equal(store_fixture_ask(fixture, "else", &ask, &second, &fault), RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_user");
    store_turn_begun_free(&begun);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(regenerating_shows_the_model_the_history_up_to_the_question),
        STORE_TEST(a_failed_second_answer_does_not_hide_the_first),
        STORE_TEST(an_answer_gone_on_with_is_one_answer_to_the_model),
        STORE_TEST(going_on_twice_joins_the_first_and_after_a_failure_begins_again),
        STORE_TEST(an_answer_is_gone_on_with_although_others_came_to_nothing_meanwhile),
        STORE_TEST(what_is_complete_running_or_left_behind_is_not_gone_on_with),
        STORE_TEST(an_answer_that_was_cut_at_its_token_limit_can_be_gone_on_with),
        STORE_TEST(an_answer_whose_worker_died_can_be_gone_on_with),
        STORE_TEST(a_slow_writer_does_not_take_back_what_was_gone_on_with),
        STORE_TEST(regenerating_with_the_same_client_message_id_joins_the_first),
        STORE_TEST(client_message_ids_of_questions_and_of_other_answers_do_not_meet),
        STORE_TEST(a_question_whose_answer_failed_is_answered_anew_when_it_is_sent_again),
        STORE_TEST(a_failed_answer_stays_the_answer_where_somebody_asked_on),
        STORE_TEST(a_conversation_without_a_question_has_nothing_to_answer),
        STORE_TEST(a_repeated_first_send_of_an_owner_finds_its_conversation),
        STORE_TEST(the_provider_was_asked_twice_when_a_newcomers_first_reply_was_lost),
        STORE_TEST(a_newcomer_is_nobody_else_for_a_short_id_another_text_or_too_late),
        STORE_TEST(who_has_come_with_his_cookie_cannot_be_become),
        STORE_TEST(a_newcomers_user_id_is_found_again),
        STORE_TEST(another_owner_with_the_same_client_message_id_gets_a_conversation_of_his_own),
        STORE_TEST(without_an_owner_a_long_client_message_id_counts_for_ten_minutes),
    };
    return cmocka_run_group_tests_name("store_again", tests, NULL, NULL);
}
