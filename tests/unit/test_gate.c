/*
 * The gate: scheme, capacity, origin/CORS, method, body, in that order; auth is test_identity's. Table and answers_full are the test's own
 * (they stand in for routes.c and answers.c at link time).
 */
#include "tests/unit/memory_transport.h"

#include "common/answers.h"
#include "fcgi/app.h"
#include "fcgi/http/gate.h"
#include "fcgi/http/router.h"

static void handle(struct exchange *exchange)
{
    (void)exchange;
}

const struct route routes[] = {
    { HTTP_POST, "/api/chat", ROUTE_JSON | ROUTE_STREAM, handle },
    { HTTP_GET, "/api/health", 0, handle },
    { HTTP_GET, "/health", ROUTE_PROBE, handle },
    { HTTP_GET, "/", ROUTE_PAGE, handle },
    { HTTP_POST, "/chat", ROUTE_FORM, handle },
};
const size_t routes_count = sizeof(routes) / sizeof(routes[0]);

static bool full;

bool answers_full(const struct answers *answers)
{
    (void)answers;
    return full;
}

struct fixture {
    struct memory_transport memory;
    struct config config;
    struct app app;
    char listed[128];
    bool passed;
    const struct route *route;
    char body[256]; /* as the handler would have it */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memory_open(&f->memory);
    f->config.cors_origin = f->listed;
    f->config.max_body_bytes = 100;
    f->app.config = &f->config;
    /* Never looked into: answers_full is ours. */
    f->app.answers = (struct answers *)&f->app;
    full = false;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memory_close(&f->memory);
    free(f);
    return 0;
}

static void go(struct fixture *f, enum http_method method, const char *path)
{
    f->memory.body_at = 0;
    buf_clear(&f->memory.out);
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, method, path);
    f->passed = gate_pass(exchange);
    f->route = exchange->route;
    snprintf(f->body, sizeof(f->body), "%s", buf_str(&exchange->request.body));
    /* What the gate put on the response shows only in a reply. */
    if (f->passed)
        response_send(&exchange->response, 200, "text/plain", "", 0);
    response_free(&exchange->response);
    request_free(&exchange->request);
    free(exchange);
}

static void assert_refused(const struct fixture *f, const char *status, const char *code)
{
    char member[80];
    snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
    assert_false(f->passed);
    assert_string_equal(memory_header(&f->memory, "Status"), status);
    assert_non_null(strstr(memory_body(&f->memory), member));
}

static void a_plain_request_passes(void **state)
{
    struct fixture *f = *state;
    go(f, HTTP_GET, "/api/health");
    assert_true(f->passed);
    assert_ptr_equal(f->route, &routes[1]);
    assert_string_equal(memory_header(&f->memory, "Vary"), "Origin");
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Origin"), "");
}

static void unknown_paths_and_methods_are_refused(void **state)
{
    struct fixture *f = *state;
    go(f, HTTP_GET, "/api/nothing");
    assert_refused(f, "404 Not Found", "unknown_path");
    assert_null(f->route);
    go(f, HTTP_GET, "/api/chat");
    assert_refused(f, "405 Method Not Allowed", "method_not_allowed");
    assert_string_equal(memory_header(&f->memory, "Allow"), "POST, OPTIONS");
}

static void a_full_worker_refuses_streams_only(void **state)
{
    struct fixture *f = *state;
    full = true;
    f->memory.body = "{}";
    go(f, HTTP_POST, "/api/chat");
    assert_refused(f, "503 Service Unavailable", "overloaded");
    assert_string_equal(memory_header(&f->memory, "Retry-After"), "5");
    go(f, HTTP_GET, "/api/health");
    assert_true(f->passed);
}

static void a_refused_overload_can_be_read_by_a_listed_page(void **state)
{
    struct fixture *f = *state;
    full = true;
    strcpy(f->listed, "https://shop.example");
    memory_set(&f->memory, "HTTP_ORIGIN", "https://shop.example");
    go(f, HTTP_POST, "/api/chat");
    assert_refused(f, "503 Service Unavailable", "overloaded");
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Origin"),
                        "https://shop.example");
}

