/*
 * relay_curl: libcurl, loaded when it is needed instead of linked. Private to the relay*.c files, which call curl's
 * functions as ever once it is loaded.
 */
#ifndef PARLEY_RELAY_CURL_H
#define PARLEY_RELAY_CURL_H

#include <stdbool.h>

/* False when there is none, which is logged. Cheap when it is loaded already. */
bool relay_curl_load(void);

/* The same, before a fork: what only loading needed is no longer in this process's memory afterwards. */
bool relay_curl_load_ahead(void);

#endif
