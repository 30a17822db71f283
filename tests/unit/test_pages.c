/*
 * The page and its files: 304, gzip, caching, the address with the right depth; and /api/config, which the
 * page asks first. The embedded files are the test's own (they stand in for build/gen/assets.c).
 */
#include "tests/unit/memory_transport.h"

#include "common/base/clock.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/assets.h"
#include "fcgi/http/plain.h"
#include "fcgi/version.h"

#define BYTES(text) (const unsigned char *)(text)

const struct asset assets[] = {
    { "index.html", "text/html; charset=utf-8", "aaaa", BYTES("<html>"), 6, BYTES("ZIPPED"), 6,
      false },
    { "assets/app-0123abcd.js", "text/javascript; charset=utf-8", "bbbb", BYTES("code"), 4, NULL, 0,
      true },
    { "assets/icon-CCCCCCCC.svg", "image/svg+xml", "cccc", BYTES("<svg/>"), 6, NULL, 0, true },
    { "plain.html", "text/html; charset=utf-8", "eeee",
      BYTES(
          "<h1><!--name--></h1><!--messages--><!--form--><form><!--hidden--></form><!--end-->END"),
      sizeof(
          "<h1><!--name--></h1><!--messages--><!--form--><form><!--hidden--></form><!--end-->END") -
          1,
      NULL, 0, false },
    { "widget-demo.html", "text/html; charset=utf-8", "ffff", BYTES("<demo>"), 6, NULL, 0, false },
    { "sw.js", "text/javascript; charset=utf-8", "dddd", BYTES("worker"), 6, NULL, 0, false },
};
const size_t assets_count = sizeof(assets) / sizeof(assets[0]);

struct fixture {
    struct memory_transport memory;
    struct config config;
    struct app app;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memory_open(&f->memory);
    f->app.config = &f->config;
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

static void ask(struct fixture *f, void (*endpoint)(struct exchange *), enum http_method method,
                const char *path, const char *arg)
{
    buf_clear(&f->memory.out);
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, method, path);
    strcpy(exchange->request.path_arg, arg);
    endpoint(exchange);
    response_free(&exchange->response);
    request_free(&exchange->request);
    free(exchange);
}

static const char *status_of(const struct fixture *f)
{
    return memory_header(&f->memory, "Status");
}

static void the_page_is_asked_for_each_time(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_page, HTTP_GET, "/", "");
    assert_string_equal(status_of(f), "200 OK");
    assert_string_equal(memory_body(&f->memory), "<html>");
    assert_string_equal(memory_header(&f->memory, "Cache-Control"), "no-cache");
    assert_string_equal(memory_header(&f->memory, "ETag"), "\"aaaa\"");
    assert_string_equal(memory_header(&f->memory, "Vary"), "Accept-Encoding");
    assert_string_equal(memory_header(&f->memory, "Content-Encoding"), "");
}

static void the_page_may_load_nothing_from_elsewhere(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_page, HTTP_GET, "/chat", "");
    const char *policy = memory_header(&f->memory, "Content-Security-Policy");
    assert_non_null(strstr(policy, "default-src 'none'; script-src 'self';"));
    assert_non_null(strstr(policy, "frame-ancestors 'none'"));
    assert_string_equal(memory_header(&f->memory, "Referrer-Policy"), "same-origin");
}

static void pictures_from_elsewhere_are_a_setting(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_page, HTTP_GET, "/", "");
    assert_non_null(strstr(memory_header(&f->memory, "Content-Security-Policy"),
                           "img-src 'self' data: blob:; "));
    f->config.allow_remote_images = true;
    ask(f, endpoint_page, HTTP_GET, "/", "");
    assert_non_null(strstr(memory_header(&f->memory, "Content-Security-Policy"),
                           "img-src 'self' data: blob: https:; "));
}

static void the_sample_site_is_a_page(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_widget_demo, HTTP_GET, "/widget-demo", "");
    assert_string_equal(memory_body(&f->memory), "<demo>");
    assert_non_null(
        strstr(memory_header(&f->memory, "Content-Security-Policy"), "script-src 'self'"));
}

static void a_page_without_script_is_filled_at_its_marks(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    plain_open(&out, "A <b> & \"c\"");
    plain_close(&out, "conv_\"1", NULL);
    assert_string_equal(buf_str(&out),
                        "<h1>A &lt;b&gt; &amp; &quot;c&quot;</h1><form><input type=\"hidden\" "
                        "name=\"conversation_id\" value=\"conv_&quot;1\"></form>END");
    buf_clear(&out);
    plain_fault(&out, "<No>");
    assert_non_null(strstr(buf_str(&out), ">&lt;No&gt;</p>"));
    assert_non_null(strstr(buf_str(&out), "END"));
    buf_free(&out);
}

