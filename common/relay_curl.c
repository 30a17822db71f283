/*
 * relay_curl: see relay_curl.h. Libcurl brings some thirty libraries along, and to tie all of them together costs several
 * times what a request costs that asks no provider: as a plain CGI, and in every short command. So the program is not
 * linked with it. Here are the functions of its that the relay calls, under their own names and with the types that
 * curl.h gives them; each passes its call on to the real one.
 *
 * Loaded once, by whoever comes first: the master before it forks, so that the workers share what the dynamic linker
 * wrote, or the first call of a process that may have none. Loop thread, or no thread yet.
 */
#define CURL_DISABLE_TYPECHECK /* its macros have the names that are defined here */
#include "common/relay_curl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"

/* The name that curl has kept for its interface since 2006. Whatever is put beside the program is found by its
 * RPATH, as if it were linked. */
#define LIBCURL "libcurl.so.4"

#define FUNCTIONS(X)                                                                               \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_header)                                                                            \
    X(curl_easy_init)                                                                              \
    X(curl_easy_pause)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_global_init)                                                                            \
    X(curl_multi_add_handle)                                                                       \
    X(curl_multi_assign)                                                                           \
    X(curl_multi_cleanup)                                                                          \
    X(curl_multi_info_read)                                                                        \
    X(curl_multi_init)                                                                             \
    X(curl_multi_remove_handle)                                                                    \
    X(curl_multi_setopt)                                                                           \
    X(curl_multi_socket_action)                                                                    \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_version_info)

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

static bool find_functions(void *handle, struct libcurl *found)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(handle, functions[i].name);

        if (function == NULL)
            return false;
        memcpy((char *)found + functions[i].offset, &function, sizeof function);
    }
    return true;
}

/* Lazily, as the dynamic linker ties up what a program is linked with. */
bool relay_curl_load(void)
{
    struct libcurl found;
    void *handle;

    if (library != NULL)
        return true;
    handle = dlopen(LIBCURL, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL || !find_functions(handle, &found)) {
        log_error("libcurl_unusable", LOG_STR("error", dlerror()));
        if (handle != NULL)
            dlclose(handle);
        return false;
    }
    libcurl = found;
    library = handle;
    return true;
}

/* ---- for a process that does not go on to use it ---- */

static int count_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
    (void)object;
    (void)size;
    ++*(size_t *)ctx;
    return 0;
}

/* Has the linker written into its code? Then the file's bytes are not what was there. */
static bool code_was_changed(const struct dl_phdr_info *object, const ElfW(Phdr) * part)
{
    const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + part->p_vaddr);

    for (; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_TEXTREL ||
            (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0))
            return true;
    }
    return false;
}

static void forget_part(const struct dl_phdr_info *object, const ElfW(Phdr) * part)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (object->dlpi_addr + part->p_vaddr + page - 1) & ~(page - 1);
    uintptr_t to = (object->dlpi_addr + part->p_vaddr + part->p_filesz) & ~(page - 1);

    if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0 && to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Of the objects that came after the first *ctx. */
static int forget_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
    size_t *known = ctx;

    (void)size;
    if (*known > 0) {
        --*known;
        return 0;
    }
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];

        if (part->p_type == PT_DYNAMIC && code_was_changed(object, part))
            return 0;
    }
    for (size_t i = 0; i < object->dlpi_phnum; i++)
        forget_part(object, &object->dlpi_phdr[i]);
    return 0;
}

/* Symbol tables and the code of constructors, some megabytes: read once while loading. The pages are those of the
 * files; whoever needs one again has it from the page cache. */
bool relay_curl_load_ahead(void)
{
    size_t known = 0;

    if (library != NULL)
        return true;
    dl_iterate_phdr(count_object, &known);
    if (!relay_curl_load())
        return false;
    dl_iterate_phdr(forget_object, &known);
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

#define PASS_ON(function, handle, option, args)                                                    \
    (kind_of((int)(option)) == KIND_LONG                                                           \
         ? libcurl.function((handle), (option), va_arg((args), long))                              \
     : kind_of((int)(option)) == KIND_OFF_T                                                        \
         ? libcurl.function((handle), (option), va_arg((args), curl_off_t))                        \
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

curl_version_info_data *curl_version_info(CURLversion version)
{
    return libcurl.curl_version_info(version);
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
