/*
 * care: see care.h. Each opens the configuration and the store as a worker would, does one thing and says
 * what came of it.
 */
#include "fcgi/care.h"

#include <stdio.h>

#include "common/base/id.h"
#include "common/config.h"
#include "common/store/store.h"
#include "fcgi/commands_admin.h"
#include "fcgi/detached.h"
#include "fcgi/start.h"

#define EXIT_USAGE 2

static bool wrong_count(int argc, int wanted, const char *usage)
{
    if (argc == wanted)
        return false;
    fprintf(stderr, "usage: parley %s\n", usage);
    return true;
}

static void print_line(void *ctx, const char *text)
{
    (void)ctx;
    puts(text);
}

int care_check_db(int argc, char **argv)
{
    struct config config;
    struct store *store;
    bool sound;

    if (wrong_count(argc, 2, "check-db"))
        return EXIT_USAGE;
    if (!commands_open_store(argv[0], false, &config, &store))
        return 1;
    sound = store_check(store, print_line, NULL);
    puts(sound ? "the database is sound" : "the database is damaged: restore a backup");
    commands_close_store(&config, store);
    return sound ? 0 : 1;
}

int care_backup(int argc, char **argv)
{
    struct fault fault = { 0 };
    struct config config;
    struct store *store;
    enum result result;

    if (wrong_count(argc, 3, "backup FILE"))
        return EXIT_USAGE;
    if (!commands_open_store(argv[0], false, &config, &store))
        return 1;
    result = store_backup(store, argv[2], &fault);
    if (result == RESULT_OK)
        printf("backed up to %s\n", argv[2]);
    else
        fprintf(stderr, "parley: %s\n", fault.text);
    commands_close_store(&config, store);
    return result == RESULT_OK ? 0 : 1;
}

int care_answer(int argc, char **argv)
{
    struct config config;
    int status;

    if (wrong_count(argc, 3, "answer MESSAGE_ID"))
        return EXIT_USAGE;
    if (!id_plausible(argv[2]) || !start_up(&config, argv[0]))
        return 1;
    status = detached_run(&config, argv[2]);
    config_free(&config);
    return status;
}
