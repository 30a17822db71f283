/*
 * config_load: where the values of options come from: environment, then .env, then the default of
 * the table. Runs once at start-up, before any thread or child; afterwards the struct is constant.
 */
#include "common/config_table.h"

#include <stdlib.h>
#include <string.h>

/* The first value that is set: name before alias. NULL when neither is. */
static const char *from_environment(const struct config_option *option,
                                    struct config_source *source)
{
    const char *const names[] = { option->name, option->alias };
    for (size_t i = 0; i < 2 && names[i]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            *source = (struct config_source){ CONFIG_FROM_ENVIRONMENT, 0, names[i] };
            return value;
        }
    }
    return NULL;
}

static const char *from_file(const struct config_option *option, const struct config_env *env,
                             struct config_source *source)
{
    const char *const names[] = { option->name, option->alias };
    for (size_t i = 0; i < 2 && names[i]; i++) {
        const struct config_env_entry *entry = config_env_get(env, names[i]);
        if (entry) {
            *source = (struct config_source){ CONFIG_FROM_FILE, entry->line, names[i] };
            return entry->value;
        }
    }
    return NULL;
}

enum result config_option_load(const struct config_option *option, const struct config_env *env,
                               void *target, struct config_source *source, struct fault *fault)
{
    *source = (struct config_source){ CONFIG_FROM_DEFAULT, 0, option->name };
    const char *value = from_environment(option, source);
    if (!value)
        value = from_file(option, env, source);
    if (!value)
        value = option->fallback;
    return config_value_read(option, value, target, fault);
}

bool config_init(struct config *config)
{
    *config = (struct config){ 0 };
    config->sources = calloc(config_option_count, sizeof *config->sources);
    return config->sources != NULL;
}

static enum result load_families(const struct config_env *env, struct config *config,
                                 struct fault *fault)
{
    enum result result = config_families_make(config, fault);
    for (size_t i = 0; i < config->provider_count; i++) {
        struct config_provider *provider = &config->provider_list[i];
        struct config_family *family = provider->family;
        for (size_t row = 0; result == RESULT_OK && row < family->count; row++)
            result = config_option_load(&family->options[row], env, provider, &family->sources[row],
                                        fault);
    }
    return result;
}

enum result config_load(struct config *config, const char *program, struct fault *fault)
{
    struct config_env env;
    enum result result = config_env_load(program, &env, fault);
    if (result != RESULT_OK)
        return result;
    if (!config_init(config))
        result = fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");

    for (size_t row = 0; result == RESULT_OK && row < config_option_count; row++)
        result =
            config_option_load(&config_options[row], &env, config, &config->sources[row], fault);
    if (result == RESULT_OK)
        result = load_families(&env, config, fault);
    if (result != RESULT_OK)
        config_free(config);
    config_env_free(&env);
    return result;
}

void config_free(struct config *config)
{
    for (size_t row = 0; row < config_option_count; row++) {
        const struct config_option *option = &config_options[row];
        if (config_value_is_string(option))
            free(*(char **)((char *)config + option->field));
    }
    config_families_free(config);
    free(config->sources);
    *config = (struct config){ 0 };
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct config_option *option = config_option_find(name);
    return option && config->sources[option - config_options].origin != CONFIG_FROM_DEFAULT;
}
