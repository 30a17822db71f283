/*
 * secret_file: see secret_file.h. A new file gets its bytes under another name and its own name with link(2), which
 * fails when somebody was faster: so nobody ever sees half a file. Where a file system has no links (FAT),
 * renameat2 without replacing does the same. Runs at a process's start.
 */
#include "common/store/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/id.h"
#include "common/base/log.h"
#include "common/store/store_owners.h"

#define OTHERS 077

/* The file as it is; ENOENT when there is none. */
static int read_file(const char *path, void *out, size_t len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat info;
    int error = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &info) != 0)
        error = errno;
    else if (!S_ISREG(info.st_mode) || info.st_size != (off_t)len ||
             read(fd, out, len) != (ssize_t)len)
        error = EBADMSG;
    else if ((info.st_mode & OTHERS) != 0)
        log_warn("secret_readable_by_others", LOG_STR("file", path),
                 LOG_INT("mode", info.st_mode & 0777));
    close(fd);
    return error;
}

static int fill(int fd, size_t len)
{
    unsigned char bytes[STORE_SECRET_SIZE];

    if (len > sizeof bytes)
        return EINVAL;
    id_random(bytes, len);
    errno = 0;
    if (fchmod(fd, 0600) != 0 || write(fd, bytes, len) != (ssize_t)len || fsync(fd) != 0)
        return errno != 0 ? errno : EIO;
    return 0;
}

/* Give `made` the name `path` unless there is one of that name already, which is as good. */
static int publish(const char *made, const char *path)
{
    if (link(made, path) == 0 || errno == EEXIST)
        return 0;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0 || errno == EEXIST)
        return 0;
    return errno;
}

static int make_file(const char *path, size_t len)
{
    static const char ending[] = ".XXXXXX";
    size_t path_len = strlen(path);
    char *made = malloc(path_len + sizeof ending);
    int fd, error;

    if (made == NULL)
        return ENOMEM;
    memcpy(made, path, path_len);
    memcpy(made + path_len, ending, sizeof ending);
    fd = mkostemp(made, O_CLOEXEC);
    if (fd < 0) {
        error = errno;
        free(made);
        return error;
    }
    error = fill(fd, len);
    close(fd);
    if (error == 0)
        error = publish(made, path);
    unlink(made);
    free(made);
    return error;
}

int secret_file_read(const char *path, void *out, size_t len)
{
    int error = read_file(path, out, len);

    if (error != ENOENT)
        return error;
    error = make_file(path, len);
    return error == 0 ? read_file(path, out, len) : error;
}
