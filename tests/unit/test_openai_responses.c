/*
 * openai_responses: what goes over the wire to the Responses API, and the events that its streams become,
 * however they are delivered. The pictures of the sister format, Chat Completions, are here too.
 */
#include "tests/unit/provider_fixture.h"

/* An event named by its line and by its data, as the API sends it. */
#define FRAME(name, members)                                                                       \
    "event: " name "\ndata: {\"type\":\"" name "\",\"sequence_number\":1" members "}\n\n"
#define DELTA(name, text)                                                                          \
    FRAME(name, ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"" text  \
                "\",\"logprobs\":[]")

#define RESPONSE(status, members)                                                                  \
    ",\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"" status                \
    "\",\"model\":\"gpt-x-2026\"" members "}"
#define BEGIN                                                                                      \
    FRAME("response.created",                                                                      \
          RESPONSE("in_progress", ",\"error\":null,\"incomplete_details\":null,\"usage\":null"))   \
    FRAME("response.in_progress", RESPONSE("in_progress", ",\"usage\":null"))                      \
    FRAME("response.output_item.added",                                                            \
          ",\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[]}")   \
    FRAME("response.content_part.added",                                                           \
          ",\"item_id\":\"msg_1\",\"part\":{\"type\":\"output_text\",\"text\":\"\"}")
#define TEXT(text) DELTA("response.output_text.delta", text)
#define USAGE                                                                                      \
    ",\"usage\":{\"input_tokens\":20,\"input_tokens_details\":{\"cached_tokens\":8,"               \
    "\"cache_write_tokens\":1},\"output_tokens\":9,"                                               \
    "\"output_tokens_details\":{\"reasoning_tokens\":4},\"total_tokens\":29}"
#define USAGE_TOLD "usage 20+9=29 cached 8 reasoning 4;"
#define COMPLETED                                                                                  \
    FRAME("response.output_text.done", ",\"text\":\"whole text again\"")                           \
    FRAME("response.content_part.done", ",\"part\":{\"type\":\"output_text\",\"text\":\"again\"}") \
    FRAME("response.output_item.done", ",\"item\":{\"type\":\"message\",\"content\":[]}")          \
    FRAME("response.completed",                                                                    \
          RESPONSE("completed", ",\"error\":null,\"output\":[{\"type\":\"message\",\"content\":["  \
                                "{\"type\":\"output_text\",\"text\":\"again\"}]}]" USAGE))

#define CHECK(stream, wanted) check_stream(&provider_openai_responses, stream, wanted)

/* ---- replies ---- */

static void a_normal_stream_becomes_text_usage_and_finish(void **state)
{
    (void)state;
    CHECK(BEGIN TEXT("Hello") TEXT(" \\u00e9\\ud83d\\ude00 w\xc3\xb6rld\\n") COMPLETED,
          "model gpt-x-2026;text Hello;text  \xc3\xa9\xf0\x9f\x98\x80 w\xc3\xb6rld\n;" USAGE_TOLD
          "finish stop;");
}

static void reasoning_is_kept_apart_and_its_parts_are_paragraphs(void **state)
{
    (void)state;
    CHECK(FRAME("response.reasoning_summary_part.added", ",\"summary_index\":0,\"part\":{}")
              DELTA("response.reasoning_summary_text.delta", "one")
                  FRAME("response.reasoning_summary_text.done", ",\"text\":\"one\"")
                      FRAME("response.reasoning_summary_part.added", ",\"summary_index\":1")
                          DELTA("response.reasoning_summary_text.delta", "two")
                              DELTA("response.reasoning_text.delta", "raw") TEXT("a") COMPLETED,
          "think one;think \n\n;think two;think raw;text a;model gpt-x-2026;" USAGE_TOLD
          "finish stop;");
}

static void a_refusal_is_shown_and_named(void **state)
{
    (void)state;
    CHECK(DELTA("response.refusal.delta", "I can't") DELTA("response.refusal.delta", ".")
              FRAME("response.refusal.done", ",\"refusal\":\"I can't.\"") COMPLETED,
          "text I can't;text .;model gpt-x-2026;" USAGE_TOLD "finish refusal;");
}

