/* Where Redis is. */
#include "fuzz.h"

#include "kv/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct error error = {.code = ERROR_NONE};
    struct kv_url url;

    if (!kv_url_parse(text, &url, &error)) {
        fuzz_check_error(&error);
    } else {
        ASSERT((url.path[0] == '/') != (url.host[0] != 0) && url.database >= 0);
        ASSERT(url.path[0] || (url.port >= 1 && url.port <= 65535));
        ASSERT(strlen(url.host) < sizeof(url.host) && strlen(url.password) < sizeof(url.password));
    }
    free(text);
    return 0;
}
