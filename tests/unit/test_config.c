/*
 * config: sources and their order, the .env syntax, bounds and their messages, check-config, and
 * the documents that are made from the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "common/config_table.h"

static char dir[64];
static char start_dir[4096];

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void clear_environment(void)
{
    for (size_t i = 0; i < config_option_count; i++) {
        unsetenv(config_options[i].name);
        if (config_options[i].alias)
            unsetenv(config_options[i].alias);
    }
    unsetenv("PARLEY_ENV");
}

/* Every test begins in an empty directory, without any option set. */
static int enter(void **state)
{
    (void)state;
    clear_environment();
    strcpy(dir, "/tmp/parley-config-XXXXXX");
    if (!getcwd(start_dir, sizeof start_dir) || !mkdtemp(dir))
        return -1;
    return chdir(dir);
}

static int leave(void **state)
{
    (void)state;
    unlink(".env");
    unlink("bin/.env");
    unlink("other");
    rmdir("bin");
    if (chdir(start_dir) != 0)
        return -1;
    return rmdir(dir);
}

static void load(struct config *config)
{
    struct fault fault = { 0 };
    if (config_load(config, NULL, &fault) != RESULT_OK)
        fail_msg("%s", fault.text);
}

/* What config_load() says of NAME=value. */
static const char *refusal(const char *name, const char *value)
{
    static struct fault fault;
    struct config config;
    setenv(name, value, 1);
    enum result result = config_load(&config, NULL, &fault);
    unsetenv(name);
    if (result == RESULT_OK) {
        config_free(&config);
        return "";
    }
    assert_int_equal(result, RESULT_INVALID);
    assert_string_equal(fault.field, config_option_find(name)->name);
    return fault.text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in: %s", part, text);
}

/* ---- the table ---- */

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        size_t help_len = strlen(option->help);
        assert_true(help_len > 10 && option->help[help_len - 1] == '.');
        assert_null(strchr(option->help, '\n'));
        assert_true(option->type != CONFIG_CHOICE || option->choices);
        assert_true(option->type != CONFIG_INT || option->min < option->max);
        assert_ptr_equal(config_option_find(option->name), option);
        if (option->alias)
            assert_ptr_equal(config_option_find(option->alias), option);
        for (size_t j = 0; j < i; j++) {
            assert_true(config_options[j].field != option->field);
            if (strcmp(config_options[j].section, option->section) == 0)
                assert_string_equal(config_options[i - 1].section, option->section);
        }
    }
}

static void every_default_is_a_value_that_is_allowed(void **state)
{
    (void)state;
    struct config config;
    load(&config);
    for (size_t i = 0; i < config_option_count; i++) {
        struct buf shown;
        buf_init(&shown, 10000);
        config_value_show(&config_options[i], &config, &shown);
        if (!config_options[i].secret)
            assert_string_equal(buf_str(&shown), config_options[i].fallback);
        assert_false(config_is_set(&config, config_options[i].name));
        buf_free(&shown);
    }
    assert_string_equal(config.app_name, "Parley");
    assert_int_equal(config.request_threads, 16);
    assert_int_equal(config.disconnect_grace_s, 30);
    assert_true(config.openai_temperature == 0.7);
    assert_false(config.debug);
    assert_string_equal(config.openai_api_key, "");
    config_free(&config);
}

/* ---- sources ---- */

static void the_environment_is_stronger_than_the_file_and_that_than_the_default(void **state)
{
    (void)state;
    struct config config;
    write_file(".env", "APP_NAME=file\nBRAND_NAME=file\n");
    setenv("APP_NAME", "environment", 1);
    load(&config);
    assert_string_equal(config.app_name, "environment");
    assert_string_equal(config.brand_name, "file");
    assert_string_equal(config.log_level, "info");
    assert_true(config_is_set(&config, "APP_NAME"));
    assert_true(config_is_set(&config, "BRAND_NAME"));
    assert_false(config_is_set(&config, "LOG_LEVEL"));
    assert_false(config_is_set(&config, "NO_SUCH_OPTION"));
    config_free(&config);
}