static void an_incomplete_answer_says_why(void **state)
{
    static const struct {
        const char *details;
        const char *finish;
    } cases[] = {
        { "{\"reason\":\"max_output_tokens\"}", "length" },
        { "{\"reason\":\"content_filter\"}", "content_filter" },
        { "{\"reason\":\"something_new\"}", "length" },
        { "null", "length" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char stream[1024], wanted[256];
        snprintf(stream, sizeof stream,
                 TEXT("Hal") FRAME("response.incomplete",
                                   RESPONSE("incomplete", ",\"incomplete_details\":%s" USAGE)),
                 cases[i].details);
        snprintf(wanted, sizeof wanted, "text Hal;model gpt-x-2026;" USAGE_TOLD "finish %s;",
                 cases[i].finish);
        CHECK(stream, wanted);
    }
}

static void a_function_call_is_no_text(void **state)
{
    (void)state;
    CHECK(DELTA("response.function_call_arguments.delta", "{\\\"a\\\":1}")
              FRAME("response.function_call_arguments.done", ",\"arguments\":\"{}\"")
                  FRAME("response.completed", RESPONSE("completed", "")),
          "model gpt-x-2026;finish tool_calls;");
}

static void a_function_call_is_one_event_and_only_the_first_counts(void **state)
{
    (void)state;
    offers = true;
    CHECK(TEXT("Let me see.") FRAME("response.output_item.done",
                                    ",\"item\":{\"id\":\"fc_1\",\"type\":\"function_call\","
                                    "\"call_id\":\"c1\",\"name\":\"f\","
                                    "\"arguments\":\"{\\\"a\\\":1}\"}")
              FRAME("response.output_item.done",
                    ",\"item\":{\"id\":\"fc_2\",\"type\":\"function_call\","
                    "\"call_id\":\"c2\",\"name\":\"g\",\"arguments\":\"{}\"}")
                  FRAME("response.function_call_arguments.done", ",\"arguments\":\"{}\"")
                      FRAME("response.completed", RESPONSE("completed", "")),
          "text Let me see.;model gpt-x-2026;call f {\"a\":1};finish tool_calls;");
    offers = false;
}

static void missing_and_odd_usage_is_no_error(void **state)
{
    (void)state;
    CHECK(TEXT("a") FRAME("response.completed", RESPONSE("completed", "")),
          "text a;model gpt-x-2026;finish stop;");
    CHECK(TEXT("a") FRAME("response.completed", RESPONSE("completed", ",\"usage\":null")),
          "text a;model gpt-x-2026;finish stop;");
    CHECK(TEXT("a") FRAME("response.completed",
                          RESPONSE("completed", ",\"usage\":{\"input_tokens\":3.0,"
                                                "\"output_tokens\":2,\"total_tokens\":-1,"
                                                "\"input_tokens_details\":7}")),
          "text a;model gpt-x-2026;usage 3+2=5 cached 0 reasoning 0;finish stop;");
}

static void unknown_events_and_done_are_ignored(void **state)
{
    (void)state;
    CHECK(FRAME("response.queued", RESPONSE("queued", "")) TEXT("a")
              FRAME("response.output_text.annotation.added", ",\"annotation\":{}")
                  FRAME("response.web_search_call.searching", "")
                      FRAME("response.mcp_call_arguments.delta", ",\"delta\":\"x\"")
                          FRAME("response.code_interpreter_call_code.delta",
                                ",\"delta\":\"x\"") "event: news\ndata: not json\n\n"
                                                    "data: [DONE]\n\n" COMPLETED TEXT(
                                                        "late") "data: [DONE]\n\n",
          "text a;model gpt-x-2026;" USAGE_TOLD "finish stop;");
}

static void events_without_a_name_are_known_by_their_type(void **state)
{
    (void)state;
    CHECK("data: {\"type\":\"response.created\",\"response\":{\"model\":\"m\"}}\n\n"
          "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
          "data: {\"type\":\"response.completed\",\"response\":{}}\n\n",
          "model m;text a;finish stop;");
}

static void any_of_the_first_events_tells_the_model(void **state)
{
    (void)state;
    CHECK(FRAME("response.in_progress", ",\"response\":{\"model\":\"m1\"}") TEXT("a")
              FRAME("response.completed", ",\"response\":{\"model\":\"m2\"}"),
          "model m1;text a;finish stop;");
}

static void the_last_event_needs_no_blank_line(void **state)
{
    (void)state;
    CHECK(TEXT("a") "event: response.completed\ndata: {\"response\":{}}\n", "text a;finish stop;");
    CHECK(TEXT("a") "event: response.completed\ndata: {\"response\":{}}", "text a;finish stop;");
}

static void an_error_in_the_stream_fails_with_its_kind(void **state)
{
    static const struct {
        const char *code;
        const char *fault;
    } kinds[] = {
        { "\"server_error\"", "provider_error" },
        { "\"rate_limit_exceeded\"", "provider_rate_limited" },
        { "\"insufficient_quota\"", "provider_quota" },
        { "\"invalid_prompt\"", "provider_rejected" },
        { "\"context_length_exceeded\"", "provider_context_length" },
        { "null", "provider_error" },
    };
    static const char *const forms[] = {
        TEXT("Hal") FRAME("error", ",\"code\":%s,\"message\":\"Sorry\",\"param\":null")
            TEXT("never"),
        TEXT("Hal") FRAME("error", ",\"error\":{\"type\":\"x\",\"code\":%s,\"message\":\"\"}"),
        TEXT("Hal") "data: {\"error\":{\"type\":\"x\",\"code\":%s}}\n\n",
        TEXT("Hal") FRAME("response.failed", ",\"response\":{\"status\":\"failed\",\"usage\":null,"
                                             "\"error\":{\"code\":%s,\"message\":\"\"}}")
            TEXT("never"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
            char *stream, wanted[128];
            const char *hole = strstr(forms[form], "%s");
            assert_true(asprintf(&stream, "%.*s%s%s", (int)(hole - forms[form]), forms[form],
                                 kinds[i].code, hole + 2) > 0);
            snprintf(wanted, sizeof wanted, "text Hal;failed %s;", kinds[i].fault);
            CHECK(stream, wanted);
            free(stream);
        }
    }
    CHECK(FRAME("response.failed", ""), "failed provider_error;");
}

static void a_cut_stream_says_so(void **state)
{
    (void)state;
    CHECK(BEGIN TEXT("Hal"), "model gpt-x-2026;text Hal;failed provider_stream_cut;");
    check_cuts(&provider_openai_responses, BEGIN TEXT("Hello") TEXT(" \xe2\x82\xac") COMPLETED,
               "\"total_tokens\":29}}}");
}

static void broken_data_of_a_known_event_is_a_bad_reply(void **state)
{
    (void)state;
    CHECK(TEXT("a") "event: response.output_text.delta\ndata: {\"delta\n\n" TEXT("b"),
          "text a;failed provider_bad_response;");
    CHECK(TEXT("a") "event: response.completed\ndata: {\"response\":7}\n\n",
          "text a;failed provider_bad_response;");
    CHECK(TEXT("a\\x"), "failed provider_bad_response;");
    check_garbage(&provider_openai_responses);
}

/* ---- requests ---- */

static struct provider responses(const char *base)
{
    return (struct provider){
        .ops = &provider_openai_responses,
        .base_url = (char *)base,
        .api_key = (char *)"sk-1",
        .max_tokens = 77,
        .max_tokens_field = "max_tokens",
        .temperature = 0.5,
    };
}

static void the_request_has_address_headers_and_items(void **state)
{
    struct provider provider = responses("https://api.openai.com/v1");
    struct chat_message messages[] = {
        { CHAT_USER, (char[]){ "one" }, 3 },
        { CHAT_ASSISTANT, (char[]){ "A" }, 1 },
        { CHAT_USER, (char[]){ "\"two\"\n\xe2\x82\xac" }, 9 },
    };
    struct provider_call call = { .provider = &provider,
                                  .model = "gpt-x",
                                  .system = "Be kind.",
                                  .messages = messages,
                                  .message_count = 3,
                                  .images = NULL };
    (void)state;
    check_request(&call, "https://api.openai.com/v1/responses",
                  "Content-Type: application/json\nAccept: text/event-stream\n"
                  "Authorization: Bearer sk-1\n",
                  "{\"model\":\"gpt-x\",\"instructions\":\"Be kind.\",\"temperature\":0.5,"
                  "\"max_output_tokens\":77,\"store\":false,\"stream\":true,\"input\":["
                  "{\"role\":\"user\",\"content\":\"one\"},"
                  "{\"role\":\"assistant\",\"content\":\"A\"},"
                  "{\"role\":\"user\",\"content\":\"\\\"two\\\"\\n\xe2\x82\xac\"}]}");
}

static void functions_calls_and_results_are_encoded(void **state)
{
    static const struct chat_tool tools[] = { { "f", "Does it", "{\"type\":\"object\"}" } };
    struct provider provider = responses("https://x.example");
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
                                  .tool_count = 1,
                                  .no_calls = true };
    (void)state;
    provider.max_tokens = 0;
    provider.temperature = -1;
    check_request(&call, NULL, NULL,
                  "{\"model\":\"m\",\"store\":false,\"stream\":true,\"input\":["
                  "{\"role\":\"user\",\"content\":\"q\"},"
                  "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\","
                  "\"arguments\":\"{\\\"a\\\":1}\"},"
                  "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"42\"}],"
                  "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"Does it\","
                  "\"parameters\":{\"type\":\"object\"},\"strict\":true}],"
                  "\"tool_choice\":\"none\",\"parallel_tool_calls\":false}");
}

