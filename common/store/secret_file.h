/*
 * secret_file: random bytes that are made once and kept in a file of their own, the same for all processes.
 */
#ifndef PARLEY_STORE_SECRET_FILE_H
#define PARLEY_STORE_SECRET_FILE_H

#include <stddef.h>

/*
 * Read `len` bytes from the file at `path`; when there is no file, make it (mode 0600) with random ones. Of several
 * processes that make it at the same time one wins, and all read its bytes. 0 or errno; EBADMSG when the
 * file has another size. A file that others may read is used, and logged.
 */
int secret_file_read(const char *path, void *out, size_t len);

#endif
