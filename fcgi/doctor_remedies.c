/*
 * doctor_remedies: what to write into which file, per web server. Plain data, from measurements with each of
 * them; docs/DEPLOYMENT.md has whole configurations.
 */
#include <string.h>
#include <strings.h>

#include "fcgi/doctor_private.h"

enum server { SERVER_ANY, SERVER_NGINX, SERVER_LIGHTTPD, SERVER_APACHE, SERVER_CADDY, SERVERS };

static const struct {
    const char *prefix; /* of the Server header */
    const char *name;
} servers[SERVERS] = {
    [SERVER_ANY] = { "", "an unknown web server" }, [SERVER_NGINX] = { "nginx", "nginx" },
    [SERVER_LIGHTTPD] = { "lighttpd", "lighttpd" }, [SERVER_APACHE] = { "Apache", "Apache" },
    [SERVER_CADDY] = { "Caddy", "Caddy" },
};

static const char *const remedies[TROUBLES][SERVERS] = {
    [TROUBLE_DOWN] = {
        [SERVER_ANY] = "start Parley, and give the web server the address that LISTEN names",
        [SERVER_NGINX] = "nginx: fastcgi_pass must name the address in LISTEN (unix:PATH or HOST:PORT); "
                         "the socket's group must be nginx's (SOCKET_OWNER=:www-data); its error.log "
                         "says which of the two it is",
        [SERVER_LIGHTTPD] = "lighttpd: \"socket\" => PATH (or \"host\" and \"port\") must be the address in "
                            "LISTEN; the socket's group must be lighttpd's (SOCKET_OWNER=:www-data)",
        [SERVER_APACHE] = "Apache: ProxyPass \"/\" \"unix:PATH|fcgi://app/\" must name the socket in LISTEN; "
                          "its group must be Apache's (SOCKET_OWNER=:www-data)",
        [SERVER_CADDY] = "Caddy: reverse_proxy unix/PATH { transport fastcgi } must name the socket in "
                         "LISTEN; its group must be Caddy's (SOCKET_OWNER=:caddy)",
    },
    [TROUBLE_PATH] = {
        [SERVER_ANY] = "hand all paths below this address to Parley, and set BASE_PATH if the web "
                       "server leaves a prefix in the path",
        [SERVER_NGINX] = "nginx: location / { include fastcgi_params; fastcgi_pass ...; }, and BASE_PATH "
                         "for a location below a path",
        [SERVER_LIGHTTPD] = "lighttpd: fastcgi.server = ( \"/\" => (( ..., \"check-local\" => \"disable\", "
                            "\"fix-root-scriptname\" => \"enable\" )) )",
        [SERVER_APACHE] = "Apache: ProxyPass \"/\" \"unix:PATH|fcgi://app/\" (a2enmod proxy_fcgi), and "
                          "BASE_PATH when it stands below a path",
        [SERVER_CADDY] = "Caddy: reverse_proxy without a file_server in front of it, and BASE_PATH below "
                         "a path",
    },
    [TROUBLE_BUFFERED] = {
        [SERVER_ANY] = "switch off response buffering for this path in the web server, and in any "
                       "proxy or CDN in front of it",
        [SERVER_NGINX] = "nginx: remove fastcgi_ignore_headers X-Accel-Buffering, or write "
                         "fastcgi_buffering off; into the location",
        [SERVER_LIGHTTPD] = "lighttpd: server.stream-response-body = 1",
        [SERVER_APACHE] = "Apache: mod_proxy_fcgi: ProxyPass ... flushpackets=on; mod_fcgid: "
                          "FcgidOutputBufferSize 0; mod_cgid: no DEFLATE for text/event-stream",
        [SERVER_CADDY] = "Caddy: keep encode away from this path (@plain not path /api/*; encode @plain "
                         "gzip)",
    },
    [TROUBLE_COMPRESSED] = {
        [SERVER_ANY] = "leave text/event-stream out of every list of types to compress",
        [SERVER_NGINX] = "nginx: leave text/event-stream out of gzip_types",
        [SERVER_LIGHTTPD] = "lighttpd: leave text/event-stream out of deflate.mimetypes",
        [SERVER_APACHE] = "Apache: leave text/event-stream out of AddOutputFilterByType DEFLATE, or "
                          "SetEnv no-gzip 1 for this path",
        [SERVER_CADDY] = "Caddy: @plain not path /api/*; encode @plain gzip",
    },
    [TROUBLE_AUTHORIZATION] = {
        [SERVER_ANY] = "pass the Authorization header on to FastCGI as HTTP_AUTHORIZATION",
        [SERVER_NGINX] = "nginx: remove the fastcgi_param HTTP_AUTHORIZATION that empties it, or write "
                         "fastcgi_param HTTP_AUTHORIZATION $http_authorization; before the include",
        [SERVER_LIGHTTPD] = "lighttpd: remove the rule of mod_setenv or mod_auth that takes it away",
        [SERVER_APACHE] = "Apache: CGIPassAuth On, in the <Location> or the .htaccess",
        [SERVER_CADDY] = "Caddy: remove header_up -Authorization",
    },
    [TROUBLE_FILES] = {
        [SERVER_ANY] = "move .env and the database out of the web root (PARLEY_ENV, DATABASE_URL), and "
                       "change every key that was in them",
        [SERVER_NGINX] = "nginx: location ~ /\\. { deny all; } and a database outside of root; then change "
                         "every key that was in the file",
        [SERVER_LIGHTTPD] = "lighttpd: $HTTP[\"url\"] =~ \"/\\.|\\.db\" { url.access-deny = (\"\") } and a "
                            "database outside of server.document-root; then change every key that was "
                            "in the file",
        [SERVER_APACHE] = "Apache: <FilesMatch \"^\\.|\\.db\"> Require all denied </FilesMatch> and a "
                          "database outside of DocumentRoot; then change every key that was in the file",
        [SERVER_CADDY] = "Caddy: respond /.* 404 before file_server, and a database outside of root; then "
                         "change every key that was in the file",
    },
    [TROUBLE_CORS] = {
        [SERVER_ANY] = "remove the web server's own Access-Control headers: Parley sends them, for the "
                       "sites in CORS_ORIGIN",
        [SERVER_NGINX] = "nginx: remove add_header Access-Control-Allow-Origin; CORS_ORIGIN lists the sites",
        [SERVER_LIGHTTPD] = "lighttpd: remove Access-Control-Allow-Origin from "
                            "setenv.add-response-header; CORS_ORIGIN lists the sites",
        [SERVER_APACHE] = "Apache: remove Header set Access-Control-Allow-Origin; CORS_ORIGIN lists the "
                          "sites",
        [SERVER_CADDY] = "Caddy: remove header Access-Control-Allow-Origin; CORS_ORIGIN lists the sites",
    },
    [TROUBLE_METHODS] = {
        [SERVER_ANY] = "let all methods through to Parley",
        [SERVER_NGINX] = "nginx: remove limit_except and if ($request_method ...) from the location",
        [SERVER_LIGHTTPD] = "lighttpd: remove the rules on $HTTP[\"request-method\"]",
        [SERVER_APACHE] = "Apache: remove <Limit>, <LimitExcept> and AllowMethods from the location",
        [SERVER_CADDY] = "Caddy: remove the method matcher in front of reverse_proxy",
    },
};

static enum server find(const char *header)
{
    for (int i = SERVER_ANY + 1; i < SERVERS; i++) {
        if (strncasecmp(header, servers[i].prefix, strlen(servers[i].prefix)) == 0)
            return (enum server)i;
    }
    return SERVER_ANY;
}

const char *doctor_remedy(const char *server, enum doctor_trouble trouble)
{
    return remedies[trouble][find(server)];
}

const char *doctor_server_name(const char *server)
{
    return servers[find(server)].name;
}
