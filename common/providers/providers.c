/*
 * providers: which providers this installation has, and finding one by name. Built once at start from
 * the configuration, constant afterwards, so every thread may read it.
 *
 * To add a format: one file with its struct provider_ops, one row in `rows`. Neighbours: openai.c,
 * openai_responses.c, anthropic.c, demo.c (formats), failure.c (what goes wrong), wire.c (shared by
 * encoders), events.c, skim.c and emit.c (shared by decoders).
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/config.h"
#include "common/providers/provider.h"

#define OPENAI_BASE    "https://api.openai.com/v1"
#define ANTHROPIC_BASE "https://api.anthropic.com"

/* URL and headers are made of options, and little else. */
#define MAX_HEAD (2 * CAP_OPTION_VALUE)

/* What clients may write instead of a provider's name. */
static const struct {
    const char *alias;
    const char *name;
} aliases[] = {
    { "claude", "anthropic" },
};

void provider_request_init(struct provider_request *request)
{
    buf_init(&request->url, MAX_HEAD);
    buf_init(&request->headers, MAX_HEAD);
    buf_init(&request->body, CAP_UPSTREAM_REQUEST);
}

void provider_request_free(struct provider_request *request)
{
    buf_free(&request->url);
    buf_free(&request->headers);
    buf_free(&request->body);
}

/* ---- from the configuration ---- */

/* The length of a URL without slashes at its end. */
static size_t trimmed_len(const char *url)
{
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    return len;
}

/* A key, or an address of its own: local models and gateways need no key. */
static bool is_reachable(const char *key, const char *base, const char *usual)
{
    size_t len = trimmed_len(base);
    bool is_usual = len == 0 || (len == strlen(usual) && memcmp(base, usual, len) == 0);
    return *key != '\0' || !is_usual;
}

static int64_t own_or(int64_t own, int64_t common)
{
    return own > 0 ? own : common;
}

static bool add_model(struct provider *provider, const char *model)
{
    char **grown;
    if (*model == '\0' || provider_has_model(provider, model))
        return true;
    grown = realloc(provider->models, (provider->model_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    provider->models = grown;
    grown[provider->model_count] = strdup(model);
    return grown[provider->model_count++] != NULL;
}

/* The default model, then those of the list; without a default the first one is it. */
static bool add_models(struct provider *provider, const char *model, const char *list)
{
    char name[CAP_MODEL_NAME];
    if (!add_model(provider, model))
        return false;
    while (config_list_next(&list, name, sizeof name))
        if (!add_model(provider, name))
            return false;
    provider->model = strdup(provider->model_count > 0 ? provider->models[0] : "");
    return provider->model != NULL;
}

/* What remote providers have in common. False when out of memory. */
static bool make_remote(const struct config *config, const struct config_provider *own,
                        const char *key, const char *base, const char *model, struct provider *out)
{
    out->base_url = strndup(base, trimmed_len(base));
    out->api_key = strdup(key);
    out->temperature = config->openai_temperature;
    out->max_tokens = config->openai_max_tokens;
    out->max_tokens_field = config->openai_max_tokens_field;
    out->connect_timeout_ms = own_or(own->connect_timeout_ms, config->connect_timeout_ms);
    out->first_byte_timeout_ms = own_or(own->first_byte_timeout_ms, config->first_byte_timeout_ms);
    out->idle_timeout_ms = own_or(own->idle_timeout_ms, config->idle_timeout_ms);
    out->total_timeout_ms = own_or(own->answer_timeout_ms, config->answer_timeout_ms);
    out->auth = strcmp(own->auth, "auto") == 0 ? NULL : own->auth;
    out->price_input = own->price_input;
    out->price_output = own->price_output;
    out->price_cached = own->price_cached < 0 ? own->price_input : own->price_cached;
    out->sees_images = own->images && out->ops->sees_images;
    out->discovers = config->discover_models;
    return out->base_url && out->api_key && add_models(out, model, own->models);
}

/* Some models of these formats refuse a temperature, so ours goes along only when somebody chose it. */
static double chosen_temperature(const struct config *config)
{
    return config_is_set(config, "OPENAI_TEMPERATURE") ? config->openai_temperature : -1;
}

/* The makers say false when out of memory; what they made so far is freed by providers_free. */
static bool make_openai(const struct config *config, const struct config_provider *own,
                        struct provider *out)
{
    const char *base = *config->openai_api_base ? config->openai_api_base : OPENAI_BASE;
    bool responses = strcmp(config->openai_api_style, "responses") == 0;
    out->ops = responses ? &provider_openai_responses : &provider_openai;
    if (!make_remote(config, own, config->openai_api_key, base, config->openai_model, out))
        return false;
    if (responses)
        out->temperature = chosen_temperature(config);
    return true;
}

static bool make_anthropic(const struct config *config, const struct config_provider *own,
                           struct provider *out)
{
    const char *base = *config->anthropic_api_base ? config->anthropic_api_base : ANTHROPIC_BASE;
    out->ops = &provider_anthropic;
    if (!make_remote(config, own, config->anthropic_api_key, base, config->anthropic_model, out))
        return false;
    out->temperature = chosen_temperature(config);
    out->max_tokens = own_or(config->anthropic_max_tokens, config->openai_max_tokens);
    return true;
}

/* What PROVIDER_<NAME>_KIND may be. */
static const struct kind {
    const struct provider_ops *ops;
    const char *base;
} kinds[] = {
    { &provider_openai, OPENAI_BASE },
    { &provider_openai_responses, OPENAI_BASE },
    { &provider_anthropic, ANTHROPIC_BASE },
};

static bool make_further(const struct config *config, const struct config_provider *own,
                         struct provider *out)
{
    const struct kind *kind = &kinds[0];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].ops->kind, own->kind) == 0)
            kind = &kinds[i];
    out->ops = kind->ops;
    if (!make_remote(config, own, own->api_key, *own->base ? own->base : kind->base, own->model,
                     out))
        return false;
    out->temperature = own->temperature;
    out->max_tokens = own_or(own->max_tokens, config->openai_max_tokens);
    out->max_tokens_field = own->max_tokens_field;
    return true;
}

