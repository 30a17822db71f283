/*
 * commands_knowledge: see commands_knowledge.h. What the site knows is a list of documents in the store; the server
 * sees a change with the next question.
 */
#include "fcgi/commands_knowledge.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/config.h"
#include "common/memory/ground.h"
#include "common/memory/library.h"
#include "common/providers/provider.h"
#include "fcgi/commands_admin.h"

#define EXIT_USAGE   2
#define SEARCH_SHOWN 5
#define SHOWN_BYTES  160

static const char usage_text[] =
    "usage: parley knowledge add FILE|DIRECTORY|URL|sitemap.xml|LIST.urls ... [--url LINK]\n"
    "       parley knowledge list\n"
    "       parley knowledge remove SOURCE ...\n"
    "       parley knowledge refresh\n"
    "       parley knowledge search WORDS ...\n";

struct session {
    struct config config;
    struct store *store;
    int argc; /* arguments behind the verb */
    char **argv;
};

static int failed(const struct fault *fault)
{
    fprintf(stderr, "parley: %s\n", fault->text);
    return 1;
}

static void report(void *ctx, const char *source, const char *what)
{
    (void)ctx;
    printf("%s: %s\n", source, what);
}

/* ---- add, refresh ---- */

static int finish(struct session *session, struct library *library)
{
    const struct library_counts *counts = library_counts(library);
    struct providers providers = { 0 };
    struct fault fault = { 0 };
    bool embedded = true;

    if (*session->config.embedding_model != '\0') {
        embedded = providers_load(&session->config, &providers, &fault) == RESULT_OK &&
                   library_embed(library, &providers);
        providers_free(&providers);
        if (!embedded)
            fputs("parley: the passages got no vectors: EMBEDDING_MODEL could not be asked; they "
                  "are found "
                  "by their words.\n",
                  stderr);
    }
    printf("%zu added or changed (%zu passages), %zu unchanged, %zu failed\n", counts->added,
           counts->passages, counts->unchanged, counts->failed);
    if (counts->added > 0 && !session->config.knowledge && !session->config.knowledge_fallback)
        puts("KNOWLEDGE is off: nothing of it is used yet.");
    return counts->failed > 0 || !embedded ? 1 : 0;
}

static struct library *open_library(struct session *session)
{
    struct library *library;

    if (library_open(&session->config, session->store, report, NULL, &library) != RESULT_OK)
        fputs("parley: out of memory\n", stderr);
    return library;
}

