/*
 * status: the scoreboard in the forms in which people and programs read it. Any thread, any process.
 */
#ifndef PARLEY_PROCESS_STATUS_H
#define PARLEY_PROCESS_STATUS_H

#include "common/base/buf.h"
#include "fcgi/process/scoreboard.h"

#define STATUS_CAP (4u * 1024 * 1024)

/* Each appends to `out`; out->failed afterwards when memory was short. */
void status_put_json(const struct scoreboard *board, struct buf *out);
void status_put_html(const struct scoreboard *board, const char *title, struct buf *out);
void status_put_text(const struct scoreboard *board, struct buf *out);
void status_put_prometheus(const struct scoreboard *board, struct buf *out);

#endif
