/* Who a client is behind proxies: X-Forwarded-For, a line a header field. */
#include "fuzz.h"

#include "http/origins.h"

enum { FIELDS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t proxy[] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
    uint8_t address[ORIGIN_ADDRESS_BYTES], again[ORIGIN_ADDRESS_BYTES];
    struct slice rest = fuzz_slice(data, size), fields[FIELDS_MAX];
    struct origin_network proxies;
    struct error error;
    size_t count = 0;

    while (count < FIELDS_MAX && rest.size > 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        fields[count++] = (struct slice){rest.data, end ? (size_t)(end - rest.data) : rest.size};
        rest = end ? (struct slice){end + 1, rest.size - fields[count - 1].size - 1} : (struct slice){"", 0};
    }
    ASSERT(origin_network_parse("10.0.0.0/8", &proxies, &error));
    struct origins *origins = origins_new(1, &proxies, 1);
    memcpy(address, proxy, sizeof(address));
    origins_client(origins, address, fields, count);
    /* What others say of themselves moves nobody who is no proxy. */
    memcpy(again, address, sizeof(again));
    if (memcmp(again, proxy, 13) != 0) {
        origins_client(origins, again, fields, count);
        ASSERT(memcmp(again, address, sizeof(again)) == 0);
    }
    origins_free(&origins);
    return 0;
}
