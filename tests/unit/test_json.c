/*
 * json: what is refused, typed getters, and writing that json-c reads back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <json-c/json.h>

#include "common/base/caps.h"
#include "common/base/json.h"
#include "common/base/text.h"

static enum result parse(const char *text, struct json_object **out)
{
    struct fault fault = { 0 };
    enum result result = json_parse(text, strlen(text), out, &fault);
    if (result != RESULT_OK) {
        assert_null(*out);
        assert_string_equal(fault.code, "invalid_json");
    }
    return result;
}

static void json_by_the_rfc_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        " [ ] ",
        "\t{\"a\" : 1 ,\n\"b\":[true,false,null]}\r\n",
        "1",
        "-0",
        "0.5e-3",
        "1E+2",
        "\"\\u00e4\\ud83d\\ude00\\n\\/\"",
        "null",
        "[[[]]]",
        "\"\xc3\xa4\"",
        "123456789012345678901",
        "{\"a\":{},\"a\":[]}",
        "\"\x7f\"",
        "\"\\u0000\"",
    };
    struct json_object *value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (parse(good[i], &value) != RESULT_OK)
            fail_msg("refused: %s", good[i]);
        json_object_put(value);
    }
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{a:1}",
        "{'a':1}",
        "['a']",
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[TRUE]",
        "[True]",
        "nul",
        "nulll",
        "[01]",
        "[-01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[1e]",
        "[1e+]",
        "[-]",
        "[0x10]",
        "[\"a\tb\"]",
        "[\"a\nb\"]",
        "\"\x01\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"abc",
        "\"\\",
        "/*c*/1",
        "1//",
        "[1]x",
        "{}{}",
        "1 2",
        "\xef\xbb\xbf{}",
        "[1,,2]",
        "{\"a\":1 \"b\":2}",
        "[1]\v",
        "\302\2401",
        "{1:2}",
        "{\"a\":1,,}",
        "tru",
        "t",
    };
    struct json_object *value;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(bad[i], &value) != RESULT_INVALID)
            fail_msg("accepted: %s", bad[i]);
}

static void bytes_that_are_not_utf8_or_hold_nul_are_refused(void **state)
{
    (void)state;
    struct json_object *value;
    struct fault fault;
    assert_int_equal(parse("\"\xff\"", &value), RESULT_INVALID);
    assert_int_equal(parse("\"\xed\xa0\x80\"", &value), RESULT_INVALID);
    assert_int_equal(json_parse("{}\0", 3, &value, &fault), RESULT_INVALID);
    assert_int_equal(json_parse("\"a\0b\"", 5, &value, &fault), RESULT_INVALID);
    assert_int_equal(json_parse("[1]x", 3, &value, NULL), RESULT_OK);
    json_object_put(value);
}

/* `depth` brackets of a kind around `inner`. */
static enum result parse_nested(int depth, const char *open, const char *inner, const char *close)
{
    struct buf text;
    struct json_object *value;
    buf_init(&text, 100000);
    for (int i = 0; i < depth; i++)
        buf_puts(&text, open);
    buf_puts(&text, inner);
    for (int i = 0; i < depth; i++)
        buf_puts(&text, close);
    enum result result = parse(buf_str(&text), &value);
    json_object_put(value);
    buf_free(&text);
    return result;
}

