/*
 * client.c -- see client.h. An edge that answers anything but 2xx was not told.
 */
#include "edge/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "edge/transfer.h"

enum { REQUEST_BYTES_MAX = 1 << 20 };

struct edge_client {
    const struct edge_target *target;
    struct transfer *transfer;
};

struct edge_client *edge_client_new(const struct edge_target *target, int timeout_ms)
{
    struct edge_client *client = calloc(1, sizeof(*client));

    ASSERT(client != NULL);
    client->target = target;
    client->transfer = transfer_new(timeout_ms, TRANSFER_ANYWHERE);
    return client;
}

void edge_client_free(struct edge_client **client)
{
    if (!*client)
        return;
    transfer_free(&(*client)->transfer);
    free(*client);
    *client = NULL;
}

bool edge_client_purge(struct edge_client *client, const char *const *tags, size_t count, struct error *error)
{
    const struct edge_target *target = client->target;
    const char *headers[EDGE_HEADERS_MAX];
    struct buf url, lines[EDGE_HEADERS_MAX], body;
    int status = 0;

    ASSERT(count <= target->tags_max);
    buf_init(&url, REQUEST_BYTES_MAX);
    buf_init(&body, REQUEST_BYTES_MAX);
    edge_template_write(target->url, tags, count, &url);
    for (size_t i = 0; i < target->header_count; i++) {
        buf_init(&lines[i], REQUEST_BYTES_MAX);
        edge_template_write(target->headers[i], tags, count, &lines[i]);
        headers[i] = lines[i].data;
    }
    if (target->body)
        edge_template_write(target->body, tags, count, &body);
    bool has_body = target->body || strcmp(target->method, "POST") == 0;
    const struct slice content = buf_slice(&body);
    const struct transfer_request request = {.method = target->method,
                                             .url = url.data,
                                             .headers = headers,
                                             .header_count = target->header_count,
                                             .body = has_body ? &content : NULL};
    struct error failure;
    bool is_ok = transfer_send(client->transfer, &request, &status, &failure)
                     ? (status >= 200 && status < 300) ||
                           error_set(error, ERROR_UNAVAILABLE, "%s answered %d", target->name, status)
                     : error_set(error, ERROR_UNAVAILABLE, "%s: %.150s", target->name, failure.message);
    buf_done(&url);
    for (size_t i = 0; i < target->header_count; i++)
        buf_done(&lines[i]);
    buf_done(&body);
    return is_ok;
}
