/*
 * library: documents from files and addresses into the store, each only when it has changed. Runs its own loop and
 * blocks: for the administrator's command, not for a worker.
 */
#ifndef PARLEY_MEMORY_LIBRARY_H
#define PARLEY_MEMORY_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/result.h"

struct config;
struct library;
struct providers;
struct store;

struct library_counts {
    size_t added, unchanged, failed, passages;
};

/* What happened to each document: "added", "unchanged", or why not; for the person at the terminal. */
typedef void library_report(void *ctx, const char *source, const char *what);

enum result library_open(const struct config *config, struct store *store, library_report *report,
                         void *ctx, struct library **out);
void library_close(struct library *library); /* NULL is fine */

/*
 * Take in what `name` stands for: a file (Markdown, text, HTML, PDF), a directory with all such files below it, an
 * http(s) address of a page or of a sitemap.xml (with its pages), or a .urls file with an address per line. `url`: the link that
 * readers are shown; for a directory what the paths are put behind; NULL = none for files, addresses are their own.
 */
void library_add(struct library *library, const char *name, const char *url);

/* Read one that is known again. */
void library_refresh(struct library *library, const char *source, const char *url);

/* Give all passages that have none their vectors. False when nobody can, or it failed. */
bool library_embed(struct library *library, const struct providers *providers);

const struct library_counts *library_counts(const struct library *library);

#endif
