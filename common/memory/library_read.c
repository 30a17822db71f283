/*
 * library_read: see library_read.h. Neighbours: library.c says what is read, fetch.c fetches.
 */
#include "common/memory/library_read.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/net.h"
#include "common/base/text.h"
#include "common/memory/fetch.h"
#include "common/memory/passages.h"

#define CAP_URL 2048

static const char inner_networks[] =
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16"
    " 224.0.0.0/3 ::/127 64:ff9b::/96 2002::/16 fc00::/7 fe80::/10 ff00::/8";

extern char **environ;

/* ---- files ---- */

/* NULL, or why not: whoever may write into a directory of documents must not have other files read out by a link. */
static const char *why_astray(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t above = slash != NULL ? (size_t)(slash + 1 - path) : 0;
    char real[PATH_MAX];

    if (realpath(path, real) == NULL)
        return strerror(errno);
    return strncmp(real, path, above) == 0 ? NULL : "a link that leads out of its directory";
}

const char *library_read_file(const char *path, struct buf *out)
{
    const char *why = why_astray(path);
    int fd =
        why == NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1; /* no FIFO holds us */
    struct stat info;
    char bytes[65536];
    ssize_t count = 0;

    if (fd < 0)
        return why != NULL ? why : strerror(errno);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        why = "not a file";
    else if (info.st_size > PASSAGES_DOCUMENT)
        why = "too large";
    while (why == NULL && (count = read(fd, bytes, sizeof bytes)) > 0)
        if (!buf_put(out, bytes, (size_t)count))
            why = "too large";
    if (count < 0)
        why = strerror(errno);
    close(fd);
    return why;
}

/* ---- addresses ---- */

struct page {
    bool over;
    struct buf *out;
    char *type;
    char location[CAP_URL];
    char why[128];
};

static bool redirects(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void on_page(void *ctx, const struct fetch_reply *reply)
{
    struct page *page = ctx;

    page->over = true;
    text_copy(page->type, 64, reply->content_type);
    if (reply->end != RELAY_COMPLETE)
        snprintf(page->why, sizeof page->why, "%s%s%.80s", relay_end_name(reply->end),
                 *reply->detail != '\0' ? ": " : "", reply->detail);
    else if (redirects(reply->status) && *reply->location != '\0')
        text_copy(page->location, sizeof page->location, reply->location);
    else if (reply->status != 200)
        snprintf(page->why, sizeof page->why, "HTTP status %d", reply->status);
    else if (!buf_put(page->out, reply->body, reply->len))
        snprintf(page->why, sizeof page->why, "too large");
}

static void fetch_page(struct relay *relay, uv_loop_t *loop, const char *url,
                       const struct net_list *shunned, struct page *page)
{
    struct fetch_request request = {
        .method = "GET",
        .url = url,
        .headers = "Accept: text/html, text/markdown, text/plain, application/pdf, "
                   "application/xml;q=0.9\nUser-Agent: Parley\n",
        .shunned = shunned,
        .timeout_ms = LIBRARY_FETCH_MS,
        .most = PASSAGES_DOCUMENT,
    };

    page->over = false;
    page->location[0] = page->why[0] = '\0';
    if (fetch_start(relay, &request, on_page, page) == NULL) {
        text_copy(page->why, sizeof page->why, "not an address");
        return;
    }
    while (!page->over)
        uv_run(loop, UV_RUN_ONCE);
}

/* Where a Location leads to from `url`. False for what is neither whole nor a path. */
static bool follow(char url[CAP_URL], const char *location)
{
    char base[CAP_URL];
    char *host;

    if (text_starts_with(location, "http://") || text_starts_with(location, "https://"))
        return text_copy(url, CAP_URL, location);
    if (*location != '/' || location[1] == '/')
        return false;
    text_copy(base, sizeof base, url);
    host = strstr(base, "://");
    if (host == NULL)
        return false;
    host[3 + strcspn(host + 3, "/?#")] = '\0';
    return snprintf(url, CAP_URL, "%s%s", base, location) < CAP_URL;
}

/* "host:port" of an address as it stands there. */
static void authority_of(const char *url, char out[CAP_URL])
{
    const char *begin = strstr(url, "://"), *at;
    size_t len;

    begin = begin != NULL ? begin + 3 : url;
    len = strcspn(begin, "/?#\\");
    at = memrchr(begin, '@', len);
    if (at != NULL) {
        len -= (size_t)(at + 1 - begin);
        begin = at + 1;
    }
    len = len < CAP_URL ? len : CAP_URL - 1;
    memcpy(out, begin, len);
    out[len] = '\0';
}

/* For addresses that a proxy connects to, of which we see no more than the name; one that cannot be resolved here
 * is left to it. */
static bool is_inner(char *authority, const struct net_list *inner)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char *colon = strrchr(authority, ':'), text[NET_TEXT_SIZE];
    bool found = false;

    if (colon != NULL && strchr(colon, ']') == NULL)
        *colon = '\0';
    if (authority[0] == '[' && strchr(authority, ']') != NULL) {
        *strchr(authority, ']') = '\0';
        authority++;
    }
    if (getaddrinfo(authority, NULL, &hints, &list) != 0)
        return false;
    for (const struct addrinfo *one = list; one != NULL && !found; one = one->ai_next)
        found = getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0,
                            NI_NUMERICHOST) != 0 ||
                net_list_has(inner, text);
    freeaddrinfo(list);
    return found;
}

