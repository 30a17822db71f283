/*
 * status_command: `parley status [--json] [--watch]`: what the services on this machine are doing.
 */
#ifndef PARLEY_STATUS_COMMAND_H
#define PARLEY_STATUS_COMMAND_H

#include <sys/types.h>

int status_command(int argc, char **argv);

/* The first process of a service that runs on this machine and that we may look at, 0 = none. */
pid_t status_find_running(void);

#endif
