/*
 * privileges: see privileges.h. Start-up of the master and of each worker; single-threaded both times.
 *
 * A master that was started as root stays root, like those of nginx and php-fpm: it serves nobody, and a
 * reload, rotated logs and a privileged port need it. Only the workers, who talk to strangers, change.
 */
#include "fcgi/process/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/text.h"

/* A name, or a number. */
static bool find_group(const char *name, gid_t *gid)
{
    /* cppcheck-suppress getgrnamCalled ; one thread */
    const struct group *group = getgrnam(name);
    char *end;

    if (group != NULL) {
        *gid = group->gr_gid;
        return true;
    }
    *gid = (gid_t)strtoul(name, &end, 10);
    return name[0] >= '0' && name[0] <= '9' && *end == '\0';
}

static bool find_user(const char *name, uid_t *uid, gid_t *gid)
{
    /* cppcheck-suppress getpwnamCalled ; one thread */
    const struct passwd *user = getpwnam(name);
    char *end;

    if (user == NULL && name[0] >= '0' && name[0] <= '9') {
        *uid = (uid_t)strtoul(name, &end, 10);
        /* cppcheck-suppress getpwuidCalled ; one thread */
        user = *end == '\0' ? getpwuid(*uid) : NULL;
        if (user == NULL) {
            *gid = (gid_t)*uid;
            return *end == '\0';
        }
    }
    if (user == NULL)
        return false;
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return true;
}

enum result privileges_read(const char *user, const char *group, struct privileges *out,
                            struct fault *fault)
{
    *out = (struct privileges){ .uid = geteuid(), .gid = getegid() };
    if (user[0] != '\0' && !find_user(user, &out->uid, &out->gid))
        return fault_set(fault, RESULT_INVALID, "unknown_user", "RUN_USER",
                         "RUN_USER=%s: there is no such user.", user);
    if (group[0] != '\0' && !find_group(group, &out->gid))
        return fault_set(fault, RESULT_INVALID, "unknown_group", "RUN_GROUP",
                         "RUN_GROUP=%s: there is no such group.", group);
    out->change = out->uid != geteuid() || out->gid != getegid();
    text_copy(out->user, sizeof out->user, user);
    if (out->change && geteuid() != 0)
        return fault_set(fault, RESULT_INVALID, "not_root", "RUN_USER",
                         "RUN_USER and RUN_GROUP need a start as root. Leave them empty, and start "
                         "Parley as the user that it shall be.");
    return RESULT_OK;
}

bool privileges_drop(const struct privileges *privileges)
{
    bool done;

    if (!privileges->change)
        return true;
    if (privileges->user[0] != '\0' && initgroups(privileges->user, privileges->gid) != 0 &&
        setgroups(0, NULL) != 0)
        done = false;
    else if (privileges->user[0] == '\0' && setgroups(0, NULL) != 0)
        done = false;
    else
        done = setresgid(privileges->gid, privileges->gid, privileges->gid) == 0 &&
               setresuid(privileges->uid, privileges->uid, privileges->uid) == 0;
    if (done && privileges->uid != 0 && setuid(0) == 0)
        done = false;
    if (!done)
        log_error("privileges_not_dropped", LOG_INT("uid", privileges->uid),
                  LOG_INT("gid", privileges->gid), LOG_STR("error", strerror(errno)));
    return done;
}

bool privileges_owner(const char *owner, uid_t *uid, gid_t *gid)
{
    const char *colon = strchr(owner, ':');
    size_t len = colon != NULL ? (size_t)(colon - owner) : strlen(owner);
    char user[64];
    gid_t unused;

    *uid = (uid_t)-1;
    *gid = (gid_t)-1;
    if (len >= sizeof user)
        return false;
    memcpy(user, owner, len);
    user[len] = '\0';
    if (len > 0 && !find_user(user, uid, &unused))
        return false;
    return colon == NULL || colon[1] == '\0' || find_group(colon + 1, gid);
}

bool privileges_mode(const char *text, mode_t *mode)
{
    size_t len = strspn(text, "01234567");

    if (len == 0 || len > 5 || text[len] != '\0')
        return false;
    *mode = (mode_t)strtoul(text, NULL, 8);
    return *mode <= 07777;
}

enum result privileges_pid_file(const char *path, int *fd, struct fault *fault)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (*fd < 0)
        return fault_set(fault, RESULT_INVALID, "pid_file", "PID_FILE",
                         "PID_FILE %s cannot be written: %s.", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        close(*fd);
        *fd = -1;
        return fault_set(fault, RESULT_INVALID, "pid_file", "PID_FILE",
                         "PID_FILE %s belongs to another Parley that is running.", path);
    }
    if (ftruncate(*fd, 0) == 0 && write(*fd, text, (size_t)len) == len)
        return RESULT_OK;
    close(*fd);
    *fd = -1;
    return fault_set(fault, RESULT_INVALID, "pid_file", "PID_FILE",
                     "PID_FILE %s cannot be written: %s.", path, strerror(errno));
}
