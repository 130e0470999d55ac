/*
 * client.c -- see client.h. The only file that knows libcurl.
 *
 * No redirect is followed and no other protocol spoken: an edge that answers anything but 2xx was not told. What it says
 * besides is read and dropped, up to a bound.
 */
#include "edge/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { REQUEST_BYTES_MAX = 1 << 20, ANSWER_BYTES_MAX = 1 << 20 };

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

struct edge_client {
    const struct edge_target *target;
    CURL *curl; /* kept, for its connection */
    size_t answer_bytes;
};

static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    struct edge_client *client = context;

    (void)data;
    client->answer_bytes += size * count;
    return client->answer_bytes <= ANSWER_BYTES_MAX ? size * count : 0;
}

static void library_init(void)
{
    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

struct edge_client *edge_client_new(const struct edge_target *target, int timeout_ms)
{
    struct edge_client *client = calloc(1, sizeof(*client));

    ASSERT(client != NULL);
    ASSERT(pthread_once(&library_once, library_init) == 0);
    client->target = target;
    client->curl = curl_easy_init();
    ASSERT(client->curl != NULL);
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(client->curl, CURLOPT_USERAGENT, "ladder/" LADDER_VERSION);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, target->method);
    return client;
}

void edge_client_free(struct edge_client **client)
{
    if (!*client)
        return;
    curl_easy_cleanup((*client)->curl);
    free(*client);
    *client = NULL;
}

static bool request_send(struct edge_client *client, const char *url, struct curl_slist *headers,
                         const struct buf *body, struct error *error)
{
    long status = 0;

    client->answer_bytes = 0;
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    if (body) {
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body->data ? body->data : "");
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)body->size);
    }
    CURLcode code = curl_easy_perform(client->curl);
    if (code != CURLE_OK)
        return error_set(error, ERROR_UNAVAILABLE, "%s: %s", client->target->name, curl_easy_strerror(code));
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    return (status >= 200 && status < 300) ||
           error_set(error, ERROR_UNAVAILABLE, "%s answered %ld", client->target->name, status);
}

bool edge_client_purge(struct edge_client *client, const char *const *tags, size_t count, struct error *error)
{
    const struct edge_target *target = client->target;
    struct curl_slist *headers = NULL;
    struct buf url, header, body;

    ASSERT(count <= target->tags_max);
    buf_init(&url, REQUEST_BYTES_MAX);
    buf_init(&header, REQUEST_BYTES_MAX);
    buf_init(&body, REQUEST_BYTES_MAX);
    edge_template_write(target->url, tags, count, &url);
    for (size_t i = 0; i < target->header_count; i++) {
        buf_reset(&header);
        edge_template_write(target->headers[i], tags, count, &header);
        headers = curl_slist_append(headers, header.data);
        ASSERT(headers != NULL);
    }
    if (target->body)
        edge_template_write(target->body, tags, count, &body);
    bool is_ok = request_send(client, url.data, headers,
                              target->body || strcmp(target->method, "POST") == 0 ? &body : NULL, error);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    buf_done(&url);
    buf_done(&header);
    buf_done(&body);
    return is_ok;
}
