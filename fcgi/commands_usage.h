/*
 * commands_usage: parley usage.
 */
#ifndef PARLEY_COMMANDS_USAGE_H
#define PARLEY_COMMANDS_USAGE_H

/* Arguments and exit status as in commands.c. */
int command_usage(int argc, char **argv);

#endif
