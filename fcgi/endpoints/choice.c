/*
 * choice: see choice.h. The provider's configured models come first, then those that discovery found. The
 * demo is offered to clients that name it, but listed only where it is the default: visitors of a
 * site with a real model should not find it in the page's menu.
 */
#include "fcgi/endpoints/choice.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/chat/turn.h"
#include "common/config.h"
#include "common/providers/provider.h"
#include "common/store/store.h"
#include "fcgi/app.h"

static enum result unknown_provider(const struct providers *providers, struct fault *fault)
{
    struct buf names;

    buf_init(&names, sizeof fault->text);
    for (size_t i = 0; i < providers->count; i++)
        buf_putf(&names, "%s%s", i == 0 ? "" : ", ", providers->list[i].name);
    fault_set(fault, RESULT_INVALID, "unknown_provider", "provider",
              "There is no such provider here. Available: %s.", buf_str(&names));
    buf_free(&names);
    return RESULT_INVALID;
}

static enum result unknown_model(const struct provider *provider, struct fault *fault)
{
    struct buf names;

    buf_init(&names, sizeof fault->text);
    for (size_t i = 0; i < provider->model_count; i++)
        buf_putf(&names, "%s%s", i == 0 ? "" : ", ", provider->models[i]);
    fault_set(fault, RESULT_INVALID, "unknown_model", "model",
              "This model is not available from the provider %s. Available: %s.", provider->name,
              buf_str(&names));
    buf_free(&names);
    return RESULT_INVALID;
}

static bool is_listed(const struct providers *providers, size_t at)
{
    return at == 0 || providers->list[at].ops != &provider_demo;
}

/* Did discovery find this model? */
static bool was_found(const struct app *app, const struct provider *provider, const char *model)
{
    char *found = provider->discovers ? store_models_get(app->store, provider->name) : NULL;
    const char *at = found;
    char name[CAP_MODEL_NAME];
    bool is_there = false;

    while (found != NULL && !is_there && config_list_next(&at, name, sizeof name))
        is_there = strcmp(name, model) == 0;
    free(found);
    return is_there;
}

static bool offers(const struct app *app, const struct provider *provider, const char *model)
{
    return provider_has_model(provider, model) || was_found(app, provider, model);
}

/* Whoever lists this model, the default first; NULL: nobody. */
static const struct provider *find_by_model(const struct app *app, const char *model)
{
    const struct providers *providers = &app->providers;

    for (size_t i = 0; i < providers->count; i++)
        if (is_listed(providers, i) && offers(app, &providers->list[i], model))
            return &providers->list[i];
    return NULL;
}

enum result choice_make(const struct app *app, const struct turn_request *request,
                        struct choice *out, struct fault *fault)
{
    const struct provider *provider = providers_find(&app->providers, request->provider);
    const struct provider *by_model = NULL;
    const char *model = request->model;

    if (provider == NULL)
        return unknown_provider(&app->providers, fault);
    if (model != NULL && request->provider == NULL)
        by_model = find_by_model(app, model);
    if (by_model != NULL)
        provider = by_model;
    else if (model != NULL && !offers(app, provider, model))
        return unknown_model(provider, fault);
    if (request->image_count > 0 && !provider->sees_images)
        return fault_set(fault, RESULT_INVALID, "images_unsupported", "attachments",
                         "The provider %s cannot see pictures.", provider->name);
    out->provider = provider;
    text_copy(out->model, sizeof out->model, model != NULL ? model : provider->model);
    return RESULT_OK;
}

/* ---- the list ---- */

static void put_model(struct buf *out, const struct app *app, const struct provider *provider,
                      const char *model, bool is_default)
{
    if (out->len > 0 && out->data[out->len - 1] == '}')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "id", model);
    json_put_member(out, "name", model);
    json_put_member(out, "provider", provider->name);
    json_put_member_bool(out, "default", is_default);
    json_put_member_bool(out, "vision", provider->sees_images && app->config->max_image_bytes > 0);
    buf_putc(out, '}');
}

static void put_models(struct buf *out, const struct app *app, const struct provider *provider,
                       bool is_default)
{
    char *found = provider->discovers ? store_models_get(app->store, provider->name) : NULL;
    const char *at = found;
    char name[CAP_MODEL_NAME];

    for (size_t i = 0; i < provider->model_count; i++)
        put_model(out, app, provider, provider->models[i], is_default && i == 0);
    while (found != NULL && config_list_next(&at, name, sizeof name))
        if (!provider_has_model(provider, name))
            put_model(out, app, provider, name, false);
    free(found);
}

void choice_put_models(const struct app *app, struct buf *out)
{
    const struct providers *providers = &app->providers;
    const struct provider *first = &providers->list[0];

    buf_puts(out, "{\"models\":[");
    for (size_t i = 0; i < providers->count; i++) {
        if (is_listed(providers, i))
            put_models(out, app, &providers->list[i], i == 0);
    }
    buf_puts(out, "],\"default\":{");
    json_put_member(out, "provider", first->name);
    json_put_member(out, "model", first->model);
    buf_puts(out, "}}");
}
