/*
 * identity: cookies that cannot be made up, addresses behind proxies, keys, logins, and who comes first. With a
 * real store in a directory of its own.
 */
#include "tests/unit/memory_transport.h"
#include "tests/unit/store_fixture.h"

#include "common/store/store_owners.h"
#include "fcgi/app.h"
#include "fcgi/http/identity.h"
#include "fcgi/http/router.h"
#include "fcgi/http/visitor.h"

static const struct route makes = { HTTP_POST, "/api/chat", ROUTE_OWNER, NULL };
static const struct route reads = { HTTP_GET, "/api/whoami", 0, NULL };

struct fixture {
    struct store_fixture *store;
    struct memory_transport memory;
    struct app app;
    struct exchange *exchange;
    struct fault fault;
    char cookie[512]; /* as a browser would send it back */
};

static char secret[64] = "a secret key of some length";
static char proxies[64];
static char access_mode[8];

static void open_identity(struct fixture *f)
{
    struct config *config = &f->store->config;

    identity_close(f->app.identity);
    config->secret_key = secret;
    config->trusted_proxies = proxies;
    config->user_id_access = access_mode;
    assert_int_equal(identity_open(config, f->store->store, &f->app.identity, NULL), RESULT_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    void *store = NULL;

    if (store_fixture_open(&store) != 0)
        return -1;
    f->store = store;
    f->app.config = &f->store->config;
    f->app.store = f->store->store;
    snprintf(secret, sizeof secret, "a secret key of some length");
    snprintf(proxies, sizeof proxies, "%s", "");
    snprintf(access_mode, sizeof access_mode, "owner");
    open_identity(f);
    memory_open(&f->memory);
    *state = f;
    return 0;
}

static void forget(struct fixture *f)
{
    if (f->exchange == NULL)
        return;
    response_free(&f->exchange->response);
    request_free(&f->exchange->request);
    free(f->exchange);
    f->exchange = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    void *store = f->store;

    forget(f);
    memory_close(&f->memory);
    identity_close(f->app.identity);
    store_fixture_close(&store);
    free(f);
    return 0;
}

/* One request, as the gate would ask about it; its Set-Cookie is kept in f->cookie. */
static enum result ask_from(struct fixture *f, const struct route *route, bool cross_site)
{
    enum result result;
    const char *set;

    forget(f);
    buf_clear(&f->memory.out);
    f->exchange = memory_exchange(&f->memory, &f->app, route->method, route->path);
    f->exchange->route = route;
    f->fault = (struct fault){ 0 };
    identity_peer(f->exchange);
    result = identity_find(f->exchange, cross_site, &f->fault);
    response_send(&f->exchange->response, 200, "text/plain", "", 0);
    set = memory_header(&f->memory, "Set-Cookie");
    snprintf(f->cookie, sizeof f->cookie, "%.*s", (int)strcspn(set, ";"), set);
    return result;
}

static enum result ask(struct fixture *f, const struct route *route)
{
    return ask_from(f, route, false);
}

/* ---- visitors ---- */

static void a_visitor_is_known_again_by_his_cookie(void **state)
{
    struct fixture *f = *state;
    char cookie[600], id[CAP_ID];

    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_int_equal(f->exchange->owner.kind, OWNER_VISITOR);
    assert_false(f->exchange->owner.any);
    snprintf(id, sizeof id, "%s", f->exchange->owner.id);
    snprintf(cookie, sizeof cookie, "other=1; %s; more=2", f->cookie);
    assert_non_null(strstr(f->cookie, id));

    memory_set(&f->memory, "HTTP_COOKIE", cookie);
    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_string_equal(f->exchange->owner.id, id);
    assert_string_equal(f->cookie, "");
}

static void every_altered_cookie_is_a_new_visitor(void **state)
{
    struct fixture *f = *state;
    char cookie[512], id[CAP_ID];
    size_t len;

    ask(f, &makes);
    snprintf(id, sizeof id, "%s", f->exchange->owner.id);
    snprintf(cookie, sizeof cookie, "%s", f->cookie);
    len = strlen(cookie);
    for (size_t at = strlen(VISITOR_COOKIE) + 1; at < len; at++) {
        char kept = cookie[at];

        for (unsigned bit = 0; bit < 8; bit++) {
            cookie[at] = (char)(kept ^ (1 << bit));
            if (cookie[at] == '\0')
                continue;
            memory_set(&f->memory, "HTTP_COOKIE", cookie);
            assert_int_equal(ask(f, &makes), RESULT_OK);
            assert_string_not_equal(f->exchange->owner.id, id);
            assert_string_not_equal(f->cookie, "");
        }
        cookie[at] = kept;
    }
    cookie[len - 1] = '\0';
    memory_set(&f->memory, "HTTP_COOKIE", cookie);
    ask(f, &makes);
    assert_string_not_equal(f->exchange->owner.id, id);
}

static void made_up_cookies_are_nobody(void **state)
{
    static const char *const values[] = {
        "",
        "v1",
        "v1.",
        "v1..",
        "v1.vis_.",
        "v1.vis_a.b.c",
        "vis_abc",
        "v2.vis_abc.def",
        "v1.key_abc.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "v1.vis_abc.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "v1.vis_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
    };
    unsigned char key[VISITOR_KEY_SIZE];
    char id[CAP_ID];

    (void)state;
    visitor_key("a secret key of some length", key);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_false(visitor_verify(key, values[i], id));
}

static void a_cookie_of_another_secret_is_a_new_visitor(void **state)
{
    struct fixture *f = *state;
    char cookie[512], id[CAP_ID];

    ask(f, &makes);
    snprintf(cookie, sizeof cookie, "%s", f->cookie);
    snprintf(id, sizeof id, "%s", f->exchange->owner.id);
    snprintf(secret, sizeof secret, "another key of some length");
    open_identity(f);
    memory_set(&f->memory, "HTTP_COOKIE", cookie);
    ask(f, &makes);
    assert_string_not_equal(f->exchange->owner.id, id);
}

static void without_secret_key_the_file_beside_the_database_counts(void **state)
{
    struct fixture *f = *state;
    char cookie[512], id[CAP_ID];

    secret[0] = '\0';
    open_identity(f);
    ask(f, &makes);
    snprintf(cookie, sizeof cookie, "%s", f->cookie);
    snprintf(id, sizeof id, "%s", f->exchange->owner.id);
    open_identity(f);
    memory_set(&f->memory, "HTTP_COOKIE", cookie);
    ask(f, &makes);
    assert_string_equal(f->exchange->owner.id, id);
}

static void only_routes_that_make_something_set_the_cookie(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, &reads), RESULT_OK);
    assert_int_equal(f->exchange->owner.kind, OWNER_VISITOR);
    assert_string_equal(f->cookie, "");
}

