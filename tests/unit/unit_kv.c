#include "unit.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "kv/keys.h"
#include "kv/kv.h"
#include "kv/reader.h"
#include "kv/scripts.h"
#include "kv/slots.h"
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

/* The values are Redis's own: CLUSTER KEYSLOT. */
static void test_slots(void **context)
{
    const struct slice call[] = {SLICE("FCALL_RO"), SLICE("f"), SLICE("1"), SLICE("{7}x")},
                       keyless[] = {SLICE("FCALL_RO"), SLICE("f"), SLICE("0"), SLICE("1")};
    const struct slice get[] = {SLICE("GET"), SLICE("foo")}, publish[] = {SLICE("PUBLISH"), SLICE("c"), SLICE("")};

    (void)context;
    assert_true(kv_slot_of(SLICE("123456789")) == 12739 && kv_slot_of(SLICE("foo")) == 12182 &&
                kv_slot_of(SLICE("")) == 0);
    assert_true(kv_slot_of(SLICE("a{foo}b{c}")) == 12182 && kv_slot_of(SLICE("{}foo")) != 12182 &&
                kv_slot_of(SLICE("{foo")) != 12182);
    assert_true(kv_slot_of_shard(7) == kv_slot_of(SLICE("ladder:{7}:cursor")));
    assert_true(slice_is(kv_command_key(ARRAY_SIZE(call), call), "{7}x") &&
                slice_is(kv_command_key(ARRAY_SIZE(get), get), "foo"));
    assert_null(kv_command_key(ARRAY_SIZE(keyless), keyless).data);
    assert_null(kv_command_key(ARRAY_SIZE(publish), publish).data);
    assert_true(kv_error_is_elsewhere(SLICE("MOVED 7 127.0.0.1:1")) &&
                kv_error_is_elsewhere(SLICE("ASK 7 127.0.0.1:1")));
    assert_false(kv_error_is_elsewhere(SLICE("ERR Function not found")) || kv_error_is_elsewhere(SLICE("MOVE")));
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
                                      "redis://:6379",
                                      "redis-cluster://",
                                      "redis-cluster://h,",
                                      "redis-cluster://h/1",
                                      "redis-sentinel://h",
                                      "redis-sentinel://h/",
                                      "redis-sentinel://h/name/x",
                                      "redis-sentinel://h/name?sentinel_password=",
                                      "redis-sentinel://h/name?sentinel_user=u",
                                      "redis-sentinel://h/name?sentinel_user=&sentinel_password=p"};

    (void)context;
    assert_true(kv_url_parse("redis://10.0.0.1:7000/3", &url, &error) && strcmp(url.host, "10.0.0.1") == 0 &&
                url.port == 7000 && url.database == 3);
    assert_true(kv_url_parse("redis://:p@ss@h", &url, &error) && strcmp(url.password, "p@ss") == 0 && url.port == 6379);
    assert_true(kv_url_parse("unix:///run/r.sock?db=2", &url, &error) && strcmp(url.path, "/run/r.sock") == 0 &&
                url.database == 2);
    assert_true(kv_url_parse("redis-cluster://:p@h:1,10.0.0.1:2,k", &url, &error) && url.kind == KV_URL_CLUSTER &&
                url.seed_count == 3);
    assert_true(strcmp(url.password, "p") == 0 && strcmp(url.seeds[1].host, "10.0.0.1") == 0 &&
                url.seeds[1].port == 2 && url.seeds[2].port == 6379);
    assert_true(kv_url_parse("redis-sentinel://h,k:1/name/3", &url, &error) && url.kind == KV_URL_SENTINEL &&
                url.database == 3);
    assert_true(strcmp(url.primary, "name") == 0 && url.seeds[0].port == 26379 && url.seeds[1].port == 1 &&
                url.port == 0);
    assert_true(kv_url_parse("redis-sentinel://:re@dis@h/name/3?sentinel_user=u&sentinel_password=p@&?", &url, &error));
    assert_string_equal(url.password, "re@dis");
    assert_int_equal(url.database, 3);
    assert_string_equal(url.sentinel_user, "u");
    assert_string_equal(url.sentinel_password, "p@&?");
    assert_true(kv_url_parse("redis-sentinel://h/name?sentinel_password=p", &url, &error) && !url.password[0] &&
                !url.sentinel_user[0] && strcmp(url.sentinel_password, "p") == 0);
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

