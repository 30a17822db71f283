/*
 * relay_trust: see relay_trust.h. Where curl has a directory of certificates beside its bundle, as Debian's has, each connection
 * would read the whole bundle for itself, which takes milliseconds, and keep it, which takes hundreds of kilobytes. One file
 * alone is read once for all, and again after a day. So the directory is only for systems that have no bundle.
 *
 * Loop thread.
 */
#include "common/relay_trust.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool relay_trust_init(struct relay_trust *trust, const char *ca_file)
{
    trust->ca_file = strdup(ca_file != NULL ? ca_file : "");
    return trust->ca_file != NULL;
}

void relay_trust_fini(struct relay_trust *trust)
{
    free(trust->ca_file);
}

void relay_trust_look(struct relay_trust *trust)
{
    const char *built_in = curl_version_info(CURLVERSION_NOW)->cainfo;

    trust->only_file =
        trust->ca_file[0] != '\0' || (built_in != NULL && access(built_in, R_OK) == 0);
}

void relay_trust_use(const struct relay_trust *trust, void *easy)
{
    if (trust->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, trust->ca_file);
    if (trust->only_file)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}
