/*
 * store, a turn begins: conversations found and made, contracts apart, sessions that expire, histories.
 */
#include "tests/unit/store_fixture.h"

/* The history as "user:text|assistant:text|...". */
static void assert_history(const struct store_turn_begun *begun, const char *expected)
{
    char seen[4096] = "";

    for (size_t i = 0; i < begun->history_len; i++) {
        const struct chat_message *message = &begun->history[i];
        size_t len = strlen(seen);

        assert_int_equal(strlen(message->content), message->len);
        snprintf(seen + len, sizeof seen - len, "%s%s:%s", i == 0 ? "" : "|",
                 chat_role_name(message->role), message->content);
    }
    assert_string_equal(seen, expected);
}

static void assert_refused(struct store_fixture *fixture, const struct ask *ask, const char *code)
{
    int64_t rows = store_fixture_int(fixture, "SELECT count(*) FROM messages");
    struct store_turn_begun begun;
    struct fault fault = { 0 };

    assert_int_equal(store_fixture_ask(fixture, "hello", ask, &begun, &fault), RESULT_NOT_FOUND);
    assert_int_equal(fault.result, RESULT_NOT_FOUND);
    assert_string_equal(fault.code, code);
    assert_null(begun.history);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), rows);
}

static void a_first_question_makes_a_conversation_a_question_and_a_running_answer(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "hello", &(struct ask){ 0 });

    assert_false(begun.duplicate);
    assert_memory_equal(begun.conversation_id, "conv_", 5);
    assert_memory_equal(begun.message_id, "msg_", 4);
    assert_null(begun.context_json);
    assert_history(&begun, "user:hello");
    assert_int_equal(store_fixture_int(fixture,
                                       "SELECT count(*) FROM conversations"
                                       " WHERE contract = 'support' AND owner_kind = 'none'"),
                     1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages WHERE role = 'user'"
                                                " AND status = 'complete' AND content = 'hello'"),
                     1);
    assert_int_equal(
        store_fixture_int(fixture, "SELECT count(*) FROM messages WHERE role = 'assistant'"
                                   " AND status = 'streaming' AND lease_until_ms = 1700000006000"
                                   " AND reply_to = id - 1 AND writer = 'writer'"),
        1);
    store_turn_begun_free(&begun);
}

static void a_second_question_goes_on_where_the_first_ended(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "one", &(struct ask){ 0 }, TURN_COMPLETE, "eins");
    struct store_turn_begun second = store_fixture_begin(
        fixture, "two", &(struct ask){ .conversation_id = first.conversation_id });

    assert_string_equal(second.conversation_id, first.conversation_id);
    assert_string_not_equal(second.message_id, first.message_id);
    assert_history(&second, "user:one|assistant:eins|user:two");
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void an_unknown_conversation_is_refused_and_nothing_is_stored(void **state)
{
    assert_refused(*state, &(struct ask){ .conversation_id = "conv_nobody" },
                   "unknown_conversation");
    assert_int_equal(store_fixture_int(*state, "SELECT count(*) FROM conversations"), 0);
}

static void the_owner_is_stored_with_the_conversation(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun;

    fixture->owner = (struct owner){ .kind = OWNER_VISITOR, .id = "vis_1" };
    begun = store_fixture_begin(fixture, "hello", &(struct ask){ 0 });
    assert_int_equal(store_fixture_int(fixture,
                                       "SELECT count(*) FROM conversations"
                                       " WHERE owner_kind = 'visitor' AND owner_id = 'vis_1'"),
                     1);
    store_turn_begun_free(&begun);
}

static void a_user_id_always_leads_to_its_one_conversation(void **state)
{
    struct store_fixture *fixture = *state;
    const struct ask ada = { .contract = "user", .user_id = "ada" };
    struct store_turn_begun first = store_fixture_turn(fixture, "one", &ada, TURN_COMPLETE, "eins");
    struct store_turn_begun second = store_fixture_begin(fixture, "two", &ada);
    struct store_turn_begun other = store_fixture_begin(
        fixture, "three", &(struct ask){ .contract = "user", .user_id = "grace" });
    struct store_answer answer = store_fixture_get(fixture, second.message_id, 0, 1);

    assert_string_equal(first.conversation_id, second.conversation_id);
    assert_history(&second, "user:one|assistant:eins|user:two");
    assert_string_not_equal(other.conversation_id, first.conversation_id);
    assert_history(&other, "user:three");
    assert_string_equal(answer.user_id, "ada");
    assert_string_equal(answer.contract, "user");
    store_answer_free(&answer);
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
    store_turn_begun_free(&other);
}

/* ---- sessions ---- */

static void a_session_answers_under_its_own_id(void **state)
{
    struct store_fixture *fixture = *state;
    const struct ask ask = { .contract = "session", .conversation_id = "session_abc_1" };
    struct store_turn_begun begun;

    assert_int_equal(
        store_session_create(fixture->store, "session_abc_1", &fixture->owner, T0, NULL),
        RESULT_OK);
    begun = store_fixture_begin(fixture, "hello", &ask);
    assert_string_equal(begun.conversation_id, "session_abc_1");
    assert_history(&begun, "user:hello");
    store_turn_begun_free(&begun);
}

