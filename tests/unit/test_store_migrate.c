/*
 * migrate and opening: the file and its rights, versions, backups, several workers at once, journals.
 */
#include "tests/unit/store_fixture.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/store/db_file.h"
#include "common/store/migrate.h"

static const struct migration steps[] = {
    { 1, "first", "PRAGMA application_id = 1349676153; CREATE TABLE a (x INTEGER) STRICT;" },
    { 2, "second", "CREATE TABLE b (y INTEGER) STRICT; INSERT INTO b SELECT x FROM a;" },
    { 3, "broken", "CREATE TABLE c (z INTEGER) STRICT; CREATE TABLE c (again INTEGER) STRICT;" },
};

static const struct migration dangling[] = {
    { 1, "first",
      "PRAGMA application_id = 1349676153; CREATE TABLE a (x INTEGER PRIMARY KEY) STRICT;"
      "CREATE TABLE b (y INTEGER REFERENCES a (x)) STRICT; INSERT INTO b VALUES (1);" },
};

static enum result migrate(const struct store_fixture *fixture, size_t count, struct fault *fault)
{
    struct db_options options = { .path = fixture->path, .busy_ms = 2000, .cache_kib = 256 };

    return migrate_run(&options, steps, count, fault);
}

/* Number of backups beside the database; the path of the last one seen goes to `path`. */
static int find_backups(const struct store_fixture *fixture, char *path, size_t size)
{
    char dir[80];
    struct dirent *entry;
    int found = 0;
    DIR *list;

    snprintf(dir, sizeof dir, "%s/var", fixture->dir);
    list = opendir(dir);
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        if (strstr(entry->d_name, ".backup-") == NULL)
            continue;
        found++;
        snprintf(path, size, "%s/%.200s", dir, entry->d_name);
    }
    closedir(list);
    return found;
}

static unsigned mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 0777;
}

static void opening_makes_directory_and_database_for_their_owner_only(void **state)
{
    struct store_fixture *fixture = *state;
    char dir[80], unused[400];

    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
    snprintf(dir, sizeof dir, "%s/var", fixture->dir);
    assert_int_equal(mode_of(dir), 0700);
    assert_int_equal(mode_of(fixture->path), 0600);
    assert_int_equal(store_fixture_int(fixture, "PRAGMA user_version"), (int64_t)migrations_count);
    assert_int_equal(find_backups(fixture, unused, sizeof unused), 0);
}

static void opening_again_changes_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun;
    char unused[400];

    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
    begun = store_fixture_begin(fixture, "hello", &(struct ask){ 0 });
    store_turn_begun_free(&begun);
    store_close(fixture->store);
    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM messages"), 2);
    assert_int_equal(find_backups(fixture, unused, sizeof unused), 0);
}

static void the_store_runs_in_wal_mode(void **state)
{
    struct store_fixture *fixture = *state;
    struct db *db;

    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
    db = store_fixture_handle(fixture);
    assert_true(db_is_wal(db));
    db_close(db);
}

static void a_file_layer_without_shared_memory_gets_the_delete_journal(void **state)
{
    struct store_fixture *fixture = *state;
    struct db_options options = {
        .path = fixture->path, .busy_ms = 1000, .cache_kib = 256, .vfs = "unix-dotfile"
    };
    enum db_status status;
    struct db *db;

    assert_int_equal(migrate_run(&options, steps, 2, NULL), RESULT_OK);
    db = db_open(&options, &status);
    assert_non_null(db);
    assert_false(db_is_wal(db));
    store_fixture_log[0] = '\0';
    assert_int_equal(db_use_wal(db), DB_OK);
    assert_non_null(strstr(store_fixture_log, "store_journal"));
    assert_true(db_begin(db));
    assert_true(db_exec(db, "INSERT INTO a VALUES (1)"));
    assert_true(db_commit(db));
    db_close(db);
}

