/*
 * doctor_fetch: one HTTP request at a time, over the relay on a loop of our own; the program waits for it.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "fcgi/doctor_private.h"

#define CAP_BODY   (256 * 1024)
#define CONNECT_MS 5000
#define WHOLE_MS   10000
#define SKEW_MS    (60 * 1000)

struct fetch {
    struct doctor_reply *reply;
    struct relay_call *call;
    int64_t started_us;
    bool done;
};

static void keep(struct relay_call *call, const char *name, char out[DOCTOR_HEADER])
{
    const char *value = relay_header(call, name);

    text_copy(out, DOCTOR_HEADER, value != NULL ? value : "");
}

static void on_head(void *ctx, int status)
{
    struct fetch *fetch = ctx;
    struct doctor_reply *reply = fetch->reply;

    reply->status = status;
    keep(fetch->call, "Server", reply->server);
    keep(fetch->call, "Date", reply->date);
    keep(fetch->call, "Content-Encoding", reply->encoding);
    keep(fetch->call, "Access-Control-Allow-Origin", reply->allow_origin);
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct fetch *fetch = ctx;
    struct doctor_reply *reply = fetch->reply;
    size_t room = reply->body.cap - reply->body.len;

    reply->last_us = clock_mono_us() - fetch->started_us;
    if (reply->first_us == 0)
        reply->first_us = reply->last_us;
    buf_put(&reply->body, bytes, len < room ? len : room);
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct fetch *fetch = ctx;

    fetch->done = true;
    fetch->reply->end = end;
    fetch->reply->took_us = clock_mono_us() - fetch->started_us;
    text_copy(fetch->reply->detail, sizeof fetch->reply->detail, detail != NULL ? detail : "");
}

static const struct relay_handler handler = { .head = on_head, .body = on_body, .done = on_done };

void doctor_fetch(struct doctor *doctor, const char *method, const char *url, const char *headers,
                  struct doctor_reply *reply)
{
    struct fetch fetch = { .reply = reply, .started_us = clock_mono_us() };
    struct relay_request request = { .method = method,
                                     .url = url,
                                     .headers = headers,
                                     .connect_timeout_ms = CONNECT_MS,
                                     .first_byte_timeout_ms = WHOLE_MS,
                                     .total_timeout_ms = WHOLE_MS };

    memset(reply, 0, sizeof *reply);
    buf_init(&reply->body, CAP_BODY);
    fetch.call = relay_start(doctor->relay, &request, &handler, &fetch);
    if (fetch.call == NULL) {
        reply->end = RELAY_FAILED;
        text_copy(reply->detail, sizeof reply->detail, "this is no URL");
        return;
    }
    while (!fetch.done)
        uv_run(&doctor->loop, UV_RUN_ONCE);
}

void doctor_reply_free(struct doctor_reply *reply)
{
    buf_free(&reply->body);
}

const char *doctor_tls_remedy(enum relay_end end)
{
    switch (end) {
    case RELAY_TLS_CA:
        return "install ca-certificates, or name the file of your own authority in CA_FILE; a web "
               "server must send its whole chain";
    case RELAY_TLS_HOST:
        return "use the host name that the certificate is for";
    case RELAY_TLS_EXPIRED:
        return "renew the certificate, if it is yours; else set this machine's clock";
    case RELAY_TLS:
        return "look at the words in brackets: a port that does not speak TLS, or too old a "
               "version";
    default:
        return NULL;
    }
}

void doctor_reply_words(const struct doctor_reply *reply, char *out, size_t size)
{
    if (reply->end == RELAY_COMPLETE)
        snprintf(out, size, "HTTP %d", reply->status);
    else
        snprintf(out, size, "%s%s%s", relay_end_name(reply->end), reply->detail[0] ? ": " : "",
                 reply->detail);
}

void doctor_check_clock(struct doctor *doctor, const char *whose, const struct doctor_reply *reply)
{
    int64_t theirs, off_s;

    if (doctor->clock_checked || !clock_parse_http_date(reply->date, &theirs))
        return;
    doctor->clock_checked = true;
    off_s = (clock_wall_ms() - theirs) / 1000;
    if (off_s > -SKEW_MS / 1000 && off_s < SKEW_MS / 1000)
        doctor_pass(doctor, "clock", "agrees with that of %s", whose);
    else
        doctor_say(doctor, DOCTOR_FAIL, "clock",
                   "set this machine's clock and keep it right: timedatectl set-ntp true, or "
                   "install chrony",
                   "%lld seconds apart from that of %s", (long long)off_s, whose);
}
