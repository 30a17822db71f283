/*
 * test_openai: the Chat Completions format against recorded streams (tests/unit/fixtures/openai_*.sse, read
 * from the repository's root), whole, byte by byte and split at every byte, with all line ends and with
 * comments in between; and the requests and error replies of the format.
 */
#include "tests/unit/provider_fixture.h"

#include "common/base/caps.h"

#define OPS (&provider_openai)

#define MODEL "model gpt-4o-mini-2024-07-18;"
#define USAGE "usage 9+4=13 cached 2 reasoning 1;"

/* One frame of a stream that is written in the test itself. */
#define FRAME(json) "data: " json "\n\n"
#define DELTA(json) FRAME("{\"choices\":[{\"index\":0,\"delta\":" json "}]}")
#define TEXT(json)  DELTA("{\"content\":" json "}")
#define STOP        FRAME("{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}") "data: [DONE]\n\n"

static char *read_fixture(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "tests/unit/fixtures/openai_%s.sse", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s cannot be read; tests run in the repository's root", path);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

static void recorded_streams_become_their_events(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *events;
    } cases[] = {
        { "normal", MODEL "text Hel;text lo, \"wörld\" \n;text 🙂;" USAGE "finish stop;" },
        { "azure", MODEL "text Hi;finish content_filter;" },
        { "refusal", MODEL "text I cannot ;text help.;" USAGE "finish refusal;" },
        { "length", MODEL "text cut sho;finish length;" },
        { "error", MODEL "text Half;failed provider_error;" },
        { "no_usage", MODEL "text Hi;finish stop;" },
        { "no_done", MODEL "text Hi;" USAGE "finish stop;" },
        { "unknown", MODEL "text ok;text !;finish stop;" },
        { "reasoning", MODEL "think Let me ;think think.;text 42;finish stop;" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *stream = read_fixture(cases[i].name);
        check_stream(OPS, stream, cases[i].events);
        free(stream);
    }
}

static void finish_reasons_are_mapped_to_one_vocabulary(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "stop", "stop" },
        { "length", "length" },
        { "max_tokens", "length" },
        { "content_filter", "content_filter" },
        { "tool_calls", "tool_calls" },
        { "function_call", "tool_calls" },
        { "end_turn", "stop" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char stream[400], wanted[80];
        snprintf(stream, sizeof stream,
                 TEXT("\"a\"") FRAME(
                     "{\"choices\":[{\"delta\":{},\"finish_reason\":\"%s\"}]}") "data: [DONE]\n\n",
                 cases[i][0]);
        snprintf(wanted, sizeof wanted, "text a;finish %s;", cases[i][1]);
        check_pieces(OPS, &(struct buf){ .data = stream, .len = strlen(stream) }, 1, 1, wanted);
    }
}

static void pieces_of_a_character_are_joined_and_broken_ones_replaced(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { TEXT("\"\\ud83d\\ude42\"") STOP, "text 🙂;finish stop;" },
        { TEXT("\"a\\ud83d\"") TEXT("\"\\ude42b\"") STOP, "text a;text 🙂b;finish stop;" },
        { TEXT("\"\\ud83dx\"") STOP, "text \ufffdx;finish stop;" },
        { TEXT("\"\\ude42\"") STOP, "text \ufffd;finish stop;" },
        { TEXT("\"a\\ud83d\"") STOP, "text a;text \ufffd;finish stop;" },
        { TEXT("\"\\ud83d\\ud83d\\ude42\"") STOP, "text \ufffd🙂;finish stop;" },
        { TEXT("\"\xc3\"") TEXT("\"\xa4\"") STOP, "text ä;finish stop;" },
        { TEXT("\"\xf0\x9f\"") TEXT("\"\x99\"") TEXT("\"\x82.\"") STOP, "text 🙂.;finish stop;" },
        { TEXT("\"a\xff\"") STOP, "text a\ufffd;finish stop;" },
        { TEXT("\"a\\u0000b\"") STOP, "text ab;finish stop;" },
        { TEXT("\"\\u0000\"") STOP, "finish stop;" },
        { TEXT("\"\\u00e4\\t\\/\\\\\\\"\\u20ac\"") STOP, "text ä\t/\\\"€;finish stop;" },
        { TEXT("\"a\xc3\"") DELTA("{\"reasoning\":\"b\"}") TEXT("\"c\"") STOP,
          "text a;text \ufffd;think b;text c;finish stop;" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_stream(OPS, cases[i][0], cases[i][1]);
}

static void content_in_parts_is_understood(void **state)
{
    (void)state;
    check_stream(OPS,
                 DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\","
                       "\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"yes\"}]}") STOP,
                 "think hm;text yes;finish stop;");
}