static void an_unknown_session_is_not_made_up(void **state)
{
    assert_refused(*state, &(struct ask){ .contract = "session", .conversation_id = "session_x_1" },
                   "unknown_session");
    assert_refused(*state, &(struct ask){ .contract = "session" }, "unknown_session");
}

static void sessions_and_conversations_do_not_open_each_other(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "hello", &(struct ask){ 0 });

    store_session_create(fixture->store, "session_abc_1", &fixture->owner, T0, NULL);
    assert_refused(fixture, &(struct ask){ .conversation_id = "session_abc_1" },
                   "unknown_conversation");
    assert_refused(fixture,
                   &(struct ask){ .contract = "session", .conversation_id = begun.conversation_id },
                   "unknown_session");
    store_turn_begun_free(&begun);
}

static void a_session_lives_as_long_as_it_is_used(void **state)
{
    struct store_fixture *fixture = *state;
    struct ask ask = { .contract = "session", .conversation_id = "s_1", .session_ttl_ms = 1000 };
    struct store_turn_begun begun;

    store_session_create(fixture->store, "s_1", &fixture->owner, T0, NULL);
    for (ask.at = 1000; ask.at <= 3000; ask.at += 1000) {
        begun = store_fixture_begin(fixture, "still here", &ask);
        store_turn_begun_free(&begun);
    }
    ask.at = 3000 + 1001;
    assert_refused(fixture, &ask, "unknown_session");
    ask.session_ttl_ms = 0;
    begun = store_fixture_begin(fixture, "0 means for ever", &ask);
    store_turn_begun_free(&begun);
}

/* ---- history ---- */

static void the_history_ends_with_the_question_and_has_the_newest_messages(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "q1", &(struct ask){ 0 }, TURN_COMPLETE, "a1");
    struct ask ask = { .conversation_id = first.conversation_id };
    struct store_turn_begun more;

    more = store_fixture_turn(fixture, "q2", &ask, TURN_COMPLETE, "a2");
    store_turn_begun_free(&more);
    ask.history_max = 3;
    more = store_fixture_turn(fixture, "q3", &ask, TURN_COMPLETE, "a3");
    assert_history(&more, "user:q2|assistant:a2|user:q3");
    store_turn_begun_free(&more);
    ask.history_max = 1;
    more = store_fixture_begin(fixture, "q4", &ask);
    assert_history(&more, "user:q4");
    store_turn_begun_free(&more);
    ask.history_max = 100;
    more = store_fixture_begin(fixture, "q5", &ask);
    assert_history(
        &more, "user:q1|assistant:a1|user:q2|assistant:a2|user:q3|assistant:a3|user:q4|user:q5");
    store_turn_begun_free(&more);
    store_turn_begun_free(&first);
}

static void the_history_leaves_out_what_failed_or_is_empty(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_turn(fixture, "q1", &(struct ask){ 0 }, TURN_FAILED, "half");
    struct ask ask = { .conversation_id = first.conversation_id };
    struct store_turn_begun more;

    more = store_fixture_turn(fixture, "q2", &ask, TURN_STOPPED, "stopped");
    store_turn_begun_free(&more);
    more = store_fixture_turn(fixture, "q3", &ask, TURN_INTERRUPTED, "");
    store_turn_begun_free(&more);
    more = store_fixture_turn(fixture, "q4", &ask, TURN_INTERRUPTED, "cut");
    store_turn_begun_free(&more);
    more = store_fixture_begin(fixture, "q5", &ask);
    assert_history(&more,
                   "user:q1|user:q2|assistant:stopped|user:q3|user:q4|assistant:cut|user:q5");
    store_turn_begun_free(&more);
    store_turn_begun_free(&first);
}

static void an_answer_whose_lease_ran_out_counts_as_history(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first = store_fixture_begin(fixture, "q1", &(struct ask){ 0 });
    struct store_checkpoint grown = {
        .message_row = first.message_row, .writer = "writer", .text = "so far", .text_len = 6
    };
    struct ask ask = { .conversation_id = first.conversation_id, .at = 100 };
    struct store_turn_begun more;

    store_answers_checkpoint(fixture->store, &grown, 1, T0 + 50, T0 + LEASE);
    more = store_fixture_begin(fixture, "q2", &ask);
    assert_history(&more, "user:q1|user:q2");
    store_turn_begun_free(&more);
    ask.at = LEASE + 1;
    more = store_fixture_begin(fixture, "q3", &ask);
    assert_history(&more, "user:q1|assistant:so far|user:q2|user:q3");
    store_turn_begun_free(&more);
    store_turn_begun_free(&first);
}

