/*
 * config_family: the options that every provider has. One table of rows; each provider gets a copy of it
 * with whole names: PROVIDER_MISTRAL_MODELS for `mistral` of PROVIDERS, OPENAI_MODELS for the one that is
 * always there. What openai and anthropic have as rows in config.c is marked `further` here and not read
 * twice.
 *
 * To add an option: a field in struct config_provider (config.h), a row here, `make docs`. Runs at start.
 */
#include "common/config_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define MAX_PROVIDERS 24
#define HOUR_MS       (3600 * 1000)

#define OFFSET(member, ctype) CONFIG_OFFSET(struct config_provider, member, ctype)
#define STRING(member)        .type = CONFIG_STRING, OFFSET(member, char *)
#define SECRET(member)        .type = CONFIG_STRING, .secret = true, OFFSET(member, char *)
#define URL(member)           .type = CONFIG_URL, OFFSET(member, char *)
#define CHOICE(member, words) .type = CONFIG_CHOICE, .choices = (words), OFFSET(member, char *)
#define BOOL(member)          .type = CONFIG_BOOL, OFFSET(member, bool)
#define INT(member, low, high)                                                                     \
    .type = CONFIG_INT, .min = (low), .max = (high), OFFSET(member, int64_t)
#define FLOAT(member, low, high)                                                                   \
    .type = CONFIG_FLOAT, .min = (low), .max = (high), OFFSET(member, double)

static const char section[] = "Every provider";

/* clang-format off: one option is one paragraph */
const struct config_option config_family_options[] = {
    { .name = "KIND",
      .further = true,
      CHOICE(kind, "openai|openai_responses|anthropic"),
      .fallback = "openai",
      .help = "What it speaks: openai = Chat Completions, which nearly every server speaks; "
              "openai_responses = OpenAI's Responses API; anthropic = Anthropic's Messages API." },
    { .name = "BASE",
      .further = true,
      URL(base),
      .fallback = "",
      .help =
          "Base URL; empty = that of the maker of KIND. A query string is kept behind the path, as "
          "Azure's api-version needs it: "
          "https://NAME.openai.azure.com/openai/deployments/GPT?api-version=2024-10-21." },
    { .name = "API_KEY",
      .further = true,
      SECRET(api_key),
      .fallback = "",
      .help = "Key; local models need none." },
    { .name = "MODEL",
      .further = true,
      STRING(model),
      .fallback = "",
      .help =
          "Model that answers unless the client picks another one; empty = the first of MODELS." },
    { .name = "TEMPERATURE",
      .further = true,
      FLOAT(temperature, -1, 2),
      .fallback = "-1",
      .help = "0 = always the likeliest words, higher = more variety; -1 = the model's own." },
    { .name = "MAX_TOKENS",
      .further = true,
      INT(max_tokens, 0, 1000000),
      .fallback = "0",
      .help = "Longest answer, in tokens; 0 = as OPENAI_MAX_TOKENS." },
    { .name = "MAX_TOKENS_FIELD",
      .further = true,
      CHOICE(max_tokens_field, "max_tokens|max_completion_tokens"),
      .fallback = "max_tokens",
      .help = "Name of the token limit in requests of KIND openai." },
    { .name = "AUTH",
      CHOICE(auth, "auto|bearer|api-key|x-api-key|none"),
      .fallback = "auto",
      .help = "How the key is sent: as Authorization: Bearer, in the header api-key (Azure) or "
              "x-api-key, not at all, or as its maker wants it." },
    { .name = "MODELS",
      STRING(models),
      .fallback = "",
      .help =
          "Models that clients may pick, separated by commas; the default model is always one." },
    { .name = "IMAGES",
      BOOL(images),
      .fallback = "true",
      .help = "false = its models cannot see: a message with a picture is refused." },
    { .name = "PRICE_INPUT",
      FLOAT(price_input, 0, 1000000),
      .fallback = "0",
      .help = "Price of a million tokens that go in, in the currency of your bill." },
    { .name = "PRICE_OUTPUT",
      FLOAT(price_output, 0, 1000000),
      .fallback = "0",
      .help = "Price of a million tokens that come out." },
    { .name = "PRICE_CACHED",
      FLOAT(price_cached, -1, 1000000),
      .fallback = "-1",
      .help =
          "Price of a million tokens that the provider had in its cache; -1 = as PRICE_INPUT." },
    { .name = "CONNECT_TIMEOUT_MS",
      INT(connect_timeout_ms, 0, HOUR_MS),
      .fallback = "0",
      .help = "As CONNECT_TIMEOUT_MS, for this provider; 0 = the same." },
    { .name = "FIRST_BYTE_TIMEOUT_MS",
      INT(first_byte_timeout_ms, 0, HOUR_MS),
      .fallback = "0",
      .help = "As FIRST_BYTE_TIMEOUT_MS, for this provider; 0 = the same." },
    { .name = "IDLE_TIMEOUT_MS",
      INT(idle_timeout_ms, 0, HOUR_MS),
      .fallback = "0",
      .help = "As IDLE_TIMEOUT_MS, for this provider; 0 = the same." },
    { .name = "ANSWER_TIMEOUT_MS",
      INT(answer_timeout_ms, 0, HOUR_MS * 24),
      .fallback = "0",
      .help = "As ANSWER_TIMEOUT_MS, for this provider; 0 = the same." },
};
/* clang-format on */

