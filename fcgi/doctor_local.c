/*
 * doctor_local: this machine: how Parley runs here, what the system lets it have, where its data lies.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "fcgi/doctor_private.h"
#include "fcgi/status_command.h"

#define PATH_SIZE     4096
#define WRITES        20 /* of the speed test */
#define SLOW_WRITE_US 50000
#define LITTLE_MB     1024 /* of free disk: soon a worry */
#define NO_MB         100  /* the same: now */
#define FILES_SPARE   128  /* descriptors besides those of the streams */

static const char unix_prefix[] = "unix:";
static const char sqlite_prefix[] = "sqlite:";

/* ---- how it runs ---- */

/* 0, or why nobody can be reached there. */
static int connect_error(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0 || !text_copy(address.sun_path, sizeof address.sun_path, path))
        error = ENAMETOOLONG;
    else if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    return error == EAGAIN ? 0 : error;
}

static void say_socket_owner(struct doctor *doctor, const char *path)
{
    struct stat st;
    const struct passwd *user;
    const struct group *group;

    if (stat(path, &st) != 0)
        return;
    /* cppcheck-suppress getpwuidCalled ; one thread */
    user = getpwuid(st.st_uid);
    /* cppcheck-suppress getgrgidCalled ; one thread */
    group = getgrgid(st.st_gid);
    doctor_pass(doctor, "socket", "%s answers; mode %03o, %s:%s", path, st.st_mode & 07777,
                user != NULL ? user->pw_name : "?", group != NULL ? group->gr_name : "?");
}

static void check_socket(struct doctor *doctor)
{
    const char *listen = doctor->config->listen;
    const char *path = listen + strlen(unix_prefix);
    int error;

    if (!text_starts_with(listen, unix_prefix)) {
        doctor_pass(doctor, "socket", "parley serve listens on %s", listen);
        return;
    }
    error = connect_error(path);
    if (error == 0)
        say_socket_owner(doctor, path);
    else if (error == EACCES)
        doctor_say(doctor, DOCTOR_WARN, "socket",
                   "run doctor as root or as the web server's user; give the socket to the web "
                   "server's group with SOCKET_OWNER=:www-data",
                   "%s may not be used by this user", path);
    else
        doctor_say(doctor, DOCTOR_WARN, "socket",
                   "start Parley (parley serve, systemctl start parley, or your web server's way), "
                   "with the same settings as here",
                   "nobody listens on %s (%s)", path, strerror(error));
}

/* The name of the program that is the parent of `pid`; "" when that cannot be told. */
static void parent_name(pid_t pid, char out[64])
{
    char path[40], line[300];
    int parent = 0;
    FILE *file;

    out[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file != NULL && fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL)
        sscanf(strrchr(line, ')') + 1, " %*c %d", &parent);
    if (file != NULL)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/comm", parent);
    file = parent > 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return;
    if (fgets(out, 64, file) != NULL)
        out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

static void check_running(struct doctor *doctor)
{
    pid_t pid = status_find_running();
    char starter[64];

    if (pid > 0) {
        parent_name(pid, starter);
        doctor_pass(doctor, "running", "process %d, started by %s (`parley status` shows more)",
                    (int)pid, starter[0] != '\0' ? starter : "something unknown");
    } else {
        doctor_say(doctor, DOCTOR_WARN, "running",
                   "run doctor as Parley's user or as root; a plain CGI runs only while it answers",
                   "no Parley is running that this user may look at");
    }
}

static void check_user(struct doctor *doctor)
{
    if (geteuid() == 0 && doctor->config->run_user[0] == '\0')
        doctor_say(
            doctor, DOCTOR_WARN, "user",
            "as root set RUN_USER, for instance to www-data, or let systemd start it with User=",
            "started like this the workers are root");
    else
        doctor_pass(doctor, "user", "workers are %s",
                    doctor->config->run_user[0] ? doctor->config->run_user : "whoever starts them");
}

static void check_env_file(struct doctor *doctor)
{
    const char *path = getenv("PARLEY_ENV");
    struct stat st;

    if (path == NULL || path[0] == '\0')
        path = ".env";
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    if ((st.st_mode & S_IROTH) != 0)
        doctor_say(doctor, DOCTOR_WARN, "settings", "chmod 640 (or 600) the file",
                   "%s can be read by everybody on this machine", path);
    else
        doctor_pass(doctor, "settings", "%s is not for everybody's eyes", path);
}

/* ---- limits ---- */

static void check_files(struct doctor *doctor)
{
    int64_t wanted = 2 * doctor->config->max_streams + FILES_SPARE;
    struct rlimit limit;
    char remedy[160];

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max == RLIM_INFINITY || (int64_t)limit.rlim_max >= wanted) {
        doctor_pass(doctor, "open files", "enough for MAX_STREAMS=%lld",
                    (long long)doctor->config->max_streams);
        return;
    }
    snprintf(
        remedy, sizeof remedy,
        "raise it to %lld (systemd: LimitNOFILE=; shell: ulimit -n), or set MAX_STREAMS=%lld",
        (long long)wanted,
        (long long)(limit.rlim_max > FILES_SPARE + 2 ? (limit.rlim_max - FILES_SPARE) / 2 : 1));
    doctor_say(doctor, DOCTOR_FAIL, "open files", remedy,
               "a worker may open %llu, and MAX_STREAMS=%lld needs %lld",
               (unsigned long long)limit.rlim_max, (long long)doctor->config->max_streams,
               (long long)wanted);
}