static void an_empty_value_counts_as_not_set(void **state)
{
    (void)state;
    struct config config;
    write_file(".env", "APP_NAME=file\nBRAND_NAME=\nWORKERS=\"\"\n");
    setenv("APP_NAME", "", 1);
    load(&config);
    assert_string_equal(config.app_name, "file");
    assert_string_equal(config.brand_name, "Parley");
    assert_int_equal(config.workers, 0);
    assert_false(config_is_set(&config, "BRAND_NAME"));
    config_free(&config);
}

static void an_alias_works_and_the_name_beats_it(void **state)
{
    (void)state;
    struct config config;
    write_file(".env", "OPENAI_BASE_URL=http://file/v1\nTEMPERATURE=1.5\nMAX_TOKENS=7\n"
                       "OPENAI_MAX_TOKENS=8\n");
    load(&config);
    assert_string_equal(config.openai_api_base, "http://file/v1");
    assert_true(config.openai_temperature == 1.5);
    assert_int_equal(config.openai_max_tokens, 8);
    assert_true(config_is_set(&config, "OPENAI_API_BASE"));
    assert_true(config_is_set(&config, "OPENAI_BASE_URL"));
    config_free(&config);

    setenv("OPENAI_BASE_URL", "http://alias", 1);
    load(&config);
    assert_string_equal(config.openai_api_base, "http://alias");
    config_free(&config);
    setenv("OPENAI_API_BASE", "http://name", 1);
    load(&config);
    assert_string_equal(config.openai_api_base, "http://name");
    config_free(&config);
}

static void the_file_is_looked_for_where_it_should_be(void **state)
{
    (void)state;
    struct config config;
    struct fault fault;
    char program[128];
    snprintf(program, sizeof program, "%s/bin/parley", dir);
    assert_int_equal(mkdir("bin", 0700), 0);
    write_file(".env", "APP_NAME=here\n");
    assert_int_equal(config_load(&config, program, &fault), RESULT_OK);
    assert_string_equal(config.app_name, "here");
    config_free(&config);

    write_file("bin/.env", "APP_NAME=beside\n");
    assert_int_equal(config_load(&config, program, &fault), RESULT_OK);
    assert_string_equal(config.app_name, "beside");
    config_free(&config);
    assert_int_equal(config_load(&config, "bin/parley", &fault), RESULT_OK);
    assert_string_equal(config.app_name, "beside");
    config_free(&config);

    write_file("other", "APP_NAME=named\n");
    setenv("PARLEY_ENV", "other", 1);
    assert_int_equal(config_load(&config, program, &fault), RESULT_OK);
    assert_string_equal(config.app_name, "named");
    config_free(&config);
}

static void a_named_file_that_is_missing_stops_the_start(void **state)
{
    (void)state;
    struct config config;
    struct fault fault;
    write_file(".env", "APP_NAME=here\n");
    setenv("PARLEY_ENV", "missing-file", 1);
    assert_int_equal(config_load(&config, NULL, &fault), RESULT_INVALID);
    assert_has(fault.text, "missing-file");
    setenv("PARLEY_ENV", dir, 1);
    assert_int_equal(config_load(&config, NULL, &fault), RESULT_INVALID);
    assert_has(fault.text, "cannot be read");
}

static void a_file_that_is_no_text_or_huge_is_refused(void **state)
{
    (void)state;
    struct config config;
    struct fault fault;
    FILE *file = fopen(".env", "w");
    fwrite("A=b\0c\n", 1, 6, file);
    fclose(file);
    assert_int_equal(config_load(&config, NULL, &fault), RESULT_INVALID);
    file = fopen(".env", "w");
    for (int i = 0; i < 200000; i++)
        fputs("# hello\n", file);
    fclose(file);
    assert_int_equal(config_load(&config, NULL, &fault), RESULT_INVALID);
    assert_has(fault.text, "cannot be read");
}

/* ---- the syntax of .env ---- */

static void check_env(const char *text, const char *name, const char *wanted)
{
    struct config_env env;
    struct fault fault = { 0 };
    if (config_env_parse(strdup("/etc/parley.env"), strdup(text), strlen(text), &env, &fault) !=
        RESULT_OK)
        fail_msg("%s: %s", text, fault.text);
    const struct config_env_entry *entry = config_env_get(&env, name);
    if (wanted) {
        assert_non_null(entry);
        assert_string_equal(entry->value, wanted);
    } else {
        assert_null(entry);
    }
    config_env_free(&env);
}

