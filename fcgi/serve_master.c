/*
 * serve_master: the first process of the service: its socket, pid file, user and scoreboard, and what a reload
 * means for them. Single-threaded; nothing of the application is opened here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/breaker.h"
#include "common/relay.h"
#include "fcgi/process/handover.h"
#include "fcgi/process/listen.h"
#include "fcgi/process/master.h"
#include "fcgi/process/worker.h"
#include "fcgi/serve_private.h"
#include "fcgi/start.h"
#include "fcgi/version.h"

#define WORKERS_LEAST 2

static int complain(const struct fault *fault)
{
    fprintf(stderr, "parley: %s\n", fault->text);
    return 1;
}

/* ---- what the options amount to ---- */

static int worker_count(const struct serve *serve, const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t asked = serve->call.workers >= 0 ? serve->call.workers : config->workers;
    int64_t wanted = asked > 0 ? asked : cores;

    if (asked == 0 && wanted < WORKERS_LEAST)
        wanted = WORKERS_LEAST;
    return wanted > MASTER_MAX_WORKERS ? MASTER_MAX_WORKERS : (int)wanted;
}

static void apply(const struct serve *serve, const struct config *config,
                  struct master_options *options)
{
    options->workers = worker_count(serve, config);
    options->drain_ms = config->drain_s * 1000;
    options->watchdog_ms = config->watchdog_s * 1000;
    options->max_requests = config->max_requests;
    options->max_memory_kb = config->max_memory_mb * 1024;
}

/* ---- reloading ---- */

/* These belong to the first process, which goes on as it is. */
static void warn_unchanged(const struct config *old, const struct config *new)
{
    const struct {
        const char *name, *before, *after;
    } fixed[] = {
        { "LISTEN", old->listen, new->listen },
        { "PID_FILE", old->pid_file, new->pid_file },
        { "UMASK", old->umask, new->umask },
        { "SOCKET_MODE", old->socket_mode, new->socket_mode },
        { "SOCKET_OWNER", old->socket_owner, new->socket_owner },
        { "RUN_USER", old->run_user, new->run_user },
        { "RUN_GROUP", old->run_group, new->run_group },
    };

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (strcmp(fixed[i].before, fixed[i].after) != 0)
            log_warn("reload_needs_restart", LOG_STR("option", fixed[i].name));
    }
}

static bool read_next(struct serve *serve, struct fault *fault)
{
    struct providers providers = { 0 };
    struct config *next = malloc(sizeof *next);

    if (next == NULL || config_load(next, serve->call.program, fault) != RESULT_OK) {
        free(next);
        return false;
    }
    if (app_check(next, fault) != RESULT_OK ||
        providers_load(next, &providers, fault) != RESULT_OK) {
        config_free(next);
        free(next);
        return false;
    }
    providers_free(&providers);
    serve->next = next;
    return true;
}

static void free_config(struct config *config)
{
    if (config == NULL)
        return;
    config_free(config);
    free(config);
}

static void open_breakers(struct serve *serve)
{
    serve->breakers = breakers_new(serve->config->breaker_failures, serve->config->breaker_open_ms);
}

static bool reload(void *ctx, struct master_options *next)
{
    struct serve *serve = ctx;
    struct fault fault = { .text = "Out of memory." };

    if (!read_next(serve, &fault)) {
        log_error("reload_refused", LOG_STR("code", fault.code), LOG_STR("error", fault.text));
        return false;
    }
    if (!start_log(serve->next)) {
        start_log(serve->config);
        free_config(serve->next);
        serve->next = NULL;
        log_error("reload_refused", LOG_STR("error", "LOG_FILE cannot be opened"));
        return false;
    }
    warn_unchanged(serve->config, serve->next);
    apply(serve, serve->next, next);
    serve->config = serve->next;
    /* A breaker is found by its provider's place, which may be another one now. */
    serve->breakers_before = serve->breakers;
    open_breakers(serve);
    return true;
}

