/*
 * models: keeps the providers' own lists of models fresh, where DISCOVER_MODELS is on: once an hour one of
 * the workers asks each provider and puts what it says into the store, where all processes read it
 * (store_models_get). A plain CGI process is too short-lived to ask; it uses what is there.
 *
 * Loop thread only.
 */
#ifndef PARLEY_MODELS_H
#define PARLEY_MODELS_H

#include <stdbool.h>

#include "common/base/result.h"

struct models;
struct providers;
struct relay;
struct store;
struct uv_loop_s;

/* Begin. The store, the relay and the providers must live longer. */
enum result models_open(struct uv_loop_s *loop, const struct providers *providers,
                        struct store *store, struct relay *relay, struct models **out);

/* No job is on a request thread: models_close may be called. NULL is idle. */
bool models_idle(const struct models *models);

/* Questions under way are dropped. NULL is fine. The loop must run once more afterwards. */
void models_close(struct models *models);

#endif
