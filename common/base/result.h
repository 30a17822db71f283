/*
 * result: one enum of outcomes for the whole program, and `fault`, the error that a person is told.
 *
 * Lower layers return an enum result and, where somebody outside has to be told why, fill a struct
 * fault. The HTTP status of a result is looked up in one place only (fcgi/http/response.c).
 * No knowledge of HTTP, chat or the store here. Every function is thread-safe.
 */
#ifndef PARLEY_BASE_RESULT_H
#define PARLEY_BASE_RESULT_H

enum result {
    RESULT_OK = 0,
    RESULT_INVALID,          /* the caller's input is wrong; fault.field names where */
    RESULT_UNAUTHORIZED,     /* key missing or wrong */
    RESULT_FORBIDDEN,        /* origin or rights */
    RESULT_NOT_FOUND,        /* unknown, or not yours */
    RESULT_BAD_METHOD,       /* the path exists, the method does not */
    RESULT_CONFLICT,         /* two requests that exclude each other */
    RESULT_TOO_LARGE,        /* a named cap was hit */
    RESULT_UNSUPPORTED_TYPE, /* not JSON where JSON is due */
    RESULT_LIMITED,          /* rate limit or budget; fault.retry_after_s says when again */
    RESULT_INTERNAL,         /* our own fault, out of memory included */
    RESULT_UPSTREAM_BAD,     /* the provider answered, but badly */
    RESULT_OVERLOADED,       /* we are full */
    RESULT_UPSTREAM_DOWN,    /* the provider cannot be reached or turns us away for a while */
    RESULT_UPSTREAM_SLOW,    /* the provider missed a deadline */
    RESULT_STORE_DOWN,       /* the store is busy beyond its deadline, full or read-only */
    RESULT_GONE,             /* the peer has closed its connection; nobody left to tell */
    RESULT_CANCELLED,        /* stopped on request */
    RESULT_COUNT
};

/* A short English name for logs ("ok", "invalid", ...). Never NULL. */
const char *result_name(enum result result);

/* What the maker of a mistake is told. All strings are NUL-terminated UTF-8, copied in. */
struct fault {
    enum result result;
    int retry_after_s; /* 0: say nothing */
    char code[40];     /* snake_case, for programs */
    char field[64];    /* the field at fault, "" if none */
    char text[320];    /* one sentence, for people; never a path, SQL, a key or message text */
};

/*
 * Fill `fault` (may be NULL) and return `result`, so that callers write `return fault_set(...)`.
 * `field` may be NULL. The sentence is cut at the size of fault.text, at a character boundary.
 */
enum result fault_set(struct fault *fault, enum result result, const char *code, const char *field,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
