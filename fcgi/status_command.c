/*
 * status_command: see status_command.h.
 *
 * Reads the scoreboards themselves, which /proc shows among the open files of every master: no request is made,
 * so it also works when no worker answers any more. Needs the right to look at that process: the same user, or
 * root (a service that root has started and that changed its user is root's to look at).
 */
#include "fcgi/status_command.h"

#include <ctype.h>
#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/process/status.h"

#define WATCH_MS   1000
#define MAX_BOARDS 32
#define EXIT_USAGE 2

struct found {
    const struct scoreboard *boards[MAX_BOARDS];
    size_t count;
    bool other_version;
};

static bool is_board(const char *link_path)
{
    char target[64];
    ssize_t len = readlink(link_path, target, sizeof target - 1);

    if (len <= 0)
        return false;
    target[len] = '\0';
    return strncmp(target, "/memfd:" SCOREBOARD_NAME, strlen("/memfd:" SCOREBOARD_NAME)) == 0;
}

/* Workers have the same board as their master: it is taken where it is the process's own. */
static void take_board(const char *path, int pid, struct found *found)
{
    bool other;
    const struct scoreboard *board = scoreboard_attach(path, &other);

    found->other_version |= other;
    if (board == NULL)
        return;
    if (board->pid == pid && found->count < MAX_BOARDS)
        found->boards[found->count++] = board;
    else
        scoreboard_detach(board);
}

static void look_into(int pid, struct found *found)
{
    char directory[40], path[320];
    struct dirent *entry;
    DIR *fds;

    snprintf(directory, sizeof directory, "/proc/%d/fd", pid);
    fds = opendir(directory);
    if (fds == NULL)
        return;
    /* cppcheck-suppress readdirCalled ; one thread, and readdir_r is no better */
    while ((entry = readdir(fds)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (is_board(path)) {
            take_board(path, pid, found);
            break;
        }
    }
    closedir(fds);
}

static void look_everywhere(struct found *found)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;

    /* cppcheck-suppress readdirCalled ; the same */
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]))
            look_into((int)strtol(entry->d_name, NULL, 10), found);
    }
    if (processes != NULL)
        closedir(processes);
}

static void release(struct found *found)
{
    for (size_t i = 0; i < found->count; i++)
        scoreboard_detach(found->boards[i]);
}

pid_t status_find_running(void)
{
    struct found found = { .count = 0 };
    pid_t pid = 0;

    look_everywhere(&found);
    if (found.count > 0)
        pid = found.boards[0]->pid;
    release(&found);
    return pid;
}

static int show(bool as_json, int pid)
{
    struct found found = { .count = 0 };
    struct buf out;

    if (pid > 0)
        look_into(pid, &found);
    else
        look_everywhere(&found);
    if (found.count == 0)
        fprintf(stderr, "parley: %s\n",
                found.other_version
                    ? "the Parley that runs is another version than this program"
                    : "no Parley is running that this user may look at (try it as its user, or as "
                      "root)");
    buf_init(&out, STATUS_CAP);
    for (size_t i = 0; i < found.count; i++) {
        if (as_json)
            status_put_json(found.boards[i], &out);
        else
            status_put_text(found.boards[i], &out);
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    fflush(stdout);
    buf_free(&out);
    release(&found);
    return found.count > 0 ? 0 : 1;
}

static int watch(bool as_json, int pid)
{
    int status;

    do {
        if (!as_json && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        status = show(as_json, pid);
    } while (status == 0 && poll(NULL, 0, WATCH_MS) == 0);
    return status;
}

int status_command(int argc, char **argv)
{
    bool as_json = false, watching = false;
    int pid = 0;

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            as_json = true;
        } else if (strcmp(argv[i], "--watch") == 0) {
            watching = true;
        } else if ((pid = (int)strtol(argv[i], NULL, 10)) <= 0) {
            fprintf(stderr,
                    "parley: unknown option: %s (usage: parley status [--json] [--watch] "
                    "[PID])\n",
                    argv[i]);
            return EXIT_USAGE;
        }
    }
    return watching ? watch(as_json, pid) : show(as_json, pid);
}
