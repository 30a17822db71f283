/*
 * config: every option of the program, from one table (config.c): name, alias, type, bounds,
 * default, secret or not, help. docs/CONFIGURATION.md, .env.example, `parley check-config` and the
 * bounds all come from that table. To add an option: one field here, one row there, `make docs`.
 *
 * Sources, strongest first: environment, `.env` (path by PARLEY_ENV, else beside the program, else
 * the working directory), default. An empty value counts as not set. Read once at start;
 * afterwards the struct is constant and may be read from every thread.
 */
#ifndef PARLEY_CONFIG_H
#define PARLEY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/result.h"

struct config {
    /* who we are */
    char *app_name;
    char *brand_name;
    char *system_prompt;
    bool debug;

    /* visitors and their data */
    char *secret_key;       /* "" = a file beside the database */
    char *user_id_access;   /* owner | open */
    int64_t retention_days; /* 0 = keep */
    int64_t audit_days;     /* 0 = keep */

    /* process */
    char *listen;    /* unix:PATH | HOST:PORT */
    int64_t workers; /* 0 = one per core, at least 2 */
    int64_t request_threads;
    int64_t max_streams; /* per worker */
    int64_t drain_s;

    /* log */
    char *log_level;  /* error | warn | info | debug */
    char *log_file;   /* "" = stderr */
    char *log_format; /* json | text */

    /* store */
    char *database_url;  /* sqlite:PATH */
    char *database_sync; /* normal | full */
    int64_t store_busy_ms;

    /* http */
    char *base_path;       /* prefix that the web server leaves in the path, "" = none */
    char *cors_origin;     /* space or comma separated list, "" = same origin only */
    char *trusted_proxies; /* list of networks, "unix" among them */
    char *force_https;     /* off | redirect */
    int64_t hsts_s;        /* 0 = no header */
    int64_t max_body_bytes;
    int64_t request_timeout_s; /* a request must have arrived whole by then */
    int64_t heartbeat_s;

    /* chat */
    int64_t max_message_length; /* code points */
    int64_t max_history;        /* entries of a client-sent history */
    int64_t context_messages;
    int64_t context_tokens;
    int64_t typing_delay_ms;
    int64_t disconnect_grace_s; /* -1 = always finish */
    int64_t session_ttl_s;

    /* providers */
    char *provider; /* "" = the first one with a key or a base URL of its own, else demo */
    char *openai_api_key;
    char *openai_api_base;
    char *openai_model;
    double openai_temperature;
    int64_t openai_max_tokens;
    char *openai_max_tokens_field; /* max_tokens | max_completion_tokens */
    char *openai_api_style;        /* chat | responses */
    char *anthropic_api_key;
    char *anthropic_api_base;
    char *anthropic_model;
    int64_t anthropic_max_tokens; /* 0 = openai_max_tokens */
    int64_t connect_timeout_ms;
    int64_t first_byte_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t answer_timeout_ms;
    char *ca_file; /* "" = the system's */

    /* demo provider */
    int64_t demo_delay_ms; /* between deltas */

    /* the Responses app: /api/turn_response and its company */
    char *openai_org_id;
    char *openai_project_id;
    char *turn_api;    /* auto | responses | provider */
    char *turn_model;  /* "" = openai_model if set, else gpt-5.2 */
    char *turn_prompt; /* instructions; the date is added */
    char *turn_errors; /* contract | message */
    int64_t turn_max_body_bytes;
    int64_t upload_max_bytes;
    char *spool_dir;
    char *tools; /* names for ordinary chat turns, "" = none */
    int64_t tool_rounds;
    int64_t tool_timeout_ms;
    int64_t tool_cache_s;
    char *tool_user_agent;
    char *weather_geocode_base;
    char *weather_forecast_base;
    char *joke_base;
    char *google_client_id;
    char *google_client_secret;
    char *google_redirect_uri;
    char *google_auth_url;
    char *google_token_url;
    char *google_revoke_url;

    struct config_source *sources; /* private: where each value came from */
};

/*
 * Read all options. `program` is argv[0] (for `.env` beside the program), may be NULL.
 * RESULT_INVALID with the option's name, its value (unless secret) and what is allowed in
 * fault.text. On failure nothing needs freeing.
 */
enum result config_load(struct config *config, const char *program, struct fault *fault);
void config_free(struct config *config);

/*
 * True when the value came from the environment or `.env`, not from the default. `name` as in
 * docs.
 */
bool config_is_set(const struct config *config, const char *name);

/*
 * For `parley check-config`: load and print every option, value or "(secret, set)", and origin to
 * `out`; every wrong value is listed (not only the first) as: NAME, value, what is allowed.
 * Returns the exit status: 0 or 1.
 */
int config_check(const char *program, FILE *out);

/* For `make docs`: docs/CONFIGURATION.md and .env.example as text. */
void config_print_markdown(FILE *out);
void config_print_env_example(FILE *out);

#endif