static void a_history_that_the_client_brings_is_stored_before_its_question(void **state)
{
    struct store_fixture *fixture = *state;
    struct chat_message history[] = {
        { CHAT_USER, (char[]){ "old q" }, 5 },
        { CHAT_ASSISTANT, (char[]){ "old a" }, 5 },
    };
    struct ask ask = { .history = history, .history_len = 2 };
    struct store_turn_begun begun = store_fixture_begin(fixture, "new q", &ask);
    struct store_turn_begun next;

    assert_history(&begun, "user:old q|assistant:old a|user:new q");
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 4);
    next = store_fixture_begin(fixture, "next",
                               &(struct ask){ .conversation_id = begun.conversation_id });
    assert_history(&next, "user:old q|assistant:old a|user:new q|user:next");
    store_turn_begun_free(&next);
    store_turn_begun_free(&begun);
    ask.history_max = 2;
    begun = store_fixture_begin(fixture, "new q", &ask);
    assert_history(&begun, "assistant:old a|user:new q");
    store_turn_begun_free(&begun);
}

static void a_long_history_comes_whole(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "q0", &(struct ask){ 0 });
    struct ask ask = { .history_max = 60 };
    char conversation[CAP_ID], question[16];

    memcpy(conversation, begun.conversation_id, CAP_ID);
    ask.conversation_id = conversation;
    for (int i = 1; i < 50; i++) {
        store_turn_begun_free(&begun);
        snprintf(question, sizeof question, "q%d", i);
        begun = store_fixture_begin(fixture, question, &ask);
    }
    assert_int_equal(begun.history_len, 50);
    assert_string_equal(begun.history[0].content, "q0");
    assert_string_equal(begun.history[49].content, "q49");
    store_turn_begun_free(&begun);
}

/* ---- context and repeated sends ---- */

static void the_context_stays_with_the_conversation_until_a_new_one_comes(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        store_fixture_begin(fixture, "q1", &(struct ask){ .context_json = "{\"page\":\"a\"}" });
    struct ask ask = { .conversation_id = first.conversation_id };
    struct store_turn_begun more = store_fixture_begin(fixture, "q2", &ask);

    assert_string_equal(first.context_json, "{\"page\":\"a\"}");
    assert_string_equal(more.context_json, "{\"page\":\"a\"}");
    store_turn_begun_free(&more);
    ask.context_json = "{\"page\":\"b\"}";
    more = store_fixture_begin(fixture, "q3", &ask);
    assert_string_equal(more.context_json, "{\"page\":\"b\"}");
    store_turn_begun_free(&more);
    ask.context_json = NULL;
    more = store_fixture_begin(fixture, "q4", &ask);
    assert_string_equal(more.context_json, "{\"page\":\"b\"}");
    store_turn_begun_free(&more);
    store_turn_begun_free(&first);
}

static void a_repeated_send_finds_its_answer_and_stores_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun start = store_fixture_begin(fixture, "q1", &(struct ask){ 0 });
    const struct ask ask = { .conversation_id = start.conversation_id, .client_message_id = "c-1" };
    struct store_turn_begun sent = store_fixture_begin(fixture, "q2", &ask);
    struct store_turn_begun again = store_fixture_begin(fixture, "q2", &ask);

    assert_false(sent.duplicate);
    assert_true(again.duplicate);
    assert_string_equal(again.message_id, sent.message_id);
    assert_string_equal(again.conversation_id, sent.conversation_id);
    assert_int_equal(again.message_row, sent.message_row);
    assert_int_equal(again.history_len, 0);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 4);
    store_turn_begun_free(&start);
    store_turn_begun_free(&sent);
    store_turn_begun_free(&again);
}

static void the_same_client_message_id_in_another_conversation_is_a_new_question(void **state)
{
    struct store_fixture *fixture = *state;
    const struct ask ask = { .client_message_id = "c-1" };
    struct store_turn_begun first = store_fixture_begin(fixture, "q", &ask);
    struct store_turn_begun second = store_fixture_begin(fixture, "q", &ask);

    assert_false(second.duplicate);
    assert_string_not_equal(first.conversation_id, second.conversation_id);
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_first_question_makes_a_conversation_a_question_and_a_running_answer),
        STORE_TEST(a_second_question_goes_on_where_the_first_ended),
        STORE_TEST(an_unknown_conversation_is_refused_and_nothing_is_stored),
        STORE_TEST(the_owner_is_stored_with_the_conversation),
        STORE_TEST(a_user_id_always_leads_to_its_one_conversation),
        STORE_TEST(a_session_answers_under_its_own_id),
        STORE_TEST(an_unknown_session_is_not_made_up),
        STORE_TEST(sessions_and_conversations_do_not_open_each_other),
        STORE_TEST(a_session_lives_as_long_as_it_is_used),
        STORE_TEST(the_history_ends_with_the_question_and_has_the_newest_messages),
        STORE_TEST(the_history_leaves_out_what_failed_or_is_empty),
        STORE_TEST(an_answer_whose_lease_ran_out_counts_as_history),
        STORE_TEST(a_history_that_the_client_brings_is_stored_before_its_question),
        STORE_TEST(a_long_history_comes_whole),
        STORE_TEST(the_context_stays_with_the_conversation_until_a_new_one_comes),
        STORE_TEST(a_repeated_send_finds_its_answer_and_stores_nothing),
        STORE_TEST(the_same_client_message_id_in_another_conversation_is_a_new_question),
    };
    return cmocka_run_group_tests_name("store_turn", tests, NULL, NULL);
}