static void reloaded(void *ctx, bool kept)
{
    struct serve *serve = ctx;

    if (kept) {
        breakers_free(serve->breakers_before);
        free_config(serve->loaded);
        serve->loaded = serve->next;
        log_info("reloaded", LOG_INT("workers", worker_count(serve, serve->config)));
    } else {
        breakers_free(serve->breakers);
        serve->breakers = serve->breakers_before;
        serve->config = serve->loaded != NULL ? serve->loaded : serve->first;
        start_log(serve->config);
        free_config(serve->next);
        log_error("reload_undone", LOG_STR("error", "the new workers could not start"));
    }
    serve->next = NULL;
    serve->breakers_before = NULL;
}

/* Whom the log belongs to, so that the workers can open it anew, too. */
static void give_log_away(const struct serve *serve)
{
    if (serve->privileges.change && serve->config->log_file[0] != '\0' &&
        chown(serve->config->log_file, serve->privileges.uid, serve->privileges.gid) != 0)
        log_warn("log_not_given_away", LOG_STR("file", serve->config->log_file));
}

static void reopen(void *ctx)
{
    struct serve *serve = ctx;
    int error = log_reopen();

    if (error != 0)
        log_error("log_not_reopened", LOG_STR("error", strerror(error)));
    give_log_away(serve);
}

/* ---- the master ---- */

static void close_sockets(void *ctx)
{
    struct serve *serve = ctx;

    for (size_t i = 0; i < serve->count; i++) {
        if (serve->fds[i] >= 0)
            close(serve->fds[i]);
        serve->fds[i] = -1;
    }
}

static int run_master(struct serve *serve)
{
    struct master_options options = {
        .run = serve_run_worker,
        .stopping = close_sockets,
        .ctx = serve,
        .board = serve->board,
        .board_fd = serve->board_fd,
        .reload = reload,
        .reloaded = reloaded,
        .reopen = reopen,
        .sockets = serve->fds,
        .socket_count = serve->count,
        .by_address = serve->address != NULL,
    };
    int status;

    apply(serve, serve->config, &options);
    open_breakers(serve);
    status = master_run(&options);
    breakers_free(serve->breakers);
    free_config(serve->loaded);
    return status;
}

/* ---- before anything is served ---- */

/* 0, or why no file can be written at this path. */
static int refusal_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];

    if (access(path, W_OK) == 0)
        return 0;
    if (errno != ENOENT)
        return errno;
    snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
             slash != NULL ? path : ".");
    return access(directory, W_OK | X_OK) == 0 ? 0 : errno;
}

static enum result check_file(const struct config *config, const char *option, const char *path,
                              struct fault *fault)
{
    int error = path[0] != '\0' ? refusal_of(path) : 0;

    /* With RUN_USER it is root who starts, and need not be who asks. */
    if (error == 0 || (error == EACCES && config->run_user[0] != '\0'))
        return RESULT_OK;
    return fault_set(fault, RESULT_INVALID, "invalid_option", option,
                     "%s=%.200s cannot be written: %s.", option, path, strerror(error));
}

static enum result find_socket_owner(const struct config *config, uid_t *uid, gid_t *gid,
                                     struct fault *fault)
{
    if (privileges_owner(config->socket_owner, uid, gid))
        return RESULT_OK;
    return fault_set(fault, RESULT_INVALID, "socket_owner", "SOCKET_OWNER",
                     "SOCKET_OWNER=%s: there is no such user or group.", config->socket_owner);
}

enum result serve_check(const struct config *config, struct fault *fault)
{
    struct privileges privileges;
    uid_t uid;
    gid_t gid;

    if (privileges_read(config->run_user, config->run_group, &privileges, fault) != RESULT_OK &&
        strcmp(fault->code, "not_root") != 0)
        return RESULT_INVALID;
    if (find_socket_owner(config, &uid, &gid, fault) != RESULT_OK ||
        check_file(config, "LOG_FILE", config->log_file, fault) != RESULT_OK)
        return RESULT_INVALID;
    return check_file(config, "PID_FILE", config->pid_file, fault);
}

static void set_umask(const char *octal)
{
    mode_t mask;

    if (privileges_mode(octal, &mask))
        umask(mask);
}

