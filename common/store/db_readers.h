/*
 * db_readers: a small pool of handles that only read, opened when first needed and lent to one thread at
 * a time. Thread-safe.
 */
#ifndef PARLEY_STORE_DB_READERS_H
#define PARLEY_STORE_DB_READERS_H

#include "common/store/db.h"

#define DB_READERS_MAX 4

struct db_readers;

/* `options` (with query_only) and what it points to must live as long as the pool. NULL: out of memory. */
struct db_readers *db_readers_new(const struct db_options *options);
void db_readers_free(struct db_readers *readers); /* all handles are back; NULL is fine */

/* Borrow a handle, cleared; waits at most busy_ms for one. NULL with *why on failure. */
struct db *db_readers_take(struct db_readers *readers, enum db_status *why);

/* Give it back; one that broke is closed. Returns its status. */
enum db_status db_readers_return(struct db_readers *readers, struct db *db);

#endif
