/*
 * address.c -- see address.h. The ranges are those of the IANA special-purpose registries (RFC 6890) that are not
 * globally reachable, and 168.63.129.16, which Azure routes to its platform services (DNS, DHCP, the VM agent).
 */
#include "edge/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"

static bool v4_is_private(const uint8_t bytes[4])
{
    static const struct {
        uint32_t network;
        int bits;
    } ranges[] = {
        {0x00000000, 8},  /* this network */
        {0x0a000000, 8},  /* 10/8 */
        {0x64400000, 10}, /* 100.64/10, shared */
        {0x7f000000, 8},  /* loopback */
        {0xa9fe0000, 16}, /* link-local */
        {0xac100000, 12}, /* 172.16/12 */
        {0xa83f8110, 32}, /* 168.63.129.16, Azure's platform */
        {0xc0000000, 24}, /* 192.0.0/24 */
        {0xc0000200, 24}, /* 192.0.2/24, documentation */
        {0xc0a80000, 16}, /* 192.168/16 */
        {0xc6120000, 15}, /* benchmarks */
        {0xc6336400, 24}, /* 198.51.100/24, documentation */
        {0xcb007100, 24}, /* 203.0.113/24, documentation */
        {0xe0000000, 3},  /* multicast, reserved, broadcast */
    };
    uint32_t address = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];

    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
        if ((address ^ ranges[i].network) >> (32 - ranges[i].bits) == 0)
            return true;
    return false;
}

static bool v6_is_private(const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, translated[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(bytes, mapped, 12) == 0 || memcmp(bytes, translated, 12) == 0)
        return v4_is_private(bytes + 12);
    if (bytes[0] == 0x20 && bytes[1] == 0x02) /* 6to4 */
        return v4_is_private(bytes + 2);
    bool is_2001 = bytes[0] == 0x20 && bytes[1] == 0x01;
    bool is_protocol = is_2001 && bytes[2] < 2; /* 2001::/23: Teredo and other protocols' own */
    bool is_documentation = (is_2001 && bytes[2] == 0x0d && bytes[3] == 0xb8) ||                 /* 2001:db8::/32 */
                            (bytes[0] == 0x3f && bytes[1] == 0xff && (bytes[2] & 0xf0) == 0x00); /* 3fff::/20 */
    /* Global unicast is 2000::/3. */
    return bytes[0] >> 5 != 1 || is_protocol || is_documentation;
}

bool address_is_private(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return v4_is_private((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        return v6_is_private((const uint8_t *)&v6.sin6_addr);
    }
    return true;
}