static void usage_is_told_when_it_changes_and_odd_usage_is_no_error(void **state)
{
    (void)state;
#define WITH(usage) FRAME("{\"choices\":[],\"usage\":" usage "}")
    check_stream(OPS,
                 TEXT("\"a\"") WITH("{\"prompt_tokens\":1,\"completion_tokens\":1}")
                     WITH("{\"prompt_tokens\":1,\"completion_tokens\":1}")
                         WITH("{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3.0}")
                             STOP,
                 "text a;usage 1+1=2 cached 0 reasoning 0;usage 1+2=3 cached 0 reasoning 0;"
                 "finish stop;");
    check_stream(OPS,
                 TEXT("\"a\"") WITH("null") WITH("{}") WITH("7")
                     WITH("{\"prompt_tokens\":\"x\",\"completion_tokens\":-3}") STOP,
                 "text a;finish stop;");
#undef WITH
}

static void an_error_frame_fails_the_stream_whatever_came_before(void **state)
{
    (void)state;
#define ERROR(json) FRAME("{\"error\":" json ",\"choices\":[]}")
    static const char *const cases[][2] = {
        { ERROR("{\"type\":\"insufficient_quota\"}"), "provider_quota" },
        { ERROR("{\"code\":\"rate_limit_exceeded\"}"), "provider_rate_limited" },
        { ERROR("{\"code\":429,\"message\":\"slow down\"}"), "provider_rate_limited" },
        { ERROR("{\"code\":\"context_length_exceeded\",\"type\":\"invalid_request_error\"}"),
          "provider_context_length" },
        { ERROR("\"overloaded\""), "provider_error" },
        { ERROR("true"), "provider_error" },
        { ERROR("1"), "provider_error" },
        { "event: error\n" ERROR("{\"message\":\"x\"}"), "provider_error" },
        { FRAME("{\"object\":\"error\",\"message\":\"x\",\"code\":500}"), "provider_error" },
        { FRAME("{\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}"), "provider_error" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char stream[600], wanted[80];
        snprintf(stream, sizeof stream, "%s%s%s", TEXT("\"a\""), cases[i][0], TEXT("\"b\"") STOP);
        snprintf(wanted, sizeof wanted, "text a;failed %s;", cases[i][1]);
        check_stream(OPS, stream, wanted);
    }
    check_stream(OPS,
                 ERROR("null") ERROR("false") ERROR("\"\"") ERROR("{}") ERROR("[]") ERROR("0")
                     TEXT("\"a\"") STOP,
                 "text a;finish stop;");
#undef ERROR
}

static void a_cut_stream_says_so_and_is_whole_only_after_a_finish_reason(void **state)
{
    (void)state;
    char *stream = read_fixture("normal");
    check_cuts(OPS, stream, "\"finish_reason\":\"stop\"");
    free(stream);
    check_stream(OPS, TEXT("\"a\""), "text a;failed provider_stream_cut;");
    check_stream(OPS, TEXT("\"a\"") "data: {\"choi", "text a;failed provider_stream_cut;");
    check_stream(OPS,
                 FRAME("{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}"),
                 "text a;failed provider_stream_cut;");
    check_stream(OPS, TEXT("\"a\"") "data: [DONE]", "text a;finish stop;");
}

static void what_is_no_stream_of_chunks_is_a_bad_reply(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "\n\n",
        "<!doctype html><title>502</title>",
        "upstream connect error",
        "data: hello\n\n",
        "data: [1,2]\n\n",
        "data: null\n\n",
        "data: {\"choices\":[}\n\n",
        "data: {\"deep\":[{]}}\n\n",
        "data: [DONE]\n\n",
        FRAME("{\"choices\":[]}") "data: [DONE]\n\n",
        TEXT("\"\\x\""),
        TEXT("\"\\u12g4\""),
        TEXT("\"\\ud83d\\u\""),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        check_stream(OPS, bodies[i], "failed provider_bad_response;");
    check_stream(OPS, TEXT("\"a\"") "data: }{\n\n" STOP, "text a;failed provider_bad_response;");
}

static void a_page_is_refused_at_its_first_byte(void **state)
{
    (void)state;
    struct provider_call call = { .model = "m", .system = "" };
    struct buf events;
    buf_init(&events, 4096);
    struct provider_stream *stream = OPS->open(&call, write_down, &events);
    OPS->feed(stream, "\r\n ", 3);
    assert_int_equal(events.len, 0);
    OPS->feed(stream, "<", 1);
    assert_string_equal(buf_str(&events), "failed provider_bad_response;");
    OPS->close(stream);
    buf_free(&events);
}

static void check_body(const char *body, const char *wanted)
{
    struct buf bytes;
    dress(&bytes, body, "", "\n");
    check_splits(OPS, &bytes, wanted);
    buf_free(&bytes);
}

static void a_whole_reply_is_accepted_although_a_stream_was_asked_for(void **state)
{
    (void)state;
    check_body("\xef\xbb\xbf \n{\"id\":\"x\",\"object\":\"chat.completion\",\"model\":\"llama\",\n"
               "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi "
               "\\ud83d\\ude42\"},\n\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":5,"
               "\"completion_tokens\":2,\"total_tokens\":7}}\n",
               "model llama;text Hi 🙂;usage 5+2=7 cached 0 reasoning 0;finish length;");
    check_body("{\"error\":{\"type\":\"server_error\"}}", "failed provider_error;");
    check_body("{\"choices\":[{\"message\":", "failed provider_bad_response;");
    check_body("{\"object\":\"list\",\"data\":[]}", "failed provider_bad_response;");
    check_body("{\"model\":\"m\"}\n{\"model\":\"m\"}\n", "failed provider_bad_response;");
}

static void lines_and_bodies_over_their_caps_are_a_bad_reply(void **state)
{
    (void)state;
    static const char *const beginnings[] = { TEXT("\"a\"") "data: ", "{\"choices\":\"" };
    static const char *const wanted[] = { "text a;failed provider_bad_response;",
                                          "failed provider_bad_response;" };
    for (size_t i = 0; i < 2; i++) {
        struct buf bytes;
        buf_init(&bytes, 16u * 1024 * 1024);
        buf_puts(&bytes, beginnings[i]);
        size_t begun = bytes.len;
        assert_true(buf_reserve(&bytes, 10u * 1024 * 1024));
        memset(bytes.data + begun, 'x', 10u * 1024 * 1024);
        bytes.len += 10u * 1024 * 1024;
        bytes.data[bytes.len] = '\0';
        check_pieces(OPS, &bytes, 16384, 16384, wanted[i]);
        check_pieces(OPS, &bytes, bytes.len, 1, wanted[i]);
        buf_free(&bytes);
    }
}

/* ---- requests ---- */

static struct chat_message messages[] = {
    { CHAT_USER, (char *)"Hi \"you\"", 8 },
    { CHAT_ASSISTANT, (char *)"Hello\n", 6 },
    { CHAT_USER, (char *)"wörld", 6 },
};

static struct provider sample(void)
{
    return (struct provider){ .name = "openai",
                              .ops = OPS,
                              .base_url = (char *)"http://127.0.0.1:9/v1",
                              .api_key = (char *)"sk-test",
                              .model = (char *)"m",
                              .temperature = 0.5,
                              .max_tokens = 1000,
                              .max_tokens_field = "max_tokens" };
}

static void the_request_has_address_key_and_messages_with_the_system_prompt_first(void **state)
{
    (void)state;
    struct provider provider = sample();
    struct provider_call call = { .provider = &provider,
                                  .model = "gpt-4o",
                                  .system = "Be kind.",
                                  .messages = messages,
                                  .message_count = 3,
                                  .images = NULL };
    check_request(
        &call, "http://127.0.0.1:9/v1/chat/completions",
        "Content-Type: application/json\nAccept: text/event-stream\n"
        "Authorization: Bearer sk-test\n",
        "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},"
        "{\"role\":\"user\",\"content\":\"Hi \\\"you\\\"\"},{\"role\":\"assistant\","
        "\"content\":\"Hello\\n\"},{\"role\":\"user\",\"content\":\"wörld\"}],"
        "\"temperature\":0.5,\"max_tokens\":1000,\"stream\":true,\"stream_options\":"
        "{\"include_usage\":true}}");
}

static void optional_parts_are_left_out(void **state)
{
    (void)state;
    struct provider provider = sample();
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = messages,
                                  .message_count = 1,
                                  .images = NULL };
    provider.api_key = (char *)"";
    provider.base_url = (char *)"https://x.example/openai?api-version=1";
    provider.max_tokens_field = "max_completion_tokens";
    provider.temperature = 0;
    check_request(
        &call, "https://x.example/openai/chat/completions?api-version=1",
        "Content-Type: application/json\nAccept: text/event-stream\n",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\\"you\\\"\"}],"
        "\"temperature\":0,\"max_completion_tokens\":1000,\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true}}");
}

