/*
 * transfer.c -- see transfer.h. The only file that knows libcurl.
 */
#include "edge/transfer.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "edge/address.h"

enum { ANSWER_BYTES_MAX = 1 << 20 };

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

struct transfer {
    CURL *curl; /* kept, for its connection */
    size_t answer_bytes;
    bool is_refused; /* the address */
};

static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;

    (void)data;
    transfer->answer_bytes += size * count;
    return transfer->answer_bytes <= ANSWER_BYTES_MAX ? size * count : 0;
}

/* The last moment at which an address can be looked at: what a name resolved to is what will be connected to. */
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;

    (void)purpose;
    if (address_is_private(&address->addr)) {
        transfer->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void library_init(void)
{
    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

struct transfer *transfer_new(int timeout_ms, enum transfer_reach reach)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));

    ASSERT(transfer != NULL);
    ASSERT(pthread_once(&library_once, library_init) == 0);
    transfer->curl = curl_easy_init();
    ASSERT(transfer->curl != NULL);
    curl_easy_setopt(transfer->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(transfer->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(transfer->curl, CURLOPT_USERAGENT, "ladder/" LADDER_VERSION);
    curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
    if (reach == TRANSFER_PUBLIC) {
        curl_easy_setopt(transfer->curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
        curl_easy_setopt(transfer->curl, CURLOPT_OPENSOCKETDATA, transfer);
        curl_easy_setopt(transfer->curl, CURLOPT_PROXY, "");
    }
    return transfer;
}

void transfer_free(struct transfer **transfer)
{
    if (!*transfer)
        return;
    curl_easy_cleanup((*transfer)->curl);
    free(*transfer);
    *transfer = NULL;
}

bool transfer_send(struct transfer *transfer, const struct transfer_request *request, int *ret_status,
                   struct error *error)
{
    CURL *curl = transfer->curl;
    struct curl_slist *headers = NULL;
    long status = 0;

    transfer->answer_bytes = 0;
    transfer->is_refused = false;
    for (size_t i = 0; i < request->header_count; i++) {
        headers = curl_slist_append(headers, request->headers[i]);
        ASSERT(headers != NULL);
    }
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body->data ? request->body->data : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request->body->size);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return error_set(error, ERROR_UNAVAILABLE, "%s",
                         transfer->is_refused ? "its address is one of private use" : curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    return true;
}
