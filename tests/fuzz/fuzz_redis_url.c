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
        bool is_named_later = url.kind == KV_URL_SENTINEL; /* by them */
        ASSERT((url.path[0] == '/') + (url.host[0] != 0) + is_named_later == 1 && url.database >= 0);
        ASSERT(url.path[0] || is_named_later || (url.port >= 1 && url.port <= 65535));
        ASSERT((url.seed_count > 0) == (url.kind != KV_URL_SERVER) && url.seed_count <= KV_URL_SEEDS_MAX);
        ASSERT((url.primary[0] != 0) == is_named_later && (!url.sentinel_user[0] || url.sentinel_password[0]));
        for (size_t i = 0; i < url.seed_count; i++)
            ASSERT(url.seeds[i].host[0] && url.seeds[i].port >= 1 && url.seeds[i].port <= 65535);
        ASSERT(strlen(url.host) < sizeof(url.host) && strlen(url.password) < sizeof(url.password));
    }
    free(text);
    return 0;
}