static redisReader *reader_new(struct arena *arena, size_t bytes_max)
{
    redisReader *reader = redisReaderCreate();

    assert_non_null(reader);
    arena_init(arena, bytes_max);
    kv_reader_use(reader, arena);
    return reader;
}

/* Whole or byte by byte, a reply reads the same; and the next one takes the place of the one before. */
static void test_replies_are_read_into_an_arena(void **context)
{
    static const char bytes[] = "*4\r\n*2\r\n$3\r\na\0b\r\n$0\r\n\r\n:-7\r\n$-1\r\n*0\r\n";
    struct arena arena;
    redisReader *reader = reader_new(&arena, 65536);
    size_t used_bytes = 0;

    (void)context;
    for (size_t step = 1; step < sizeof(bytes); step++) {
        void *root = NULL;
        for (size_t at = 0; at < sizeof(bytes) - 1; at += step) {
            size_t size = sizeof(bytes) - 1 - at < step ? sizeof(bytes) - 1 - at : step;
            assert_null(root);
            assert_int_equal(redisReaderFeed(reader, bytes + at, size), REDIS_OK);
            assert_int_equal(redisReaderGetReply(reader, &root), REDIS_OK);
        }
        const struct redisReply *reply = root, *inner = kv_reply_item(reply, 0);
        assert_int_equal(kv_reply_count(reply), 4);
        assert_int_equal(kv_reply_count(inner), 2);
        assert_true(slice_equal(kv_reply_text(kv_reply_item(inner, 0)), (struct slice){"a\0b", 3}));
        assert_true(slice_is(kv_reply_text(kv_reply_item(inner, 1)), ""));
        assert_null(kv_reply_item(inner, 2));
        assert_int_equal(kv_reply_int(kv_reply_item(reply, 1)), -7);
        assert_true(kv_reply_is_null(kv_reply_item(reply, 2)));
        assert_int_equal(kv_reply_count(kv_reply_item(reply, 3)), 0);
        assert_true(used_bytes == 0 || used_bytes == arena.used_bytes);
        used_bytes = arena.used_bytes;
        reader->fn->freeObject(root);
        assert_int_equal(arena.used_bytes, 0);
    }
    assert_int_equal(redisReaderFeed(reader, "-ERR no\r\n+OK\r\n", 14), REDIS_OK);
    for (int i = 0; i < 2; i++) {
        void *root;
        assert_int_equal(redisReaderGetReply(reader, &root), REDIS_OK);
        assert_int_equal(kv_reply_is_error(root), i == 0);
        assert_true(kv_reply_is_text(root, i == 0 ? "ERR no" : "OK"));
        reader->fn->freeObject(root);
    }
    redisReaderFree(reader);
    arena_done(&arena);
}

/* What is larger than the arena may grow breaks the connection, not the process; and nothing of it is left. */
static void test_a_reply_has_a_limit(void **context)
{
    char large[6000];

    (void)context;
    memset(large, 'x', sizeof(large));
    memcpy(large, "*2\r\n$3000\r\n", 11);
    memcpy(large + 3011, "\r\n$2000\r\n", 9);
    memcpy(large + 5020, "\r\n", 2);
    const struct slice replies[] = {SLICE("*100000\r\n"), {large, 5022}};
    for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
        struct arena arena;
        redisReader *reader = reader_new(&arena, 4096);
        void *root = NULL;
        assert_int_equal(redisReaderFeed(reader, replies[i].data, replies[i].size), REDIS_OK);
        assert_int_equal(redisReaderGetReply(reader, &root), REDIS_ERR);
        assert_null(root);
        assert_int_equal(reader->err, REDIS_ERR_OOM);
        assert_int_equal(arena.used_bytes, 0);
        redisReaderFree(reader);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys_of_one_standing_share_a_tag),
                                       cmocka_unit_test(test_revisions_keep_their_order),
                                       cmocka_unit_test(test_slots),
                                       cmocka_unit_test(test_urls),
                                       cmocka_unit_test(test_the_library_is_whole),
                                       cmocka_unit_test(test_replies_are_read_into_an_arena),
                                       cmocka_unit_test(test_a_reply_has_a_limit)};

    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
