/*
 * caps: every fixed upper bound of the program, in one place and with its reason. A cap that an
 * operator may change is an option in config.c instead.
 */
#ifndef PARLEY_BASE_CAPS_H
#define PARLEY_BASE_CAPS_H

#define CAP_ID             64  /* bytes of an id that the server makes, NUL included */
#define CAP_USER_ID_CHARS  128 /* code points of a client-picked user_id */
#define CAP_USER_ID        (CAP_USER_ID_CHARS * 4 + 1) /* bytes of it, NUL included */
#define CAP_PROVIDER_NAME  32                          /* bytes, NUL included */
#define CAP_MODEL_NAME     128                         /* bytes, NUL included */
#define CAP_CONTEXT_CHARS  200                         /* code points of one user_context string */
#define CAP_CONTEXT_FIELD  (CAP_CONTEXT_CHARS * 4 + 1)
#define CAP_TITLE          (120 * 4 + 1) /* bytes of a conversation title, NUL included */
#define CAP_JSON_DEPTH     32            /* nesting of a client's JSON (chat_api.md) */
#define CAP_ITEM_DEPTH     128 /* of a Responses event, and of its items when they come back */
#define CAP_ANSWER         (4u * 1024 * 1024) /* bytes of one answer; a provider that never stops */
#define CAP_SSE_LINE       (1024 * 1024) /* one line of a provider's stream; longer is garbage */
#define CAP_SSE_EVENT      (2 * 1024 * 1024) /* the data lines of one event together */
#define CAP_UPSTREAM_ERROR (64 * 1024)       /* body of a provider's error reply that is kept */
#define CAP_UPSTREAM_REQUEST                                                                       \
    (32u * 1024 * 1024)                       /* encoded request to a provider, pictures included */
#define CAP_PARAMS        (64 * 1024)         /* all FastCGI params of a request together */
#define CAP_RESPONSE_HEAD 4096                /* nginx's FastCGI header buffer (WEBSERVERS.md 7) */
#define CAP_RESPONSE_BODY (64u * 1024 * 1024) /* one buffered reply: a long history, an export */
#define CAP_LOG_LINE      8192                /* longer lines are cut and marked */
#define CAP_ENV_FILE      (1024 * 1024)       /* the .env file; more is some other file */
#define CAP_CHECK_OUTPUT  (16 * 1024 * 1024) /* what a new program prints about its configuration */
#define CAP_OPTION_VALUE  (64 * 1024)        /* one option, NUL included: a long SYSTEM_PROMPT */
#define CAP_FLUSH         (16 * 1024)        /* bytes written to a web server per readiness event */

#endif
