/*
 * text: UTF-8 by the book, cleaning, encodings; and fault_set, which cuts sentences by it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/result.h"
#include "common/base/text.h"

#define VALID(s)   assert_true(text_utf8_valid(s, sizeof(s) - 1))
#define INVALID(s) assert_false(text_utf8_valid(s, sizeof(s) - 1))

static void well_formed_utf8_is_accepted(void **state)
{
    (void)state;
    VALID("");
    VALID("plain ASCII that is longer than a word");
    VALID("gr\xc3\xbc\xc3\x9f");
    VALID("a\0b");
    VALID("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
    VALID("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    VALID("12345678\xf0\x9f\x98\x80"
          "12345678");
}

static void malformed_utf8_is_refused(void **state)
{
    (void)state;
    INVALID("\x80");
    INVALID("\xc0\x80");
    INVALID("\xc1\xbf");
    INVALID("\xe0\x9f\xbf");
    INVALID("\xed\xa0\x80");
    INVALID("\xed\xbf\xbf");
    INVALID("\xf0\x8f\xbf\xbf");
    INVALID("\xf4\x90\x80\x80");
    INVALID("\xf5\x80\x80\x80");
    INVALID("\xff");
    INVALID("abcdefgh\xc3");
    INVALID("\xe2\x82");
    INVALID("\xe2\x82x");
    INVALID("\xc3\xc3\xa4");
}

/*
 * Against a decoder written from RFC 3629's table of code points, over all sequences of two and
 * three bytes.
 */
