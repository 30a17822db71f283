/*
 * log: lines that stay lines whatever the fields hold, cut at the cap, one write each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/caps.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/text.h"

static char last[2 * CAP_LOG_LINE];
static int lines;

static void keep_line(void *ctx, const char *line)
{
    (void)ctx;
    text_copy(last, sizeof last, line);
    lines++;
}

static int capture(void **state)
{
    (void)state;
    last[0] = '\0';
    lines = 0;
    log_set_sink(keep_line, NULL);
    log_set_level(LOG_INFO);
    log_set_json(true);
    return 0;
}

/* The last line, which must be one JSON object. */
static struct json_object *last_object(void)
{
    struct json_object *line;
    assert_int_equal(json_parse(last, strlen(last), &line, NULL), RESULT_OK);
    assert_true(json_object_is_type(line, json_type_object));
    return line;
}

static void a_line_says_when_what_who_and_the_facts(void **state)
{
    (void)state;
    int64_t ms, number;
    bool flag;
    double real;
    log_warn("store_busy", LOG_STR("request_id", "req_1"), LOG_INT("wait_ms", -12),
             LOG_FLOAT("share", 0.25), LOG_BOOL("again", true), LOG_STR("none", NULL));
    struct json_object *line = last_object();
    assert_true(clock_parse_rfc3339(json_string_or_null(line, "ts"), &ms));
    assert_string_equal(json_string_or_null(line, "level"), "warn");
    assert_string_equal(json_string_or_null(line, "event"), "store_busy");
    assert_string_equal(json_string_or_null(line, "request_id"), "req_1");
    assert_int_equal(json_get_int(line, "pid", &number), JSON_FOUND);
    assert_int_equal(number, getpid());
    assert_int_equal(json_get_int(line, "wait_ms", &number), JSON_FOUND);
    assert_int_equal(number, -12);
    assert_int_equal(json_get_double(line, "share", &real), JSON_FOUND);
    assert_true(real == 0.25);
    assert_int_equal(json_get_bool(line, "again", &flag), JSON_FOUND);
    assert_true(json_object_object_get_ex(line, "none", NULL));
    json_object_put(line);
}

static void hostile_text_cannot_forge_a_line(void **state)
{
    (void)state;
    log_info("x", LOG_STR("a", "1\"}\n{\"level\":\"error\"\r\t\x1b[2J\xff\xc2\x9b\x7f\\"));
    assert_null(strpbrk(last, "\n\r\t\x1b\x7f"));
    assert_true(text_utf8_valid(last, strlen(last)));
    assert_false(text_has_control(last, strlen(last)));
    struct json_object *line = last_object();
    assert_string_equal(json_string_or_null(line, "level"), "info");
    assert_string_equal(json_string_or_null(line, "a"),
                        "1\"}\n{\"level\":\"error\"\r\t\x1b[2J\xef\xbf\xbd\xc2\x9b\x7f\\");
    json_object_put(line);
}

static void numbers_that_json_lacks_are_null(void **state)
{
    (void)state;
    log_info("x", LOG_FLOAT("nan", NAN), LOG_FLOAT("inf", INFINITY));
    json_object_put(last_object());
}

static void lines_are_cut_at_the_cap_and_marked(void **state)
{
    (void)state;
    static char text[3 * CAP_LOG_LINE];
    for (size_t len = CAP_LOG_LINE - 200; len < CAP_LOG_LINE + 50; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        log_info("x", LOG_STR("long", text), LOG_INT("after", 1));
        assert_true(strlen(last) < CAP_LOG_LINE);
        struct json_object *line = last_object();
        bool cut = false;
        json_get_bool(line, "cut", &cut);
        assert_true(cut || json_object_object_get_ex(line, "after", NULL));
        json_object_put(line);
    }
    for (size_t len = 0; len + 3 < sizeof text; len += 3)
        memcpy(text + len, "\xe2\x82\xac", 4);
    log_info("x", LOG_STR("euros", text));
    assert_true(text_utf8_valid(last, strlen(last)));
    json_object_put(last_object());
    memset(text, '\n', sizeof text - 1);
    log_info("x", LOG_STR("escapes", text));
    json_object_put(last_object());
    log_set_json(false);
    log_info("x", LOG_STR("escapes", text));
    assert_true(strlen(last) < CAP_LOG_LINE);
    assert_non_null(strstr(last, " cut=true"));
}

static void what_is_below_the_level_is_dropped(void **state)
{
    (void)state;
    log_debug("quiet", LOG_INT("a", 1));
    assert_int_equal(lines, 0);
    log_set_level(LOG_ERROR);
    log_warn("quiet", LOG_INT("a", 1));
    assert_int_equal(lines, 0);
    assert_false(log_enabled(LOG_WARN));
    log_error("loud", LOG_INT("a", 1));
    assert_int_equal(lines, 1);
    log_set_level(LOG_DEBUG);
    log_debug("loud", LOG_INT("a", 1));
    assert_int_equal(lines, 2);
}

