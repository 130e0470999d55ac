/*
 * client.h -- sending purges to one edge. Blocks, for timeout_ms at most a request. One thread a client.
 */
#ifndef EDGE_CLIENT_H
#define EDGE_CLIENT_H

#include "edge/target.h"

struct edge_client;

/* target: borrowed for the client's life. */
struct edge_client *edge_client_new(const struct edge_target *target, int timeout_ms);
void edge_client_free(struct edge_client **client);

/* Up to target->tags_max tags in one request. false: the edge did not say 2xx (ERROR_UNAVAILABLE). */
bool edge_client_purge(struct edge_client *client, const char *const *tags, size_t count, struct error *error);

#endif