static void a_page_that_is_known_already_is_304(void **state)
{
    static const char *const known[] = { "\"aaaa\"", "W/\"aaaa\"", "\"x\", \"aaaa\"", "*" };
    static const char *const unknown[] = { "\"aaaa-gz\"", "\"bbbb\"", "aaaa", "" };
    struct fixture *f = *state;
    for (size_t i = 0; i < 4; i++) {
        memory_set(&f->memory, "HTTP_IF_NONE_MATCH", known[i]);
        ask(f, endpoint_page, HTTP_GET, "/", "");
        assert_string_equal(status_of(f), "304 Not Modified");
        assert_string_equal(memory_body(&f->memory), "");
        assert_string_equal(memory_header(&f->memory, "ETag"), "\"aaaa\"");
    }
    for (size_t i = 0; i < 4; i++) {
        memory_set(&f->memory, "HTTP_IF_NONE_MATCH", unknown[i]);
        ask(f, endpoint_page, HTTP_GET, "/", "");
        assert_string_equal(status_of(f), "200 OK");
    }
}

static void gzip_goes_to_those_who_take_it(void **state)
{
    static const char *const yes[] = { "gzip", "deflate, GZIP;q=0.5, br", "*", "br, *;q=0.1",
                                       "gzip; q=1" };
    static const char *const no[] = { "",      "identity", "gzip;q=0", "*, gzip;q=0.0",
                                      "*;q=0", "gzipx",    "br;q=1" };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        memory_set(&f->memory, "HTTP_ACCEPT_ENCODING", yes[i]);
        ask(f, endpoint_page, HTTP_GET, "/", "");
        assert_string_equal(memory_header(&f->memory, "Content-Encoding"), "gzip");
        assert_string_equal(memory_header(&f->memory, "ETag"), "\"aaaa-gz\"");
        assert_string_equal(memory_body(&f->memory), "ZIPPED");
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        memory_set(&f->memory, "HTTP_ACCEPT_ENCODING", no[i]);
        ask(f, endpoint_page, HTTP_GET, "/", "");
        assert_string_equal(memory_header(&f->memory, "Content-Encoding"), "");
        assert_string_equal(memory_body(&f->memory), "<html>");
    }
}

static void hashed_files_are_kept_for_ever(void **state)
{
    struct fixture *f = *state;
    memory_set(&f->memory, "HTTP_ACCEPT_ENCODING", "gzip");
    ask(f, endpoint_asset, HTTP_GET, "/assets/app-0123abcd.js", "app-0123abcd.js");
    assert_string_equal(memory_header(&f->memory, "Cache-Control"),
                        "public, max-age=31536000, immutable");
    assert_string_equal(memory_header(&f->memory, "Content-Type"),
                        "text/javascript; charset=utf-8");
    assert_string_equal(memory_body(&f->memory), "code");
    ask(f, endpoint_asset, HTTP_HEAD, "/assets/app-0123abcd.js", "app-0123abcd.js");
    assert_string_equal(memory_header(&f->memory, "Content-Length"), "4");
    assert_string_equal(memory_body(&f->memory), "");
}

static void an_unknown_file_is_404(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_asset, HTTP_GET, "/assets/index.html", "index.html");
    assert_string_equal(status_of(f), "404 Not Found");
    assert_non_null(strstr(memory_body(&f->memory), "unknown_path"));
}

static void the_old_favicon_address_gets_the_icon(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_favicon, HTTP_GET, "/favicon.ico", "");
    assert_string_equal(memory_header(&f->memory, "Content-Type"), "image/svg+xml");
    assert_string_equal(memory_header(&f->memory, "Cache-Control"), "no-cache");
    assert_string_equal(memory_body(&f->memory), "<svg/>");
}

static void a_file_beside_the_page_may_change(void **state)
{
    struct fixture *f = *state;
    ask(f, endpoint_file, HTTP_GET, "/sw.js", "");
    assert_string_equal(memory_header(&f->memory, "Cache-Control"), "no-cache");
    assert_string_equal(memory_body(&f->memory), "worker");
    ask(f, endpoint_file, HTTP_GET, "/none.js", "");
    assert_string_equal(status_of(f), "404 Not Found");
}

