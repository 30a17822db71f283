/*
 * store_sqlite_window: what reading a conversation's past needs, besides store_sqlite_history. Private to the
 * SQLite store.
 */
#ifndef PARLEY_STORE_STORE_SQLITE_WINDOW_H
#define PARLEY_STORE_STORE_SQLITE_WINDOW_H

#include "common/store/store_sqlite.h"

/* An answer with text that was not a failure; a lease that ran out is an interrupted answer that nobody has
 * marked yet. Of messages AS m, with :now bound. */
#define ANSWER_USABLE                                                                              \
    "(m.content <> '' AND (m.status = 'complete' OR m.status = 'stopped'"                          \
    " OR m.status = 'interrupted' OR (m.status = 'streaming' AND m.lease_until_ms < :now)))"

/* Append a copy of one message to out->history. False when out of memory. */
bool store_sqlite_window_add(struct store_turn_begun *out, enum chat_role role, const char *content,
                             size_t len);

#endif