static void depth_32_is_accepted_and_33_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_nested(CAP_JSON_DEPTH, "[", "", "]"), RESULT_OK);
    assert_int_equal(parse_nested(CAP_JSON_DEPTH, "[", "\"x\"", "]"), RESULT_OK);
    assert_int_equal(parse_nested(CAP_JSON_DEPTH, "{\"a\":", "1", "}"), RESULT_OK);
    assert_int_equal(parse_nested(CAP_JSON_DEPTH + 1, "[", "", "]"), RESULT_INVALID);
    assert_int_equal(parse_nested(CAP_JSON_DEPTH + 1, "{\"a\":", "1", "}"), RESULT_INVALID);
    assert_int_equal(parse_nested(10000, "[", "", ""), RESULT_INVALID);

    struct json_object *json;
    struct fault fault;
    char deep[2 * CAP_ITEM_DEPTH + 2];
    memset(deep, '[', CAP_ITEM_DEPTH);
    memset(deep + CAP_ITEM_DEPTH, ']', CAP_ITEM_DEPTH);
    assert_int_equal(json_parse_deep(deep, 2 * CAP_ITEM_DEPTH, CAP_ITEM_DEPTH, &json, &fault),
                     RESULT_OK);
    json_object_put(json);
    assert_int_equal(json_parse_deep(deep, 2 * CAP_ITEM_DEPTH, CAP_ITEM_DEPTH - 1, &json, &fault),
                     RESULT_INVALID);
}

static void getters_tell_absent_from_wrong_type(void **state)
{
    (void)state;
    struct json_object *object, *value;
    const char *string;
    size_t len;
    bool flag = false;
    int64_t number = 0;
    double real = 0;
    assert_int_equal(parse("{\"s\":\"a\\u0000b\",\"i\":7,\"d\":1.5,\"b\":true,\"n\":null,\"o\":{},"
                           "\"a\":[1]}",
                           &object),
                     RESULT_OK);
    assert_int_equal(json_get_string(object, "s", &string, &len), JSON_FOUND);
    assert_int_equal(len, 3);
    assert_memory_equal(string, "a\0b", 4);
    assert_int_equal(json_get_string(object, "i", &string, NULL), JSON_WRONG_TYPE);
    assert_int_equal(json_get_string(object, "n", &string, NULL), JSON_ABSENT);
    assert_int_equal(json_get_string(object, "x", &string, NULL), JSON_ABSENT);
    assert_int_equal(json_get_bool(object, "b", &flag), JSON_FOUND);
    assert_true(flag);
    assert_int_equal(json_get_bool(object, "i", &flag), JSON_WRONG_TYPE);
    assert_int_equal(json_get_int(object, "i", &number), JSON_FOUND);
    assert_int_equal(number, 7);
    assert_int_equal(json_get_int(object, "d", &number), JSON_WRONG_TYPE);
    assert_int_equal(json_get_double(object, "d", &real), JSON_FOUND);
    assert_true(real == 1.5);
    assert_int_equal(json_get_double(object, "i", &real), JSON_FOUND);
    assert_true(real == 7);
    assert_int_equal(json_get_double(object, "s", &real), JSON_WRONG_TYPE);
    assert_int_equal(json_get_object(object, "o", &value), JSON_FOUND);
    assert_int_equal(json_get_object(object, "a", &value), JSON_WRONG_TYPE);
    assert_int_equal(json_get_array(object, "a", &value), JSON_FOUND);
    assert_int_equal(json_get_array(object, "n", &value), JSON_ABSENT);
    assert_int_equal(json_get_int(NULL, "i", &number), JSON_ABSENT);
    assert_int_equal(json_get_int(value, "i", &number), JSON_ABSENT);
    assert_null(json_string_or_null(object, "i"));
    assert_null(json_string_or_null(object, "x"));
    assert_memory_equal(json_string_or_null(object, "s"), "a", 2);
    json_object_put(object);
}

static void a_bare_null_is_no_error(void **state)
{
    (void)state;
    struct json_object *value = (struct json_object *)&value;
    assert_int_equal(parse(" null ", &value), RESULT_OK);
    assert_null(value);
}

static void check_string(const char *text, size_t len, const char *plain, const char *ascii)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_true(json_put_string(&out, text, len));
    assert_string_equal(buf_str(&out), plain);
    buf_clear(&out);
    assert_true(json_put_string_ascii(&out, text, len));
    assert_string_equal(buf_str(&out), ascii);
    buf_free(&out);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    check_string("", 0, "\"\"", "\"\"");
    check_string("plain", 5, "\"plain\"", "\"plain\"");
    check_string("a\"b\\c\n\r\t\b\f", 10, "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\"",
                 "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\"");
    check_string("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\\u007f\"",
                 "\"\\u0000\\u0001\\u001f\\u007f\"");
    check_string("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
                 "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\\u00e4\\u20ac\\ud83d\\ude00\"");
    check_string("x\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaay", 11, "\"x\\u2028\\u2029\xe2\x80\xaay\"",
                 "\"x\\u2028\\u2029\\u202ay\"");
    check_string("</~", 3, "\"</~\"", "\"</~\"");
}

