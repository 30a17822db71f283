/*
 * store_fixture: a store in a directory of its own, and short ways to ask and answer. Every test gets a
 * fresh one; log lines are kept from the output, the last one can be looked at.
 */
#ifndef PARLEY_TESTS_STORE_FIXTURE_H
#define PARLEY_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ftw.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/config.h"
#include "common/store/db.h"
#include "common/store/store.h"

#define T0    INT64_C(1700000000000) /* when every test begins */
#define LEASE 6000

struct store_fixture {
    char dir[64];
    char path[96];
    char url[112];
    char sync[8];
    struct config config;
    struct store *store;
    struct owner owner;
};

static char store_fixture_log[8192];

static inline void store_fixture_sink(void *ctx, const char *line)
{
    (void)ctx;
    snprintf(store_fixture_log, sizeof store_fixture_log, "%s", line);
}

static inline int store_fixture_remove(const char *path, const struct stat *info, int type,
                                       struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

/* Only the directory and the configuration; the store is opened by the test. */
static inline int store_fixture_prepare(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);

    log_set_sink(store_fixture_sink, NULL);
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/parley-store-XXXXXX");
    if (!id_init() || mkdtemp(fixture->dir) == NULL)
        return -1;
    snprintf(fixture->path, sizeof fixture->path, "%s/var/parley.db", fixture->dir);
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s", fixture->path);
    fixture->config.database_url = fixture->url;
    snprintf(fixture->sync, sizeof fixture->sync, "normal");
    fixture->config.database_sync = fixture->sync;
    fixture->config.store_busy_ms = 20000;
    *state = fixture;
    return 0;
}

static inline int store_fixture_open(void **state)
{
    struct store_fixture *fixture;
    struct fault fault = { 0 };

    if (store_fixture_prepare(state) != 0)
        return -1;
    fixture = *state;
    return store_open(&fixture->config, &fixture->store, &fault) == RESULT_OK ? 0 : -1;
}

static inline int store_fixture_close(void **state)
{
    struct store_fixture *fixture = *state;

    store_close(fixture->store);
    nftw(fixture->dir, store_fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

#define STORE_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, store_fixture_open, store_fixture_close)
#define STORE_TEST_UNOPENED(name)                                                                  \
    cmocka_unit_test_setup_teardown(name, store_fixture_prepare, store_fixture_close)

/* A handle beside the store, to look at rows and to get in its way. */
static inline struct db *store_fixture_handle(const struct store_fixture *fixture)
{
    struct db_options options = { .path = fixture->path, .busy_ms = 1000, .cache_kib = 256 };
    enum db_status status;
    struct db *db = db_open(&options, &status);

    assert_non_null(db);
    return db;
}

static inline int64_t store_fixture_int(const struct store_fixture *fixture, const char *sql)
{
    struct db *db = store_fixture_handle(fixture);
    int64_t value = db_exec_int(db, sql, -1);

    assert_int_equal(db_status(db), DB_OK);
    db_close(db);
    return value;
}

/* ---- a turn ---- */

struct ask {
    const char *contract; /* NULL: support */
    const char *conversation_id;
    const char *user_id;
    const char *client_message_id;
    const char *context_json;
    const char *writer; /* NULL: "writer" */
    struct chat_message *history;
    size_t history_len;
    size_t history_max; /* 0: 10 */
    int64_t at;         /* after T0 */
    int64_t session_ttl_ms;
    bool newcomer;
    struct chat_image *images;
    size_t image_count;
};

static inline enum result store_fixture_ask(struct store_fixture *fixture, const char *message,
                                            const struct ask *ask, struct store_turn_begun *begun,
                                            struct fault *fault)
{
    struct turn_request request = {
        .message = (char *)message,
        .message_len = strlen(message),
        .conversation_id = (char *)ask->conversation_id,
        .user_id = (char *)ask->user_id,
        .client_message_id = (char *)ask->client_message_id,
        .context_json = (char *)ask->context_json,
        .history = ask->history,
        .history_len = ask->history_len,
        .images = ask->images,
        .image_count = ask->image_count,
    };
    struct store_turn turn = {
        .contract = ask->contract != NULL ? ask->contract : "support",
        .owner = &fixture->owner,
        .request = &request,
        .provider = "demo",
        .model = "demo-1",
        .writer = ask->writer != NULL ? ask->writer : "writer",
        .history_max = ask->history_max != 0 ? ask->history_max : 10,
        .now_ms = T0 + ask->at,
        .lease_until_ms = T0 + ask->at + LEASE,
        .session_ttl_ms = ask->session_ttl_ms,
        .newcomer = ask->newcomer,
    };

    return store_turn_begin(fixture->store, &turn, begun, fault);
}

/* A question that must be taken. */
static inline struct store_turn_begun
store_fixture_begin(struct store_fixture *fixture, const char *message, const struct ask *ask)
{
    struct store_turn_begun begun;
    struct fault fault = { 0 };

    assert_int_equal(store_fixture_ask(fixture, message, ask, &begun, &fault), RESULT_OK);
    return begun;
}

static inline enum result store_fixture_end(struct store_fixture *fixture, int64_t row,
                                            const char *writer, enum turn_status status,
                                            const char *text)
{
    struct stream_usage usage = {
        .prompt_tokens = 11, .completion_tokens = 7, .total_tokens = 18, .known = true
    };
    struct store_answer_end end = {
        .message_row = row,
        .writer = writer,
        .status = status,
        .text = text,
        .text_len = strlen(text),
        .provider = "demo",
        .model = "demo-2",
        .finish = status == TURN_FAILED ? FINISH_ERROR : FINISH_STOP,
        .usage = &usage,
        .error_code = status == TURN_FAILED ? "upstream_down" : "",
        .now_ms = T0 + 500,
    };

    return store_answer_end(fixture->store, &end);
}

static inline struct store_answer store_fixture_get(struct store_fixture *fixture, const char *id,
                                                    size_t after, int64_t at)
{
    struct store_answer answer;
    struct fault fault = { 0 };

    assert_int_equal(store_answer_get(fixture->store, id, after, T0 + at, &answer, &fault),
                     RESULT_OK);
    return answer;
}

/* Ask and answer in one go; returns what began, history and all. */
static inline struct store_turn_begun store_fixture_turn(struct store_fixture *fixture,
                                                         const char *message, const struct ask *ask,
                                                         enum turn_status status, const char *text)
{
    struct store_turn_begun begun = store_fixture_begin(fixture, message, ask);

    assert_int_equal(store_fixture_end(fixture, begun.message_row, "writer", status, text),
                     RESULT_OK);
    return begun;
}

#endif
