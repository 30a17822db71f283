/*
 * test_providers: which providers a configuration makes, which of them is the default, finding by name,
 * and the rules for statuses and retry headers that all formats share.
 */
#include "tests/unit/provider_fixture.h"

#include "common/base/clock.h"

/* The names in order, "openai demo". */
static void check_names(const char *const *options, const char *wanted)
{
    struct config config;
    struct providers providers;
    struct buf names;
    load_providers(options, &config, &providers);
    buf_init(&names, 400);
    for (size_t i = 0; i < providers.count; i++)
        buf_putf(&names, "%s%s", i ? " " : "", providers.list[i].name);
    assert_string_equal(buf_str(&names), wanted);
    assert_ptr_equal(providers_find(&providers, NULL), &providers.list[0]);
    buf_free(&names);
    providers_free(&providers);
    config_free(&config);
}

#define OPTIONS(...)                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void without_any_key_only_the_demo_is_there(void **state)
{
    (void)state;
    check_names((const char *const[]){ NULL }, "demo");
    check_names(OPTIONS("OPENAI_API_KEY", ""), "demo");
    check_names(OPTIONS("OPENAI_API_BASE", "https://api.openai.com/v1/"), "demo");
}

static void a_key_or_a_base_of_its_own_makes_openai_the_default(void **state)
{
    (void)state;
    check_names(OPTIONS("OPENAI_API_KEY", "sk-1"), "openai demo");
    check_names(OPTIONS("OPENAI_API_BASE", "http://127.0.0.1:11434/v1"), "openai demo");
}

static void provider_names_the_default_in_any_case(void **state)
{
    (void)state;
    check_names(OPTIONS("OPENAI_API_KEY", "sk-1", "PROVIDER", "demo"), "demo openai");
    check_names(OPTIONS("OPENAI_API_KEY", "sk-1", "PROVIDER", "OpenAI"), "openai demo");
    check_names(OPTIONS("ANTHROPIC_API_KEY", "sk-2", "OPENAI_API_KEY", "sk-1", "PROVIDER", "demo"),
                "demo openai anthropic");
    check_names(OPTIONS("ANTHROPIC_API_KEY", "sk-2", "PROVIDER", "claude"), "anthropic demo");
}

static void a_default_that_is_not_available_stops_the_start_and_says_what_is(void **state)
{
    (void)state;
    static const char *const names[] = { "openai", "nobody", "claude" };
    for (size_t i = 0; i < 3; i++) {
        struct config config;
        struct providers providers;
        struct fault fault = { 0 };
        load_providers((const char *const[]){ NULL }, &config, &providers);
        providers_free(&providers);
        free(config.provider);
        config.provider = strdup(names[i]);
        assert_int_equal(providers_load(&config, &providers, &fault), RESULT_INVALID);
        assert_string_equal(fault.field, "PROVIDER");
        assert_non_null(strstr(fault.text, names[i]));
        assert_non_null(strstr(fault.text, "one of: demo."));
        assert_int_equal(providers.count, 0);
        providers_free(&providers);
        config_free(&config);
    }
}

static void options_arrive_in_the_provider(void **state)
{
    (void)state;
    struct config config;
    struct providers providers;
    load_providers(OPTIONS("OPENAI_API_KEY", "sk-1", "OPENAI_API_BASE", "http://127.0.0.1:9/v1///",
                           "OPENAI_MODEL", "m", "OPENAI_TEMPERATURE", "0.25", "OPENAI_MAX_TOKENS",
                           "77", "OPENAI_MAX_TOKENS_FIELD", "max_completion_tokens",
                           "IDLE_TIMEOUT_MS", "1234", "ANSWER_TIMEOUT_MS", "4321", "DEMO_DELAY_MS",
                           "9"),
                   &config, &providers);
    const struct provider *openai = providers_find(&providers, "openai");
    assert_non_null(openai);
    assert_string_equal(openai->base_url, "http://127.0.0.1:9/v1");
    assert_string_equal(openai->api_key, "sk-1");
    assert_string_equal(openai->model, "m");
    assert_true(openai->temperature == 0.25);
    assert_int_equal(openai->max_tokens, 77);
    assert_string_equal(openai->max_tokens_field, "max_completion_tokens");
    assert_int_equal(openai->idle_timeout_ms, 1234);
    assert_int_equal(openai->total_timeout_ms, 4321);
    const struct provider *demo = providers_find(&providers, "demo");
    assert_non_null(demo);
    assert_int_equal(demo->demo_delay_ms, 9);
    assert_non_null(demo->ops->next);
    assert_null(demo->ops->encode);
    providers_free(&providers);
    config_free(&config);
}