static void a_listed_origin_passes_with_credentials(void **state)
{
    struct fixture *f = *state;
    strcpy(f->listed, "https://a.example, https://shop.example:8443/ *");
    memory_set(&f->memory, "HTTP_ORIGIN", "https://shop.example:8443");
    go(f, HTTP_GET, "/api/health");
    assert_true(f->passed);
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Origin"),
                        "https://shop.example:8443");
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(memory_header(&f->memory, "Vary"), "Origin");
}

static void a_star_lets_everybody_in_without_credentials(void **state)
{
    static const char *const origins[] = { "https://evil.example", "null" };
    struct fixture *f = *state;
    strcpy(f->listed, "*");
    for (size_t i = 0; i < 2; i++) {
        memory_set(&f->memory, "HTTP_ORIGIN", origins[i]);
        go(f, HTTP_GET, "/api/health");
        assert_true(f->passed);
        assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Origin"), "*");
        assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Credentials"), "");
    }
}

static void other_origins_are_refused_by_name(void **state)
{
    static const char *const origins[] = {
        "https://evil.example", "https://a.example.evil.example", "https://a.exampl",
        "http://a.example",     "https://a.example:444",          "null"
    };
    struct fixture *f = *state;
    strcpy(f->listed, "https://a.example null");
    memory_set(&f->memory, "HTTP_HOST", "own.example");
    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        memory_set(&f->memory, "HTTP_ORIGIN", origins[i]);
        go(f, HTTP_GET, "/api/health");
        assert_refused(f, "403 Forbidden", "origin_not_allowed");
        assert_non_null(strstr(memory_body(&f->memory), origins[i]));
        assert_non_null(strstr(memory_body(&f->memory), "CORS_ORIGIN"));
        assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Origin"), "");
    }
}

static void a_refused_origin_is_shown_as_plain_text(void **state)
{
    struct fixture *f = *state;
    memory_set(&f->memory, "HTTP_ORIGIN", "https://\xff\x01\"evil");
    go(f, HTTP_GET, "/api/health");
    assert_refused(f, "403 Forbidden", "origin_not_allowed");
    assert_non_null(strstr(memory_body(&f->memory), "https://\?\?\\\"evil"));
}

static const struct {
    const char *origin, *host, *https, *site;
    bool ours;
} same_origin_cases[] = {
    { "http://chat.example", "chat.example", NULL, NULL, true },
    { "http://chat.example:8080", "chat.example:8080", NULL, NULL, true },
    { "http://CHAT.example", "chat.Example", NULL, NULL, true },
    /* Debian's fastcgi_params: Host without its port. */
    { "http://chat.example:8080", "chat.example", NULL, NULL, true },
    { "http://chat.example:8080", "chat.example:8081", NULL, NULL, false },
    { "http://chat.example", "chat.example:80", NULL, NULL, true },
    { "https://chat.example", "chat.example:443", "on", NULL, true },
    { "https://chat.example", "chat.example", "on", NULL, true },
    /* A proxy in front ended TLS. */
    { "https://chat.example", "chat.example", NULL, NULL, true },
    { "http://chat.example", "chat.example", "on", NULL, false },
    { "http://chat.example.evil", "chat.example", NULL, NULL, false },
    { "http://evil", "chat.example", NULL, NULL, false },
    { "http://", "", NULL, NULL, false },
    { "http://[::1]:8080", "[::1]:8080", NULL, NULL, true },
    { "http://[::1]:8080", "[::1]", NULL, NULL, true },
    { "http://[::1]", "[::2]", NULL, NULL, false },
    { "ftp://chat.example", "chat.example", NULL, NULL, false },
    { "null", "null", NULL, NULL, false },
    { "http://chat.example", NULL, NULL, NULL, false },
    /* The proxy renamed the host, but the browser knows. */
    { "https://chat.example", "127.0.0.1:9000", NULL, "same-origin", true },
    { "https://chat.example", "127.0.0.1:9000", NULL, "same-site", false },
};

static void our_own_page_passes_whatever_is_listed(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(same_origin_cases) / sizeof(same_origin_cases[0]); i++) {
        memory_set(&f->memory, "HTTP_ORIGIN", same_origin_cases[i].origin);
        memory_set(&f->memory, "HTTP_HOST", same_origin_cases[i].host);
        memory_set(&f->memory, "HTTPS", same_origin_cases[i].https);
        memory_set(&f->memory, "HTTP_SEC_FETCH_SITE", same_origin_cases[i].site);
        go(f, HTTP_GET, "/api/health");
        if (f->passed != same_origin_cases[i].ours)
            fail_msg("case %zu: %s at %s", i, same_origin_cases[i].origin,
                     same_origin_cases[i].host);
    }
}

