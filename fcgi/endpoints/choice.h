/*
 * choice: which provider and model a turn goes to, out of what the client asked for and what there is.
 * Request threads.
 */
#ifndef PARLEY_ENDPOINTS_CHOICE_H
#define PARLEY_ENDPOINTS_CHOICE_H

#include "common/base/caps.h"
#include "common/base/result.h"

struct app;
struct buf;
struct provider;
struct turn_request;

struct choice {
    const struct provider *provider;
    char model[CAP_MODEL_NAME];
};

/* A model without a provider is asked of whoever lists it. RESULT_INVALID unknown_provider, unknown_model or
 * images_unsupported, each saying what there is. */
enum result choice_make(const struct app *app, const struct turn_request *request,
                        struct choice *out, struct fault *fault);

/* The body of GET /api/models. */
void choice_put_models(const struct app *app, struct buf *out);

#endif
