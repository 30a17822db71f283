/*
 * request: what the web server tells in CGI variables, made into a method, a path, headers and a body.
 *
 * The path. Web servers disagree about SCRIPT_NAME and PATH_INFO (WEBSERVERS.md section 7), but put
 * together they are always the whole path, decoded once. Decoding it again would let %2e%2e through. What
 * has to be found out is which part of it is where we are mounted (`base`), and that goes so:
 *
 *   1. BASE_PATH is set and the whole path begins with it: that is the base. For nginx, ProxyPass and Caddy
 *      at "/ai/", which leave the prefix in the path.
 *   2. PATH_INFO is empty: SCRIPT_NAME is the path (nginx, ProxyPass, a first segment from lighttpd),
 *      unless SCRIPT_FILENAME or SCRIPT_NAME ends in .cgi or .fcgi: then it is the base, and the path "/".
 *   3. SCRIPT_NAME is "/" and the first segment of one of our routes: lighttpd with prefix "/", or Apache's
 *      SetHandler, has split our own path. The base is empty.
 *   4. Else SCRIPT_NAME is the base and PATH_INFO the path: lighttpd with a prefix, CGI, Caddy, mod_fcgid.
 *
 * A rewrite rule may hide the program's name (shared hosts: the browser is at /chat/, SCRIPT_NAME says
 * /chat/parley.fcgi). Then the base is what the browser sees, because cookies and redirects go by that.
 *
 * Runs on a request thread; plain data afterwards.
 */
#include "fcgi/http/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/config.h"
#include "fcgi/http/transport.h"

#define READ_SIZE 8192

/* First segments of the routes that have more than one (rule 3). A unit test compares it with routes.c. */
static const char *const first_segments[] = { "/api", "/assets" };

static const char *const method_names[] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

const char *http_method_name(enum http_method method)
{
    return method_names[method];
}

static enum http_method method_of(const char *name)
{
    for (int i = HTTP_GET; i < HTTP_OTHER; i++)
        if (strcmp(method_names[i], name) == 0)
            return (enum http_method)i;
    return HTTP_OTHER;
}

static const char *variable(const struct request *request, const char *name)
{
    return request->transport->ops->variable(request->transport, name);
}

static const char *variable_or_empty(const struct request *request, const char *name)
{
    const char *value = variable(request, name);
    return value != NULL ? value : "";
}

/* ---- the path ---- */

static bool path_allowed(const char *path)
{
    size_t len = strlen(path);
    if (len > 0 && path[0] != '/')
        return false;
    if (!text_utf8_valid(path, len) || text_has_control(path, len))
        return false;
    for (const char *at = strstr(path, "/.."); at != NULL; at = strstr(at + 1, "/.."))
        if (at[3] == '/' || at[3] == '\0')
            return false;
    return true;
}

static enum result path_refused(struct fault *fault)
{
    return fault_set(fault, RESULT_INVALID, "invalid_path", NULL,
                     "The path of the address is not one that can be served.");
}

/* In place: "//" and "/./" become "/", a slash at the end goes. "/" itself becomes "". */
static void tidy(char *path)
{
    char *to = path;
    for (const char *at = path; *at != '\0';) {
        size_t len = 1 + strcspn(at + 1, "/");
        if (len > 1 && !(len == 2 && at[1] == '.')) {
            memmove(to, at, len);
            to += len;
        }
        at += len;
    }
    *to = '\0';
}

/* Length of `base` when `path` is it or lies below it, else 0. */
static size_t below(const char *path, const char *base)
{
    size_t len = strlen(base);
    if (len == 0 || strncmp(path, base, len) != 0)
        return 0;
    return path[len] == '/' || path[len] == '\0' ? len : 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text), end_len = strlen(end);
    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

static bool is_program(const char *name)
{
    return ends_with(name, ".cgi") || ends_with(name, ".fcgi");
}

static bool is_first_segment(const char *script)
{
    for (size_t i = 0; i < sizeof(first_segments) / sizeof(first_segments[0]); i++)
        if (strcmp(script, first_segments[i]) == 0)
            return true;
    return false;
}

/* How many bytes of the tidied whole path, of which `script` was the first part, are the base. */
static size_t base_len(const struct request *request, const struct config *config,
                       const char *whole, const char *script, bool has_path_info)
{
    char configured[256];
    if (text_copy(configured, sizeof(configured), config->base_path)) {
        tidy(configured);
        size_t len = below(whole, configured);
        if (len > 0)
            return len;
    }
    if (!has_path_info)
        return is_program(script) || is_program(variable_or_empty(request, "SCRIPT_FILENAME"))
                   ? strlen(script)
                   : 0;
    return is_first_segment(script) ? 0 : strlen(script);
}

