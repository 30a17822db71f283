/*
 * config_table: the option table and what reads it. Private to the config*.c files.
 */
#ifndef PARLEY_CONFIG_TABLE_H
#define PARLEY_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/result.h"
#include "common/config.h"

enum config_type {
    CONFIG_STRING,   /* one line */
    CONFIG_TEXT,     /* may have several lines */
    CONFIG_CHOICE,   /* one of `choices`, in any case */
    CONFIG_URL,      /* http(s)://host..., kept without a slash at the end */
    CONFIG_LISTEN,   /* unix:PATH or HOST:PORT */
    CONFIG_PREFIX,   /* "" or /path without a slash at the end */
    CONFIG_ORIGINS,  /* list of web origins */
    CONFIG_NETWORKS, /* list of IP networks */
    CONFIG_MODE,     /* octal, as of chmod, or "" */
    CONFIG_DATABASE, /* sqlite:PATH */
    CONFIG_REDIS,    /* redis://HOST or unix:PATH */
    CONFIG_INT,
    CONFIG_FLOAT,
    CONFIG_BOOL
};

struct config_option {
    const char *name;    /* as in the environment */
    const char *alias;   /* a second name, NULL = none */
    const char *section; /* heading in the documents; rows of a section stand together */
    size_t field;        /* offset in its struct: char *, int64_t, double or bool by type */
    enum config_type type;
    bool further;         /* of struct config_provider: only for the providers of PROVIDERS */
    bool secret;          /* never printed */
    double min, max;      /* CONFIG_INT and CONFIG_FLOAT, inclusive */
    const char *choices;  /* CONFIG_CHOICE: "a|b|c" */
    const char *fallback; /* the default, as somebody would write it */
    const char *help;     /* one line for people: what it is, and what special values mean */
};

/* config.c */
extern const struct config_option config_options[];
extern const size_t config_option_count;

/* By name or alias; NULL when there is none such. */
const struct config_option *config_option_find(const char *name);

/* The offset of a member of `owner`, when the member has C type `ctype`. */
#define CONFIG_OFFSET(owner, member, ctype)                                                        \
    .field = _Generic(((owner *)0)->member, ctype : offsetof(owner, member))

/* ---- config_value.c: text to field and back ---- */

/*
 * Read `value` into the option's field of `target` (struct config or struct config_provider); strings are
 * malloc'd. RESULT_INVALID with name, value
 * (unless secret) and what is allowed; the field is then untouched.
 */
enum result config_value_read(const struct config_option *option, const char *value, void *target,
                              struct fault *fault);

/* What is allowed, as words: "a whole number from 0 to 64". */
void config_value_allowed(const struct config_option *option, struct buf *out);

/* The field as somebody would write it; a secret only as "(secret, set)" or "(secret, not set)". */
void config_value_show(const struct config_option *option, const void *target, struct buf *out);

/* Is the option's field a char * that config_free() must free? */
bool config_value_is_string(const struct config_option *option);

/* ---- config_env.c: the .env file ---- */

struct config_env_entry {
    char *name;
    char *value;
    int line;
};

struct config_env {
    char *path; /* NULL: no file was found */
    char *text; /* the entries point into it */
    struct config_env_entry *entries;
    size_t count;
};

/*
 * Find and read the file (config.h says where). No file is RESULT_OK with path NULL; one that
 * cannot be read or has a malformed line is RESULT_INVALID. Values never go into the fault.
 */
enum result config_env_load(const char *program, struct config_env *out, struct fault *fault);

/* Read the syntax; takes over the file's `path` and its `text`, NUL-terminated at text[len]; both malloc'd. */
enum result config_env_parse(char *path, char *text, size_t len, struct config_env *out,
                             struct fault *fault);

/* The last entry of that name whose value is not empty; NULL when there is none. */
const struct config_env_entry *config_env_get(const struct config_env *env, const char *name);
void config_env_free(struct config_env *env);

/* ---- config_load.c ---- */

enum config_origin { CONFIG_FROM_DEFAULT, CONFIG_FROM_ENVIRONMENT, CONFIG_FROM_FILE };

/* Where an option's value came from; one per row of the table. */
struct config_source {
    enum config_origin origin;
    int line;         /* of the file */
    const char *name; /* the name or the alias that was used */
};

/* Read one option into its field of `target` and its source; RESULT_INVALID leaves the field as it was. */
enum result config_option_load(const struct config_option *option, const struct config_env *env,
                               void *target, struct config_source *source, struct fault *fault);

/* A config whose fields are all zero, with its sources; false when out of memory. */
bool config_init(struct config *config);

/* ---- config_family.c: the options that every provider has ---- */

/* The rows, whose names are only the last part: KIND, BASE ... */
extern const struct config_option config_family_options[];
extern const size_t config_family_option_count;

/* The rows of one provider, with their whole names. */
struct config_family {
    struct config_option *options;
    char (*names)[80];
    struct config_source *sources;
    size_t count;
};

/* Make provider_list of openai, anthropic and PROVIDERS, with nothing read yet. RESULT_INVALID for names
 * that cannot be. */
enum result config_families_make(struct config *config, struct fault *fault);
void config_families_free(struct config *config);

/* Does the option `name` belong to one of the providers? */
bool config_families_have(const struct config *config, const char *name);

#endif
