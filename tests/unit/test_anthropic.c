/*
 * anthropic: what goes over the wire to the Messages API, and the events that its streams become,
 * however they are delivered.
 */
#include "tests/unit/provider_fixture.h"

#define FRAME(name, data) "event: " name "\ndata: " data "\n\n"

#define START                                                                                      \
    FRAME("message_start",                                                                         \
          "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"type\":\"message\","       \
          "\"role\":\"assistant\",\"content\":[],\"model\":\"claude-x-1\",\"stop_reason\":null,"   \
          "\"stop_sequence\":null,\"usage\":{\"input_tokens\":11,"                                 \
          "\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":7,"                       \
          "\"cache_creation\":{\"ephemeral_5m_input_tokens\":5},\"output_tokens\":1}}}")
#define START_TOLD "model claude-x-1;usage 23+1=24 cached 7 reasoning 0;"
#define BLOCK_START                                                                                \
    FRAME("content_block_start", "{\"type\":\"content_block_start\",\"index\":0,"                  \
                                 "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}")
#define TEXT(text)                                                                                 \
    FRAME("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,"                  \
                                 "\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}}")
#define BLOCK_STOP FRAME("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}")
#define PING       FRAME("ping", "{\"type\": \"ping\"}")
#define DELTA(reason, tokens)                                                                      \
    FRAME("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason      \
                           "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":" tokens "}}")
#define STOP FRAME("message_stop", "{\"type\":\"message_stop\"}")

#define CHECK(stream, wanted) check_stream(&provider_anthropic, stream, wanted)

/* ---- replies ---- */

static void a_normal_stream_becomes_text_usage_and_finish(void **state)
{
    (void)state;
    CHECK(START BLOCK_START PING TEXT("Hello") TEXT(" \\u00e9\\ud83d\\ude00 w\xc3\xb6rld\\n")
              BLOCK_STOP DELTA("end_turn", "15") STOP,
          START_TOLD "text Hello;text  \xc3\xa9\xf0\x9f\x98\x80 w\xc3\xb6rld\n;"
                     "usage 23+15=38 cached 7 reasoning 0;finish stop;");
}

static void thinking_is_kept_apart_and_signatures_are_ignored(void **state)
{
    (void)state;
    CHECK(START FRAME("content_block_start",
                      "{\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\","
                      "\"signature\":\"\"}}")
              FRAME("content_block_delta",
                    "{\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}")
                  FRAME("content_block_delta",
                        "{\"index\":0,\"delta\":{\"type\":\"signature_delta\","
                        "\"signature\":\"EqQB\"}}")
                      BLOCK_STOP FRAME(
                          "content_block_start",
                          "{\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\","
                          "\"data\":\"xx\"}}") BLOCK_STOP TEXT("yes")
                          FRAME("content_block_delta",
                                "{\"index\":1,\"delta\":{\"type\":\"citations_delta\","
                                "\"citation\":{\"text\":\"no\"}}}")
                              BLOCK_STOP DELTA("end_turn", "9") STOP,
          START_TOLD "think hm;text yes;usage 23+9=32 cached 7 reasoning 0;finish stop;");
}

static void text_of_a_block_start_counts(void **state)
{
    (void)state;
    CHECK(START FRAME("content_block_start",
                      "{\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"A\"}}")
              TEXT("B") DELTA("end_turn", "1") STOP,
          START_TOLD "text A;text B;finish stop;");
}

static void a_tool_call_is_no_text(void **state)
{
    (void)state;
    CHECK(START FRAME("content_block_start",
                      "{\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\","
                      "\"name\":\"f\",\"input\":{}}}")
              FRAME("content_block_delta", "{\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
                                           "\"partial_json\":\"{\\\"a\\\":\"}}")
                  BLOCK_STOP DELTA("tool_use", "1") STOP,
          START_TOLD "finish tool_calls;");
}

static void every_stop_reason_has_its_name(void **state)
{
    (void)state;
    CHECK(START TEXT("a") DELTA("max_tokens", "1") STOP, START_TOLD "text a;finish length;");
    CHECK(START TEXT("a") DELTA("model_context_window_exceeded", "1") STOP,
          START_TOLD "text a;finish length;");
    CHECK(START TEXT("a") DELTA("stop_sequence", "1") STOP, START_TOLD "text a;finish stop;");
    CHECK(START TEXT("a") DELTA("pause_turn", "1") STOP, START_TOLD "text a;finish stop;");
    CHECK(START TEXT("a") DELTA("brand_new", "1") STOP, START_TOLD "text a;finish stop;");
}