/* Cut the program's name from the base when the browser asked for an address below its directory only. */
static void show_base_as_seen(struct request *request)
{
    const char *uri = variable_or_empty(request, "REQUEST_URI");
    char *name = strrchr(request->base, '/');
    size_t len = strlen(request->base);

    if (name == NULL || !is_program(name) || uri[0] != '/')
        return;
    if (strncmp(uri, request->base, len) == 0 && strchr("/?", uri[len]) != NULL)
        return;
    if (strncmp(uri, request->base, (size_t)(name - request->base) + 1) == 0)
        *name = '\0';
}

static enum result read_path(struct request *request, const struct config *config,
                             struct fault *fault)
{
    const char *script_name = variable_or_empty(request, "SCRIPT_NAME");
    const char *path_info = variable_or_empty(request, "PATH_INFO");
    enum result result = RESULT_INTERNAL;
    char *script = strdup(script_name);
    char *whole = malloc(strlen(script_name) + strlen(path_info) + 1);

    if (script == NULL || whole == NULL)
        goto out;
    stpcpy(stpcpy(whole, script_name), path_info);
    if (!path_allowed(script_name) || !path_allowed(path_info) || !path_allowed(whole)) {
        result = path_refused(fault);
        goto out;
    }
    tidy(script);
    tidy(whole);
    size_t len = base_len(request, config, whole, script, path_info[0] != '\0');
    request->base = strndup(whole, len);
    request->path = strdup(whole[len] != '\0' ? whole + len : "/");
    if (request->base != NULL && request->path != NULL) {
        show_base_as_seen(request);
        result = RESULT_OK;
    }
out:
    if (result == RESULT_INTERNAL)
        fault_set(fault, result, "no_memory", NULL, "The server has run out of memory.");
    free(script);
    free(whole);
    return result;
}

/* What stands behind `prefix` in the address as it was sent, decoded; NULL when nothing does. */
static char *sent_behind(const struct request *request, const char *prefix, size_t prefix_len)
{
    const char *uri = variable_or_empty(request, "REQUEST_URI");
    const char *at = memmem(uri, strcspn(uri, "?"), prefix, prefix_len);
    if (at == NULL)
        return NULL;
    at += prefix_len;
    size_t len = strcspn(at, "?");
    while (len > 0 && at[len - 1] == '/')
        len--;
    char *sent = malloc(len + 2);
    if (sent == NULL)
        return NULL;
    sent[0] = '/';
    memcpy(sent + 1, at, len);
    sent[len + 1] = '\0';
    if (!text_percent_decode(sent, false)) {
        free(sent);
        sent = NULL;
    }
    return sent;
}

/*
 * Where it is not the same but for its slashes, a rewrite rule has put another name there, and that one counts. A name
 * that was nothing but slashes and dots may have been sent where none is left; of "." some web servers leave no trace,
 * so a slash that nothing stands behind is not taken for the path above it.
 */
enum result request_restore_tail(struct request *request, const char *prefix, size_t prefix_len,
                                 struct fault *fault)
{
    enum result result = RESULT_OK;
    char *sent = sent_behind(request, prefix, prefix_len);
    char *tidied = sent != NULL ? strdup(sent) : NULL;

    if (tidied == NULL)
        goto out;
    tidy(tidied);
    if (!path_allowed(sent))
        result = path_refused(fault);
    else if (strcmp(sent, "/") == 0 && request->path_arg[0] == '\0')
        result = fault_set(fault, RESULT_INVALID, "invalid_path", NULL,
                           "The address ends where a name should stand.");
    else if (strcmp(tidied + (tidied[0] == '/'), request->path_arg) == 0 &&
             !text_copy(request->path_arg, sizeof(request->path_arg), sent + 1))
        result = path_refused(fault);
out:
    free(tidied);
    free(sent);
    return result;
}

enum result request_read(struct request *request, struct transport *transport,
                         const struct config *config, struct fault *fault)
{
    *request = (struct request){ .transport = transport, .method = HTTP_OTHER };
    id_make(request->id, "req_");
    request->query = variable_or_empty(request, "QUERY_STRING");
    request->address = variable_or_empty(request, "REMOTE_ADDR");

    const char *method = variable_or_empty(request, "REQUEST_METHOD");
    if (method[0] == '\0')
        return fault_set(fault, RESULT_INVALID, "invalid_request", NULL,
                         "The request has no method.");
    request->method = method_of(method);
    return read_path(request, config, fault);
}

void request_free(struct request *request)
{
    free(request->path);
    free(request->base);
    buf_free(&request->body);
    request->path = request->base = NULL;
}

/* ---- the body ---- */

