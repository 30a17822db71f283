/*
 * library: see library.h. What a name stands for is found out here, and what kind of document it is; the bytes come from
 * library_read.c, the passages from passages.c.
 */
#include "common/memory/library.h"

#include <dirent.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/memory/charset.h"
#include "common/memory/embed.h"
#include "common/memory/library_read.h"
#include "common/memory/passages.h"
#include "common/providers/provider.h"
#include "common/store/store_memory.h"

#define DEPTH_MAX      16    /* of directories and sitemaps within each other */
#define SITEMAP_PAGES  10000 /* of one run */
#define CAP_TITLE_TEXT 512
#define CAP_URL        2048
#define EMBED_MS       60000
#define SNIFFED        2048

struct library {
    const struct config *config;
    struct store *store;
    library_report *report;
    void *ctx;
    uv_loop_t loop;
    struct relay *relay;
    struct library_counts counts;
    size_t pages;
    const char *named; /* the address that the operator wrote, while what it leads to is read */
};

enum kind { KIND_TEXT, KIND_HTML, KIND_PDF, KIND_SITEMAP, KIND_LIST, KIND_OTHER };

static const struct {
    const char *ending;
    enum kind kind;
} endings[] = {
    { ".md", KIND_TEXT },    { ".markdown", KIND_TEXT },
    { ".txt", KIND_TEXT },   { ".text", KIND_TEXT },
    { ".html", KIND_HTML },  { ".htm", KIND_HTML },
    { ".xhtml", KIND_HTML }, { ".pdf", KIND_PDF },
    { ".urls", KIND_LIST },  { "sitemap.xml", KIND_SITEMAP },
};

enum result library_open(const struct config *config, struct store *store, library_report *report,
                         void *ctx, struct library **out)
{
    struct relay_options options = { .ca_file = config->ca_file,
                                     .max_idle = 4,
                                     .https_proxy = config->https_proxy,
                                     .no_proxy = config->no_proxy };
    struct library *library = calloc(1, sizeof *library);

    *out = NULL;
    if (library == NULL || uv_loop_init(&library->loop) != 0) {
        free(library);
        return RESULT_INTERNAL;
    }
    library->config = config;
    library->store = store;
    library->report = report;
    library->ctx = ctx;
    if (relay_open(&library->loop, &options, &library->relay) != RESULT_OK) {
        uv_loop_close(&library->loop);
        free(library);
        return RESULT_INTERNAL;
    }
    *out = library;
    return RESULT_OK;
}

void library_close(struct library *library)
{
    if (library == NULL)
        return;
    relay_close(library->relay);
    uv_run(&library->loop, UV_RUN_DEFAULT);
    uv_loop_close(&library->loop);
    free(library);
}

const struct library_counts *library_counts(const struct library *library)
{
    return &library->counts;
}

static void fail(struct library *library, const char *source, const char *why)
{
    library->counts.failed++;
    library->report(library->ctx, source, why);
}

static bool is_url(const char *name)
{
    return text_starts_with(name, "http://") || text_starts_with(name, "https://");
}

/* ---- one document ---- */

static bool ends_with(const char *name, size_t len, const char *ending)
{
    size_t ending_len = strlen(ending);

    return len >= ending_len && strncasecmp(name + len - ending_len, ending, ending_len) == 0;
}

static enum kind kind_of_name(const char *name)
{
    size_t len = is_url(name) ? strcspn(name, "?#") : strlen(name);

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (ends_with(name, len, endings[i].ending))
            return endings[i].kind;
    return KIND_OTHER;
}

/* What a page's Content-Type says, else its name. */
static enum kind kind_of_page(const char *type, const char *url)
{
    enum kind kind = kind_of_name(url);

    if (strncasecmp(type, "text/html", 9) == 0 || strncasecmp(type, "application/xhtml", 17) == 0)
        return KIND_HTML;
    if (strncasecmp(type, "application/pdf", 15) == 0)
        return KIND_PDF;
    if (strncasecmp(type, "text/plain", 10) == 0 || strncasecmp(type, "text/markdown", 13) == 0)
        return kind == KIND_LIST ? KIND_LIST : KIND_TEXT;
    return *type == '\0' || kind == KIND_SITEMAP ? kind : KIND_OTHER;
}

