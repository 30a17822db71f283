/*
 * request: paths as six web servers tell them, bodies with and without a length, headers, query, cookies.
 */
#include "tests/unit/memory_transport.h"

#include "common/base/id.h"
#include "common/config.h"
#include "fcgi/http/router.h"

struct fixture {
    struct memory_transport memory;
    struct config config;
    char base_path[16];
    struct request request;
    struct fault fault;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_true(id_init());
    memory_open(&f->memory);
    f->config.base_path = f->base_path;
    memory_set(&f->memory, "REQUEST_METHOD", "GET");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    request_free(&f->request);
    memory_close(&f->memory);
    free(f);
    return 0;
}

static enum result read_request(struct fixture *f)
{
    request_free(&f->request);
    return request_read(&f->request, &f->memory.transport, &f->config, &f->fault);
}

/* ---- paths ---- */

struct mount {
    const char *what;
    const char *base_path;
    const char *script_name, *path_info, *script_filename; /* NULL = absent */
    const char *base, *path;
};

static const struct mount mounts[] = {
    { "nginx", "", "/api/health", NULL, NULL, "", "/api/health" },
    { "nginx, root", "", "/", NULL, NULL, "", "/" },
    { "nginx, fastcgi.conf", "", "/api/health", NULL, "/var/www/api/health", "", "/api/health" },
    { "nginx under a prefix", "/ai", "/ai/api/health", NULL, NULL, "/ai", "/api/health" },
    { "nginx, the prefix itself", "/ai", "/ai", NULL, NULL, "/ai", "/" },
    { "nginx, the prefix with slash", "/ai/", "/ai/", NULL, NULL, "/ai", "/" },
    { "another prefix", "/ai", "/aid/api/health", NULL, NULL, "", "/aid/api/health" },
    { "without the prefix", "/ai", "/api/health", NULL, NULL, "", "/api/health" },
    { "lighttpd at /, split", "", "/api", "/health", NULL, "", "/api/health" },
    { "lighttpd at /, asset", "", "/assets", "/app.js", NULL, "", "/assets/app.js" },
    { "lighttpd at /, one segment", "", "/health", NULL, NULL, "", "/health" },
    { "lighttpd at /, fixed root", "", "", "/api/health", NULL, "", "/api/health" },
    { "lighttpd at /chat", "", "/chat", "/api/health", NULL, "/chat", "/api/health" },
    { "lighttpd at /chat/", "", "/chat", "/", NULL, "/chat", "/" },
    { "lighttpd, BASE_PATH too", "/chat", "/chat", "/api/health", NULL, "/chat", "/api/health" },
    { "Caddy", "", "", "/api/health", NULL, "", "/api/health" },
    { "Caddy under a prefix", "/ai", "", "/ai/api/health", NULL, "/ai", "/api/health" },
    { "CGI", "", "/cgi-bin/parley.cgi", "/api/x", "/srv/parley.cgi", "/cgi-bin/parley.cgi",
      "/api/x" },
    { "CGI, bare", "", "/cgi-bin/parley.cgi", NULL, NULL, "/cgi-bin/parley.cgi", "/" },
    { "CGI, ScriptAlias, bare", "", "/ai", NULL, "/usr/lib/parley.cgi", "/ai", "/" },
    { "CGI, ScriptAlias", "", "/ai", "/api/x", "/usr/lib/parley.cgi", "/ai", "/api/x" },
    { "CGI below a folder api", "", "/api/parley.cgi", "/health", NULL, "/api/parley.cgi",
      "/health" },
    { "mod_fcgid", "", "/parley.fcgi", "/api/x", NULL, "/parley.fcgi", "/api/x" },
    { "slash at the end", "", "/api/health/", NULL, NULL, "", "/api/health" },
    { "slashes", "", "//api///health//", NULL, NULL, "", "/api/health" },
    { "a dot", "", "/api/./health/.", NULL, NULL, "", "/api/health" },
    { "dots that are a name", "", "/api/..x/...", NULL, NULL, "", "/api/..x/..." },
    { "decoded once only", "", "/api/%2e%2e/x", NULL, NULL, "", "/api/%2e%2e/x" },
    { "UTF-8", "", "/api/\xe2\x82\xac", NULL, NULL, "", "/api/\xe2\x82\xac" },
    { "nothing at all", "", NULL, NULL, NULL, "", "/" },
};

static void set_path(struct fixture *f, const char *script_name, const char *path_info,
                     const char *script_filename)
{
    memory_set(&f->memory, "SCRIPT_NAME", script_name);
    memory_set(&f->memory, "PATH_INFO", path_info);
    memory_set(&f->memory, "SCRIPT_FILENAME", script_filename);
}

