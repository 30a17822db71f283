/*
 * relay_shun: networks that a call may not end up in, whatever its host's name means at the moment of connecting. Private
 * to relay.
 */
#ifndef PARLEY_RELAY_SHUN_H
#define PARLEY_RELAY_SHUN_H

#include <stdbool.h>

struct net_list;

struct relay_shun {
    const struct net_list *networks; /* NULL = none */
    bool shied;                      /* from an address of those */
};

/* Watch over the connections of a curl handle; `shun` must live as long as it. */
void relay_shun_watch(void *easy, struct relay_shun *shun);

#endif
