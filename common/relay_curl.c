/*
 * relay_curl: see relay_curl.h. Libcurl brings some thirty libraries along, and to tie all of them together costs several
 * times what a request costs that asks no provider: as a plain CGI, and in every short command. So the program is not
 * linked with it. Here are the functions of its that the relay calls, under their own names and with the types that
 * curl.h gives them; each passes its call on to the real one.
 *
 * Loaded once, by whoever comes first: the master before it forks, so that the workers share what the dynamic linker
 * wrote, or the first call in a process without a master. Loop thread, or no thread yet.
 */
#define CURL_DISABLE_TYPECHECK /* its macros have the names that are defined here */
#include "common/relay_curl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/log.h"

/* The name that curl has kept for its interface since 2006. Whatever is put beside the program is found by its
 * RPATH, as if it were linked. */
#define LIBCURL "libcurl.so.4"

#define FUNCTIONS(X)            \
    X(curl_easy_cleanup)        \
    X(curl_easy_getinfo)        \
    X(curl_easy_header)         \
    X(curl_easy_init)           \
    X(curl_easy_pause)          \
    X(curl_easy_setopt)         \
    X(curl_global_init)         \
    X(curl_multi_add_handle)    \
    X(curl_multi_assign)        \
    X(curl_multi_cleanup)       \
    X(curl_multi_info_read)     \
    X(curl_multi_init)          \
    X(curl_multi_remove_handle) \
    X(curl_multi_setopt)        \
    X(curl_multi_socket_action) \
    X(curl_slist_append)        \
    X(curl_slist_free_all)

#define FIELD(name) __typeof__(name) *name;
struct libcurl {
    FUNCTIONS(FIELD)
};

#define ROW(name) { #name, offsetof(struct libcurl, name) },
static const struct {
    const char *name;
    size_t offset;
} functions[] = { FUNCTIONS(ROW) };

static struct libcurl libcurl;
static void *library;

bool relay_curl_load(void)
{
    struct libcurl found;
    void *handle;

    if (library != NULL)
        return true;
    handle = dlopen(LIBCURL, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle != NULL && i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(handle, functions[i].name);

        if (function == NULL) {
            log_error("libcurl_unusable", LOG_STR("error", dlerror()));
            dlclose(handle);
            return false;
        }
        memcpy((char *)&found + functions[i].offset, &function, sizeof function);
    }
    if (handle == NULL) {
        log_error("libcurl_unusable", LOG_STR("error", dlerror()));
        return false;
    }
    libcurl = found;
    library = handle;
    return true;
}

/* ---- functions that take one argument of a type that the option says ---- */

enum kind { KIND_LONG, KIND_POINTER, KIND_OFF_T };

static enum kind kind_of(int option)
{
    if (option < CURLOPTTYPE_OBJECTPOINT)
        return KIND_LONG;
    return option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB ? KIND_OFF_T : KIND_POINTER;
}

#define PASS_ON(function, handle, option, args)                           \
    (kind_of((int)(option)) == KIND_LONG                                  \
         ? libcurl.function((handle), (option), va_arg((args), long))     \
     : kind_of((int)(option)) == KIND_OFF_T                               \
         ? libcurl.function((handle), (option), va_arg((args), curl_off_t)) \
         : libcurl.function((handle), (option), va_arg((args), void *)))

#undef curl_easy_setopt
CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    CURLcode code;
    va_list args;

    va_start(args, option);
    code = PASS_ON(curl_easy_setopt, easy, option, args);
    va_end(args);
    return code;
}

#undef curl_multi_setopt
CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
    CURLMcode code;
    va_list args;

    va_start(args, option);
    code = PASS_ON(curl_multi_setopt, multi, option, args);
    va_end(args);
    return code;
}

/* Whatever is asked for, the argument says where to put it. */
#undef curl_easy_getinfo
CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    CURLcode code;
    va_list args;

    va_start(args, info);
    code = libcurl.curl_easy_getinfo(easy, info, va_arg(args, void *));
    va_end(args);
    return code;
}

/* ---- the others ---- */

CURLcode curl_global_init(long flags)
{
    return libcurl.curl_global_init(flags);
}

CURL *curl_easy_init(void)
{
    return libcurl.curl_easy_init();
}

/* The two that clean up after a call that got nowhere come without libcurl, too. */
void curl_easy_cleanup(CURL *easy)
{
    if (easy != NULL)
        libcurl.curl_easy_cleanup(easy);
}

void curl_slist_free_all(struct curl_slist *list)
{
    if (list != NULL)
        libcurl.curl_slist_free_all(list);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    return libcurl.curl_slist_append(list, text);
}

CURLcode curl_easy_pause(CURL *easy, int what)
{
    return libcurl.curl_easy_pause(easy, what);
}

CURLHcode curl_easy_header(CURL *easy, const char *name, size_t index, unsigned origin, int request,
                           struct curl_header **out)
{
    return libcurl.curl_easy_header(easy, name, index, origin, request, out);
}

CURLM *curl_multi_init(void)
{
    return libcurl.curl_multi_init();
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
    return libcurl.curl_multi_cleanup(multi);
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    return libcurl.curl_multi_add_handle(multi, easy);
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
    return libcurl.curl_multi_remove_handle(multi, easy);
}

CURLMcode curl_multi_assign(CURLM *multi, curl_socket_t fd, void *data)
{
    return libcurl.curl_multi_assign(multi, fd, data);
}

CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events, int *running)
{
    return libcurl.curl_multi_socket_action(multi, fd, events, running);
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *left)
{
    return libcurl.curl_multi_info_read(multi, left);
}
