/*
 * routes: the table of every address that the program has. Adding an endpoint: one file in fcgi/endpoints,
 * one line in endpoints.h, one row here. This is the only file of http that looks up to the endpoints, because
 * a table has to name what it points to.
 *
 * A literal path stands before one whose {name} would match it too.
 */
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/router.h"

const struct route routes[] = {
    { HTTP_POST, "/api/chat", ROUTE_JSON | ROUTE_STREAM | ROUTE_OWNER, endpoint_chat },
    { HTTP_POST, "/api/chat/stream", ROUTE_JSON | ROUTE_STREAM | ROUTE_OWNER,
      endpoint_chat_stream },
    { HTTP_POST, "/api/chat/simple", ROUTE_JSON | ROUTE_STREAM | ROUTE_OWNER,
      endpoint_chat_simple },
    { HTTP_GET, "/api/chat/stream/{message_id}", ROUTE_STREAM, endpoint_answer_stream },
    { HTTP_GET, "/api/messages/{message_id}", ROUTE_STREAM, endpoint_answer_poll },
    { HTTP_POST, "/api/chat/stop", ROUTE_JSON, endpoint_answer_stop },
    { HTTP_GET, "/api/chat/history/{user_id}", ROUTE_TAIL, endpoint_history },
    { HTTP_DELETE, "/api/chat/history/{user_id}", ROUTE_TAIL, endpoint_history_erase },
    { HTTP_POST, "/api/messages/{message_id}/feedback", ROUTE_JSON, endpoint_feedback },
    { HTTP_POST, "/api/messages/{message_id}/continue", ROUTE_JSON | ROUTE_STREAM,
      endpoint_continue },
    { HTTP_GET, "/api/conversations", 0, endpoint_conversations },
    { HTTP_GET, "/api/conversations/{id}", 0, endpoint_conversation },
    { HTTP_PATCH, "/api/conversations/{id}", ROUTE_JSON, endpoint_conversation_rename },
    { HTTP_DELETE, "/api/conversations/{id}", 0, endpoint_conversation_erase },
    { HTTP_GET, "/api/conversations/{id}/export", 0, endpoint_conversation_export },
    { HTTP_POST, "/api/conversations/{id}/regenerate", ROUTE_JSON | ROUTE_STREAM,
      endpoint_regenerate },
    { HTTP_DELETE, "/api/sessions/{sessionId}", 0, endpoint_session_erase },
    { HTTP_GET, "/api/models", 0, endpoint_models },
    { HTTP_POST, "/api/create-session", ROUTE_JSON | ROUTE_OWNER, endpoint_create_session },
    { HTTP_GET, "/api/whoami", 0, endpoint_whoami },
    { HTTP_DELETE, "/api/visitor", 0, endpoint_visitor_delete },
    { HTTP_GET, "/api/health", ROUTE_PROBE, endpoint_api_health },
    { HTTP_GET, "/api/health/detailed", ROUTE_PROBE, endpoint_health_detailed },
    { HTTP_GET, "/health", ROUTE_PROBE, endpoint_health },
    { HTTP_GET, "/api/config", 0, endpoint_config },
    { HTTP_POST, "/api/turn_response", ROUTE_STREAM | ROUTE_OWNER | ROUTE_LONG,
      endpoint_turn_response },
    { HTTP_POST, "/api/vector_stores/create_store", 0, endpoint_create_store },
    { HTTP_GET, "/api/vector_stores/retrieve_store", 0, endpoint_retrieve_store },
    { HTTP_GET, "/api/vector_stores/list_files", 0, endpoint_list_files },
    { HTTP_POST, "/api/vector_stores/add_file", 0, endpoint_add_file },
    { HTTP_POST, "/api/vector_stores/upload_file", ROUTE_UPLOAD, endpoint_upload_file },
    { HTTP_GET, "/api/container_files/content", 0, endpoint_container_file },
    { HTTP_GET, "/api/google/status", 0, endpoint_google_status },
    { HTTP_GET, "/api/google/auth", 0, endpoint_google_auth },
    { HTTP_GET, "/api/google/callback", ROUTE_OWNER, endpoint_google_callback },
    { HTTP_POST, "/api/google/disconnect", 0, endpoint_google_disconnect },
    { HTTP_GET, "/api/functions/get_weather", 0, endpoint_get_weather },
    { HTTP_GET, "/api/functions/get_joke", 0, endpoint_get_joke },
    { HTTP_GET, "/", ROUTE_PAGE, endpoint_page },
    { HTTP_GET, "/chat", ROUTE_PAGE, endpoint_page },
    { HTTP_GET, "/docs", ROUTE_PAGE, endpoint_docs },
    { HTTP_GET, "/openapi.json", 0, endpoint_file },
    { HTTP_GET, "/assets/{name}", ROUTE_PAGE, endpoint_asset },
    { HTTP_GET, "/sw.js", ROUTE_PAGE, endpoint_file },
    { HTTP_GET, "/favicon.ico", ROUTE_PAGE, endpoint_favicon },
};

const size_t routes_count = sizeof(routes) / sizeof(routes[0]);
