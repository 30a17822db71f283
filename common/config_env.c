/*
 * config_env: finding and reading the .env file. KEY=VALUE lines, optional "export ", comments,
 * single quotes (literal), double quotes (\n \t \r \" \\), or bare values that end before " #". No
 * variables are expanded, no value spans lines. Errors name the file and the line, never the value: it may be a
 * key. Runs at start-up.
 */
#include "common/config_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/caps.h"
#include "common/base/text.h"

static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

static char *skip_blanks(char *at)
{
    return at + strspn(at, " \t");
}

/* Only white space or a comment may follow a quoted value. */
static bool is_rest(char *at)
{
    at = skip_blanks(at);
    return *at == '\0' || *at == '#';
}

/* Each reader puts the value where `at` is, ends it with NUL, and says what is wrong or NULL. */
static const char *read_literal(char *at)
{
    char *end = strchr(at + 1, '\'');
    if (!end)
        return "a single quote is not closed";
    if (!is_rest(end + 1))
        return "there is text behind the closing quote";
    memmove(at, at + 1, (size_t)(end - at - 1));
    end[-1] = '\0';
    return NULL;
}

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case '"':
    case '\\':
        return c;
    default:
        return '\0';
    }
}

static const char *read_quoted(char *at)
{
    char *to = at;
    char *from = at + 1;
    while (*from && *from != '"') {
        char plain = *from == '\\' ? unescape(from[1]) : '\0';
        *to++ = plain ? plain : *from;
        from += plain ? 2 : 1;
    }
    if (*from == '\0')
        return "a double quote is not closed";
    if (!is_rest(from + 1))
        return "there is text behind the closing quote";
    *to = '\0';
    return NULL;
}

/* at[-1] is there: the equals sign or a blank behind it. */
static const char *read_bare(char *at)
{
    char *end = at;
    for (char *c = at; *c; c++) {
        bool blank = *c == ' ' || *c == '\t';
        if (*c == '#' && (c[-1] == ' ' || c[-1] == '\t'))
            break;
        if (!blank)
            end = c + 1;
    }
    *end = '\0';
    return NULL;
}

static const char *read_value(char *at)
{
    if (*at == '\'')
        return read_literal(at);
    return *at == '"' ? read_quoted(at) : read_bare(at);
}

/* One line that is neither blank nor a comment. Says what is wrong, or NULL. */
static const char *read_line(char *line, struct config_env_entry *entry)
{
    if (text_starts_with(line, "export") && (line[6] == ' ' || line[6] == '\t'))
        line = skip_blanks(line + 6);
    size_t len = strspn(line, name_chars);
    char *equals = skip_blanks(line + len);
    if (len == 0 || (*line >= '0' && *line <= '9') || *equals != '=')
        return "it is not NAME=value";
    line[len] = '\0';
    entry->name = line;
    entry->value = skip_blanks(equals + 1);
    return read_value(entry->value);
}

static bool add_entry(struct config_env *env, const struct config_env_entry *entry)
{
    if ((env->count & (env->count - 1)) == 0) {
        size_t room = env->count ? env->count * 2 : 1;
        struct config_env_entry *grown = realloc(env->entries, room * sizeof *grown);
        if (!grown)
            return false;
        env->entries = grown;
    }
    env->entries[env->count++] = *entry;
    return true;
}

/* End the line at `at` with NUL, its CR included; returns where the next one begins, or NULL. */
static char *cut_line(char *at)
{
    char *end = strchrnul(at, '\n');
    char *next = *end ? end + 1 : NULL;
    if (end > at && end[-1] == '\r')
        end--;
    *end = '\0';
    return next;
}

static enum result fail(struct config_env *env, struct fault *fault, int line, const char *why)
{
    enum result result = fault_set(fault, RESULT_INVALID, "invalid_env_file", NULL,
                                   "%.200s line %d: %s.", env->path, line, why);
    config_env_free(env);
    return result;
}

