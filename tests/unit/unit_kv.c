#include "unit.h"

#include "kv/keys.h"
#include "kv/scripts.h"
#include "kv/url.h"

static void test_keys_of_one_standing_share_a_tag(void **context)
{
    char key[KV_KEY_MAX];

    (void)context;
    assert_true(slice_is(kv_meta_key(300, key), "ladder:{44}:300:meta"));
    assert_true(slice_is(kv_cursor_key(44, key), "ladder:{44}:cursor"));
    assert_true(slice_is(kv_meta_key(INT64_MAX, key), "ladder:{255}:9223372036854775807:meta"));
}

static void test_revisions_keep_their_order(void **context)
{
    uint64_t state = 3;
    uint8_t a[KV_REVISION_SIZE], b[KV_REVISION_SIZE];

    (void)context;
    for (int i = 0; i < 100000; i++) {
        int64_t x = 1 + (int64_t)(unit_random(&state) % ((1ULL << 48) - 1)),
                y = 1 + (int64_t)(unit_random(&state) % ((1ULL << 48) - 1));
        kv_revision_encode(x, a);
        kv_revision_encode(y, b);
        assert_true(kv_revision_decode((char *)a) == x);
        assert_true((memcmp(a, b, sizeof(a)) < 0) == (x < y));
    }
}

static void test_urls(void **context)
{
    struct kv_url url;
    struct error error;
    static const char *const bad[] = {"",
                                      "redis:",
                                      "http://x",
                                      "redis://",
                                      "redis://h:0",
                                      "redis://h:99999",
                                      "redis://h/x",
                                      "redis://user:p@h",
                                      "unix://r.sock",
                                      "unix:///r?db=x",
                                      "redis://:6379"};

    (void)context;
    assert_true(kv_url_parse("redis://10.0.0.1:7000/3", &url, &error) && strcmp(url.host, "10.0.0.1") == 0 &&
                url.port == 7000 && url.database == 3);
    assert_true(kv_url_parse("redis://:p@ss@h", &url, &error) && strcmp(url.password, "p@ss") == 0 && url.port == 6379);
    assert_true(kv_url_parse("unix:///run/r.sock?db=2", &url, &error) && strcmp(url.path, "/run/r.sock") == 0 &&
                url.database == 2);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (kv_url_parse(bad[i], &url, &error))
            fail_msg("accepted: %s", bad[i]);
}

static void test_the_library_is_whole(void **context)
{
    (void)context;
    assert_memory_equal(kv_library_text, "#!lua name=" KV_LIBRARY "\n", strlen("#!lua name=" KV_LIBRARY "\n"));
    assert_non_null(strstr(kv_library_text, KV_FUNCTION("apply")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys_of_one_standing_share_a_tag),
                                       cmocka_unit_test(test_revisions_keep_their_order), cmocka_unit_test(test_urls),
                                       cmocka_unit_test(test_the_library_is_whole)};

    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