static void assert_attributes(const struct fixture *f, const char *has, const char *has_not)
{
    const char *header = memory_header(&f->memory, "Set-Cookie");

    if (strstr(header, has) == NULL || (has_not != NULL && strstr(header, has_not) != NULL))
        fail_msg("Set-Cookie: %s", header);
}

static void the_cookie_is_secure_by_the_real_scheme(void **state)
{
    struct fixture *f = *state;

    ask(f, &makes);
    assert_attributes(f, "; HttpOnly; SameSite=Lax", "Secure");
    assert_attributes(f, "; Path=/; Max-Age=34560000;", NULL);
    memory_set(&f->memory, "HTTP_X_FORWARDED_PROTO", "https");
    memory_set(&f->memory, "REMOTE_ADDR", "10.0.0.1");
    ask(f, &makes);
    assert_attributes(f, "SameSite=Lax", "Secure");
    snprintf(proxies, sizeof proxies, "10.0.0.0/8");
    open_identity(f);
    ask(f, &makes);
    assert_attributes(f, "; SameSite=Lax; Secure", NULL);
    memory_set(&f->memory, "HTTPS", "on");
    memory_set(&f->memory, "HTTP_X_FORWARDED_PROTO", "");
    ask(f, &makes);
    assert_attributes(f, "; SameSite=Lax; Secure", NULL);
}

static void a_page_of_another_site_gets_a_cookie_of_its_own(void **state)
{
    struct fixture *f = *state;
    char cookie[512], id[CAP_ID];

    ask_from(f, &makes, true);
    assert_attributes(f, VISITOR_COOKIE "=", "None"); /* browsers take None over https only */
    memory_set(&f->memory, "HTTPS", "on");
    ask_from(f, &makes, true);
    assert_attributes(f, VISITOR_COOKIE_CROSS "=", "Lax");
    assert_attributes(f, "; SameSite=None; Partitioned; Secure", NULL);
    snprintf(cookie, sizeof cookie, "%s", f->cookie);
    snprintf(id, sizeof id, "%s", f->exchange->owner.id);
    memory_set(&f->memory, "HTTP_COOKIE", cookie);
    ask_from(f, &makes, true);
    assert_string_equal(f->exchange->owner.id, id);
}