/* What the operator names is read wherever it is; all else is connected to only outside of `inner` (*shunned). */
static bool may_read(const struct relay *relay, const char *named, const char *url,
                     const struct net_list *inner, const struct net_list **shunned)
{
    char ours[CAP_URL], other[CAP_URL];

    authority_of(named, ours);
    authority_of(url, other);
    *shunned = strcasecmp(ours, other) == 0 ? NULL : inner;
    return *shunned == NULL || !relay_proxies(relay, url) || !is_inner(other, inner);
}

const char *library_read_url(struct relay *relay, uv_loop_t *loop, const char *named,
                             const char *url, struct buf *out, char type[64])
{
    static char why[128]; /* the command has one thread */
    struct page page = { .out = out, .type = type };
    const struct net_list *shunned;
    struct net_list inner;
    char at[CAP_URL];

    if (!net_list_parse(inner_networks, &inner))
        return "the inner networks are not understood";
    if (!text_copy(at, sizeof at, url))
        return "too long";
    for (int i = 0; i <= LIBRARY_REDIRECTS; i++) {
        if (!may_read(relay, named, at, &inner, &shunned))
            return "it leads into an inner network";
        fetch_page(relay, loop, at, shunned, &page);
        if (page.location[0] == '\0')
            break;
        if (!follow(at, page.location))
            return "it leads to nowhere";
    }
    if (page.location[0] != '\0')
        return "too many redirections";
    text_copy(why, sizeof why, page.why);
    return why[0] != '\0' ? why : NULL;
}

/* ---- PDF ---- */

/* The bytes as a file without a name, which a child may read by /dev/stdin. -1 and errno. */
static int memory_file(const struct buf *bytes)
{
    int fd = memfd_create("document", MFD_CLOEXEC);
    size_t at = 0;

    while (fd >= 0 && at < bytes->len) {
        ssize_t count = write(fd, bytes->data + at, bytes->len - at);

        if (count <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)count;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static int start_pdftotext(int input, int output, pid_t *child)
{
    static char name[] = "pdftotext", encoding[] = "-enc", utf8[] = "UTF-8", from[] = "/dev/stdin",
                to[] = "-";
    char *const arguments[] = { name, encoding, utf8, from, to, NULL };
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    posix_spawn_file_actions_adddup2(&actions, input, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    error = posix_spawnp(child, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Everything from the pipe until its end or the deadline. NULL, or why not. */
static const char *drain(int fd, struct buf *out)
{
    int64_t deadline = clock_mono_ms() + LIBRARY_PDF_MS;
    char bytes[65536];

    for (;;) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int64_t left = deadline - clock_mono_ms();
        ssize_t count;

        if (left <= 0 || poll(&wait, 1, (int)left) == 0)
            return "pdftotext took too long";
        count = read(fd, bytes, sizeof bytes);
        if (count == 0)
            return NULL;
        if (count < 0 && errno != EINTR)
            return strerror(errno);
        if (count > 0 && !buf_put(out, bytes, (size_t)count))
            return "too large";
    }
}

const char *library_pdf_text(const struct buf *pdf, struct buf *out)
{
    int input = memory_file(pdf), ends[2] = { -1, -1 }, status = 0, error;
    const char *why;
    pid_t child;

    if (input < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        if (input >= 0)
            close(input);
        return "out of descriptors";
    }
    error = start_pdftotext(input, ends[1], &child);
    close(input);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return "pdftotext is not installed";
    }
    why = drain(ends[0], out);
    close(ends[0]);
    if (why != NULL)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (why == NULL && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        why = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "pdftotext is not installed"
                                                              : "pdftotext cannot read it";
    return why;
}
