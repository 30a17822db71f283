/*
 * google_session: see google.h. Tokens in the store are sealed (secretbox) with a key that is made of the server's secret
 * and the session's id, so that neither the database nor the secret alone opens them; the id itself is in the
 * browser only. Request threads, but for the cookies, which whoever owns the exchange may set.
 */
#include "fcgi/endpoints/google.h"

#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/store/store_oauth.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"

#define COOKIE_SIZE 8192 /* of a raw value */
#define CAP_COOKIE  9000
#define CAP_PLAIN   32768
#define CAP_SEALED  65536
#define HASH_SIZE   32
#define HASH_TEXT   44

void google_tokens_free(struct google_tokens *tokens)
{
    char *const all[] = { tokens->access, tokens->refresh, tokens->id };

    for (size_t i = 0; i < 3; i++) {
        if (all[i] != NULL)
            sodium_memzero(all[i], strlen(all[i]));
        free(all[i]);
    }
    *tokens = (struct google_tokens){ .access = NULL };
}

/* ---- cookies ---- */

char *google_cookie(const struct exchange *exchange, const char *name)
{
    char *value = malloc(COOKIE_SIZE);

    if (value != NULL && request_cookie(&exchange->request, name, value, COOKIE_SIZE) &&
        value[0] != '\0' && text_percent_decode(value, false))
        return value;
    free(value);
    return NULL;
}

/* By the scheme that the browser sees; behind a proxy that does not say it, by the address that is registered. */
static bool is_secure(const struct exchange *exchange)
{
    return exchange->peer.https ||
           text_starts_with(exchange->app->config->google_redirect_uri, "https:");
}

void google_set_cookie(struct exchange *exchange, const char *name, const char *value,
                       int64_t age_s)
{
    char date[CLOCK_RFC3339_SIZE];
    struct buf line;

    buf_init(&line, CAP_COOKIE);
    buf_putf(&line, "%s=", name);
    text_percent_encode(&line, value, strlen(value));
    buf_puts(&line, "; Path=/");
    if (age_s > 0)
        buf_putf(&line, "; Expires=%s; Max-Age=%lld",
                 clock_http_date(clock_wall_ms() + age_s * 1000, date), (long long)age_s);
    buf_puts(&line,
             is_secure(exchange) ? "; Secure; HttpOnly; SameSite=lax" : "; HttpOnly; SameSite=lax");
    if (!line.failed)
        response_header(&exchange->response, "Set-Cookie", buf_str(&line));
    sodium_memzero(line.data, line.len);
    buf_free(&line);
}

void google_clear_cookie(struct exchange *exchange, const char *name)
{
    char line[256];

    snprintf(line, sizeof line, "%s=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", name);
    response_header(&exchange->response, "Set-Cookie", line);
}

/* The id token is the longest and the one that nothing reads: it comes last, where the head may be full. */
void google_set_tokens(struct exchange *exchange, const struct google_tokens *tokens, bool all)
{
    char number[32];

    if (tokens->access != NULL)
        google_set_cookie(exchange, GOOGLE_COOKIE_ACCESS, tokens->access, GOOGLE_KEEP_S);
    if (tokens->refresh != NULL)
        google_set_cookie(exchange, GOOGLE_COOKIE_REFRESH, tokens->refresh, GOOGLE_KEEP_S);
    if (tokens->expires_ms > 0) {
        snprintf(number, sizeof number, "%lld", (long long)tokens->expires_ms);
        google_set_cookie(exchange, GOOGLE_COOKIE_EXPIRES, number, GOOGLE_KEEP_S);
    }
    if (all && tokens->id != NULL)
        google_set_cookie(exchange, GOOGLE_COOKIE_ID, tokens->id, GOOGLE_KEEP_S);
}

/* ---- sessions ---- */

bool google_session_id(const struct exchange *exchange, char id[GOOGLE_SESSION_SIZE])
{
    char given[GOOGLE_SESSION_SIZE];

    id[0] = '\0';
    if (!request_cookie(&exchange->request, GOOGLE_COOKIE_SESSION, given, sizeof given) ||
        strspn(given, "0123456789abcdef") != GOOGLE_SESSION_SIZE - 1)
        return false;
    return text_copy(id, GOOGLE_SESSION_SIZE, given);
}

void google_session_new(char id[GOOGLE_SESSION_SIZE])
{
    unsigned char bytes[(GOOGLE_SESSION_SIZE - 1) / 2];

    id_random(bytes, sizeof bytes);
    sodium_bin2hex(id, GOOGLE_SESSION_SIZE, bytes, sizeof bytes);
}

/* ---- sealing ---- */

static void session_key(const struct app *app, const char *session,
                        unsigned char key[crypto_secretbox_KEYBYTES])
{
    crypto_generichash(key, crypto_secretbox_KEYBYTES, (const unsigned char *)session,
                       strlen(session), app->seal_key, sizeof app->seal_key);
}