static enum result init(struct serve *serve, const struct config *config,
                        const struct serve_call *call, struct fault *fault)
{
    const struct handover *handover = handover_received();

    signal(SIGPIPE, SIG_IGN); /* the reader of the log may be restarted */
    memset(serve, 0, sizeof(*serve));
    serve->config = serve->first = config;
    serve->call = *call;
    serve->started_ms = clock_wall_ms();
    serve->pid_fd = serve->board_fd = -1;
    set_umask(config->umask);
    if (privileges_read(config->run_user, config->run_group, &serve->privileges, fault) !=
        RESULT_OK) {
        if (handover == NULL || strcmp(fault->code, "not_root") != 0)
            return RESULT_INVALID;
        log_warn("reload_needs_restart", LOG_STR("option", fault->field));
        serve->privileges.change = false;
    }
    serve->board = scoreboard_open(handover != NULL ? handover->board_fd : -1, PARLEY_VERSION,
                                   &serve->board_fd);
    if (serve->board == NULL)
        return fault_set(fault, RESULT_INTERNAL, "no_memory", NULL,
                         "There is no memory for the scoreboard.");
    if (!relay_load())
        return fault_set(
            fault, RESULT_INTERNAL, "no_libcurl", NULL,
            "libcurl.so.4 cannot be loaded: is the package libcurl4 installed? The log says more.");
    if (geteuid() == 0 && !serve->privileges.change)
        log_warn("running_as_root", LOG_STR("remedy", "set RUN_USER"));
    give_log_away(serve);
    return RESULT_OK;
}

static enum result give_socket_away(const struct serve *serve, struct fault *fault)
{
    const struct config *config = serve->config;
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;
    mode_t mode = 0660;

    if (find_socket_owner(config, &uid, &gid, fault) != RESULT_OK)
        return RESULT_INVALID;
    if (config->socket_owner[0] == '\0' && serve->privileges.change) {
        uid = serve->privileges.uid;
        gid = serve->privileges.gid;
    }
    privileges_mode(config->socket_mode, &mode);
    return listen_set_access(serve->address, mode, uid, gid, fault);
}

static enum result open_socket(struct serve *serve, struct fault *fault)
{
    const struct handover *handover = handover_received();
    enum result result;

    serve->count = 1;
    if (handover != NULL) {
        serve->fds[0] = handover->sockets[0];
        return RESULT_OK;
    }
    result = listen_open(serve->address, &serve->fds[0], fault);
    if (result == RESULT_OK)
        result = give_socket_away(serve, fault);
    if (result == RESULT_OK)
        log_info("listening", LOG_STR("address", serve->address));
    return result;
}

int serve_address(const struct config *config, const struct serve_call *call)
{
    struct fault fault = { 0 };
    struct serve serve;
    int status = 1;

    if (init(&serve, config, call, &fault) != RESULT_OK)
        return complain(&fault);
    serve.address = call->listen != NULL ? call->listen : config->listen;
    if (config->pid_file[0] != '\0' &&
        privileges_pid_file(config->pid_file, &serve.pid_fd, &fault) != RESULT_OK)
        return complain(&fault);
    if (open_socket(&serve, &fault) == RESULT_OK)
        status = run_master(&serve);
    else
        complain(&fault);
    close_sockets(&serve);
    listen_unlink(serve.address);
    if (serve.pid_fd >= 0)
        unlink(config->pid_file);
    scoreboard_close(serve.board);
    return status;
}

int serve_inherited(const struct config *config, const struct serve_call *call, const int *fds,
                    size_t count, bool alone)
{
    struct fault fault = { 0 };
    struct serve serve;
    int status;

    if (init(&serve, config, call, &fault) != RESULT_OK)
        return complain(&fault);
    serve.count = count;
    memcpy(serve.fds, fds, count * sizeof(fds[0]));
    if (!alone || config_is_set(config, "WORKERS"))
        return run_master(&serve);
    scoreboard_prepare(serve.board, 0, 0);
    scoreboard_enter(serve.board, 0);
    status = serve_run_worker(&serve, -1);
    return status == WORKER_CANNOT_START ? 1 : status;
}