static void check_processes(struct doctor *doctor)
{
    int64_t workers = doctor->config->workers > 0 ? doctor->config->workers : 2;
    int64_t wanted = 2 * workers * (doctor->config->request_threads + 2);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NPROC, &limit) != 0 || geteuid() == 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY || (int64_t)limit.rlim_cur >= wanted)
        doctor_pass(doctor, "processes", "enough for workers and their threads");
    else
        doctor_say(doctor, DOCTOR_FAIL, "processes",
                   "raise it (systemd: LimitNPROC=; shell: ulimit -u), or lower REQUEST_THREADS",
                   "this user may have %llu, and two generations of workers need %lld",
                   (unsigned long long)limit.rlim_cur, (long long)wanted);
}

/* ---- store ---- */

/* f_type of statfs(2), where SQLite's locks are a matter of luck or the data of time. */
static const struct {
    unsigned long type;
    const char *name;
    bool network;
} odd_file_systems[] = {
    { 0x6969, "NFS", true },      { 0xff534d42, "CIFS", true },   { 0xfe534d42, "SMB", true },
    { 0x517b, "SMB", true },      { 0x01021997, "9P", true },     { 0x65735546, "FUSE", true },
    { 0x00c36400, "Ceph", true }, { 0x01021994, "tmpfs", false }, { 0x858458f6, "ramfs", false },
};

static void check_file_system(struct doctor *doctor, const char *directory)
{
    struct statfs fs;

    if (statfs(directory, &fs) != 0)
        return;
    for (size_t i = 0; i < sizeof(odd_file_systems) / sizeof(odd_file_systems[0]); i++) {
        if ((unsigned long)fs.f_type != odd_file_systems[i].type)
            continue;
        if (odd_file_systems[i].network)
            doctor_say(
                doctor, DOCTOR_FAIL, "store: file system",
                "point DATABASE_URL to a local disk: SQLite cannot lock reliably over a network",
                "%s is on %s", directory, odd_file_systems[i].name);
        else
            doctor_say(doctor, DOCTOR_WARN, "store: file system",
                       "point DATABASE_URL to a disk: what lies there is gone at the next boot",
                       "%s is on %s", directory, odd_file_systems[i].name);
        return;
    }
    doctor_pass(doctor, "store: file system", "local");
}

static void check_space(struct doctor *doctor, const char *directory)
{
    struct statvfs fs;
    unsigned long long free_mb;

    if (statvfs(directory, &fs) != 0)
        return;
    free_mb = (unsigned long long)fs.f_bavail * fs.f_frsize / (1024 * 1024);
    if (free_mb >= LITTLE_MB)
        doctor_pass(doctor, "store: free disk", "%llu MB", free_mb);
    else
        doctor_say(doctor, free_mb < NO_MB ? DOCTOR_FAIL : DOCTOR_WARN, "store: free disk",
                   "free some, or move the database (DATABASE_URL) to a bigger disk", "%llu MB",
                   free_mb);
}

