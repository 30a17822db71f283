/*
 * log: one line per event, JSON (or text), to stderr or a file.
 *
 * Event first, then key=value facts. The level says who must act: error = operator, warn = soon,
 * info = lifecycle and one line per request, debug = developer. Message text and keys never go in.
 * A line is one write(2), so that lines of several processes do not mix. Control characters are
 * escaped, malformed UTF-8 is replaced, lines are cut at CAP_LOG_LINE. errno is preserved.
 * Thread-safe. Lines carry ts (RFC 3339), level, event, pid.
 */
#ifndef PARLEY_BASE_LOG_H
#define PARLEY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_FIELD_STRING, LOG_FIELD_INT, LOG_FIELD_FLOAT, LOG_FIELD_BOOL } type;
    union {
        const char *string; /* NULL is written as null */
        int64_t integer;
        double real;
        bool boolean;
    } as;
};

#define LOG_STR(k, v)   ((struct log_field){ .key = (k), .type = LOG_FIELD_STRING, .as.string = (v) })
#define LOG_INT(k, v)   ((struct log_field){ .key = (k), .type = LOG_FIELD_INT, .as.integer = (v) })
#define LOG_FLOAT(k, v) ((struct log_field){ .key = (k), .type = LOG_FIELD_FLOAT, .as.real = (v) })
#define LOG_BOOL(k, v)  ((struct log_field){ .key = (k), .type = LOG_FIELD_BOOL, .as.boolean = (v) })

/* log_warn("store_busy", LOG_INT("wait_ms", 12), LOG_STR("request_id", id)); at least one field. */
#define log_error(event, ...)                                                                      \
    log_write(LOG_ERROR, event, (struct log_field[]){ __VA_ARGS__, { 0 } })
#define log_warn(event, ...) log_write(LOG_WARN, event, (struct log_field[]){ __VA_ARGS__, { 0 } })
#define log_info(event, ...) log_write(LOG_INFO, event, (struct log_field[]){ __VA_ARGS__, { 0 } })
#define log_debug(event, ...)                                                                      \
    log_write(LOG_DEBUG, event, (struct log_field[]){ __VA_ARGS__, { 0 } })

void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* What is below `level` is dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* JSON lines (default) or `ts level event key=value` text. */
void log_set_json(bool json);

/*
 * Append to the file at `path` (created 0640) instead of stderr; NULL or "" = stderr. 0 or errno.
 */
int log_open(const char *path);

/* Open the same path anew (log rotation). 0 or errno; on failure the old file stays. */
int log_reopen(void);

/* For tests: every finished line goes to `sink` instead; NULL ends it. */
void log_set_sink(void (*sink)(void *ctx, const char *line), void *ctx);

#endif
