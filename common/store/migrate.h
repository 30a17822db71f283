/*
 * migrate: bring a database to this program's schema, once, however many workers start together.
 */
#ifndef PARLEY_STORE_MIGRATE_H
#define PARLEY_STORE_MIGRATE_H

#include <stddef.h>

#include "common/base/result.h"
#include "common/store/db.h"
#include "common/store/migrations.h"

/*
 * Create the file where missing, choose the journal, apply what is missing of `list`. A database that had
 * a schema is copied before, to `<path>.backup-<its version>-<time>`. RESULT_STORE_DOWN with the
 * operator's sentence: not writable, newer schema, not ours, busy, a migration failed. Nothing is left
 * half done.
 */
enum result migrate_run(const struct db_options *options, const struct migration *list,
                        size_t count, struct fault *fault);

#endif
