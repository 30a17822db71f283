/*
 * relay_end: how a call of the relay ended, out of what curl says, and in what words. Part of the relay, which alone
 * knows curl. Pure; loop thread.
 */
#include "common/relay_end.h"

static const struct {
    const char *name;
    enum result result;
    const char *code;
    const char *text;
} ends[] = {
    [RELAY_COMPLETE] = { "complete", RESULT_OK, "", "" },
    [RELAY_UNREACHABLE] = { "unreachable", RESULT_UPSTREAM_DOWN, "provider_unreachable",
                            "The model provider cannot be reached at the moment." },
    [RELAY_TLS] = { "tls", RESULT_UPSTREAM_BAD, "provider_tls",
                    "The connection to the model provider could not be secured." },
    [RELAY_TLS_HOST] = { "tls_host", RESULT_UPSTREAM_BAD, "provider_tls",
                         "The model provider's certificate is for another host name, so the "
                         "connection was refused." },
    [RELAY_TLS_CA] = { "tls_ca", RESULT_UPSTREAM_BAD, "provider_tls",
                       "The model provider's certificate is signed by an unknown authority, so "
                       "the connection was refused." },
    [RELAY_TLS_EXPIRED] = { "tls_expired", RESULT_UPSTREAM_BAD, "provider_tls",
                            "The model provider's certificate is out of date, so the connection "
                            "was refused." },
    [RELAY_TIMEOUT_CONNECT] = { "timeout_connect", RESULT_UPSTREAM_SLOW, "provider_timeout",
                                "The model provider did not take the connection in time." },
    [RELAY_TIMEOUT_FIRST_BYTE] = { "timeout_first_byte", RESULT_UPSTREAM_SLOW, "provider_timeout",
                                   "The model provider did not begin to answer in time." },
    [RELAY_TIMEOUT_IDLE] = { "timeout_idle", RESULT_UPSTREAM_SLOW, "provider_timeout",
                             "The model provider fell silent in the middle of its answer." },
    [RELAY_TIMEOUT_TOTAL] = { "timeout_total", RESULT_UPSTREAM_SLOW, "provider_timeout",
                              "The model provider took too long for its answer." },
    [RELAY_CUT] = { "cut", RESULT_UPSTREAM_BAD, "provider_stream_cut",
                    "The model provider broke off in the middle of its answer." },
    [RELAY_BAD_REPLY] = { "bad_reply", RESULT_UPSTREAM_BAD, "provider_bad_response",
                          "The model provider's answer could not be understood." },
    [RELAY_FAILED] = { "failed", RESULT_UPSTREAM_BAD, "provider_error",
                       "The model provider could not be asked." },
};

const char *relay_end_name(enum relay_end end)
{
    return ends[end].name;
}

void relay_end_fault(enum relay_end end, struct fault *fault)
{
    fault_set(fault, ends[end].result, ends[end].code, NULL, "%s", ends[end].text);
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
