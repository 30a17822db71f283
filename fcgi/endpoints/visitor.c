/*
 * visitor: GET /api/whoami shows what the server sees of the one who asks, for people who set up proxies; DELETE
 * /api/visitor erases everything that he has here. Neither shows the cookie or a whole id.
 *
 * Request thread; what others remember is erased from the loop.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/memory/memory.h"
#include "common/store/store_owners.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/rate_limit.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/identity.h"
#include "fcgi/http/transport.h"
#include "fcgi/http/visitor.h"

#define CAP_VISITOR_BODY (16 * 1024)
#define CAP_SHOWN        256 /* bytes of a header or name that are repeated */

/* What a client may have written: cut, and made UTF-8 without control characters. NULL stays NULL. */
static void put_shown(struct buf *body, const char *key, const char *text)
{
    struct buf shown;

    if (text == NULL || *text == '\0') {
        json_put_member(body, key, NULL);
        return;
    }
    buf_init(&shown, 3 * CAP_SHOWN);
    text_utf8_repair(&shown, text, text_utf8_prefix(text, strlen(text), CAP_SHOWN));
    json_put_member(body, key, buf_str(&shown));
    buf_free(&shown);
}

static const char *variable(const struct exchange *exchange, const char *name)
{
    return exchange->transport->ops->variable(exchange->transport, name);
}

void endpoint_whoami(struct exchange *exchange)
{
    const struct owner *owner = &exchange->owner;
    char network[IDENTITY_NETWORK_SIZE], visitor[VISITOR_SHORT_SIZE];
    struct buf body;

    identity_network(exchange->peer.address, network);
    text_copy(visitor, sizeof visitor, owner->id);
    buf_init(&body, CAP_VISITOR_BODY);
    buf_putc(&body, '{');
    put_shown(&body, "address", exchange->peer.address);
    put_shown(&body, "network", network);
    json_put_member(&body, "visitor", owner->kind == OWNER_VISITOR ? visitor : NULL);
    json_put_member(&body, "key", owner->kind == OWNER_KEY ? owner->id : NULL);
    put_shown(&body, "login",
              owner->kind == OWNER_LOGIN ? variable(exchange, "REMOTE_USER") : NULL);
    json_put_member(&body, "scheme", exchange->peer.https ? "https" : "http");
    put_shown(&body, "forwarded_for", variable(exchange, "HTTP_X_FORWARDED_FOR"));
    json_put_member_bool(&body, "trusted", exchange->peer.trusted);
    rate_limit_put(exchange, &body);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}

static enum result erase(struct exchange *exchange, struct store_erased *erased,
                         struct fault *fault)
{
    const struct owner *owner = &exchange->owner;
    struct store_erase all = {
        .what = STORE_ERASE_OWNER,
        .owner = owner,
        .audit = { .owner = owner, .action = "erased", .subject = "own data" },
    };

    if (owner->kind != OWNER_VISITOR && owner->kind != OWNER_LOGIN)
        return fault_set(fault, RESULT_FORBIDDEN, "not_a_visitor", NULL,
                         "Only visitors can erase their data here; an administrator erases with "
                         "'parley purge'.");
    all.audit.now_ms = clock_wall_ms();
    return store_erase(exchange->app->store, &all, erased, fault);
}

/* What the loop does after an erasure: whoever else remembers this visitor forgets him, too. */
struct forgotten {
    struct owner owner;
    struct store_users users;
};

static void forget_on_loop(struct exchange *exchange)
{
    struct forgotten *forgotten = exchange->state;
    struct memory *memory = exchange->app->memory;
    struct store_subject subject = { &forgotten->owner, NULL };

    memory_forget(memory, &subject);
    for (size_t i = 0; i < forgotten->users.count; i++) {
        subject.user_id = forgotten->users.list[i];
        memory_forget(memory, &subject);
    }
    store_users_free(&forgotten->users);
    free(forgotten);
    exchange_finish(exchange);
}

static enum result note_users(struct exchange *exchange, struct forgotten **out,
                              struct fault *fault)
{
    const char *memory = exchange->app->config->memory;

    *out = NULL;
    if (memory == NULL || strcmp(memory, "mem0") != 0)
        return RESULT_OK;
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    (*out)->owner = exchange->owner;
    return store_owner_users(exchange->app->store, &exchange->owner, &(*out)->users, fault);
}

void endpoint_visitor_delete(struct exchange *exchange)
{
    struct store_erased erased;
    struct forgotten *forgotten;
    struct fault fault = { 0 };
    struct buf body;
    enum result result = note_users(exchange, &forgotten, &fault);

    if (result == RESULT_OK)
        result = erase(exchange, &erased, &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        if (forgotten != NULL)
            store_users_free(&forgotten->users);
        free(forgotten);
        return;
    }
    identity_forget(exchange);
    buf_init(&body, CAP_VISITOR_BODY);
    buf_putc(&body, '{');
    json_put_member_int(&body, "conversations", erased.conversations);
    json_put_member_int(&body, "messages", erased.messages);
    json_put_member(&body, "message", "Everything that was stored about you has been erased.");
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
    if (forgotten != NULL) {
        exchange->state = forgotten;
        exchange->on_loop = forget_on_loop;
    }
}