static void session_hash(const char *session, char out[HASH_TEXT])
{
    static const unsigned char purpose[] = "parley google session";
    unsigned char hash[HASH_SIZE];

    crypto_generichash(hash, sizeof hash, (const unsigned char *)session, strlen(session), purpose,
                       sizeof purpose - 1);
    sodium_bin2base64(out, HASH_TEXT, hash, sizeof hash, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void put_plain(struct buf *out, const struct google_tokens *tokens)
{
    buf_putc(out, '{');
    json_put_member(out, "access_token", tokens->access);
    json_put_member(out, "refresh_token", tokens->refresh);
    json_put_member(out, "id_token", tokens->id);
    json_put_member_int(out, "expires_at", tokens->expires_ms);
    buf_putc(out, '}');
}

/* base64url of nonce and box. False when out of memory. */
static bool seal(const struct app *app, const char *session, const struct buf *plain,
                 struct buf *out)
{
    unsigned char key[crypto_secretbox_KEYBYTES];
    size_t box_len = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain->len;
    unsigned char *box = malloc(box_len);
    bool good = box != NULL;

    if (good) {
        session_key(app, session, key);
        randombytes_buf(box, crypto_secretbox_NONCEBYTES);
        crypto_secretbox_easy(box + crypto_secretbox_NONCEBYTES, (const unsigned char *)plain->data,
                              plain->len, box, key);
        good = text_base64url(out, box, box_len);
        sodium_memzero(key, sizeof key);
    }
    free(box);
    return good;
}

static bool unseal(const struct app *app, const char *session, const struct buf *sealed,
                   struct buf *plain)
{
    unsigned char key[crypto_secretbox_KEYBYTES];
    unsigned char *box = malloc(sealed->len + 1);
    const size_t nonce_len = crypto_secretbox_NONCEBYTES;
    size_t len = 0;
    bool good = false;

    if (box != NULL &&
        sodium_base642bin(box, sealed->len + 1, buf_str(sealed), sealed->len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
        len > nonce_len + crypto_secretbox_MACBYTES && buf_reserve(plain, len)) {
        session_key(app, session, key);
        good = crypto_secretbox_open_easy((unsigned char *)plain->data, box + nonce_len,
                                          len - nonce_len, box, key) == 0;
        sodium_memzero(key, sizeof key);
    }
    if (good) {
        plain->len = len - nonce_len - crypto_secretbox_MACBYTES;
        plain->data[plain->len] = '\0';
    }
    free(box);
    return good;
}

/* ---- the store ---- */

static char *copy_member(struct json_object *object, const char *key)
{
    const char *value = json_string_or_null(object, key);

    return value != NULL ? strdup(value) : NULL;
}

static void read_store(const struct app *app, const char *session, struct google_tokens *out)
{
    struct json_object *object = NULL;
    struct buf sealed, plain;
    char hash[HASH_TEXT];

    buf_init(&sealed, CAP_SEALED);
    buf_init(&plain, CAP_SEALED);
    session_hash(session, hash);
    if (store_oauth_get(app->store, hash, clock_wall_ms(), &sealed) == RESULT_OK &&
        unseal(app, session, &sealed, &plain) &&
        json_parse(plain.data, plain.len, &object, NULL) == RESULT_OK) {
        out->access = copy_member(object, "access_token");
        out->refresh = copy_member(object, "refresh_token");
        out->id = copy_member(object, "id_token");
        json_get_int(object, "expires_at", &out->expires_ms);
        out->kept = true;
    }
    json_object_put(object);
    if (plain.data != NULL)
        sodium_memzero(plain.data, plain.size);
    buf_free(&plain);
    buf_free(&sealed);
}

/* What the cookie says takes the place of what the store said. */
static void prefer_cookie(const struct exchange *exchange, const char *name, char **value)
{
    char *given = google_cookie(exchange, name);

    if (given == NULL)
        return;
    free(*value);
    *value = given;
}

void google_read_tokens(const struct exchange *exchange, struct google_tokens *out)
{
    char session[GOOGLE_SESSION_SIZE];
    char *expires = NULL;

    *out = (struct google_tokens){ .access = NULL };
    if (google_session_id(exchange, session))
        read_store(exchange->app, session, out);
    prefer_cookie(exchange, GOOGLE_COOKIE_ACCESS, &out->access);
    prefer_cookie(exchange, GOOGLE_COOKIE_REFRESH, &out->refresh);
    prefer_cookie(exchange, GOOGLE_COOKIE_EXPIRES, &expires);
    if (expires != NULL)
        out->expires_ms = strtoll(expires, NULL, 10);
    free(expires);
}

enum result google_save_tokens(const struct app *app, const char *session,
                               const struct owner *owner, const struct google_tokens *tokens)
{
    struct buf plain, sealed;
    char hash[HASH_TEXT];
    enum result result = RESULT_INTERNAL;
    struct store_oauth row = {
        .session_hash = hash, .owner = owner, .now_ms = clock_wall_ms(), .again = tokens->kept
    };

    buf_init(&plain, CAP_PLAIN);
    buf_init(&sealed, CAP_SEALED);
    session_hash(session, hash);
    put_plain(&plain, tokens);
    row.expires_ms = row.now_ms + (int64_t)GOOGLE_KEEP_S * 1000;
    if (!plain.failed && seal(app, session, &plain, &sealed)) {
        row.sealed = buf_str(&sealed);
        result = store_oauth_put(app->store, &row);
    }
    if (result != RESULT_OK && result != RESULT_NOT_FOUND)
        log_warn("google_not_stored", LOG_STR("result", result_name(result)));
    if (plain.data != NULL)
        sodium_memzero(plain.data, plain.size);
    buf_free(&plain);
    buf_free(&sealed);
    return result;
}

void google_remove_tokens(const struct app *app, const char *session)
{
    char hash[HASH_TEXT];

    session_hash(session, hash);
    store_oauth_remove(app->store, hash);
}
