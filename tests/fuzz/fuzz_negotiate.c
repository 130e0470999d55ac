/* What a client says it has and takes: Accept-Encoding, If-None-Match, If-Modified-Since. */
#include "fuzz.h"

#include "http/negotiate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tags[] = {"abc", "abc-gz", "a,b"};
    struct slice text = fuzz_slice(data, size);
    int64_t time_us;

    for (int coding = 0; coding < HTTP_CODING_COUNT; coding++) {
        int weight = http_coding_weight(text, (enum http_coding)coding);
        ASSERT(weight >= 0 && weight <= 1000);
    }
    int weak = http_tag_find(text, tags, 3, true), strong = http_tag_find(text, tags, 3, false);
    ASSERT(weak >= -1 && weak < 3 && strong >= -1 && strong < 3);
    ASSERT(strong < 0 || weak >= 0);     /* what is strongly equal is weakly equal */
    if (http_date_parse(text, &time_us)) /* years 0 to 9999 */
        ASSERT(time_us >= -62167305600LL * 1000000 && time_us < 253402387200LL * 1000000);
    return 0;
}
