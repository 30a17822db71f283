/*
 * get_weather: the temperature of a place at this hour. Nominatim says where the place is, Open-Meteo how warm it
 * is there.
 *
 * What a place's name means is remembered for an hour, since Nominatim asks for as few requests as
 * possible; the temperature for TOOL_CACHE_SECONDS, and never beyond its hour. Loop thread.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/tools/tool.h"

#define PLACE_MAX    512 /* bytes of a place's name */
#define NUMBER_SIZE  32  /* of a latitude */
#define CAP_URL      (CAP_OPTION_VALUE + 4 * PLACE_MAX)
#define PLACE_TTL_MS (3600 * 1000)
#define HOUR_SIZE    17 /* "2026-01-02T03:00" */
#define HOUR_MS      (3600 * 1000)
#define NO_WEATHER   "Error getting weather"
#define NO_PLACE     "Invalid location"
#define NO_HOUR      "Temperature data unavailable"
#define CAP_KEY      (PLACE_MAX + 64)
#define UNIT_CELSIUS "celsius"
#define UNIT_OTHER   "fahrenheit"

struct weather {
    char place[PLACE_MAX];
    char latitude[NUMBER_SIZE];
    char longitude[NUMBER_SIZE];
    const char *unit;
};

/* ---- memory ---- */

static void put_key(struct buf *out, const char *what, const struct weather *weather)
{
    buf_init(out, CAP_KEY);
    buf_putf(out, "%s %s", what, weather->place);
}

static bool recall_place(struct tool_run *run, struct weather *weather)
{
    const char *found, *space;
    struct buf key;

    put_key(&key, "place", weather);
    found = tool_recall(run, buf_str(&key));
    buf_free(&key);
    if (found == NULL || (space = strchr(found, ' ')) == NULL)
        return false;
    snprintf(weather->latitude, NUMBER_SIZE, "%.*s", (int)(space - found), found);
    return text_copy(weather->longitude, NUMBER_SIZE, space + 1);
}

static void remember_place(struct tool_run *run, const struct weather *weather)
{
    char value[2 * NUMBER_SIZE];
    struct buf key;

    snprintf(value, sizeof value, "%s %s", weather->latitude, weather->longitude);
    put_key(&key, "place", weather);
    tool_remember(run, buf_str(&key), value, run->config->tool_cache_s > 0 ? PLACE_TTL_MS : 0);
    buf_free(&key);
}

static void remember_weather(struct tool_run *run, const struct weather *weather, const char *json)
{
    int64_t ttl_ms = run->config->tool_cache_s * 1000;
    int64_t left_ms = HOUR_MS - clock_wall_ms() % HOUR_MS;
    struct buf key;

    put_key(&key, weather->unit, weather);
    tool_remember(run, buf_str(&key), json, ttl_ms < left_ms ? ttl_ms : left_ms);
    buf_free(&key);
}

/* ---- the temperature ---- */

/* Which entry of hourly.time is this hour; -1 when none is. */
static int find_hour(struct json_object *times)
{
    char now[CLOCK_RFC3339_SIZE], hour[HOUR_SIZE + 16];

    clock_rfc3339(clock_wall_ms(), now);
    snprintf(hour, sizeof hour, "%.13s:00", now);
    for (size_t i = 0; i < json_object_array_length(times); i++) {
        struct json_object *time = json_object_array_get_idx(times, i);

        if (json_object_is_type(time, json_type_string) &&
            strcmp(json_object_get_string(time), hour) == 0)
            return (int)i;
    }
    return -1;
}

static bool is_number(struct json_object *value)
{
    return json_object_is_type(value, json_type_double) ||
           json_object_is_type(value, json_type_int);
}

/* The number of this hour as the service wrote it. False: `*why` is the error. */
static bool put_temperature(struct buf *out, struct json_object *reply, const char **why)
{
    struct json_object *hourly, *times, *values, *value;
    int at;

    *why = NO_WEATHER;
    if (!json_object_is_type(reply, json_type_object) ||
        json_get_object(reply, "hourly", &hourly) != JSON_FOUND ||
        json_get_array(hourly, "time", &times) != JSON_FOUND ||
        json_get_array(hourly, "temperature_2m", &values) != JSON_FOUND)
        return false;
    *why = NO_HOUR;
    at = find_hour(times);
    if (at < 0 || (value = json_object_array_get_idx(values, (size_t)at)) == NULL ||
        !is_number(value))
        return false;
    return buf_putf(out, "{\"temperature\":%s}", json_object_to_json_string(value));
}