static void values_are_read_in_every_spelling(void **state)
{
    (void)state;
    check_env("A=b", "A", "b");
    check_env("A=b\r\nC=d\r\n", "C", "d");
    check_env("A=b\r\nC=d\r\n", "A", "b");
    check_env("\xef\xbb\xbf"
              "A=b\n",
              "A", "b");
    check_env("  export A = b c  \t\n", "A", "b c");
    check_env("export\tA=b", "A", "b");
    check_env("exported=b", "exported", "b");
    check_env("A=b # comment\n", "A", "b");
    check_env("A=b#c d#e\n", "A", "b#c d#e");
    check_env("A= # comment\n", "A", NULL);
    check_env("A=#fff\n", "A", "#fff");
    check_env("#A=b\n\n  # x\n", "A", NULL);
    check_env("A=x=y==", "A", "x=y==");
    check_env("A='it # \\n \"is\"' # why", "A", "it # \\n \"is\"");
    check_env("A=\"a\\nb\\t\\\"c\\\" \\\\ \\x # d\"  # e", "A", "a\nb\t\"c\" \\ \\x # d");
    check_env("A=\"\"", "A", NULL);
    check_env("A=it's", "A", "it's");
    check_env("A=1\nA=2\n", "A", "2");
    check_env("A=1\nA=\n", "A", "1");
    check_env("A=$HOME ${B}", "A", "$HOME ${B}");
    check_env("A=gr\xc3\xbc\xc3\x9f"
              "e",
              "A",
              "gr\xc3\xbc\xc3\x9f"
              "e");
    check_env("", "A", NULL);
}

static void a_malformed_line_is_named_by_number_without_its_value(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "just words hunter2", "hunter2",         "A.B=hunter2", "1A=hunter2",
        "=hunter2",           "A='hunter2",      "A=\"hunter2", "A=\"hunter2\" more",
        "A='hunter2'x",       "A=\"hunter2\\\"", "export",      "export =x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        struct config_env env;
        struct fault fault;
        snprintf(text, sizeof text, "# head\r\nOK=1\n\n%s\nB=2\n", bad[i]);
        if (config_env_parse(strdup("/etc/parley.env"), strdup(text), strlen(text), &env, &fault) !=
            RESULT_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_has(fault.text, "/etc/parley.env line 4: ");
        assert_lacks(fault.text, "hunter2");
    }
}

static void unknown_names_are_ignored(void **state)
{
    (void)state;
    struct config config;
    write_file(".env", "SOME_OTHER_PROGRAM=1\nAPP_NAME=x\n");
    load(&config);
    assert_string_equal(config.app_name, "x");
    config_free(&config);
}

/* ---- values ---- */

static void bounds_are_inclusive_and_told(void **state)
{
    (void)state;
    struct config config;
    assert_string_equal(refusal("WORKERS", "257"),
                        "WORKERS=257 is not allowed: it must be a whole number from 0 to 256.");
    assert_string_equal(refusal("DISCONNECT_GRACE_SECONDS", "-2"),
                        "DISCONNECT_GRACE_SECONDS=-2 is not allowed: it must be a whole number "
                        "from -1 to 86400.");
    assert_has(refusal("OPENAI_TEMPERATURE", "2.01"), "a number from 0 to 2.");
    assert_has(refusal("TEMPERATURE", "warm"), "OPENAI_TEMPERATURE=warm");
    static const char *const odd[] = { "x",   "1x", "1.5", "0x10", "1e3",
                                       "--1", "+",  "-",   " ",    "99999999999999999999",
                                       "1 2" };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_has(refusal("REQUEST_THREADS", odd[i]), "REQUEST_THREADS");
    static const char *const odd_floats[] = { "nan", "inf", "0x1p0", "1,5", "1e", "-0.1", "." };
    for (size_t i = 0; i < sizeof odd_floats / sizeof *odd_floats; i++)
        assert_has(refusal("OPENAI_TEMPERATURE", odd_floats[i]), "OPENAI_TEMPERATURE");

    setenv("WORKERS", " 256 ", 1);
    setenv("DISCONNECT_GRACE_SECONDS", "-1", 1);
    setenv("OPENAI_TEMPERATURE", "2", 1);
    load(&config);
    assert_int_equal(config.workers, 256);
    assert_int_equal(config.disconnect_grace_s, -1);
    assert_true(config.openai_temperature == 2);
    config_free(&config);
}

