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

static bool has_openai(const struct config *config)
{
    return is_reachable(config->openai_api_key, config->openai_api_base, OPENAI_BASE);
}

static bool has_anthropic(const struct config *config)
{
    return is_reachable(config->anthropic_api_key, config->anthropic_api_base, ANTHROPIC_BASE);
}

static bool has_demo(const struct config *config)
{
    (void)config;
    return true;
}

/* What remote providers have in common. False when out of memory. */
static bool make_remote(const struct config *config, const char *key, const char *base,
                        const char *model, struct provider *out)
{
    out->base_url = strndup(base, trimmed_len(base));
    out->api_key = strdup(key);
    out->model = strdup(model);
    out->temperature = config->openai_temperature;
    out->max_tokens = config->openai_max_tokens;
    out->max_tokens_field = config->openai_max_tokens_field;
    out->connect_timeout_ms = config->connect_timeout_ms;
    out->first_byte_timeout_ms = config->first_byte_timeout_ms;
    out->idle_timeout_ms = config->idle_timeout_ms;
    out->total_timeout_ms = config->answer_timeout_ms;
    return out->base_url && out->api_key && out->model;
}

/* Some models of these formats refuse a temperature, so ours goes along only when somebody chose it. */
static double chosen_temperature(const struct config *config)
{
    return config_is_set(config, "OPENAI_TEMPERATURE") ? config->openai_temperature : -1;
}

/* The maker of a row says false when out of memory; what it made so far is freed by providers_free. */
static bool make_openai(const struct config *config, struct provider *out)
{
    const char *base = *config->openai_api_base ? config->openai_api_base : OPENAI_BASE;
    if (!make_remote(config, config->openai_api_key, base, config->openai_model, out))
        return false;
    if (strcmp(config->openai_api_style, "responses") == 0) {
        out->ops = &provider_openai_responses;
        out->temperature = chosen_temperature(config);
    }
    return true;
}

static bool make_anthropic(const struct config *config, struct provider *out)
{
    const char *base = *config->anthropic_api_base ? config->anthropic_api_base : ANTHROPIC_BASE;
    if (!make_remote(config, config->anthropic_api_key, base, config->anthropic_model, out))
        return false;
    out->temperature = chosen_temperature(config);
    if (config->anthropic_max_tokens > 0)
        out->max_tokens = config->anthropic_max_tokens;
    return true;
}

static bool make_demo(const struct config *config, struct provider *out)
{
    out->base_url = strdup("");
    out->api_key = strdup("");
    out->model = strdup("demo");
    out->max_tokens_field = "max_tokens";
    out->demo_delay_ms = config->demo_delay_ms;
    return out->base_url && out->api_key && out->model;
}

/* In the order in which one becomes the default. */
static const struct row {
    const char *name;
    const struct provider_ops *ops;
    bool (*is_configured)(const struct config *config);
    bool (*make)(const struct config *config, struct provider *out);
} rows[] = {
    { "openai", &provider_openai, has_openai, make_openai },
    { "anthropic", &provider_anthropic, has_anthropic, make_anthropic },
    { "demo", &provider_demo, has_demo, make_demo },
};
#define ROWS (sizeof rows / sizeof *rows)

static bool make_list(const struct config *config, struct providers *out)
{
    out->list = calloc(ROWS, sizeof *out->list);
    if (!out->list)
        return false;
    for (size_t i = 0; i < ROWS; i++) {
        if (!rows[i].is_configured(config))
            continue;
        struct provider *provider = &out->list[out->count++];
        text_copy(provider->name, sizeof provider->name, rows[i].name);
        provider->ops = rows[i].ops;
        if (!rows[i].make(config, provider))
            return false;
    }
    return true;
}

/* Put the provider that the operator named first. */
static enum result choose_default(const struct config *config, struct providers *providers,
                                  struct fault *fault)
{
    const struct provider *found = providers_find(providers, config->provider);
    if (!found) {
        struct buf names;
        buf_init(&names, ROWS * (CAP_PROVIDER_NAME + 2));
        for (size_t i = 0; i < providers->count; i++)
            buf_putf(&names, "%s%s", i ? ", " : "", providers->list[i].name);
        fault_set(
            fault, RESULT_INVALID, "invalid_option", "PROVIDER",
            "PROVIDER is \"%.40s\", which is not available; it may be one of: %s. (openai needs "
            "OPENAI_API_KEY, or OPENAI_API_BASE for a local model; anthropic needs "
            "ANTHROPIC_API_KEY.)",
            config->provider, buf_str(&names));
        buf_free(&names);
        return RESULT_INVALID;
    }
    struct provider first = *found;
    size_t at = (size_t)(found - providers->list);
    memmove(providers->list + 1, providers->list, at * sizeof first);
    providers->list[0] = first;
    return RESULT_OK;
}

enum result providers_load(const struct config *config, struct providers *out, struct fault *fault)
{
    *out = (struct providers){ 0 };
    enum result result;
    if (!make_list(config, out))
        result = fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");
    else
        result = choose_default(config, out, fault);
    if (result != RESULT_OK)
        providers_free(out);
    return result;
}

void providers_free(struct providers *providers)
{
    for (size_t i = 0; i < providers->count; i++) {
        free(providers->list[i].base_url);
        free(providers->list[i].api_key);
        free(providers->list[i].model);
    }
    free(providers->list);
    *providers = (struct providers){ 0 };
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