static void names_and_aliases_are_found_in_any_case(void **state)
{
    (void)state;
    struct provider list[] = { { .name = "demo" }, { .name = "anthropic" } };
    struct providers providers = { .list = list, .count = 2 };
    assert_ptr_equal(providers_find(&providers, NULL), &list[0]);
    assert_ptr_equal(providers_find(&providers, ""), &list[0]);
    assert_ptr_equal(providers_find(&providers, "ANTHROPIC"), &list[1]);
    assert_ptr_equal(providers_find(&providers, "Claude"), &list[1]);
    assert_null(providers_find(&providers, "openai"));
    assert_null(providers_find(&(struct providers){ .list = list, .count = 1 }, "claude"));
    assert_null(providers_find(&(struct providers){ .count = 0 }, NULL));
}

/* ---- further providers ---- */

static void further_providers_come_from_their_options(void **state)
{
    (void)state;
    struct config config;
    struct providers providers;
    load_providers(
        OPTIONS("OPENAI_API_KEY", "sk-1", "OPENAI_MODELS", "gpt-4o, gpt-4o-mini,o3", "PROVIDERS",
                "Mistral,my-box", "PROVIDER_MISTRAL_BASE", "https://api.mistral.ai/v1/",
                "PROVIDER_MISTRAL_API_KEY", "sk-m", "PROVIDER_MISTRAL_MODELS", "small,large",
                "PROVIDER_MISTRAL_PRICE_INPUT", "2", "PROVIDER_MISTRAL_PRICE_OUTPUT", "6",
                "PROVIDER_MISTRAL_IDLE_TIMEOUT_MS", "77", "PROVIDER_MISTRAL_IMAGES", "off",
                "PROVIDER_MY_BOX_KIND", "anthropic", "PROVIDER_MY_BOX_API_KEY", "sk-b",
                "PROVIDER_MY_BOX_MODEL", "claude-x", "PROVIDER_FAILOVER", "my-box,demo,my-box"),
        &config, &providers);
    assert_int_equal(providers.count, 4);
    assert_int_equal(providers.failover_count, 2);
    assert_string_equal(providers.failover[0]->name, "my-box");
    assert_string_equal(providers.failover[1]->name, "demo");

    const struct provider *openai = providers_find(&providers, "openai");
    assert_int_equal(openai->model_count, 3);
    assert_string_equal(openai->models[0], "gpt-4o-mini");
    assert_true(provider_has_model(openai, "o3"));
    assert_false(provider_has_model(openai, "o"));

    const struct provider *mistral = providers_find(&providers, "mistral");
    assert_string_equal(mistral->base_url, "https://api.mistral.ai/v1");
    assert_string_equal(mistral->model, "small");
    assert_int_equal(mistral->idle_timeout_ms, 77);
    assert_int_equal(mistral->connect_timeout_ms, config.connect_timeout_ms);
    assert_false(mistral->sees_images);
    assert_true(mistral->temperature < 0);

    const struct provider *box = providers_find(&providers, "my-box");
    assert_ptr_equal(box->ops, &provider_anthropic);
    assert_string_equal(box->base_url, "https://api.anthropic.com");
    assert_true(box->sees_images);
    providers_free(&providers);
    config_free(&config);
}

