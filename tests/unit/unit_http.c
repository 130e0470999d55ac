#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/assert.h"
#include "base/text.h"
#include "http/authority.h"
#include "http/guard.h"
#include "http/json.h"
#include "http/json_plain.h"
#include "http/json_scan.h"
#include "http/json_text.h"
#include "http/origins.h"
#include "http/rate.h"

static void test_targets(void **context)
{
    static const char *const good[] = {"/",      "/a",           "/a/",       "/a/b?c=d",    "/a/%2F",
                                       "/a/..b", "/a?x=//&y=..", "/a/%C3%BC", "/a/%2e%2e/b", "/a/%2E"};
    static const char *const bad[] = {"",       "a",       "*",      "http://h/a", "//",    "/a//b",
                                      "/a/./b", "/a/../b", "/a/..",  "/a%",        "/a%z0", "/a%00",
                                      "/a%2",   "/a b",    "/a\x7f", "/\xc3\xbc",  "/..?x"};
    struct error error;

    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!guard_target(slice_of(good[i]), 100, &error))
            fail_msg("refused: %s (%s)", good[i], error.message);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (guard_target(slice_of(bad[i]), 100, &error))
            fail_msg("accepted: %s", bad[i]);
    char long_target[102];
    memset(long_target, 'a', sizeof(long_target));
    long_target[0] = '/';
    assert_false(guard_target((struct slice){long_target, 101}, 100, &error));
    assert_int_equal(error.code, ERROR_URI_TOO_LONG);
}

