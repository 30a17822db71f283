/*
 * google_token: the requests to Google's token address: a code for tokens, a refresh token for a new access token, and
 * taking one back. All are forms with the client's secret in the body. Nothing of what comes is ever logged. Loop
 * thread.
 */
#include <json-c/json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/relay_fetch.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/google.h"
#include "fcgi/endpoints/openai_api.h"

#define CAP_FORM         65536
#define CAP_REPLY        65536
#define CAP_CLAIMS       16384
#define EARLY_MS         30000 /* before its end a token is not used any more */
#define ISSUER           "https://accounts.google.com"
#define ISSUER_SHORT     "accounts.google.com"
#define REVOKE_FIELD     "token"
#define DEFAULT_LIFE_S   3600
#define MOST_LIFE_S      (24 * 3600) /* what is longer, or negative, is not believed */
#define TOKEN_TIMEOUT_MS 15000

struct google_call {
    const struct config *config;
    struct relay_fetch *fetch;
    char *old_refresh; /* of a refresh */
    bool revoke;
    google_done *done;
    void *ctx;
};

bool google_configured(const struct config *config)
{
    return *config->google_client_id != '\0' && *config->google_client_secret != '\0';
}

bool google_refresh_due(const struct google_tokens *tokens, int64_t now_ms)
{
    return tokens->refresh != NULL &&
           (tokens->access == NULL ||
            (tokens->expires_ms > 0 && now_ms > tokens->expires_ms - EARLY_MS));
}

static void call_free(struct google_call *call)
{
    free(call->old_refresh);
    free(call);
}

void google_cancel(struct google_call *call)
{
    if (call == NULL)
        return;
    relay_fetch_cancel(call->fetch);
    call_free(call);
}

/* ---- the id token: came straight from Google over TLS, so its signature says nothing new ---- */