static void what_cannot_be_a_further_provider_stops_the_start(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        { "PROVIDERS", "openai", "openai", NULL },
        { "PROVIDERS", "claude", "claude", NULL },
        { "PROVIDERS", "a/b", "a/b", NULL },
        { "PROVIDERS", "a,A", "\"a\"", NULL },
        { "PROVIDERS", "lost", "neither a base URL", NULL },
        { "PROVIDER_FAILOVER", "nobody", "nobody", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        struct providers providers;
        struct fault fault = { 0 };
        load_providers((const char *const[]){ NULL }, &config, &providers);
        providers_free(&providers);
        config_free(&config);
        setenv(cases[i][0], cases[i][1], 1);
        enum result result = config_load(&config, NULL, &fault);
        if (result == RESULT_OK) {
            result = providers_load(&config, &providers, &fault);
            config_free(&config);
        }
        assert_int_equal(result, RESULT_INVALID);
        assert_string_equal(fault.field, cases[i][0]);
        if (!strstr(fault.text, cases[i][2]))
            fail_msg("%s", fault.text);
    }
}

static void costs_are_the_prices_of_a_million_tokens(void **state)
{
    (void)state;
    struct provider provider = { .price_input = 2.5, .price_output = 10, .price_cached = 1.25 };
    struct stream_usage usage = {
        .prompt_tokens = 1000, .cached_tokens = 400, .completion_tokens = 100, .known = true
    };
    assert_int_equal(provider_cost_nano(&provider, &usage),
                     (600 * 2500 + 400 * 1250 + 100 * 10000));
    usage.known = false;
    assert_int_equal(provider_cost_nano(&provider, &usage), 0);
}

static void the_key_goes_where_the_operator_says(void **state)
{
    (void)state;
    static const struct {
        const char *auth, *headers;
    } cases[] = {
        { NULL, "Content-Type: application/json\nAccept: text/event-stream\n"
                "Authorization: Bearer k\n" },
        { "api-key", "Content-Type: application/json\nAccept: text/event-stream\napi-key: k\n" },
        { "none", "Content-Type: application/json\nAccept: text/event-stream\n" },
    };
    struct chat_message message = { .role = CHAT_USER, .content = (char[]){ "q" }, .len = 1 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct provider azure = {
            .ops = &provider_openai,
            .base_url =
                (char[]){ "https://x.example/openai/deployments/g/?api-version=2024-10-21" },
            .api_key = (char[]){ "k" },
            .max_tokens_field = "max_tokens",
            .auth = cases[i].auth,
        };
        struct provider_call call = {
            .provider = &azure, .model = "m", .system = "", .messages = &message, .message_count = 1
        };
        check_request(
            &call, "https://x.example/openai/deployments/g/chat/completions?api-version=2024-10-21",
            cases[i].headers, NULL);
    }
}

/* ---- failures ---- */

static void every_status_has_its_verdict(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum result result;
        const char *code;
        bool retryable;
    } cases[] = {
        { 401, RESULT_UPSTREAM_BAD, "provider_auth", false },
        { 403, RESULT_UPSTREAM_BAD, "provider_auth", false },
        { 402, RESULT_UPSTREAM_DOWN, "provider_quota", false },
        { 404, RESULT_UPSTREAM_BAD, "provider_not_found", false },
        { 400, RESULT_UPSTREAM_BAD, "provider_rejected", false },
        { 413, RESULT_UPSTREAM_BAD, "provider_rejected", false },
        { 422, RESULT_UPSTREAM_BAD, "provider_rejected", false },
        { 408, RESULT_UPSTREAM_BAD, "provider_error", true },
        { 409, RESULT_UPSTREAM_BAD, "provider_error", true },
        { 425, RESULT_UPSTREAM_BAD, "provider_error", true },
        { 429, RESULT_UPSTREAM_DOWN, "provider_rate_limited", true },
        { 500, RESULT_UPSTREAM_BAD, "provider_error", true },
        { 529, RESULT_UPSTREAM_BAD, "provider_error", true },
        { 304, RESULT_UPSTREAM_BAD, "provider_bad_response", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct provider_failure failure;
        provider_failure_from_status(cases[i].status, header_of, NULL, &failure);
        assert_int_equal(failure.fault.result, cases[i].result);
        assert_string_equal(failure.fault.code, cases[i].code);
        assert_int_equal(failure.retryable, cases[i].retryable);
        assert_int_equal(failure.retry_after_ms, -1);
        assert_string_not_equal(failure.fault.text, "");
    }
}

