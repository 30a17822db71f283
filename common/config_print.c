/*
 * config_print: the table as documents: docs/CONFIGURATION.md and .env.example. Made by `make
 * docs`.
 */
#include "common/config_table.h"

#include <string.h>

#include "common/base/caps.h"

/* Is this the first row of its section? */
static bool begins_section(size_t row)
{
    return row == 0 || strcmp(config_options[row].section, config_options[row - 1].section) != 0;
}

static void print_allowed(FILE *out, const struct config_option *option)
{
    struct buf words;
    buf_init(&words, CAP_OPTION_VALUE);
    config_value_allowed(option, &words);
    fputs(buf_str(&words), out);
    buf_free(&words);
}

/* ---- docs/CONFIGURATION.md ---- */

static const char markdown_head[] =
    "# Configuration\n"
    "\n"
    "This page is made from the table in `common/config.c` by `make docs`; change it there.\n"
    "\n"
    "Every option is a name with a value. It is looked for in the environment first, then in the\n"
    "file `.env`, then the default counts. An empty value counts as not set. A wrong value stops "
    "the\n"
    "start and says what is allowed; `parley check-config` prints every option, its value and "
    "where\n"
    "the value came from, and never prints a secret.\n"
    "\n"
    "The file is the one that `PARLEY_ENV` names, else `.env` beside the program, else `.env` in "
    "the\n"
    "working directory. Its lines are:\n"
    "\n"
    "```\n"
    "# a comment\n"
    "BRAND_NAME=Fine Teas          # bare: ends before a # that follows a space\n"
    "OPENAI_API_KEY='taken as it is'\n"
    "SYSTEM_PROMPT=\"with \\n for a line break, \\\" and \\\\\"\n"
    "export LOG_LEVEL=debug\n"
    "```\n"
    "\n"
    "Nothing is expanded, no value spans lines, and names that Parley does not know are ignored.\n";

static void print_default(FILE *out, const struct config_option *option)
{
    if (*option->fallback)
        fprintf(out, "`%s`", option->fallback);
    else
        fputs("empty", out);
}

static void print_markdown_option(FILE *out, const struct config_option *option)
{
    fprintf(out, "\n%s\n\n", option->help);
    fputs("- Default: ", out);
    print_default(out, option);
    fputs("\n- Allowed: ", out);
    print_allowed(out, option);
    fputc('\n', out);
    if (option->alias)
        fprintf(out, "- Also read as: `%s`\n", option->alias);
    if (option->secret)
        fputs("- Secret: never printed, never logged\n", out);
}

static const char markdown_providers[] =
    "\n## Every provider\n"
    "\n"
    "Each name in `PROVIDERS` is a further provider, and these are its options, with the name in "
    "the\n"
    "middle: `PROVIDERS=mistral` brings `PROVIDER_MISTRAL_BASE` and so on. Those that also say "
    "OPENAI and\n"
    "ANTHROPIC are there for the built-in two under that name. A further provider needs a base URL "
    "or a\n"
    "key, and a model.\n"
    "\n"
    "```\n"
    "PROVIDERS=mistral,ollama\n"
    "PROVIDER_MISTRAL_BASE=https://api.mistral.ai/v1\n"
    "PROVIDER_MISTRAL_API_KEY='...'\n"
    "PROVIDER_MISTRAL_MODELS=mistral-small-latest,mistral-large-latest\n"
    "PROVIDER_OLLAMA_BASE=http://127.0.0.1:11434/v1\n"
    "PROVIDER_OLLAMA_MODEL=llama3.2\n"
    "PROVIDER_FAILOVER=mistral,ollama\n"
    "```\n";

static void print_family_name(FILE *out, const struct config_option *option)
{
    fprintf(out, "\n### PROVIDER_NAME_%s", option->name);
    if (!option->further)
        fprintf(out, ", OPENAI_%s, ANTHROPIC_%s", option->name, option->name);
    fputc('\n', out);
}

void config_print_markdown(FILE *out)
{
    fputs(markdown_head, out);
    for (size_t row = 0; row < config_option_count; row++) {
        if (begins_section(row))
            fprintf(out, "\n## %s\n", config_options[row].section);
        fprintf(out, "\n### %s\n", config_options[row].name);
        print_markdown_option(out, &config_options[row]);
    }
    fputs(markdown_providers, out);
    for (size_t row = 0; row < config_family_option_count; row++) {
        print_family_name(out, &config_family_options[row]);
        print_markdown_option(out, &config_family_options[row]);
    }
}

/* ---- .env.example ---- */

static const char example_head[] =
    "# Parley's options with their defaults. Copy this file to .env, take the # away from the "
    "lines\n"
    "# that you want to change, and ask `parley check-config` whether all is well.\n"
    "# The environment is stronger than this file. Keep .env out of the web root: it holds keys.\n";

/* The value as .env spells it: bare where that is safe, else in double quotes. */
static void print_env_value(FILE *out, const char *value)
{
    if (!strpbrk(value, " \t\r\n#'\"\\")) {
        fputs(value, out);
        return;
    }
    fputc('"', out);
    for (; *value; value++) {
        if (*value == '\n') {
            fputs("\\n", out);
            continue;
        }
        if (*value == '"' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
    fputc('"', out);
}

static void print_example_option(FILE *out, const struct config_option *option, const char *before)
{
    fprintf(out, "\n# %s Allowed: ", option->help);
    print_allowed(out, option);
    fprintf(out, ".\n#%s%s=", before, option->name);
    print_env_value(out, option->fallback);
    fputc('\n', out);
}

void config_print_env_example(FILE *out)
{
    fputs(example_head, out);
    for (size_t row = 0; row < config_option_count; row++) {
        const struct config_option *option = &config_options[row];
        if (begins_section(row))
            fprintf(out, "\n# %s\n", option->section);
        print_example_option(out, option, "");
    }
    fputs("\n# Every provider of PROVIDERS, here one with the name NAME\n", out);
    for (size_t row = 0; row < config_family_option_count; row++)
        print_example_option(out, &config_family_options[row], "PROVIDER_NAME_");
}
