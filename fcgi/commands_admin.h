/*
 * commands_admin: the commands that look into the store: keys, audit, purge. The table in commands.c has their rows.
 */
#ifndef PARLEY_COMMANDS_ADMIN_H
#define PARLEY_COMMANDS_ADMIN_H

/* argv[1] is the command's name. Return the exit status: 0 = done, 1 = could not, 2 = wrong usage. */
int command_keys(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_purge(int argc, char **argv);

#endif
