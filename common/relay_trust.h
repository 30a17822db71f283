/*
 * relay_trust: whose signatures count on the certificates of providers. Private to the relay*.c files.
 */
#ifndef PARLEY_RELAY_TRUST_H
#define PARLEY_RELAY_TRUST_H

#include <stdbool.h>

struct relay_trust {
    char *ca_file;  /* "" = the system's */
    bool only_file; /* they are all in one file */
};

/* False when out of memory; fini is fine all the same. */
bool relay_trust_init(struct relay_trust *trust, const char *ca_file);
void relay_trust_fini(struct relay_trust *trust);

/* Once libcurl is loaded, before the first use. */
void relay_trust_look(struct relay_trust *trust);

void relay_trust_use(const struct relay_trust *trust, void *easy);

#endif