static void optional_parts_are_left_out(void **state)
{
    struct provider provider = responses("https://x.example/openai/v1?api-version=3");
    struct chat_message question = { CHAT_USER, (char[]){ "q" }, 1 };
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = &question,
                                  .message_count = 1,
                                  .images = NULL };
    (void)state;
    provider.api_key = (char *)"";
    provider.max_tokens = 0;
    provider.temperature = -1;
    check_request(&call, "https://x.example/openai/v1/responses?api-version=3",
                  "Content-Type: application/json\nAccept: text/event-stream\n",
                  "{\"model\":\"m\",\"store\":false,\"stream\":true,\"input\":["
                  "{\"role\":\"user\",\"content\":\"q\"}]}");
}

/* Two pictures with a question, pictures that an answer cannot have, and a picture alone. */
static struct chat_message picture_messages[] = {
    { CHAT_USER, (char *)"look", 4 },
    { CHAT_ASSISTANT, (char *)"yes", 3 },
    { CHAT_USER, (char *)"", 0 },
};
static const struct chat_image pictures[] = { { "image/png", "iVBORw0K", 8, NULL },
                                              { "image/jpeg", "/9j/4A==", 8, NULL } };
static const struct chat_images picture_lists[] = { { pictures, 2 },
                                                    { pictures, 1 },
                                                    { pictures + 1, 1 } };