enum result config_env_parse(char *path, char *text, size_t len, struct config_env *out,
                             struct fault *fault)
{
    *out = (struct config_env){ .path = path, .text = text };
    if (memchr(text, '\0', len))
        return fail(out, fault, 1, "the file holds a NUL byte, so it is not text");

    int number = 1;
    char *next;
    for (char *at = text_starts_with(text, "\xef\xbb\xbf") ? text + 3 : text; at; at = next) {
        next = cut_line(at);
        at = skip_blanks(at);
        if (*at != '\0' && *at != '#') {
            struct config_env_entry entry = { .line = number };
            const char *wrong = read_line(at, &entry);
            if (wrong)
                return fail(out, fault, number, wrong);
            if (!add_entry(out, &entry))
                return fail(out, fault, number, "out of memory");
        }
        number++;
    }
    return RESULT_OK;
}

const struct config_env_entry *config_env_get(const struct config_env *env, const char *name)
{
    for (size_t i = env->count; i-- > 0;)
        if (env->entries[i].value[0] != '\0' && strcmp(env->entries[i].name, name) == 0)
            return &env->entries[i];
    return NULL;
}

void config_env_free(struct config_env *env)
{
    free(env->path);
    free(env->text);
    free(env->entries);
    *env = (struct config_env){ 0 };
}

/* ---- the file ---- */

/* All bytes up to the cap, 0 or errno. */
static int read_all(int fd, struct buf *out)
{
    char chunk[4096];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got == 0)
            return 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (!buf_put(out, chunk, (size_t)got))
            return EFBIG;
    }
}

/* Read the file at `path`. *found stays false, and RESULT_OK comes, when there is none. */
static enum result read_file(const char *path, bool *found, struct config_env *out,
                             struct fault *fault)
{
    struct buf text;
    int error = 0;
    buf_init(&text, CAP_ENV_FILE);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return RESULT_OK;
    error = fd < 0 ? errno : read_all(fd, &text);
    if (fd >= 0)
        close(fd);
    *found = true;
    if (error != 0) {
        buf_free(&text);
        return fault_set(fault, RESULT_INVALID, "invalid_env_file", NULL, "%s cannot be read: %s.",
                         path, strerror(error));
    }

    size_t len = text.len;
    char *bytes = buf_take(&text);
    char *kept_path = strdup(path);
    if (!bytes || !kept_path) {
        free(bytes);
        free(kept_path);
        return fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");
    }
    return config_env_parse(kept_path, bytes, len, out, fault);
}

/* ".env" in the directory of the program, into `path`; false when that is not known. */
static bool beside_program(const char *program, char *path, size_t size)
{
    const char *name = "/.env";
    const char *slash = program ? strrchr(program, '/') : NULL;
    ssize_t len = 0;
    if (slash) {
        len = slash - program;
        if ((size_t)len + strlen(name) >= size)
            return false;
        memcpy(path, program, (size_t)len);
    } else if (program) { /* started through PATH */
        len = readlink("/proc/self/exe", path, size - strlen(name) - 1);
        while (len > 0 && path[len - 1] != '/')
            len--;
        if (len-- <= 0)
            return false;
    } else {
        return false;
    }
    memcpy(path + len, name, strlen(name) + 1);
    return true;
}

enum result config_env_load(const char *program, struct config_env *out, struct fault *fault)
{
    char path[4096];
    bool found = false;
    *out = (struct config_env){ 0 };

    const char *named = getenv("PARLEY_ENV");
    if (named && *named) {
        enum result result = read_file(named, &found, out, fault);
        if (!found)
            return fault_set(fault, RESULT_INVALID, "invalid_env_file", "PARLEY_ENV",
                             "PARLEY_ENV=%s is not a file that exists.", named);
        return result;
    }
    if (beside_program(program, path, sizeof path)) {
        enum result result = read_file(path, &found, out, fault);
        if (found || result != RESULT_OK)
            return result;
    }
    return read_file(".env", &found, out, fault);
}