static void every_web_servers_path_is_understood(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        const struct mount *m = &mounts[i];
        strcpy(f->base_path, m->base_path);
        set_path(f, m->script_name, m->path_info, m->script_filename);
        if (read_request(f) != RESULT_OK || strcmp(f->request.base, m->base) != 0 ||
            strcmp(f->request.path, m->path) != 0)
            fail_msg("%s: base \"%s\", path \"%s\"", m->what, f->request.base, f->request.path);
    }
}

static void a_rewritten_program_name_is_not_part_of_the_base(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *uri, *base;
    } seen[] = {
        { "/chat/api/x?y=1", "/chat" },
        { "/chat/", "/chat" },
        { "/chat/parley.fcgi/api/x", "/chat/parley.fcgi" },
        { "/chat/parley.fcgi?y", "/chat/parley.fcgi" },
        { "/chat/parley.fcgix", "/chat" },
        { "/elsewhere", "/chat/parley.fcgi" },
        { NULL, "/chat/parley.fcgi" },
    };
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        set_path(f, "/chat/parley.fcgi", "/api/x", NULL);
        memory_set(&f->memory, "REQUEST_URI", seen[i].uri);
        assert_int_equal(read_request(f), RESULT_OK);
        assert_string_equal(f->request.base, seen[i].base);
        assert_string_equal(f->request.path, "/api/x");
    }
}

static void paths_that_lead_elsewhere_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "/..",    "/../etc/passwd", "/api/../x", "/api/..", "api",      "/a\nb",
        "/a\x7f", "/\x80",          "/\xc0\xaf", "*",       "/\xc2\x85"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set_path(f, bad[i], NULL, NULL);
        assert_int_equal(read_request(f), RESULT_INVALID);
        assert_string_equal(f->fault.code, "invalid_path");
        set_path(f, "", bad[i], NULL);
        assert_int_equal(read_request(f), RESULT_INVALID);
    }
    /* Two halves that are harmless alone. */
    set_path(f, "/a/.", "./b", NULL);
    assert_int_equal(read_request(f), RESULT_INVALID);
}

/* Rule 3 of request.c has its own list; a new route of two segments has to be in it. */
static void every_route_survives_being_split_by_lighttpd(void **state)
{
    struct fixture *f = *state;
    assert_true(routes_count > 0);
    for (size_t i = 0; i < routes_count; i++) {
        char first[64];
        const char *rest = strchr(routes[i].path + 1, '/');
        if (rest == NULL)
            continue;
        snprintf(first, sizeof(first), "%.*s", (int)(rest - routes[i].path), routes[i].path);
        set_path(f, first, rest, NULL);
        assert_int_equal(read_request(f), RESULT_OK);
        assert_string_equal(f->request.path, routes[i].path);
    }
}

/* ---- the rest of the head ---- */

static void methods_are_known_or_other(void **state)
{
    struct fixture *f = *state;
    for (int method = HTTP_GET; method <= HTTP_OTHER; method++) {
        memory_set(&f->memory, "REQUEST_METHOD", http_method_name((enum http_method)method));
        assert_int_equal(read_request(f), RESULT_OK);
        assert_int_equal(f->request.method, method);
    }
    memory_set(&f->memory, "REQUEST_METHOD", "get");
    assert_int_equal(read_request(f), RESULT_OK);
    assert_int_equal(f->request.method, HTTP_OTHER);
    memory_set(&f->memory, "REQUEST_METHOD", "");
    assert_int_equal(read_request(f), RESULT_INVALID);
}

static void a_request_has_an_id_of_its_own(void **state)
{
    struct fixture *f = *state;
    char first[CAP_ID];
    assert_int_equal(read_request(f), RESULT_OK);
    strcpy(first, f->request.id);
    assert_true(strncmp(first, "req_", 4) == 0);
    assert_int_equal(read_request(f), RESULT_OK);
    assert_string_not_equal(first, f->request.id);
    assert_string_equal(f->request.query, "");
    assert_string_equal(f->request.address, "");
}

static void headers_are_found_by_their_usual_names(void **state)
{
    struct fixture *f = *state;
    memory_set(&f->memory, "HTTP_LAST_EVENT_ID", "m:7");
    memory_set(&f->memory, "CONTENT_TYPE", "application/json");
    assert_int_equal(read_request(f), RESULT_OK);
    assert_string_equal(request_header(&f->request, "Last-Event-ID"), "m:7");
    assert_string_equal(request_header(&f->request, "Content-Type"), "application/json");
    assert_null(request_header(&f->request, "Accept"));
    char longest[300];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_null(request_header(&f->request, longest));
}