static void a_preflight_is_answered_before_anything_else(void **state)
{
    struct fixture *f = *state;
    full = true;
    strcpy(f->listed, "https://shop.example");
    memory_set(&f->memory, "HTTP_ORIGIN", "https://shop.example");
    memory_set(&f->memory, "HTTP_ACCESS_CONTROL_REQUEST_METHOD", "POST");
    go(f, HTTP_OPTIONS, "/api/chat");
    assert_false(f->passed);
    assert_string_equal(memory_header(&f->memory, "Status"), "204 No Content");
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Methods"), "POST, OPTIONS");
    assert_non_null(
        strstr(memory_header(&f->memory, "Access-Control-Allow-Headers"), "Content-Type"));
    assert_string_equal(memory_header(&f->memory, "Access-Control-Max-Age"), "600");
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(memory_header(&f->memory, "Vary"), "Origin");
    assert_string_equal(memory_body(&f->memory), "");

    memory_set(&f->memory, "HTTP_ORIGIN", "https://evil.example");
    go(f, HTTP_OPTIONS, "/api/chat");
    assert_refused(f, "403 Forbidden", "origin_not_allowed");
}

static void options_without_origin_names_the_methods(void **state)
{
    struct fixture *f = *state;
    go(f, HTTP_OPTIONS, "/api/health");
    assert_string_equal(memory_header(&f->memory, "Status"), "204 No Content");
    assert_string_equal(memory_header(&f->memory, "Allow"), "GET, HEAD, OPTIONS");
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Methods"), "");
}

static void pages_have_no_cors(void **state)
{
    struct fixture *f = *state;
    strcpy(f->listed, "https://shop.example");
    memory_set(&f->memory, "HTTP_ORIGIN", "https://shop.example");
    go(f, HTTP_GET, "/");
    assert_true(f->passed);
    assert_string_equal(memory_header(&f->memory, "Access-Control-Allow-Origin"), "");
    assert_string_equal(memory_header(&f->memory, "Vary"), "");
}

static void json_types_pass_and_others_are_415(void **state)
{
    static const char *const good[] = { NULL,
                                        "",
                                        "application/json",
                                        "Application/JSON",
                                        "application/json; charset=utf-8",
                                        "application/vnd.api+json;x=y" };
    static const char *const bad[] = { "text/plain", "application/x-www-form-urlencoded",
                                       "application/jsonx", "+json", "multipart/form-data" };
    struct fixture *f = *state;
    f->memory.body = "{\"message\":\"hi\"}";
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        memory_set(&f->memory, "CONTENT_TYPE", good[i]);
        go(f, HTTP_POST, "/api/chat");
        assert_true(f->passed);
        assert_string_equal(f->body, "{\"message\":\"hi\"}");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memory_set(&f->memory, "CONTENT_TYPE", bad[i]);
        go(f, HTTP_POST, "/api/chat");
        assert_refused(f, "415 Unsupported Media Type", "unsupported_media_type");
    }
}

