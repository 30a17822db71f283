/*
 * listen: opening the socket that a web server connects to.
 *
 * Runs once, in the first process, before anything is forked. A start that cannot have its address must
 * say why in words an operator can act on, so every failing call here has its own sentence. A unix socket
 * that nobody accepts on is what a killed parley leaves behind; connect() is the only honest test for it.
 */
#include "fcgi/process/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/text.h"

#define LISTEN_BACKLOG                                                                             \
    1024 /* a full unix backlog is an instant 502 in nginx (WEBSERVERS.md section 5) */
#define UNIX_PREFIX "unix:"
#define UNIX_MODE   0660

static enum result refuse(struct fault *fault, const char *address, const char *why)
{
    return fault_set(fault, RESULT_INVALID, "listen_failed", "LISTEN", "Cannot listen on %s: %s.",
                     address, why);
}

static enum result refuse_errno(struct fault *fault, const char *address, int error)
{
    switch (error) {
    case EADDRINUSE:
        return refuse(fault, address, "another program has that address already");
    case EADDRNOTAVAIL:
        return refuse(fault, address, "this machine does not have that address");
    case EACCES:
    case EPERM:
        return refuse(fault, address,
                      "no permission (a directory not writable, or a port below 1024)");
    case ENOENT:
    case ENOTDIR:
        return refuse(fault, address, "the directory does not exist");
    case EROFS:
        return refuse(fault, address, "the file system is read-only");
    default:
        return refuse(fault, address, strerror(error));
    }
}

/* ---- unix sockets ---- */

static bool unix_address(const char *path, struct sockaddr_un *out)
{
    size_t len = strlen(path);

    memset(out, 0, sizeof(*out));
    out->sun_family = AF_UNIX;
    if (len == 0 || len >= sizeof(out->sun_path))
        return false;
    memcpy(out->sun_path, path, len);
    return true;
}

enum unix_state { UNIX_FREE, UNIX_STALE, UNIX_IN_USE, UNIX_NO_SOCKET, UNIX_UNKNOWN };

/* What lies at the path. UNIX_UNKNOWN leaves the reason in errno. */
static enum unix_state unix_probe(const struct sockaddr_un *address)
{
    struct stat st;
    int fd, rc, error;

    if (lstat(address->sun_path, &st) != 0)
        return errno == ENOENT ? UNIX_FREE : UNIX_UNKNOWN;
    if (!S_ISSOCK(st.st_mode))
        return UNIX_NO_SOCKET;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return UNIX_UNKNOWN;
    rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    error = errno;
    close(fd);
    if (rc == 0 || error == EAGAIN)
        return UNIX_IN_USE;
    if (error == ECONNREFUSED)
        return UNIX_STALE;
    errno = error;
    return error == ENOENT ? UNIX_FREE : UNIX_UNKNOWN;
}

static enum result unix_clear(const struct sockaddr_un *where, const char *address,
                              struct fault *fault)
{
    switch (unix_probe(where)) {
    case UNIX_FREE:
        return RESULT_OK;
    case UNIX_STALE:
        if (unlink(where->sun_path) != 0 && errno != ENOENT)
            return refuse_errno(fault, address, errno);
        return RESULT_OK;
    case UNIX_IN_USE:
        return refuse(fault, address, "another program accepts connections there already");
    case UNIX_NO_SOCKET:
        return refuse(fault, address, "there is something else than a socket at that path");
    case UNIX_UNKNOWN:
        break;
    }
    return refuse_errno(fault, address, errno);
}

static enum result open_unix(const char *address, int *out, struct fault *fault)
{
    struct sockaddr_un where;
    enum result result;
    mode_t mask;
    int fd = -1;
    int error;

    if (!unix_address(address + strlen(UNIX_PREFIX), &where))
        return refuse(fault, address, "the path is empty or longer than 107 bytes");
    result = unix_clear(&where, address, fault);
    if (result != RESULT_OK)
        return result;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse_errno(fault, address, errno);

