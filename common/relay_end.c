/*
 * relay_end: how a call of the relay ended, out of what curl says. Part of the relay, which alone knows curl.
 * Pure; loop thread.
 */
#include "common/relay_end.h"

static const char *const end_names[] = {
    [RELAY_COMPLETE] = "complete",
    [RELAY_UNREACHABLE] = "unreachable",
    [RELAY_TLS] = "tls",
    [RELAY_TLS_HOST] = "tls_host",
    [RELAY_TLS_CA] = "tls_ca",
    [RELAY_TLS_EXPIRED] = "tls_expired",
    [RELAY_TIMEOUT_CONNECT] = "timeout_connect",
    [RELAY_TIMEOUT_FIRST_BYTE] = "timeout_first_byte",
    [RELAY_TIMEOUT_IDLE] = "timeout_idle",
    [RELAY_TIMEOUT_TOTAL] = "timeout_total",
    [RELAY_CUT] = "cut",
    [RELAY_BAD_REPLY] = "bad_reply",
    [RELAY_FAILED] = "failed",
};

const char *relay_end_name(enum relay_end end)
{
    return end_names[end];
}

static enum relay_end end_of_code(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return RELAY_COMPLETE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return RELAY_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return RELAY_TIMEOUT_CONNECT; /* the only deadline that curl itself keeps */
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return RELAY_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return RELAY_CUT;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* "Received HTTP/0.9 when not allowed" */
    case CURLE_BAD_CONTENT_ENCODING:
        return RELAY_BAD_REPLY;
    default:
        return RELAY_FAILED;
    }
}

/* What was wrong with a certificate: OpenSSL's verdict on the chain. Curl looks at the host name first, and
 * leaves the verdict unset when that is wrong. */
static enum relay_end end_of_verification(CURL *easy)
{
    enum {
        OK = 0,
        UNSET = 1,
        NO_ISSUER = 2,
        NOT_YET = 9,
        EXPIRED = 10,
        SELF_SIGNED = 18,
        CA_UNKNOWN = 21,
        HOST = 62
    };
    long verdict = OK;

    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
    if (verdict == OK || verdict == UNSET || verdict == HOST)
        return RELAY_TLS_HOST;
    if (verdict == NOT_YET || verdict == EXPIRED)
        return RELAY_TLS_EXPIRED;
    return verdict == NO_ISSUER || (verdict >= SELF_SIGNED && verdict <= CA_UNKNOWN) ? RELAY_TLS_CA
                                                                                     : RELAY_TLS;
}

enum relay_end relay_end_of(CURLcode code, CURL *easy)
{
    return code == CURLE_PEER_FAILED_VERIFICATION ? end_of_verification(easy) : end_of_code(code);
}