static int add(struct session *session)
{
    struct library *library;
    const char *url = NULL;
    int names = session->argc, status;

    if (names >= 2 && strcmp(session->argv[names - 2], "--url") == 0) {
        url = session->argv[names - 1];
        names -= 2;
    }
    if (names < 1) {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    if ((library = open_library(session)) == NULL)
        return 1;
    for (int i = 0; i < names; i++)
        library_add(library, session->argv[i], url);
    status = finish(session, library);
    library_close(library);
    return status;
}

/* The list is copied first: the store is not changed while it is read. */
struct known {
    char **sources, **urls;
    size_t count;
};

static void note(void *ctx, const struct store_document *document)
{
    struct known *known = ctx;
    char **sources = realloc(known->sources, (known->count + 1) * sizeof *sources);

    if (sources != NULL)
        known->sources = sources;
    char **urls = realloc(known->urls, (known->count + 1) * sizeof *urls);
    if (urls != NULL)
        known->urls = urls;
    if (sources == NULL || urls == NULL)
        return;
    sources[known->count] = strdup(document->source);
    urls[known->count] = strdup(document->url);
    known->count++;
}

static int refresh(struct session *session)
{
    struct known known = { .count = 0 };
    struct fault fault = { 0 };
    struct library *library;
    int status;

    if (store_document_list(session->store, note, &known, &fault) != RESULT_OK)
        return failed(&fault);
    if ((library = open_library(session)) == NULL)
        return 1;
    for (size_t i = 0; i < known.count; i++) {
        if (known.sources[i] != NULL && known.urls[i] != NULL)
            library_refresh(library, known.sources[i], known.urls[i]);
        free(known.sources[i]);
        free(known.urls[i]);
    }
    free(known.sources);
    free(known.urls);
    status = finish(session, library);
    library_close(library);
    return status;
}

/* ---- list, remove, search ---- */

static void show(void *ctx, const struct store_document *document)
{
    char stamp[CLOCK_RFC3339_SIZE];

    (void)ctx;
    printf("%s  %4lld passages  %s  \"%s\"%s%s\n", clock_rfc3339(document->checked_ms, stamp),
           (long long)document->passages, document->source, document->title,
           *document->url != '\0' ? "  " : "", document->url);
}

static int list(struct session *session)
{
    struct fault fault = { 0 };

    return store_document_list(session->store, show, NULL, &fault) == RESULT_OK ? 0
                                                                                : failed(&fault);
}

/* The whole path, also of what is gone: where it would be; `lies`: of a link itself. False when that is too long. */
static bool resolve(const char *name, bool lies, struct buf *out)
{
    size_t len = strlen(name), last;
    char path[PATH_MAX], *above;
    bool resolved;

    if (!lies && realpath(name, path) != NULL)
        return buf_puts(out, path);
    while (len > 1 && name[len - 1] == '/')
        len--;
    for (last = len; last > 0 && name[last - 1] != '/';)
        last--;
    above = last > 0 ? strndup(name, last) : strdup(".");
    resolved = above != NULL && len > last && resolve(above, false, out);
    free(above);
    if (resolved && buf_str(out)[out->len - 1] != '/')
        buf_putc(out, '/');
    return resolved && buf_put(out, name + last, len - last);
}

/* What files are known by: a directory's ends with a slash, for all that is below it. */
static bool whole_path(const char *name, bool lies, struct buf *out)
{
    struct stat info;

    if (!resolve(name, lies, out))
        return false;
    if (name[strlen(name) - 1] == '/' || (stat(name, &info) == 0 && S_ISDIR(info.st_mode)))
        buf_putc(out, '/');
    return !out->failed;
}

static int remove_one(struct session *session, const char *source)
{
    struct fault fault = { 0 };
    int64_t count = 0;
    enum result result = store_document_remove(session->store, source, &count, &fault);

    for (int lies = 0; lies < 2 && result == RESULT_OK && count == 0 && *source != '\0'; lies++) {
        struct buf path;

        buf_init(&path, PATH_MAX);
        if (whole_path(source, lies != 0, &path))
            result = store_document_remove(session->store, buf_str(&path), &count, &fault);
        buf_free(&path);
    }
    if (result != RESULT_OK)
        return failed(&fault);
    printf("%s: %lld removed\n", source, (long long)count);
    return count > 0 ? 0 : 1;
}

static int remove_all(struct session *session)
{
    int status = 0;

    for (int i = 0; i < session->argc; i++)
        status |= remove_one(session, session->argv[i]);
    return status;
}

static void show_passage(const struct store_passage *passage)
{
    size_t len = strcspn(passage->body, "\n");

    printf("%3.0f%% of the words  %s%s%s%s%s\n    %.*s\n", passage->share * 100, passage->title,
           *passage->heading != '\0' ? " | " : "", passage->heading,
           *passage->url != '\0' ? "  " : "", passage->url,
           (int)(len < SHOWN_BYTES ? len : SHOWN_BYTES), passage->body);
}

static int search(struct session *session)
{
    struct store_passage_search what = { .limit = SEARCH_SHOWN };
    struct store_passages passages;
    struct fault fault = { 0 };
    struct buf words;
    enum result result;

    buf_init(&words, 8192);
    for (int i = 0; i < session->argc; i++)
        buf_putf(&words, "%s%s", i > 0 ? " " : "", session->argv[i]);
    what.query = buf_str(&words);
    result = store_passage_search(session->store, &what, &passages, &fault);
    if (result == RESULT_OK) {
        ground_filter(&passages, session->config.knowledge_threshold);
        for (size_t i = 0; i < passages.count; i++)
            show_passage(&passages.list[i]);
        if (passages.count == 0)
            puts("Nothing fits well enough (KNOWLEDGE_THRESHOLD).");
        store_passages_free(&passages);
    }
    buf_free(&words);
    return result == RESULT_OK ? 0 : failed(&fault);
}

static const struct {
    const char *word;
    int least; /* arguments */
    bool may_make;
    int (*run)(struct session *session);
} verbs[] = {
    { "add", 1, true, add },
    { "list", 0, false, list },
    { "remove", 1, false, remove_all },
    { "refresh", 0, false, refresh },
    { "search", 1, false, search },
};

int command_knowledge(int argc, char **argv)
{
    const char *word = argc > 2 ? argv[2] : "";
    struct session session = { .argc = argc - 3, .argv = argv + 3 };
    int status;

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].word, word) != 0 || session.argc < verbs[i].least)
            continue;
        if (!commands_open_store(argv[0], verbs[i].may_make, &session.config, &session.store))
            return 1;
        status = verbs[i].run(&session);
        commands_close_store(&session.config, session.store);
        return status;
    }
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}
