/*
 * answers_ground: what an answer has to do with memory and the site's documents: quoting them when no provider answers,
 * and learning from a turn that went well. answers_prepare.c puts them in front of the question.
 *
 * Loop thread.
 */
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/log.h"
#include "common/memory/memory.h"

const char *answer_provider_name(const struct answer *answer)
{
    if (answer->from_knowledge)
        return ANSWERS_KNOWLEDGE;
    return answer->provider != NULL ? answer->provider->name : "";
}

void ground_take(struct answer *answer, struct answer_start *start)
{
    answer->sources_json = start->sources_json;
    answer->offline = start->offline;
    answer->learn = start->learn;
    start->sources_json = start->offline = NULL;
    start->learn = NULL;
}

void ground_free(struct answer *answer)
{
    free(answer->sources_json);
    free(answer->offline);
    memory_turn_free(answer->learn);
}

bool ground_quote(struct answer *answer)
{
    char *model = answer->offline != NULL ? strdup(ANSWERS_KNOWLEDGE) : NULL;

    if (model == NULL || answer->text.len > 0 ||
        !answer_grow(answer, answer->offline, strlen(answer->offline))) {
        free(model);
        return false;
    }
    log_warn("answered_from_knowledge", LOG_STR("request_id", answer->request_id),
             LOG_STR("provider", answer_provider_name(answer)),
             LOG_STR("code", answer->failed_code));
    answer->from_knowledge = true;
    free(answer->model);
    answer->model = model;
    return true;
}

void ground_instead(struct answer *answer)
{
    struct fault fault;

    fault_set(&fault, RESULT_LIMITED, "budget_exhausted", NULL,
              "The budget of tokens for today is used up.");
    failover_give_up(answer, &fault);
}

void ground_unlearn(struct answer *answer)
{
    memory_turn_free(answer->learn);
    answer->learn = NULL;
}

void ground_learn(const struct answer *answer)
{
    if (answer->learn != NULL && answer->status == TURN_COMPLETE && !answer->cached &&
        answer->finish != FINISH_FALLBACK)
        memory_learn(answer->answers->options.memory, answer->learn, buf_str(&answer->text),
                     answer->message_id);
}
