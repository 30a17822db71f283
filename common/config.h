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

#include "common/base/caps.h"
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
    int64_t watchdog_s;    /* 0 = none */
    int64_t max_requests;  /* per worker; 0 = any number */
    int64_t max_memory_mb; /* per worker; 0 = any size */
    char *pid_file;        /* "" = none */
    char *run_user;        /* "" = whoever starts it */
    char *run_group;
    char *umask;        /* octal, "" = as inherited */
    char *socket_mode;  /* octal */
    char *socket_owner; /* user:group, "" = as made */
    char *status_allow; /* list of networks */
    char *admin_keys;   /* names of API keys */

    /* log */
    char *log_level;  /* error | warn | info | debug */
    char *log_file;   /* "" = stderr */
    char *log_format; /* json | text */
    int64_t slow_ms;  /* 0 = no slow log */

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
    bool allow_remote_images;
    int64_t disconnect_grace_s; /* -1 = always finish */
    int64_t session_ttl_s;

    /* limits; 0 = off */
    int64_t ratelimit_minute; /* questions */
    int64_t ratelimit_hour;
    int64_t ratelimit_day;
    int64_t address_limit_factor;
    int64_t tokens_per_day;
    int64_t tokens_per_visitor;
    char *redis_url;  /* "" = the store counts */
    char *redis_down; /* allow | refuse */
    int64_t redis_timeout_ms;

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
    char *providers;              /* names of further ones, a list */
    char *provider_failover;      /* who answers when the chosen one cannot, a list */
    int64_t retry_max;            /* tries beyond the first at each provider */
    int64_t retry_wait_ms;        /* longest pause before a retry */
    int64_t breaker_failures;     /* in a row, until a provider is left alone; 0 = never */
    int64_t breaker_open_ms;
    bool discover_models;
    bool reasoning;           /* clients may ask for the model's thoughts */
    char *fallback_message;   /* "" = upstream failures are errors */
    int64_t response_cache_s; /* 0 = off */
    int64_t max_image_bytes;  /* 0 = no pictures */
    int64_t connect_timeout_ms;
    int64_t first_byte_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t answer_timeout_ms;
    char *ca_file;     /* "" = the system's */
    char *https_proxy; /* "" = none */
    char *no_proxy;    /* hosts that are asked directly, a list */
    bool upstream_http2;

    /* memory and knowledge */
    char *memory; /* local | mem0 | off */
    int64_t memory_max_facts;
    int64_t memory_tokens;
    char *memory_extract; /* off | model */
    char *memory_model;   /* "" = the provider's */
    char *mem0_api_key;
    char *mem0_api_base;
    char *mem0_api_style; /* platform | server */
    bool knowledge;
    int64_t knowledge_threshold; /* percent */
    int64_t knowledge_passages;
    int64_t knowledge_tokens;
    bool knowledge_fallback;
    char *knowledge_fallback_message; /* before the quotations */
    char *embedding_model;            /* "" = none */
    int64_t recall_timeout_ms;        /* of what is asked elsewhere before a turn */

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
    char *tools; /* of ordinary chat turns; "" = none */
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

    /* openai, anthropic, then those of PROVIDERS */
    struct config_provider *provider_list;
    size_t provider_count;

    struct config_source *sources; /* private: where each value came from */
};

/*
 * The options that every provider has, read as PROVIDER_<NAME>_KIND and so on, or with OPENAI_ and
 * ANTHROPIC_ in front. Those that openai and anthropic have under a name of their own above are
 * empty or 0 here for them.
 */
struct config_provider {
    char name[CAP_PROVIDER_NAME]; /* lower case */
    char *kind;                   /* openai | openai_responses | anthropic */
    char *base;
    char *api_key;
    char *auth; /* auto | bearer | api-key | x-api-key | none */
    char *model;
    char *models;       /* a list; the default model is always one of them */
    double temperature; /* -1 = not sent */
    int64_t max_tokens; /* 0 = openai_max_tokens */
    char *max_tokens_field;
    bool images;                                    /* its models can see pictures */
    double price_input, price_output, price_cached; /* per million tokens; cached -1 = as input */
    int64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, answer_timeout_ms;

    struct config_family *family; /* private: its rows of the table and their sources */
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
 * The next word of a list whose words are separated by spaces, commas or line breaks, cut at size - 1
 * bytes; false at the end. `list` starts at the option's value and is moved along.
 */
bool config_list_next(const char **list, char *word, size_t size);

/* How the output of config_check begins; by this the master knows a Parley (fcgi/process/master_switch.c). */
#define CONFIG_CHECK_BEGINS "# .env: "

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