static void a_request_over_the_cap_is_refused(void **state)
{
    (void)state;
    struct provider provider = sample();
    check_too_large(&provider);
}

/* ---- error replies ---- */

#define BODY(type, code)                                                                           \
    "{\"error\":{\"message\":\"Incorrect API key provided: sk-secret\",\"type\":" type             \
    ",\"param\":null,\"code\":" code "}}"

static void error_replies_are_explained_without_the_provider_s_words(void **state)
{
    (void)state;
    static const struct error_case cases[] = {
        { 401, BODY("\"invalid_request_error\"", "\"invalid_api_key\""), "provider_auth", false,
          "type=invalid_request_error code=invalid_api_key" },
        { 403, BODY("null", "null"), "provider_auth", false, "" },
        { 404, BODY("\"invalid_request_error\"", "\"model_not_found\""), "provider_not_found",
          false, "type=invalid_request_error code=model_not_found" },
        { 400, BODY("\"invalid_request_error\"", "\"context_length_exceeded\""),
          "provider_context_length", false,
          "type=invalid_request_error code=context_length_exceeded" },
        { 400, BODY("\"invalid_request_error\"", "null"), "provider_rejected", false,
          "type=invalid_request_error" },
        { 429, BODY("\"requests\"", "\"rate_limit_exceeded\""), "provider_rate_limited", true,
          "type=requests code=rate_limit_exceeded" },
        { 429, BODY("\"insufficient_quota\"", "\"insufficient_quota\""), "provider_quota", false,
          "type=insufficient_quota code=insufficient_quota" },
        { 429, BODY("\"x\"", "\"credit_balance_exhausted\""), "provider_quota", false,
          "type=x code=credit_balance_exhausted" },
        { 500, BODY("\"server_error\"", "500"), "provider_error", true,
          "type=server_error code=500" },
        { 500, BODY("\"a b\\nlevel=error\"", "null"), "provider_error", true,
          "type=a?b?level=error" },
        { 503, "[" BODY("\"x\"", "503") "]", "provider_error", true, "type=x code=503" },
        { 500, "{\"object\":\"error\",\"type\":\"flat\",\"code\":1}", "provider_error", true,
          "type=flat code=1" },
        { 502, "<html>Bad Gateway</html>", "provider_error", true, "" },
        { 500, "", "provider_error", true, "" },
        { 500, "{\"error\":\"model not loaded\"}", "provider_error", true, "" },
        { 301, "", "provider_bad_response", true, "" },
    };
    check_errors(OPS, cases, sizeof cases / sizeof *cases);
}

