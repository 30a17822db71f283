/*
 * round_request: what is sent upstream for a round: the body of the Responses API, with the items as they are, or a
 * provider's own request. Pure; any thread.
 */
#include <string.h>

#include "common/base/json.h"
#include "common/config.h"
#include "common/providers/wire.h"
#include "common/responses/round.h"
#include "common/responses/turn_call.h"
#include "common/tools/tools.h"

void round_plan_offer(struct round_plan *plan)
{
    size_t count;
    const struct tool *const *tools = tools_list(&count);

    plan->offered_count = count < ROUND_TOOLS_MAX ? count : ROUND_TOOLS_MAX;
    for (size_t i = 0; i < plan->offered_count; i++)
        plan->offered[i] =
            (struct chat_tool){ tools[i]->name, tools[i]->description, tools[i]->parameters };
}

void turn_call_fill(const struct round_plan *plan, const struct item_history *history,
                    struct provider_call *call)
{
    *call = (struct provider_call){
        .provider = plan->provider,
        .model = plan->model,
        .system = plan->instructions,
        .messages = history->messages,
        .message_count = history->count,
        .uses = history->uses,
        .tools = plan->offered,
        .tool_count = plan->offered_count,
        .no_calls = plan->no_calls,
    };
}

static void put_native(struct provider_request *out, const struct round_plan *plan,
                       const char *items, size_t len)
{
    const struct config *config = plan->config;
    const struct provider *openai = plan->payer;
    struct buf *body = &out->body;

    wire_put_url(&out->url, openai != NULL ? openai->base_url : config->openai_api_base,
                 "/responses");
    wire_put_headers(&out->headers);
    if (openai != NULL)
        wire_put_key(&out->headers, openai, "bearer");
    if (*config->openai_org_id != '\0')
        buf_putf(&out->headers, "OpenAI-Organization: %s\n", config->openai_org_id);
    if (*config->openai_project_id != '\0')
        buf_putf(&out->headers, "OpenAI-Project: %s\n", config->openai_project_id);
    buf_putc(body, '{');
    json_put_member(body, "model", plan->model);
    json_put_member_raw(body, "input", "[");
    buf_put(body, items, len);
    buf_putc(body, ']');
    json_put_member(body, "instructions", plan->instructions);
    json_put_member_raw(body, "tools", plan->tools);
    if (plan->no_calls)
        json_put_member(body, "tool_choice", "none");
    json_put_member_bool(body, "stream", true);
    json_put_member_bool(body, "parallel_tool_calls", false);
    buf_putc(body, '}');
}

static enum result encode_provider(const struct round_plan *plan, const char *items, size_t len,
                                   struct round_request *out, struct fault *fault)
{
    struct provider_call call;
    struct buf array;
    enum result result;

    buf_init(&array, len + 2);
    buf_putc(&array, '[');
    buf_put(&array, items, len);
    buf_putc(&array, ']');
    result = item_history_read(buf_str(&array), array.len, &out->history, fault);
    buf_free(&array);
    if (result != RESULT_OK || plan->provider->ops->encode == NULL)
        return result;
    turn_call_fill(plan, &out->history, &call);
    return plan->provider->ops->encode(&call, &out->encoded, fault);
}

enum result round_prepare(const struct round_plan *plan, const char *items, size_t len,
                          struct round_request *out, struct fault *fault)
{
    enum result result;

    memset(out, 0, sizeof *out);
    provider_request_init(&out->encoded);
    if (plan->provider != NULL) {
        result = encode_provider(plan, items, len, out, fault);
    } else {
        put_native(&out->encoded, plan, items, len);
        result = wire_check(&out->encoded, fault);
    }
    if (result != RESULT_OK)
        round_request_free(out);
    return result;
}

void round_request_free(struct round_request *request)
{
    provider_request_free(&request->encoded);
    item_history_free(&request->history);
}
