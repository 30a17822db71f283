/*
 * app: see app.h. The order of opening is the order of need: randomness, providers, store,
 * identity, relay, answers.
 */
#include "fcgi/app.h"

#include <sodium.h>
#include <string.h>

#include "common/answers.h"
#include "common/base/id.h"
#include "common/relay.h"
#include "common/store/store.h"
#include "common/store/store_owners.h"
#include "common/tools/tools.h"
#include "fcgi/http/identity.h"

#define RELAY_MAX_IDLE 256 /* upstream connections kept per worker */

/* A key of its own, made of the same secret as that of the cookies. */
static enum result make_seal_key(struct app *app, struct fault *fault)
{
    static const unsigned char purpose[] = "parley seal";
    const char *given = app->config->secret_key;
    unsigned char secret[STORE_SECRET_SIZE];
    enum result result = RESULT_OK;

    if (given != NULL && *given != '\0') {
        crypto_generichash(app->seal_key, sizeof app->seal_key, (const unsigned char *)given,
                           strlen(given), purpose, sizeof purpose - 1);
    } else if ((result = store_secret(app->store, secret, fault)) == RESULT_OK) {
        crypto_generichash(app->seal_key, sizeof app->seal_key, secret, sizeof secret, purpose,
                           sizeof purpose - 1);
        sodium_memzero(secret, sizeof secret);
    }
    return result;
}

enum result app_open(struct app *app, const struct config *config, struct uv_loop_s *loop,
                     int64_t started_ms, struct fault *fault)
{
    struct relay_options relay = { .ca_file = config->ca_file, .max_idle = RELAY_MAX_IDLE };
    struct answers_options answers = { .config = config, .providers = &app->providers };
    enum result result;

    memset(app, 0, sizeof *app);
    app->config = config;
    app->loop = loop;
    app->started_ms = started_ms;
    if (!id_init())
        return fault_set(fault, RESULT_INTERNAL, "no_randomness", NULL,
                         "The system has no source of randomness.");
    id_make(app->writer, "w_");
    if ((result = providers_load(config, &app->providers, fault)) != RESULT_OK)
        return result;
    if ((result = store_open(config, &app->store, fault)) != RESULT_OK)
        goto fail;
    if ((result = identity_open(config, app->store, &app->identity, fault)) != RESULT_OK)
        goto fail;
    if ((result = relay_open(loop, &relay, &app->relay)) != RESULT_OK) {
        fault_set(fault, result, "no_relay", NULL, "libcurl could not be started.");
        goto fail;
    }
    if ((result = make_seal_key(app, fault)) != RESULT_OK)
        goto fail;
    if ((app->tools = tools_open(config, app->relay)) == NULL) {
        result = fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
        goto fail;
    }
    answers.store = app->store;
    answers.relay = app->relay;
    answers.writer = app->writer;
    if ((result = answers_open(loop, &answers, &app->answers)) == RESULT_OK)
        return RESULT_OK;
    fault_set(fault, result, "internal_error", NULL, "Out of memory.");
fail:
    app_close(app);
    return result;
}

void app_close(struct app *app)
{
    answers_close(app->answers);
    tools_close(app->tools);
    relay_close(app->relay);
    identity_close(app->identity);
    store_close(app->store);
    providers_free(&app->providers);
    app->answers = NULL;
    app->tools = NULL;
    app->identity = NULL;
    app->relay = NULL;
    app->store = NULL;
}