static void choices_and_switches_ignore_case(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool value;
    } words[] = { { "1", true },  { "TRUE", true },   { "Yes", true }, { "on", true },
                  { "0", false }, { "False", false }, { "no", false }, { "OFF", false } };
    struct config config;
    setenv("LOG_LEVEL", "WARN", 1);
    setenv("DATABASE_SYNC", "Full", 1);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        setenv("DEBUG", words[i].word, 1);
        load(&config);
        assert_int_equal(config.debug, words[i].value);
        assert_string_equal(config.log_level, "warn");
        assert_string_equal(config.database_sync, "full");
        config_free(&config);
    }
    unsetenv("DEBUG");
    assert_has(refusal("LOG_LEVEL", "loud"), "must be one of error, warn, info, debug.");
    assert_has(refusal("LOG_LEVEL", "warn|info"), "one of");
    assert_has(refusal("LOG_LEVEL", "inf"), "one of");
    assert_has(refusal("DEBUG", "maybe"), "true or false");
}

static void forms_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool good;
    } cases[] = {
        { "LISTEN", "unix:/run/parley.sock", true },
        { "LISTEN", "127.0.0.1:9000", true },
        { "LISTEN", "[::1]:9000", true },
        { "LISTEN", "*:1", true },
        { "LISTEN", ":65535", true },
        { "LISTEN", "unix:", false },
        { "LISTEN", "9000", false },
        { "LISTEN", "localhost:0", false },
        { "LISTEN", "localhost:65536", false },
        { "LISTEN", "::1:9000", false },
        { "LISTEN", "/run/parley.sock", false },
        { "OPENAI_API_BASE", "http://127.0.0.1:11434/v1", true },
        { "OPENAI_API_BASE", "HTTPS://example.com", true },
        { "OPENAI_API_BASE", "api.example.com/v1", false },
        { "OPENAI_API_BASE", "file:///etc/passwd", false },
        { "OPENAI_API_BASE", "https://", false },
        { "OPENAI_API_BASE", "https:///v1", false },
        { "OPENAI_API_BASE", "https://a b", false },
        { "BASE_PATH", "/chat", true },
        { "BASE_PATH", "chat", false },
        { "BASE_PATH", "/a?b", false },
        { "CORS_ORIGIN", "https://a.example, http://localhost:3000  https://b.example", true },
        { "CORS_ORIGIN", "*", true },
        { "CORS_ORIGIN", "https://a.example/", false },
        { "CORS_ORIGIN", "a.example", false },
        { "CORS_ORIGIN", "https://*.example", false },
        { "DATABASE_URL", "sqlite:/var/lib/parley/parley.db", true },
        { "DATABASE_URL", "sqlite:", false },
        { "DATABASE_URL", "sqlite::memory:", false },
        { "DATABASE_URL", "mysql://x", false },
        { "APP_NAME",
          "Gr\xc3\xbc\xc3\x9f"
          "e",
          true },
        { "APP_NAME", "two\nlines", false },
        { "APP_NAME", "bad \xff", false },
        { "SYSTEM_PROMPT", "two\nlines", true },
        { "SYSTEM_PROMPT", "escape \x1b[0m", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool good = *refusal(cases[i].name, cases[i].value) == '\0';
        if (good != cases[i].good)
            fail_msg("%s=%s", cases[i].name, cases[i].value);
    }
}

static void slashes_and_spaces_at_the_end_are_dropped(void **state)
{
    (void)state;
    struct config config;
    setenv("OPENAI_API_BASE", " http://127.0.0.1:1/v1// ", 1);
    setenv("BASE_PATH", "/chat/", 1);
    setenv("OPENAI_API_KEY", "sk-1\r\n", 1);
    load(&config);
    assert_string_equal(config.openai_api_base, "http://127.0.0.1:1/v1");
    assert_string_equal(config.base_path, "/chat");
    assert_string_equal(config.openai_api_key, "sk-1");
    config_free(&config);
    setenv("BASE_PATH", "/", 1);
    load(&config);
    assert_string_equal(config.base_path, "");
    config_free(&config);
}

