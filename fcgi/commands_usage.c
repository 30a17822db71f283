/*
 * commands_usage: `parley usage [--days N] [--json]`, what the answers of the last days have cost, as the store counted
 * it. Costs are in the currency in which the prices of the configuration are; without prices they are 0.
 */
#include "fcgi/commands_usage.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/store/store_usage.h"
#include "fcgi/commands_admin.h"

#define DAYS_SHOWN 30
#define DAYS_MOST  36500
#define DAY_MS     (INT64_C(24) * 3600 * 1000)
#define CAP_LINE   4096

struct listing {
    bool json;
    size_t lines;
    struct store_usage total;
};

static void add(struct store_usage *total, const struct store_usage *usage)
{
    total->answers += usage->answers;
    total->cached_answers += usage->cached_answers;
    total->estimated_answers += usage->estimated_answers;
    total->prompt_tokens += usage->prompt_tokens;
    total->completion_tokens += usage->completion_tokens;
    total->cached_tokens += usage->cached_tokens;
    total->reasoning_tokens += usage->reasoning_tokens;
    total->cost_nano += usage->cost_nano;
}

static void put_numbers(struct buf *out, const struct store_usage *usage)
{
    json_put_member_int(out, "answers", usage->answers);
    json_put_member_int(out, "cached_answers", usage->cached_answers);
    json_put_member_int(out, "estimated_answers", usage->estimated_answers);
    json_put_member_int(out, "prompt_tokens", usage->prompt_tokens);
    json_put_member_int(out, "completion_tokens", usage->completion_tokens);
    json_put_member_int(out, "cached_tokens", usage->cached_tokens);
    json_put_member_int(out, "reasoning_tokens", usage->reasoning_tokens);
    buf_puts(out, ",\"cost\":");
    text_nano(out, usage->cost_nano);
    buf_putc(out, '}');
}

static void print_json(const struct store_usage *usage)
{
    struct buf line;

    buf_init(&line, CAP_LINE);
    buf_putc(&line, '{');
    if (usage->day != NULL) {
        json_put_member(&line, "day", usage->day);
        json_put_member(&line, "provider", usage->provider);
        json_put_member(&line, "model", usage->model);
    }
    put_numbers(&line, usage);
    fputs(buf_str(&line), stdout);
    buf_free(&line);
}

static void print_line(const char *day, const char *provider, const char *model,
                       const struct store_usage *usage)
{
    struct buf cost;

    buf_init(&cost, CAP_LINE);
    text_nano(&cost, usage->cost_nano);
    printf("%-10s  %-16s %-32s %9lld %9lld %13lld %13lld %18s\n", day, provider, model,
           (long long)usage->answers, (long long)usage->cached_answers,
           (long long)usage->prompt_tokens, (long long)usage->completion_tokens, buf_str(&cost));
    buf_free(&cost);
}

static void show(void *ctx, const struct store_usage *usage)
{
    struct listing *listing = ctx;

    if (listing->json)
        fputs(listing->lines == 0 ? "" : ",\n", stdout);
    else if (listing->lines == 0)
        printf("%-10s  %-16s %-32s %9s %9s %13s %13s %18s\n", "day", "provider", "model", "answers",
               "cached", "prompt", "completion", "cost");
    if (listing->json)
        print_json(usage);
    else
        print_line(usage->day, usage->provider, usage->model, usage);
    listing->lines++;
    add(&listing->total, usage);
}

static void show_total(const struct listing *listing, int64_t days)
{
    if (listing->json) {
        fputs("],\n\"total\":", stdout);
        print_json(&listing->total);
        puts("}");
    } else if (listing->lines == 0) {
        printf("Nobody was answered in the last %lld days.\n", (long long)days);
    } else {
        print_line("together", "", "", &listing->total);
    }
}

static bool parse(int argc, char **argv, int64_t *days, bool *json)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            *json = true;
        else if (strcmp(argv[i], "--days") != 0 || ++i == argc ||
                 !commands_number(argv[i], DAYS_MOST, days) || *days == 0)
            return false;
    }
    return true;
}

int command_usage(int argc, char **argv)
{
    struct listing listing = { .json = false };
    int64_t days = DAYS_SHOWN;
    struct fault fault = { 0 };
    struct config config;
    struct store *store;
    enum result result;

    if (!parse(argc, argv, &days, &listing.json)) {
        fputs("usage: parley usage [--days N] [--json]\n", stderr);
        return 2;
    }
    if (!commands_open_store(argv[0], false, &config, &store))
        return 1;
    fputs(listing.json ? "{\"days\":[" : "", stdout);
    result = store_usage_list(store, clock_wall_ms() - (days - 1) * DAY_MS, show, &listing, &fault);
    if (result == RESULT_OK)
        show_total(&listing, days);
    else
        fprintf(stderr, "parley: %s\n", fault.text);
    commands_close_store(&config, store);
    return result == RESULT_OK ? 0 : 1;
}
