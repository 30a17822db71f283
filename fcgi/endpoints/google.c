/*
 * google: the endpoints of Google sign-in (contracts/turn_response.md, section 6): auth sends the browser away with
 * state and PKCE challenge, callback takes the code, status tells, disconnect forgets and revokes.
 *
 * Targets of redirects are relative to where we are mounted. After a sign-in the browser gets a new session: one
 * that somebody else had put there would give him the tokens. Request thread, then loop where Google is asked.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/google.h"
#include "fcgi/endpoints/openai_api.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/http/exchange.h"

#define OAUTH_LIFE_S 600
#define CODE_SIZE    2048
#define CAP_LOCATION 2048
#define ISSUER       "https://accounts.google.com"
#define SCOPES                                                                                     \
    "openid email profile https://www.googleapis.com/auth/calendar.events.readonly "               \
    "https://www.googleapis.com/auth/gmail.readonly"

static void redirect(struct exchange *exchange, const char *location)
{
    response_header(&exchange->response, "Location", location);
    response_send(&exchange->response, 307, "text/plain; charset=utf-8", "", 0);
}

static void redirect_home(struct exchange *exchange, const char *query)
{
    struct buf location;

    buf_init(&location, CAP_LOCATION);
    buf_putf(&location, "%s/?%s", exchange->request.base, query);
    redirect(exchange, buf_str(&location));
    buf_free(&location);
}

/* ---- status ---- */

void endpoint_google_status(struct exchange *exchange)
{
    struct google_tokens tokens;
    struct buf body;

    google_read_tokens(exchange, &tokens);
    buf_init(&body, 256);
    buf_putc(&body, '{');
    json_put_member_bool(&body, "connected", tokens.access != NULL);
    json_put_member_bool(&body, "oauthConfigured", google_configured(exchange->app->config));
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
    google_tokens_free(&tokens);
}

/* ---- auth ---- */

