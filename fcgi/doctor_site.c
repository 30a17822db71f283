/*
 * doctor_site: the site as a browser far away meets it: through the web server, and whatever stands in front.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "fcgi/doctor_private.h"

#define CAP_URL 4096
#define BUFFERED_US                                                                                \
    400000 /* ten pieces take 0.9 s; those that arrive closer together were held back */
#define STRANGER      "https://stranger.invalid"
#define SQLITE_HEADER "SQLite format 3"

struct site {
    struct doctor *doctor;
    char url[CAP_URL];          /* without a slash at its end */
    char server[DOCTOR_HEADER]; /* what the web server calls itself */
    bool answers;               /* whoever it is */
};

static void ask(struct site *site, const char *method, const char *path, const char *headers,
                struct doctor_reply *reply)
{
    struct buf url;

    buf_init(&url, 2 * CAP_URL);
    buf_putf(&url, "%s%s", site->url, path);
    doctor_fetch(site->doctor, method, buf_str(&url), headers, reply);
    buf_free(&url);
}

static const char *remedy(const struct site *site, enum doctor_trouble trouble)
{
    return doctor_remedy(site->server, trouble);
}

/* ---- is anybody there? ---- */

static void judge_absence(struct site *site, const struct doctor_reply *reply)
{
    struct doctor *doctor = site->doctor;
    char words[300];

    site->answers = reply->end == RELAY_COMPLETE;
    doctor_reply_words(reply, words, sizeof words);
    if (doctor_tls_remedy(reply->end) != NULL)
        doctor_say(doctor, DOCTOR_FAIL, "site", doctor_tls_remedy(reply->end),
                   "its certificate is not believed (%s)", words);
    else if (reply->end != RELAY_COMPLETE)
        doctor_say(
            doctor, DOCTOR_FAIL, "site",
            "check the address, its DNS entry, whether the web server runs, and the firewall",
            "the web server does not answer (%s)", words);
    else if (reply->status >= 300 && reply->status < 400)
        doctor_say(doctor, DOCTOR_FAIL, "site", "call doctor with the address that it redirects to",
                   "this address redirects (%s)", words);
    else if (reply->status >= 500)
        doctor_say(doctor, DOCTOR_FAIL, "site", remedy(site, TROUBLE_DOWN),
                   "%s answers %s: it does not reach Parley", doctor_server_name(reply->server),
                   words);
    else
        doctor_say(doctor, DOCTOR_FAIL, "site", remedy(site, TROUBLE_PATH),
                   "%s answers %s instead of Parley", doctor_server_name(reply->server), words);
}

static bool is_parley(const struct doctor_reply *reply)
{
    return reply->end == RELAY_COMPLETE && (reply->status == 200 || reply->status == 503) &&
           strstr(buf_str(&reply->body), "healthy\"") != NULL;
}

static bool check_presence(struct site *site)
{
    struct doctor *doctor = site->doctor;
    struct doctor_reply reply;
    bool there;

    ask(site, "GET", "/api/health", "", &reply);
    text_copy(site->server, sizeof site->server, reply.server);
    there = is_parley(&reply);
    if (!there)
        judge_absence(site, &reply);
    else if (reply.status == 200)
        doctor_pass(doctor, "site", "Parley answers behind %s in %lld ms",
                    doctor_server_name(site->server), (long long)(reply.took_us / 1000));
    else
        doctor_say(doctor, DOCTOR_FAIL, "site", "look at what was said about the store above",
                   "Parley is there, but its store does not work");
    if (there)
        doctor_check_clock(doctor, "the site", &reply);
    doctor_reply_free(&reply);
    return there;
}

/* ---- streaming ---- */

static void check_stream(struct site *site)
{
    struct doctor *doctor = site->doctor;
    struct doctor_reply reply;
    int64_t spread;

    ask(site, "GET", "/api/probe?stream", "Accept: text/event-stream\nAccept-Encoding: gzip\n",
        &reply);
    spread = reply.last_us - reply.first_us;
    if (reply.end != RELAY_COMPLETE || reply.status != 200)
        doctor_say(doctor, DOCTOR_FAIL, "streaming", remedy(site, TROUBLE_PATH),
                   "the probe does not come through (HTTP %d, %s)", reply.status,
                   relay_end_name(reply.end));
    else if (spread < BUFFERED_US)
        doctor_say(doctor, DOCTOR_FAIL, "streaming", remedy(site, TROUBLE_BUFFERED),
                   "ten pieces, sent in 900 ms, arrived within %lld ms: something holds them back",
                   (long long)(spread / 1000));
    else if (reply.encoding[0] != '\0' && strcmp(reply.encoding, "identity") != 0)
        doctor_say(doctor, DOCTOR_WARN, "streaming", remedy(site, TROUBLE_COMPRESSED),
                   "pieces arrive one by one, but compressed (%s): some clients get them late",
                   reply.encoding);
    else
        doctor_pass(doctor, "streaming", "pieces arrive as they are sent (first after %lld ms)",
                    (long long)(reply.first_us / 1000));
    doctor_reply_free(&reply);
}

