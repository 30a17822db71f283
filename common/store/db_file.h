/*
 * db_file: the database as a file: where it lies, and that only we may read it. No SQL here.
 */
#ifndef PARLEY_STORE_DB_FILE_H
#define PARLEY_STORE_DB_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* Make missing directories (0700) and an empty file (0600) where there is none. 0 or errno. */
int db_file_create(const char *path);

/* Make an empty file (0600) that must not exist yet. 0 or errno. */
int db_file_create_new(const char *path);

/* Does the file lie on a network file system? NULL or unknown: false. */
bool db_file_on_network(const char *path);

/* Which file a path means now, so that one that was deleted or replaced under us is noticed: two numbers that
 * differ between files. False when there is none. */
struct db_file_identity {
    uint64_t device;
    uint64_t inode;
};
bool db_file_identify(const char *path, struct db_file_identity *out);

#endif
