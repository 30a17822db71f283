/*
 * relay_end: how a call of the relay ended. Private to the relay*.c files.
 */
#ifndef PARLEY_RELAY_END_H
#define PARLEY_RELAY_END_H

#include <curl/curl.h>

#include "common/relay.h"

enum relay_end relay_end_of(CURLcode code, CURL *easy);

#endif
