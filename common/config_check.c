/*
 * config_check: what `parley check-config` does: prints every option with its value and origin,
 * every wrong value with what is allowed, and the names in .env that are probably misspelt. Never
 * a secret.
 */
#include "common/config_table.h"

#include <string.h>

#include "common/base/caps.h"
#include "common/base/text.h"

#define WORDS_CAP (2 * CAP_OPTION_VALUE)
#define NEAR_NAME 2  /* edits between a name and what was probably meant */
#define LONG_NAME 64 /* names are shorter */

/* A value in one line: line breaks and other controls as escapes. */
static void print_line(FILE *out, const char *value)
{
    for (const char *at = value; *at; at++) {
        if (*at == '\n')
            fputs("\\n", out);
        else if (text_has_control(at, 1))
            fprintf(out, "\\x%02x", (unsigned char)*at);
        else
            fputc(*at, out);
    }
}

/* The file as every line names it; the first line of the output has its directory, too. */
static const char *file_name(const struct config_env *env)
{
    const char *slash = strrchr(env->path, '/');
    return slash ? slash + 1 : env->path;
}

static void print_origin(FILE *out, const struct config_env *env,
                         const struct config_option *option, const struct config_source *source)
{
    if (source->origin == CONFIG_FROM_DEFAULT)
        fputs("default", out);
    else if (source->origin == CONFIG_FROM_ENVIRONMENT)
        fputs("environment", out);
    else
        fprintf(out, "%s line %d", file_name(env), source->line);
    if (strcmp(source->name, option->name) != 0)
        fprintf(out, ", as %s", source->name);
}

static void print_option(FILE *out, const struct config_env *env,
                         const struct config_option *option, const void *target,
                         const struct config_source *source)
{
    struct buf value;
    buf_init(&value, WORDS_CAP);
    config_value_show(option, target, &value);
    fprintf(out, "%s=", option->name);
    print_line(out, buf_str(&value));
    fputs("  [", out);
    print_origin(out, env, option, source);
    fputs("]\n", out);
    buf_free(&value);
}

/* Read one option and print it, or what is wrong with it. Returns how many are wrong. */
static size_t check_option(FILE *out, const struct config_option *option,
                           const struct config_env *env, void *target, struct config_source *source)
{
    struct fault fault;
    if (config_option_load(option, env, target, source, &fault) == RESULT_OK) {
        print_option(out, env, option, target, source);
        return 0;
    }
    fprintf(out, "ERROR: %s  [", fault.text);
    print_origin(out, env, option, source);
    fputs("]\n", out);
    return 1;
}

static size_t check_families(FILE *out, const struct config_env *env, struct config *config)
{
    struct fault fault;
    size_t wrong = 0;
    if (config_families_make(config, &fault) != RESULT_OK) {
        fprintf(out, "ERROR: %s\n", fault.text);
        return 1;
    }
    for (size_t i = 0; i < config->provider_count; i++) {
        struct config_provider *provider = &config->provider_list[i];
        struct config_family *family = provider->family;
        for (size_t row = 0; row < family->count; row++)
            wrong += check_option(out, &family->options[row], env, provider, &family->sources[row]);
    }
    return wrong;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein distance of two names shorter than LONG_NAME. */
static size_t edits_between(const char *a, const char *b)
{
    size_t row[LONG_NAME + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

/* The name of the table that is nearest to `name`, NULL when none is near. */
static const char *nearest_name(const char *name)
{
    const char *nearest = NULL;
    size_t least = NEAR_NAME + 1;
    if (strlen(name) >= LONG_NAME)
        return NULL;
    for (size_t i = 0; i < config_option_count; i++) {
        const char *const names[] = { config_options[i].name, config_options[i].alias };
        for (size_t j = 0; j < 2 && names[j]; j++) {
            size_t edits = edits_between(name, names[j]);
            if (edits < least) {
                least = edits;
                nearest = names[j];
            }
        }
    }
    return nearest;
}

static void warn_unknown(FILE *out, const struct config_env *env, const struct config *config)
{
    for (size_t i = 0; i < env->count; i++) {
        const char *name = env->entries[i].name;
        if (config_option_find(name) || config_families_have(config, name))
            continue;
        const char *near = nearest_name(name);
        fprintf(out, "warning: %s line %d: %s is no option of Parley", file_name(env),
                env->entries[i].line, name);
        if (text_starts_with(name, "PROVIDER_"))
            fputs("; is its provider in PROVIDERS?", out);
        else if (near)
            fprintf(out, "; did you mean %s?", near);
        fputc('\n', out);
    }
}

int config_check(const char *program, FILE *out)
{
    struct config config;
    struct config_env env;
    struct fault fault;
    size_t wrong = 0;
    if (config_env_load(program, &env, &fault) != RESULT_OK) {
        fprintf(out, "ERROR: %s\n", fault.text);
        return 1;
    }
    if (!config_init(&config)) {
        config_env_free(&env);
        fputs("ERROR: Out of memory.\n", out);
        return 1;
    }

    fprintf(out, CONFIG_CHECK_BEGINS "%s\n", env.path ? env.path : "none found");
    for (size_t row = 0; row < config_option_count; row++)
        wrong += check_option(out, &config_options[row], &env, &config, &config.sources[row]);
    wrong += check_families(out, &env, &config);
    warn_unknown(out, &env, &config);
    if (wrong > 0)
        fprintf(out, "%zu wrong value%s.\n", wrong, wrong == 1 ? "" : "s");
    config_free(&config);
    config_env_free(&env);
    return wrong > 0;
}
