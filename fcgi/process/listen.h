/*
 * listen: opening the socket that a web server connects to.
 */
#ifndef PARLEY_PROCESS_LISTEN_H
#define PARLEY_PROCESS_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/result.h"

/*
 * Open, bind and listen. `address`: "unix:PATH" (mode 0660) or "HOST:PORT" / "[IPv6]:PORT"; HOST may be
 * empty or "*" for every interface. Backlog 1024.
 * A stale unix socket (nobody accepts on it) is replaced; one in use, a path that is no socket, a port
 * taken or a directory not writable is RESULT_INVALID with words that say which. *fd is close-on-exec.
 * Start-up only: changes the umask for a moment and may ask the name service.
 */
enum result listen_open(const char *address, int *fd, struct fault *fault);

/*
 * Who may connect: mode and owner of the unix socket of `address` (uid or gid -1 = leave); for others nothing.
 * RESULT_INVALID when the system does not allow it.
 */
enum result listen_set_access(const char *address, mode_t mode, uid_t uid, gid_t gid,
                              struct fault *fault);

/* Remove the unix socket file of `address` if it is still ours: nobody accepts on it, now that every
 * descriptor of ours is closed. */
void listen_unlink(const char *address);

/* Is this descriptor a listening socket (SO_ACCEPTCONN)? */
bool listen_is_socket(int fd);

#endif
