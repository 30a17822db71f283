/*
 * shared: see shared.h. The only file that knows hiredis; without it every entry says that Redis is not
 * built in.
 *
 * Connections are kept, one for each request thread that was busy at the same time. A kept one that Redis has
 * closed meanwhile (it was restarted) is no reason to give up: the call is made once more over a new one.
 */
#include "common/limits/shared.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/config.h"
#include "common/config_redis.h"

#ifdef PARLEY_REDIS

#include <hiredis/hiredis.h>

#define IDLE_MAX      32
#define LOOK_AGAIN_MS 1000 /* while away, one caller tries this often */
#define CHARGES_MAX   8
#define KEY_SIZE      192
#define NUMBER_SIZE   24

struct shared {
    struct config_redis url;
    struct timeval timeout;
    pthread_mutex_t mutex; /* everything below */
    redisContext *idle[IDLE_MAX];
    size_t idle_len;
    bool away;
    int64_t look_again_ms; /* monotonic */
};

/* KEYS: windows. ARGV: how much to count (0 = look only), then limit and length of each window. Returns whether
 * one is full, then use and remaining milliseconds of each (negative: has not begun). */
static const char script[] =
    "local cost, out = tonumber(ARGV[1]), {0}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  out[2 * i] = tonumber(redis.call('GET', key) or '0')\n"
    "  out[2 * i + 1] = redis.call('PTTL', key)\n"
    "  if out[2 * i] + cost > tonumber(ARGV[2 * i]) and cost > 0 then out[1] = 1 end\n"
    "end\n"
    "if out[1] == 1 or cost == 0 then return out end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  out[2 * i] = redis.call('INCRBY', key, cost)\n"
    "  if out[2 * i + 1] < 0 then\n"
    "    redis.call('PEXPIRE', key, ARGV[2 * i + 1])\n"
    "    out[2 * i + 1] = tonumber(ARGV[2 * i + 1])\n"
    "  end\n"
    "end\n"
    "return out\n";

enum result shared_open(const struct config *config, struct shared **out, struct fault *fault)
{
    struct shared *shared = calloc(1, sizeof *shared);

    *out = NULL;
    if (shared == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
    if (!config_redis_parse(config->redis_url, &shared->url)) {
        free(shared);
        return fault_set(fault, RESULT_INVALID, "invalid_option", "REDIS_URL",
                         "REDIS_URL must be redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] or "
                         "unix:/PATH.");
    }
    shared->timeout = (struct timeval){ .tv_sec = config->redis_timeout_ms / 1000,
                                        .tv_usec = config->redis_timeout_ms % 1000 * 1000 };
    pthread_mutex_init(&shared->mutex, NULL);
    *out = shared;
    return RESULT_OK;
}

static void drop_idle(struct shared *shared)
{
    while (shared->idle_len > 0)
        redisFree(shared->idle[--shared->idle_len]);
}

void shared_close(struct shared *shared)
{
    if (shared == NULL)
        return;
    drop_idle(shared);
    pthread_mutex_destroy(&shared->mutex);
    free(shared);
}

/* ---- away and back ---- */

/* May this caller try? While Redis is away, one a second. */
static bool may_try(struct shared *shared)
{
    int64_t now = clock_mono_ms();
    bool may;

    pthread_mutex_lock(&shared->mutex);
    may = !shared->away || now >= shared->look_again_ms;
    if (shared->away && may)
        shared->look_again_ms = now + LOOK_AGAIN_MS;
    pthread_mutex_unlock(&shared->mutex);
    return may;
}

/* One log line when it goes, one when it is back. `why`: hiredis's or Redis's own words. */
static void mark(struct shared *shared, bool away, const char *why)
{
    bool changed;

    pthread_mutex_lock(&shared->mutex);
    changed = shared->away != away;
    shared->away = away;
    if (away) {
        shared->look_again_ms = clock_mono_ms() + LOOK_AGAIN_MS;
        drop_idle(shared);
    }
    pthread_mutex_unlock(&shared->mutex);
    if (changed && away)
        log_warn("redis_away", LOG_STR("error", why));
    else if (changed)
        log_info("redis_back", LOG_STR("host", shared->url.host));
}

/* ---- connections ---- */

static redisContext *take_idle(struct shared *shared)
{
    redisContext *context = NULL;

    pthread_mutex_lock(&shared->mutex);
    if (shared->idle_len > 0)
        context = shared->idle[--shared->idle_len];
    pthread_mutex_unlock(&shared->mutex);
    return context;
}

static void give_back(struct shared *shared, redisContext *context)
{
    pthread_mutex_lock(&shared->mutex);
    if (shared->idle_len < IDLE_MAX) {
        shared->idle[shared->idle_len++] = context;
        context = NULL;
    }
    pthread_mutex_unlock(&shared->mutex);
    if (context != NULL)
        redisFree(context);
}

static void keep_error(char *why, size_t size, const redisContext *context, const redisReply *reply)
{
    const char *words = "out of memory";

    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        words = reply->str;
    else if (reply != NULL)
        words = "an unexpected reply";
    else if (context != NULL && context->err != 0)
        words = context->errstr;
    snprintf(why, size, "%s", words);
}

/* AUTH or SELECT. */
static bool introduce(redisContext *context, int argc, const char **argv, char *why, size_t size)
{
    redisReply *reply = redisCommandArgv(context, argc, argv, NULL);
    bool done = reply != NULL && reply->type == REDIS_REPLY_STATUS;

    if (!done)
        keep_error(why, size, context, reply);
    freeReplyObject(reply);
    return done;
}

static bool log_in(const struct config_redis *url, redisContext *context, char *why, size_t size)
{
    const char *named[] = { "AUTH", url->user, url->password };
    const char *unnamed[] = { "AUTH", url->password };
    char number[NUMBER_SIZE];
    const char *select_argv[] = { "SELECT", number };

    snprintf(number, sizeof number, "%d", url->database);
    if (url->user[0] != '\0' && !introduce(context, 3, named, why, size))
        return false;
    if (url->user[0] == '\0' && url->password[0] != '\0' &&
        !introduce(context, 2, unnamed, why, size))
        return false;
    return url->database == 0 || introduce(context, 2, select_argv, why, size);
}

static redisContext *connect_new(const struct shared *shared, char *why, size_t size)
{
    const struct config_redis *url = &shared->url;
    redisContext *context = url->path[0] != '\0'
                                ? redisConnectUnixWithTimeout(url->path, shared->timeout)
                                : redisConnectWithTimeout(url->host, url->port, shared->timeout);

    if (context == NULL || context->err != 0 ||
        redisSetTimeout(context, shared->timeout) != REDIS_OK)
        keep_error(why, size, context, NULL);
    else if (log_in(url, context, why, size))
        return context;
    if (context != NULL)
        redisFree(context);
    return NULL;
}

/* ---- a call ---- */

struct call {
    int argc;
    const char *argv[4 + 3 * CHARGES_MAX];
    char keys[CHARGES_MAX][KEY_SIZE];
    char numbers[2 + 2 * CHARGES_MAX][NUMBER_SIZE];
};

static const char *number(char *out, int64_t value)
{
    snprintf(out, NUMBER_SIZE, "%lld", (long long)value);
    return out;
}

static void compose(struct call *call, const struct store_charge *charges, size_t count, int cost)
{
    size_t used = 0;

    call->argc = 0;
    call->argv[call->argc++] = "EVAL";
    call->argv[call->argc++] = script;
    call->argv[call->argc++] = number(call->numbers[used++], (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        snprintf(call->keys[i], KEY_SIZE, "parley:rate:%lld:%s", (long long)charges[i].window_ms,
                 charges[i].bucket);
        call->argv[call->argc++] = call->keys[i];
    }
    call->argv[call->argc++] = number(call->numbers[used++], cost);
    for (size_t i = 0; i < count; i++) {
        call->argv[call->argc++] = number(call->numbers[used++], charges[i].limit);
        call->argv[call->argc++] = number(call->numbers[used++], charges[i].window_ms);
    }
}

static bool is_sound(const redisReply *reply, size_t count)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 + 2 * count)
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    return true;
}

