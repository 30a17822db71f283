/*
 * doctor_private: what the doctor*.c files share. doctor.c is the command and its report; doctor_local.c looks at
 * this machine, doctor_providers.c at the models, doctor_site.c at the site from outside; doctor_remedies.c
 * knows the web servers; doctor_fetch.c asks over HTTP.
 */
#ifndef PARLEY_DOCTOR_PRIVATE_H
#define PARLEY_DOCTOR_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/config.h"
#include "common/relay.h"

/* ---- the report ---- */

enum doctor_verdict { DOCTOR_PASS, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_VERDICTS };

struct doctor {
    const struct config *config;
    uv_loop_t loop;
    struct relay *relay;
    unsigned counts[DOCTOR_VERDICTS];
    bool clock_checked;
};

/* One line: "PASS  what: finding". */
void doctor_pass(struct doctor *doctor, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Two: the finding, and what mends it. */
void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *what,
                const char *remedy, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- HTTP ---- */

#define DOCTOR_HEADER 256

struct doctor_reply {
    enum relay_end end;
    char detail[200]; /* curl's words when end is not RELAY_COMPLETE */
    int status;       /* 0 = no reply */
    struct buf body;
    int64_t took_us;
    int64_t first_us,
        last_us; /* when the first and the last piece of the body came, since the start */
    char server[DOCTOR_HEADER], date[DOCTOR_HEADER], encoding[DOCTOR_HEADER];
    char allow_origin[DOCTOR_HEADER];
};

/* Ask and wait, at most some ten seconds. `headers`: lines "Name: value\n". Always doctor_reply_free. */
void doctor_fetch(struct doctor *doctor, const char *method, const char *url, const char *headers,
                  struct doctor_reply *reply);
void doctor_reply_free(struct doctor_reply *reply);
/* Why its certificate is not believed, and what helps; NULL when it is. */
const char *doctor_tls_remedy(enum relay_end end);
/* What became of it, for people: "HTTP 502", "connection refused". */
void doctor_reply_words(const struct doctor_reply *reply, char *out, size_t size);

/* Compare its Date with our clock, once. */
void doctor_check_clock(struct doctor *doctor, const char *whose, const struct doctor_reply *reply);

/* ---- remedies ---- */

enum doctor_trouble {
    TROUBLE_DOWN,     /* the web server does not reach Parley */
    TROUBLE_PATH,     /* requests end somewhere else */
    TROUBLE_BUFFERED, /* deltas come in one lump */
    TROUBLE_COMPRESSED,
    TROUBLE_AUTHORIZATION,
    TROUBLE_FILES, /* files of the installation are served */
    TROUBLE_CORS,  /* the web server has headers of its own */
    TROUBLE_METHODS,
    TROUBLES
};

/* For the web server that this Server header names, or for any. */
const char *doctor_remedy(const char *server, enum doctor_trouble trouble);
const char *doctor_server_name(const char *server);

/* ---- the examinations ---- */

void doctor_local(struct doctor *doctor);
void doctor_providers(struct doctor *doctor);
void doctor_site(struct doctor *doctor, const char *url);

#endif
