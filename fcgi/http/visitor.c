/*
 * visitor: see visitor.h. The MAC is libsodium's crypto_auth over version and id, so that neither can be exchanged.
 * Pure; any thread.
 */
#include "fcgi/http/visitor.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/text.h"

_Static_assert(VISITOR_KEY_SIZE == crypto_auth_KEYBYTES, "the key is one for crypto_auth");

#define VERSION  "v1."
#define MAC_SIZE 64 /* base64url of a MAC, NUL included */

/* Another purpose of the same SECRET_KEY gets another key. */
static const unsigned char purpose[] = "parley visitor cookie 1";

void visitor_key(const char *secret, unsigned char out[VISITOR_KEY_SIZE])
{
    crypto_generichash(out, VISITOR_KEY_SIZE, (const unsigned char *)secret, strlen(secret),
                       purpose, sizeof purpose - 1);
}

static void put_mac(const unsigned char key[VISITOR_KEY_SIZE], const char *text, char out[MAC_SIZE])
{
    unsigned char mac[crypto_auth_BYTES];

    crypto_auth(mac, (const unsigned char *)text, strlen(text), key);
    sodium_bin2base64(out, MAC_SIZE, mac, sizeof mac, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void visitor_sign(const unsigned char key[VISITOR_KEY_SIZE], const char *id, char *out)
{
    char text[CAP_ID + sizeof VERSION], mac[MAC_SIZE];

    snprintf(text, sizeof text, VERSION "%s", id);
    put_mac(key, text, mac);
    snprintf(out, VISITOR_COOKIE_SIZE, "%s.%s", text, mac);
}

/* Signing again and comparing the whole text: a MAC with odd last bits is no second cookie for the same id. */
bool visitor_verify(const unsigned char key[VISITOR_KEY_SIZE], const char *value, char *id)
{
    char expected[VISITOR_COOKIE_SIZE], found[CAP_ID];
    const char *begin = value + strlen(VERSION);
    size_t len;

    if (!text_starts_with(value, VERSION VISITOR_PREFIX))
        return false;
    len = strcspn(begin, ".");
    if (len >= sizeof found)
        return false;
    memcpy(found, begin, len);
    found[len] = '\0';
    if (!id_plausible(found))
        return false;
    visitor_sign(key, found, expected);
    if (strlen(value) != strlen(expected) || sodium_memcmp(value, expected, strlen(expected)) != 0)
        return false;
    text_copy(id, CAP_ID, found);
    return true;
}