static int64_t time_writes(int fd)
{
    static const char page[4096];
    int64_t started = clock_mono_us();

    for (int i = 0; i < WRITES; i++) {
        if (pwrite(fd, page, sizeof page, (off_t)i * (off_t)sizeof page) != (ssize_t)sizeof page ||
            fdatasync(fd) != 0)
            return -1;
    }
    return (clock_mono_us() - started) / WRITES;
}

/* False: nothing can be written there. */
static bool check_writing(struct doctor *doctor, const char *directory)
{
    char path[PATH_SIZE + 32];
    int64_t us = -1;
    int fd;

    snprintf(path, sizeof path, "%s/.parley-doctor-XXXXXX", directory);
    fd = mkstemp(path);
    if (fd >= 0) {
        us = time_writes(fd);
        close(fd);
        unlink(path);
    }
    if (us < 0)
        doctor_say(
            doctor, DOCTOR_FAIL, "store: writing",
            "make the directory belong to the user that Parley runs as (chown), on a disk that is "
            "neither full nor read-only",
            "%s: %s", directory, strerror(errno));
    else if (us > SLOW_WRITE_US)
        doctor_say(doctor, DOCTOR_WARN, "store: writing",
                   "keep DATABASE_SYNC=normal, and move the database to a faster disk",
                   "%.1f ms for one safe write", (double)us / 1000.0);
    else
        doctor_pass(doctor, "store: writing", "%.2f ms for one safe write", (double)us / 1000.0);
    return us >= 0;
}

/* Bytes 18 and 19 of the file are 2 when it is in WAL mode. */
static void check_wal(struct doctor *doctor, const char *path)
{
    unsigned char head[20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head;

    if (fd >= 0)
        close(fd);
    if (fd < 0 && errno == ENOENT)
        doctor_pass(doctor, "store: database", "will be made at the first start");
    else if (!is_read)
        doctor_say(doctor, DOCTOR_FAIL, "store: database",
                   "make the file belong to the user that Parley runs as", "%s cannot be read",
                   path);
    else if (memcmp(head, "SQLite format 3", 16) != 0)
        doctor_say(doctor, DOCTOR_FAIL, "store: database",
                   "restore a backup, or name another file in DATABASE_URL", "%s is no database",
                   path);
    else if (head[18] != 2 || head[19] != 2)
        doctor_say(
            doctor, DOCTOR_WARN, "store: database",
            "move it to a local disk, where readers and the writer need not wait for each other",
            "not in WAL mode: this file system cannot do it");
    else
        doctor_pass(doctor, "store: database", "in WAL mode");
}

/* Cut the last part of a path: what is left is the directory that it is in. */
static void cut_last_part(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL)
        memcpy(path, ".", 2);
    else
        slash[slash == path ? 1 : 0] = '\0';
}

static void check_store(struct doctor *doctor)
{
    const char *path = doctor->config->database_url;
    char directory[PATH_SIZE];

    if (!text_starts_with(path, sqlite_prefix))
        return;
    path += strlen(sqlite_prefix);
    if (!text_copy(directory, sizeof directory, path))
        return;
    cut_last_part(directory);
    while (access(directory, F_OK) != 0 && errno == ENOENT && strcmp(directory, ".") != 0 &&
           strcmp(directory, "/") != 0) /* Parley makes it at the first start */
        cut_last_part(directory);
    check_file_system(doctor, directory);
    if (check_writing(doctor, directory))
        check_space(doctor, directory);
    check_wal(doctor, path);
}

void doctor_local(struct doctor *doctor)
{
    check_running(doctor);
    check_user(doctor);
    check_env_file(doctor);
    check_socket(doctor);
    check_files(doctor);
    check_processes(doctor);
    check_store(doctor);
}