/* ---- what arrives at Parley ---- */

static bool is_local(const char *address)
{
    return text_starts_with(address, "127.") || strcmp(address, "::1") == 0 ||
           text_starts_with(address, "unix:") || address[0] == '\0';
}

static bool is_local_site(const char *url)
{
    return strstr(url, "://127.") != NULL || strstr(url, "://localhost") != NULL ||
           strstr(url, "://[::1]") != NULL;
}

static void judge_address(struct site *site, const char *address, bool forwarded, bool believed)
{
    struct doctor *doctor = site->doctor;
    char text[200];

    if (forwarded && !believed) {
        snprintf(
            text, sizeof text,
            "set TRUSTED_PROXIES=%.64s, if that is a proxy of yours, so that its X-Forwarded-For "
            "counts",
            address[0] == '\0' || text_starts_with(address, "unix:") ? "unix" : address);
        doctor_say(doctor, DOCTOR_FAIL, "client address", text,
                   "a proxy is in front, and all visitors look like %s to Parley", address);
    } else if (is_local(address) && !is_local_site(site->url)) {
        doctor_say(doctor, DOCTOR_WARN, "client address",
                   "let the proxy in front send X-Forwarded-For, and name it in TRUSTED_PROXIES",
                   "visitors from outside look like %s", address[0] ? address : "nobody");
    } else {
        doctor_pass(doctor, "client address", "Parley sees %s%s", address,
                    believed ? ", as a trusted proxy tells" : "");
    }
}

/* A forwarded header as a proxy would send it is no help here: only what really comes counts. */
static void check_arrivals(struct site *site)
{
    struct doctor *doctor = site->doctor;
    struct json_object *facts = NULL;
    struct doctor_reply reply;
    struct fault fault;
    bool authorization = false, forwarded = false, believed = false;
    const char *address;

    ask(site, "GET", "/api/probe", "", &reply);
    if (reply.status == 200 &&
        json_parse(buf_str(&reply.body), reply.body.len, &facts, &fault) == RESULT_OK) {
        address = json_string_or_null(facts, "address");
        json_get_bool(facts, "forwarded", &forwarded);
        json_get_bool(facts, "believed", &believed);
        judge_address(site, address != NULL ? address : "", forwarded, believed);
    }
    json_object_put(facts);
    doctor_reply_free(&reply);

    facts = NULL;
    ask(site, "GET", "/api/probe", "Authorization: Bearer parley-doctor\n", &reply);
    if (reply.status == 200 &&
        json_parse(buf_str(&reply.body), reply.body.len, &facts, &fault) == RESULT_OK)
        json_get_bool(facts, "authorization", &authorization);
    /* A key that nobody knows is refused: then it has arrived. */
    if (authorization || (reply.status == 401 && reply.body.len > 0 && reply.body.data[0] == '{'))
        doctor_pass(doctor, "API keys", "the Authorization header arrives");
    else
        doctor_say(doctor, DOCTOR_FAIL, "API keys", remedy(site, TROUBLE_AUTHORIZATION),
                   "the Authorization header does not arrive");
    json_object_put(facts);
    doctor_reply_free(&reply);
}

static void check_methods(struct site *site)
{
    struct doctor_reply reply;

    ask(site, "OPTIONS", "/api/health", "", &reply);
    if (reply.end == RELAY_COMPLETE && reply.status < 300)
        doctor_pass(site->doctor, "methods", "OPTIONS arrives");
    else
        doctor_say(site->doctor, DOCTOR_FAIL, "methods", remedy(site, TROUBLE_METHODS),
                   "OPTIONS is answered with HTTP %d", reply.status);
    doctor_reply_free(&reply);
}

/* ---- what must not be served ---- */

static bool looks_like_settings(const struct buf *body)
{
    static const char *const names[] = { "OPENAI_API_KEY=", "ANTHROPIC_API_KEY=", "DATABASE_URL=",
                                         "SECRET_KEY=",     "OPENAI_API_BASE=",   "BRAND_NAME=" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strstr(buf_str(body), names[i]) != NULL)
            return true;
    }
    return false;
}

static bool looks_like_database(const struct buf *body)
{
    return body->len > sizeof SQLITE_HEADER && strcmp(body->data, SQLITE_HEADER) == 0;
}

