/*
 * config: the table of options, the only truth about them. Names, bounds, defaults and help of
 * docs/CONFIGURATION.md, .env.example and `parley check-config` all come from here.
 *
 * To add an option: a field in struct config (config.h), a row here beside its kind, `make docs`.
 * The macros tie the row's type to the field's C type, so that a mismatch does not compile.
 * config_value.c knows the types, config_load.c and config_env.c the sources, config_print.c
 * writes the documents.
 */
#include "common/config_table.h"

#include <string.h>

#define OFFSET(member, ctype) CONFIG_OFFSET(struct config, member, ctype)

#define STRING(member)        .type = CONFIG_STRING, OFFSET(member, char *)
#define SECRET(member)        .type = CONFIG_STRING, .secret = true, OFFSET(member, char *)
#define TEXT(member)          .type = CONFIG_TEXT, OFFSET(member, char *)
#define URL(member)           .type = CONFIG_URL, OFFSET(member, char *)
#define LISTEN(member)        .type = CONFIG_LISTEN, OFFSET(member, char *)
#define PREFIX(member)        .type = CONFIG_PREFIX, OFFSET(member, char *)
#define ORIGINS(member)       .type = CONFIG_ORIGINS, OFFSET(member, char *)
#define NETWORKS(member)      .type = CONFIG_NETWORKS, OFFSET(member, char *)
#define MODE(member)          .type = CONFIG_MODE, OFFSET(member, char *)
#define DATABASE(member)      .type = CONFIG_DATABASE, OFFSET(member, char *)
#define REDIS(member)         .type = CONFIG_REDIS, .secret = true, OFFSET(member, char *)
#define CHOICE(member, words) .type = CONFIG_CHOICE, .choices = (words), OFFSET(member, char *)
#define INT(member, low, high)                                                                     \
    .type = CONFIG_INT, .min = (low), .max = (high), OFFSET(member, int64_t)
#define FLOAT(member, low, high)                                                                   \
    .type = CONFIG_FLOAT, .min = (low), .max = (high), OFFSET(member, double)
#define BOOL(member) .type = CONFIG_BOOL, OFFSET(member, bool)

#define HOUR_MS (3600 * 1000)
#define DAY_S   (24 * 3600)
#define YEAR_S  (365 * DAY_S)

static const char identity[] = "Identity";
static const char owners[] = "Visitors and their data";
static const char process[] = "Process";
static const char logging[] = "Log";
static const char storage[] = "Store";
static const char http[] = "HTTP";
static const char chat[] = "Chat";
static const char limits[] = "Limits";
static const char models[] = "Model providers";
static const char remembering[] = "Memory and knowledge";
static const char demo[] = "Demo provider";
static const char responses[] = "Responses app";