    /* The mask, so that there is no moment in which a stranger could connect (libfcgi trusts its peer). */
    mask = umask(0777 & ~UNIX_MODE);
    error = bind(fd, (const struct sockaddr *)&where, sizeof(where)) == 0 ? 0 : errno;
    umask(mask);
    if (error == 0 && (chmod(where.sun_path, UNIX_MODE) != 0 || listen(fd, LISTEN_BACKLOG) != 0)) {
        error = errno;
        unlink(where.sun_path);
    }
    if (error != 0) {
        close(fd);
        return refuse_errno(fault, address, error);
    }
    *out = fd;
    return RESULT_OK;
}

/* ---- TCP ---- */

/* Split "HOST:PORT" or "[IPv6]:PORT". False when it is neither. */
static bool split_host_port(const char *address, char *host, size_t size, const char **port)
{
    const char *colon = strrchr(address, ':');
    const char *begin = address;
    size_t len;
    char *end;
    long number;

    if (colon == NULL || colon[1] < '0' || colon[1] > '9')
        return false;
    number = strtol(colon + 1, &end, 10);
    if (*end != '\0' || number > 65535)
        return false;
    len = (size_t)(colon - begin);
    if (len >= 2 && begin[0] == '[' && begin[len - 1] == ']') {
        begin++;
        len -= 2;
    } else if (memchr(begin, ':', len) != NULL) {
        return false;
    }
    if (len >= size)
        return false;
    memcpy(host, begin, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

static int listen_on(const struct addrinfo *info)
{
    int on = 1;
    int error;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, info->ai_protocol);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum result open_tcp(const char *address, int *out, struct fault *fault)
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    const char *port = NULL;
    const char *host;
    char name[256];
    int error = EADDRNOTAVAIL;

    if (!split_host_port(address, name, sizeof(name), &port))
        return refuse(fault, address, "write unix:PATH, HOST:PORT or [IPv6]:PORT");
    host = name[0] == '\0' || strcmp(name, "*") == 0 ? NULL : name;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return refuse(fault, address, "no address is known for that host name");
    *out = -1;
    for (const struct addrinfo *info = list; info != NULL && *out < 0; info = info->ai_next) {
        *out = listen_on(info);
        if (*out < 0)
            error = errno;
    }
    freeaddrinfo(list);
    return *out >= 0 ? RESULT_OK : refuse_errno(fault, address, error);
}

/* ---- the module ---- */

enum result listen_open(const char *address, int *fd, struct fault *fault)
{
    *fd = -1;
    if (text_starts_with(address, UNIX_PREFIX))
        return open_unix(address, fd, fault);
    return open_tcp(address, fd, fault);
}

enum result listen_set_access(const char *address, mode_t mode, uid_t uid, gid_t gid,
                              struct fault *fault)
{
    const char *path = address + strlen(UNIX_PREFIX);

    if (!text_starts_with(address, UNIX_PREFIX))
        return RESULT_OK;
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && chown(path, uid, gid) != 0)
        return fault_set(fault, RESULT_INVALID, "socket_owner", "SOCKET_OWNER",
                         "SOCKET_OWNER: the socket %s cannot be given away: %s.", path,
                         strerror(errno));
    if (chmod(path, mode) != 0)
        return fault_set(fault, RESULT_INVALID, "socket_mode", "SOCKET_MODE",
                         "SOCKET_MODE: the mode of %s cannot be set: %s.", path, strerror(errno));
    return RESULT_OK;
}

void listen_unlink(const char *address)
{
    struct sockaddr_un where;

    if (!text_starts_with(address, UNIX_PREFIX))
        return;
    if (unix_address(address + strlen(UNIX_PREFIX), &where) && unix_probe(&where) == UNIX_STALE)
        unlink(where.sun_path);
}

bool listen_is_socket(int fd)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0;
}