static void a_refusal_with_its_details_is_a_refusal(void **state)
{
    (void)state;
    CHECK(START TEXT("I") FRAME(
              "message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\","
                               "\"stop_details\":{\"type\":\"refusal\",\"category\":null}}}") STOP,
          START_TOLD "text I;finish refusal;");
}

static void usage_is_cumulative_over_several_message_deltas(void **state)
{
    (void)state;
    CHECK(START TEXT("a") FRAME(
              "message_delta", "{\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":4}}")
              FRAME("message_delta",
                    "{\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":20,"
                    "\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":7,"
                    "\"output_tokens\":6}}") STOP,
          START_TOLD "text a;usage 23+4=27 cached 7 reasoning 0;"
                     "usage 32+6=38 cached 7 reasoning 0;finish stop;");
}

static void missing_and_odd_usage_is_no_error(void **state)
{
    (void)state;
    CHECK(FRAME("message_start", "{\"message\":{\"model\":\"m\"}}") TEXT("a")
              FRAME("message_delta", "{\"delta\":{\"stop_reason\":\"end_turn\"}}") STOP,
          "model m;text a;finish stop;");
    CHECK(FRAME("message_start", "{\"message\":{\"usage\":null}}") TEXT("a")
              FRAME("message_delta", "{\"delta\":{\"stop_reason\":\"end_turn\"},"
                                     "\"usage\":{\"output_tokens\":\"many\"}}") STOP,
          "text a;finish stop;");
}

static void unknown_events_and_their_data_are_ignored(void **state)
{
    (void)state;
    CHECK(FRAME("news", "not json") START FRAME("message_later", "{\"delta\":1}")
              TEXT("a") "data: {\"type\":\"heartbeat\"}\n\n" DELTA("end_turn", "1")
                  FRAME("news", "{}") STOP FRAME("news", "{}"),
          START_TOLD "text a;finish stop;");
}

static void events_without_a_name_are_known_by_their_type(void **state)
{
    (void)state;
    CHECK("data: {\"type\":\"message_start\",\"message\":{\"model\":\"m\"}}\n\n"
          "data: {\"type\":\"ping\"}\n\n"
          "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
          "\"text\":\"a\"}}\n\n"
          "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"}}\n\n"
          "data: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n",
          "model m;text a;finish length;");
}

static void the_last_event_needs_no_blank_line(void **state)
{
    (void)state;
    CHECK(START TEXT("a")
              DELTA("end_turn", "1") "event: message_stop\ndata: {\"type\":\"message_stop\"}\n",
          START_TOLD "text a;finish stop;");
    CHECK(START TEXT("a")
              DELTA("end_turn", "1") "event: message_stop\ndata: {\"type\":\"message_stop\"}",
          START_TOLD "text a;finish stop;");
}

