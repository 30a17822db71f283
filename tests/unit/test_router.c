/*
 * The router, over a table of its own (which stands in for routes.c at link time).
 */
#include "tests/unit/memory_transport.h"

#include "fcgi/http/router.h"

static void handle(struct exchange *exchange)
{
    (void)exchange;
}

const struct route routes[] = {
    { HTTP_GET, "/", ROUTE_PAGE, handle },
    { HTTP_GET, "/api/items", 0, handle },
    { HTTP_POST, "/api/items", ROUTE_JSON, handle },
    { HTTP_POST, "/api/items/simple", ROUTE_JSON, handle },
    { HTTP_GET, "/api/items/{id}", 0, handle },
    { HTTP_DELETE, "/api/items/{id}", 0, handle },
    { HTTP_GET, "/api/items/{id}/export", 0, handle },
    { HTTP_GET, "/api/history/{user_id}", ROUTE_TAIL, handle },
    { HTTP_GET, "/api/history", 0, handle },
};
const size_t routes_count = sizeof(routes) / sizeof(routes[0]);

struct found {
    enum result result;
    const struct route *route;
    char arg[sizeof((struct request *)0)->path_arg];
    char allow[64];
    struct fault fault;
};

/* `uri`: REQUEST_URI, NULL when the web server gives none. */
static struct found find_sent(enum http_method method, const char *path, const char *uri)
{
    struct memory_transport memory;
    struct request request;
    struct found found = { .allow = "" };
    memory_open(&memory);
    if (uri != NULL)
        memory_set(&memory, "REQUEST_URI", uri);
    memory_request(&memory, &request, method, path);
    found.result =
        router_find(&request, &found.route, found.allow, sizeof(found.allow), &found.fault);
    memcpy(found.arg, request.path_arg, sizeof(found.arg));
    request_free(&request);
    memory_close(&memory);
    return found;
}

static struct found find(enum http_method method, const char *path)
{
    return find_sent(method, path, NULL);
}

static void finds_literal_paths_by_method(void **state)
{
    (void)state;
    assert_ptr_equal(find(HTTP_GET, "/").route, &routes[0]);
    assert_ptr_equal(find(HTTP_GET, "/api/items").route, &routes[1]);
    assert_ptr_equal(find(HTTP_POST, "/api/items").route, &routes[2]);
    assert_ptr_equal(find(HTTP_POST, "/api/items/simple").route, &routes[3]);
    assert_string_equal(find(HTTP_POST, "/api/items/simple").arg, "");
}

static void get_rows_serve_head(void **state)
{
    (void)state;
    assert_ptr_equal(find(HTTP_HEAD, "/api/items").route, &routes[1]);
    assert_int_equal(find(HTTP_HEAD, "/api/items").result, RESULT_OK);
}

static void a_name_takes_one_segment_of_any_characters(void **state)
{
    (void)state;
    struct found found = find(HTTP_GET, "/api/items/J\xc3\xb6rg {x} 100% a+b");
    assert_int_equal(found.result, RESULT_OK);
    assert_ptr_equal(found.route, &routes[4]);
    assert_string_equal(found.arg, "J\xc3\xb6rg {x} 100% a+b");
    assert_ptr_equal(find(HTTP_DELETE, "/api/items/7").route, &routes[5]);

    found = find(HTTP_GET, "/api/items/7/export");
    assert_ptr_equal(found.route, &routes[6]);
    assert_string_equal(found.arg, "7");
}

static void a_name_with_a_tail_takes_slashes_too(void **state)
{
    (void)state;
    assert_ptr_equal(find(HTTP_GET, "/api/history/a/b").route, &routes[7]);
    assert_string_equal(find(HTTP_GET, "/api/history/a/b").arg, "a/b");
    assert_string_equal(find(HTTP_GET, "/api/history/a").arg, "a");
    assert_ptr_equal(find(HTTP_GET, "/api/history").route, &routes[8]);
}