static const struct {
    const char *path, *uri, *location; /* "" = the page itself */
} addresses[] = {
    { "/", "/", "" },
    { "/", NULL, "" },
    { "/", "/ai/", "" },
    { "/", "/ai", "/ai/" },
    { "/", "/cgi-bin/parley.cgi?x=1", "/cgi-bin/parley.cgi/?x=1" },
    { "/", "/?q=a/b", "" },
    { "/chat", "/chat", "" },
    { "/chat", "/ai/chat?x", "" },
    { "/chat", "/chat/", "/chat" },
    { "/chat", "/ai/chat//?x=1", "/ai/chat?x=1" },
    { "/chat", "/help/", "" },
    { "/chat", "/", "" },
    /* None of these may lead to another site. */
    { "/", "//evil.example", "" },
    { "/", "/\\evil.example", "" },
    { "/chat", "//evil.example/chat/", "" },
    { "/", "http://evil.example", "" },
};

static void an_address_of_the_wrong_depth_is_redirected(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        memory_set(&f->memory, "REQUEST_URI", addresses[i].uri);
        ask(f, endpoint_page, HTTP_GET, addresses[i].path, "");
        assert_string_equal(memory_header(&f->memory, "Location"), addresses[i].location);
        assert_string_equal(status_of(f), addresses[i].location[0] ? "302 Found" : "200 OK");
    }
}

static void the_configuration_tells_what_a_page_needs(void **state)
{
    static const struct provider_ops demo = { .kind = "demo" };
    struct provider provider = { .name = "demo", .ops = &demo, .model = (char *)"demo-1" };
    struct fixture *f = *state;
    f->config.max_body_bytes = 65536;
    f->config.session_ttl_s = 3600;
    f->config.max_message_length = 1000;
    f->config.typing_delay_ms = 500;
    f->config.brand_name = (char *)"Bax-U";
    f->config.app_name = (char *)"Parley";
    f->config.max_body_bytes = 65536;
    f->app.providers = (struct providers){ .list = &provider, .count = 1 };
    ask(f, endpoint_config, HTTP_GET, "/api/config", "");
    assert_string_equal(
        memory_body(&f->memory),
        "{\"max_message_length\":1000,\"typing_delay\":500,"
        "\"brand_name\":\"Bax-U\",\"app_name\":\"Parley\",\"version\":"
        "\"" PARLEY_VERSION "\",\"provider\":\"demo\",\"demo\":true,\"model\":\"demo-1\","
        "\"max_body_bytes\":65536,\"session_ttl\":3600,\"allow_remote_images\":false,\"features\":{"
        "\"conversations\":true,\"search\":true,\"export\":true,"
        "\"feedback\":true,\"regenerate\":true,\"continue\":true,"
        "\"resume\":true,\"stop\":true,\"poll\":true,\"reasoning\":false,\"memory\":false,\"tool_"
        "calls\":false},"
        "\"base\":\"\"}");
}

static void health_says_that_it_runs_and_for_how_long(void **state)
{
    struct fixture *f = *state;
    f->config.app_name = (char *)"ChatKit \"Backend\"";
    f->app.started_ms = clock_wall_ms() + 60000;
    ask(f, endpoint_health, HTTP_GET, "/health", "");
    const char *body = memory_body(&f->memory);
    const char *start =
        "{\"status\":\"OK\",\"message\":\"ChatKit \\\"Backend\\\" is running\",\"timestamp\":\"";
    assert_memory_equal(body, start, strlen(start));
    assert_non_null(strstr(body, "\"uptime\":0}"));
    f->app.started_ms = clock_wall_ms() - 3600500;
    ask(f, endpoint_health, HTTP_GET, "/health", "");
    assert_non_null(strstr(memory_body(&f->memory), "\"uptime\":3600}"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_asked_for_each_time),
        TEST(the_page_may_load_nothing_from_elsewhere),
        TEST(pictures_from_elsewhere_are_a_setting),
        TEST(the_sample_site_is_a_page),
        TEST(a_page_without_script_is_filled_at_its_marks),
        TEST(a_page_that_is_known_already_is_304),
        TEST(gzip_goes_to_those_who_take_it),
        TEST(hashed_files_are_kept_for_ever),
        TEST(an_unknown_file_is_404),
        TEST(a_file_beside_the_page_may_change),
        TEST(the_old_favicon_address_gets_the_icon),
        TEST(an_address_of_the_wrong_depth_is_redirected),
        TEST(the_configuration_tells_what_a_page_needs),
        TEST(health_says_that_it_runs_and_for_how_long),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
