/*
 * store, conversations: lists, reading, renaming, erasing, feedback; histories of user ids; whose they are.
 */
#include "tests/unit/store_fixture.h"

#include "common/store/conversations.h"

static const struct owner ann = { .kind = OWNER_VISITOR, .id = "vis_ann" };
static const struct owner bob = { .kind = OWNER_VISITOR, .id = "vis_bob" };
static const struct owner backend = { .kind = OWNER_KEY, .id = "backend", .any = true };
static const struct owner nobody = { .kind = OWNER_NONE };

struct seen {
    char text[4096];
    int64_t last_ms, last_row;
};

static void note(struct seen *seen, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct seen *seen, const char *format, ...)
{
    size_t len = strlen(seen->text);
    va_list args;

    va_start(args, format);
    vsnprintf(seen->text + len, sizeof seen->text - len, format, args);
    va_end(args);
}

static bool see_conversation(void *ctx, const struct store_conversation *conversation)
{
    struct seen *seen = ctx;

    note(seen, "[%s]", conversation->title);
    seen->last_ms = conversation->updated_ms;
    seen->last_row = conversation->row;
    return true;
}

static bool see_message(void *ctx, const struct store_message *message)
{
    note(ctx, " %s:%s", message->role, message->content);
    if (message->status != TURN_COMPLETE)
        note(ctx, "(%s)", turn_status_name(message->status));
    if (message->continues != NULL)
        note(ctx, "+");
    if (message->rating != 0)
        note(ctx, "%+d", message->rating);
    return true;
}

static bool see_exchange(void *ctx, const struct store_exchange *exchange)
{
    note(ctx, "%s=%s;", exchange->question, exchange->answer);
    return true;
}

static struct store_asker asker_at(const struct owner *owner, int64_t at)
{
    return (struct store_asker){ .owner = owner, .now_ms = T0 + at, .session_ttl_ms = 3600000 };
}

static struct store_turn_begun ask_as(struct store_fixture *fixture, const struct owner *owner,
                                      const char *question, const char *answer,
                                      const struct ask *ask)
{
    fixture->owner = *owner;
    return store_fixture_turn(fixture, question, ask, TURN_COMPLETE, answer);
}

static void assert_list(struct store_fixture *fixture, const struct owner *owner, const char *text,
                        const char *expected)
{
    struct store_asker asker = asker_at(owner, 1000);
    struct store_list_query query = {
        .text = text, .limit = 10, .before_ms = INT64_MAX, .before_row = INT64_MAX
    };
    struct seen seen = { .text = "" };

    assert_int_equal(
        store_conversations_list(fixture->store, &asker, &query, see_conversation, &seen, NULL),
        RESULT_OK);
    assert_string_equal(seen.text, expected);
}

static enum result read_as(struct store_fixture *fixture, const struct owner *owner, const char *id,
                           int64_t at, struct seen *seen)
{
    struct store_asker asker = asker_at(owner, at);
    struct fault fault = { 0 };
    enum result result = store_conversation_read(fixture->store, &asker, id, see_conversation,
                                                 see_message, seen, &fault);

    if (result != RESULT_OK)
        assert_string_equal(fault.code, "unknown_conversation");
    return result;
}

static void assert_history(struct store_fixture *fixture, const struct owner *owner,
                           int64_t before_ms, size_t limit, const char *expected)
{
    struct store_asker asker = asker_at(owner, 100000);
    struct seen seen = { .text = "" };

    assert_int_equal(store_history_read(fixture->store, &asker, "user", before_ms, limit,
                                        see_exchange, &seen, NULL),
                     RESULT_OK);
    assert_string_equal(seen.text, expected);
}

/* ---- lists ---- */

static void a_list_has_ones_own_conversations_newest_first(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        ask_as(fixture, &ann, "apples", "red", &(struct ask){ .at = 1 });
    struct store_turn_begun second =
        ask_as(fixture, &ann, "pears", "green", &(struct ask){ .at = 2 });
    struct store_turn_begun other =
        ask_as(fixture, &bob, "plums", "blue", &(struct ask){ .at = 3 });
    struct store_turn_begun third =
        ask_as(fixture, &ann, "and then?", "yes",
               &(struct ask){ .at = 4, .conversation_id = first.conversation_id });

    assert_list(fixture, &ann, NULL, "[apples][pears]");
    assert_list(fixture, &bob, NULL, "[plums]");
    assert_list(fixture, &backend, NULL, "");
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
    store_turn_begun_free(&other);
    store_turn_begun_free(&third);
}