/* clang-format off: one option is one paragraph */
const struct config_option config_options[] = {
    { .name = "APP_NAME",
      .section = identity,
      STRING(app_name),
      .fallback = "Parley",
      .help = "Name of this installation, in health replies and page titles." },
    { .name = "BRAND_NAME",
      .section = identity,
      STRING(brand_name),
      .fallback = "Parley",
      .help = "Name that visitors see in the chat page and the widget." },
    { .name = "SYSTEM_PROMPT",
      .section = identity,
      TEXT(system_prompt),
      .fallback = "You are a helpful assistant. Answer clearly and briefly, in the language of the "
                  "question. If you do not know something, say so.",
      .help = "Instructions to the model, sent before every conversation." },
    { .name = "DEBUG",
      .section = identity,
      BOOL(debug),
      .fallback = "false",
      .help = "For developers: the same as LOG_LEVEL=debug." },

    { .name = "SECRET_KEY",
      .section = owners,
      SECRET(secret_key),
      .fallback = "",
      .help =
          "Signs the visitors' cookies; empty = a key is made once and kept beside the database. "
          "With another one all visitors are new." },
    { .name = "USER_ID_ACCESS",
      .section = owners,
      CHOICE(user_id_access, "owner|open"),
      .fallback = "owner",
      .help =
          "owner = a user_id belongs to the visitor or API key that used it first; open = anybody "
          "may use any user_id, for trusted networks." },
    { .name = "RETENTION_DAYS",
      .section = owners,
      INT(retention_days, 0, 36500),
      .fallback = "0",
      .help = "Days without a new question after which a conversation is erased; 0 = never." },
    { .name = "AUDIT_DAYS",
      .section = owners,
      INT(audit_days, 0, 36500),
      .fallback = "365",
      .help = "Days that lines of the audit log are kept; 0 = for ever." },

    { .name = "LISTEN",
      .section = process,
      LISTEN(listen),
      .fallback = "127.0.0.1:9000",
      .help = "Where `parley serve` waits for the web server's FastCGI connections." },
    { .name = "WORKERS",
      .section = process,
      INT(workers, 0, 256),
      .fallback = "0",
      .help = "Worker processes; 0 = one per core, at least 2." },
    { .name = "REQUEST_THREADS",
      .section = process,
      INT(request_threads, 1, 1024),
      .fallback = "16",
      .help = "Threads per worker for the short blocking part of requests." },
    { .name = "MAX_STREAMS",
      .section = process,
      INT(max_streams, 1, 100000),
      .fallback = "4000",
      .help = "Answers that one worker streams at the same time; above it: 503 with Retry-After." },
    { .name = "DRAIN_SECONDS",
      .section = process,
      INT(drain_s, 0, 3600),
      .fallback = "30",
      .help = "How long running answers may go on after a stop was asked for." },
    { .name = "WATCHDOG_SECONDS",
      .section = process,
      INT(watchdog_s, 0, 3600),
      .fallback = "30",
      .help =
          "A worker that has not moved for so long is replaced, its stack in the log; 0 = never." },
    { .name = "MAX_REQUESTS",
      .section = process,
      INT(max_requests, 0, 1000000000),
      .fallback = "0",
      .help = "A worker is replaced after about so many requests; 0 = never." },
    { .name = "MAX_MEMORY_MB",
      .section = process,
      INT(max_memory_mb, 0, 1000000),
      .fallback = "0",
      .help = "A worker whose memory grows beyond about so much is replaced; 0 = never." },
    { .name = "PID_FILE",
      .section = process,
      STRING(pid_file),
      .fallback = "",
      .help = "File that holds the process id of `parley serve` while it runs; empty = none." },
    { .name = "RUN_USER",
      .section = process,
      STRING(run_user),
      .fallback = "",
      .help =
          "User that the workers become when started as root; empty = they stay who they are." },
    { .name = "RUN_GROUP",
      .section = process,
      STRING(run_group),
      .fallback = "",
      .help = "Their group; empty = the group of RUN_USER." },
    { .name = "UMASK",
      .section = process,
      MODE(umask),
      .fallback = "",
      .help = "Octal mask for files that are made, such as 0027; empty = as inherited." },
    { .name = "SOCKET_MODE",
      .section = process,
      MODE(socket_mode),
      .fallback = "0660",
      .help = "Mode of the unix socket of `parley serve`; the web server must be able to write." },
    { .name = "SOCKET_OWNER",
      .section = process,
      STRING(socket_owner),
      .fallback = "",
      .help = "Its owner, as user, user:group or :group; empty = RUN_USER and RUN_GROUP, or "
              "whoever starts Parley." },
    { .name = "STATUS_ALLOW",
      .section = process,
      NETWORKS(status_allow),
      .fallback = "127.0.0.0/8 ::1",
      .help =
          "Networks that may see /status and /metrics. Requests that came through a proxy which "
          "Parley does not know are refused, unless they bring a key of ADMIN_KEYS." },
    { .name = "ADMIN_KEYS",
      .section = process,
      STRING(admin_keys),
      .fallback = "",
      .help =
          "Names of API keys (`parley keys add NAME`), separated by spaces or commas, with which "
          "/status and /metrics may be seen from anywhere; empty = with none." },

    { .name = "LOG_LEVEL",
      .section = logging,
      CHOICE(log_level, "error|warn|info|debug"),
      .fallback = "info",
      .help = "What is below this level is not logged." },
    { .name = "LOG_FILE",
      .section = logging,
      STRING(log_file),
      .fallback = "",
      .help = "File that log lines are appended to; empty = standard error." },
    { .name = "LOG_FORMAT",
      .section = logging,
      CHOICE(log_format, "json|text"),
      .fallback = "json",
      .help = "One JSON object per line, or plain text." },
    { .name = "SLOW_MS",
      .section = logging,
      INT(slow_ms, 0, 3600 * 1000),
      .fallback = "10000",
      .help =
          "A request whose answer did not begin within so many milliseconds is logged once more, "
          "with the stage that was slow; 0 = none is." },

    { .name = "DATABASE_URL",
      .section = storage,
      DATABASE(database_url),
      .fallback = "sqlite:var/parley.db",
      .help = "Where conversations are kept; a relative path counts from the working directory." },
    { .name = "DATABASE_SYNC",
      .section = storage,
      CHOICE(database_sync, "normal|full"),
      .fallback = "normal",
      .help = "full = every commit survives a power cut, at the cost of speed." },
    { .name = "STORE_BUSY_MS",
      .section = storage,
      INT(store_busy_ms, 100, 600000),
      .fallback = "5000",
      .help =
          "How long a request waits for the database, in milliseconds, before it answers 503." },

    { .name = "BASE_PATH",
      .section = http,
      PREFIX(base_path),
      .fallback = "",
      .help = "Prefix that the web server leaves in front of the path; empty = none." },
    { .name = "CORS_ORIGIN",
      .section = http,
      ORIGINS(cors_origin),
      .fallback = "",
      .help = "Web origins that may call the API from a browser; empty = the same origin only." },
    { .name = "TRUSTED_PROXIES",
      .section = http,
      NETWORKS(trusted_proxies),
      .fallback = "",
      .help = "Networks whose X-Forwarded-For and X-Forwarded-Proto are believed; `unix` = peers "
              "of the "
              "web server that have no address. Empty = nobody's." },
    { .name = "FORCE_HTTPS",
      .section = http,
      CHOICE(force_https, "off|redirect"),
      .fallback = "off",
      .help = "redirect = what comes over http is sent to https (GET) or refused with 403. Health "
              "checks pass." },
    { .name = "HSTS_SECONDS",
      .section = http,
      INT(hsts_s, 0, 2 * YEAR_S),
      .fallback = "0",
      .help = "Seconds that browsers are to insist on https, told in replies over https; 0 = not "
              "told." },
    { .name = "MAX_BODY_BYTES",
      .section = http,
      INT(max_body_bytes, 1024, 64 * 1024 * 1024),
      .fallback = "65536",
      .help = "Longest request body, in bytes; above it: 413." },
    { .name = "REQUEST_TIMEOUT",
      .section = http,
      INT(request_timeout_s, 1, 3600),
      .fallback = "30",
      .help = "Seconds until a request must have arrived whole." },
    { .name = "HEARTBEAT_SECONDS",
      .section = http,
      INT(heartbeat_s, 1, 300),
      .fallback = "15",
      .help = "Silence in a stream after which a comment line is sent to keep the connection." },

    { .name = "MAX_MESSAGE_LENGTH",
      .section = chat,
      INT(max_message_length, 1, 1000000),
      .fallback = "1000",
      .help = "Longest message of a visitor, in characters." },
    { .name = "MAX_HISTORY",
      .section = chat,
      INT(max_history, 0, 1000),
      .fallback = "50",
      .help = "Most entries of a history that a stateless client sends along." },
    { .name = "CONTEXT_MESSAGES",
      .section = chat,
      INT(context_messages, 1, 1000),
      .fallback = "10",
      .help = "Newest messages of a conversation that go to the model, the question included." },
    { .name = "CONTEXT_TOKENS",
      .section = chat,
      INT(context_tokens, 0, 10000000),
      .fallback = "6000",
      .help = "Bound of what goes to the model, in estimated tokens; 0 = none." },
    { .name = "TYPING_DELAY",
      .section = chat,
      INT(typing_delay_ms, 0, 60000),
      .fallback = "500",
      .help = "Milliseconds that pages show the typing sign; clients read it from /api/config." },
    { .name = "ALLOW_REMOTE_IMAGES",
      .section = chat,
      BOOL(allow_remote_images),
      .fallback = "false",
      .help = "Pictures that an answer names by an https address are shown on the page; their "
              "servers then "
              "learn who reads." },
    { .name = "DISCONNECT_GRACE_SECONDS",
      .section = chat,
      INT(disconnect_grace_s, -1, DAY_S),
      .fallback = "30",
      .help =
          "How long an answer goes on when nobody reads it; 0 = ends at once, -1 = is finished." },
    { .name = "SESSION_TTL",
      .section = chat,
      INT(session_ttl_s, 0, YEAR_S),
      .fallback = "3600",
      .help = "Seconds without activity after which a session is unknown; 0 = never." },

    { .name = "RATELIMIT_PER_MINUTE",
      .section = limits,
      INT(ratelimit_minute, 0, 1000000000),
      .fallback = "10",
      .help = "Messages of one visitor or API key within a minute; above it: 429. 0 = no limit." },
    { .name = "RATELIMIT_PER_HOUR",
      .section = limits,
      INT(ratelimit_hour, 0, 1000000000),
      .fallback = "100",
      .help = "The same within an hour." },
    { .name = "RATELIMIT_PER_DAY",
      .section = limits,
      INT(ratelimit_day, 0, 1000000000),
      .fallback = "500",
      .help = "The same within a day." },
    { .name = "ADDRESS_LIMIT_FACTOR",
      .section = limits,
      INT(address_limit_factor, 1, 1000000),
      .fallback = "10",
      .help =
          "How many visitors' limits all visitors of one network address have together (IPv6: of "
          "one /64)." },
    { .name = "TOKENS_PER_DAY",
      .section = limits,
      INT(tokens_per_day, 0, 1000000000000),
      .fallback = "0",
      .help =
          "Tokens that all answers of a day (UTC) may cost together, questions included; 0 = no "
          "budget." },
    { .name = "TOKENS_PER_VISITOR_PER_DAY",
      .section = limits,
      INT(tokens_per_visitor, 0, 1000000000000),
      .fallback = "0",
      .help = "The same for one visitor. API keys are bound by TOKENS_PER_DAY only." },
    { .name = "REDIS_URL",
      .section = limits,
      REDIS(redis_url),
      .fallback = "",
      .help = "A Redis in which several machines count messages together, as "
              "redis://USER:PASSWORD@HOST:PORT/NUMBER or unix:PATH; empty = the database counts." },
    { .name = "REDIS_DOWN",
      .section = limits,
      CHOICE(redis_down, "allow|refuse"),
      .fallback = "allow",
      .help = "While Redis cannot be reached: allow = messages pass uncounted, refuse = 503." },
    { .name = "REDIS_TIMEOUT_MS",
      .section = limits,
      INT(redis_timeout_ms, 10, 60000),
      .fallback = "250",
      .help = "Deadline for connecting to Redis, and for its reply, in milliseconds." },

    { .name = "PROVIDER",
      .section = models,
      STRING(provider),
      .fallback = "",
      .help = "Who answers by default; empty = openai, else anthropic, when it has a key or a base "
              "URL, "
              "else demo." },
    { .name = "OPENAI_API_KEY",
      .section = models,
      SECRET(openai_api_key),
      .fallback = "",
      .help = "Key of the OpenAI-compatible provider; local models need none." },
    { .name = "OPENAI_API_BASE",
      .alias = "OPENAI_BASE_URL",
      .section = models,
      URL(openai_api_base),
      .fallback = "https://api.openai.com/v1",
      .help =
          "Base URL of an OpenAI-compatible API, such as http://127.0.0.1:11434/v1 for Ollama." },
    { .name = "OPENAI_MODEL",
      .section = models,
      STRING(openai_model),
      .fallback = "gpt-4o-mini",
      .help = "Model that answers unless the client picks another one." },
    { .name = "OPENAI_TEMPERATURE",
      .alias = "TEMPERATURE",
      .section = models,
      FLOAT(openai_temperature, 0, 2),
      .fallback = "0.7",
      .help =
          "0 = always the likeliest words, higher = more variety. Only when it is set here does it "
          "go to Anthropic and to the Responses API, some of whose models refuse it." },
    { .name = "OPENAI_MAX_TOKENS",
      .alias = "MAX_TOKENS",
      .section = models,
      INT(openai_max_tokens, 1, 1000000),
      .fallback = "1000",
      .help = "Longest answer, in tokens." },
    { .name = "OPENAI_MAX_TOKENS_FIELD",
      .section = models,
      CHOICE(openai_max_tokens_field, "max_tokens|max_completion_tokens"),
      .fallback = "max_tokens",
      .help = "Name of the token limit in requests; newer OpenAI models want the longer one." },
    { .name = "OPENAI_API_STYLE",
      .section = models,
      CHOICE(openai_api_style, "chat|responses"),
      .fallback = "chat",
      .help =
          "chat = Chat Completions, which nearly every server speaks; responses = OpenAI's newer "
          "Responses API." },
    { .name = "ANTHROPIC_API_KEY",
      .section = models,
      SECRET(anthropic_api_key),
      .fallback = "",
      .help = "Key of Anthropic's API; with it clients may pick the provider `anthropic` (or "
              "`claude`)." },
    { .name = "ANTHROPIC_API_BASE",
      .alias = "ANTHROPIC_BASE_URL",
      .section = models,
      URL(anthropic_api_base),
      .fallback = "https://api.anthropic.com",
      .help = "Base URL of Anthropic's API or of a gateway that speaks it, with or without /v1." },
    { .name = "ANTHROPIC_MODEL",
      .section = models,
      STRING(anthropic_model),
      .fallback = "claude-3-5-sonnet-latest",
      .help = "Anthropic's model that answers unless the client picks another one." },
    { .name = "ANTHROPIC_MAX_TOKENS",
      .section = models,
      INT(anthropic_max_tokens, 0, 1000000),
      .fallback = "0",
      .help = "Longest answer of Anthropic's models, in tokens; 0 = as OPENAI_MAX_TOKENS." },
    { .name = "PROVIDERS",
      .section = models,
      STRING(providers),
      .fallback = "",
      .help =
          "Names of further providers, separated by commas, such as mistral,ollama; their options "
          "are those of the section on further providers." },
    { .name = "PROVIDER_FAILOVER",
      .section = models,
      STRING(provider_failover),
      .fallback = "",
      .help =
          "Names of providers, separated by commas: who answers, in this order, when the chosen "
          "one cannot and has not said a word yet; empty = nobody." },
    { .name = "RETRY_MAX",
      .section = models,
      INT(retry_max, 0, 10),
      .fallback = "2",
      .help = "How often a provider that may recover is asked again, after all of "
              "PROVIDER_FAILOVER were asked once." },
    { .name = "RETRY_MAX_WAIT_MS",
      .section = models,
      INT(retry_wait_ms, 0, HOUR_MS),
      .fallback = "5000",
      .help =
          "Longest pause before a retry, in milliseconds; a provider whose Retry-After asks for "
          "more is not waited for." },
    { .name = "BREAKER_FAILURES",
      .section = models,
      INT(breaker_failures, 0, 1000),
      .fallback = "8",
      .help =
          "Failures of a provider in a row, over all workers, after which it is left alone for a "
          "while; 0 = never." },
    { .name = "BREAKER_OPEN_MS",
      .section = models,
      INT(breaker_open_ms, 100, HOUR_MS),
      .fallback = "10000",
      .help = "How long a failing provider is left alone until one question tries it again, in "
              "milliseconds." },
    { .name = "DISCOVER_MODELS",
      .section = models,
      BOOL(discover_models),
      .fallback = "false",
      .help = "Ask the providers once an hour which models they have, and offer those too." },
    { .name = "REASONING",
      .section = models,
      BOOL(reasoning),
      .fallback = "false",
      .help =
          "true = a client that sends \"reasoning\":true also gets the model's thoughts, in frames "
          "of their own." },
    { .name = "FALLBACK_MESSAGE",
      .section = models,
      TEXT(fallback_message),
      .fallback = "",
      .help = "Text that visitors get instead of an error when no provider can answer; empty = the "
              "error." },
    { .name = "RESPONSE_CACHE_TTL",
      .section = models,
      INT(response_cache_s, 0, YEAR_S),
      .fallback = "0",
      .help =
          "Seconds for which the answer to the first question of a conversation is given to the "
          "same question again; 0 = off." },
    { .name = "MAX_IMAGE_BYTES",
      .section = models,
      INT(max_image_bytes, 0, 20 * 1024 * 1024),
      .fallback = "4194304",
      .help = "Largest picture in a message, in bytes; 0 = no pictures. A request with pictures is "
              "bounded by MAX_BODY_BYTES too, and is a third larger than they are." },
    { .name = "CONNECT_TIMEOUT_MS",
      .section = models,
      INT(connect_timeout_ms, 1, HOUR_MS),
      .fallback = "10000",
      .help = "Deadline for connecting to a provider, TLS included, in milliseconds." },
    { .name = "FIRST_BYTE_TIMEOUT_MS",
      .section = models,
      INT(first_byte_timeout_ms, 1, HOUR_MS),
      .fallback = "60000",
      .help = "Deadline for the provider's reply to begin, in milliseconds." },
    { .name = "IDLE_TIMEOUT_MS",
      .section = models,
      INT(idle_timeout_ms, 1, HOUR_MS),
      .fallback = "60000",
      .help = "Longest silence within an answer, in milliseconds." },
    { .name = "ANSWER_TIMEOUT_MS",
      .section = models,
      INT(answer_timeout_ms, 1, HOUR_MS * 24),
      .fallback = "600000",
      .help = "Deadline for a whole answer, in milliseconds." },
    { .name = "CA_FILE",
      .section = models,
      STRING(ca_file),
      .fallback = "",
      .help = "File with the certificate authorities to trust (PEM); empty = the system's." },
    { .name = "HTTPS_PROXY",
      .alias = "https_proxy",
      .section = models,
      URL(https_proxy),
      .fallback = "",
      .help =
          "Proxy through which https addresses are reached; empty = none. Plain http addresses are "
          "always asked directly." },
    { .name = "NO_PROXY",
      .alias = "no_proxy",
      .section = models,
      STRING(no_proxy),
      .fallback = "",
      .help = "Hosts that are asked without the proxy, separated by commas; * = all." },
    { .name = "UPSTREAM_HTTP2",
      .section = models,
      BOOL(upstream_http2),
      .fallback = "true",
      .help = "Offer HTTP/2 to providers that are reached by https." },

#include "common/config_memory.h"

    { .name = "DEMO_DELAY_MS",
      .section = demo,
      INT(demo_delay_ms, 0, 60000),
      .fallback = "30",
      .help = "Pause between the pieces of a demo answer, in milliseconds." },

#include "common/config_responses.h"
};
/* clang-format on */

const size_t config_option_count = sizeof config_options / sizeof *config_options;

const struct config_option *config_option_find(const char *name)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (strcmp(name, option->name) == 0 || (option->alias && strcmp(name, option->alias) == 0))
            return option;
    }
    return NULL;
}