static void check_escaped(const char *json, const char *wanted)
{
    struct json_object *value;
    assert_int_equal(parse(json, &value), RESULT_OK);
    assert_string_equal(json_object_get_string(value), wanted);
    json_object_put(value);
}

static void escaped_pairs_that_json_c_misreads_come_out_right(void **state)
{
    (void)state;
    check_escaped("\"\\ud836\\udc60\"", "\xf0\x9d\xa1\xa0");
    check_escaped("\"a\\uD876\\uDC00b\\uD83D\\uDE00\"", "a\xf0\xad\xa0\x80"
                                                        "b\xf0\x9f\x98\x80");
    check_escaped("\"\\\\ud836\\\\udc60\"", "\\ud836\\udc60");
    check_escaped("\"\\ud836x\"", "\xef\xbf\xbdx");
}

/* Every code point on its own, written both ways and read back by json-c. */
static void every_character_comes_back_the_same(void **state)
{
    (void)state;
    struct buf out;
    struct json_object *value;
    buf_init(&out, 1000);
    for (unsigned code = 0; code <= 0x10ffff; code += code < 0x3000 ? 1 : 97) {
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        char bytes[5];
        size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (size_t i = len - 1; i > 0; i--)
            bytes[i] = (char)(0x80 | (code >> 6 * (len - 1 - i) & 0x3f));
        bytes[0] = (char)(len == 1 ? code : (0xf00u >> len & 0xff) | code >> 6 * (len - 1));
        for (int ascii = 0; ascii < 2; ascii++) {
            buf_clear(&out);
            assert_true(ascii ? json_put_string_ascii(&out, bytes, len)
                              : json_put_string(&out, bytes, len));
            assert_int_equal(json_parse(buf_str(&out), out.len, &value, NULL), RESULT_OK);
            if (json_object_get_string_len(value) != (int)len)
                fail_msg("U+%04X", code);
            assert_memory_equal(json_object_get_string(value), bytes, len);
            json_object_put(value);
        }
    }
    buf_free(&out);
}

static void members_are_joined_by_commas(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    buf_putc(&out, '{');
    json_put_member(&out, "a", "x\"");
    json_put_member(&out, "none", NULL);
    json_put_member_len(&out, "l", "abc", 2);
    json_put_member_int(&out, "i", INT64_MIN);
    json_put_member_bool(&out, "b", false);
    assert_true(json_put_member_raw(&out, "r", "[{\"q\":1}]"));
    buf_putc(&out, '}');
    assert_string_equal(buf_str(&out), "{\"a\":\"x\\\"\",\"none\":null,\"l\":\"ab\","
                                       "\"i\":-9223372036854775808,\"b\":false,\"r\":[{\"q\":1}]}");
    buf_free(&out);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 5);
    assert_false(json_put_string(&out, "abcdef", 6));
    assert_true(out.failed);
    buf_clear(&out);
    assert_true(json_put_string(&out, "abc", 3));
    assert_false(json_put_member_int(&out, "a", 1));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_by_the_rfc_is_accepted),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(bytes_that_are_not_utf8_or_hold_nul_are_refused),
        cmocka_unit_test(depth_32_is_accepted_and_33_refused),
        cmocka_unit_test(getters_tell_absent_from_wrong_type),
        cmocka_unit_test(a_bare_null_is_no_error),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(escaped_pairs_that_json_c_misreads_come_out_right),
        cmocka_unit_test(every_character_comes_back_the_same),
        cmocka_unit_test(members_are_joined_by_commas),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
