/*
 * identity: see identity.h. A visitor costs no look into the store: a cookie with our signature is enough, and
 * his row is made by the transaction of his first question. A key is looked up at each request, so that one
 * that was revoked is refused at once.
 *
 * Runs on request threads; the struct is constant after identity_open, but for the counter of refusals.
 */
#include "fcgi/http/identity.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/store/store_owners.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/router.h"
#include "fcgi/http/transport.h"
#include "fcgi/http/visitor.h"

_Static_assert(VISITOR_KEY_SIZE == STORE_SECRET_SIZE, "the stored secret is used as it is");

#define COOKIE_AGE          "34560000" /* 400 days, the most that browsers keep one */
#define COOKIE_HEADER_SIZE  512
#define SECRET_SHORT        16 /* bytes of a SECRET_KEY that somebody may guess */
#define REFUSALS_PER_HOUR   60 /* lines about refused keys in the audit log */
#define REFUSALS_PER_MINUTE 10 /* of them that one process tries to write */
#define LOGIN_PREFIX        "login_"
#define LOGIN_HASH_SIZE     16

struct identity {
    struct store *store;
    struct net_list trusted;
    unsigned char cookie_key[VISITOR_KEY_SIZE];
    bool open_access;       /* anybody may use any user_id */
    _Atomic int64_t minute; /* of the refusals below */
    _Atomic int64_t refusals;
};

/* ---- opening ---- */

static enum result find_cookie_key(const struct config *config, struct identity *identity,
                                   struct fault *fault)
{
    const char *secret = config->secret_key;

    if (secret == NULL || *secret == '\0')
        return store_secret(identity->store, identity->cookie_key, fault);
    if (strlen(secret) < SECRET_SHORT)
        log_warn("secret_key_short", LOG_INT("bytes", (int64_t)strlen(secret)));
    visitor_key(secret, identity->cookie_key);
    return RESULT_OK;
}

enum result identity_open(const struct config *config, struct store *store, struct identity **out,
                          struct fault *fault)
{
    struct identity *identity = calloc(1, sizeof *identity);
    const char *proxies = config->trusted_proxies != NULL ? config->trusted_proxies : "";
    enum result result;

