/*
 * doctor: see doctor.h. Opens no store and asks no model: it looks, writes one small file beside the database
 * and removes it again, and spends nothing. Every finding is a line that a person reads; every one that is not
 * good has a second line that says what to do.
 */
#include "fcgi/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "fcgi/doctor_private.h"
#include "fcgi/start.h"

#define EXIT_USAGE 2

static const char *const verdicts[DOCTOR_VERDICTS] = { "PASS", "WARN", "FAIL" };

static void put_finding(struct doctor *doctor, enum doctor_verdict verdict, const char *what,
                        const char *format, va_list args) __attribute__((format(printf, 4, 0)));

static void put_finding(struct doctor *doctor, enum doctor_verdict verdict, const char *what,
                        const char *format, va_list args)
{
    doctor->counts[verdict]++;
    printf("%s  %s: ", verdicts[verdict], what);
    vprintf(format, args);
    putchar('\n');
}

void doctor_pass(struct doctor *doctor, const char *what, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_finding(doctor, DOCTOR_PASS, what, format, args);
    va_end(args);
    fflush(stdout);
}

void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *what,
                const char *remedy, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_finding(doctor, verdict, what, format, args);
    va_end(args);
    printf("      -> %s\n", remedy);
    fflush(stdout);
}

static bool open_relay(struct doctor *doctor)
{
    struct relay_options options = { .ca_file = doctor->config->ca_file };

    if (!relay_load() || uv_loop_init(&doctor->loop) != 0)
        return false;
    if (relay_open(&doctor->loop, &options, &doctor->relay) == RESULT_OK)
        return true;
    uv_loop_close(&doctor->loop);
    return false;
}

static void close_relay(struct doctor *doctor)
{
    relay_close(doctor->relay);
    uv_run(&doctor->loop, UV_RUN_DEFAULT);
    uv_loop_close(&doctor->loop);
}

static int examine(const struct config *config, const char *url)
{
    struct doctor doctor = { .config = config };

    if (!open_relay(&doctor)) {
        fputs("parley: libcurl could not be started\n", stderr);
        return 1;
    }
    doctor_local(&doctor);
    doctor_providers(&doctor);
    if (url != NULL)
        doctor_site(&doctor, url);
    else
        puts("      (parley doctor URL also looks at the site from outside)");
    close_relay(&doctor);
    printf("%u passed, %u warnings, %u failed\n", doctor.counts[DOCTOR_PASS],
           doctor.counts[DOCTOR_WARN], doctor.counts[DOCTOR_FAIL]);
    return doctor.counts[DOCTOR_FAIL] > 0;
}

static bool is_site(const char *url)
{
    const char *host = text_starts_with(url, "http://")    ? url + strlen("http://")
                       : text_starts_with(url, "https://") ? url + strlen("https://")
                                                           : "";

    return *host != '\0' && strchr("/?#", *host) == NULL;
}

int doctor_command(int argc, char **argv)
{
    const char *url = argc > 2 ? argv[2] : NULL;
    struct config config;
    int status;

    if (argc > 3 || (url != NULL && !is_site(url))) {
        fputs("usage: parley doctor [http(s)://the-address-of-the-site]\n", stderr);
        return EXIT_USAGE;
    }
    if (!start_up(&config, argv[0]))
        return 1;
    log_set_level(LOG_ERROR);
    status = examine(&config, url);
    config_free(&config);
    return status;
}
