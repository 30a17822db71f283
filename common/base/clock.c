/*
 * clock: two clocks, and the time formats of the wire. The formats are patterns, one letter per
 * field (take_field), because RFC 3339 and the three HTTP dates differ in order only. No locale, no
 * time zone of the machine: everything is UTC. Any thread.
 */
#include "common/base/clock.h"

#include <string.h>
#include <time.h>

#define YEAR_0_MS    INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define YEAR_9999_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static const char *const month_names[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const day_names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday" };

static int64_t clock_us(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

/*
 * Broken-down UTC, held inside the years that have four digits. Returns the milliseconds of the
 * second.
 */
static int split(int64_t wall_ms, struct tm *tm)
{
    if (wall_ms < YEAR_0_MS)
        wall_ms = YEAR_0_MS;
    if (wall_ms > YEAR_9999_MS)
        wall_ms = YEAR_9999_MS;
    int ms = (int)(wall_ms % 1000);
    if (ms < 0)
        ms += 1000;
    time_t seconds = (wall_ms - ms) / 1000;
    gmtime_r(&seconds, tm);
    return ms;
}

/* Write the last `width` decimal digits; returns the place behind them. */
static char *put_digits(char *out, int value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

/* The fields of `tm` by the letters that take_field() reads; returns the place behind them. */
static char *put_time(char *out, const char *pattern, const struct tm *tm)
{
    for (; *pattern; pattern++) {
        switch (*pattern) {
        case 'Y':
            out = put_digits(out, tm->tm_year + 1900, 4);
            break;
        case 'm':
            out = put_digits(out, tm->tm_mon + 1, 2);
            break;
        case 'b':
            out = stpcpy(out, month_names[tm->tm_mon]);
            break;
        case 'd':
            out = put_digits(out, tm->tm_mday, 2);
            break;
        case 'H':
            out = put_digits(out, tm->tm_hour, 2);
            break;
        case 'i':
            out = put_digits(out, tm->tm_min, 2);
            break;
        case 'S':
            out = put_digits(out, tm->tm_sec, 2);
            break;
        case 'a':
            out = stpncpy(out, day_names[tm->tm_wday], 3);
            break;
        default:
            *out++ = *pattern;
            break;
        }
    }
    *out = '\0';
    return out;
}

char *clock_rfc3339(int64_t wall_ms, char *out)
{
    struct tm tm;
    int ms = split(wall_ms, &tm);
    char *end = put_time(out, "Y-m-dTH:i:S.", &tm);
    end = put_digits(end, ms, 3);
    end[0] = 'Z';
    end[1] = '\0';
    return out;
}

char *clock_http_date(int64_t wall_ms, char *out)
{
    struct tm tm;
    split(wall_ms, &tm);
    put_time(out, "a, d b Y H:i:S GMT", &tm);
    return out;
}

/* Read exactly `count` digits; false when there are not so many. Moves *at behind them. */
static bool take_digits(const char **at, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

/* Read one of the names, or its first three letters with `brief`; its index or -1. */
static int take_name(const char **at, const char *const *names, int count, bool brief)
{
    for (int i = 0; i < count; i++) {
        size_t len = brief ? 3 : strlen(names[i]);
        if (strncmp(*at, names[i], len) == 0) {
            *at += len;
            return i;
        }
    }
    return -1;
}

/* RFC 9110: a two-digit year more than 50 years ahead means the past century. */
static int full_year(int two_digits)
{
    struct tm now;
    split(clock_wall_ms(), &now);
    int this_year = now.tm_year + 1900;
    int year = this_year - this_year % 100 + two_digits;
    return year > this_year + 50 ? year - 100 : year;
}

/* Read the field that `letter` stands for; any other character stands for itself. */
static bool take_field(const char **at, char letter, struct tm *tm)
{
    bool found;
    switch (letter) {
    case 'Y':
        found = take_digits(at, 4, &tm->tm_year);
        break;
    case 'y':
        found = take_digits(at, 2, &tm->tm_year);
        tm->tm_year = full_year(tm->tm_year);
        break;
    case 'm':
        found = take_digits(at, 2, &tm->tm_mon);
        tm->tm_mon--;
        break;
    case 'b':
        tm->tm_mon = take_name(at, month_names, 12, true);
        found = tm->tm_mon >= 0;
        break;
    case 'e': /* a day padded with a space */
        if (**at == ' ') {
            (*at)++;
            return take_digits(at, 1, &tm->tm_mday);
        }
        return take_digits(at, 2, &tm->tm_mday);
    case 'd':
        return take_digits(at, 2, &tm->tm_mday);
    case 'H':
        return take_digits(at, 2, &tm->tm_hour);
    case 'i':
        return take_digits(at, 2, &tm->tm_min);
    case 'S':
        return take_digits(at, 2, &tm->tm_sec);
    case 'a':
        return take_name(at, day_names, 7, true) >= 0;
    case 'A':
        return take_name(at, day_names, 7, false) >= 0;
    default:
        found = **at == letter;
        *at += found;
        break;
    }
    return found;
}

/* Milliseconds of the fields, when they name a time that exists. tm_year is the full year. */
static bool join(struct tm *tm, int64_t *wall_ms)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (tm->tm_mon < 0 || tm->tm_mon > 11)
        return false;
    int year = tm->tm_year;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int last = days[tm->tm_mon] + (tm->tm_mon == 1 && leap);
    if (tm->tm_mday < 1 || tm->tm_mday > last)
        return false;
    if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
        return false;
    tm->tm_year -= 1900;
    *wall_ms = (int64_t)timegm(tm) * 1000;
    return true;
}

/* Read `*at` by the pattern and move it behind what was read. */
static bool take_time(const char **at, const char *pattern, int64_t *wall_ms)
{
    struct tm tm = { 0 };
    for (; *pattern; pattern++)
        if (!take_field(at, *pattern, &tm))
            return false;
    return join(&tm, wall_ms);
}

/* ".678": milliseconds, further digits are dropped. */
static bool take_fraction(const char **at, int *ms)
{
    *ms = 0;
    if (**at != '.')
        return true;
    (*at)++;
    int scale = 100;
    if (**at < '0' || **at > '9')
        return false;
    for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
        *ms += (**at - '0') * scale;
    return true;
}

/* "Z" or "+01:30", in minutes east. */
static bool take_offset(const char **at, int *minutes)
{
    char sign = **at;
    int hours = 0;
    *minutes = 0;
    if (sign == '\0')
        return false;
    (*at)++;
    if (sign == 'Z' || sign == 'z')
        return true;
    if (sign != '+' && sign != '-')
        return false;
    if (!take_digits(at, 2, &hours) || *(*at)++ != ':' || !take_digits(at, 2, minutes))
        return false;
    if (hours > 23 || *minutes > 59)
        return false;
    *minutes += hours * 60;
    if (sign == '-')
        *minutes = -*minutes;
    return true;
}

bool clock_parse_rfc3339(const char *text, int64_t *wall_ms)
{
    int64_t day_ms;
    int ms, minutes;
    if (!take_time(&text, "Y-m-d", &day_ms))
        return false;
    if (*text != 'T' && *text != 't' && *text != ' ')
        return false;
    text++;

    struct tm time = { .tm_year = 1970, .tm_mday = 1 };
    int64_t time_ms;
    for (const char *letter = "H:i:S"; *letter; letter++)
        if (!take_field(&text, *letter, &time))
            return false;
    if (!join(&time, &time_ms) || !take_fraction(&text, &ms) || !take_offset(&text, &minutes))
        return false;
    if (*text != '\0')
        return false;
    *wall_ms = day_ms + time_ms + ms - (int64_t)minutes * 60000;
    return true;
}

bool clock_parse_http_date(const char *text, int64_t *wall_ms)
{
    static const char *const patterns[] = { "a, d b Y H:i:S GMT", "A, d-b-y H:i:S GMT",
                                            "a b e H:i:S Y" };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const char *at = text;
        if (take_time(&at, patterns[i], wall_ms) && *at == '\0')
            return true;
    }
    return false;
}
