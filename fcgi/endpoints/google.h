/*
 * google: a browser's connection to a Google account (contracts/turn_response.md, section 6): tokens in cookies, and
 * sealed in the store under the browser's session; the cookies win. google.c has the endpoints,
 * google_session.c cookies and store, google_token.c the requests to Google.
 */
#ifndef PARLEY_ENDPOINTS_GOOGLE_H
#define PARLEY_ENDPOINTS_GOOGLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/result.h"

struct app;
struct config;
struct exchange;
struct google_call;
struct owner;

#define GOOGLE_SESSION_SIZE 33 /* 32 hex digits and NUL */
#define GOOGLE_SECRET_SIZE  44 /* 43 characters of base64url and NUL */
#define GOOGLE_KEEP_S       604800

#define GOOGLE_COOKIE_SESSION  "responses_starter_session_id"
#define GOOGLE_COOKIE_STATE    "gc_oauth_state"
#define GOOGLE_COOKIE_VERIFIER "gc_oauth_verifier"
#define GOOGLE_COOKIE_ACCESS   "gc_access_token"
#define GOOGLE_COOKIE_REFRESH  "gc_refresh_token"
#define GOOGLE_COOKIE_ID       "gc_id_token"
#define GOOGLE_COOKIE_EXPIRES  "gc_expires_at"

/* All owned; NULL = none. */
struct google_tokens {
    char *access;
    char *refresh;
    char *id;
    int64_t expires_ms; /* 0 = not known */
    bool kept;          /* in the store, until the browser signs out */
};
void google_tokens_free(struct google_tokens *tokens);

bool google_configured(const struct config *config);

/* ---- google_session.c ---- */

/* The session of the browser; false, and "", when it has none. */
bool google_session_id(const struct exchange *exchange, char id[GOOGLE_SESSION_SIZE]);
void google_session_new(char id[GOOGLE_SESSION_SIZE]);

/* A cookie's value, percent-decoded, malloc'd; NULL when absent or empty. */
char *google_cookie(const struct exchange *exchange, const char *name);
/* Set a cookie; `age_s` 0 = until the browser is closed. */
void google_set_cookie(struct exchange *exchange, const char *name, const char *value,
                       int64_t age_s);
void google_clear_cookie(struct exchange *exchange, const char *name);
/* The cookies of tokens: access, refresh and expiry; with `all` the id token, too. */
void google_set_tokens(struct exchange *exchange, const struct google_tokens *tokens, bool all);

/* Request thread: cookies first, then the store. Never fails: no tokens is an answer. */
void google_read_tokens(const struct exchange *exchange, struct google_tokens *out);
/* Request thread. RESULT_NOT_FOUND: they were `kept`, and the browser has signed out meanwhile. */
enum result google_save_tokens(const struct app *app, const char *session,
                               const struct owner *owner, const struct google_tokens *tokens);
void google_remove_tokens(const struct app *app, const char *session);

/* ---- google_token.c: loop ---- */

/* `tokens` is what came, NULL when it went wrong; the caller's to free. Comes later, once, unless cancelled. */
typedef void google_done(void *ctx, struct google_tokens *tokens);

struct google_call *google_exchange(struct app *app, const char *code, const char *verifier,
                                    google_done *done, void *ctx);
/* The refresh token is kept where none comes back. */
struct google_call *google_refresh(struct app *app, const struct google_tokens *old,
                                   google_done *done, void *ctx);
/* `tokens` of the result are empty. */
struct google_call *google_revoke(struct app *app, const char *token, google_done *done, void *ctx);
void google_cancel(struct google_call *call); /* NULL is fine */

/* Is a refresh due before these are used? */
bool google_refresh_due(const struct google_tokens *tokens, int64_t now_ms);

#endif
