/*
 * client_hash: a client's address as the log may have it: the same visitor is recognised while this service runs,
 * and nobody can tell afterwards who it was. Any thread.
 */
#ifndef PARLEY_HTTP_CLIENT_HASH_H
#define PARLEY_HTTP_CLIENT_HASH_H

#define CLIENT_HASH_KEY  16
#define CLIENT_HASH_SIZE 20

/* 16 hex digits into `out`, which is returned. IPv6 counts by its /64. */
const char *client_hash(const unsigned char key[CLIENT_HASH_KEY], const char *address,
                        char out[CLIENT_HASH_SIZE]);

#endif