static void pictures_become_input_images(void **state)
{
    struct provider provider = responses("http://x");
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = picture_messages,
                                  .message_count = 3,
                                  .images = picture_lists };
    (void)state;
    assert_true(provider_openai_responses.sees_images);
    check_request(
        &call, NULL, NULL,
        "{\"model\":\"m\",\"temperature\":0.5,\"max_output_tokens\":77,\"store\":false,"
        "\"stream\":true,\"input\":["
        "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"look\"},"
        "{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,iVBORw0K\"},"
        "{\"type\":\"input_image\",\"image_url\":\"data:image/jpeg;base64,/9j/4A==\"}]},"
        "{\"role\":\"assistant\",\"content\":\"yes\"},"
        "{\"role\":\"user\",\"content\":["
        "{\"type\":\"input_image\",\"image_url\":\"data:image/jpeg;base64,/9j/4A==\"}]}]}");
    check_too_large(&provider);
}

static void pictures_become_image_urls_in_chat_completions(void **state)
{
    struct provider provider = responses("http://x");
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = picture_messages,
                                  .message_count = 3,
                                  .images = picture_lists };
    (void)state;
    provider.ops = &provider_openai;
    assert_true(provider_openai.sees_images);
    assert_false(provider_demo.sees_images);
    check_request(
        &call, "http://x/chat/completions", NULL,
        "{\"model\":\"m\",\"temperature\":0.5,\"max_tokens\":77,\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true},\"messages\":["
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0K\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,/9j/4A==\"}}]},"
        "{\"role\":\"assistant\",\"content\":\"yes\"},"
        "{\"role\":\"user\",\"content\":["
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,/9j/4A==\"}}]}]}");
    check_too_large(&provider);
}

static void a_picture_type_cannot_break_out_of_its_string(void **state)
{
    struct provider provider = responses("http://x");
    const struct chat_image image = { "a\"},{\"b", "AA==", 4, NULL };
    const struct chat_images images = { &image, 1 };
    struct chat_message question = { CHAT_USER, (char[]){ "" }, 0 };
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = &question,
                                  .message_count = 1,
                                  .images = &images };
    (void)state;
    check_request(&call, NULL, NULL,
                  "{\"model\":\"m\",\"temperature\":0.5,\"max_output_tokens\":77,\"store\":false,"
                  "\"stream\":true,\"input\":[{\"role\":\"user\",\"content\":[{\"type\":"
                  "\"input_image\",\"image_url\":\"data:a\\\"},{\\\"b;base64,AA==\"}]}]}");
}

/* ---- error replies ---- */