    *out = NULL;
    if (identity == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    identity->store = store;
    identity->open_access =
        config->user_id_access != NULL && strcmp(config->user_id_access, "open") == 0;
    result = find_cookie_key(config, identity, fault);
    if (result == RESULT_OK && !net_list_parse(proxies, &identity->trusted))
        result = fault_set(fault, RESULT_INVALID, "invalid_option", "TRUSTED_PROXIES",
                           "TRUSTED_PROXIES is not a list of networks.");
    if (result != RESULT_OK)
        identity_close(identity);
    else
        *out = identity;
    return result;
}

void identity_close(struct identity *identity)
{
    if (identity != NULL)
        sodium_memzero(identity, sizeof *identity);
    free(identity);
}

/* ---- the address ---- */

void identity_peer(struct exchange *exchange)
{
    const struct identity *identity = exchange->app->identity;

    peer_find(&exchange->request, identity != NULL ? &identity->trusted : NULL, &exchange->peer);
    exchange->request.address = exchange->peer.address;
}

void identity_network(const char *address, char out[IDENTITY_NETWORK_SIZE])
{
    net_group(address, out);
}

/* ---- API keys ---- */

/* What stands behind "Bearer", NULL when there is no such thing. */
static const char *bearer(const struct exchange *exchange)
{
    static const char scheme[] = "Bearer";
    const char *value = request_header(&exchange->request, "Authorization");

    if (value == NULL || strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return NULL;
    value += sizeof scheme - 1;
    return *value == ' ' || *value == '\0' ? value + strspn(value, " ") : NULL;
}

/* A flood of wrong keys shall not queue for the write lock either. */
static bool refusal_is_news(struct identity *identity, int64_t now_ms)
{
    int64_t minute = now_ms / 60000;

    if (atomic_exchange(&identity->minute, minute) != minute)
        atomic_store(&identity->refusals, 0);
    return atomic_fetch_add(&identity->refusals, 1) < REFUSALS_PER_MINUTE;
}

static void audit_refusal(struct exchange *exchange, const char *key)
{
    char beginning[STORE_KEY_PREFIX_SIZE] = "";
    struct store_audit line = {
        .owner = &exchange->owner,
        .address = exchange->peer.address,
        .action = "key_refused",
        .subject = beginning,
        .now_ms = clock_wall_ms(),
        .most_per_hour = REFUSALS_PER_HOUR,
    };

    if (!refusal_is_news(exchange->app->identity, line.now_ms))
        return;
    if (text_starts_with(key, STORE_KEY_PREFIX) && id_plausible(key))
        text_copy(beginning, sizeof beginning, key);
    store_audit_add(exchange->app->store, &line);
}

static enum result find_key(struct exchange *exchange, const char *key, struct fault *fault)
{
    struct store *store = exchange->app->store;
    enum result result = RESULT_NOT_FOUND;

    if (id_plausible(key))
        result = store_key_find(store, key, exchange->owner.id, fault);
    if (result == RESULT_NOT_FOUND) {
        audit_refusal(exchange, key);
        response_header(&exchange->response, "WWW-Authenticate", "Bearer");
        return fault_set(fault, RESULT_UNAUTHORIZED, "invalid_key", NULL,
                         "This API key is not valid here.");
    }
    if (result != RESULT_OK)
        return result;
    exchange->owner.kind = OWNER_KEY;
    exchange->owner.any = true;
    /* Where a turn begins, its transaction notes the use. */
    if ((exchange->route->flags & ROUTE_OWNER) == 0)
        store_key_used(store, exchange->owner.id, clock_wall_ms());
    return RESULT_OK;
}

/* ---- logins ---- */

static const char *login_name(const struct exchange *exchange)
{
    const char *name = exchange->transport->ops->variable(exchange->transport, "REMOTE_USER");

    return name != NULL && *name != '\0' ? name : NULL;
}

/* The store gets a hash: names may be of any length, and are nobody's business there. */
static void use_login(struct owner *owner, const char *name)
{
    static const unsigned char purpose[] = "parley login";
    unsigned char hash[LOGIN_HASH_SIZE];
    size_t len = strlen(LOGIN_PREFIX);

    crypto_generichash(hash, sizeof hash, (const unsigned char *)name, strlen(name), purpose,
                       sizeof purpose - 1);
    text_copy(owner->id, sizeof owner->id, LOGIN_PREFIX);
    sodium_bin2base64(owner->id + len, sizeof owner->id - len, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    owner->kind = OWNER_LOGIN;
}

/* ---- visitors ---- */

static const char *const cookie_names[] = { VISITOR_COOKIE, VISITOR_COOKIE_CROSS };
#define COOKIE_NAMES (sizeof cookie_names / sizeof cookie_names[0])

/* Where we are mounted. The first segment of an address can become our base (request.c), so what could end the
 * attribute is not repeated. */
static const char *cookie_path(const struct exchange *exchange)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._~-";
    const char *base = exchange->request.base;

    return base != NULL && *base == '/' && strspn(base, allowed) == strlen(base) ? base : "/";
}

static void send_cookie(struct exchange *exchange, const char *name, const char *value,
                        const char *age, bool cross_site)
{
    bool https = exchange->peer.https;
    struct buf header;

    buf_init(&header, COOKIE_HEADER_SIZE);
    buf_putf(&header, "%s=%s; Path=%s; Max-Age=%s; HttpOnly", name, value, cookie_path(exchange),
             age);
    buf_puts(&header, cross_site && https ? "; SameSite=None; Partitioned" : "; SameSite=Lax");
    if (https)
        buf_puts(&header, "; Secure");
    if (!header.failed)
        response_header(&exchange->response, "Set-Cookie", buf_str(&header));
    buf_free(&header);
}

static bool known_visitor(const struct exchange *exchange, char *id)
{
    char value[VISITOR_COOKIE_SIZE];

    for (size_t i = 0; i < COOKIE_NAMES; i++) {
        if (request_cookie(&exchange->request, cookie_names[i], value, sizeof value) &&
            visitor_verify(exchange->app->identity->cookie_key, value, id))
            return true;
    }
    return false;
}

static void send_visitor(struct exchange *exchange)
{
    bool cross_site = exchange->cross_site && exchange->peer.https;
    char value[VISITOR_COOKIE_SIZE];

    visitor_sign(exchange->app->identity->cookie_key, exchange->owner.id, value);
    send_cookie(exchange, cookie_names[cross_site ? 1 : 0], value, COOKIE_AGE, cross_site);
}

static void use_visitor(struct exchange *exchange)
{
    struct owner *owner = &exchange->owner;

    owner->kind = OWNER_VISITOR;
    if (known_visitor(exchange, owner->id))
        return;
    id_make(owner->id, VISITOR_PREFIX);
    exchange->newcomer = true;
    if ((exchange->route->flags & ROUTE_OWNER) != 0)
        send_visitor(exchange);
}

void identity_become(struct exchange *exchange, const char *visitor)
{
    text_copy(exchange->owner.id, sizeof exchange->owner.id, visitor);
    exchange->newcomer = false;
    response_drop_header(&exchange->response, "Set-Cookie");
    send_visitor(exchange);
}

void identity_forget(struct exchange *exchange)
{
    char value[COOKIE_HEADER_SIZE];

    for (size_t i = 0; i < COOKIE_NAMES; i++) {
        if (request_cookie(&exchange->request, cookie_names[i], value, sizeof value))
            send_cookie(exchange, cookie_names[i], "", "0", i == 1);
    }
}

/* ---- together ---- */

enum result identity_find(struct exchange *exchange, bool cross_site, struct fault *fault)
{
    const struct identity *identity = exchange->app->identity;
    const char *login = login_name(exchange);
    const char *key = bearer(exchange);

    exchange->owner = (struct owner){ .kind = OWNER_NONE };
    exchange->cross_site = cross_site;
    if (identity == NULL)
        return RESULT_OK;
    exchange->owner.any = identity->open_access;
    /* A token of somebody else's may come along with a login that the web server has checked. */
    if (key != NULL && (login == NULL || text_starts_with(key, STORE_KEY_PREFIX)))
        return find_key(exchange, key, fault);
    if (login != NULL)
        use_login(&exchange->owner, login);
    else
        use_visitor(exchange);
    return RESULT_OK;
}