static bool reference_valid(const unsigned char *s, size_t len)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    for (size_t i = 0; i < len;) {
        size_t n = s[i] < 0x80       ? 1
                   : s[i] >> 5 == 6  ? 2
                   : s[i] >> 4 == 14 ? 3
                   : s[i] >> 3 == 30 ? 4
                                     : 0;
        if (n == 0 || i + n > len)
            return false;
        uint32_t code = n == 1 ? s[i] : s[i] & (0x7fu >> n);
        for (size_t j = 1; j < n; j++) {
            if (s[i + j] >> 6 != 2)
                return false;
            code = code << 6 | (s[i + j] & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}

static void every_sequence_of_three_bytes_is_judged_as_the_rfc_does(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 1u << 24; v += (v >> 16 < 0xc0 ? 257 : 1)) {
        unsigned char s[3] = { (unsigned char)(v >> 16), (unsigned char)(v >> 8),
                               (unsigned char)v };
        if (text_utf8_valid((char *)s, 3) != reference_valid(s, 3))
            fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void four_byte_sequences_are_judged_as_the_rfc_does(void **state)
{
    (void)state;
    for (unsigned lead = 0xef; lead <= 0xff; lead++)
        for (unsigned second = 0; second < 256; second++)
            for (unsigned tail = 0; tail < 256; tail++) {
                unsigned char s[4] = { (unsigned char)lead, (unsigned char)second,
                                       (unsigned char)tail, (unsigned char)(tail ^ 1) };
                if (text_utf8_valid((char *)s, 4) != reference_valid(s, 4))
                    fail_msg("%02x %02x %02x", lead, second, tail);
            }
}

static void characters_are_counted_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(text_utf8_count("", 0), 0);
    assert_int_equal(text_utf8_count("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10), 4);
}

static void a_prefix_never_cuts_a_character(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
    static const size_t wanted[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };
    for (size_t max = 0; max < 12; max++)
        assert_int_equal(text_utf8_prefix(text, 10, max), wanted[max]);
    assert_int_equal(text_utf8_prefix(text, 9, 100), 6);
}

static void partial_tells_the_bytes_of_an_unfinished_character(void **state)
{
    (void)state;
    assert_int_equal(text_utf8_partial("", 0), 0);
    assert_int_equal(text_utf8_partial("abc", 3), 0);
    assert_int_equal(text_utf8_partial("a\xc3", 2), 1);
    assert_int_equal(text_utf8_partial("a\xc3\xa4", 3), 0);
    assert_int_equal(text_utf8_partial("\xe2\x82", 2), 2);
    assert_int_equal(text_utf8_partial("x\xf0\x9f\x98", 4), 3);
    assert_int_equal(text_utf8_partial("\xf0\x9f\x98\x80", 4), 0);
    assert_int_equal(text_utf8_partial("\xed\xa0", 2), 0);
    assert_int_equal(text_utf8_partial("\x80\x80\x80", 3), 0);
    assert_int_equal(text_utf8_partial("\xff", 1), 0);
}

static void check_repair(const char *bytes, size_t len, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_true(text_utf8_repair(&out, bytes, len));
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
}

static void repair_replaces_each_malformed_sequence_once(void **state)
{
    (void)state;
#define R "\xef\xbf\xbd"
    check_repair("", 0, "");
    check_repair("fine \xc3\xa4", 7, "fine \xc3\xa4");
    check_repair("a\xff"
                 "b",
                 3, "a" R "b");
    check_repair("\x80\x80", 2, R R);
    check_repair("\xe2\x82", 2, R);
    check_repair("\xe2\x82z", 3, R "z");
    check_repair("\xf0\x9f\x98\xc3\xa4", 5, R "\xc3\xa4");
    check_repair("\xed\xa0\x80", 3, R R R);
    check_repair("\xc0\xaf", 2, R R);
#undef R
}

static void check_clean(const char *from, size_t len, const char *wanted)
{
    char *text = malloc(len + 1);
    memcpy(text, from, len);
    text[len] = 'X';
    size_t cleaned = text_clean(text, len);
    assert_string_equal(text, wanted);
    assert_int_equal(cleaned, strlen(wanted));
    free(text);
}

#define CLEAN(from, wanted) check_clean(from, sizeof(from) - 1, wanted)

static void cleaning_trims_unicode_white_space(void **state)
{
    (void)state;
    CLEAN("", "");
    CLEAN(" \t\r\n ", "");
    CLEAN("  hi there \n", "hi there");
    CLEAN("\xe3\x80\x80hi\xc2\xa0\xe2\x80\xa8", "hi");
    CLEAN("\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a\xe2\x80\xaf\xe2\x81\x9fx", "x");
    CLEAN("a\xe3\x80\x80"
          "b",
          "a\xe3\x80\x80"
          "b");
    CLEAN("\xe2\x80\x8b", "\xe2\x80\x8b");
}

static void cleaning_removes_controls_but_tab_and_newline(void **state)
{
    (void)state;
    CLEAN("a\0b\x01\x1b[31m\x7f"
          "c",
          "ab[31mc");
    CLEAN("a\tb\nc", "a\tb\nc");
    CLEAN("a\xc2\x85\xc2\x9f"
          "b",
          "ab");
    CLEAN("\x01 x \x01", "x");
    CLEAN("\x01\xc2\x80", "");
}

static void cleaning_makes_all_line_ends_lf(void **state)
{
    (void)state;
    CLEAN("a\r\nb\rc\nd", "a\nb\nc\nd");
    CLEAN("a\r\r\n\rb", "a\n\n\nb");
    CLEAN("a\r", "a");
}

static void controls_are_found(void **state)
{
    (void)state;
    assert_false(text_has_control("h\xc3\xa4llo \xf0\x9f\x98\x80\xc2\xa0", 13));
    assert_true(text_has_control("a\nb", 3));
    assert_true(text_has_control("a\tb", 3));
    assert_true(text_has_control("\x7f", 1));
    assert_true(text_has_control("a\0", 2));
    assert_true(text_has_control("\xc2\x9b", 2));
}

static void comparing_ignores_ascii_case_only(void **state)
{
    (void)state;
    assert_true(text_same_nocase("Content-TYPE", "content-type"));
    assert_false(text_same_nocase("abc", "abcd"));
    assert_false(text_same_nocase("abcd", "abc"));
    assert_false(text_same_nocase("\xc3\xa4", "\xc3\x84"));
    assert_false(text_same_nocase("@", "`"));
    assert_true(text_starts_with("unix:/x", "unix:"));
    assert_true(text_starts_with("x", ""));
    assert_false(text_starts_with("uni", "unix:"));
}

static bool contains(const char *text, const char *part)
{
    return text_contains(text, strlen(text), part, strlen(part));
}

static void a_part_is_found_in_any_case_of_any_script(void **state)
{
    (void)state;
    assert_true(contains("Ünïcode in ÄPFELN", "ünÏCODE"));
    assert_true(contains("Ünïcode in ÄPFELN", "äpfeln"));
    assert_true(contains("Привет, МИР", "мир"));
    assert_true(contains("ΑΘΗΝΑ", "αθηνα"));
    assert_true(contains("100% [a_b]", "0% [A_"));
    assert_true(contains("aab", "ab"));
    assert_true(contains("abababac", "ABABAC"));
    assert_false(contains("ababab", "ababac"));
    assert_true(contains("anything", ""));
    assert_false(contains("Äpfel", "Apfel"));
    assert_false(contains("Äpf", "äpfel"));
    assert_false(contains("", "a"));
    assert_true(contains("broken \xc3 Ä", "\xc3 ä"));
}

static void copies_are_cut_at_a_character(void **state)
{
    (void)state;
    char target[4];
    assert_true(text_copy(target, sizeof target, "abc"));
    assert_string_equal(target, "abc");
    assert_false(text_copy(target, sizeof target, "abcd"));
    assert_string_equal(target, "abc");
    assert_false(text_copy(target, sizeof target, "ab\xc3\xa4"));
    assert_string_equal(target, "ab");
    assert_false(text_copy(target, 1, "a"));
    assert_string_equal(target, "");
}

static void percent_decoding_refuses_what_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = { "%", "a%2", "%zz", "%2z", "%00", "x%0" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[20];
        text_copy(text, sizeof text, bad[i]);
        assert_false(text_percent_decode(text, false));
    }
    char good[] = "a%20b+c%2Fd%c3%A4%01";
    assert_true(text_percent_decode(good, false));
    assert_string_equal(good, "a b+c/d\xc3\xa4\x01");
    char query[] = "a+b%2B";
    assert_true(text_percent_decode(query, true));
    assert_string_equal(query, "a b+");
}

static void percent_encoding_comes_back_the_same(void **state)
{
    (void)state;
    char all[256];
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    all[255] = '\0';
    struct buf out;
    buf_init(&out, 1000);
    assert_true(text_percent_encode(&out, all, 255));
    char *encoded = buf_take(&out);
    assert_int_equal(strspn(encoded, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~%"),
                     strlen(encoded));
    assert_true(text_percent_decode(encoded, true));
    assert_string_equal(encoded, all);
    free(encoded);
    assert_true(text_percent_encode(&out, "a b\0", 4));
    assert_string_equal(buf_str(&out), "a%20b%00");
    buf_free(&out);
}

static void base64url_follows_the_rfc(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"
    };
    struct buf out;
    buf_init(&out, 100);
    for (size_t len = 0; len <= 6; len++) {
        buf_clear(&out);
        assert_true(text_base64url(&out, "foobar", len));
        assert_string_equal(buf_str(&out), wanted[len]);
    }
    buf_clear(&out);
    text_base64url(&out, "\xfb\xff\xbf", 3);
    assert_string_equal(buf_str(&out), "-_-_");
    buf_free(&out);
}

static void html_is_escaped(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_true(text_html(&out, "<a b=\"c\">'&x\xc3\xa4", 14));
    assert_string_equal(buf_str(&out), "&lt;a b=&quot;c&quot;&gt;&#39;&amp;x\xc3\xa4");
    buf_free(&out);
}

static void a_fault_is_filled_and_cut_at_a_character(void **state)
{
    (void)state;
    struct fault fault;
    char words[400] = "";
    for (size_t i = 0; i < 199; i++)
        memcpy(words + 2 * i, "\xc3\xa4", 3);
    assert_int_equal(fault_set(&fault, RESULT_INVALID, "bad", "field", "x%s", words),
                     RESULT_INVALID);
    assert_string_equal(fault.code, "bad");
    assert_string_equal(fault.field, "field");
    assert_int_equal(fault.retry_after_s, 0);
    assert_int_equal(strlen(fault.text), 319);
    assert_int_equal(fault_set(&fault, RESULT_INVALID, "bad", NULL, "%s", words), RESULT_INVALID);
    assert_int_equal(strlen(fault.text), 318);
    assert_true(text_utf8_valid(fault.text, strlen(fault.text)));
    assert_string_equal(fault.field, "");
    assert_int_equal(fault_set(NULL, RESULT_GONE, "x", NULL, "y"), RESULT_GONE);
}

static void every_result_has_its_own_name(void **state)
{
    (void)state;
    for (int a = 0; a < RESULT_COUNT; a++) {
        assert_non_null(result_name((enum result)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(result_name((enum result)a), result_name((enum result)b));
    }
    assert_string_equal(result_name(RESULT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_utf8_is_accepted),
        cmocka_unit_test(malformed_utf8_is_refused),
        cmocka_unit_test(every_sequence_of_three_bytes_is_judged_as_the_rfc_does),
        cmocka_unit_test(four_byte_sequences_are_judged_as_the_rfc_does),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(a_prefix_never_cuts_a_character),
        cmocka_unit_test(partial_tells_the_bytes_of_an_unfinished_character),
        cmocka_unit_test(repair_replaces_each_malformed_sequence_once),
        cmocka_unit_test(cleaning_trims_unicode_white_space),
        cmocka_unit_test(cleaning_removes_controls_but_tab_and_newline),
        cmocka_unit_test(cleaning_makes_all_line_ends_lf),
        cmocka_unit_test(controls_are_found),
        cmocka_unit_test(comparing_ignores_ascii_case_only),
        cmocka_unit_test(a_part_is_found_in_any_case_of_any_script),
        cmocka_unit_test(copies_are_cut_at_a_character),
        cmocka_unit_test(percent_decoding_refuses_what_is_malformed),
        cmocka_unit_test(percent_encoding_comes_back_the_same),
        cmocka_unit_test(base64url_follows_the_rfc),
        cmocka_unit_test(html_is_escaped),
        cmocka_unit_test(a_fault_is_filled_and_cut_at_a_character),
        cmocka_unit_test(every_result_has_its_own_name),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