static void an_older_database_is_copied_before_it_is_migrated(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fixture copy = *fixture;
    struct db *db;
    char path[400];

    assert_int_equal(migrate(fixture, 1, NULL), RESULT_OK);
    db = store_fixture_handle(fixture);
    assert_true(db_exec(db, "INSERT INTO a VALUES (42)"));
    db_close(db);
    assert_int_equal(migrate(fixture, 2, NULL), RESULT_OK);
    assert_int_equal(store_fixture_int(fixture, "PRAGMA user_version"), 2);
    assert_int_equal(store_fixture_int(fixture, "SELECT y FROM b"), 42);

    assert_int_equal(find_backups(fixture, path, sizeof path), 1);
    assert_non_null(strstr(path, "parley.db.backup-1-20"));
    assert_int_equal(mode_of(path), 0600);
    assert_true(strlen(path) < sizeof copy.path);
    snprintf(copy.path, sizeof copy.path, "%.95s", path);
    assert_int_equal(store_fixture_int(&copy, "PRAGMA user_version"), 1);
    assert_int_equal(store_fixture_int(&copy, "SELECT x FROM a"), 42);
    assert_int_equal(store_fixture_int(&copy, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void a_newer_schema_is_refused_with_both_versions_named(void **state)
{
    struct store_fixture *fixture = *state;
    struct fault fault = { 0 };
    struct db *db;

    assert_int_equal(store_open(&fixture->config, &fixture->store, NULL), RESULT_OK);
    store_close(fixture->store);
    fixture->store = NULL;
    db = store_fixture_handle(fixture);
    assert_true(db_exec(db, "PRAGMA user_version = 4711"));
    db_close(db);
    assert_int_equal(store_open(&fixture->config, &fixture->store, &fault), RESULT_STORE_DOWN);
    assert_null(fixture->store);
    assert_string_equal(fault.code, "store_newer");
    assert_non_null(strstr(fault.text, "4711"));
    char known[32];
    snprintf(known, sizeof known, "up to %zu", migrations_count);
    assert_non_null(strstr(fault.text, known));
}

static void a_migration_that_fails_leaves_the_database_as_it_was(void **state)
{
    struct store_fixture *fixture = *state;
    struct fault fault = { 0 };

    assert_int_equal(migrate(fixture, 1, NULL), RESULT_OK);
    assert_int_equal(migrate(fixture, 3, &fault), RESULT_STORE_DOWN);
    assert_string_equal(fault.code, "store_unusable");
    assert_int_equal(store_fixture_int(fixture, "PRAGMA user_version"), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void a_migration_that_leaves_dangling_references_is_undone(void **state)
{
    struct store_fixture *fixture = *state;
    struct db_options options = { .path = fixture->path, .busy_ms = 1000, .cache_kib = 256 };

    assert_int_equal(migrate_run(&options, dangling, 1, NULL), RESULT_STORE_DOWN);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM sqlite_schema"), 0);
}

static void another_programs_database_is_left_alone(void **state)
{
    struct store_fixture *fixture = *state;
    struct fault fault = { 0 };
    struct db *db;

    assert_int_equal(db_file_create(fixture->path), 0);
    db = store_fixture_handle(fixture);
    assert_true(db_exec(db, "CREATE TABLE theirs (x)"));
    db_close(db);
    assert_int_equal(store_open(&fixture->config, &fixture->store, &fault), RESULT_STORE_DOWN);
    assert_string_equal(fault.code, "store_foreign");
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    struct fault fault = { 0 };
    FILE *file;

    assert_int_equal(db_file_create(fixture->path), 0);
    file = fopen(fixture->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        fputs("no database at all\n", file);
    fclose(file);
    assert_int_equal(store_open(&fixture->config, &fixture->store, &fault), RESULT_STORE_DOWN);
    assert_string_equal(fault.code, "store_unusable");
    assert_non_null(strstr(fault.text, "damaged"));
}

static void a_path_that_cannot_be_made_says_why_without_naming_it(void **state)
{
    struct store_fixture *fixture = *state;
    struct fault fault = { 0 };
    const char *urls[] = { "sqlite:/proc/nowhere/parley.db",
                           "sqlite:", "sqlite::memory:", "postgres://x" };

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        fixture->config.database_url = (char *)urls[i];
        assert_int_equal(store_open(&fixture->config, &fixture->store, &fault), RESULT_STORE_DOWN);
        assert_null(fixture->store);
        assert_string_equal(fault.code, "store_unusable");
        assert_non_null(strstr(fault.text, "DATABASE_URL"));
        assert_null(strstr(fault.text, "/proc"));
    }
}

static void workers_that_start_together_migrate_once(void **state)
{
    struct store_fixture *fixture = *state;
    char path[400];
    int status;

    assert_int_equal(migrate(fixture, 1, NULL), RESULT_OK);
    for (int i = 0; i < 8; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(migrate(fixture, 2, NULL) != RESULT_OK);
    }
    for (int i = 0; i < 8; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(find_backups(fixture, path, sizeof path), 1);
    assert_int_equal(store_fixture_int(fixture, "PRAGMA user_version"), 2);
}

static void workers_that_start_together_create_the_database_once(void **state)
{
    struct store_fixture *fixture = *state;
    int status;

    for (int i = 0; i < 8; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(store_open(&fixture->config, &fixture->store, NULL) != RESULT_OK ||
                  store_ping(fixture->store, NULL) != RESULT_OK);
    }
    for (int i = 0; i < 8; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST_UNOPENED(opening_makes_directory_and_database_for_their_owner_only),
        STORE_TEST_UNOPENED(opening_again_changes_nothing),
        STORE_TEST_UNOPENED(the_store_runs_in_wal_mode),
        STORE_TEST_UNOPENED(a_file_layer_without_shared_memory_gets_the_delete_journal),
        STORE_TEST_UNOPENED(an_older_database_is_copied_before_it_is_migrated),
        STORE_TEST_UNOPENED(a_newer_schema_is_refused_with_both_versions_named),
        STORE_TEST_UNOPENED(a_migration_that_fails_leaves_the_database_as_it_was),
        STORE_TEST_UNOPENED(a_migration_that_leaves_dangling_references_is_undone),
        STORE_TEST_UNOPENED(another_programs_database_is_left_alone),
        STORE_TEST_UNOPENED(a_file_that_is_no_database_is_refused),
        STORE_TEST_UNOPENED(a_path_that_cannot_be_made_says_why_without_naming_it),
        STORE_TEST_UNOPENED(workers_that_start_together_migrate_once),
        STORE_TEST_UNOPENED(workers_that_start_together_create_the_database_once),
    };
    return cmocka_run_group_tests_name("store_migrate", tests, NULL, NULL);
}
