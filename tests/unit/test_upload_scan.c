/*
 * The scanner of uploads, fed in pieces split at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/responses/upload_scan.h"

static bool keep(void *ctx, const void *bytes, size_t len)
{
    return buf_put(ctx, bytes, len);
}

/* NULL `content`: it is refused. */
static void check(const char *body, const char *name, const char *content)
{
    size_t len = strlen(body);

    for (size_t first = 0; first <= len; first++) {
        static struct upload_scan scan;
        struct buf file;

        buf_init(&file, 1 << 20);
        upload_scan_init(&scan, keep, &file);
        upload_scan_feed(&scan, body, first);
        upload_scan_feed(&scan, body + first, len - first);
        if (upload_scan_end(&scan) != (content != NULL))
            fail_msg("split at %zu: %s", first, body);
        if (content != NULL) {
            assert_string_equal(buf_str(&file), content);
            assert_string_equal(buf_str(&scan.name), name);
        }
        upload_scan_free(&scan);
        buf_free(&file);
    }
}

static void name_and_content_are_found_wherever_they_stand(void **state)
{
    (void)state;
    check("{\"fileObject\":{\"name\":\"a.txt\",\"content\":\"SGVsbG8=\"}}", "a.txt", "Hello");
    check(" {\"x\":[{\"content\":\"AAAA\"}],\"content\":\"AAAA\",\"fileObject\":{\"y\":{\"name\":"
          "\"no\"},"
          "\"content\":\"SGVsbG8\",\"n\":[1,2.5e3,true,null],\"name\":\"b\"}} ",
          "b", "Hello");
    check("{\"fileObject\":{\"content\":\"\"}}", "", "");
}

static void escapes_are_undone(void **state)
{
    (void)state;
    check("{\"fileObject\":{\"name\":\"\\u00e9\\ud83d\\ude00\\n\\/\",\"content\":\"SGVs\\nbG8=\"}}",
          "\xc3\xa9\xf0\x9f\x98\x80\n/", "Hello");
    check("{\"fileObject\":{\"name\":\"x\",\"content\":\"Pz8\\/\"}}", "x", "???");
    check("{\"fileObject\":{\"name\":\"x\",\"content\":\"Pz8_\"}}", "x", "???");
}

static void a_name_that_is_no_string_is_noticed(void **state)
{
    static const struct {
        const char *name;
        bool wrong;
    } names[] = {
        { "5", true },       { "-1", true },
        { "true", true },    { "false", true },
        { "{}", true },      { "[]", true },
        { "[\"a\"]", true }, { "null", false },
        { "\"5\"", false },  { "\"a\",\"size\":5,\"more\":{\"name\":5}", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static struct upload_scan scan;
        struct buf file, body;

        buf_init(&file, 1 << 20);
        buf_init(&body, 1 << 20);
        buf_putf(&body, "{\"fileObject\":{\"name\":%s,\"content\":\"AAAA\"},\"name\":5}",
                 names[i].name);
        upload_scan_init(&scan, keep, &file);
        upload_scan_feed(&scan, body.data, body.len);
        assert_true(upload_scan_end(&scan));
        if (scan.name_wrong != names[i].wrong)
            fail_msg("%s", buf_str(&body));
        upload_scan_free(&scan);
        buf_free(&file);
        buf_free(&body);
    }
}

static void what_is_no_upload_is_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"fileObject\":{}}",
        "{\"fileObject\":[{\"content\":\"AA==\"}]}",
        "{\"fileObject\":{\"content\":5}}",
        "{\"fileObject\":{\"content\":\"AA==\"}",
        "{\"fileObject\":{\"content\":\"AA==\"}}{}",
        "{\"fileObject\":{\"content\":\"\\x\"}}",
        "{\"fileObject\":{\"content\":\"AA==\",\"content\":\"AA==\"}}",
        "{\"fileObject\":{\"content\":\"AA==\"]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        check(bodies[i], NULL, NULL);
}

static void depth_is_bounded(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 65536);
    buf_puts(&body, "{\"fileObject\":{\"content\":\"AA==\",\"x\":");
    for (int i = 0; i < UPLOAD_SCAN_DEPTH; i++)
        buf_putc(&body, '[');
    check(buf_str(&body), NULL, NULL);
    buf_free(&body);
}

static bool refuse(void *ctx, const void *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    return false;
}

static void a_full_disk_ends_the_scan(void **state)
{
    static const char body[] = "{\"fileObject\":{\"content\":\"AAAA\"}}";
    static struct upload_scan scan;

    (void)state;
    upload_scan_init(&scan, refuse, NULL);
    upload_scan_feed(&scan, body, sizeof body - 1);
    assert_false(upload_scan_end(&scan));
    assert_true(scan.sink_failed);
    upload_scan_free(&scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_and_content_are_found_wherever_they_stand),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(a_name_that_is_no_string_is_noticed),
        cmocka_unit_test(what_is_no_upload_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_full_disk_ends_the_scan),
    };

    return cmocka_run_group_tests_name("upload_scan", tests, NULL, NULL);
}
