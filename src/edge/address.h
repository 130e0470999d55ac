/*
 * address.h -- which addresses a stranger's URL must not lead us to. Pure, any thread.
 */
#ifndef EDGE_ADDRESS_H
#define EDGE_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/*
 * Is it an address of this machine or of a network that is not the public one: loopback, private, link-local (cloud
 * metadata!), shared, multicast, reserved; IPv6 likewise, and what it wraps of IPv4. Any other family: yes.
 */
bool address_is_private(const struct sockaddr *address);

#endif