static void retry_after_is_read_in_all_its_forms(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int64_t ms;
        int seconds;
    } cases[] = {
        { "Retry-After", "7", 7000, 7 },
        { "retry-after", "1.5 ", 1500, 2 },
        { "Retry-After", "0", 0, 0 },
        { "Retry-After-Ms", "250", 250, 1 },
        { "Retry-After", "999999999999999999999", 86400000, 86400 },
        { "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT", 0, 0 },
        { "Retry-After", "-5", -1, 5 },
        { "Retry-After", "soon", -1, 5 },
        { "Retry-After", "nan", -1, 5 },
        { "Retry-After", "", -1, 5 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *headers[] = { cases[i].name, cases[i].value, NULL };
        struct provider_failure failure;
        provider_failure_from_status(429, header_of, headers, &failure);
        assert_int_equal(failure.retry_after_ms, cases[i].ms);
        assert_int_equal(failure.fault.retry_after_s, cases[i].seconds);
    }
}

static void a_retry_date_is_counted_from_now(void **state)
{
    (void)state;
    char date[CLOCK_RFC3339_SIZE];
    const char *headers[] = { "Retry-After", date, NULL };
    struct provider_failure failure;
    clock_http_date(clock_wall_ms() + 3600 * 1000, date);
    provider_failure_from_status(503, header_of, headers, &failure);
    assert_in_range(failure.retry_after_ms, 3500 * 1000, 3600 * 1000);
}

static void milliseconds_win_over_seconds(void **state)
{
    (void)state;
    const char *headers[] = { "Retry-After", "9", "retry-after-ms", "100", NULL };
    struct provider_failure failure;
    provider_failure_from_status(429, header_of, headers, &failure);
    assert_int_equal(failure.retry_after_ms, 100);
}

static void should_retry_overrules_but_not_where_it_is_hopeless(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *value;
        bool retryable;
    } cases[] = {
        { 500, "false", false }, { 429, "FALSE", false }, { 422, "true", true },
        { 400, "true", false },  { 401, "true", false },  { 402, "true", false },
        { 403, "true", false },  { 404, "true", false },  { 500, "maybe", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *headers[] = { "X-Should-Retry", cases[i].value, NULL };
        struct provider_failure failure;
        provider_failure_from_status(cases[i].status, header_of, headers, &failure);
        assert_int_equal(failure.retryable, cases[i].retryable);
    }
}

int main(void)
{
    /* Helpers of the fixture that only decoders need. */
    (void)check_stream;
    (void)check_cuts;
    (void)check_garbage;
    (void)check_too_large;
    (void)check_errors;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_key_only_the_demo_is_there),
        cmocka_unit_test(a_key_or_a_base_of_its_own_makes_openai_the_default),
        cmocka_unit_test(provider_names_the_default_in_any_case),
        cmocka_unit_test(a_default_that_is_not_available_stops_the_start_and_says_what_is),
        cmocka_unit_test(options_arrive_in_the_provider),
        cmocka_unit_test(names_and_aliases_are_found_in_any_case),
        cmocka_unit_test(further_providers_come_from_their_options),
        cmocka_unit_test(what_cannot_be_a_further_provider_stops_the_start),
        cmocka_unit_test(costs_are_the_prices_of_a_million_tokens),
        cmocka_unit_test(the_key_goes_where_the_operator_says),
        cmocka_unit_test(every_status_has_its_verdict),
        cmocka_unit_test(retry_after_is_read_in_all_its_forms),
        cmocka_unit_test(a_retry_date_is_counted_from_now),
        cmocka_unit_test(milliseconds_win_over_seconds),
        cmocka_unit_test(should_retry_overrules_but_not_where_it_is_hopeless),
    };
    return cmocka_run_group_tests_name("providers", tests, NULL, NULL);
}
