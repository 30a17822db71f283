/*
 * commands_admin: the commands that look into the store: keys, audit, purge. The table in commands.c has their rows.
 */
#ifndef PARLEY_COMMANDS_ADMIN_H
#define PARLEY_COMMANDS_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

/* argv[1] is the command's name. Return the exit status: 0 = done, 1 = could not, 2 = wrong usage. */
int command_keys(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_purge(int argc, char **argv);

/* ---- for other commands that look into the store ---- */

struct config;
struct store;

/* Read the configuration and open the store of it; one that is not there yet is made only with `may_make`, because in
 * the wrong directory everything would seem to be empty. False: it was said on stderr why not, and nothing is open. */
bool commands_open_store(const char *program, bool may_make, struct config *config,
                         struct store **store);
void commands_close_store(struct config *config, struct store *store);

/* A whole number from 0 to `most`. */
bool commands_number(const char *text, long most, int64_t *out);

#endif
