/*
 * relay_shun: see relay_shun.h. Looking a name up beforehand would not do: whoever answers for it may say something else a
 * moment later. So curl asks here before it opens a socket, with the address that it is about to connect to.
 *
 * Loop thread.
 */
#include "common/relay_shun.h"

#include <curl/curl.h>
#include <netdb.h>
#include <sys/socket.h>

#include "common/base/net.h"

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct relay_shun *shun = ctx;
    char text[NET_TEXT_SIZE];

    (void)purpose;
    if (getnameinfo(&to->addr, to->addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0 ||
        net_list_has(shun->networks, text)) {
        shun->shied = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

void relay_shun_watch(void *easy, struct relay_shun *shun)
{
    if (shun->networks == NULL)
        return;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, shun);
    /* A connection of its own: one that is kept may have been opened for somebody who may go there. */
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
}
