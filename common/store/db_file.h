/*
 * db_file: the database as a file: where it lies, and that only we may read it. No SQL here.
 */
#ifndef PARLEY_STORE_DB_FILE_H
#define PARLEY_STORE_DB_FILE_H

#include <stdbool.h>

/* Make missing directories (0700) and an empty file (0600) where there is none. 0 or errno. */
int db_file_create(const char *path);

/* Make an empty file (0600) that must not exist yet. 0 or errno. */
int db_file_create_new(const char *path);

/* Does the file lie on a network file system? NULL or unknown: false. */
bool db_file_on_network(const char *path);

#endif
