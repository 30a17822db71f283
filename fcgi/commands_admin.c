/*
 * commands_admin: see commands_admin.h. They open the same store that the server uses, whether it runs or not,
 * with the same settings: so they are typed in the server's directory or with its environment.
 */
#include "fcgi/commands_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/config.h"
#include "common/memory/memory.h"
#include "common/store/store_owners.h"
#include "fcgi/start.h"

#define EXIT_USAGE    2
#define DAY_MS        (INT64_C(24) * 3600 * 1000)
#define PORTION       200 /* conversations of one transaction */
#define AUDIT_LINES   100
#define AUDIT_MOST    1000000
#define DAYS_MOST     36500
#define VISITOR_LEAST 8 /* characters of an id that are enough to mean somebody */

static int usage(const char *line)
{
    fprintf(stderr, "usage: parley %s\n", line);
    return EXIT_USAGE;
}

static int failed(const struct fault *fault)
{
    fprintf(stderr, "parley: %s\n", fault->text);
    return 1;
}

bool commands_open_store(const char *program, bool may_make, struct config *config,
                         struct store **store)
{
    struct fault fault = { 0 };

    if (!start_up(config, program))
        return false;
    if (!may_make && !store_is_there(config))
        fault_set(&fault, RESULT_STORE_DOWN, "store_missing", NULL,
                  "There is no database %.200s. Type this with the settings of the service "
                  "(PARLEY_ENV=FILE, or in its directory); it makes the database when it starts.",
                  config->database_url);
    else if (store_open(config, store, &fault) == RESULT_OK)
        return true;
    failed(&fault);
    config_free(config);
    return false;
}

void commands_close_store(struct config *config, struct store *store)
{
    store_close(store);
    config_free(config);
}

bool commands_number(const char *text, long most, int64_t *out)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 0 || number > most)
        return false;
    *out = number;
    return true;
}

/* ---- keys ---- */

static const char keys_usage[] = "keys add NAME | keys list | keys revoke NAME";

static int add_key(struct store *store, const char *name)
{
    struct fault fault = { 0 };
    char key[CAP_ID];

    if (store_key_add(store, name, key, clock_wall_ms(), &fault) != RESULT_OK)
        return failed(&fault);
    fprintf(stderr, "The key of %s follows. It is shown this once: only a hash of it is kept.\n",
            name);
    puts(key);
    return 0;
}

static const char *time_or(int64_t ms, const char *otherwise, char *out)
{
    return ms > 0 ? clock_rfc3339(ms, out) : otherwise;
}

static void show_key(void *ctx, const struct store_key *key)
{
    char created[CLOCK_RFC3339_SIZE], used[CLOCK_RFC3339_SIZE], revoked[CLOCK_RFC3339_SIZE];

    (void)ctx;
    printf("%-24s %s...  made %s  used %-24s  %s%s\n", key->name, key->prefix,
           clock_rfc3339(key->created_ms, created), time_or(key->used_ms, "never", used),
           key->revoked_ms > 0 ? "revoked " : "valid", time_or(key->revoked_ms, "", revoked));
}

static int list_keys(struct store *store, const char *name)
{
    struct fault fault = { 0 };

    (void)name;
    return store_key_list(store, show_key, NULL, &fault) == RESULT_OK ? 0 : failed(&fault);
}

static int revoke_key(struct store *store, const char *name)
{
    struct fault fault = { 0 };

    if (store_key_revoke(store, name, clock_wall_ms(), &fault) != RESULT_OK)
        return failed(&fault);
    printf("%s is refused from now on.\n", name);
    return 0;
}

static const struct {
    const char *word;
    int arguments;
    bool may_make; /* a key may be there before the first start */
    int (*run)(struct store *store, const char *name);
} key_verbs[] = {
    { "add", 1, true, add_key },
    { "list", 0, false, list_keys },
    { "revoke", 1, false, revoke_key },
};

int command_keys(int argc, char **argv)
{
    const char *word = argc > 2 ? argv[2] : "";
    struct config config;
    struct store *store;
    int status;

    for (size_t i = 0; i < sizeof key_verbs / sizeof key_verbs[0]; i++) {
        if (strcmp(key_verbs[i].word, word) != 0 || argc != 3 + key_verbs[i].arguments)
            continue;
        if (!commands_open_store(argv[0], key_verbs[i].may_make, &config, &store))
            return 1;
        status = key_verbs[i].run(store, argc > 3 ? argv[3] : NULL);
        commands_close_store(&config, store);
        return status;
    }
    return usage(keys_usage);
}

/* ---- audit ---- */

static void show_line(void *ctx, const struct store_audit_row *row)
{
    char at[CLOCK_RFC3339_SIZE];

    (void)ctx;
    printf("%s  %-12s %s", clock_rfc3339(row->at_ms, at), row->action, row->actor_kind);
    if (*row->actor_id != '\0')
        printf(" %s", row->actor_id);
    if (*row->address != '\0')
        printf(" at %s", row->address);
    if (*row->subject != '\0')
        printf(": %s", row->subject);
    if (row->count > 0)
        printf(" (%lld conversations)", (long long)row->count);
    putchar('\n');
}

int command_audit(int argc, char **argv)
{
    int64_t limit = AUDIT_LINES;
    struct fault fault = { 0 };
    struct config config;
    struct store *store;
    int status;

    if (argc != 2 && (argc != 4 || strcmp(argv[2], "--limit") != 0 ||
                      !commands_number(argv[3], AUDIT_MOST, &limit)))
        return usage("audit [--limit N]");
    if (!commands_open_store(argv[0], false, &config, &store))
        return 1;
    status =
        store_audit_list(store, limit, show_line, NULL, &fault) == RESULT_OK ? 0 : failed(&fault);
    commands_close_store(&config, store);
    return status;
}

