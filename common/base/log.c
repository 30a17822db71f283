/*
 * log: lines for operators. A line is built on the stack (no allocation, so that running out of
 * memory can still be told) and leaves by one write(2) to a file opened O_APPEND. Whatever the
 * fields hold, a JSON line is valid JSON: what does not fit is cut, and "cut":true says so.
 *
 * Any thread, any process. Levels and targets are set at start-up; log_reopen() may come at any
 * time, because it puts the new file under the same descriptor number.
 */
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/caps.h"
#include "common/base/clock.h"
#include "common/base/text.h"

#define CUT_JSON  ",\"cut\":true}\n"
#define CUT_TEXT  " cut=true\n"
#define TAIL      (sizeof CUT_JSON) /* kept free for the end of the line */
#define LINE_ROOM (CAP_LOG_LINE - TAIL)
#define PATH_SIZE 4096

struct line {
    char bytes[CAP_LOG_LINE];
    size_t len;
    bool cut;
    bool json;
};

static atomic_int current_level = LOG_INFO;
static atomic_bool as_json = true;
static atomic_int target = STDERR_FILENO;
static char target_path[PATH_SIZE]; /* "" = stderr; start-up and log_reopen() only */

static struct {
    void (*call)(void *ctx, const char *line);
    void *ctx;
} sink;

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_json(bool json)
{
    atomic_store(&as_json, json);
}

void log_set_sink(void (*call)(void *ctx, const char *line), void *ctx)
{
    sink.call = call;
    sink.ctx = ctx;
}

/* Append all of it, or nothing and false. `keep` bytes stay free for what must follow. */
static bool add(struct line *line, const char *bytes, size_t len, size_t keep)
{
    if (line->len + len + keep > LINE_ROOM)
        return false;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
    return true;
}

/* The short escape of an ASCII byte in JSON and in quoted text, 0 if it has none. */
static char short_escape(char c)
{
    static const char plain[] = "\"\\\n\r\t\b\f";
    static const char escaped[] = "\"\\nrtbf";
    const char *at = c ? strchr(plain, c) : NULL;
    return at ? escaped[at - plain] : '\0';
}

/*
 * One character of a quoted string, as it stands in the line, into `out` (8 bytes). *step is how
 * many bytes of `at` it took. Controls are escaped, malformed bytes become U+FFFD, and so no value
 * can forge a line or a terminal sequence.
 */
