/*
 * config_value: what the types of options mean: reading a value into its field, saying what is
 * allowed, showing it again. One row per type in `types`. Runs at start-up and for the
 * administrator's commands; pure but for memory.
 */
#include "common/config_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/caps.h"
#include "common/base/net.h"
#include "common/base/text.h"
#include "common/config_redis.h"

#define SHOWN_VALUE 80 /* bytes of a wrong value that an error repeats */

/* ---- strings: `check` sees the value without white space around it and may shorten it ---- */

static bool check_any(char *value)
{
    (void)value;
    return true;
}

static void drop_slashes(char *value)
{
    size_t len = strlen(value);
    while (len > 0 && value[len - 1] == '/')
        value[--len] = '\0';
}

/* The host behind http:// or https://, NULL when it is no such URL. */
static char *url_host(char *value)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < 2; i++)
        if (strncasecmp(value, schemes[i], strlen(schemes[i])) == 0)
            return value + strlen(schemes[i]);
    return NULL;
}

static bool check_url(char *value)
{
    char *host = url_host(value);
    if (*value == '\0')
        return true; /* the default of an address that may be missing */
    if (!host || *host == '\0' || strchr("/?#:", *host) || strpbrk(value, " \t\"<>"))
        return false;
    drop_slashes(value);
    return true;
}

static bool is_port(const char *text)
{
    char *end;
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 5 || text[len] != '\0')
        return false;
    long port = strtol(text, &end, 10);
    return port >= 1 && port <= 65535;
}

static bool check_listen(char *value)
{
    if (text_starts_with(value, "unix:"))
        return value[5] != '\0';
    const char *colon = strrchr(value, ':');
    if (!colon || !is_port(colon + 1) || strpbrk(value, "/ "))
        return false;
    /* an IPv6 address stands in brackets, or its colons would be taken for the port's */
    return value[0] == '[' ? colon[-1] == ']' : strchr(value, ':') == colon;
}

static bool check_prefix(char *value)
{
    drop_slashes(value);
    if (*value == '\0')
        return true;
    return *value == '/' && !strpbrk(value, "?# ") && !strstr(value, "//");
}

static bool check_origin(char *origin)
{
    if (strcmp(origin, "*") == 0)
        return true;
    char *host = url_host(origin);
    return host && *host && !strpbrk(host, "/?#@*");
}

static bool check_origins(char *value)
{
    char copy[CAP_OPTION_VALUE];
    char *rest;
    if (!text_copy(copy, sizeof copy, value))
        return false;
    for (char *origin = strtok_r(copy, ", \t", &rest); origin;
         origin = strtok_r(NULL, ", \t", &rest))
        if (!check_origin(origin))
            return false;
    return true;
}

static bool check_networks(char *value)
{
    struct net_list list;

    return net_list_parse(value, &list);
}

static bool check_mode(char *value)
{
    size_t len = strspn(value, "01234567");

    return len <= 5 && value[len] == '\0' && strtol(value, NULL, 8) <= 07777;
}

/* Not in memory: each worker, and each of its handles, would have a database of its own. */
static bool check_database(char *value)
{
    return text_starts_with(value, "sqlite:") && value[strlen("sqlite:")] != '\0' &&
           strcmp(value, "sqlite::memory:") != 0;
}

static bool check_redis(char *value)
{
    struct config_redis parts;

    return *value == '\0' || config_redis_parse(value, &parts);
}

static char *trim(char *value)
{
    value += strspn(value, " \t\r\n");
    size_t len = strlen(value);
    while (len > 0 && strchr(" \t\r\n", value[len - 1]))
        value[--len] = '\0';
    return value;
}

/* True when there are control characters that the type does not have. */
static bool has_odd_bytes(enum config_type type, const char *value)
{
    for (size_t len; *value; value += len) {
        len = text_utf8_sequence(value, strlen(value));
        if (len == 0)
            return true;
        bool line_break = len == 1 && strchr("\t\r\n", *value);
        if (text_has_control(value, len) && !(type == CONFIG_TEXT && line_break))
            return true;
    }
    return false;
}

/* Is `value` one of "a|b|c", in any case? Then spell it as there. */
static bool pick_choice(const char *choices, char *value)
{
    size_t len = strlen(value);
    for (const char *at = choices; *at;) {
        size_t choice_len = strcspn(at, "|");
        if (choice_len == len && strncasecmp(at, value, len) == 0) {
            memcpy(value, at, len);
            return true;
        }
        at += choice_len;
        at += *at == '|';
    }
    return false;
}

/* ---- numbers and switches ---- */

static bool read_int(const struct config_option *option, const char *value, void *field)
{
    char *end;
    const char *digits = value + (*value == '-' || *value == '+');
    if (strspn(digits, "0123456789") != strlen(digits) || *digits == '\0')
        return false;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || (double)number < option->min || (double)number > option->max)
        return false;
    *(int64_t *)field = number;
    return true;
}

static bool read_float(const struct config_option *option, const char *value, void *field)
{
    char *end;
    if (strspn(value, "0123456789.+-eE") != strlen(value))
        return false;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || number < option->min || number > option->max)
        return false;
    *(double *)field = number;
    return true;
}

