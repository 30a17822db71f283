/*
 * commands: what an administrator types. One table; each command parses its own arguments.
 *
 * Answers go to stdout, complaints to stderr; exit status 0 = done, 1 = could not, 2 = wrong usage.
 */
#include "fcgi/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/providers/provider.h"
#include "fcgi/app.h"
#include "fcgi/care.h"
#include "fcgi/commands_admin.h"
#include "fcgi/commands_knowledge.h"
#include "fcgi/commands_usage.h"
#include "fcgi/doctor.h"
#include "fcgi/http/router.h"
#include "fcgi/process/master.h"
#include "fcgi/serve.h"
#include "fcgi/start.h"
#include "fcgi/status_command.h"
#include "fcgi/version.h"

#define EXIT_USAGE 2

struct command {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(int argc, char **argv);
};

static int complain(const char *what, const char *argument)
{
    fprintf(stderr, "parley: %s: %s ('parley help' lists what there is)\n", what, argument);
    return EXIT_USAGE;
}

static int refuse_arguments(int argc, char **argv)
{
    return argc > 2 ? complain("unexpected argument", argv[2]) : 0;
}

/* ---- serve ---- */

static bool parse_workers(const char *text, int64_t *out)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 0 || number > MASTER_MAX_WORKERS)
        return false;
    *out = number;
    return true;
}

static int parse_serve(int argc, char **argv, struct serve_call *out)
{
    *out = (struct serve_call){ .program = argv[0], .workers = -1 };
    for (int i = 2; i < argc; i += 2) {
        if (strcmp(argv[i], "--listen") != 0 && strcmp(argv[i], "--workers") != 0)
            return complain("unknown option", argv[i]);
        if (i + 1 == argc)
            return complain("a value is missing after", argv[i]);
        if (strcmp(argv[i], "--listen") == 0)
            out->listen = argv[i + 1];
        else if (!parse_workers(argv[i + 1], &out->workers))
            return complain("--workers takes a number from 0 (one per core) to 64, not",
                            argv[i + 1]);
    }
    return 0;
}

static int run_serve(int argc, char **argv)
{
    struct serve_call call;
    struct config config;
    int status = parse_serve(argc, argv, &call);

    if (status != 0)
        return status;
    if (!start_up(&config, argv[0]))
        return 1;
    status = serve_address(&config, &call);
    config_free(&config);
    return status;
}

/* ---- check-config ---- */

/* What the options amount to: who answers, and where the data is. */
static int print_summary(const char *program)
{
    struct providers providers = { 0 };
    struct fault fault = { 0 };
    struct config config;
    int status = 1;

    if (config_load(&config, program, &fault) != RESULT_OK) {
        fprintf(stderr, "parley: %s\n", fault.text);
        return 1;
    }
    if (serve_check(&config, &fault) == RESULT_OK && app_check(&config, &fault) == RESULT_OK &&
        providers_load(&config, &providers, &fault) == RESULT_OK && providers.count > 0) {
        printf("\nAnswers come from: %s (model %s)\nData is in: %s\n", providers.list[0].name,
               providers.list[0].model, config.database_url);
        providers_free(&providers);
        status = 0;
    } else {
        fprintf(stderr, "parley: %s\n", fault.text);
    }
    config_free(&config);
    return status;
}

static int run_check_config(int argc, char **argv)
{
    int status = refuse_arguments(argc, argv);

    if (status != 0)
        return status;
    status = config_check(argv[0], stdout);
    return status != 0 ? status : print_summary(argv[0]);
}

/* ---- texts ---- */

static int run_print_docs(int argc, char **argv)
{
    int status = refuse_arguments(argc, argv);

    if (status == 0)
        config_print_markdown(stdout);
    return status;
}

static int run_print_env(int argc, char **argv)
{
    int status = refuse_arguments(argc, argv);

    if (status == 0)
        config_print_env_example(stdout);
    return status;
}