static size_t quote_char(const char *at, size_t len, char out[8], size_t *step)
{
    *step = text_utf8_sequence(at, len);
    if (*step == 0) {
        *step = 1;
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    unsigned char first = (unsigned char)at[0];
    char escape = short_escape(at[0]);
    if (escape) {
        out[0] = '\\';
        out[1] = escape;
        return 2;
    }
    if (*step <= 2 && text_has_control(at, *step))
        return (size_t)snprintf(out, 8, "\\u%04x", *step == 2 ? (unsigned char)at[1] : first);
    memcpy(out, at, *step);
    return *step;
}

static bool add_quoted(struct line *line, const char *string)
{
    if (!add(line, "\"", 1, 1))
        return false;
    size_t len = strlen(string);
    size_t step;
    for (size_t at = 0; at < len; at += step) {
        char out[8];
        size_t out_len = quote_char(string + at, len - at, out, &step);
        if (!add(line, out, out_len, 1)) {
            line->cut = true;
            break;
        }
    }
    return add(line, "\"", 1, 0);
}

/* In text lines a value without spaces and odd characters stands bare. */
static bool is_bare(const char *string)
{
    if (*string == '\0')
        return false;
    for (; *string; string++)
        if (*string <= ' ' || *string > '~' || *string == '"' || *string == '=' || *string == '\\')
            return false;
    return true;
}

static bool add_string(struct line *line, const char *string)
{
    if (!string)
        return add(line, "null", 4, 0);
    if (!line->json && is_bare(string) && add(line, string, strlen(string), 0))
        return true;
    return add_quoted(line, string);
}

static bool add_value(struct line *line, const struct log_field *field)
{
    char number[40];
    int len = 0;
    switch (field->type) {
    case LOG_FIELD_STRING:
        return add_string(line, field->as.string);
    case LOG_FIELD_INT:
        len = snprintf(number, sizeof number, "%" PRId64, field->as.integer);
        break;
    case LOG_FIELD_FLOAT:
        if (!isfinite(field->as.real))
            return add(line, "null", 4, 0);
        len = snprintf(number, sizeof number, "%.6g", field->as.real);
        break;
    case LOG_FIELD_BOOL:
        len = snprintf(number, sizeof number, "%s", field->as.boolean ? "true" : "false");
        break;
    }
    return add(line, number, (size_t)len, 0);
}

/* A field that does not fit at all is left out whole. */
static void add_field(struct line *line, const struct log_field *field)
{
    size_t before = line->len;
    const char *open = line->json ? ",\"" : " ";
    const char *close = line->json ? "\":" : "=";
    bool done = add(line, open, strlen(open), 0) && add(line, field->key, strlen(field->key), 0) &&
                add(line, close, strlen(close), 0) && add_value(line, field);
    if (!done) {
        line->len = before;
        line->cut = true;
    }
}

static void add_head(struct line *line, enum log_level level, const char *event)
{
    char ts[CLOCK_RFC3339_SIZE];
    const char *name = level_names[level];
    int len;
    clock_rfc3339(clock_wall_ms(), ts);
    if (line->json)
        len = snprintf(line->bytes, sizeof line->bytes,
                       "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%.200s\"", ts, name, event);
    else
        len = snprintf(line->bytes, sizeof line->bytes, "%s %s %.200s", ts, name, event);
    line->len = len > 0 ? (size_t)len : 0;
    struct log_field pid = LOG_INT("pid", getpid());
    add_field(line, &pid);
}

static void add_tail(struct line *line)
{
    const char *tail = line->json ? "}\n" : "\n";
    if (line->cut)
        tail = line->json ? CUT_JSON : CUT_TEXT;
    size_t len = strlen(tail);
    memcpy(line->bytes + line->len, tail, len + 1);
    line->len += len;
}

/* A line that cannot be written is lost: there is nobody left to tell. */
static void emit(struct line *line)
{
    if (sink.call) {
        line->bytes[line->len - 1] = '\0';
        sink.call(sink.ctx, line->bytes);
        return;
    }
    while (write(atomic_load(&target), line->bytes, line->len) < 0 && errno == EINTR)
        ;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    struct line line;
    line.len = 0;
    line.cut = false;
    line.json = atomic_load_explicit(&as_json, memory_order_relaxed);

    add_head(&line, level, event);
    for (; fields->key; fields++)
        add_field(&line, fields);
    add_tail(&line);
    emit(&line);
    errno = saved_errno;
}

/*
 * Put the file at target_path under the current descriptor, or under a new one for the first file.
 */
static int open_target(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return errno;
    int old = atomic_load(&target);
    if (old == STDERR_FILENO) {
        atomic_store(&target, fd);
        return 0;
    }
    int error = dup3(fd, old, O_CLOEXEC) < 0 ? errno : 0;
    close(fd);
    return error;
}

int log_open(const char *path)
{
    if (!path || !*path) {
        int old = atomic_exchange(&target, STDERR_FILENO);
        if (old != STDERR_FILENO)
            close(old);
        target_path[0] = '\0';
        return 0;
    }
    if (strlen(path) >= sizeof target_path)
        return ENAMETOOLONG;
    int error = open_target(path);
    if (error == 0)
        text_copy(target_path, sizeof target_path, path);
    return error;
}

int log_reopen(void)
{
    return target_path[0] ? open_target(target_path) : 0;
}