static void query_parameters_are_decoded(void **state)
{
    struct fixture *f = *state;
    char out[8];
    memory_set(&f->memory, "QUERY_STRING", "aa=x&a=b+c%2F&empty=&flag&bad=%zz&long=12345678");
    assert_int_equal(read_request(f), RESULT_OK);
    assert_true(request_query(&f->request, "a", out, sizeof(out)));
    assert_string_equal(out, "b c/");
    assert_true(request_query(&f->request, "empty", out, sizeof(out)));
    assert_string_equal(out, "");
    assert_true(request_query(&f->request, "flag", out, sizeof(out)));
    assert_false(request_query(&f->request, "bad", out, sizeof(out)));
    assert_false(request_query(&f->request, "long", out, sizeof(out)));
    assert_false(request_query(&f->request, "b", out, sizeof(out)));
    assert_false(request_query(&f->request, "", out, sizeof(out)));
}

static void cookies_are_found_whoever_joined_them(void **state)
{
    struct fixture *f = *state;
    char out[8];
    memory_set(&f->memory, "HTTP_COOKIE", "xa=no; a=one; b=two, c=three;d=way-too-long");
    assert_int_equal(read_request(f), RESULT_OK);
    assert_true(request_cookie(&f->request, "a", out, sizeof(out)));
    assert_string_equal(out, "one");
    assert_true(request_cookie(&f->request, "c", out, sizeof(out)));
    assert_string_equal(out, "three");
    assert_false(request_cookie(&f->request, "d", out, sizeof(out)));
    assert_false(request_cookie(&f->request, "x", out, sizeof(out)));
}

/* ---- bodies ---- */

static enum result read_body(struct fixture *f, const char *content_length, const char *body,
                             size_t max)
{
    f->memory.body = body;
    f->memory.body_at = 0;
    memory_set(&f->memory, "CONTENT_LENGTH", content_length);
    assert_int_equal(read_request(f), RESULT_OK);
    return request_body(&f->request, max, &f->fault);
}

static void a_body_needs_no_content_length(void **state)
{
    struct fixture *f = *state;
    static const char *const unknown[] = { NULL, "", "0", "-1", "5" };
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(read_body(f, unknown[i], "hello", 5), RESULT_OK);
        assert_string_equal(buf_str(&f->request.body), "hello");
    }
    assert_int_equal(read_body(f, NULL, NULL, 5), RESULT_OK);
    assert_int_equal(f->request.body.len, 0);
}

static void a_body_shorter_than_declared_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_body(f, "6", "hello", 10), RESULT_INVALID);
    assert_string_equal(f->fault.code, "body_incomplete");
}

static void a_content_length_that_is_no_number_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = { "-2", "5x", " 5", "+5", "99999999999999999999999" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_body(f, bad[i], "hello", 10), RESULT_INVALID);
        assert_string_equal(f->fault.code, "invalid_content_length");
    }
}

static void a_body_over_the_limit_is_refused_whatever_its_length_says(void **state)
{
    struct fixture *f = *state;
    static const char *const lengths[] = { NULL, "-1", "2", "6", "1000000" };
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_int_equal(read_body(f, lengths[i], "hello!", 5), RESULT_TOO_LARGE);
        assert_string_equal(f->fault.code, "body_too_large");
        assert_int_equal(f->memory.body_at, 6);
        assert_int_equal(f->request.body.len, 0);
    }
}

static void dropping_the_rest_of_a_body_has_a_bound(void **state)
{
    struct fixture *f = *state;
    size_t len = 3 * TRANSPORT_DRAIN;
    char *body = malloc(len + 1);
    assert_non_null(body);
    memset(body, 'b', len);
    body[len] = '\0';
    assert_int_equal(read_body(f, NULL, body, 100), RESULT_TOO_LARGE);
    assert_true(f->memory.body_at >= TRANSPORT_DRAIN);
    assert_true(f->memory.body_at < 2 * TRANSPORT_DRAIN);
    free(body);
}

static void a_body_is_read_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_body(f, "5", "hello", 5), RESULT_OK);
    assert_int_equal(request_body(&f->request, 5, &f->fault), RESULT_OK);
    assert_string_equal(buf_str(&f->request.body), "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_web_servers_path_is_understood),
        TEST(a_rewritten_program_name_is_not_part_of_the_base),
        TEST(paths_that_lead_elsewhere_are_refused),
        TEST(every_route_survives_being_split_by_lighttpd),
        TEST(methods_are_known_or_other),
        TEST(a_request_has_an_id_of_its_own),
        TEST(headers_are_found_by_their_usual_names),
        TEST(query_parameters_are_decoded),
        TEST(cookies_are_found_whoever_joined_them),
        TEST(a_body_needs_no_content_length),
        TEST(a_body_shorter_than_declared_is_refused),
        TEST(a_content_length_that_is_no_number_is_refused),
        TEST(a_body_over_the_limit_is_refused_whatever_its_length_says),
        TEST(dropping_the_rest_of_a_body_has_a_bound),
        TEST(a_body_is_read_once),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
