/*
 * privileges: who the workers are, and files that belong to the whole service: its pid file.
 */
#ifndef PARLEY_PROCESS_PRIVILEGES_H
#define PARLEY_PROCESS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/result.h"

/* Whom to become; filled in the master, which may still read the user database. */
struct privileges {
    bool change; /* false: stay who we are */
    uid_t uid;
    gid_t gid;
    char user[64];
};

/*
 * `user` and `group` as in RUN_USER and RUN_GROUP, "" = none. RESULT_INVALID with the operator's sentence for an
 * unknown name, or when somebody else than root asks for another user than itself.
 */
enum result privileges_read(const char *user, const char *group, struct privileges *out,
                            struct fault *fault);

/* In the child: become that user, for ever. False (logged): must not go on. */
bool privileges_drop(const struct privileges *privileges);

/* "user", "user:group" or ":group" for a file; -1 = leave. False when a name is unknown. */
bool privileges_owner(const char *owner, uid_t *uid, gid_t *gid);

/* An octal mode such as "0660"; false when it is none. */
bool privileges_mode(const char *text, mode_t *mode);

/*
 * Write our pid and hold a lock on the file until the process ends. RESULT_INVALID: another living process
 * holds it, or it cannot be written. *fd is close-on-exec, and nothing but the master may keep it.
 */
enum result privileges_pid_file(const char *path, int *fd, struct fault *fault);

#endif