static bool decode_claims(const char *token, struct json_object **claims)
{
    const char *body = strchr(token, '.');
    const char *end = body != NULL ? strchr(body + 1, '.') : NULL;
    char decoded[CAP_CLAIMS];
    size_t len;

    *claims = NULL;
    return end != NULL &&
           sodium_base642bin((unsigned char *)decoded, sizeof decoded, body + 1,
                             (size_t)(end - body - 1), "=", &len, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           json_parse(decoded, len, claims, NULL) == RESULT_OK &&
           json_object_is_type(*claims, json_type_object);
}

static bool id_token_sound(const struct config *config, const char *token)
{
    struct json_object *claims;
    const char *issuer, *audience;
    int64_t expires = 0;
    bool sound = decode_claims(token, &claims);

    issuer = sound ? json_string_or_null(claims, "iss") : NULL;
    audience = sound ? json_string_or_null(claims, "aud") : NULL;
    sound = issuer != NULL && audience != NULL &&
            (strcmp(issuer, ISSUER) == 0 || strcmp(issuer, ISSUER_SHORT) == 0) &&
            strcmp(audience, config->google_client_id) == 0 &&
            json_get_int(claims, "exp", &expires) == JSON_FOUND && expires > clock_wall_ms() / 1000;
    json_object_put(claims);
    return sound;
}

/* ---- the reply ---- */

static char *copy_member(struct json_object *object, const char *key)
{
    const char *value = json_string_or_null(object, key);

    return value != NULL && *value != '\0' ? strdup(value) : NULL;
}

static bool read_tokens(const struct google_call *call, struct json_object *object,
                        struct google_tokens *out)
{
    int64_t life_s = DEFAULT_LIFE_S;

    out->access = copy_member(object, "access_token");
    out->refresh = copy_member(object, "refresh_token");
    out->id = copy_member(object, "id_token");
    if (out->refresh == NULL && call->old_refresh != NULL)
        out->refresh = strdup(call->old_refresh);
    json_get_int(object, "expires_in", &life_s);
    if (life_s < 0 || life_s > MOST_LIFE_S)
        life_s = DEFAULT_LIFE_S;
    out->expires_ms = clock_wall_ms() + life_s * 1000;
    if (out->access == NULL)
        return false;
    return out->id == NULL || call->old_refresh != NULL || id_token_sound(call->config, out->id);
}

static void on_reply(void *ctx, const struct relay_fetch_reply *reply)
{
    struct google_call *call = ctx;
    struct google_tokens tokens = { .access = NULL };
    struct json_object *object = NULL;
    bool good = relay_fetch_good(reply);

    call->fetch = NULL;
    if (good && !call->revoke)
        good = json_parse(reply->body, reply->len, &object, NULL) == RESULT_OK &&
               json_object_is_type(object, json_type_object) && read_tokens(call, object, &tokens);
    if (!good)
        log_warn("google_refused", LOG_INT("status", reply->status),
                 LOG_STR("end", relay_end_name(reply->end)));
    json_object_put(object);
    call->done(call->ctx, good ? &tokens : NULL);
    google_tokens_free(&tokens);
    call_free(call);
}

/* ---- the request ---- */

static void put_field(struct buf *out, const char *name, const char *value)
{
    if (out->len > 0)
        buf_putc(out, '&');
    buf_puts(out, name);
    buf_putc(out, '=');
    text_percent_encode(out, value, strlen(value));
}

static void put_client(struct buf *out, const struct config *config)
{
    put_field(out, "client_id", config->google_client_id);
    put_field(out, "client_secret", config->google_client_secret);
}

/* Takes `form` over. */
static struct google_call *post(struct app *app, const char *url, struct buf *form,
                                struct google_call *call)
{
    struct relay_request request = { .method = "POST",
                                     .url = url,
                                     .headers = "Content-Type: application/x-www-form-urlencoded\n"
                                                "Accept: application/json\n",
                                     .body_len = form->len };

    openai_set_deadlines(&request, app->config);
    request.first_byte_timeout_ms = request.total_timeout_ms = TOKEN_TIMEOUT_MS;
    if (!form->failed)
        request.body = buf_take(form);
    buf_free(form);
    if (request.body != NULL)
        call->fetch = relay_fetch_start(app->relay, &request, CAP_REPLY, on_reply, call);
    if (call->fetch != NULL)
        return call;
    call_free(call);
    return NULL;
}

static struct google_call *call_new(struct app *app, google_done *done, void *ctx)
{
    struct google_call *call = calloc(1, sizeof *call);

    if (call != NULL)
        *call = (struct google_call){ .config = app->config, .done = done, .ctx = ctx };
    return call;
}

struct google_call *google_exchange(struct app *app, const char *code, const char *verifier,
                                    google_done *done, void *ctx)
{
    struct google_call *call = call_new(app, done, ctx);
    struct buf form;

    if (call == NULL)
        return NULL;
    buf_init(&form, CAP_FORM);
    put_field(&form, "redirect_uri", app->config->google_redirect_uri);
    put_field(&form, "code", code);
    put_field(&form, "code_verifier", verifier);
    put_field(&form, "grant_type", "authorization_code");
    put_client(&form, app->config);
    return post(app, app->config->google_token_url, &form, call);
}

struct google_call *google_refresh(struct app *app, const struct google_tokens *old,
                                   google_done *done, void *ctx)
{
    struct google_call *call = call_new(app, done, ctx);
    struct buf form;

    if (call == NULL || (call->old_refresh = strdup(old->refresh)) == NULL) {
        free(call);
        return NULL;
    }
    buf_init(&form, CAP_FORM);
    put_field(&form, "refresh_token", old->refresh);
    put_field(&form, "grant_type", "refresh_token");
    put_client(&form, app->config);
    return post(app, app->config->google_token_url, &form, call);
}

struct google_call *google_revoke(struct app *app, const char *token, google_done *done, void *ctx)
{
    struct google_call *call = call_new(app, done, ctx);
    struct buf form;

    if (call == NULL)
        return NULL;
    call->revoke = true;
    buf_init(&form, CAP_FORM);
    put_field(&form, REVOKE_FIELD, token);
    return post(app, app->config->google_revoke_url, &form, call);
}