static bool read_bool(const struct config_option *option, const char *value, void *field)
{
    static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };
    (void)option;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (text_same_nocase(value, words[i])) {
            *(bool *)field = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* ---- the types ---- */

/* A type has `check` when its field is a string, `read` when it is not. */
static const struct {
    bool (*check)(char *value);
    bool (*read)(const struct config_option *option, const char *value, void *field);
    const char *allowed; /* NULL: depends on the option's bounds */
} types[] = {
    [CONFIG_STRING] = { check_any, NULL, "one line of UTF-8 text" },
    [CONFIG_TEXT] = { check_any, NULL, "UTF-8 text" },
    [CONFIG_CHOICE] = { check_any, NULL, NULL },
    [CONFIG_URL] = { check_url, NULL, "a URL that begins with http:// or https://" },
    [CONFIG_LISTEN] = { check_listen, NULL, "unix:PATH, HOST:PORT or [IPV6]:PORT" },
    [CONFIG_PREFIX] = { check_prefix, NULL, "a path that begins with /, or nothing" },
    [CONFIG_ORIGINS] = { check_origins, NULL,
                         "origins such as https://example.com, without a path, separated by spaces "
                         "or commas, or *" },
    [CONFIG_NETWORKS] = { check_networks, NULL,
                          "networks such as 10.0.0.0/8 or 2001:db8::/32, addresses, or unix, "
                          "separated by spaces or commas" },
    [CONFIG_MODE] = { check_mode, NULL, "an octal mode such as 0660" },
    [CONFIG_DATABASE] = { check_database, NULL, "sqlite: and the path of a file" },
    [CONFIG_REDIS] = { check_redis, NULL,
                       "redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] or unix:/PATH" },
    [CONFIG_INT] = { NULL, read_int, NULL },
    [CONFIG_FLOAT] = { NULL, read_float, NULL },
    [CONFIG_BOOL] = { NULL, read_bool, "true or false (also 1 or 0, yes or no, on or off)" },
};

bool config_value_is_string(const struct config_option *option)
{
    return types[option->type].check != NULL;
}

static void put_choices(const char *choices, struct buf *out)
{
    buf_puts(out, "one of ");
    for (const char *at = choices; *at; at++) {
        if (*at == '|')
            buf_puts(out, ", ");
        else
            buf_putc(out, *at);
    }
}

void config_value_allowed(const struct config_option *option, struct buf *out)
{
    if (types[option->type].allowed)
        buf_puts(out, types[option->type].allowed);
    else if (option->type == CONFIG_CHOICE)
        put_choices(option->choices, out);
    else
        buf_putf(out, "a %s from %.10g to %.10g",
                 option->type == CONFIG_INT ? "whole number" : "number", option->min, option->max);
}

/* A wrong value as an error may repeat it: short, in one line, and no secret. */
static void put_wrong_value(const struct config_option *option, const char *value, struct buf *out)
{
    if (option->secret) {
        buf_puts(out, " (its value is not shown)");
        return;
    }
    size_t len = strlen(value);
    size_t shown = text_utf8_prefix(value, len, SHOWN_VALUE);
    size_t start = out->len + 1;
    buf_putc(out, '=');
    text_utf8_repair(out, value, shown);
    for (size_t i = start, step; i < out->len; i += step) {
        step = text_utf8_sequence(out->data + i, out->len - i);
        if (step == 0 || text_has_control(out->data + i, step))
            memset(out->data + i, ' ', step = step ? step : 1);
    }
    if (shown < len)
        buf_puts(out, "...");
}

static enum result refuse(const struct config_option *option, const char *value,
                          struct fault *fault)
{
    struct buf words;
    buf_init(&words, sizeof fault->text);
    buf_puts(&words, option->name);
    put_wrong_value(option, value, &words);
    buf_puts(&words, " is not allowed: it must be ");
    config_value_allowed(option, &words);
    enum result result =
        fault_set(fault, RESULT_INVALID, "invalid_option", option->name, "%s.", buf_str(&words));
    buf_free(&words);
    return result;
}

/*
 * False when `value` is not allowed. Numbers go into the field at once; strings are only spelled
 * well.
 */
static bool fits(const struct config_option *option, char *value, void *field)
{
    if (has_odd_bytes(option->type, value))
        return false;
    if (types[option->type].read)
        return types[option->type].read(option, value, field);
    if (option->type == CONFIG_CHOICE)
        return pick_choice(option->choices, value);
    return types[option->type].check(value);
}

enum result config_value_read(const struct config_option *option, const char *value, void *target,
                              struct fault *fault)
{
    enum result result = RESULT_OK;
    char *copy = strdup(value);
    if (!copy)
        return fault_set(fault, RESULT_INTERNAL, "out_of_memory", option->name, "Out of memory.");
    void *field = (char *)target + option->field;
    char *trimmed = trim(copy);

    if (strlen(trimmed) >= CAP_OPTION_VALUE || !fits(option, trimmed, field)) {
        result = refuse(option, value, fault);
    } else if (config_value_is_string(option)) {
        char **string = field;
        memmove(copy, trimmed, strlen(trimmed) + 1);
        free(*string);
        *string = copy;
        copy = NULL;
    }
    free(copy);
    return result;
}

void config_value_show(const struct config_option *option, const void *target, struct buf *out)
{
    const void *field = (const char *)target + option->field;
    if (option->secret) {
        const char *secret = *(char *const *)field;
        buf_puts(out, secret && *secret ? "(secret, set)" : "(secret, not set)");
    } else if (option->type == CONFIG_INT) {
        buf_putf(out, "%" PRId64, *(const int64_t *)field);
    } else if (option->type == CONFIG_FLOAT) {
        buf_putf(out, "%.10g", *(const double *)field);
    } else if (option->type == CONFIG_BOOL) {
        buf_puts(out, *(const bool *)field ? "true" : "false");
    } else {
        const char *string = *(char *const *)field;
        buf_puts(out, string ? string : "");
    }
}
