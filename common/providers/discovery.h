/*
 * discovery: asking a provider which models it has. All formats have the same GET .../models with
 * {"data":[{"id"}]}. Pure; any thread.
 */
#ifndef PARLEY_PROVIDERS_DISCOVERY_H
#define PARLEY_PROVIDERS_DISCOVERY_H

#include "common/providers/provider.h"

/* url and headers of the request; the body stays empty. */
void discovery_encode(const struct provider *provider, struct provider_request *out);

/* The names of models that can chat, each with a line break behind it. RESULT_INVALID when the reply is
 * no such list. */
enum result discovery_read(const char *body, size_t len, struct buf *out);

#endif
