/*
 * endpoints: the handlers that the table in fcgi/http/routes.c names. Each runs on a request thread after
 * the gate, and must reply or set exchange->on_loop (fcgi/http/router.h).
 */
#ifndef PARLEY_ENDPOINTS_ENDPOINTS_H
#define PARLEY_ENDPOINTS_ENDPOINTS_H

struct exchange;

/* chat.c */
void endpoint_chat(struct exchange *exchange);
void endpoint_chat_stream(struct exchange *exchange);
void endpoint_chat_simple(struct exchange *exchange);

/* noscript.c */
void endpoint_chat_form(struct exchange *exchange); /* POST /chat, a page's form */

/* answers_api.c */
void endpoint_answer_stream(struct exchange *exchange); /* GET /api/chat/stream/{message_id} */
void endpoint_answer_poll(struct exchange *exchange);   /* GET /api/messages/{message_id} */
void endpoint_answer_stop(struct exchange *exchange);   /* POST /api/chat/stop */

/* again.c */
void endpoint_regenerate(struct exchange *exchange); /* POST /api/conversations/{id}/regenerate */
void endpoint_continue(struct exchange *exchange);   /* POST /api/messages/{message_id}/continue */

/* conversations.c */
void endpoint_conversations(struct exchange *exchange); /* the asker's own, newest first */
void endpoint_conversation(struct exchange *exchange);  /* GET /api/conversations/{id} */
void endpoint_conversation_rename(struct exchange *exchange);
void endpoint_conversation_erase(struct exchange *exchange);
void endpoint_conversation_export(struct exchange *exchange);
void endpoint_session_erase(struct exchange *exchange); /* DELETE /api/sessions/{sessionId} */

/* feedback.c */
void endpoint_feedback(struct exchange *exchange); /* POST /api/messages/{message_id}/feedback */

/* history.c: /api/chat/history/{user_id} */
void endpoint_history(struct exchange *exchange);
void endpoint_history_erase(struct exchange *exchange);

/* files.c */
void endpoint_file_put(struct exchange *exchange); /* POST /api/files */
void endpoint_file_get(struct exchange *exchange); /* GET /api/files/{id} */

/* models.c */
void endpoint_models(struct exchange *exchange);

/* rate_limit.c */
void endpoint_rate_limit(struct exchange *exchange); /* GET /api/rate-limit */

/* sessions.c */
void endpoint_create_session(struct exchange *exchange);

/* visitor.c */
void endpoint_whoami(struct exchange *exchange);
void endpoint_visitor_delete(struct exchange *exchange);

/* memory.c */
void endpoint_memory_add(struct exchange *exchange);    /* POST /api/memory */
void endpoint_memory_list(struct exchange *exchange);   /* GET /api/memory/{user_id} */
void endpoint_memory_clear(struct exchange *exchange);  /* DELETE the same */
void endpoint_memory_own(struct exchange *exchange);    /* GET /api/memory */
void endpoint_memory_forget(struct exchange *exchange); /* DELETE the same */
void endpoint_memory_delete(struct exchange *exchange); /* DELETE /api/memory/fact/{memory_id} */

/* health.c */
void endpoint_api_health(struct exchange *exchange);
void endpoint_health(struct exchange *exchange);

/* health_detailed.c */
void endpoint_health_detailed(struct exchange *exchange);

/* status.c */
void endpoint_status(struct exchange *exchange);
void endpoint_metrics(struct exchange *exchange);

/* probe.c */
void endpoint_probe(struct exchange *exchange);

/* site_config.c */
void endpoint_config(struct exchange *exchange);

/* pages.c */
void endpoint_page(struct exchange *exchange);
void endpoint_docs(struct exchange *exchange); /* the documentation of the API, as a page */
void endpoint_widget_demo(struct exchange *exchange);
void endpoint_asset(struct exchange *exchange);
void endpoint_file(struct exchange *exchange); /* beside the page, named as its path */
void endpoint_favicon(struct exchange *exchange);

/* turn_response.c */
void endpoint_turn_response(struct exchange *exchange);

/* vector_stores.c, upload_file.c, container_files.c */
void endpoint_create_store(struct exchange *exchange);
void endpoint_retrieve_store(struct exchange *exchange);
void endpoint_list_files(struct exchange *exchange);
void endpoint_add_file(struct exchange *exchange);
void endpoint_upload_file(struct exchange *exchange);
void endpoint_container_file(struct exchange *exchange);

/* google.c */
void endpoint_google_status(struct exchange *exchange);
void endpoint_google_auth(struct exchange *exchange);
void endpoint_google_callback(struct exchange *exchange);
void endpoint_google_disconnect(struct exchange *exchange);

/* functions.c */
void endpoint_get_weather(struct exchange *exchange);
void endpoint_get_joke(struct exchange *exchange);

#endif