static void a_request_id_goes_into_the_detail(void **state)
{
    (void)state;
    const char *headers[] = { "X-Request-Id", "req_1", NULL };
    struct provider_failure failure;
    OPS->explain(500, header_of, headers, "", 0, &failure);
    assert_string_equal(failure.detail, "request=req_1");
}

static void no_stream_is_left_behind_by_an_early_close(void **state)
{
    (void)state;
    struct provider_call call = { .model = "m", .system = "" };
    struct buf events;
    buf_init(&events, 4096);
    struct provider_stream *stream = OPS->open(&call, write_down, &events);
    OPS->feed(stream, "data: {\"choices\"", 16);
    OPS->close(stream);
    OPS->close(NULL);
    assert_int_equal(events.len, 0);
    buf_free(&events);
}

static void a_function_call_in_pieces_becomes_one_event_and_only_the_first_counts(void **state)
{
    (void)state;
    offers = true;
    check_stream(
        &provider_openai,
        "data: "
        "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
        "\"index\":0,"
        "\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n"
        "data: "
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{"
        "\\\"a\\\"\"}}]}}]}\n\n"
        "data: "
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}"
        "\"}},"
        "{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c3\",\"function\":"
        "{\"name\":\"h\",\"arguments\":\"{}\"}}]}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
        "data: [DONE]\n\n",
        "call f {\"a\":1};finish tool_calls;");
    offers = false;
}