static void text_lines_quote_what_needs_it(void **state)
{
    (void)state;
    log_set_json(false);
    log_error("boom", LOG_STR("plain", "a/b:c"), LOG_STR("spaced", "a b"), LOG_STR("empty", ""),
              LOG_STR("forged", "x\ny level=error"), LOG_INT("n", 1));
    char *facts = strstr(last, " error boom pid=");
    assert_non_null(facts);
    assert_non_null(strstr(facts, " plain=a/b:c spaced=\"a b\" empty=\"\" "
                                  "forged=\"x\\ny level=error\" n=1"));
    assert_null(strchr(last, '\n'));
}

static void errno_is_preserved(void **state)
{
    (void)state;
    errno = EXDEV;
    log_error("x", LOG_STR("a", "b"));
    assert_int_equal(errno, EXDEV);
}

/* ---- files ---- */

struct place {
    char dir[64];
    char path[80];
    char moved[80];
};

static int make_place(void **state)
{
    static struct place place;
    capture(state);
    log_set_sink(NULL, NULL);
    strcpy(place.dir, "/tmp/parley-log-XXXXXX");
    if (!mkdtemp(place.dir))
        return -1;
    snprintf(place.path, sizeof place.path, "%s/log", place.dir);
    snprintf(place.moved, sizeof place.moved, "%s/old", place.dir);
    *state = &place;
    return 0;
}

static int drop_place(void **state)
{
    struct place *place = *state;
    log_open(NULL);
    unlink(place->path);
    unlink(place->moved);
    return rmdir(place->dir);
}

static int count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char line[CAP_LOG_LINE + 2];
    int count = 0;
    while (fgets(line, sizeof line, file)) {
        struct json_object *object;
        size_t len = strlen(line);
        assert_int_equal(line[len - 1], '\n');
        assert_int_equal(json_parse(line, len, &object, NULL), RESULT_OK);
        json_object_put(object);
        count++;
    }
    fclose(file);
    return count;
}

static void a_file_is_appended_to_and_private(void **state)
{
    struct place *place = *state;
    struct stat info;
    assert_int_equal(log_open(place->path), 0);
    log_info("one", LOG_INT("a", 1));
    assert_int_equal(log_open(NULL), 0);
    assert_int_equal(log_open(place->path), 0);
    log_info("two", LOG_INT("a", 1));
    assert_int_equal(count_lines(place->path), 2);
    assert_int_equal(stat(place->path, &info), 0);
    assert_int_equal(info.st_mode & 0137, 0);
}

static void reopening_follows_a_rotation(void **state)
{
    struct place *place = *state;
    assert_int_equal(log_open(place->path), 0);
    log_info("one", LOG_INT("a", 1));
    assert_int_equal(rename(place->path, place->moved), 0);
    log_info("two", LOG_INT("a", 1));
    assert_int_equal(log_reopen(), 0);
    log_info("three", LOG_INT("a", 1));
    assert_int_equal(count_lines(place->moved), 2);
    assert_int_equal(count_lines(place->path), 1);
}

static void a_file_that_cannot_be_opened_leaves_the_old_one(void **state)
{
    struct place *place = *state;
    assert_int_equal(log_open(place->path), 0);
    assert_int_equal(log_open("/nonexistent-directory/log"), ENOENT);
    log_info("still", LOG_INT("a", 1));
    assert_int_equal(count_lines(place->path), 1);
    assert_int_equal(log_reopen(), 0);
}

static void *write_many(void *ctx)
{
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 200; i++)
        log_info("many", LOG_STR("text", text), LOG_INT("i", i));
    return ctx;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    struct place *place = *state;
    pthread_t threads[4];
    assert_int_equal(log_open(place->path), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(log_reopen(), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count_lines(place->path), 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_says_when_what_who_and_the_facts, capture),
        cmocka_unit_test_setup(hostile_text_cannot_forge_a_line, capture),
        cmocka_unit_test_setup(numbers_that_json_lacks_are_null, capture),
        cmocka_unit_test_setup(lines_are_cut_at_the_cap_and_marked, capture),
        cmocka_unit_test_setup(what_is_below_the_level_is_dropped, capture),
        cmocka_unit_test_setup(text_lines_quote_what_needs_it, capture),
        cmocka_unit_test_setup(errno_is_preserved, capture),
        cmocka_unit_test_setup_teardown(a_file_is_appended_to_and_private, make_place, drop_place),
        cmocka_unit_test_setup_teardown(reopening_follows_a_rotation, make_place, drop_place),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_opened_leaves_the_old_one, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_do_not_mix, make_place,
                                        drop_place),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