static void on_forecast(void *ctx, const struct relay_fetch_reply *reply)
{
    struct tool_run *run = ctx;
    struct json_object *object = NULL;
    const char *why = NO_WEATHER;
    struct buf json;

    run->fetch = NULL;
    buf_init(&json, 256);
    if (relay_fetch_good(reply) &&
        json_parse(reply->body, reply->len, &object, NULL) == RESULT_OK &&
        put_temperature(&json, object, &why)) {
        remember_weather(run, run->state, buf_str(&json));
        tool_finish(run, 200, buf_str(&json));
    } else {
        tool_fail(run, 500, why);
    }
    json_object_put(object);
    buf_free(&json);
}

static void ask_forecast(struct tool_run *run)
{
    const struct weather *weather = run->state;
    struct buf url;

    buf_init(&url, CAP_URL);
    buf_putf(&url, "%s/forecast?latitude=%s&longitude=%s&hourly=temperature_2m&temperature_unit=%s",
             run->config->weather_forecast_base, weather->latitude, weather->longitude,
             weather->unit);
    if (url.failed || !tool_get(run, buf_str(&url), on_forecast))
        tool_fail(run, 500, NO_WEATHER);
    buf_free(&url);
}

/* ---- the place ---- */

/* It goes into our next address as it is. */
static bool copy_number(char *out, const char *text)
{
    return text != NULL && *text != '\0' && strspn(text, "0123456789.-") == strlen(text) &&
           text_copy(out, NUMBER_SIZE, text);
}

static void take_place(struct tool_run *run, struct json_object *hits)
{
    struct weather *weather = run->state;
    struct json_object *first;

    if (!json_object_is_type(hits, json_type_array)) {
        tool_fail(run, 500, NO_WEATHER);
        return;
    }
    if (json_object_array_length(hits) == 0) {
        tool_fail(run, 404, NO_PLACE);
        return;
    }
    first = json_object_array_get_idx(hits, 0);
    if (!json_object_is_type(first, json_type_object) ||
        !copy_number(weather->latitude, json_string_or_null(first, "lat")) ||
        !copy_number(weather->longitude, json_string_or_null(first, "lon"))) {
        tool_fail(run, 500, NO_WEATHER);
        return;
    }
    remember_place(run, weather);
    ask_forecast(run);
}

static void on_place(void *ctx, const struct relay_fetch_reply *reply)
{
    struct tool_run *run = ctx;
    struct json_object *hits = NULL;

    run->fetch = NULL;
    if (relay_fetch_good(reply) && json_parse(reply->body, reply->len, &hits, NULL) == RESULT_OK)
        take_place(run, hits);
    else
        tool_fail(run, 500, NO_WEATHER);
    json_object_put(hits);
}

static void ask_place(struct tool_run *run)
{
    const struct weather *weather = run->state;
    struct buf url;

    buf_init(&url, CAP_URL);
    buf_putf(&url, "%s/search?q=", run->config->weather_geocode_base);
    text_percent_encode(&url, weather->place, strlen(weather->place));
    buf_puts(&url, "&format=json");
    if (url.failed || !tool_get(run, buf_str(&url), on_place))
        tool_fail(run, 500, NO_WEATHER);
    buf_free(&url);
}

/* Whatever else a model or a page writes ("undefined", "Kelvin") means celsius. */
static const char *unit_of(struct json_object *args)
{
    const char *unit = json_string_or_null(args, "unit");

    return unit != NULL && text_same_nocase(unit, UNIT_OTHER) ? UNIT_OTHER : UNIT_CELSIUS;
}

static bool read_place(struct json_object *args, struct weather *weather)
{
    const char *place = json_string_or_null(args, "location");
    size_t len;

    if (place == NULL)
        return false;
    text_copy(weather->place, PLACE_MAX, place);
    len = text_clean(weather->place, strlen(weather->place));
    return len > 0;
}

static void start(struct tool_run *run, struct json_object *args)
{
    struct weather *weather = calloc(1, sizeof *weather);
    const char *known;
    struct buf key;

    run->state = weather;
    if (weather == NULL) {
        tool_fail(run, 500, NO_WEATHER);
        return;
    }
    weather->unit = unit_of(args);
    if (!read_place(args, weather)) {
        tool_fail(run, 404, NO_PLACE);
        return;
    }
    put_key(&key, weather->unit, weather);
    known = tool_recall(run, buf_str(&key));
    buf_free(&key);
    if (known != NULL)
        tool_finish(run, 200, known);
    else if (recall_place(run, weather))
        ask_forecast(run);
    else
        ask_place(run);
}

const struct tool tool_get_weather = {
    .name = "get_weather",
    .description = "Get the weather for a given location",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"location\":{\"type\":\"string\",\"description\":\"Location to get weather for\"},"
        "\"unit\":{\"type\":\"string\",\"description\":\"Unit to get weather in\","
        "\"enum\":[\"celsius\",\"fahrenheit\"]}},"
        "\"required\":[\"location\",\"unit\"],\"additionalProperties\":false}",
    .start = start,
};