static void what_a_call_says_is_whole_characters_on_one_line(void **state)
{
    (void)state;
    offers = true;
    check_stream(
        &provider_openai,
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":"
        "{\"name\":\"f\\ud83d\",\"arguments\":\"{\\r\\n \\\"a\\\": "
        "\\\"\\ud83d\\ude00\\\\n\\\"\\n\\n}\"}}]}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
        "data: [DONE]\n\n",
        "call f\xef\xbf\xbd {   \"a\": \"\xf0\x9f\x98\x80\\n\"  };finish tool_calls;");
    offers = false;
}

static void functions_calls_and_results_are_encoded(void **state)
{
    static const struct chat_tool tools[] = { { "f", "Does it", "{\"type\":\"object\"}" } };
    struct provider provider = sample();
    struct chat_message said[] = { { CHAT_USER, (char[]){ "q" }, 1 },
                                   { CHAT_ASSISTANT, (char[]){ "{\"a\":1}" }, 7 },
                                   { CHAT_USER, (char[]){ "42" }, 2 } };
    struct chat_use uses[] = { { CHAT_USE_NONE, NULL, NULL },
                               { CHAT_USE_CALL, "c1", "f" },
                               { CHAT_USE_RESULT, "c1", NULL } };
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = said,
                                  .message_count = 3,
                                  .uses = uses,
                                  .tools = tools,
                                  .tool_count = 1 };
    struct provider_request request;
    struct fault fault;
    (void)state;
    provider_request_init(&request);
    assert_int_equal(provider.ops->encode(&call, &request, &fault), RESULT_OK);
    assert_non_null(
        strstr(buf_str(&request.body),
               "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
               "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"type\":\"function\","
               "\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]},"
               "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"42\"}]"));
    assert_non_null(strstr(buf_str(&request.body),
                           "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                           "\"description\":\"Does it\",\"parameters\":{\"type\":\"object\"}}}],"
                           "\"parallel_tool_calls\":false"));
    provider_request_free(&request);
    call.no_calls = true;
    provider_request_init(&request);
    assert_int_equal(provider.ops->encode(&call, &request, &fault), RESULT_OK);
    assert_non_null(strstr(buf_str(&request.body), "\"tool_choice\":\"none\""));
    provider_request_free(&request);
}

int main(void)
{
    /* Not for this format: it tells a whole error object from garbage. */
    (void)check_garbage;
    (void)load_providers;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_become_their_events),
        cmocka_unit_test(finish_reasons_are_mapped_to_one_vocabulary),
        cmocka_unit_test(pieces_of_a_character_are_joined_and_broken_ones_replaced),
        cmocka_unit_test(content_in_parts_is_understood),
        cmocka_unit_test(usage_is_told_when_it_changes_and_odd_usage_is_no_error),
        cmocka_unit_test(an_error_frame_fails_the_stream_whatever_came_before),
        cmocka_unit_test(a_cut_stream_says_so_and_is_whole_only_after_a_finish_reason),
        cmocka_unit_test(what_is_no_stream_of_chunks_is_a_bad_reply),
        cmocka_unit_test(a_page_is_refused_at_its_first_byte),
        cmocka_unit_test(a_whole_reply_is_accepted_although_a_stream_was_asked_for),
        cmocka_unit_test(lines_and_bodies_over_their_caps_are_a_bad_reply),
        cmocka_unit_test(the_request_has_address_key_and_messages_with_the_system_prompt_first),
        cmocka_unit_test(optional_parts_are_left_out),
        cmocka_unit_test(a_request_over_the_cap_is_refused),
        cmocka_unit_test(error_replies_are_explained_without_the_provider_s_words),
        cmocka_unit_test(a_request_id_goes_into_the_detail),
        cmocka_unit_test(no_stream_is_left_behind_by_an_early_close),
        cmocka_unit_test(a_function_call_in_pieces_becomes_one_event_and_only_the_first_counts),
        cmocka_unit_test(what_a_call_says_is_whole_characters_on_one_line),
        cmocka_unit_test(functions_calls_and_results_are_encoded),
    };
    return cmocka_run_group_tests_name("openai", tests, NULL, NULL);
}
