/*
 * privileges: names, modes and pid files as an operator writes them, wrong ones too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fcgi/process/privileges.h"

static void octal_modes_are_read_and_others_refused(void **state)
{
    static const char *const wrong[] = { "", "8", "0668", "77777", "rw", "0660 " };
    mode_t mode = 0;

    (void)state;
    assert_true(privileges_mode("0660", &mode));
    assert_int_equal(mode, 0660);
    assert_true(privileges_mode("27", &mode));
    assert_int_equal(mode, 027);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(privileges_mode(wrong[i], &mode));
}

static void owners_are_names_or_numbers(void **state)
{
    uid_t uid;
    gid_t gid;

    (void)state;
    assert_true(privileges_owner("", &uid, &gid));
    assert_true(uid == (uid_t)-1 && gid == (gid_t)-1);
    assert_true(privileges_owner("root", &uid, &gid));
    assert_true(uid == 0 && gid == (gid_t)-1);
    assert_true(privileges_owner("root:root", &uid, &gid));
    assert_true(uid == 0 && gid == 0);
    assert_true(privileges_owner(":12", &uid, &gid));
    assert_true(uid == (uid_t)-1 && gid == 12);
    assert_false(privileges_owner("nobody-of-that-name", &uid, &gid));
    assert_false(privileges_owner(":no-such-group", &uid, &gid));
}

static void nobody_asked_for_is_nobody_changed_to(void **state)
{
    struct privileges privileges;
    struct fault fault;

    (void)state;
    assert_int_equal(privileges_read("", "", &privileges, &fault), RESULT_OK);
    assert_false(privileges.change);
    assert_true(privileges_drop(&privileges));
    assert_int_equal(privileges_read("no-such-user", "", &privileges, &fault), RESULT_INVALID);
    assert_non_null(strstr(fault.text, "RUN_USER"));
    assert_int_equal(privileges_read("", "no-such-group", &privileges, &fault), RESULT_INVALID);
    assert_non_null(strstr(fault.text, "RUN_GROUP"));
}

/* What is dropped stays dropped; without root the wish is refused instead. */
static void a_user_is_become_for_ever_or_not_at_all(void **state)
{
    struct privileges privileges;
    struct fault fault;
    int status;
    pid_t pid;

    (void)state;
    if (geteuid() != 0) {
        assert_int_equal(privileges_read("root", "", &privileges, &fault), RESULT_INVALID);
        return;
    }
    assert_int_equal(privileges_read("65534", "65534", &privileges, &fault), RESULT_OK);
    pid = fork();
    if (pid == 0) {
        if (!privileges_drop(&privileges) || getuid() != 65534 || getgid() != 65534)
            _exit(1);
        _exit(setuid(0) == 0 || setgid(0) == 0 ? 2 : 0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void a_pid_file_belongs_to_one_living_process(void **state)
{
    char directory[] = "/tmp/parley-pid-XXXXXX", path[64], text[32] = { 0 };
    struct fault fault;
    FILE *file;
    int fd, again;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/pid", directory);
    assert_int_equal(privileges_pid_file(path, &fd, &fault), RESULT_OK);
    assert_int_equal(privileges_pid_file(path, &again, &fault), RESULT_INVALID);
    assert_int_equal(again, -1);
    file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    close(fd);
    assert_int_equal(privileges_pid_file(path, &fd, &fault), RESULT_OK);
    close(fd);
    unlink(path);
    snprintf(path, sizeof path, "%s/no/pid", directory);
    assert_int_equal(privileges_pid_file(path, &fd, &fault), RESULT_INVALID);
    rmdir(directory);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(octal_modes_are_read_and_others_refused),
        cmocka_unit_test(owners_are_names_or_numbers),
        cmocka_unit_test(nobody_asked_for_is_nobody_changed_to),
        cmocka_unit_test(a_user_is_become_for_ever_or_not_at_all),
        cmocka_unit_test(a_pid_file_belongs_to_one_living_process),
    };

    return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