static enum shared_verdict read_reply(const redisReply *reply, struct store_charge *charges,
                                      size_t count, int64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        int64_t left_ms = reply->element[2 + 2 * i]->integer;

        charges[i].used = reply->element[1 + 2 * i]->integer;
        charges[i].ends_ms = now_ms + (left_ms >= 0 ? left_ms : charges[i].window_ms);
    }
    return reply->element[0]->integer != 0 ? SHARED_OVER : SHARED_PASSED;
}

/* Send and receive; a kept connection that turns out to be closed is replaced once. */
static redisReply *exchange(struct shared *shared, struct call *call, redisContext **context,
                            char *why, size_t size)
{
    redisContext *kept = take_idle(shared);
    redisReply *reply = NULL;

    if (kept != NULL) {
        errno = 0;
        reply = redisCommandArgv(kept, call->argc, call->argv, NULL);
        *context = kept;
        if (reply != NULL || errno == EAGAIN)
            return reply;
        redisFree(kept);
    }
    *context = connect_new(shared, why, size);
    return *context != NULL ? redisCommandArgv(*context, call->argc, call->argv, NULL) : NULL;
}

static enum shared_verdict run(struct shared *shared, struct store_charge *charges, size_t count,
                               int cost, int64_t now_ms)
{
    enum shared_verdict verdict = SHARED_AWAY;
    redisContext *context = NULL;
    redisReply *reply = NULL;
    struct call call;
    char why[160] = "";

    if (count > CHARGES_MAX || !may_try(shared))
        return SHARED_AWAY;
    compose(&call, charges, count, cost);
    reply = exchange(shared, &call, &context, why, sizeof why);
    if (is_sound(reply, count))
        verdict = read_reply(reply, charges, count, now_ms);
    else if (context != NULL)
        keep_error(why, sizeof why, context, reply);
    freeReplyObject(reply);
    if (context != NULL && context->err == 0)
        give_back(shared, context);
    else if (context != NULL)
        redisFree(context);
    mark(shared, verdict == SHARED_AWAY, why);
    return verdict;
}

enum shared_verdict shared_charge(struct shared *shared, struct store_charge *charges, size_t count,
                                  int64_t now_ms)
{
    return run(shared, charges, count, 1, now_ms);
}

enum shared_verdict shared_look(struct shared *shared, struct store_charge *charges, size_t count,
                                int64_t now_ms)
{
    return run(shared, charges, count, 0, now_ms);
}

#else

enum result shared_open(const struct config *config, struct shared **out, struct fault *fault)
{
    (void)config;
    *out = NULL;
    return fault_set(fault, RESULT_INVALID, "invalid_option", "REDIS_URL",
                     "REDIS_URL is set, but this Parley was built without Redis: install "
                     "libhiredis-dev and build again.");
}

void shared_close(struct shared *shared)
{
    (void)shared;
}

enum shared_verdict shared_charge(struct shared *shared, struct store_charge *charges, size_t count,
                                  int64_t now_ms)
{
    (void)shared, (void)charges, (void)count, (void)now_ms;
    return SHARED_AWAY;
}

enum shared_verdict shared_look(struct shared *shared, struct store_charge *charges, size_t count,
                                int64_t now_ms)
{
    (void)shared, (void)charges, (void)count, (void)now_ms;
    return SHARED_AWAY;
}

#endif
