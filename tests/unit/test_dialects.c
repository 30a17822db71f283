/*
 * test_dialects: which contract a body follows, names, the Accept header, and the shared frames in their
 * rarer forms.
 */
#include "tests/unit/dialect_fixture.h"

#include "common/dialects/frames.h"

static enum result choose(const char *body, const struct dialect **out, struct fault *fault)
{
    struct json_object *object = NULL;
    *out = NULL;
    assert_int_equal(json_parse(body, strlen(body), &object, fault), RESULT_OK);
    enum result result = dialect_choose(object, out, fault);
    json_object_put(object);
    return result;
}

static void the_fields_of_the_body_choose_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const struct dialect *dialect;
    } cases[] = {
        { "{}", &dialect_support },
        { "{\"message\":\"x\",\"conversation_id\":\"c\"}", &dialect_support },
        { "{\"sessionId\":\"s\"}", &dialect_session },
        { "{\"sessionId\":\"\"}", &dialect_session },
        { "{\"sessionId\":7}", &dialect_session },
        { "{\"sessionId\":null}", &dialect_support },
        { "{\"sessionid\":\"s\"}", &dialect_support },
        { "{\"user_id\":\"u\"}", &dialect_user },
        { "{\"user_id\":\"u\",\"sessionId\":null}", &dialect_user },
        { "{\"user_id\":null,\"sessionId\":\"s\"}", &dialect_session },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct dialect *found;
        struct fault fault;
        assert_int_equal(choose(cases[i].body, &found, &fault), RESULT_OK);
        assert_ptr_equal(found, cases[i].dialect);
    }
}

static void two_contracts_at_once_are_ambiguous(void **state)
{
    (void)state;
    const struct dialect *found;
    struct fault fault;
    assert_int_equal(choose("{\"user_id\":\"u\",\"sessionId\":\"s\"}", &found, &fault),
                     RESULT_INVALID);
    assert_string_equal(fault.code, "ambiguous_contract");
}

static void a_body_that_is_no_object_is_invalid_json(void **state)
{
    (void)state;
    static const char *const bodies[] = { "null", "[]", "\"x\"", "7", "true" };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const struct dialect *found;
        struct fault fault;
        assert_int_equal(choose(bodies[i], &found, &fault), RESULT_INVALID);
        assert_string_equal(fault.code, "invalid_json");
    }
}

static void dialects_are_found_by_their_stored_name(void **state)
{
    (void)state;
    assert_ptr_equal(dialect_find("support"), &dialect_support);
    assert_ptr_equal(dialect_find("user"), &dialect_user);
    assert_ptr_equal(dialect_find("session"), &dialect_session);
    assert_null(dialect_find("simple"));
    assert_null(dialect_find(""));
    assert_null(dialect_find(NULL));
    /* Its conversations are the same ones, so it is stored under the same name. */
    assert_string_equal(dialect_simple.name, "user");
}

static void an_accept_header_asks_for_events_only_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool wanted;
    } cases[] = {
        { NULL, false },
        { "", false },
        { "*/*", false },
        { "text/*", false },
        { "application/json", false },
        { "text/event-stream", true },
        { "Text/Event-Stream", true },
        { "application/json, text/event-stream", true },
        { "application/json ,\ttext/event-stream ; q=0.5", true },
        { "text/event-stream;q=0", false },
        { "text/event-stream;q=0.000, */*", false },
        { "text/event-stream;Q=0", false },
        { "text/event-stream;charset=utf-8;q=0", false },
        { "text/event-stream;q=0.001", true },
        { "text/event-stream;eq=0", true },
        { "text/event-stream;q=0, text/event-stream", true },
        { "text/event-stream;q=1,text/html;q=0", true },
        { "text/event-streams", false },
        { "x-text/event-stream", false },
        { ",,;,", false },
        { "text/event-stream;", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (dialect_accept_sse(cases[i].accept) != cases[i].wanted)
            fail_msg("%s", cases[i].accept);
    }
}

/* ---- shared frames ---- */

static void check_usage(const struct stream_usage *usage, const char *wanted)
{
    struct buf out;
    buf_init(&out, 4096);
    buf_puts(&out, "{\"a\":1");
    stream_usage_put(&out, usage);
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
}

static void usage_shows_details_only_when_there_are_some(void **state)
{
    (void)state;
    check_usage(NULL, "{\"a\":1");
    check_usage(&(struct stream_usage){ 0 }, "{\"a\":1");
    check_usage(
        &(struct stream_usage){ 1, 2, 3, 0, 0, .known = true },
        "{\"a\":1,\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}");
    check_usage(
        &(struct stream_usage){ 1, 2, 3, 1, 2, .known = true, .estimated = true },
        "{\"a\":1,\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,"
        "\"cached_tokens\":1,\"reasoning_tokens\":2,\"estimated\":true}");
}

static void the_last_frame_says_when_the_answer_was_cached(void **state)
{
    (void)state;
    struct turn_reply reply = sample_reply();
    struct buf out;
    reply.cached = true;
    buf_init(&out, 4096);
    frames_last(&reply, 7, &out);
    assert_non_null(strstr(buf_str(&out), ",\"cached\":true}\n\ndata: [DONE]\n\n"));
    buf_free(&out);
}

static void a_failure_says_when_to_come_back(void **state)
{
    (void)state;
    struct turn_reply reply = sample_reply();
    struct fault fault = { .code = "c", .text = "t", .retry_after_s = 7 };
    struct buf out;
    buf_init(&out, 4096);
    frames_failed(&reply, &fault, 7, &out);
    assert_non_null(strstr(buf_str(&out), ",\"retry_after\":7}\n\ndata: [DONE]\n\n"));
    buf_free(&out);
}

static void offsets_of_any_size_are_written(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        const char *start;
    } cases[] = {
        { 0, "id: msg_1:0\n" },
        { 10, "id: msg_1:10\n" },
        { 4194304, "id: msg_1:4194304\n" },
        { SIZE_MAX, "id: msg_1:18446744073709551615\n" },
    };
    struct turn_reply reply = sample_reply();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 4096);
        frames_delta(&reply, "x", 1, cases[i].offset, &out);
        assert_true(text_starts_with(buf_str(&out), cases[i].start));
        buf_free(&out);
    }
}

static void all_dialects_share_delta_last_and_failed_frames(void **state)
{
    (void)state;
    check_shared_frames(&dialect_support);
    check_shared_frames(&dialect_user);
    check_shared_frames(&dialect_session);
    check_shared_frames(&dialect_simple);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fields_of_the_body_choose_the_contract),
        cmocka_unit_test(two_contracts_at_once_are_ambiguous),
        cmocka_unit_test(a_body_that_is_no_object_is_invalid_json),
        cmocka_unit_test(dialects_are_found_by_their_stored_name),
        cmocka_unit_test(an_accept_header_asks_for_events_only_by_name),
        cmocka_unit_test(usage_shows_details_only_when_there_are_some),
        cmocka_unit_test(the_last_frame_says_when_the_answer_was_cached),
        cmocka_unit_test(a_failure_says_when_to_come_back),
        cmocka_unit_test(offsets_of_any_size_are_written),
        cmocka_unit_test(all_dialects_share_delta_last_and_failed_frames),
    };
    return cmocka_run_group_tests_name("dialects", tests, NULL, NULL);
}
