/*
 * doctor_providers: is each provider reachable, is its certificate believed, is the key right, is the model
 * there? Asked by GET .../models, which costs nothing.
 */
#include <json-c/json.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/providers/provider.h"
#include "fcgi/doctor_private.h"

/* The address of the list of models, and the headers that carry the key: those of a question. */
static bool models_request(const struct provider *provider, struct provider_request *out,
                           struct buf *url)
{
    static const char *const ends[] = { "/chat/completions", "/responses", "/messages" };
    static char hello[] = "hello";
    struct chat_message question = { .role = CHAT_USER, .content = hello, .len = sizeof hello - 1 };
    struct provider_call call = { .provider = provider,
                                  .model = provider->model,
                                  .system = "",
                                  .messages = &question,
                                  .message_count = 1 };
    struct fault fault;

    if (provider->ops->encode(&call, out, &fault) != RESULT_OK)
        return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t len = strlen(ends[i]);

        if (out->url.len > len && strcmp(out->url.data + out->url.len - len, ends[i]) == 0) {
            buf_put(url, out->url.data, out->url.len - len);
            return buf_puts(url, "/models");
        }
    }
    return buf_puts(url, provider->base_url);
}

static bool lists(struct json_object *list, const char *model)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *id = json_string_or_null(json_object_array_get_idx(list, i), "id");

        if (id != NULL && strcmp(id, model) == 0)
            return true;
    }
    return false;
}

static void check_model(struct doctor *doctor, const struct provider *provider, const char *what,
                        const struct doctor_reply *reply)
{
    struct json_object *body = NULL, *list = NULL;
    struct fault fault;

    if (json_parse(buf_str(&reply->body), reply->body.len, &body, &fault) == RESULT_OK &&
        json_object_is_type(body, json_type_object) &&
        json_get_array(body, "data", &list) == JSON_FOUND && json_object_array_length(list) > 0 &&
        !lists(list, provider->model))
        doctor_say(doctor, DOCTOR_WARN, what, "look at the provider's list of models for the name",
                   "the model %s is not among those that it lists", provider->model);
    json_object_put(body);
}

static void judge_failure(struct doctor *doctor, const char *what, const struct doctor_reply *reply)
{
    char words[300];

    doctor_reply_words(reply, words, sizeof words);
    if (doctor_tls_remedy(reply->end) != NULL)
        doctor_say(doctor, DOCTOR_FAIL, what, doctor_tls_remedy(reply->end),
                   "its certificate is not believed (%s)", words);
    else if (reply->end == RELAY_UNREACHABLE)
        doctor_say(
            doctor, DOCTOR_FAIL, what,
            "check the base URL, the name server in /etc/resolv.conf, and whether a firewall "
            "(or the host's egress rules) lets this machine out to it",
            "cannot be reached (%s)", words);
    else
        doctor_say(doctor, DOCTOR_FAIL, what,
                   "check the base URL; behind a proxy set HTTPS_PROXY for Parley",
                   "does not answer properly (%s)", words);
}

static void judge_status(struct doctor *doctor, const struct provider *provider, const char *what,
                         const struct doctor_reply *reply)
{
    int status = reply->status;

    if (status == 401 || status == 403)
        doctor_say(
            doctor, DOCTOR_FAIL, what,
            "put a valid key into the settings (OPENAI_API_KEY, ANTHROPIC_API_KEY ...), then "
            "kill -HUP Parley",
            "refuses %s (HTTP %d)",
            provider->api_key != NULL && provider->api_key[0] ? "the key" : "us: there is no key",
            status);
    else if (status == 404 || status == 405)
        doctor_say(
            doctor, DOCTOR_WARN, what,
            "ask it one question through the chat page; if that fails, the base URL is wrong (most "
            "end with /v1)",
            "is reachable, but lists no models (HTTP %d)", status);
    else if (status >= 300)
        doctor_say(doctor, DOCTOR_WARN, what, "try again later; look at the provider's status page",
                   "is reachable, but answers HTTP %d", status);
    else
        doctor_pass(doctor, what, "reachable in %lld ms, and the key is accepted",
                    (long long)(reply->took_us / 1000));
}

static void check(struct doctor *doctor, const struct provider *provider)
{
    struct provider_request request;
    struct doctor_reply reply;
    struct buf url, what;

    provider_request_init(&request);
    buf_init(&url, 4096);
    buf_init(&what, 128);
    buf_putf(&what, "provider %s", provider->name);
    if (models_request(provider, &request, &url)) {
        doctor_fetch(doctor, "GET", buf_str(&url), buf_str(&request.headers), &reply);
        if (reply.end != RELAY_COMPLETE) {
            judge_failure(doctor, buf_str(&what), &reply);
        } else {
            judge_status(doctor, provider, buf_str(&what), &reply);
            doctor_check_clock(doctor, buf_str(&what), &reply);
        }
        if (reply.end == RELAY_COMPLETE && reply.status == 200)
            check_model(doctor, provider, buf_str(&what), &reply);
        doctor_reply_free(&reply);
    }
    provider_request_free(&request);
    buf_free(&url);
    buf_free(&what);
}

void doctor_providers(struct doctor *doctor)
{
    struct providers providers = { 0 };
    struct fault fault = { 0 };
    bool real = false;

    if (providers_load(doctor->config, &providers, &fault) != RESULT_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "providers", "correct the setting that it names", "%s",
                   fault.text);
        return;
    }
    for (size_t i = 0; i < providers.count; i++) {
        if (providers.list[i].ops->encode == NULL)
            continue;
        real = true;
        check(doctor, &providers.list[i]);
    }
    if (!real)
        doctor_say(doctor, DOCTOR_WARN, "providers",
                   "set OPENAI_API_KEY, ANTHROPIC_API_KEY, or OPENAI_API_BASE for a local model",
                   "there is no key: the demo answers, which knows nothing");
    providers_free(&providers);
}
