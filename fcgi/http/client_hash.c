/*
 * client_hash: see client_hash.h. SipHash with a key that is made at the start and never stored.
 */
#include "fcgi/http/client_hash.h"

#include <sodium.h>
#include <string.h>

#include "common/base/net.h"

_Static_assert(CLIENT_HASH_KEY == crypto_shorthash_KEYBYTES, "the key of SipHash");
_Static_assert(CLIENT_HASH_SIZE > 2 * crypto_shorthash_BYTES, "room for its hex digits");

const char *client_hash(const unsigned char key[CLIENT_HASH_KEY], const char *address,
                        char out[CLIENT_HASH_SIZE])
{
    unsigned char hash[crypto_shorthash_BYTES];
    char group[NET_TEXT_SIZE];

    net_group(address, group);
    crypto_shorthash(hash, (const unsigned char *)group, strlen(group), key);
    return sodium_bin2hex(out, CLIENT_HASH_SIZE, hash, sizeof hash);
}