static void error_replies_are_explained(void **state)
{
    static const struct error_case cases[] = {
        { 401,
          "{\"error\":{\"message\":\"Incorrect API key provided: sk-1\","
          "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}",
          "provider_auth", false, "type=invalid_request_error code=invalid_api_key" },
        { 404, "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"model_not_found\"}}",
          "provider_not_found", false, "type=invalid_request_error code=model_not_found" },
        { 400, "{\"error\":{\"type\":\"invalid_request_error\",\"code\":null}}",
          "provider_rejected", false, "type=invalid_request_error" },
        { 400,
          "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}",
          "provider_context_length", false,
          "type=invalid_request_error code=context_length_exceeded" },
        { 429, "{\"error\":{\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
          "provider_quota", false, "type=insufficient_quota code=insufficient_quota" },
        { 429, "{\"error\":{\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}",
          "provider_rate_limited", true, "type=requests code=rate_limit_exceeded" },
        { 500, "{\"error\":{\"type\":\"server_error\"}}", "provider_error", true,
          "type=server_error" },
        { 503, "{\"error\":", "provider_error", true, "" },
    };
    (void)state;
    check_errors(&provider_openai_responses, cases, sizeof cases / sizeof *cases);
}

static void retry_headers_and_the_request_id_are_read(void **state)
{
    static const char body[] = "{\"error\":{\"type\":\"server_error\"}}";
    const char *headers[] = { "Retry-After", "2", "x-request-id", "req_9", NULL };
    struct provider_failure failure;
    (void)state;
    provider_openai_responses.explain(500, header_of, headers, body, sizeof body - 1, &failure);
    assert_true(failure.retryable);
    assert_int_equal(failure.retry_after_ms, 2000);
    assert_string_equal(failure.detail, "type=server_error request=req_9");
}

/* ---- configuration ---- */

static void the_api_style_chooses_the_format_of_openai(void **state)
{
    struct config config;
    struct providers providers;
    const char *unset[] = { "OPENAI_API_KEY", "sk-1", NULL };
    const char *set[] = { "OPENAI_API_KEY", "sk-1", "OPENAI_API_STYLE", "Responses", NULL };
    const char *warm[] = { "OPENAI_API_BASE",
                           "http://x/v1",
                           "OPENAI_API_STYLE",
                           "responses",
                           "OPENAI_TEMPERATURE",
                           "1.5",
                           NULL };
    (void)state;
    load_providers(unset, &config, &providers);
    assert_ptr_equal(providers.list[0].ops, &provider_openai);
    assert_true(providers.list[0].temperature == 0.7);
    providers_free(&providers);
    config_free(&config);

    load_providers(set, &config, &providers);
    assert_string_equal(providers.list[0].name, "openai");
    assert_ptr_equal(providers.list[0].ops, &provider_openai_responses);
    assert_string_equal(providers.list[0].base_url, "https://api.openai.com/v1");
    assert_true(providers.list[0].temperature < 0);
    providers_free(&providers);
    config_free(&config);

    load_providers(warm, &config, &providers);
    assert_ptr_equal(providers.list[0].ops, &provider_openai_responses);
    assert_true(providers.list[0].temperature == 1.5);
    providers_free(&providers);
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_stream_becomes_text_usage_and_finish),
        cmocka_unit_test(reasoning_is_kept_apart_and_its_parts_are_paragraphs),
        cmocka_unit_test(a_refusal_is_shown_and_named),
        cmocka_unit_test(an_incomplete_answer_says_why),
        cmocka_unit_test(a_function_call_is_no_text),
        cmocka_unit_test(a_function_call_is_one_event_and_only_the_first_counts),
        cmocka_unit_test(functions_calls_and_results_are_encoded),
        cmocka_unit_test(missing_and_odd_usage_is_no_error),
        cmocka_unit_test(unknown_events_and_done_are_ignored),
        cmocka_unit_test(events_without_a_name_are_known_by_their_type),
        cmocka_unit_test(any_of_the_first_events_tells_the_model),
        cmocka_unit_test(the_last_event_needs_no_blank_line),
        cmocka_unit_test(an_error_in_the_stream_fails_with_its_kind),
        cmocka_unit_test(a_cut_stream_says_so),
        cmocka_unit_test(broken_data_of_a_known_event_is_a_bad_reply),
        cmocka_unit_test(the_request_has_address_headers_and_items),
        cmocka_unit_test(optional_parts_are_left_out),
        cmocka_unit_test(pictures_become_input_images),
        cmocka_unit_test(pictures_become_image_urls_in_chat_completions),
        cmocka_unit_test(a_picture_type_cannot_break_out_of_its_string),
        cmocka_unit_test(error_replies_are_explained),
        cmocka_unit_test(retry_headers_and_the_request_id_are_read),
        cmocka_unit_test(the_api_style_chooses_the_format_of_openai),
    };
    return cmocka_run_group_tests_name("openai_responses", tests, NULL, NULL);
}