static void an_error_after_a_200_fails_with_its_kind(void **state)
{
    static const struct {
        const char *type;
        const char *code;
    } kinds[] = {
        { "overloaded_error", "provider_error" },
        { "api_error", "provider_error" },
        { "timeout_error", "provider_error" },
        { "something_new", "provider_error" },
        { "rate_limit_error", "provider_rate_limited" },
        { "authentication_error", "provider_auth" },
        { "permission_error", "provider_auth" },
        { "not_found_error", "provider_not_found" },
        { "billing_error", "provider_quota" },
        { "invalid_request_error", "provider_rejected" },
        { "request_too_large", "provider_rejected" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char stream[1024], wanted[256];
        snprintf(stream, sizeof stream,
                 START TEXT("Hal") FRAME("error", "{\"type\":\"error\",\"error\":{\"type\":\"%s\","
                                                  "\"message\":\"Sorry\"}}") TEXT("never"),
                 kinds[i].type);
        snprintf(wanted, sizeof wanted, START_TOLD "text Hal;failed %s;", kinds[i].code);
        CHECK(stream, wanted);
    }
    CHECK(FRAME("error", "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                         "\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}"),
          "failed provider_context_length;");
    CHECK(FRAME("error", "overloaded"), "failed provider_error;");
    CHECK("data: {\"error\":{\"type\":\"rate_limit_error\"}}\n\n", "failed provider_rate_limited;");
}

static void a_cut_stream_says_so_and_is_whole_only_after_a_stop_reason(void **state)
{
    (void)state;
    CHECK(START TEXT("Hal"), START_TOLD "text Hal;failed provider_stream_cut;");
    CHECK(START TEXT("a") DELTA("end_turn", "1"), START_TOLD "text a;finish stop;");
    check_cuts(&provider_anthropic,
               START BLOCK_START TEXT("Hello") PING TEXT(" \xe2\x82\xac")
                   BLOCK_STOP DELTA("end_turn", "15") STOP,
               "{\"output_tokens\":15}}");
}

static void broken_data_of_a_known_event_is_a_bad_reply(void **state)
{
    (void)state;
    CHECK(START TEXT("a") FRAME("content_block_delta", "{\"delta\":{") TEXT("b"),
          START_TOLD "text a;failed provider_bad_response;");
    CHECK(START TEXT("a\\x"), START_TOLD "failed provider_bad_response;");
    CHECK(STOP, "failed provider_bad_response;");
    check_garbage(&provider_anthropic);
}

static void characters_cut_between_deltas_are_joined(void **state)
{
    (void)state;
    CHECK(START TEXT("\\ud83d") TEXT("\\ude00") TEXT("a\\u0000b") TEXT("\\ud800")
              DELTA("end_turn", "1") STOP,
          START_TOLD "text \xf0\x9f\x98\x80;text ab;text \xef\xbf\xbd;finish stop;");
}

/* ---- requests ---- */

static struct provider anthropic(const char *base)
{
    return (struct provider){
        .ops = &provider_anthropic,
        .base_url = (char *)base,
        .api_key = (char *)"sk-1",
        .max_tokens = 77,
        .temperature = -1,
    };
}

static void the_request_has_address_headers_system_and_limit(void **state)
{
    struct provider provider = anthropic("https://api.anthropic.com");
    struct chat_message question = { CHAT_USER, (char[]){ "Hi \"you\"\n\xe2\x82\xac" }, 12 };
    struct provider_call call = { .provider = &provider,
                                  .model = "claude-x",
                                  .system = "Be kind.",
                                  .messages = &question,
                                  .message_count = 1,
                                  .images = NULL };
    (void)state;
    check_request(
        &call, "https://api.anthropic.com/v1/messages",
        "Content-Type: application/json\nAccept: text/event-stream\n"
        "anthropic-version: 2023-06-01\nx-api-key: sk-1\n",
        "{\"model\":\"claude-x\",\"max_tokens\":77,\"system\":\"Be kind.\",\"stream\":true,"
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\\"you\\\"\\n\xe2\x82\xac\"}]}");
}

static void optional_parts_are_left_out_or_kept_in_bounds(void **state)
{
    struct provider provider = anthropic("http://127.0.0.1:1/proxy/v1");
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
    provider.temperature = 1.7;
    check_request(&call, "http://127.0.0.1:1/proxy/v1/messages",
                  "Content-Type: application/json\nAccept: text/event-stream\n"
                  "anthropic-version: 2023-06-01\n",
                  "{\"model\":\"m\",\"max_tokens\":1024,\"temperature\":1,\"stream\":true,"
                  "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    provider.base_url = (char *)"https://gw.example/x?key=1";
    provider.temperature = 0;
    check_request(&call, "https://gw.example/x/v1/messages?key=1", NULL,
                  "{\"model\":\"m\",\"max_tokens\":1024,\"temperature\":0,\"stream\":true,"
                  "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    provider.base_url = (char *)"v1";
    check_request(&call, "v1/v1/messages", NULL, NULL);
}

static void turns_alternate_and_begin_with_the_user(void **state)
{
    struct provider provider = anthropic("http://x");
    struct chat_message messages[] = {
        { CHAT_ASSISTANT, (char[]){ "welcome" }, 7 }, { CHAT_USER, (char[]){ " \n" }, 2 },
        { CHAT_USER, (char[]){ "one" }, 3 },          { CHAT_ASSISTANT, (char[]){ "" }, 0 },
        { CHAT_USER, (char[]){ "two" }, 3 },          { CHAT_ASSISTANT, (char[]){ "A" }, 1 },
        { CHAT_ASSISTANT, (char[]){ "B" }, 1 },       { CHAT_USER, (char[]){ "three" }, 5 },
    };
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = messages,
                                  .message_count = 8,
                                  .images = NULL };
    (void)state;
    check_request(&call, NULL, NULL,
                  "{\"model\":\"m\",\"max_tokens\":77,\"stream\":true,\"messages\":["
                  "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},"
                  "{\"type\":\"text\",\"text\":\"two\"}]},"
                  "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"A\"},"
                  "{\"type\":\"text\",\"text\":\"B\"}]},"
                  "{\"role\":\"user\",\"content\":\"three\"}]}");
}

static void pictures_become_base64_sources_before_the_text(void **state)
{
    struct provider provider = anthropic("http://x");
    struct chat_message messages[] = {
        { CHAT_USER, (char[]){ "look" }, 4 },
        { CHAT_ASSISTANT, (char[]){ "yes" }, 3 },
        { CHAT_USER, (char[]){ "" }, 0 },
    };
    struct chat_image pictures[] = { { "image/png", "iVBORw0K", 8, NULL },
                                     { "image/jpeg", "/9j/4A==", 8, NULL } };
    struct chat_images images[] = { { pictures, 2 }, { pictures, 1 }, { pictures + 1, 1 } };
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = messages,
                                  .message_count = 3,
                                  .images = images };
    (void)state;
    assert_true(provider_anthropic.sees_images);
    check_request(
        &call, NULL, NULL,
        "{\"model\":\"m\",\"max_tokens\":77,\"stream\":true,\"messages\":["
        "{\"role\":\"user\",\"content\":["
        "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
        "\"data\":\"iVBORw0K\"}},"
        "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\","
        "\"data\":\"/9j/4A==\"}},{\"type\":\"text\",\"text\":\"look\"}]},"
        "{\"role\":\"assistant\",\"content\":\"yes\"},"
        "{\"role\":\"user\",\"content\":["
        "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\","
        "\"data\":\"/9j/4A==\"}}]}]}");
    check_too_large(&provider);
}

/* ---- error replies ---- */

static void error_replies_are_explained(void **state)
{
    static const struct error_case cases[] = {
        { 401,
          "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\","
          "\"message\":\"invalid x-api-key sk-1\"},\"request_id\":\"req_1\"}",
          "provider_auth", false, "type=authentication_error" },
        { 403, "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\"}}", "provider_auth",
          false, "type=permission_error" },
        { 404, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\"}}",
          "provider_not_found", false, "type=not_found_error" },
        { 400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\"}}",
          "provider_rejected", false, "type=invalid_request_error" },
        { 413, "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\"}}",
          "provider_rejected", false, "type=request_too_large" },
        { 400,
          "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
          "\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}",
          "provider_context_length", false, "type=invalid_request_error" },
        { 400,
          "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
          "\"message\":\"Your credit balance is too low to access the Anthropic API.\"}}",
          "provider_quota", false, "type=invalid_request_error" },
        { 402, "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\"}}", "provider_quota",
          false, "type=billing_error" },
        { 429, "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\"}}", "provider_quota",
          false, "type=billing_error" },
        { 429, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}",
          "provider_rate_limited", true, "type=rate_limit_error" },
        { 500, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}", "provider_error", true,
          "type=api_error" },
        { 504, "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\"}}", "provider_error",
          true, "type=timeout_error" },
        { 529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", "provider_error",
          true, "type=overloaded_error" },
        { 529, "<html>", "provider_error", true, "" },
        { 503, "", "provider_error", true, "" },
        { 302, "", "provider_bad_response", true, "" },
    };
    (void)state;
    check_errors(&provider_anthropic, cases, sizeof cases / sizeof *cases);
}

