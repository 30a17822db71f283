/*
 * app: see app.h. The order of opening is the order of need: randomness, providers, store,
 * identity, limits, relay, memory, answers.
 */
#include "fcgi/app.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "common/answers.h"
#include "common/base/id.h"
#include "common/breaker.h"
#include "common/limits/limits.h"
#include "common/memory/memory.h"
#include "common/relay.h"
#include "common/store/store.h"
#include "common/store/store_owners.h"
#include "common/tools/offer.h"
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

static enum result open_breakers(struct app *app, struct breakers *shared, struct fault *fault)
{
    const struct config *config = app->config;

    app->breakers = shared;
    if (shared == NULL)
        app->breakers = app->own_breakers =
            breakers_new(config->breaker_failures, config->breaker_open_ms);
    if (app->breakers != NULL)
        return RESULT_OK;
    return fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
}

/* A file that is not there would make every question fail. */
static enum result check_ca_file(const struct config *config, struct fault *fault)
{
    if (config->ca_file[0] == '\0' || access(config->ca_file, R_OK) == 0)
        return RESULT_OK;
    return fault_set(fault, RESULT_INVALID, "invalid_option", "CA_FILE",
                     "CA_FILE=%.200s cannot be read: %s.", config->ca_file, strerror(errno));
}

enum result app_check(const struct config *config, struct fault *fault)
{
    enum result result = offer_check(config, fault);

    return result == RESULT_OK ? check_ca_file(config, fault) : result;
}

enum result app_open_shared(struct app *app, const struct config *config, struct uv_loop_s *loop,
                            int64_t started_ms, struct breakers *breakers, struct fault *fault)
{
    struct relay_options relay = { .ca_file = config->ca_file,
                                   .max_idle = RELAY_MAX_IDLE,
                                   .http2 = config->upstream_http2,
                                   .https_proxy = config->https_proxy,
                                   .no_proxy = config->no_proxy };
    struct answers_options answers = { .config = config, .providers = &app->providers };
    struct memory_options memory;
    enum result result;

    memset(app, 0, sizeof *app);
    app->config = config;
    app->loop = loop;
    app->started_ms = started_ms;
    if (!id_init())
        return fault_set(fault, RESULT_INTERNAL, "no_randomness", NULL,
                         "The system has no source of randomness.");
    id_make(app->writer, "w_");
    id_random(app->client_key, sizeof app->client_key);
    if ((result = app_check(config, fault)) != RESULT_OK ||
        (result = providers_load(config, &app->providers, fault)) != RESULT_OK)
        return result;
    if ((result = open_breakers(app, breakers, fault)) != RESULT_OK)
        goto fail;
    if ((result = store_open(config, &app->store, fault)) != RESULT_OK)
        goto fail;
    if ((result = identity_open(config, app->store, &app->identity, fault)) != RESULT_OK)
        goto fail;
    if ((result = limits_open(config, &app->limits, fault)) != RESULT_OK)
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
    memory = (struct memory_options){ config, &app->providers, app->store, app->relay };
    if ((result = memory_open(loop, &memory, &app->memory)) != RESULT_OK) {
        fault_set(fault, result, "internal_error", NULL, "Out of memory.");
        goto fail;
    }
    answers.memory = app->memory;
    answers.store = app->store;
    answers.relay = app->relay;
    answers.tools = app->tools;
    answers.breakers = app->breakers;
    answers.writer = app->writer;
    if ((result = answers_open(loop, &answers, &app->answers)) == RESULT_OK)
        return RESULT_OK;
    fault_set(fault, result, "internal_error", NULL, "Out of memory.");
fail:
    app_close(app);
    return result;
}

enum result app_open(struct app *app, const struct config *config, struct uv_loop_s *loop,
                     int64_t started_ms, struct fault *fault)
{
    return app_open_shared(app, config, loop, started_ms, NULL, fault);
}

void app_close(struct app *app)
{
    answers_close(app->answers);
    tools_close(app->tools);
    memory_close(app->memory);
    relay_close(app->relay);
    limits_close(app->limits);
    identity_close(app->identity);
    store_close(app->store);
    providers_free(&app->providers);
    breakers_free(app->own_breakers);
    buf_free(&app->frame);
    app->own_breakers = app->breakers = NULL;
    app->answers = NULL;
    app->tools = NULL;
    app->identity = NULL;
    app->relay = NULL;
    app->limits = NULL;
    app->memory = NULL;
    app->store = NULL;
}