const size_t config_family_option_count =
    sizeof config_family_options / sizeof *config_family_options;

bool config_list_next(const char **list, char *word, size_t size)
{
    static const char between[] = ", \t\r\n";
    const char *at = *list ? *list + strspn(*list, between) : "";
    size_t len = strcspn(at, between);
    *list = at + len;
    snprintf(word, size, "%.*s", (int)len, at);
    return len > 0;
}

/* ---- names ---- */

static bool is_taken(const struct config *config, const char *name)
{
    static const char *const reserved[] = { "demo", "claude" };
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    for (size_t i = 0; i < config->provider_count; i++)
        if (strcmp(config->provider_list[i].name, name) == 0)
            return true;
    return false;
}

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len &&
           len < CAP_PROVIDER_NAME - 1;
}

static char upper(char c)
{
    if (c == '-')
        return '_';
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- the rows of one provider ---- */

static bool make_rows(struct config_family *family, const char *name, bool further)
{
    size_t most = config_family_option_count;
    family->options = calloc(most, sizeof *family->options);
    family->names = calloc(most, sizeof *family->names);
    family->sources = calloc(most, sizeof *family->sources);
    if (!family->options || !family->names || !family->sources)
        return false;
    for (size_t i = 0; i < most; i++) {
        const struct config_option *row = &config_family_options[i];
        if (row->further && !further)
            continue;
        char *whole = family->names[family->count];
        snprintf(whole, sizeof *family->names, "%s%s_%s", further ? "PROVIDER_" : "", name,
                 row->name);
        for (char *c = whole; *c != '\0'; c++)
            *c = upper(*c);
        family->options[family->count] = *row;
        family->options[family->count].name = whole;
        family->options[family->count].section = section;
        family->count++;
    }
    return true;
}

static bool add_provider(struct config *config, const char *name, bool further)
{
    struct config_provider *provider = &config->provider_list[config->provider_count++];
    text_copy(provider->name, sizeof provider->name, name);
    provider->price_cached = provider->temperature = -1;
    provider->family = calloc(1, sizeof *provider->family);
    return provider->family && make_rows(provider->family, name, further);
}

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");
}

enum result config_families_make(struct config *config, struct fault *fault)
{
    const char *at = config->providers;
    char name[CAP_PROVIDER_NAME];
    config->provider_list = calloc(MAX_PROVIDERS, sizeof *config->provider_list);
    if (!config->provider_list || !add_provider(config, "openai", false) ||
        !add_provider(config, "anthropic", false))
        return out_of_memory(fault);
    while (config_list_next(&at, name, sizeof name)) {
        for (char *c = name; *c != '\0'; c++)
            *c = lower(*c);
        if (!is_name(name) || is_taken(config, name))
            return fault_set(
                fault, RESULT_INVALID, "invalid_option", "PROVIDERS",
                "PROVIDERS has the name \"%.40s\": names are of letters, digits, - and _, at "
                "most %d of them, each there once, and not openai, anthropic, claude or "
                "demo, which are there already.",
                name, CAP_PROVIDER_NAME - 2);
        if (config->provider_count == MAX_PROVIDERS)
            return fault_set(fault, RESULT_INVALID, "invalid_option", "PROVIDERS",
                             "PROVIDERS has too many names: %d at most.", MAX_PROVIDERS - 2);
        if (!add_provider(config, name, true))
            return out_of_memory(fault);
    }
    return RESULT_OK;
}

static void free_provider(struct config_provider *provider)
{
    for (size_t i = 0; i < config_family_option_count; i++)
        if (config_value_is_string(&config_family_options[i]))
            free(*(char **)((char *)provider + config_family_options[i].field));
    if (provider->family) {
        free(provider->family->options);
        free(provider->family->names);
        free(provider->family->sources);
    }
    free(provider->family);
}

void config_families_free(struct config *config)
{
    for (size_t i = 0; i < config->provider_count; i++)
        free_provider(&config->provider_list[i]);
    free(config->provider_list);
    config->provider_list = NULL;
    config->provider_count = 0;
}

bool config_families_have(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_family *family = config->provider_list[i].family;
        for (size_t row = 0; row < family->count; row++)
            if (strcmp(family->options[row].name, name) == 0)
                return true;
    }
    return false;
}
