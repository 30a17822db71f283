/*
 * commands: what an administrator types: `parley <command> [options]`. Adding one is a function and a row in
 * the table of commands.c.
 */
#ifndef PARLEY_COMMANDS_H
#define PARLEY_COMMANDS_H

/* Run the command of argv[1]; returns the exit status, 2 with the usage on stderr when there is no such command. */
int commands_run(int argc, char **argv);

#endif