static int run_print_routes(int argc, char **argv)
{
    int status = refuse_arguments(argc, argv);

    for (size_t i = 0; status == 0 && i < routes_count; i++)
        printf("%s %s\n", http_method_name(routes[i].method), routes[i].path);
    return status;
}

static int run_version(int argc, char **argv)
{
    int status = refuse_arguments(argc, argv);

    if (status == 0)
        puts("parley " PARLEY_VERSION);
    return status;
}

static int run_help(int argc, char **argv);

static const struct command commands[] = {
    { "serve", "[--listen unix:PATH|HOST:PORT] [--workers N]",
      "master and workers on a FastCGI socket, in the foreground", run_serve },
    { "check-config", "", "every option, its value and where it comes from; exit 1 if one is wrong",
      run_check_config },
    { "check-db", "", "integrity and schema of the database; exit 1 if it is damaged",
      care_check_db },
    { "backup", "FILE", "a consistent copy of the running database", care_backup },
    { "answer", "MESSAGE_ID", "make an accepted answer (a CGI process starts this by itself)",
      care_answer },
    { "keys", "add NAME | list | revoke NAME",
      "API keys for the backends of your sites; a new one is shown once", command_keys },
    { "audit", "[--limit N]", "who tried keys, erased or exported what, and when; the newest last",
      command_audit },
    { "usage", "[--days N] [--json]",
      "what the answers of the last 30 (or N) days have cost, by day, provider and model",
      command_usage },
    { "purge", "[--older-than DAYS | --visitor ID | --user ID] [--dry-run]",
      "erase conversations; without a choice those older than RETENTION_DAYS", command_purge },
    { "doctor", "[URL]", "looks at this machine, the providers and the site; says what to mend",
      doctor_command },
    { "status", "[--json] [--watch] [PID]", "what the running service and its workers are doing",
      status_command },
    { "knowledge", "add NAME... [--url LINK] | list | remove SOURCE... | refresh | search WORDS...",
      "documents that answers may be based on: files, directories, addresses, sitemaps",
      command_knowledge },
    { "print-config-docs", "", "the options as a Markdown page", run_print_docs },
    { "print-env-example", "", "the options as a commented .env file", run_print_env },
    { "print-routes", "", "every method and path that is served, one per line", run_print_routes },
    { "version", "", "which Parley this is", run_version },
    { "help", "", "this text", run_help },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_command(FILE *out, const struct command *command, const char *before)
{
    fprintf(out, "%s%s%s%s\n        %s\n", before, command->name, *command->arguments ? " " : "",
            command->arguments, command->help);
}

static void print_usage(FILE *out)
{
    fputs("Parley, an AI-chat backend that any web server can run.\n\nusage: parley COMMAND\n\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        print_command(out, &commands[i], "  ");
    fputs("\nWithout a command it serves when a web server or process manager has started it: "
          "FastCGI on\n"
          "descriptor 0, systemd sockets (LISTEN_FDS), or plain CGI.\n",
          out);
}

static int run_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    print_usage(stdout);
    return 0;
}

static const char *plain_name(const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        return "help";
    if (strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0)
        return "version";
    return argument;
}

/* A key that is shown once is lost when the disk is full, and a script must hear of it. */
static int written(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "parley: the output cannot be written: %s\n", strerror(errno));
    return status != 0 ? status : 1;
}

static bool asks_for_help(int argc, char **argv)
{
    return argc == 3 && strcmp(plain_name(argv[2]), "help") == 0 && *argv[2] == '-';
}

int commands_run(int argc, char **argv)
{
    const char *name = argc > 1 ? plain_name(argv[1]) : NULL;

    for (size_t i = 0; i < COMMANDS && name != NULL; i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (!asks_for_help(argc, argv))
            return written(commands[i].run(argc, argv));
        print_command(stdout, &commands[i], "usage: parley ");
        return written(0);
    }
    if (name != NULL)
        fprintf(stderr, "parley: there is no command '%s'\n\n", name);
    print_usage(stderr);
    return EXIT_USAGE;
}