static void a_form_is_no_json_and_its_refusals_are_pages(void **state)
{
    struct fixture *f = *state;
    f->memory.body = "message=hi";
    memory_set(&f->memory, "CONTENT_TYPE", "Application/X-WWW-form-urlencoded; charset=UTF-8");
    go(f, HTTP_POST, "/chat");
    assert_true(f->passed);
    assert_string_equal(f->body, "message=hi");
    assert_non_null(
        strstr(memory_header(&f->memory, "Content-Security-Policy"), "default-src 'none'"));
    memory_set(&f->memory, "CONTENT_TYPE", "application/json");
    go(f, HTTP_POST, "/chat");
    assert_false(f->passed);
    assert_string_equal(memory_header(&f->memory, "Status"), "415 Unsupported Media Type");
    assert_string_equal(memory_header(&f->memory, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(memory_body(&f->memory), "<p class=\"error\""));
    memory_set(&f->memory, "HTTP_ORIGIN", "https://evil.example");
    go(f, HTTP_POST, "/chat");
    assert_string_equal(memory_header(&f->memory, "Status"), "403 Forbidden");
    assert_non_null(strstr(memory_body(&f->memory), "evil.example"));
}

static void a_body_over_the_cap_is_413_without_content_length(void **state)
{
    char body[200];
    struct fixture *f = *state;
    memset(body, ' ', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    f->memory.body = body;
    go(f, HTTP_POST, "/api/chat");
    assert_refused(f, "413 Content Too Large", "body_too_large");
    body[100] = '\0';
    go(f, HTTP_POST, "/api/chat");
    assert_true(f->passed);
}

static const struct {
    enum http_method method;
    const char *path, *host, *uri, *location; /* NULL: refused */
} plain_http[] = {
    { HTTP_GET, "/", "chat.example", "/?a=b", "https://chat.example/?a=b" },
    { HTTP_HEAD, "/", "chat.example:8080", "/", "https://chat.example/" },
    { HTTP_GET, "/api/health", "[2001:db8::1]:80", "/api/health",
      "https://[2001:db8::1]/api/health" },
    { HTTP_GET, "/", "chat.example/evil", "/", NULL },
    { HTTP_GET, "/", "chat.example@evil", "/", NULL },
    { HTTP_GET, "/", "", "/", NULL },
    { HTTP_GET, "/", NULL, "/", NULL },
    { HTTP_GET, "/", "chat.example", "http://chat.example/", NULL },
    { HTTP_GET, "/", "chat.example", NULL, NULL },
    { HTTP_POST, "/api/chat", "chat.example", "/api/chat", NULL },
    { HTTP_OPTIONS, "/api/chat", "chat.example", "/api/chat", NULL },
};

static void http_is_sent_to_https_or_refused_where_it_is_forced(void **state)
{
    struct fixture *f = *state;
    f->config.force_https = "redirect";
    for (size_t i = 0; i < sizeof(plain_http) / sizeof(plain_http[0]); i++) {
        memory_set(&f->memory, "HTTP_HOST", plain_http[i].host);
        memory_set(&f->memory, "REQUEST_URI", plain_http[i].uri);
        go(f, plain_http[i].method, plain_http[i].path);
        if (plain_http[i].location == NULL) {
            assert_refused(f, "403 Forbidden", "https_required");
            continue;
        }
        assert_false(f->passed);
        assert_string_equal(memory_header(&f->memory, "Status"), "308 Permanent Redirect");
        assert_string_equal(memory_header(&f->memory, "Location"), plain_http[i].location);
    }
    go(f, HTTP_GET, "/health");
    assert_true(f->passed);
    memory_set(&f->memory, "HTTPS", "on");
    go(f, HTTP_GET, "/api/health");
    assert_true(f->passed);
}

static void browsers_are_told_to_insist_over_https_only(void **state)
{
    struct fixture *f = *state;
    f->config.hsts_s = 600;
    go(f, HTTP_GET, "/");
    assert_string_equal(memory_header(&f->memory, "Strict-Transport-Security"), "");
    memory_set(&f->memory, "HTTPS", "on");
    go(f, HTTP_GET, "/");
    assert_string_equal(memory_header(&f->memory, "Strict-Transport-Security"), "max-age=600");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_request_passes),
        TEST(unknown_paths_and_methods_are_refused),
        TEST(a_full_worker_refuses_streams_only),
        TEST(a_refused_overload_can_be_read_by_a_listed_page),
        TEST(a_listed_origin_passes_with_credentials),
        TEST(a_star_lets_everybody_in_without_credentials),
        TEST(other_origins_are_refused_by_name),
        TEST(a_refused_origin_is_shown_as_plain_text),
        TEST(our_own_page_passes_whatever_is_listed),
        TEST(a_preflight_is_answered_before_anything_else),
        TEST(options_without_origin_names_the_methods),
        TEST(pages_have_no_cors),
        TEST(json_types_pass_and_others_are_415),
        TEST(a_form_is_no_json_and_its_refusals_are_pages),
        TEST(a_body_over_the_cap_is_413_without_content_length),
        TEST(http_is_sent_to_https_or_refused_where_it_is_forced),
        TEST(browsers_are_told_to_insist_over_https_only),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