static void retry_headers_and_the_request_id_are_read(void **state)
{
    static const char body[] = "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}";
    const char *patient[] = { "Retry-After", "7", "request-id", "req_01\nforged=1", NULL };
    const char *hopeless[] = { "x-should-retry", "false", "retry-after-ms", "250", NULL };
    struct provider_failure failure;
    (void)state;
    provider_anthropic.explain(429, header_of, patient, body, sizeof body - 1, &failure);
    assert_true(failure.retryable);
    assert_int_equal(failure.retry_after_ms, 7000);
    assert_int_equal(failure.fault.retry_after_s, 7);
    assert_string_equal(failure.detail, "type=rate_limit_error request=req_01?forged=1");
    provider_anthropic.explain(529, header_of, hopeless, body, sizeof body - 1, &failure);
    assert_false(failure.retryable);
    assert_int_equal(failure.retry_after_ms, 250);
}

/* ---- configuration ---- */

static void a_key_or_a_base_of_its_own_makes_the_provider(void **state)
{
    struct config config;
    struct providers providers;
    const struct provider *found;
    const char *none[] = { "ANTHROPIC_API_BASE", "https://api.anthropic.com/", NULL };
    const char *key[] = { "ANTHROPIC_API_KEY", "sk-1", "OPENAI_MAX_TOKENS", "55", NULL };
    const char *base[] = { "ANTHROPIC_BASE_URL",
                           "http://127.0.0.1:1/v1/",
                           "ANTHROPIC_MODEL",
                           "c",
                           "ANTHROPIC_MAX_TOKENS",
                           "9",
                           "OPENAI_TEMPERATURE",
                           "0.5",
                           NULL };
    (void)state;
    load_providers(none, &config, &providers);
    assert_null(providers_find(&providers, "anthropic"));
    assert_null(providers_find(&providers, "claude"));
    assert_string_equal(providers.list[0].name, "demo");
    providers_free(&providers);
    config_free(&config);

    load_providers(key, &config, &providers);
    found = providers_find(&providers, "Claude");
    assert_ptr_equal(found, &providers.list[0]);
    assert_string_equal(found->name, "anthropic");
    assert_ptr_equal(found->ops, &provider_anthropic);
    assert_string_equal(found->base_url, "https://api.anthropic.com");
    assert_string_equal(found->api_key, "sk-1");
    assert_string_equal(found->model, "claude-3-5-sonnet-latest");
    assert_int_equal(found->max_tokens, 55);
    assert_true(found->temperature < 0);
    assert_true(found->total_timeout_ms > 0 && found->connect_timeout_ms > 0);
    providers_free(&providers);
    config_free(&config);

    load_providers(base, &config, &providers);
    found = providers_find(&providers, "anthropic");
    assert_non_null(found);
    assert_string_equal(found->base_url, "http://127.0.0.1:1/v1");
    assert_string_equal(found->model, "c");
    assert_int_equal(found->max_tokens, 9);
    assert_true(found->temperature == 0.5);
    providers_free(&providers);
    config_free(&config);
}

