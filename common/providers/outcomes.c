/*
 * outcomes: see outcomes.h. A table of the process and not of an app: a health page asks for what happened
 * here, whoever made it happen. Written by the loop once per answer, read by request threads.
 */
#include "common/providers/outcomes.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/text.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[CAP_PROVIDER_NAME];
    struct outcome outcome;
} table[OUTCOMES_MAX];
static size_t table_len;

/* With the mutex held. NULL when there is none such. */
static struct outcome *find(const char *provider)
{
    for (size_t i = 0; i < table_len; i++)
        if (strcmp(table[i].name, provider) == 0)
            return &table[i].outcome;
    return NULL;
}

void outcomes_note(const char *provider, const char *code, int64_t now_ms)
{
    struct outcome *outcome;

    pthread_mutex_lock(&mutex);
    outcome = find(provider);
    if (outcome == NULL && table_len < OUTCOMES_MAX) {
        text_copy(table[table_len].name, sizeof table[table_len].name, provider);
        outcome = &table[table_len++].outcome;
    }
    if (outcome != NULL && code == NULL) {
        outcome->success_ms = now_ms;
    } else if (outcome != NULL) {
        outcome->error_ms = now_ms;
        text_copy(outcome->error, sizeof outcome->error, code);
    }
    pthread_mutex_unlock(&mutex);
}

void outcomes_get(const char *provider, struct outcome *out)
{
    const struct outcome *outcome;

    pthread_mutex_lock(&mutex);
    outcome = find(provider);
    *out = outcome != NULL ? *outcome : (struct outcome){ 0 };
    pthread_mutex_unlock(&mutex);
}