static bool make_demo(const struct config *config, const struct config_provider *own,
                      struct provider *out)
{
    (void)own;
    out->ops = &provider_demo;
    out->base_url = strdup("");
    out->api_key = strdup("");
    out->max_tokens_field = "max_tokens";
    out->demo_delay_ms = config->demo_delay_ms;
    return out->base_url && out->api_key && add_models(out, "demo", "");
}

static bool has_openai(const struct config *config)
{
    return is_reachable(config->openai_api_key, config->openai_api_base, OPENAI_BASE);
}

static bool has_anthropic(const struct config *config)
{
    return is_reachable(config->anthropic_api_key, config->anthropic_api_base, ANTHROPIC_BASE);
}

/* The first entries of config's provider_list, in the order in which one becomes the default. */
static const struct row {
    bool (*is_configured)(const struct config *config);
    bool (*make)(const struct config *config, const struct config_provider *own,
                 struct provider *out);
} rows[] = {
    { has_openai, make_openai },
    { has_anthropic, make_anthropic },
};
#define ROWS (sizeof rows / sizeof *rows)

static bool make_list(const struct config *config, struct providers *out)
{
    out->list = calloc(config->provider_count + 1, sizeof *out->list);
    if (!out->list)
        return false;
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_provider *own = &config->provider_list[i];
        if (i < ROWS && !rows[i].is_configured(config))
            continue;
        struct provider *provider = &out->list[out->count++];
        text_copy(provider->name, sizeof provider->name, own->name);
        if (!(i < ROWS ? rows[i].make : make_further)(config, own, provider))
            return false;
    }
    struct provider *last = &out->list[out->count++];
    text_copy(last->name, sizeof last->name, provider_demo.kind);
    return make_demo(config, NULL, last);
}

/* A further provider that nobody could ask is a mistake in the configuration. */
static enum result check_further(const struct config *config, const struct providers *providers,
                                 struct fault *fault)
{
    for (size_t i = ROWS; i < config->provider_count; i++) {
        const struct config_provider *own = &config->provider_list[i];
        const struct provider *provider = providers_find(providers, own->name);
        bool reachable = *own->base != '\0' || *own->api_key != '\0';
        if (reachable && *provider->model != '\0')
            continue;
        return fault_set(fault, RESULT_INVALID, "invalid_option", "PROVIDERS",
                         "PROVIDERS names %s, but %s. The options of this provider begin with its "
                         "name: see PROVIDER_NAME_BASE in the documentation.",
                         own->name,
                         reachable ? "it has no model (MODEL or MODELS)"
                                   : "it has neither a base URL (BASE) nor a key (API_KEY)");
    }
    return RESULT_OK;
}