static void nobody_has_a_list(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = ask_as(fixture, &nobody, "hello", "hi", &(struct ask){ 0 });

    assert_list(fixture, &nobody, NULL, "");
    store_turn_begun_free(&begun);
}

static void a_search_looks_into_titles_and_messages_and_takes_wild_cards_literally(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun first =
        ask_as(fixture, &ann, "100% wool", "from sheep", &(struct ask){ .at = 1 });
    struct store_turn_begun second =
        ask_as(fixture, &ann, "cotton", "from a_plant", &(struct ask){ .at = 2 });

    assert_list(fixture, &ann, "WOOL", "[100% wool]");
    assert_list(fixture, &ann, "from", "[cotton][100% wool]");
    assert_list(fixture, &ann, "%", "[100% wool]");
    assert_list(fixture, &ann, "a_p", "[cotton]");
    assert_list(fixture, &ann, "a_l", "");
    assert_list(fixture, &bob, "wool", "");
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void pages_of_a_list_meet_without_gap_or_overlap(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&ann, 1000);
    struct store_list_query query = { .limit = 2, .before_ms = INT64_MAX, .before_row = INT64_MAX };
    struct seen seen = { .text = "" };

    for (int i = 0; i < 5; i++) { /* all in the same millisecond */
        char question[] = { (char)('a' + i), '\0' };
        struct store_turn_begun begun = ask_as(fixture, &ann, question, "x", &(struct ask){ 0 });

        store_turn_begun_free(&begun);
    }
    for (int page = 0; page < 3; page++) {
        assert_int_equal(
            store_conversations_list(fixture->store, &asker, &query, see_conversation, &seen, NULL),
            RESULT_OK);
        note(&seen, "|");
        query.before_ms = seen.last_ms;
        query.before_row = seen.last_row;
    }
    assert_string_equal(seen.text, "[e][d]|[c][b]|[a]|");
}

static void sessions_are_listed_when_something_was_said_and_until_they_expire(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun;

    assert_int_equal(store_session_create(fixture->store, "session_a_1", &ann, T0, NULL),
                     RESULT_OK);
    assert_list(fixture, &ann, NULL, "");
    begun = ask_as(fixture, &ann, "hello", "hi",
                   &(struct ask){ .contract = "session", .conversation_id = "session_a_1" });
    assert_list(fixture, &ann, NULL, "[hello]");
    {
        struct seen seen = { .text = "" };

        assert_int_equal(read_as(fixture, &bob, "session_a_1", 3600000, &seen), RESULT_OK);
        assert_int_equal(read_as(fixture, &bob, "session_a_1", 3600001, &seen), RESULT_NOT_FOUND);
    }
    store_turn_begun_free(&begun);
}

/* ---- one conversation ---- */

static void knowing_an_id_is_the_right_to_it_unless_a_user_id_is_in_play(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun plain = ask_as(fixture, &ann, "one", "1", &(struct ask){ 0 });
    struct store_turn_begun named =
        ask_as(fixture, &ann, "two", "2", &(struct ask){ .contract = "user", .user_id = "user" });
    struct seen seen = { .text = "" };

    assert_int_equal(read_as(fixture, &bob, plain.conversation_id, 0, &seen), RESULT_OK);
    assert_string_equal(seen.text, "[one] user:one assistant:1");
    assert_int_equal(read_as(fixture, &bob, named.conversation_id, 0, &seen), RESULT_NOT_FOUND);
    assert_int_equal(read_as(fixture, &nobody, named.conversation_id, 0, &seen), RESULT_NOT_FOUND);
    assert_int_equal(read_as(fixture, &ann, named.conversation_id, 0, &seen), RESULT_OK);
    assert_int_equal(read_as(fixture, &backend, named.conversation_id, 0, &seen), RESULT_OK);
    assert_int_equal(read_as(fixture, &ann, "conv_none", 0, &seen), RESULT_NOT_FOUND);
    store_turn_begun_free(&plain);
    store_turn_begun_free(&named);
}

static void an_answer_whose_lease_ran_out_reads_as_interrupted(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun = store_fixture_begin(fixture, "one", &(struct ask){ 0 });
    struct seen running = { .text = "" }, over = { .text = "" };

    assert_int_equal(read_as(fixture, &ann, begun.conversation_id, LEASE, &running), RESULT_OK);
    assert_string_equal(running.text, "[one] user:one assistant:(streaming)");
    assert_int_equal(read_as(fixture, &ann, begun.conversation_id, LEASE + 1, &over), RESULT_OK);
    assert_string_equal(over.text, "[one] user:one assistant:(interrupted)");
    store_turn_begun_free(&begun);
}