static void a_secret_is_not_in_its_own_refusal(void **state)
{
    (void)state;
    const char *text = refusal("OPENAI_API_KEY", "hunter2\nX-Evil: 1");
    assert_has(text, "OPENAI_API_KEY");
    assert_lacks(text, "hunter2");
}

static void a_wrong_value_is_repeated_short_and_harmless(void **state)
{
    (void)state;
    char value[5000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    const char *text = refusal("WORKERS", value);
    assert_has(text, "... is not allowed: it must be a whole number from 0 to 256.");
    text = refusal("APP_NAME", "a\x1b[2J\nb\xff\xc2\x9b");
    assert_null(strpbrk(text, "\x1b\n\xc2\x9b"));
    char *huge = malloc(100000);
    memset(huge, 'x', 99999);
    huge[99999] = '\0';
    assert_has(refusal("SYSTEM_PROMPT", huge), "SYSTEM_PROMPT=xxx");
    free(huge);
}

/* ---- check-config and the documents ---- */

static char *printed;
static size_t printed_len;

static int check_config(void)
{
    free(printed);
    FILE *out = open_memstream(&printed, &printed_len);
    int status = config_check(NULL, out);
    fclose(out);
    return status;
}

static void check_config_prints_value_and_origin_but_no_secret(void **state)
{
    (void)state;
    write_file(".env", "OPENAI_API_KEY=hunter2\nOPENAI_BASE_URL=http://x/v1\n"
                       "SYSTEM_PROMPT=\"two\\nlines\"\n");
    setenv("APP_NAME", "Mine", 1);
    assert_int_equal(check_config(), 0);
    assert_has(printed, "APP_NAME=Mine  [environment]\n");
    assert_has(printed, "BRAND_NAME=Parley  [default]\n");
    assert_has(printed, "OPENAI_API_KEY=(secret, set)  [.env line 1]\n");
    assert_has(printed, "OPENAI_API_BASE=http://x/v1  [.env line 2, as OPENAI_BASE_URL]\n");
    assert_has(printed, "SYSTEM_PROMPT=two\\nlines  [");
    assert_lacks(printed, "hunter2");
    for (size_t i = 0; i < config_option_count; i++)
        assert_has(printed, config_options[i].name);
}

static void check_config_lists_every_wrong_value(void **state)
{
    (void)state;
    write_file(".env", "WORKERS=many\nLOG_LEVEL=loud\nAPP_NAME=x\n");
    setenv("MAX_TOKENS", "0", 1);
    assert_int_equal(check_config(), 1);
    assert_has(printed, "ERROR: WORKERS=many is not allowed: it must be a whole number from 0 to "
                        "256.  [.env line 1]\n");
    assert_has(printed, "ERROR: LOG_LEVEL=loud ");
    assert_has(printed, "ERROR: OPENAI_MAX_TOKENS=0 ");
    assert_has(printed, "[environment, as MAX_TOKENS]");
    assert_has(printed, "APP_NAME=x  [.env line 3]");
    assert_has(printed, "3 wrong values.");
}

static void check_config_warns_of_misspelt_names(void **state)
{
    (void)state;
    write_file(".env", "OPENAI_API_KEYS=hunter2\nWORKRES=3\nPORT=8080\n"
                       "TEMPRATURE=1\napp_name=x\n");
    assert_int_equal(check_config(), 0);
    assert_has(printed, ".env line 1: OPENAI_API_KEYS is no option of Parley; did you mean "
                        "OPENAI_API_KEY?\n");
    assert_has(printed, "did you mean WORKERS?");
    assert_has(printed, "did you mean TEMPERATURE?");
    assert_has(printed, "PORT is no option of Parley\n");
    assert_has(printed, "app_name is no option of Parley");
    assert_lacks(printed, "hunter2");
}

static void check_config_calls_the_file_by_its_name(void **state)
{
    (void)state;
    write_file("other", "WORKERS=many\nAPP_NAME=x\nWORKRES=3\n");
    setenv("PARLEY_ENV", "./other", 1);
    assert_int_equal(check_config(), 1);
    assert_has(printed, "# .env: ./other\n");
    assert_has(printed, "ERROR: WORKERS=many is not allowed: it must be a whole number from 0 to "
                        "256.  [other line 1]\n");
    assert_has(printed, "APP_NAME=x  [other line 2]\n");
    assert_has(printed, "warning: other line 3: WORKRES");
}

static void check_config_refuses_a_malformed_file(void **state)
{
    (void)state;
    write_file(".env", "APP_NAME=x\nhunter2\n");
    assert_int_equal(check_config(), 1);
    assert_has(printed, "ERROR: .env line 2: ");
    assert_lacks(printed, "hunter2");
}

static void the_documents_hold_every_option(void **state)
{
    (void)state;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    config_print_markdown(out);
    fclose(out);
    for (size_t i = 0; i < config_option_count; i++) {
        char heading[100];
        snprintf(heading, sizeof heading, "\n### %s\n", config_options[i].name);
        assert_has(text, heading);
        assert_has(text, config_options[i].help);
        assert_has(text, config_options[i].section);
    }
    assert_has(text, "- Allowed: a whole number from 1 to 1024\n");
    assert_has(text, "- Also read as: `OPENAI_BASE_URL`\n");
    free(text);
}

/* Take the # from every line that holds an option and the file must mean the defaults. */
static void the_example_file_uncommented_is_the_default(void **state)
{
    (void)state;
    char *text;
    size_t len, set = 0;
    FILE *out = open_memstream(&text, &len);
    config_print_env_example(out);
    fclose(out);
    write_file(".env", text);
    struct config config;
    load(&config);
    assert_false(config_is_set(&config, "APP_NAME"));
    config_free(&config);

    for (char *at = text; *at; at++)
        if (*at == '#' && at[1] != ' ' && (at == text || at[-1] == '\n'))
            *at = ' ';
    write_file(".env", text);
    free(text);
    load(&config);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        struct buf shown;
        buf_init(&shown, 10000);
        config_value_show(option, &config, &shown);
        if (!option->secret)
            assert_string_equal(buf_str(&shown), option->fallback);
        assert_int_equal(config_is_set(&config, option->name), *option->fallback != '\0');
        set += *option->fallback != '\0';
        buf_free(&shown);
    }
    assert_true(set > 30);
    config_free(&config);
}

