/*
 * migrations: the numbered files of sql/sqlite, embedded at build by sql/embed.sh. To change the schema,
 * add the next file; a file that was released is never edited.
 */
#ifndef PARLEY_STORE_MIGRATIONS_H
#define PARLEY_STORE_MIGRATIONS_H

#include <stddef.h>

struct migration {
    int version;      /* 1, 2, 3 ... without a gap */
    const char *name; /* of the file, without number and ending */
    const char *sql;  /* any number of statements; runs inside one transaction */
};

extern const struct migration migrations[];
extern const size_t migrations_count;

#endif