/* Absent, "", "0" and "-1" all mean "read and see": which one it is depends on the web server. */
static bool declared_length(const struct request *request, size_t *length)
{
    const char *text = variable_or_empty(request, "CONTENT_LENGTH");
    char *end = NULL;
    *length = 0;
    if (text[0] == '\0' || strcmp(text, "-1") == 0)
        return true;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > SIZE_MAX)
        return false;
    *length = (size_t)value;
    return true;
}

/* Let the peer get rid of what it is sending, or it would not read our answer; but not for ever. */
static enum result too_large(struct request *request, size_t max, struct fault *fault)
{
    char chunk[READ_SIZE];
    size_t got = 1;
    buf_free(&request->body);
    for (size_t dropped = 0; got > 0 && dropped < TRANSPORT_DRAIN; dropped += got)
        if (request->transport->ops->read(request->transport, chunk, sizeof(chunk), &got) !=
            RESULT_OK)
            break;
    return fault_set(fault, RESULT_TOO_LARGE, "body_too_large", NULL,
                     "The body of the request is larger than the %zu bytes that are allowed.", max);
}

static enum result incomplete(struct fault *fault, enum result result)
{
    return fault_set(fault, result, "body_incomplete", NULL,
                     "The body of the request ended before all of it had arrived.");
}

enum result request_body(struct request *request, size_t max, struct fault *fault)
{
    size_t declared, got;
    char chunk[READ_SIZE];

    if (request->body_read)
        return RESULT_OK;
    request->body_read = true;
    buf_init(&request->body, max);
    if (!declared_length(request, &declared))
        return fault_set(fault, RESULT_INVALID, "invalid_content_length", NULL,
                         "The Content-Length of the request is not a number.");
    if (declared > max)
        return too_large(request, max, fault);
    do {
        if (request->transport->ops->read(request->transport, chunk, sizeof(chunk), &got) !=
            RESULT_OK)
            return incomplete(fault, RESULT_GONE);
        if (got > max - request->body.len)
            return too_large(request, max, fault);
        if (!buf_put(&request->body, chunk, got))
            return fault_set(fault, RESULT_INTERNAL, "no_memory", NULL,
                             "The server has run out of memory.");
    } while (got > 0);
    return request->body.len < declared ? incomplete(fault, RESULT_INVALID) : RESULT_OK;
}

/* ---- headers, query, cookies ---- */

const char *request_header(const struct request *request, const char *name)
{
    char key[128] = "HTTP_";
    size_t len = 5;
    for (; *name != '\0' && len + 1 < sizeof(key); name++, len++)
        key[len] = *name == '-'                   ? '_'
                   : *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A')
                                                  : *name;
    if (*name != '\0')
        return NULL;
    key[len] = '\0';
    /* The two that CGI calls by their own names (RFC 3875 4.1). */
    bool own_name =
        strcmp(key, "HTTP_CONTENT_TYPE") == 0 || strcmp(key, "HTTP_CONTENT_LENGTH") == 0;
    /* What comes back is the value and lives in the transport, not in `key`. */
    /* cppcheck-suppress returnDanglingLifetime */
    return variable(request, own_name ? key + 5 : key);
}

/* The value of `name` in a list of name=value with one of `separators` between; NULL when absent. */
static const char *find_value(const char *list, const char *separators, const char *name,
                              size_t *len)
{
    size_t name_len = strlen(name);
    for (const char *at = list; *at != '\0';) {
        at += strspn(at, separators);
        size_t pair_len = strcspn(at, separators);
        if (pair_len >= name_len && strncmp(at, name, name_len) == 0) {
            if (pair_len > name_len && at[name_len] == '=') {
                *len = pair_len - name_len - 1;
                return at + name_len + 1;
            }
            if (pair_len == name_len && name_len > 0) {
                *len = 0;
                return at + name_len;
            }
        }
        at += pair_len;
    }
    return NULL;
}

static bool copy_value(const char *value, size_t len, char *out, size_t size)
{
    if (value == NULL || len >= size)
        return false;
    memcpy(out, value, len);
    out[len] = '\0';
    return true;
}

bool request_query(const struct request *request, const char *name, char *out, size_t size)
{
    size_t len = 0;
    const char *value = find_value(request->query, "&", name, &len);
    return copy_value(value, len, out, size) && text_percent_decode(out, true);
}

/* Apache and Caddy join repeated Cookie headers with ", "; our own values have no comma. */
bool request_cookie(const struct request *request, const char *name, char *out, size_t size)
{
    size_t len = 0;
    const char *cookies = variable_or_empty(request, "HTTP_COOKIE");
    const char *value = find_value(cookies, ";, ", name, &len);
    return copy_value(value, len, out, size);
}
