/*
 * servers.h -- what the rest of the program needs of servers.c: the numbers for /metrics, and the operator's token.
 */
#ifndef API_SERVERS_H
#define API_SERVERS_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/slice.h"

enum { API_ADMIN_TOKEN_MAX = 2 * CRYPTO_MAC_SIZE + 1 };

/* The bearer token of POST /monitoring/servers. */
void api_admin_token(struct slice secret, char out[static API_ADMIN_TOKEN_MAX]);
/* The request has it. */
struct api_call;
struct error;
bool operator_check(const struct api_call *call, struct error *error);

void servers_metrics_render(struct buf *body);

#endif