static enum result not_available(const struct providers *providers, const char *option,
                                 const char *name, struct fault *fault)
{
    struct buf names;
    buf_init(&names, sizeof fault->text);
    for (size_t i = 0; i < providers->count; i++)
        buf_putf(&names, "%s%s", i ? ", " : "", providers->list[i].name);
    fault_set(fault, RESULT_INVALID, "invalid_option", option,
              "%s is \"%.40s\", which is not available; it may be one of: %s. (openai needs "
              "OPENAI_API_KEY, or OPENAI_API_BASE for a local model; anthropic needs "
              "ANTHROPIC_API_KEY.)",
              option, name, buf_str(&names));
    buf_free(&names);
    return RESULT_INVALID;
}

/* Put the provider that the operator named first. */
static enum result choose_default(const struct config *config, struct providers *providers,
                                  struct fault *fault)
{
    const struct provider *found = providers_find(providers, config->provider);
    if (!found)
        return not_available(providers, "PROVIDER", config->provider, fault);
    struct provider first = *found;
    size_t at = (size_t)(found - providers->list);
    memmove(providers->list + 1, providers->list, at * sizeof first);
    providers->list[0] = first;
    return RESULT_OK;
}

/* Comes after choose_default, which moves the list's entries. */
static enum result choose_failover(const struct config *config, struct providers *providers,
                                   struct fault *fault)
{
    const char *at = config->provider_failover;
    char name[CAP_PROVIDER_NAME];
    providers->failover = calloc(providers->count, sizeof *providers->failover);
    if (!providers->failover)
        return fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");
    while (config_list_next(&at, name, sizeof name)) {
        const struct provider *found = providers_find(providers, name);
        if (!found)
            return not_available(providers, "PROVIDER_FAILOVER", name, fault);
        bool known = false;
        for (size_t i = 0; i < providers->failover_count; i++)
            known = known || providers->failover[i] == found;
        if (!known)
            providers->failover[providers->failover_count++] = found;
    }
    return RESULT_OK;
}

enum result providers_load(const struct config *config, struct providers *out, struct fault *fault)
{
    *out = (struct providers){ 0 };
    enum result result;
    if (!make_list(config, out))
        result = fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");
    else
        result = check_further(config, out, fault);
    if (result == RESULT_OK)
        result = choose_default(config, out, fault);
    if (result == RESULT_OK)
        result = choose_failover(config, out, fault);
    if (result != RESULT_OK)
        providers_free(out);
    return result;
}

void providers_free(struct providers *providers)
{
    for (size_t i = 0; i < providers->count; i++) {
        struct provider *provider = &providers->list[i];
        free(provider->base_url);
        free(provider->api_key);
        free(provider->model);
        for (size_t j = 0; j < provider->model_count; j++)
            free(provider->models[j]);
        free(provider->models);
    }
    free(providers->list);
    free(providers->failover);
    *providers = (struct providers){ 0 };
}

/* ---- facts ---- */

bool provider_has_model(const struct provider *provider, const char *model)
{
    for (size_t i = 0; i < provider->model_count; i++)
        if (strcmp(provider->models[i], model) == 0)
            return true;
    return false;
}

/* Prices are per million, so a token's is in millionths already. */
int64_t provider_cost_nano(const struct provider *provider, const struct stream_usage *usage)
{
    int64_t fresh = usage->prompt_tokens - usage->cached_tokens;
    double micro = (double)(fresh > 0 ? fresh : 0) * provider->price_input +
                   (double)usage->cached_tokens * provider->price_cached +
                   (double)usage->completion_tokens * provider->price_output;
    return usage->known ? (int64_t)(micro * 1000 + 0.5) : 0;
}

/* ---- by name ---- */

static const struct provider *find_exact(const struct providers *providers, const char *name)
{
    for (size_t i = 0; i < providers->count; i++) {
        if (text_same_nocase(providers->list[i].name, name))
            return &providers->list[i];
    }
    return NULL;
}

const struct provider *providers_find(const struct providers *providers, const char *name)
{
    if (!name || *name == '\0')
        return providers->count > 0 ? &providers->list[0] : NULL;
    const struct provider *found = find_exact(providers, name);
    for (size_t i = 0; !found && i < sizeof aliases / sizeof *aliases; i++) {
        if (text_same_nocase(aliases[i].alias, name))
            found = find_exact(providers, aliases[i].name);
    }
    return found;
}