/* ---- purge ---- */

static const char purge_usage[] =
    "purge [--older-than DAYS | --visitor ID | --user ID] [--dry-run]";

struct purge {
    int64_t days; /* -1 = not given */
    const char *visitor;
    const char *user;
    bool dry_run;
};

/* The argument behind an option, NULL at the end. */
static const char *value_of(int argc, char **argv, int *i)
{
    return *i + 1 < argc ? argv[++*i] : NULL;
}

static bool parse_purge(int argc, char **argv, struct purge *out)
{
    const char *days;

    *out = (struct purge){ .days = -1 };
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--dry-run") == 0) {
            out->dry_run = true;
        } else if (strcmp(argv[i], "--older-than") == 0) {
            days = value_of(argc, argv, &i);
            if (days == NULL || !commands_number(days, DAYS_MOST, &out->days))
                return false;
        } else if (strcmp(argv[i], "--visitor") == 0) {
            if ((out->visitor = value_of(argc, argv, &i)) == NULL)
                return false;
        } else if (strcmp(argv[i], "--user") == 0) {
            if ((out->user = value_of(argc, argv, &i)) == NULL)
                return false;
        } else {
            return false;
        }
    }
    return (out->days >= 0) + (out->visitor != NULL) + (out->user != NULL) <= 1;
}

/* What `purge` means, as an order to the store. */
static enum result choose(struct store *store, const struct config *config,
                          const struct purge *purge, struct owner *visitor,
                          struct store_erase *erase, struct fault *fault)
{
    int64_t now_ms = clock_wall_ms();
    int64_t days = purge->days >= 0 ? purge->days : config->retention_days;

    *erase = (struct store_erase){
        .what = STORE_ERASE_OLD,
        .before_ms = now_ms - days * DAY_MS,
        .owner = visitor,
        .user_id = purge->user,
        .most = PORTION,
        .dry_run = purge->dry_run,
        .audit = { .actor = "admin", .action = "purged", .now_ms = now_ms },
    };
    if (purge->user != NULL) {
        erase->what = STORE_ERASE_USER;
        erase->audit.subject = "one user_id";
    } else if (purge->visitor != NULL) {
        erase->what = STORE_ERASE_OWNER;
        erase->audit.subject = "one visitor";
        visitor->kind = OWNER_VISITOR;
        if (strlen(purge->visitor) < VISITOR_LEAST)
            return fault_set(fault, RESULT_INVALID, "invalid_visitor", NULL,
                             "At least %d characters of the visitor's id are needed.",
                             VISITOR_LEAST);
        return store_visitor_find(store, purge->visitor, visitor->id, fault);
    } else if (purge->days < 0 && days == 0) {
        return fault_set(fault, RESULT_INVALID, "nothing_to_purge", NULL,
                         "RETENTION_DAYS is 0, so say what to erase: %s", purge_usage);
    }
    return RESULT_OK;
}

/* Who is to be forgotten elsewhere, too: to be asked before his conversations are gone. */
static enum result note_users(struct store *store, const struct store_erase *erase,
                              struct store_users *users, struct fault *fault)
{
    *users = (struct store_users){ 0 };
    if (erase->dry_run)
        return RESULT_OK;
    if (erase->what == STORE_ERASE_OWNER)
        return store_owner_users(store, erase->owner, users, fault);
    if (erase->what != STORE_ERASE_USER)
        return RESULT_OK;
    users->list = calloc(1, sizeof *users->list);
    if (users->list == NULL || (users->list[0] = strdup(erase->user_id)) == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    users->count = 1;
    return RESULT_OK;
}

static int forget_elsewhere(const struct config *config, const struct store_erase *erase,
                            const struct store_users *users)
{
    if (erase->dry_run || erase->what == STORE_ERASE_OLD ||
        memory_forget_now(config, erase->owner, users))
        return 0;
    fputs("parley: Mem0 was not reached or refused; what it remembers about them is still there.\n",
          stderr);
    return 1;
}

static int run_purge(struct store *store, const struct config *config, const struct purge *purge)
{
    struct owner visitor = { .kind = OWNER_NONE };
    struct store_erased erased, total = { 0 };
    struct fault fault = { 0 };
    struct store_erase erase;
    struct store_users users = { 0 };
    int status;

    if (choose(store, config, purge, &visitor, &erase, &fault) != RESULT_OK)
        return failed(&fault);
    if (purge->dry_run)
        erase.most = 0;
    if (note_users(store, &erase, &users, &fault) != RESULT_OK)
        goto fail;
    do {
        if (store_erase(store, &erase, &erased, &fault) != RESULT_OK)
            goto fail;
        total.conversations += erased.conversations;
        total.messages += erased.messages;
    } while (erase.what == STORE_ERASE_OLD && erased.conversations == PORTION && !purge->dry_run);
    printf("%s: %lld conversations with %lld messages.\n",
           purge->dry_run ? "Would be erased" : "Erased", (long long)total.conversations,
           (long long)total.messages);
    status = forget_elsewhere(config, &erase, &users);
    store_users_free(&users);
    return status;
fail:
    store_users_free(&users);
    return failed(&fault);
}

int command_purge(int argc, char **argv)
{
    struct config config;
    struct purge purge;
    struct store *store;
    int status;

    if (!parse_purge(argc, argv, &purge))
        return usage(purge_usage);
    if (!commands_open_store(argv[0], false, &config, &store))
        return 1;
    status = run_purge(store, &config, &purge);
    commands_close_store(&config, store);
    return status;
}