static void the_path_of_the_cookie_is_where_we_are_mounted(void **state)
{
    static const struct {
        const char *base, *path;
    } cases[] = {
        { "/chat", "; Path=/chat;" },
        { "/cgi-bin/parley.cgi", "; Path=/cgi-bin/parley.cgi;" },
        { "/a; Domain=evil.example", "; Path=/;" },
        { "/a,b", "; Path=/;" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        forget(f);
        buf_clear(&f->memory.out);
        f->exchange = memory_exchange(&f->memory, &f->app, HTTP_POST, "/api/chat");
        f->exchange->route = &makes;
        free(f->exchange->request.base);
        f->exchange->request.base = strdup(cases[i].base);
        identity_peer(f->exchange);
        identity_find(f->exchange, false, &f->fault);
        response_send(&f->exchange->response, 200, "text/plain", "", 0);
        assert_attributes(f, cases[i].path, "evil");
    }
}

/* ---- keys and logins ---- */

static void a_key_acts_for_any_user_id(void **state)
{
    struct fixture *f = *state;
    char key[CAP_ID], header[CAP_ID + 16];

    assert_int_equal(store_key_add(f->app.store, "site", key, T0, NULL), RESULT_OK);
    snprintf(header, sizeof header, "bearer  %s", key);
    memory_set(&f->memory, "HTTP_AUTHORIZATION", header);
    assert_int_equal(ask(f, &reads), RESULT_OK);
    assert_int_equal(f->exchange->owner.kind, OWNER_KEY);
    assert_string_equal(f->exchange->owner.id, "site");
    assert_true(f->exchange->owner.any);
    assert_string_equal(f->cookie, "");
    assert_int_equal(store_fixture_int(f->store, "SELECT used_ms > 0 FROM api_keys"), 1);

    assert_int_equal(store_key_revoke(f->app.store, "site", T0, NULL), RESULT_OK);
    assert_int_equal(ask(f, &reads), RESULT_UNAUTHORIZED);
    assert_string_equal(f->fault.code, "invalid_key");
}

static void wrong_keys_are_refused_and_noted_but_do_not_fill_the_log(void **state)
{
    static const char *const wrong[] = { "Bearer pk_0123456789abcdefghijkl", "Bearer ",
                                         "Bearer sk-something", "Bearer pk_\xff\x01" };
    struct fixture *f = *state;

    memory_set(&f->memory, "REMOTE_ADDR", "192.0.2.9");
    for (size_t i = 0; i < 100; i++) {
        memory_set(&f->memory, "HTTP_AUTHORIZATION", wrong[i % 4]);
        assert_int_equal(ask(f, &makes), RESULT_UNAUTHORIZED);
        assert_string_equal(f->cookie, "");
    }
    /* Ten in a minute, and the test may run into a second one. */
    assert_in_range(store_fixture_int(f->store, "SELECT count(*) FROM audit"
                                                " WHERE action = 'key_refused'"
                                                " AND address = '192.0.2.9'"),
                    10, 20);
    assert_int_equal(store_fixture_int(f->store, "SELECT count(*) FROM audit WHERE"
                                                 " length(subject) > 9"),
                     0);
}

static void other_kinds_of_authorization_are_not_ours(void **state)
{
    struct fixture *f = *state;

    memory_set(&f->memory, "HTTP_AUTHORIZATION", "Basic YTpi");
    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_int_equal(f->exchange->owner.kind, OWNER_VISITOR);
}

static void a_login_is_kept_as_a_hash(void **state)
{
    struct fixture *f = *state;
    char id[CAP_ID];

    memory_set(&f->memory, "REMOTE_USER", "ada@example.org");
    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_int_equal(f->exchange->owner.kind, OWNER_LOGIN);
    assert_false(f->exchange->owner.any);
    assert_null(strstr(f->exchange->owner.id, "ada"));
    assert_string_equal(f->cookie, "");
    snprintf(id, sizeof id, "%s", f->exchange->owner.id);
    /* The token belongs to whoever checked the login. */
    memory_set(&f->memory, "HTTP_AUTHORIZATION", "Bearer eyJhbGciOi");
    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_string_equal(f->exchange->owner.id, id);
    memory_set(&f->memory, "REMOTE_USER", "grace@example.org");
    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_string_not_equal(f->exchange->owner.id, id);
    /* But one of our keys that is wrong is an error. */
    memory_set(&f->memory, "HTTP_AUTHORIZATION", "Bearer pk_0123456789abcdefghijkl");
    assert_int_equal(ask(f, &makes), RESULT_UNAUTHORIZED);
}

static void open_access_is_for_everybody(void **state)
{
    struct fixture *f = *state;

    snprintf(access_mode, sizeof access_mode, "open");
    open_identity(f);
    assert_int_equal(ask(f, &makes), RESULT_OK);
    assert_int_equal(f->exchange->owner.kind, OWNER_VISITOR);
    assert_true(f->exchange->owner.any);
}

/* ---- the address ---- */

static const struct {
    const char *trusted, *remote, *forwarded, *address;
} hops[] = {
    { "", "192.0.2.1", NULL, "192.0.2.1" },
    { "", "192.0.2.1", "203.0.113.5", "192.0.2.1" },
    { "10.0.0.0/8", "192.0.2.1", "203.0.113.5", "192.0.2.1" },
    { "10.0.0.0/8", "10.0.0.1", "203.0.113.5", "203.0.113.5" },
    { "10.0.0.0/8", "10.0.0.1", "1.1.1.1, 203.0.113.5", "203.0.113.5" },
    { "10.0.0.0/8", "10.0.0.1", "1.1.1.1,203.0.113.5 , 10.9.9.9", "203.0.113.5" },
    { "10.0.0.0/8", "10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1" },
    { "10.0.0.0/8", "10.0.0.1", NULL, "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", "", "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", "203.0.113.5, nonsense", "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", "203.0.113.5, nonsense, 10.2.2.2", "10.2.2.2" },
    { "10.0.0.0/8", "10.0.0.1", "203.0.113.5,", "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7" },
    { "10.0.0.0/8", "::ffff:10.0.0.1", "203.0.113.5:99", "203.0.113.5" },
    { "unix", "unix:", "203.0.113.5", "203.0.113.5" },
    { "unix", "", "203.0.113.5", "203.0.113.5" },
    { "unix", "127.0.0.1", "203.0.113.5", "127.0.0.1" },
    { "127.0.0.1", "unix:", "203.0.113.5", "unix:" },
};

static void the_client_is_the_rightmost_hop_that_is_not_ours(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof hops / sizeof hops[0]; i++) {
        snprintf(proxies, sizeof proxies, "%s", hops[i].trusted);
        open_identity(f);
        memory_set(&f->memory, "REMOTE_ADDR", hops[i].remote);
        memory_set(&f->memory, "HTTP_X_FORWARDED_FOR", hops[i].forwarded);
        ask(f, &reads);
        if (strcmp(f->exchange->peer.address, hops[i].address) != 0)
            fail_msg("%s via %s, trusting '%s': %s", hops[i].forwarded, hops[i].remote,
                     hops[i].trusted, f->exchange->peer.address);
        assert_string_equal(f->exchange->request.address, hops[i].address);
    }
}