/* Is there something at `base`/`path` that must not be? */
static bool is_served(struct site *site, const char *base, const char *path)
{
    struct doctor_reply reply;
    struct buf url;
    bool served;

    buf_init(&url, 2 * CAP_URL);
    buf_putf(&url, "%s%s", base, path);
    doctor_fetch(site->doctor, "GET", buf_str(&url), "", &reply);
    served = reply.status == 200 &&
             (looks_like_settings(&reply.body) || looks_like_database(&reply.body));
    if (served)
        doctor_say(site->doctor, DOCTOR_FAIL, "private files", remedy(site, TROUBLE_FILES),
                   "everybody can read %s", buf_str(&url));
    doctor_reply_free(&reply);
    buf_free(&url);
    return served;
}

/* "https://host:port" of the site. */
static void root_of(const char *url, char out[CAP_URL])
{
    char *slash;

    text_copy(out, CAP_URL, url);
    slash = strchr(strstr(out, "://") + 3, '/');
    if (slash != NULL)
        *slash = '\0';
}

static void check_private_files(struct site *site)
{
    const char *database = strrchr(site->doctor->config->database_url, '/');
    char root[CAP_URL], parent[CAP_URL], name[300] = "/parley.db", below[320];
    const char *bases[] = { site->url, parent, root };
    bool served = false;
    char *slash;

    root_of(site->url, root);
    text_copy(parent, sizeof parent, site->url);
    slash = strrchr(parent, '/');
    if (strlen(parent) > strlen(root))
        *slash = '\0';
    if (database != NULL)
        text_copy(name, sizeof name, database);
    snprintf(below, sizeof below, "/var%s", name);
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        const char *const paths[] = { "/.env", name, below };

        if (i > 0 && strcmp(bases[i], bases[i - 1]) == 0)
            continue;
        for (size_t j = 0; j < sizeof(paths) / sizeof(paths[0]); j++)
            served |= is_served(site, bases[i], paths[j]);
    }
    if (!served)
        doctor_pass(site->doctor, "private files", "neither .env nor the database is served");
}

/* ---- CORS ---- */

static void check_listed_origin(struct site *site, const char *origin)
{
    struct doctor_reply reply;
    struct buf header;

    buf_init(&header, CAP_URL);
    buf_putf(&header, "Origin: %s\n", origin);
    ask(site, "GET", "/api/health", buf_str(&header), &reply);
    if (strcmp(reply.allow_origin, origin) == 0)
        doctor_pass(site->doctor, "CORS", "%s may use it", origin);
    else
        doctor_say(site->doctor, DOCTOR_FAIL, "CORS",
                   "reload Parley (kill -HUP) if CORS_ORIGIN is new; else let the web server pass "
                   "Origin, and Access-Control headers, through",
                   "%s is in CORS_ORIGIN, but gets \"%s\"", origin, reply.allow_origin);
    doctor_reply_free(&reply);
    buf_free(&header);
}

static void check_cors(struct site *site)
{
    const char *list = site->doctor->config->cors_origin;
    bool anybody = strchr(list, '*') != NULL;
    struct doctor_reply page, api;
    char first[256];

    ask(site, "GET", "/", "Origin: " STRANGER "\n", &page);
    ask(site, "GET", "/api/health", "Origin: " STRANGER "\n", &api);
    if (page.allow_origin[0] != '\0' || (api.allow_origin[0] != '\0' && !anybody))
        doctor_say(site->doctor, DOCTOR_FAIL, "CORS", remedy(site, TROUBLE_CORS),
                   "a strange site gets Access-Control-Allow-Origin: %s, which Parley did not send",
                   page.allow_origin[0] != '\0' ? page.allow_origin : api.allow_origin);
    else if (anybody)
        doctor_say(site->doctor, DOCTOR_WARN, "CORS", "list the sites in CORS_ORIGIN instead of *",
                   "every site in the world may use this service from its visitors' browsers");
    else
        doctor_pass(site->doctor, "CORS", "strange sites are refused");
    doctor_reply_free(&page);
    doctor_reply_free(&api);
    list += strspn(list, ", ");
    snprintf(first, sizeof first, "%.*s", (int)strcspn(list, ", "), list);
    if (first[0] != '\0' && !anybody)
        check_listed_origin(site, first);
}

void doctor_site(struct doctor *doctor, const char *url)
{
    struct site site = { .doctor = doctor };
    size_t len;

    if (!text_copy(site.url, sizeof site.url, url)) {
        doctor_say(doctor, DOCTOR_FAIL, "site", "give a shorter one", "this address is too long");
        return;
    }
    for (len = strlen(site.url); len > 0 && site.url[len - 1] == '/'; len--)
        site.url[len - 1] = '\0';
    if (check_presence(&site)) {
        check_stream(&site);
        check_arrivals(&site);
        check_methods(&site);
        check_cors(&site);
        check_private_files(&site);
    } else if (site.answers) {
        check_private_files(&site);
    }
}
