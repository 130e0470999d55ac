/*
 * origins.h -- how many connections each client address has, over all loops of the process.
 *
 * An IPv6 client usually has a network of 2^64 addresses, so those of one /64 count as one. Networks that are exempt
 * have no limit: proxies, whose connections are those of many clients, and which are trusted to say whose
 * (X-Forwarded-For). Any thread; one mutex, held for a look-up when a connection begins and when it ends.
 */
#ifndef HTTP_ORIGINS_H
#define HTTP_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/slice.h"

enum { ORIGIN_NETWORKS_MAX = 16, ORIGIN_TEXT_MAX = 64, ORIGIN_ADDRESS_BYTES = 16 };

/* An IPv4 address is the IPv4-mapped IPv6 one. */
struct origin_network {
    uint8_t address[ORIGIN_ADDRESS_BYTES];
    int bits; /* of the prefix */
};

/* "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". */
bool origin_network_parse(const char *text, struct origin_network *ret_network, struct error *error);

struct origins;
struct origin;

/* No network: those of the machine itself (127.0.0.0/8, ::1). */
struct origins *origins_new(int connections_max, const struct origin_network *exempt, size_t count);
void origins_free(struct origins **origins); /* when no connection is left */
/* One more connection. false: its address has as many as it may. *ret_origin NULL: it is exempt. */
bool origins_enter(struct origins *origins, const struct sockaddr *address, struct origin **ret_origin);
void origins_leave(struct origins *origins, struct origin *origin); /* NULL: nothing */
int origins_max(const struct origins *origins);

/* As origin_network has it. false: it is no IPv4 or IPv6 address. */
bool origin_address(const struct sockaddr *address, uint8_t ret_address[static ORIGIN_ADDRESS_BYTES]);
/*
 * Replaces the address of a connection by its client's: the last one of X-Forwarded-For that is not a proxy's, if the
 * connection is a proxy's. What stands before it was written by strangers, and counts for nothing. Of an IPv6 client its
 * /64 network is left. forwarded: the count values of that header field, in the order in which they came.
 */
void origins_client(const struct origins *origins, uint8_t address[static ORIGIN_ADDRESS_BYTES],
                    const struct slice *forwarded, size_t count);

#endif