static void make_secret(char out[GOOGLE_SECRET_SIZE])
{
    unsigned char bytes[32];

    id_random(bytes, sizeof bytes);
    sodium_bin2base64(out, GOOGLE_SECRET_SIZE, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void make_challenge(const char *verifier, char out[GOOGLE_SECRET_SIZE])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const unsigned char *)verifier, strlen(verifier));
    sodium_bin2base64(out, GOOGLE_SECRET_SIZE, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void put_parameter(struct buf *out, const char *name, const char *value)
{
    buf_putc(out, strchr(buf_str(out), '?') != NULL ? '&' : '?');
    buf_putf(out, "%s=", name);
    text_percent_encode(out, value, strlen(value));
}

void endpoint_google_auth(struct exchange *exchange)
{
    const struct config *config = exchange->app->config;
    char session[GOOGLE_SESSION_SIZE], state[GOOGLE_SECRET_SIZE];
    char verifier[GOOGLE_SECRET_SIZE], challenge[GOOGLE_SECRET_SIZE];
    struct buf location;

    if (!google_configured(config)) {
        openai_reply_error(exchange, 500, "Google OAuth is not configured");
        return;
    }
    make_secret(state);
    make_secret(verifier);
    make_challenge(verifier, challenge);
    if (!google_session_id(exchange, session)) {
        google_session_new(session);
        google_set_cookie(exchange, GOOGLE_COOKIE_SESSION, session, 0);
    }
    google_set_cookie(exchange, GOOGLE_COOKIE_STATE, state, OAUTH_LIFE_S);
    google_set_cookie(exchange, GOOGLE_COOKIE_VERIFIER, verifier, OAUTH_LIFE_S);
    buf_init(&location, CAP_LOCATION);
    buf_puts(&location, config->google_auth_url);
    put_parameter(&location, "redirect_uri", config->google_redirect_uri);
    put_parameter(&location, "scope", SCOPES);
    put_parameter(&location, "access_type", "offline");
    put_parameter(&location, "include_granted_scopes", "true");
    put_parameter(&location, "prompt", "consent");
    put_parameter(&location, "code_challenge", challenge);
    put_parameter(&location, "code_challenge_method", "S256");
    put_parameter(&location, "state", state);
    put_parameter(&location, "client_id", config->google_client_id);
    put_parameter(&location, "response_type", "code");
    if (location.failed)
        openai_reply_error(exchange, 500, "Google OAuth is not configured");
    else
        redirect(exchange, buf_str(&location));
    buf_free(&location);
}

/* ---- callback ---- */

/* Also of disconnect: what waits on the loop for Google, and then for the store. */
struct visit {
    uv_work_t work;
    struct exchange *exchange;
    struct app *app;
    struct outflow *flow;
    struct google_call *call;
    struct owner owner;
    struct google_tokens tokens;
    char old_session[GOOGLE_SESSION_SIZE];
    char session[GOOGLE_SESSION_SIZE];
    char code[CODE_SIZE];
    char *verifier;
};

static void visit_free(struct visit *visit)
{
    google_tokens_free(&visit->tokens);
    free(visit->verifier);
    free(visit);
}

static void on_gone(void *ctx)
{
    struct visit *visit = ctx;

    visit->flow = NULL;
    visit->exchange = NULL;
    if (visit->call == NULL)
        return; /* the store has it: saved() frees */
    google_cancel(visit->call);
    visit_free(visit);
}

static const struct outflow_handler flow_handler = { .gone = on_gone };

static void leave(struct visit *visit, const char *outcome)
{
    if (visit->flow != NULL)
        outflow_end(visit->flow, outcome);
    else if (visit->exchange != NULL)
        exchange_finish(visit->exchange);
    visit_free(visit);
}

static void fail_callback(struct visit *visit)
{
    if (visit->exchange != NULL)
        redirect_home(visit->exchange, "error=oauth_failed");
    leave(visit, "failed");
}

/* Request thread. */
static void save(uv_work_t *work)
{
    struct visit *visit = work->data;

    google_save_tokens(visit->app, visit->session, &visit->owner, &visit->tokens);
    if (visit->old_session[0] != '\0')
        google_remove_tokens(visit->app, visit->old_session);
}

static void saved(uv_work_t *work, int status)
{
    struct visit *visit = work->data;
    struct exchange *exchange = visit->exchange;

    (void)status;
    visit->app->turns--;
    if (exchange != NULL) {
        google_set_cookie(exchange, GOOGLE_COOKIE_SESSION, visit->session, 0);
        google_set_tokens(exchange, &visit->tokens, true);
        redirect_home(exchange, "connected=1");
    }
    leave(visit, "ok");
}

static void on_tokens(void *ctx, struct google_tokens *tokens)
{
    struct visit *visit = ctx;

    visit->call = NULL;
    if (tokens == NULL) {
        fail_callback(visit);
        return;
    }
    visit->tokens = *tokens;
    *tokens = (struct google_tokens){ .access = NULL };
    google_session_new(visit->session);
    visit->work.data = visit;
    visit->app->turns++; /* the process waits for it */
    uv_queue_work(visit->app->loop, &visit->work, save, saved);
}

static void callback_on_loop(struct exchange *exchange)
{
    struct visit *visit = exchange->state;

    visit->flow = outflow_open(exchange, &flow_handler, visit);
    visit->call = google_exchange(visit->app, visit->code, visit->verifier, on_tokens, visit);
    if (visit->call == NULL)
        fail_callback(visit);
}

static bool same_secret(const char *a, const char *b)
{
    size_t len = strlen(a);

    return len == strlen(b) && len > 0 && sodium_memcmp(a, b, len) == 0;
}

/* NULL: all is well so far. */
static const char *check_callback(struct exchange *exchange, struct visit *visit)
{
    const struct request *request = &exchange->request;
    char given[CODE_SIZE];
    char *state;
    bool same;

    if (!google_session_id(exchange, visit->old_session))
        return "error=no-session";
    state = google_cookie(exchange, GOOGLE_COOKIE_STATE);
    visit->verifier = google_cookie(exchange, GOOGLE_COOKIE_VERIFIER);
    same = state != NULL && request_query(request, "state", given, sizeof given) &&
           same_secret(state, given);
    free(state);
    if (!same || visit->verifier == NULL ||
        !request_query(request, "code", visit->code, sizeof visit->code) || visit->code[0] == '\0')
        return "error=invalid_state";
    /* Google says so since 2026; whoever says something else is somebody else. */
    if (request_query(request, "iss", given, sizeof given) && strcmp(given, ISSUER) != 0)
        return "error=oauth_failed";
    return google_configured(exchange->app->config) ? NULL : "error=oauth_failed";
}

static struct visit *visit_new(struct exchange *exchange)
{
    struct visit *visit = calloc(1, sizeof *visit);

    if (visit == NULL)
        return NULL;
    visit->exchange = exchange;
    visit->app = exchange->app;
    visit->owner = exchange->owner;
    return visit;
}

void endpoint_google_callback(struct exchange *exchange)
{
    struct visit *visit = visit_new(exchange);
    const char *wrong;

    google_clear_cookie(exchange, GOOGLE_COOKIE_STATE);
    google_clear_cookie(exchange, GOOGLE_COOKIE_VERIFIER);
    wrong = visit != NULL ? check_callback(exchange, visit) : "error=oauth_failed";
    if (wrong != NULL) {
        redirect_home(exchange, wrong);
        if (visit != NULL)
            visit_free(visit);
        return;
    }
    exchange->state = visit;
    exchange->on_loop = callback_on_loop;
}

/* ---- disconnect ---- */

static void reply_disconnected(struct exchange *exchange, bool revoked)
{
    struct buf body;

    buf_init(&body, 128);
    buf_putc(&body, '{');
    json_put_member_bool(&body, "connected", false);
    json_put_member_bool(&body, "revoked", revoked);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}

static void on_revoked(void *ctx, struct google_tokens *tokens)
{
    struct visit *visit = ctx;

    visit->call = NULL;
    reply_disconnected(visit->exchange, tokens != NULL);
    leave(visit, tokens != NULL ? "ok" : "failed");
}

static void disconnect_on_loop(struct exchange *exchange)
{
    struct visit *visit = exchange->state;
    const struct google_tokens *tokens = &visit->tokens;

    visit->flow = outflow_open(exchange, &flow_handler, visit);
    visit->call = google_revoke(
        visit->app, tokens->refresh != NULL ? tokens->refresh : tokens->access, on_revoked, visit);
    if (visit->call != NULL)
        return;
    reply_disconnected(exchange, false);
    leave(visit, "failed");
}

/* Here it is forgotten at once, whatever Google then says. */
void endpoint_google_disconnect(struct exchange *exchange)
{
    static const char *const cookies[] = { GOOGLE_COOKIE_ACCESS, GOOGLE_COOKIE_REFRESH,
                                           GOOGLE_COOKIE_ID, GOOGLE_COOKIE_EXPIRES,
                                           GOOGLE_COOKIE_SESSION };
    struct visit *visit = visit_new(exchange);

    if (visit == NULL) {
        openai_reply_error(exchange, 500, "The server is out of memory");
        return;
    }
    google_read_tokens(exchange, &visit->tokens);
    if (google_session_id(exchange, visit->old_session))
        google_remove_tokens(exchange->app, visit->old_session);
    for (size_t i = 0; i < sizeof cookies / sizeof cookies[0]; i++)
        google_clear_cookie(exchange, cookies[i]);
    if (visit->tokens.access == NULL && visit->tokens.refresh == NULL) {
        reply_disconnected(exchange, false);
        visit_free(visit);
        return;
    }
    exchange->state = visit;
    exchange->on_loop = disconnect_on_loop;
}