static void test_authorities(void **context)
{
    static const char *const good[] = {"",         "a",           "a:80",          "a:",         ":80",    "localhost",
                                       "x_y.z-1~", "192.0.2.1:1", "[::1]",         "[::1]:8080", "[::1]:", "a%2Db",
                                       "a:00080",  "xn--bcher-x", "a!$&'()*+,;=b", "a:65535"};
    static const char *const bad[] = {
        "a b",      "<x>",     "\xff",     "a/b",          "a@b",   "u:p@b", "a:b", "a:80:8", "a:-1",
        "a:+1",     "a:65536", "a%2",      "a%zz",         "a%",    "[",     "[]",  "[::1",   "[::1]80",
        "[::1]a:1", "[g::1]",  "[v1.x]",   "::1",          "a\tb",  "a#b",   "a?b", "a[b]",   "[127.0.0.1]",
        "a|b",      "a\"b",    "http://a", "[::1%25eth0]", "a:1 1", "a\\b",  "a^b", "{a}"};

    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!authority_is_valid(slice_of(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (authority_is_valid(slice_of(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    assert_false(authority_is_valid((struct slice){"a\0b", 3}) || authority_is_valid((struct slice){"[::1\0]", 6}));
}

static void test_absolute_targets(void **context)
{
    static const struct {
        const char *target;
        int size; /* -1: refused */
    } cases[] = {{"/a", 0},
                 {"", 0},
                 {"*", 0},
                 {"a:80", 0},
                 {"http:/a", 0},
                 {"ftp://a/b", 0},
                 {"http://a", 8},
                 {"http://a/", 8},
                 {"HTTP://a/b", 8},
                 {"https://a/b", 9},
                 {"http://a?b", 8},
                 {"http://a#b", 8},
                 {"http://a:1/b", 10},
                 {"http://[::1]/b", 12},
                 {"http://", -1},
                 {"http:///a", -1},
                 {"http://?a", -1},
                 {"http://:80/a", -1},
                 {"http://u@a/b", -1},
                 {"http://a b/", -1},
                 {"https://[::1/", -1}};

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        size_t size;
        bool is_ok = authority_in_target(slice_of(cases[i].target), &size, &error);
        if ((is_ok ? (int)size : -1) != cases[i].size)
            fail_msg("%s: %d", cases[i].target, is_ok ? (int)size : -1);
    }
}

static bool parses(const char *text, size_t size)
{
    struct json_document document;
    struct error error;
    bool is_ok = json_document_parse(&document, (struct slice){text, size}, &error);

    json_document_free(&document);
    return is_ok;
}

static void test_documents(void **context)
{
    char deep[100];

    (void)context;
    const char *nested = "{\"a\":[1,{\"b\":\"]}[\\\"\"}]}";
    assert_true(parses(nested, strlen(nested)));
    assert_false(parses("{\"a\":1,\"a\":2}", 13) || parses("{\"a\":1\0}", 8) || parses("", 0) ||
                 parses("{\"a\":1} x", 9) || parses("{\"a\":\"\\u0000\"}", 14) || parses("{\"a\":\"\xff\"}", 9));
    memset(deep, '[', 50);
    memset(deep + 50, ']', 50);
    assert_true(parses(deep + 50 - JSON_BODY_DEPTH_MAX, 2 * JSON_BODY_DEPTH_MAX));
    assert_false(parses(deep + 49 - JSON_BODY_DEPTH_MAX, 2 * JSON_BODY_DEPTH_MAX + 2));
}

static void test_fields(void **context)
{
    static const char *const names[] = {"i", "s", "m", "b", "t", NULL};
    struct json_document document;
    struct json_object object;
    struct error error;
    struct arena arena;
    struct slice text = {NULL, 0};
    int64_t value = 7;
    bool flag = false;

    (void)context;
    arena_init(&arena, 100000);
    assert_true(json_document_parse(&document,
                                    SLICE("{\"i\":-9223372036854775808,\"s\":\"9007199254740993\",\"m\":{\"x\": 0.1, "
                                          "\"y\": [true]},\"b\":true,\"t\":1.0}"),
                                    &error));
    assert_true(json_root_object(&document, &object, &error));
    assert_true(json_object_only(&object, names, &error));
    assert_false(json_object_only(&object, names + 1, &error));
    assert_string_equal(error.field, "/i");
    for (size_t size = 50; size < 70; size++) {
        char body[100] = "{\"", key[100] = "";
        static const char *const only[] = {"a", NULL};
        struct json_document hostile;
        struct json_object root;
        while (strlen(key) < size)
            strcat(key, strlen(key) % 2 ? "\xf0\x9f\x8f\x86" : "x");
        strcat(strcat(body, key), "\":1}");
        assert_true(json_document_parse(&hostile, slice_of(body), &error) && json_root_object(&hostile, &root, &error));
        assert_false(json_object_only(&root, only, &error));
        assert_true(text_is_utf8(slice_of(error.field)) && text_is_utf8(slice_of(error.message)));
        assert_non_null(strstr(error.message, "there is no such field"));
        json_document_free(&hostile);
    }
    assert_true(json_read_int64(&object, "i", true, &value, &error) && value == INT64_MIN);
    assert_true(json_read_int64(&object, "s", true, &value, &error) && value == 9007199254740993);
    assert_false(json_read_int64(&object, "t", true, &value, &error));
    assert_true(json_read_int64(&object, "none", false, &value, &error) && value == 9007199254740993);
    assert_false(json_read_int64(&object, "none", true, &value, &error));
    assert_true(json_read_bool(&object, "b", true, &flag, &error) && flag);
    const char *kept = "{\"x\": 0.1, \"y\": [true]}";
    assert_true(json_read_raw(&object, "m", strlen(kept), &arena, &text, &error) && slice_is(text, kept));
    assert_false(json_read_raw(&object, "m", strlen(kept) - 1, &arena, &text, &error));
    assert_string_equal(error.field, "/m");
    assert_true(json_read_compact(&object, "m", 100, &arena, &text, &error));
    assert_memory_equal(text.data, "{\"x\":0.1", 8);
    assert_false(json_read_compact(&object, "m", 5, &arena, &text, &error));
    json_document_free(&document);
    assert_true(json_document_parse(&document, SLICE("{\"a/b~c\":1}"), &error) &&
                json_root_object(&document, &object, &error));
    assert_false(json_object_only(&object, names, &error));
    assert_string_equal(error.field, "/a~1b~0c");
    json_document_free(&document);
    arena_done(&arena);
}

/* What a field of a number takes; a field of any value keeps every one byte for byte. */
static void test_numbers(void **context)
{
    static const struct {
        const char *text;
        bool is_int64;
    } cases[] = {
        {"0", true},
        {"-0", true},
        {"-9223372036854775808", true},
        {"9223372036854775808", false},
        {"-9223372036854775809", false},
        {"99999999999999999999999999", false},
        {"0.1", false},
        {"1.50", false},
        {"1e2", false},
        {"1E+2", false},
        {"0.30000000000000004", false},
        {"0.3000000000000000400000000000000", false},
        {"-2.5E-3", false},
        {"1e308", false},
        {"-1e400", false},
        {"1e999999999999999999999", false},
        {"1e-999999999999999999999", false},
        {"0e999", false},
        {"0.0001e312", false},
        {"\"1e400 -1e400\"", false},
        {"\"\\u00e9\\/\\ud83c\\udfc6\"", false},
    };
    struct arena arena;
    struct error error;

    (void)context;
    arena_init(&arena, 100000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[200], wanted[200];
        struct json_document document;
        struct json_object object;
        struct slice text = {NULL, 0};
        int64_t value = 0;
        snprintf(body, sizeof(body), "{\"m\": {\"a\": [%s , 1]}, \"i\": 5}", cases[i].text);
        snprintf(wanted, sizeof(wanted), "{\"a\": [%s , 1]}", cases[i].text);
        assert_true(json_document_parse(&document, slice_of(body), &error));
        assert_true(json_root_object(&document, &object, &error));
        assert_true(json_read_int64(&object, "i", true, &value, &error) && value == 5);
        if (!json_read_raw(&object, "m", 100, &arena, &text, &error) || !slice_is(text, wanted))
            fail_msg("%s became %.*s", cases[i].text, (int)text.size, text.data ? text.data : "");
        json_document_free(&document);
        snprintf(body, sizeof(body), "{\"i\":%s}", cases[i].text);
        assert_true(json_document_parse(&document, slice_of(body), &error));
        assert_true(json_root_object(&document, &object, &error));
        if (json_read_int64(&object, "i", true, &value, &error) != cases[i].is_int64)
            fail_msg("%s as an integer", cases[i].text);
        if (!cases[i].is_int64)
            assert_string_equal(error.field, "/i");
        json_document_free(&document);
    }
    static const char *const broken[] = {"99999999999999999999x",
                                         "099999999999999999999",
                                         "99999999999999999999.",
                                         "99999999999999999999e",
                                         "-",
                                         "1.e999",
                                         "--1e999",
                                         "1e999 2",
                                         "01e999"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        char body[100];
        snprintf(body, sizeof(body), "{\"i\":%s}", broken[i]);
        if (parses(body, strlen(body)) || parses(body, strlen(body) - 1))
            fail_msg("taken: %s", broken[i]);
    }
    arena_done(&arena);
}

static void test_text_members(void **context)
{
    static const struct {
        const char *object, *name, *value; /* NULL: there is no such member */
    } cases[] = {
        {"{\"a\":1}", "a", "1"},
        {" \r\n\t{ \"a\" : 1.50 } ", "a", "1.50"},
        {"{\"a\":1}", "b", NULL},
        {"{\"a\":1}", "", NULL},
        {"{\"ab\":1,\"a\":2}", "a", "2"},
        {"{\"a\":1,\"ab\":2}", "ab", "2"},
        {"{}", "a", NULL},
        {" { } ", "a", NULL},
        {"[{\"a\":1}]", "a", NULL},
        {"\"a\"", "a", NULL},
        {"{\"\":-0,\"a\":1}", "", "-0"},
        {"{\"b\":{\"a\":1},\"a\":[2 , {\"a\":3}] }", "a", "[2 , {\"a\":3}]"},
        {"{\"b\":\"\\\",\\\"a\\\":1\",\"a\":null}", "a", "null"},
        {"{\"b\":[\"]}\",\"\\\\\"],\"a\":\"\\\\\"}", "a", "\"\\\\\""},
        {"{\"b\":{\"\\\"}\":[[{}]]},\"a\":{\n}}", "a", "{\n}"},
        {"{\"\\u0061\\u00E9\\/\\n\":1e2}", "a\xc3\xa9/\n", "1e2"},
        {"{\"a\xc3\xa9\":\"\\u00e9\"}", "a\xc3\xa9", "\"\\u00e9\""},
        {"{\"\\uD83C\\udfc6\\u20ac\":true}", "\xf0\x9f\x8f\x86\xe2\x82\xac", "true"},
        {"{\"\\\"\\\\\\b\\f\\r\\t\":0}", "\"\\\b\f\r\t", "0"},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice value;
        bool is_there = json_text_member(slice_of(cases[i].object), cases[i].name, &value);
        if (is_there != (cases[i].value != NULL) || (is_there && !slice_is(value, cases[i].value)))
            fail_msg("%s: %.*s", cases[i].object, is_there ? (int)value.size : 4, is_there ? value.data : "none");
    }
}

static void test_text_items(void **context)
{
    static const char *const texts[] = {" [ ] ", "[]", "{}", "1", "[1]", " [ {\"a\":[1,2]} , \"],[\",[ [] ],-0 ] "};
    static const char *const items[][5] = {{0}, {0}, {0}, {0}, {"1"}, {"{\"a\":[1,2]}", "\"],[\"", "[ [] ]", "-0"}};

    (void)context;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct slice item;
        size_t at = 0, count = 0;
        for (; json_text_item(slice_of(texts[i]), &at, &item); count++)
            assert_true(items[i][count] && slice_is(item, items[i][count]));
        assert_null(items[i][count]);
    }
}

/* Every cut of a text, in memory of exactly that size: nothing behind the end is read (seen by the address sanitizer
 * and valgrind). */
static void test_text_cut(void **context)
{
    struct slice whole =
        SLICE("{\"\\u0061\\ud83c\\udfc6\" : [1, {\"x\\\"\": \"\\\\\"}], \"b\": -1.5e3 , \"c\":[ 1 ,[]] }");

    (void)context;
    for (size_t size = 0; size <= whole.size; size++) {
        char *copy = malloc(size + 1);
        struct slice cut = {copy + 1, size}, found;
        size_t at = 0;
        assert_non_null(copy);
        memcpy(copy + 1, whole.data, size);
        if (json_text_member(cut, "c", &found))
            while (json_text_item(found, &at, &found))
                at = 0;
        json_text_member(cut, "none", &found);
        free(copy);
    }
}

/* Items in any order, of two arrays in turn, have their own text. */
static void test_items_keep_their_text(void **context)
{
    static const struct {
        const char *array;
        size_t index;
        const char *kept; /* NULL: no object */
    } reads[] = {{"a", 0, "[ 1 ]"}, {"a", 1, NULL},    {"a", 2, "2.0"},   {"a", 0, "[ 1 ]"}, {"b", 1, "\"]\""},
                 {"a", 2, "2.0"},   {"b", 0, "1e400"}, {"b", 1, "\"]\""}, {"b", 2, NULL}};
    struct json_document document;
    struct json_object root, item;
    struct error error;
    struct arena arena;

    (void)context;
    arena_init(&arena, 10000);
    assert_true(json_document_parse(&document,
                                    SLICE(" {\"b\": [{\"m\": 1e400}, {\"m\" : \"]\"}], \"o\": {\"m\": 1.50 },"
                                          "\"a\": [ {\"x\": {\"m\": 3}, \"m\": [ 1 ]}, 7, {\"m\":2.0 } ]} "),
                                    &error) &&
                json_root_object(&document, &root, &error));
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        struct slice text = {NULL, 0};
        bool is_object = json_array_object(&root, reads[i].array, reads[i].index, &item, &error);
        assert_true(is_object == (reads[i].kept != NULL));
        if (is_object)
            assert_true(json_read_raw(&item, "m", 100, &arena, &text, &error) && slice_is(text, reads[i].kept));
    }
    struct slice text = {NULL, 0};
    assert_true(json_object_in(&root, "o", &item, &error) && json_read_raw(&item, "m", 100, &arena, &text, &error) &&
                slice_is(text, "1.50"));
    json_document_free(&document);
    arena_done(&arena);
}

/* Bytes come in pieces; how long until the rate is missed, in us. 0: it was not. */
static int64_t missed_after(int64_t piece_bytes, int64_t every_us, int64_t burst_bytes, int64_t until_us)
{
    struct rate rate = {.since_us = 0};
    int64_t total = burst_bytes;

    for (int64_t now_us = 1; now_us < until_us; now_us += 1000) {
        if (now_us % every_us == 1)
            total += piece_bytes;
        if (!rate_is_kept(&rate, total, now_us, 1600000, 1600))
            return now_us;
    }
    return 0;
}

/* 1,600 bytes over any 1.6 s, looked at 16 times. */
static void test_rates(void **context)
{
    struct rate rate = {.since_us = 0};

    (void)context;
    assert_int_equal(missed_after(110, 100000, 0, 20000000), 0);
    assert_in_range(missed_after(90, 100000, 0, 20000000), 1600000, 1750000);
    assert_in_range(missed_after(1, 100000, 1 << 30, 20000000), 1600000, 1750000); /* a burst does not pay */
    assert_int_equal(missed_after(1700, 1600000, 0, 20000000), 0);
    assert_in_range(missed_after(1500, 1600000, 0, 20000000), 1600000, 3500000);
    assert_true(rate_is_kept(&rate, 0, 1, 1600000, 1600));
    assert_true(rate_is_kept(&rate, 0, 1500000, 1600000, 1600));
    rate_stop(&rate); /* it was our turn: measured anew */
    assert_true(rate_is_kept(&rate, 0, 1700000, 1600000, 1600));
    assert_true(rate_is_kept(&rate, 0, 3200000, 1600000, 1600));
    assert_false(rate_is_kept(&rate, 0, 3400000, 1600000, 1600));
}

static bool network_has_text(const char *network, const char *address)
{
    struct origin_network one;
    struct sockaddr_in6 client = {.sin6_family = AF_INET6};
    struct origin *origin = NULL;
    struct error error;

    assert_true(origin_network_parse(network, &one, &error));
    assert_int_equal(inet_pton(AF_INET6, address, &client.sin6_addr), 1);
    struct origins *origins = origins_new(1, &one, 1);
    assert_true(origins_enter(origins, (struct sockaddr *)&client, &origin));
    bool is_exempt = origin == NULL;
    origins_leave(origins, origin);
    origins_free(&origins);
    return is_exempt;
}

static void test_origin_networks(void **context)
{
    static const char *const wrong[] = {"",       "x",      "10.0.0.0/33",  "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
                                        "::/129", "10.0.0", "127.0.0.1:80", "/8"};
    struct origin_network network;
    struct error error;

    (void)context;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(origin_network_parse(wrong[i], &network, &error));
    assert_true(network_has_text("10.0.0.0/8", "::ffff:10.255.0.1"));
    assert_false(network_has_text("10.0.0.0/8", "::ffff:11.0.0.1"));
    assert_true(network_has_text("10.16.0.0/12", "::ffff:10.31.0.1"));
    assert_false(network_has_text("10.16.0.0/12", "::ffff:10.32.0.1"));
    assert_true(network_has_text("192.0.2.7", "::ffff:192.0.2.7"));
    assert_false(network_has_text("192.0.2.7", "::ffff:192.0.2.8"));
    assert_true(network_has_text("0.0.0.0/0", "::ffff:9.9.9.9"));
    assert_false(network_has_text("0.0.0.0/0", "2001:db8::1"));
    assert_true(network_has_text("2001:db8::/32", "2001:db8:ffff::1"));
    assert_false(network_has_text("2001:db8::/32", "2001:db9::1"));
}

/* Those of one /64 are one; an IPv4 address is the same whichever socket it came by. */
static void test_origins_count(void **context)
{
    static const char *const same[] = {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct origins *origins = origins_new(2, NULL, 0);
    struct origin *held[4] = {NULL}, *none;

    (void)context;
    for (int i = 0; i < 2; i++) {
        inet_pton(AF_INET6, same[i], &six.sin6_addr);
        assert_true(origins_enter(origins, (struct sockaddr *)&six, &held[i]));
    }
    assert_ptr_equal(held[0], held[1]);
    assert_false(origins_enter(origins, (struct sockaddr *)&six, &none));
    inet_pton(AF_INET6, "2001:db8:1:3::1", &six.sin6_addr);
    assert_true(origins_enter(origins, (struct sockaddr *)&six, &held[2]));
    origins_leave(origins, held[0]);
    inet_pton(AF_INET6, same[0], &six.sin6_addr);
    assert_true(origins_enter(origins, (struct sockaddr *)&six, &held[0]));
    inet_pton(AF_INET, "192.0.2.1", &four.sin_addr);
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &six.sin6_addr);
    assert_true(origins_enter(origins, (struct sockaddr *)&four, &held[3]));
    assert_true(origins_enter(origins, (struct sockaddr *)&six, &none));
    assert_ptr_equal(none, held[3]);
    assert_false(origins_enter(origins, (struct sockaddr *)&four, &none));
    assert_null(none);
    inet_pton(AF_INET, "127.8.0.1", &four.sin_addr);
    for (int i = 0; i < 9; i++)
        assert_true(origins_enter(origins, (struct sockaddr *)&four, &none) && none == NULL);
    origins_leave(origins, held[3]);
    for (int i = 0; i < 4; i++)
        origins_leave(origins, held[i]);
    origins_free(&origins);
    assert_null(origins);
}

/* The client of a connection from `peer` with up to two header fields X-Forwarded-For, behind the proxies 10.0.0.0/8. */
static void client_is(const char *peer, const char *first, const char *second, const char *expected)
{
    struct slice forwarded[] = {slice_of(first), slice_of(second)};
    uint8_t address[ORIGIN_ADDRESS_BYTES];
    char text[INET6_ADDRSTRLEN];
    struct origin_network proxies;
    struct error error;

    assert_true(origin_network_parse("10.0.0.0/8", &proxies, &error));
    struct origins *origins = origins_new(1, &proxies, 1);
    assert_int_equal(inet_pton(AF_INET6, peer, address), 1);
    origins_client(origins, address, forwarded, first ? second ? 2 : 1 : 0);
    origins_free(&origins);
    inet_ntop(AF_INET6, address, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void test_origins_client(void **context)
{
    (void)context;
    client_is("::ffff:192.0.2.1", NULL, NULL, "::ffff:192.0.2.1");
    client_is("2001:db8:1:2:3:4:5:6", NULL, NULL, "2001:db8:1:2::"); /* a client's network is the client */
    /* Whoever is no proxy is believed nothing. */
    client_is("::ffff:192.0.2.1", "198.51.100.7", NULL, "::ffff:192.0.2.1");
    client_is("::ffff:10.0.0.1", "198.51.100.7", NULL, "::ffff:198.51.100.7");
    client_is("::ffff:10.0.0.1", "2001:db8:1:2:3:4:5:6", NULL, "2001:db8:1:2::");
    /* What the client itself wrote stands first; a second proxy adds its own, in the same field or another. */
    client_is("::ffff:10.0.0.1", "203.0.113.9, 198.51.100.7", NULL, "::ffff:198.51.100.7");
    client_is("::ffff:10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", NULL, "::ffff:198.51.100.7");
    client_is("::ffff:10.0.0.1", "203.0.113.9, 198.51.100.7", "10.0.0.2", "::ffff:198.51.100.7");
    client_is("::ffff:10.0.0.1", "203.0.113.9", "198.51.100.7", "::ffff:198.51.100.7");
    /* With ports; and what is no address ends it. */
    client_is("::ffff:10.0.0.1", " 198.51.100.7:4711\t", NULL, "::ffff:198.51.100.7");
    client_is("::ffff:10.0.0.1", "[2001:db8::1]:4711", NULL, "2001:db8::");
    client_is("::ffff:10.0.0.1", "198.51.100.7,unknown", NULL, "::ffff:10.0.0.1");
    client_is("::ffff:10.0.0.1", "198.51.100.7,", NULL, "::ffff:10.0.0.1");
    client_is("::ffff:10.0.0.1", "", "10.0.0.2", "::ffff:10.0.0.2");
    client_is("::ffff:10.0.0.1", "10.0.0.3,10.0.0.2", NULL, "::ffff:10.0.0.3");
}

static void test_plain_texts(void **context)
{
    static const struct {
        const char *body;
        int count; /* -1: not plain */
    } cases[] = {{"{\"q\":[\"a\"]}", 1},
                 {" {\t\"q\" :\n[ \"a\" ,\r\"\" , \"\xc3\xbc\" ] } \n", 3},
                 {"{\"q\":[\"a\",\"b\",\"c\",\"d\"]}", 4},
                 {"{\"q\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", -1},
                 {"{\"q\":[]}", -1},
                 {"{\"q\":[\"a\",]}", -1},
                 {"{\"q\":[\"a\" \"b\"]}", -1},
                 {"{\"q\":[\"a\\\"]}", -1},
                 {"{\"q\":[\"\\u0061\"]}", -1},
                 {"{\"q\":[\"a\nb\"]}", -1},
                 {"{\"q\":[\"\xc3\"]}", -1},
                 {"{\"q\":[\"\xed\xa0\x80\"]}", -1},
                 {"{\"q\":[\"a\"],\"q\":[]}", -1},
                 {"{\"q\":[\"a\"]} x", -1},
                 {"{\"q\":[\"a\"]", -1},
                 {"{\"q\":[\"a", -1},
                 {"{\"p\":[\"a\"]}", -1},
                 {"{\"q\":[1]}", -1},
                 {"", -1}};
    struct slice texts[4];
    size_t count;

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_plain = json_plain_texts(slice_of(cases[i].body), "q", 4, texts, &count);
        if (is_plain != (cases[i].count >= 0) || (is_plain && count != (size_t)cases[i].count))
            fail_msg("%s", cases[i].body);
    }
    assert_true(json_plain_texts(slice_of("{\"q\": [\"a b\", \"\", \"/\xc3\xbc?\"]}"), "q", 4, texts, &count));
    assert_true(slice_is(texts[0], "a b") && slice_is(texts[1], "") && slice_is(texts[2], "/\xc3\xbc?"));
    assert_false(json_plain_texts((struct slice){"{\"q\":[\"a\0b\"]}", 13}, "q", 4, texts, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates),
                                       cmocka_unit_test(test_origin_networks),
                                       cmocka_unit_test(test_origins_count),
                                       cmocka_unit_test(test_origins_client),
                                       cmocka_unit_test(test_targets),
                                       cmocka_unit_test(test_authorities),
                                       cmocka_unit_test(test_absolute_targets),
                                       cmocka_unit_test(test_documents),
                                       cmocka_unit_test(test_fields),
                                       cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_plain_texts),
                                       cmocka_unit_test(test_text_members),
                                       cmocka_unit_test(test_text_items),
                                       cmocka_unit_test(test_text_cut),
                                       cmocka_unit_test(test_items_keep_their_text)};

    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