static void a_title_is_made_of_the_first_question_and_can_be_changed(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&ann, 0);
    struct store_turn_begun first = ask_as(fixture, &ann, "one", "1", &(struct ask){ 0 });
    struct store_turn_begun second = ask_as(
        fixture, &ann, "two", "2", &(struct ask){ .conversation_id = first.conversation_id });
    struct fault fault = { 0 };

    assert_list(fixture, &ann, NULL, "[one]");
    assert_int_equal(
        store_conversation_rename(fixture->store, &asker, first.conversation_id, "Numbers", &fault),
        RESULT_OK);
    assert_list(fixture, &ann, NULL, "[Numbers]");
    assert_int_equal(
        store_conversation_rename(fixture->store, &asker, "conv_none", "Numbers", &fault),
        RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_conversation");
    store_turn_begun_free(&first);
    store_turn_begun_free(&second);
}

static void erasing_leaves_no_row_of_the_conversation_in_any_table(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&ann, 0);
    struct store_turn_begun begun = ask_as(fixture, &ann, "one", "1", &(struct ask){ 0 });
    struct store_turn_begun other = ask_as(fixture, &ann, "two", "2", &(struct ask){ 0 });
    struct store_remove what = { .id = begun.conversation_id };
    struct store_removed removed;
    struct fault fault = { 0 };

    assert_int_equal(
        store_feedback_put(fixture->store, &asker, begun.message_id, 1, "fine", &fault), RESULT_OK);
    what.session = true;
    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_session");
    what.session = false;
    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, &fault),
                     RESULT_OK);
    assert_int_equal(removed.exchanges, 1);
    assert_string_equal(removed.running, "");
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM conversations"), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 2);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM feedback"), 0);
    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_conversation");
    store_turn_begun_free(&begun);
    store_turn_begun_free(&other);
}

static void erasing_names_the_answer_that_is_still_being_written(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&ann, 0);
    struct store_turn_begun begun = store_fixture_begin(fixture, "one", &(struct ask){ 0 });
    struct store_remove what = { .id = begun.conversation_id };
    struct store_removed removed;

    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, NULL),
                     RESULT_OK);
    assert_string_equal(removed.running, begun.message_id);
    store_turn_begun_free(&begun);
}

/* The row number of what was erased is given to the next answer, here even of the same writer. */
static void an_erased_answer_that_still_grows_does_not_write_into_another(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&ann, 0);
    struct store_turn_begun erased = store_fixture_begin(fixture, "secret", &(struct ask){ 0 });
    struct store_remove what = { .id = erased.conversation_id };
    struct store_checkpoint late = { .message_row = erased.message_row,
                                     .message_id = erased.message_id,
                                     .writer = "writer",
                                     .text = "secret",
                                     .text_len = 6 };
    struct store_answer_end end = { .message_row = erased.message_row,
                                    .message_id = erased.message_id,
                                    .writer = "writer",
                                    .status = TURN_COMPLETE,
                                    .text = "secret",
                                    .text_len = 6 };
    struct store_removed removed;
    struct store_turn_begun next;
    struct store_answer answer;

    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, NULL),
                     RESULT_OK);
    next = store_fixture_begin(fixture, "other", &(struct ask){ 0 });
    assert_int_equal(next.message_row, erased.message_row);
    assert_int_equal(store_answers_checkpoint(fixture->store, &late, 1, T0, T0 + LEASE), RESULT_OK);
    assert_true(late.stop_requested);
    assert_int_equal(store_answer_end(fixture->store, &end), RESULT_NOT_FOUND);
    answer = store_fixture_get(fixture, next.message_id, 0, 0);
    assert_string_equal(answer.text, "");
    assert_int_equal(answer.status, TURN_STREAMING);
    store_answer_free(&answer);
    store_turn_begun_free(&erased);
    store_turn_begun_free(&next);
}

/* ---- feedback ---- */