static void openai_stays_the_default_unless_provider_says_claude(void **state)
{
    struct config config;
    struct providers providers;
    const char *both[] = { "ANTHROPIC_API_KEY", "a", "OPENAI_API_KEY", "o", NULL };
    const char *claude[] = {
        "ANTHROPIC_API_KEY", "a", "OPENAI_API_KEY", "o", "PROVIDER", "claude", NULL
    };
    (void)state;
    load_providers(both, &config, &providers);
    assert_int_equal(providers.count, 3);
    assert_string_equal(providers_find(&providers, NULL)->name, "openai");
    providers_free(&providers);
    config_free(&config);

    load_providers(claude, &config, &providers);
    assert_string_equal(providers_find(&providers, "")->name, "anthropic");
    assert_string_equal(providers_find(&providers, "openai")->api_key, "o");
    providers_free(&providers);
    config_free(&config);
}

static void a_tool_use_block_becomes_a_call_with_its_arguments(void **state)
{
    (void)state;
    offers = true;
    check_stream(
        &provider_anthropic,
        START FRAME("content_block_start",
                    "{\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\","
                    "\"name\":\"f\",\"input\":{}}}")
            FRAME("content_block_delta", "{\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
                                         "\"partial_json\":\"{\\\"a\\\":\"}}")
                FRAME("content_block_delta",
                      "{\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
                      "\"partial_json\":\"1}\"}}") BLOCK_STOP DELTA("tool_use", "1") STOP,
        START_TOLD "call f {\"a\":1};finish tool_calls;");
    offers = false;
}