static void a_name_with_a_tail_is_taken_as_it_was_sent(void **state)
{
    static const struct {
        const char *path, *uri, *arg;
    } cases[] = {
        { "/api/history/a", "/api/history/a%2F?x=/api/history/b", "a/" },
        { "/api/history/a", "http://h/base/api/history/%2Fa/", "/a" },
        { "/api/history/https:/idp/7", "/api/history/https%3A%2F%2Fidp%2F7", "https://idp/7" },
        { "/api/history/a+b%2F", "/api/history/a+b%252F", "a+b%2F" },
        { "/api/history/a", "/api/history/a///", "a" },
        { "/api/history/me", "/api/history/other", "me" }, /* a rewrite rule's word counts */
        { "/api/history/me", "/mine?of=/api/history/x", "me" },
        { "/api/history/a%zz", "/api/history/a%zz", "a%zz" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct found found = find_sent(HTTP_GET, cases[i].path, cases[i].uri);
        assert_int_equal(found.result, RESULT_OK);
        assert_string_equal(found.arg, cases[i].arg);
    }
    /* What the web server made of it is somebody else's name. */
    assert_string_equal(find_sent(HTTP_GET, "/api/history/b", "/api/history/a%2F..%2Fb").fault.code,
                        "invalid_path");
}

static void a_name_of_slashes_and_dots_is_not_the_path_above_it(void **state)
{
    static const struct {
        const char *uri, *arg;
    } cases[] = {
        { "/api/history/%2F", "/" },     { "/base/api/history/%2F%2f?x", "//" },
        { "/api/history/.", "." },       { "/api/history/%2E/", "." },
        { "/api/history/.%2F.", "./." }, { "/api/history/a%2F..", NULL },
        { "/api/history/x/../y", NULL }, { "/api/history/", NULL },
        { "/api/history//?x=/", NULL },
    };
    static const char *const own[] = { "/api/history", "/api/history?x=/api/history/y", "/mine",
                                       NULL };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct found found = find_sent(HTTP_GET, "/api/history", cases[i].uri);
        assert_int_equal(found.result, cases[i].arg != NULL ? RESULT_OK : RESULT_INVALID);
        assert_ptr_equal(found.route, &routes[7]);
        if (cases[i].arg != NULL)
            assert_string_equal(found.arg, cases[i].arg);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        assert_ptr_equal(find_sent(HTTP_GET, "/api/history", own[i]).route, &routes[8]);
}

static void unknown_paths_are_not_found(void **state)
{
    static const char *const paths[] = { "/api",           "/api/item",
                                         "/api/itemsx",    "/api/items/",
                                         "/api/items/7/8", "/api/items//export",
                                         "/api/items/7/e", "/api/items/7/exp0",
                                         "/API/items" };
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct found found = find(HTTP_GET, paths[i]);
        assert_int_equal(found.result, RESULT_NOT_FOUND);
        assert_string_equal(found.fault.code, "unknown_path");
        assert_null(found.route);
    }
}

static void a_name_that_is_too_long_is_not_found(void **state)
{
    char path[2048] = "/api/items/";
    (void)state;
    memset(path + strlen(path), 'x', sizeof((struct request *)0)->path_arg);
    assert_int_equal(find(HTTP_GET, path).result, RESULT_NOT_FOUND);
    path[strlen(path) - 1] = '\0';
    assert_int_equal(find(HTTP_GET, path).result, RESULT_OK);
}

static void a_wrong_method_names_the_right_ones(void **state)
{
    (void)state;
    struct found found = find(HTTP_PUT, "/api/items");
    assert_int_equal(found.result, RESULT_BAD_METHOD);
    assert_string_equal(found.fault.code, "method_not_allowed");
    assert_string_equal(found.allow, "GET, HEAD, POST, OPTIONS");
    assert_ptr_equal(found.route, &routes[1]);
    assert_string_equal(find(HTTP_OTHER, "/api/items/9").allow, "GET, HEAD, DELETE, OPTIONS");
    assert_string_equal(find(HTTP_GET, "/api/items/simple").arg, "simple");
    assert_string_equal(find(HTTP_PATCH, "/api/items/simple").allow,
                        "GET, HEAD, POST, DELETE, OPTIONS");
}

static void options_names_the_methods_too(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_OPTIONS, "/").result, RESULT_BAD_METHOD);
    assert_string_equal(find(HTTP_OPTIONS, "/").allow, "GET, HEAD, OPTIONS");
    assert_int_equal(find(HTTP_OPTIONS, "/nothing").result, RESULT_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_literal_paths_by_method),
        cmocka_unit_test(get_rows_serve_head),
        cmocka_unit_test(a_name_takes_one_segment_of_any_characters),
        cmocka_unit_test(a_name_with_a_tail_takes_slashes_too),
        cmocka_unit_test(a_name_with_a_tail_is_taken_as_it_was_sent),
        cmocka_unit_test(a_name_of_slashes_and_dots_is_not_the_path_above_it),
        cmocka_unit_test(unknown_paths_are_not_found),
        cmocka_unit_test(a_name_that_is_too_long_is_not_found),
        cmocka_unit_test(a_wrong_method_names_the_right_ones),
        cmocka_unit_test(options_names_the_methods_too),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