static void the_last_word_on_an_answer_counts(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&ann, 0);
    struct store_turn_begun begun = ask_as(fixture, &ann, "one", "1", &(struct ask){ 0 });
    struct fault fault = { 0 };
    struct seen seen = { .text = "" };

    store_feedback_put(fixture->store, &asker, begun.message_id, 1, "good", &fault);
    store_feedback_put(fixture->store, &asker, begun.message_id, -1, NULL, &fault);
    assert_int_equal(read_as(fixture, &ann, begun.conversation_id, 0, &seen), RESULT_OK);
    assert_string_equal(seen.text, "[one] user:one assistant:1-1");
    assert_int_equal(store_fixture_int(fixture, "SELECT comment IS NULL FROM feedback"), 1);
    assert_int_equal(store_feedback_put(fixture->store, &asker, "msg_none", 1, NULL, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_message");
    store_turn_begun_free(&begun);
}

/* ---- histories ---- */

static void a_history_has_the_newest_exchanges_oldest_first(void **state)
{
    static const char *const questions[] = { "a", "b", "c", "d" };
    struct store_fixture *fixture = *state;

    assert_history(fixture, &ann, INT64_MAX, 10, "");
    for (int i = 0; i < 4; i++) {
        struct store_turn_begun begun =
            ask_as(fixture, &ann, questions[i], i == 1 ? "" : "x",
                   &(struct ask){ .contract = "user", .user_id = "user", .at = i });

        store_turn_begun_free(&begun);
    }
    assert_history(fixture, &ann, INT64_MAX, 10, "a=x;b=;c=x;d=x;");
    assert_history(fixture, &ann, INT64_MAX, 2, "c=x;d=x;");
    assert_history(fixture, &ann, T0 + 2, 10, "a=x;b=;");
    assert_history(fixture, &ann, T0 + 3, 1, "c=x;");
    assert_history(fixture, &ann, T0, 10, "");
    assert_history(fixture, &backend, INT64_MAX, 1, "d=x;");
}

static void anothers_history_can_be_neither_read_nor_erased(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_asker asker = asker_at(&bob, 0);
    struct store_turn_begun begun =
        ask_as(fixture, &ann, "a", "x", &(struct ask){ .contract = "user", .user_id = "user" });
    struct store_remove what = { .user_id = "user" };
    struct store_removed removed;
    struct fault fault = { 0 };
    struct seen seen = { .text = "" };

    assert_int_equal(store_history_read(fixture->store, &asker, "user", INT64_MAX, 10, see_exchange,
                                        &seen, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_user");
    assert_string_equal(seen.text, "");
    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_user");
    asker = asker_at(&ann, 0);
    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, &fault),
                     RESULT_OK);
    assert_int_equal(removed.exchanges, 1);
    assert_int_equal(store_conversation_remove(fixture->store, &asker, &what, &removed, &fault),
                     RESULT_OK);
    assert_int_equal(removed.exchanges, 0);
    store_turn_begun_free(&begun);
}

static void the_store_describes_itself(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_facts facts;

    assert_int_equal(store_describe(fixture->store, &facts), RESULT_OK);
    assert_int_equal(facts.schema, store_fixture_int(fixture, "PRAGMA user_version"));
    assert_true(facts.size_bytes > 0);
    assert_true(facts.disk_free_bytes > 0 && facts.disk_free_bytes <= facts.disk_total_bytes);
    assert_true(facts.wal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_list_has_ones_own_conversations_newest_first),
        STORE_TEST(nobody_has_a_list),
        STORE_TEST(a_search_looks_into_titles_and_messages_and_takes_wild_cards_literally),
        STORE_TEST(pages_of_a_list_meet_without_gap_or_overlap),
        STORE_TEST(sessions_are_listed_when_something_was_said_and_until_they_expire),
        STORE_TEST(knowing_an_id_is_the_right_to_it_unless_a_user_id_is_in_play),
        STORE_TEST(an_answer_whose_lease_ran_out_reads_as_interrupted),
        STORE_TEST(a_title_is_made_of_the_first_question_and_can_be_changed),
        STORE_TEST(erasing_leaves_no_row_of_the_conversation_in_any_table),
        STORE_TEST(erasing_names_the_answer_that_is_still_being_written),
        STORE_TEST(an_erased_answer_that_still_grows_does_not_write_into_another),
        STORE_TEST(the_last_word_on_an_answer_counts),
        STORE_TEST(a_history_has_the_newest_exchanges_oldest_first),
        STORE_TEST(anothers_history_can_be_neither_read_nor_erased),
        STORE_TEST(the_store_describes_itself),
    };
    return cmocka_run_group_tests_name("store_conversations", tests, NULL, NULL);
}