static void uses_become_blocks_of_their_turns(void **state)
{
    static const struct chat_tool tools[] = { { "f", "Does it", "{\"type\":\"object\"}" } };
    struct provider provider = anthropic("https://api.anthropic.com");
    struct chat_message messages[] = { { CHAT_USER, (char[]){ "q" }, 1 },
                                       { CHAT_ASSISTANT, (char[]){ "Let me see" }, 10 },
                                       { CHAT_ASSISTANT, (char[]){ "{\"a\":1}" }, 7 },
                                       { CHAT_USER, (char[]){ "42" }, 2 } };
    struct chat_use uses[] = { { CHAT_USE_NONE, NULL, NULL },
                               { CHAT_USE_NONE, NULL, NULL },
                               { CHAT_USE_CALL, "c1", "f" },
                               { CHAT_USE_RESULT, "c1", NULL } };
    struct provider_call call = { .provider = &provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = messages,
                                  .message_count = 4,
                                  .uses = uses,
                                  .tools = tools,
                                  .tool_count = 1 };
    (void)state;
    provider.max_tokens = 0;
    provider.temperature = -1;
    check_request(
        &call, NULL, NULL,
        "{\"model\":\"m\",\"max_tokens\":1024,\"stream\":true,\"messages\":["
        "{\"role\":\"user\",\"content\":\"q\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Let me see\"},"
        "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"a\":1}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\","
        "\"content\":\"42\"}]}],"
        "\"tools\":[{\"name\":\"f\",\"description\":\"Does "
        "it\",\"input_schema\":{\"type\":\"object\"}}],"
        "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}}");
    call.no_calls = true;
    call.messages = messages;
    call.message_count = 1;
    check_request(&call, NULL, NULL,
                  "{\"model\":\"m\",\"max_tokens\":1024,\"stream\":true,\"messages\":["
                  "{\"role\":\"user\",\"content\":\"q\"}],"
                  "\"tools\":[{\"name\":\"f\",\"description\":\"Does it\","
                  "\"input_schema\":{\"type\":\"object\"}}],"
                  "\"tool_choice\":{\"type\":\"none\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_stream_becomes_text_usage_and_finish),
        cmocka_unit_test(thinking_is_kept_apart_and_signatures_are_ignored),
        cmocka_unit_test(text_of_a_block_start_counts),
        cmocka_unit_test(a_tool_call_is_no_text),
        cmocka_unit_test(every_stop_reason_has_its_name),
        cmocka_unit_test(a_refusal_with_its_details_is_a_refusal),
        cmocka_unit_test(usage_is_cumulative_over_several_message_deltas),
        cmocka_unit_test(missing_and_odd_usage_is_no_error),
        cmocka_unit_test(unknown_events_and_their_data_are_ignored),
        cmocka_unit_test(events_without_a_name_are_known_by_their_type),
        cmocka_unit_test(the_last_event_needs_no_blank_line),
        cmocka_unit_test(an_error_after_a_200_fails_with_its_kind),
        cmocka_unit_test(a_cut_stream_says_so_and_is_whole_only_after_a_stop_reason),
        cmocka_unit_test(broken_data_of_a_known_event_is_a_bad_reply),
        cmocka_unit_test(characters_cut_between_deltas_are_joined),
        cmocka_unit_test(the_request_has_address_headers_system_and_limit),
        cmocka_unit_test(optional_parts_are_left_out_or_kept_in_bounds),
        cmocka_unit_test(turns_alternate_and_begin_with_the_user),
        cmocka_unit_test(pictures_become_base64_sources_before_the_text),
        cmocka_unit_test(error_replies_are_explained),
        cmocka_unit_test(retry_headers_and_the_request_id_are_read),
        cmocka_unit_test(a_key_or_a_base_of_its_own_makes_the_provider),
        cmocka_unit_test(openai_stays_the_default_unless_provider_says_claude),
        cmocka_unit_test(a_tool_use_block_becomes_a_call_with_its_arguments),
        cmocka_unit_test(uses_become_blocks_of_their_turns),
    };
    return cmocka_run_group_tests_name("anthropic", tests, NULL, NULL);
}
