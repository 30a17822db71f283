/*
 * status_command: `parley status [--json] [--watch]`: what the services on this machine are doing.
 */
#ifndef PARLEY_STATUS_COMMAND_H
#define PARLEY_STATUS_COMMAND_H

int status_command(int argc, char **argv);

#endif
