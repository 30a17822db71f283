/*
 * db_file: see db_file.h. Runs on any thread.
 */
#include "common/store/db_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PATH_SIZE 4096

static int make_directories(const char *path)
{
    char part[PATH_SIZE];

    if (strlen(path) >= sizeof part)
        return ENAMETOOLONG;
    memcpy(part, path, strlen(path) + 1);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (access(part, F_OK) != 0 && mkdir(part, 0700) != 0 && errno != EEXIST)
            return errno;
        *slash = '/';
    }
    return 0;
}

int db_file_create_new(const char *path)
{
    /* O_EXCL, because closing a descriptor of a file that is a database already would drop the locks
     * that this process's handles hold on it. */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

int db_file_create(const char *path)
{
    int error = 0;

    if (access(path, F_OK) == 0)
        return 0;
    error = make_directories(path);
    if (error == 0)
        error = db_file_create_new(path);
    return error == EEXIST ? 0 : error;
}

bool db_file_on_network(const char *path)
{
    static const unsigned long network[] = {
        0x6969,     /* NFS */
        0x517b,     /* SMB */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB2 */
        0x5346414f, /* AFS */
        0x01021997, /* 9P */
        0x00c36400, /* Ceph */
        0x47504653, /* GPFS */
    };
    struct statfs info;

    if (path == NULL || statfs(path, &info) != 0)
        return false;
    for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
        if (((unsigned long)info.f_type & 0xffffffff) == network[i])
            return true;
    return false;
}

bool db_file_identify(const char *path, struct db_file_identity *out)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return false;
    out->device = (uint64_t)status.st_dev;
    out->inode = (uint64_t)status.st_ino;
    return true;
}