int main(void)
{
#define IN_EMPTY_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        IN_EMPTY_DIRECTORY(every_default_is_a_value_that_is_allowed),
        IN_EMPTY_DIRECTORY(the_environment_is_stronger_than_the_file_and_that_than_the_default),
        IN_EMPTY_DIRECTORY(an_empty_value_counts_as_not_set),
        IN_EMPTY_DIRECTORY(an_alias_works_and_the_name_beats_it),
        IN_EMPTY_DIRECTORY(the_file_is_looked_for_where_it_should_be),
        IN_EMPTY_DIRECTORY(a_named_file_that_is_missing_stops_the_start),
        IN_EMPTY_DIRECTORY(a_file_that_is_no_text_or_huge_is_refused),
        cmocka_unit_test(values_are_read_in_every_spelling),
        cmocka_unit_test(a_malformed_line_is_named_by_number_without_its_value),
        IN_EMPTY_DIRECTORY(unknown_names_are_ignored),
        IN_EMPTY_DIRECTORY(bounds_are_inclusive_and_told),
        IN_EMPTY_DIRECTORY(choices_and_switches_ignore_case),
        IN_EMPTY_DIRECTORY(forms_are_checked),
        IN_EMPTY_DIRECTORY(slashes_and_spaces_at_the_end_are_dropped),
        IN_EMPTY_DIRECTORY(a_secret_is_not_in_its_own_refusal),
        IN_EMPTY_DIRECTORY(a_wrong_value_is_repeated_short_and_harmless),
        IN_EMPTY_DIRECTORY(check_config_prints_value_and_origin_but_no_secret),
        IN_EMPTY_DIRECTORY(check_config_lists_every_wrong_value),
        IN_EMPTY_DIRECTORY(check_config_warns_of_misspelt_names),
        IN_EMPTY_DIRECTORY(check_config_calls_the_file_by_its_name),
        IN_EMPTY_DIRECTORY(check_config_refuses_a_malformed_file),
        IN_EMPTY_DIRECTORY(the_documents_hold_every_option),
        IN_EMPTY_DIRECTORY(the_example_file_uncommented_is_the_default),
    };
    int failed = cmocka_run_group_tests_name("config", tests, NULL, NULL);
    free(printed);
    return failed;
}
