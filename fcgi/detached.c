/*
 * detached: see detached.h. The store hands the answer over: whoever accepted the question has committed
 * it with a lease, and the new process becomes its writer before that lease runs out.
 */
#include "fcgi/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/memory/memory.h"
#include "fcgi/app.h"

#define LEASE_MS    6000
#define PROGRAM_MAX 4096
#define ASKER       "PARLEY_ASKER" /* in the environment */
#define ASKER_MAX   (CAP_ID + 32)

extern char **environ;

/* ---- the process that took the question ---- */

/* Who asks, for the other process: not as an argument, which every user of the machine may read. */
static void put_asker(char line[ASKER_MAX], const struct owner *asker)
{
    snprintf(line, ASKER_MAX, ASKER "=%d:%s", (int)asker->kind, asker->id);
}

/* Our environment without what says "you are a CGI program", and with `asker`. NULL when out of memory. */
static char **plain_environment(char *asker)
{
    size_t count = 0, kept = 0;
    char **copy;

    while (environ[count] != NULL)
        count++;
    copy = calloc(count + 2, sizeof copy[0]);
    for (size_t i = 0; copy != NULL && i < count; i++)
        if (!text_starts_with(environ[i], "GATEWAY_INTERFACE=") &&
            !text_starts_with(environ[i], "REQUEST_METHOD=") &&
            !text_starts_with(environ[i], ASKER "="))
            copy[kept++] = environ[i];
    if (copy != NULL)
        copy[kept] = asker;
    return copy;
}

/* In the child of a process with threads: async-signal-safe calls only. */
static void become(const char *program, char *const *arguments, char *const *environment)
{
    int null;

    setsid();
    if (fork() != 0) /* the grandchild belongs to init: nobody has to wait for it */
        _exit(0);
    null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd); /* the web server waits until all copies of these are closed */
    execve(program, arguments, environment);
    _exit(127);
}

bool detached_spawn(const char *message_id, const struct owner *asker)
{
    static char name[] = "parley", command[] = "answer";
    char program[PROGRAM_MAX], id[CAP_ID], line[ASKER_MAX];
    char *const arguments[] = { name, command, id, NULL };
    size_t size = sizeof program;
    char **environment;
    int status = -1;
    pid_t child;

    put_asker(line, asker);
    if (uv_exepath(program, &size) != 0 || (environment = plain_environment(line)) == NULL)
        return false;
    text_copy(id, sizeof id, message_id);
    child = fork();
    if (child == 0)
        become(program, arguments, environment);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    free(environment);
    return child > 0 && status == 0;
}

/* ---- the process that makes the answer ---- */

/* The place in the history of the question that is answered; behind it stands at most an answer to go on from. */
static size_t question_of(const struct store_turn_begun *begun)
{
    size_t at = begun->history_len;

    while (at > 0 && begun->history[at - 1].role != CHAT_USER)
        at--;
    return at > 0 ? at - 1 : begun->history_len;
}

/* Whoever knows a conversation's id may ask in it, but is not the one whose it is. */
static bool is_owner_asking(const struct owner *owner)
{
    const char *asker = getenv(ASKER);
    char line[ASKER_MAX];

    put_asker(line, owner);
    return asker != NULL && strcmp(line + sizeof ASKER, asker) == 0;
}

/* What the store has for the question; this process does without what others would add. Returns its place. */
static size_t remember(struct app *app, const struct store_adopted *adopted,
                       struct memory_question *question, struct turn_request *request)
{
    const struct store_turn_begun *begun = &adopted->begun;
    size_t at = question_of(begun);

    if (at == begun->history_len)
        return at;
    *question = (struct memory_question){
        .owner = adopted->owner,
        .user_id = adopted->user_id,
        .text = begun->history[at].content,
        .anonymous = id_of_session(begun->conversation_id) ||
                     (adopted->user_id == NULL && !is_owner_asking(&adopted->owner)),
    };
    memory_ground(app->memory, question, &request->ground);
    return at;
}

static enum result take_over(struct app *app, const char *message_id, struct answer_start *start,
                             struct fault *fault)
{
    struct store_adoption adoption = {
        .message_id = message_id,
        .writer = app->writer,
        .history_max = (size_t)app->config->context_messages,
        .now_ms = clock_wall_ms(),
    };
    struct turn_request request = { 0 };
    struct memory_question question = { .text = NULL };
    struct store_adopted adopted;
    const struct provider *provider;
    enum result result;
    size_t asked;

    adoption.lease_until_ms = adoption.now_ms + LEASE_MS;
    result = store_turn_adopt(app->store, &adoption, &adopted, fault);
    if (result != RESULT_OK)
        return result;
    provider = providers_find(&app->providers, adopted.provider);
    request.user_id = adopted.user_id;
    asked = remember(app, &adopted, &question, &request);
    if (adopted.continues)
        result = answer_go_on(&adopted.begun, fault);
    if (result == RESULT_OK && provider == NULL)
        result = fault_set(fault, RESULT_INVALID, "unknown_provider", NULL,
                           "The provider of this answer is no longer configured.");
    else if (result == RESULT_OK)
        result = answer_start_prepare(start, app->config, provider, &request, adopted.model,
                                      &adopted.begun, fault);
    if (result == RESULT_OK)
        answer_start_recall(start, app->config, app->store);
    start->unattended = true;
    if (result == RESULT_OK && question.text != NULL) {
        question.text = start->begun.history[asked].content;
        start->learn = memory_turn_new(app->memory, &question);
    }
    turn_ground_free(&request.ground);
    store_adopted_free(&adopted);
    return result;
}

static bool make_answer(struct app *app, uv_loop_t *loop, const char *message_id)
{
    struct answer_start start = { 0 };
    struct fault fault = { 0 };

    if (take_over(app, message_id, &start, &fault) != RESULT_OK) {
        log_error("answer_not_taken_over", LOG_STR("message_id", message_id),
                  LOG_STR("code", fault.code), LOG_STR("error", fault.text));
        answer_start_free(&start);
        return false;
    }
    if (answers_start(app->answers, &start) == NULL)
        return false;
    while (!answers_idle(app->answers) || !memory_idle(app->memory))
        uv_run(loop, UV_RUN_ONCE);
    return true;
}

int detached_run(const struct config *config, const char *message_id)
{
    struct fault fault = { 0 };
    struct app app;
    uv_loop_t loop;
    bool made;

    if (uv_loop_init(&loop) != 0)
        return 1;
    if (app_open(&app, config, &loop, clock_wall_ms(), &fault) != RESULT_OK) {
        log_error("start_failed", LOG_STR("code", fault.code), LOG_STR("error", fault.text));
        return 1;
    }
    made = make_answer(&app, &loop, message_id);
    while (loop.active_reqs.count > 0)
        uv_run(&loop, UV_RUN_ONCE);
    app_close(&app);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return made ? 0 : 1;
}