static const struct {
    const char *trusted, *https, *forwarded;
    bool secure;
} schemes[] = {
    { "", NULL, NULL, false },
    { "", "on", NULL, true },
    { "", "1", NULL, true },
    { "", "off", NULL, false },
    { "", NULL, "https", false },
    { "127.0.0.1", NULL, "https", true },
    { "127.0.0.1", NULL, "HTTPS", true },
    { "127.0.0.1", "on", "http", false },
    { "127.0.0.1", NULL, "http, https", true },
    { "127.0.0.1", NULL, "https,http", false },
    { "127.0.0.1", "on", "wss", true },
    { "127.0.0.1", NULL, "", false },
};

static void the_scheme_is_the_word_of_a_trusted_proxy(void **state)
{
    struct fixture *f = *state;

    memory_set(&f->memory, "REMOTE_ADDR", "127.0.0.1");
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        snprintf(proxies, sizeof proxies, "%s", schemes[i].trusted);
        open_identity(f);
        memory_set(&f->memory, "HTTPS", schemes[i].https);
        memory_set(&f->memory, "HTTP_X_FORWARDED_PROTO", schemes[i].forwarded);
        ask(f, &reads);
        if (f->exchange->peer.https != schemes[i].secure)
            fail_msg("case %zu", i);
    }
}

#define IDENTITY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IDENTITY_TEST(a_visitor_is_known_again_by_his_cookie),
        IDENTITY_TEST(every_altered_cookie_is_a_new_visitor),
        IDENTITY_TEST(made_up_cookies_are_nobody),
        IDENTITY_TEST(a_cookie_of_another_secret_is_a_new_visitor),
        IDENTITY_TEST(without_secret_key_the_file_beside_the_database_counts),
        IDENTITY_TEST(only_routes_that_make_something_set_the_cookie),
        IDENTITY_TEST(the_cookie_is_secure_by_the_real_scheme),
        IDENTITY_TEST(a_page_of_another_site_gets_a_cookie_of_its_own),
        IDENTITY_TEST(the_path_of_the_cookie_is_where_we_are_mounted),
        IDENTITY_TEST(a_key_acts_for_any_user_id),
        IDENTITY_TEST(wrong_keys_are_refused_and_noted_but_do_not_fill_the_log),
        IDENTITY_TEST(other_kinds_of_authorization_are_not_ours),
        IDENTITY_TEST(a_login_is_kept_as_a_hash),
        IDENTITY_TEST(open_access_is_for_everybody),
        IDENTITY_TEST(the_client_is_the_rightmost_hop_that_is_not_ours),
        IDENTITY_TEST(the_scheme_is_the_word_of_a_trusted_proxy),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