static void hash_of(const struct buf *bytes, char hash[STORE_HASH_SIZE])
{
    unsigned char raw[32];

    crypto_generichash(raw, sizeof raw, (const unsigned char *)buf_str(bytes), bytes->len, NULL, 0);
    sodium_bin2hex(hash, STORE_HASH_SIZE, raw, sizeof raw);
}

/* The last part of a path or address, for documents without a title. */
static const char *name_of(const char *source)
{
    const char *slash = strrchr(source, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : source;
}

static const char *put(struct library *library, const char *source, const char *url,
                       const char *hash, const struct passages *passages, const char *title)
{
    struct store_passage_new *list = calloc(passages->count, sizeof *list);
    struct store_document_new document = { .source = source,
                                           .url = url,
                                           .title = title,
                                           .hash = hash,
                                           .passages = list,
                                           .count = passages->count,
                                           .now_ms = clock_wall_ms() };
    struct fault fault = { 0 };
    enum result result;

    if (list == NULL)
        return "out of memory";
    for (size_t i = 0; i < passages->count; i++)
        list[i] = (struct store_passage_new){ passages->list[i].heading, passages->list[i].body };
    result = store_document_put(library->store, &document, &fault);
    free(list);
    if (result != RESULT_OK)
        return "the store did not take it";
    library->counts.passages += passages->count;
    return NULL;
}

/* Cut text into passages and put them. */
static const char *put_text(struct library *library, const char *source, const char *url,
                            const char *hash, const struct buf *text, const char *title)
{
    struct passages passages;
    const char *why = NULL;

    if (!passages_split(&passages, buf_str(text), text->len))
        why = "out of memory";
    else if (passages.cut)
        why = "too large: make several documents of it";
    else if (passages.count == 0)
        why = "there is no text in it";
    else if (*title == '\0')
        title = passages.title != NULL ? passages.title : name_of(source);
    if (why == NULL)
        why = put(library, source, url, hash, &passages, title);
    passages_free(&passages);
    return why;
}

static const char *put_bytes(struct library *library, enum kind kind, const char *source,
                             const char *url, const char *hash, const struct buf *bytes)
{
    struct buf text, title;
    const char *why = NULL;

    buf_init(&text, 4 * (size_t)PASSAGES_DOCUMENT);
    buf_init(&title, CAP_TITLE_TEXT);
    if (kind == KIND_PDF)
        why = library_pdf_text(bytes, &text);
    else if (kind == KIND_HTML && !passages_from_html(buf_str(bytes), bytes->len, &text, &title))
        why = "too large";
    if (why == NULL)
        why = put_text(library, source, url, hash, kind == KIND_TEXT ? bytes : &text,
                       buf_str(&title));
    buf_free(&text);
    buf_free(&title);
    return why;
}

static bool is_readable(enum kind kind, const struct buf *bytes)
{
    return kind == KIND_PDF || text_utf8_valid(buf_str(bytes), bytes->len);
}

/* What was read goes to the store, unless it is there already. */
static void take_document(struct library *library, enum kind kind, const char *source,
                          const char *url, const struct buf *bytes)
{
    char hash[STORE_HASH_SIZE];
    struct store_document_new document = {
        .source = source, .url = url, .hash = hash, .now_ms = clock_wall_ms()
    };
    struct fault fault;
    const char *why;
    bool same = false;

    hash_of(bytes, hash);
    store_document_seen(library->store, &document, &same, &fault);
    if (same) {
        library->counts.unchanged++;
        library->report(library->ctx, source, "unchanged");
        return;
    }
    why = put_bytes(library, kind, source, url, hash, bytes);
    if (why != NULL) {
        fail(library, source, why);
        return;
    }
    library->counts.added++;
    library->report(
        library->ctx, source,
        is_readable(kind, bytes) ? "added" : "added, but not all of it is UTF-8 that can be read");
}

/* ---- lists of addresses ---- */

static void add_url(struct library *library, const char *url, int depth);

static void add_page(struct library *library, const char *url, size_t len, int depth)
{
    char copy[CAP_URL];
    size_t kept;

    while (len > 0 && strchr(" \t\r\n", *url) != NULL) {
        url++;
        len--;
    }
    while (len > 0 && strchr(" \t\r\n", url[len - 1]) != NULL)
        len--;
    if (len == 0 || *url == '#')
        return;
    if (library->pages > SITEMAP_PAGES)
        return;
    kept = len < sizeof copy ? len : sizeof copy - 1;
    memcpy(copy, url, kept);
    copy[kept] = '\0';
    if (library->pages++ == SITEMAP_PAGES) {
        fail(library, copy, "too many addresses: it and what follows are left out");
        return;
    }
    if (kept < len) {
        fail(library, copy, "too long");
        return;
    }
    for (char *amp = copy; (amp = strstr(amp, "&amp;")) != NULL; amp++)
        memmove(amp + 1, amp + 5, strlen(amp + 5) + 1);
    if (is_url(copy))
        add_url(library, copy, depth + 1);
    else
        fail(library, copy, "not an address");
}

/* Every <loc> of a sitemap, or of an index of sitemaps. */
static void add_sitemap(struct library *library, const struct buf *xml, int depth)
{
    const char *at = buf_str(xml), *end;

    while ((at = strstr(at, "<loc>")) != NULL && (end = strstr(at, "</loc>")) != NULL) {
        add_page(library, at + 5, (size_t)(end - at - 5), depth);
        at = end;
    }
}

static void add_list(struct library *library, const struct buf *text, int depth)
{
    const char *at = buf_str(text);

    while (*at != '\0') {
        size_t len = strcspn(at, "\n");

        add_page(library, at, len, depth);
        at += len + (at[len] == '\n');
    }
}

/* Sitemaps within a sitemap have names of all sorts. */
static bool is_sitemap(const struct buf *bytes)
{
    size_t len = bytes->len < SNIFFED ? bytes->len : SNIFFED;

    return len > 0 && (memmem(bytes->data, len, "<urlset", 7) != NULL ||
                       memmem(bytes->data, len, "<sitemapindex", 13) != NULL);
}

/* `type`: the Content-Type, "" for files. */
static void take(struct library *library, enum kind kind, const char *source, const char *url,
                 struct buf *bytes, const char *type, int depth)
{
    if (kind == KIND_OTHER && is_sitemap(bytes))
        kind = KIND_SITEMAP;
    if (kind == KIND_TEXT || kind == KIND_HTML)
        charset_make_utf8(bytes, type, kind == KIND_HTML);
    if (kind == KIND_OTHER)
        fail(library, source, "neither Markdown, text, HTML nor PDF");
    else if (kind == KIND_SITEMAP)
        add_sitemap(library, bytes, depth);
    else if (kind == KIND_LIST)
        add_list(library, bytes, depth);
    else
        take_document(library, kind, source, url, bytes);
}

static void add_url(struct library *library, const char *url, int depth)
{
    bool first = library->named == NULL;
    char type[64] = "";
    struct buf bytes;
    const char *why;

    if (depth > DEPTH_MAX) {
        fail(library, url, "sitemaps within sitemaps");
        return;
    }
    if (first)
        library->named = url;
    buf_init(&bytes, PASSAGES_DOCUMENT);
    why = library_read_url(library->relay, &library->loop, library->named, url, &bytes, type);
    if (why != NULL)
        fail(library, url, why);
    else
        take(library, kind_of_page(type, url), url, url, &bytes, type, depth);
    buf_free(&bytes);
    if (first)
        library->named = NULL;
}

/* ---- files ---- */

static void add_file(struct library *library, const char *path, const char *url)
{
    struct buf bytes;
    const char *why;

    buf_init(&bytes, PASSAGES_DOCUMENT);
    why = library_read_file(path, &bytes);
    if (why != NULL)
        fail(library, path, why);
    else
        take(library, kind_of_name(path), path, url, &bytes, "", 0);
    buf_free(&bytes);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add_directory(struct library *library, const char *path, const char *url, int depth);

static void add_entry(struct library *library, const char *path, const char *url, const char *name,
                      int depth)
{
    struct buf below, link;
    struct stat info;

    buf_init(&below, PATH_MAX);
    buf_init(&link, CAP_URL);
    buf_putf(&below, "%s/%s", path, name);
    if (*url != '\0') {
        buf_puts(&link, url);
        if (url[strlen(url) - 1] != '/')
            buf_putc(&link, '/');
        text_percent_encode(&link, name, strlen(name));
    }
    /* A link to a directory could lead back up. */
    if (!below.failed && lstat(buf_str(&below), &info) == 0 && S_ISDIR(info.st_mode))
        add_directory(library, buf_str(&below), buf_str(&link), depth + 1);
    else if (!below.failed && kind_of_name(name) != KIND_OTHER)
        add_file(library, buf_str(&below), buf_str(&link));
    buf_free(&below);
    buf_free(&link);
}

static void add_directory(struct library *library, const char *path, const char *url, int depth)
{
    struct dirent **names = NULL;
    int count = depth <= DEPTH_MAX ? scandir(path, &names, visible, alphasort) : -1;

    if (count < 0)
        fail(library, path, "cannot be read");
    for (int i = 0; i < count; i++) {
        add_entry(library, path, url, names[i]->d_name, depth);
        free(names[i]);
    }
    free(names);
}

void library_add(struct library *library, const char *name, const char *url)
{
    char path[PATH_MAX];
    struct stat info;

    if (is_url(name)) {
        add_url(library, name, 0);
        return;
    }
    /* The whole path: the same document, whichever directory the command is typed in. */
    if (realpath(name, path) == NULL || stat(path, &info) != 0) {
        fail(library, name, "there is no such file");
        return;
    }
    if (S_ISDIR(info.st_mode))
        add_directory(library, path, url != NULL ? url : "", 0);
    else
        add_file(library, path, url != NULL ? url : "");
}

void library_refresh(struct library *library, const char *source, const char *url)
{
    if (is_url(source))
        add_url(library, source, 0);
    else
        add_file(library, source, url);
}

/* ---- vectors ---- */

struct batch {
    struct library *library;
    const struct store_passages *passages;
    bool over, failed;
};

static void on_vectors(void *ctx, const struct fetch_reply *reply)
{
    struct batch *batch = ctx;
    size_t size = 0;
    float *values = reply->status == 200 && reply->end == RELAY_COMPLETE
                        ? embed_decode(reply->body, reply->len, batch->passages->count, &size)
                        : NULL;

    batch->over = true;
    batch->failed = values == NULL;
    for (size_t i = 0; values != NULL && i < batch->passages->count; i++) {
        const struct store_passage *one = &batch->passages->list[i];
        struct store_vector vector = { batch->library->config->embedding_model, values + i * size,
                                       size };

        if (store_passage_vector(batch->library->store, one->row, one->body, &vector) != RESULT_OK)
            batch->failed = true;
    }
    free(values);
}

static bool embed_batch(struct library *library, const struct provider *provider,
                        const struct store_passages *passages)
{
    struct batch batch = { .library = library, .passages = passages };
    struct embed_request request = { 0 };
    char *texts[EMBED_BATCH] = { NULL };
    bool started = true;

    for (size_t i = 0; i < passages->count; i++) {
        const struct store_passage *one = &passages->list[i];
        struct buf text;

        buf_init(&text, PASSAGES_DOCUMENT);
        buf_putf(&text, "%s\n%s\n%s", one->title, one->heading, one->body);
        texts[i] = buf_take(&text);
        started = started && texts[i] != NULL;
    }
    started = started && embed_encode(provider, library->config->embedding_model,
                                      (const char *const *)texts, passages->count, &request);
    request.fetch.timeout_ms = EMBED_MS;
    if (started)
        started = fetch_start(library->relay, &request.fetch, on_vectors, &batch) != NULL;
    while (started && !batch.over)
        uv_run(&library->loop, UV_RUN_ONCE);
    embed_request_free(&request);
    for (size_t i = 0; i < passages->count; i++)
        free(texts[i]);
    return started && !batch.failed;
}

bool library_embed(struct library *library, const struct providers *providers)
{
    const struct provider *provider = embed_provider(library->config, providers);
    struct store_passages passages;
    struct fault fault = { 0 };
    bool good = provider != NULL, more = good;
    int64_t before = 0; /* the same passage twice: its vector cannot be kept */

    while (good && more) {
        if (store_passages_bare(library->store, library->config->embedding_model, EMBED_BATCH,
                                &passages, &fault) != RESULT_OK)
            return false;
        more = passages.count > 0;
        good =
            !more || (passages.list[0].row != before && embed_batch(library, provider, &passages));
        before = more ? passages.list[0].row : 0;
        store_passages_free(&passages);
    }
    return good;
}
