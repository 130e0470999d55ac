#include "unit.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/error.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/magic.h"
#include "base/put.h"
#include "base/quota.h"
#include "base/text.h"

static void test_arena_lets_go_of_what_came_later(void **context)
{
    struct arena arena;

    (void)context;
    arena_init(&arena, 100000);
    char *kept = arena_strdup(&arena, "kept");
    struct arena_block *mark = arena_mark(&arena);
    assert_non_null(arena_alloc(&arena, 100));
    size_t before = arena.used_bytes;
    for (int i = 0; i < 9; i++)
        assert_non_null(arena_alloc(&arena, 10000));
    assert_null(arena_alloc(&arena, 10000));
    arena_release(&arena, mark);
    assert_string_equal(kept, "kept");
    assert_int_equal(arena.used_bytes, before);
    assert_non_null(arena_alloc(&arena, 90000));
    arena_done(&arena);
}

/* The signal that ends a process which takes this for an object of the kind 7; 0: none does. */
static int magic_signal(const void *pointer)
{
    const struct {
        unsigned magic;
    } *object = pointer;
    int status;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        fclose(stderr);
        ASSERT_MAGIC(object, 7);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_a_context_of_another_kind_ends_the_process(void **context)
{
    const unsigned right = 7, freed = 0, other = 8;

    (void)context;
    assert_int_equal(magic_signal(&right), 0);
    assert_int_equal(magic_signal(&freed), SIGABRT);
    assert_int_equal(magic_signal(&other), SIGABRT);
    assert_int_equal(magic_signal(NULL), SIGABRT);
}

static void test_quota(void **context)
{
    struct quota quota;
    int64_t one = 0, other = 0;

    (void)context;
    quota_init(&quota, 1000);
    assert_true(quota_hold(&quota, &one, 600, 100));
    assert_false(quota_hold(&quota, &other, 401, 100));
    assert_int_equal(other, 0);
    assert_true(quota_hold(&quota, &other, 400, 100));
    assert_false(quota_has_fallen(&quota, 1));
    assert_true(quota_hold(&quota, &one, 100, 10)); /* less, whatever the percentage */
    assert_false(quota_hold(&quota, &one, 101, 50));
    assert_true(quota_hold(&quota, &one, 200, 60));
    assert_true(quota_has_fallen(&quota, 400)); /* 1,000 to 600 */
    assert_false(quota_has_fallen(&quota, 1));
    quota_take(&quota, &one, 5000);
    assert_int_equal(quota_used(&quota), 5400);
    quota_take(&quota, &one, 0);
    quota_take(&quota, &other, 0);
    assert_int_equal(quota_used(&quota), 0);
    assert_true(quota_hold(NULL, &one, 1 << 30, 1));
}

static int64_t memory_in(const char *root, const char *file, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), "%s%s", root, file);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    return machine_memory_bytes(root);
}

/* The smallest limit of the groups that the process is in. */
static void test_memory_of_the_machine(void **context)
{
    char root[] = "/tmp/ladder-unit-XXXXXX", command[64];

    (void)context;
    assert_non_null(mkdtemp(root));
    int64_t machine = machine_memory_bytes(root);
    assert_true(machine > 1 << 20);
    assert_int_equal(memory_in(root, "/proc/self/cgroup", "12:cpu:/x\n4:memory:/b\n0::/a/b.slice\n"), machine);
    assert_int_equal(memory_in(root, "/sys/fs/cgroup/a/b.slice/memory.max", "max\n"), machine);
    assert_int_equal(memory_in(root, "/sys/fs/cgroup/a/memory.max", "1000000\n"), 1000000);
    assert_int_equal(memory_in(root, "/sys/fs/cgroup/a/b.slice/memory.high", "900000\n"), 900000);
    assert_int_equal(memory_in(root, "/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "800000\n"), 800000);
    assert_int_equal(memory_in(root, "/sys/fs/cgroup/memory.max", "700000\n"), 700000);
    snprintf(command, sizeof(command), "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void test_arena_has_a_cap(void **context)
{
    struct arena arena;

    (void)context;
    arena_init(&arena, 100000);
    for (int i = 0; i < 1000; i++) {
        char *memory = arena_alloc(&arena, 33);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, i, 33);
    }
    assert_non_null(arena_alloc(&arena, 20000));
    assert_false(arena.is_exhausted);
    assert_null(arena_alloc(&arena, 90000));
    assert_true(arena.is_exhausted);
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    arena_reset(&arena);
    assert_false(arena.is_exhausted);
    assert_string_equal(arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
    struct slice copy = arena_copy(&arena, SLICE("abc"));
    assert_true(slice_is(copy, "abc") && copy.data[3] == 0);
    arena_done(&arena);
}

static void test_buf_overflows_softly(void **context)
{
    struct buf buf;

    (void)context;
    buf_init(&buf, 10);
    buf_append_text(&buf, "12345");
    buf_append_text(&buf, "67890");
    assert_false(buf.is_overflown);
    buf_append_byte(&buf, 'x');
    assert_true(buf.is_overflown);
    assert_true(slice_is(buf_slice(&buf), "1234567890"));
    buf_reset(&buf);
    buf_append_int64(&buf, 5);
    assert_true(slice_is(buf_slice(&buf), "5"));
    buf_done(&buf);
    buf_init(&buf, 1000);
    buf_append_int64(&buf, INT64_MIN);
    buf_append_byte(&buf, ' ');
    buf_append_int64(&buf, INT64_MAX);
    buf_append_byte(&buf, ' ');
    buf_append_uint64(&buf, UINT64_MAX);
    buf_printf(&buf, " %05d", 42);
    assert_string_equal(buf.data, "-9223372036854775808 9223372036854775807 18446744073709551615 00042");
    char *taken = buf_take(&buf);
    assert_null(buf.data);
    free(taken);
}

static void test_integers_are_spelled(void **context)
{
    char text[32], expected[32];
    uint64_t state = 5;

    (void)context;
    for (int i = 0; i < 200000; i++) {
        int64_t value = (int64_t)(unit_random(&state) >> (unit_random(&state) % 64));
        if (i < 1200)
            value = i - 600;
        else if (i % 2)
            value = -value;
        snprintf(expected, sizeof(expected), "%lld", (long long)value);
        assert_true(slice_is((struct slice){text, (size_t)(put_int64(text, value) - text)}, expected));
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        assert_true(slice_is((struct slice){text, (size_t)(put_uint64(text, (uint64_t)value) - text)}, expected));
    }
}

/* Eight bytes at a time find the same escapes as one at a time, wherever they stand. */
static void test_json_strings_are_escaped(void **context)
{
    uint64_t state = 6;
    char text[24], spelled[PUT_JSON_MAX(sizeof(text))], expected[PUT_JSON_MAX(sizeof(text)) + 1];

    (void)context;
    for (int i = 0; i < 300000; i++) {
        struct slice slice = {text, unit_random(&state) % (sizeof(text) + 1)};
        size_t size = 0;
        for (size_t c = 0; c < slice.size; c++)
            text[c] = (char)(i % 8 ? 'a' + unit_random(&state) % 26 : unit_random(&state));
        if (i % 8 && slice.size)
            text[unit_random(&state) % slice.size] = (char)unit_random(&state);
        expected[size++] = '"';
        for (size_t c = 0; c < slice.size; c++) {
            unsigned char byte = (unsigned char)text[c];
            if (byte == '"' || byte == '\\')
                size += (size_t)sprintf(expected + size, "\\%c", byte);
            else if (byte < 0x20 || byte == 0x7f)
                size += (size_t)sprintf(expected + size, "\\u%04x", byte);
            else
                expected[size++] = (char)byte;
        }
        expected[size++] = '"';
        assert_true(slice_equal((struct slice){spelled, (size_t)(put_json_string(spelled, slice) - spelled)},
                                (struct slice){expected, size}));
        assert_int_equal(put_json_size(slice), size);
    }
}

static void test_json_members_in_one_stretch(void **context)
{
    struct buf buf;
    struct jsonw json;

    (void)context;
    buf_init(&buf, 60);
    jsonw_init(&json, &buf);
    jsonw_object_open(&json);
    for (int i = 0; i < 2; i++) {
        char *at = jsonw_members_begin(&json, 20);
        assert_non_null(at);
        jsonw_members_end(&json, put_literal(at, "\"a\":1,\"b\":2"));
    }
    jsonw_key(&json, "c");
    jsonw_number(&json, 3);
    assert_null(jsonw_members_begin(&json, 40));
    assert_true(buf.is_overflown);
    assert_true(slice_is(buf_slice(&buf), "{\"a\":1,\"b\":2,\"a\":1,\"b\":2,\"c\":3"));
    buf_done(&buf);
}

/* What fits exactly, fits; a byte more does not. */
static void test_json_takes_no_more_room_than_it_needs(void **context)
{
    for (size_t bytes_max = 11; bytes_max < 13; bytes_max++) {
        struct buf buf;
        struct jsonw json;

        (void)context;
        buf_init(&buf, bytes_max);
        jsonw_init(&json, &buf);
        jsonw_string(&json, SLICE("123456\n")); /* 8 + 6 */
        assert_true(buf.is_overflown);
        buf_done(&buf);
        jsonw_init(&json, &buf);
        jsonw_string(&json, SLICE("12345678\""));
        assert_int_equal(buf.is_overflown, bytes_max < 12 + 1);
        buf_done(&buf);
    }
}

static void test_json_writer(void **context)
{
    struct buf buf;
    struct jsonw json;

    (void)context;
    buf_init(&buf, 10000);
    jsonw_init(&json, &buf);
    jsonw_object_open(&json);
    jsonw_key(&json, "a");
    jsonw_array_open(&json);
    jsonw_int64(&json, INT64_MIN);
    jsonw_double(&json, 0.1);
    jsonw_double(&json, 1e300);
    jsonw_double(&json, NAN);
    jsonw_bool(&json, true);
    jsonw_null(&json);
    jsonw_array_close(&json);
    jsonw_key(&json, "s");
    jsonw_string(&json, (struct slice){"q\"\\\n\x01\x7f\xc3\xbc/\0", 10});
    json.integers_as_strings = true;
    jsonw_key(&json, "i");
    jsonw_int64(&json, INT64_MAX);
    jsonw_key(&json, "n");
    jsonw_number(&json, 3);
    jsonw_key(&json, "t");
    jsonw_time(&json, 1500000);
    jsonw_key(&json, "r");
    jsonw_raw(&json, SLICE("{}"));
    jsonw_object_close(&json);
    assert_string_equal(buf.data, "{\"a\":[-9223372036854775808,0.1,1e+300,null,true,null],\"s\":"
                                  "\"q\\\"\\\\\\u000a\\u0001\\u007f\xc3\xbc/\\u0000\","
                                  "\"i\":\"9223372036854775807\",\"n\":3,\"t\":\"1970-01-01T00:00:01.5Z\",\"r\":{}}");
    buf_done(&buf);
}

/* Each step on its own writer, in a child that must die of the assertion. */
static void step_key_for_value(struct jsonw *json)
{
    jsonw_object_open(json);
    jsonw_number(json, 1);
}

static void step_object_for_key(struct jsonw *json)
{
    jsonw_object_open(json);
    jsonw_object_open(json);
}

static void step_key_in_array(struct jsonw *json)
{
    jsonw_array_open(json);
    jsonw_key(json, "a");
}

static void step_key_at_the_top(struct jsonw *json)
{
    jsonw_key(json, "a");
}

static void step_two_keys(struct jsonw *json)
{
    jsonw_object_open(json);
    jsonw_key(json, "a");
    jsonw_key(json, "b");
}

static void step_close_behind_key(struct jsonw *json)
{
    jsonw_object_open(json);
    jsonw_key(json, "a");
    jsonw_object_close(json);
}

static void step_wrong_bracket(struct jsonw *json)
{
    jsonw_array_open(json);
    jsonw_object_close(json);
}

static void step_close_at_the_top(struct jsonw *json)
{
    jsonw_array_close(json);
}

static void step_two_values(struct jsonw *json)
{
    jsonw_null(json);
    jsonw_null(json);
}

static void step_too_deep(struct jsonw *json)
{
    for (int i = 0; i <= JSONW_DEPTH_MAX; i++)
        jsonw_array_open(json);
}

static void test_json_writer_asserts(void **context)
{
    static void (*const steps[])(struct jsonw *) = {
        step_key_for_value, step_object_for_key,   step_key_in_array,  step_key_at_the_top,   step_two_keys,
        step_two_values,    step_close_behind_key, step_wrong_bracket, step_close_at_the_top, step_too_deep};

    (void)context;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pid_t child = fork();
        if (child == 0) {
            struct buf buf;
            struct jsonw json;
            signal(SIGABRT, SIG_DFL);
            if (freopen("/dev/null", "w", stderr))
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            buf_init(&buf, 1000);
            jsonw_init(&json, &buf);
            steps[i](&json);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("step %zu was let pass", i);
    }
}

static void test_doubles_come_back(void **context)
{
    uint64_t state = 5;
    struct buf buf;

    (void)context;
    buf_init(&buf, 100);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = unit_random(&state);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        struct jsonw json;
        buf_reset(&buf);
        jsonw_init(&json, &buf);
        jsonw_double(&json, value);
        assert_true(strtod(buf.data, NULL) == value);
    }
    buf_done(&buf);
}

static void test_time_round_trip(void **context)
{
    uint64_t state = 77;
    char text[CLOCK_TEXT_MAX];
    int64_t back;

    (void)context;
    for (int i = 0; i < 200000; i++) {
        int64_t time_us = (int64_t)(unit_random(&state) % 315537897600000000ULL) - 62135596800000000LL;
        if (i % 3 == 0)
            time_us -= ((time_us % 1000000) + 1000000) % 1000000;
        size_t size = clock_format(time_us, text);
        assert_int_equal(size, strlen(text));
        assert_true(clock_parse((struct slice){text, size}, &back));
        assert_true(back == time_us);
        /* The C library agrees on the calendar. */
        time_t seconds = (time_t)((time_us - ((time_us % 1000000) + 1000000) % 1000000) / 1000000);
        struct tm tm;
        char wanted[80];
        gmtime_r(&seconds, &tm);
        snprintf(wanted, sizeof(wanted), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_memory_equal(text, wanted, 19);
    }
    clock_format_http(784111777000000, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void test_time_texts(void **context)
{
    static const struct {
        const char *text;
        int64_t time_us;
    } good[] = {{"1970-01-01", 0},
                {"1970-01-01T00:00:00Z", 0},
                {"1970-01-01t00:00:00z", 0},
                {"1970-01-01 00:00:00.25Z", 250000},
                {"1970-01-01T01:00:00+01:00", 0},
                {"1969-12-31T23:30:00-00:30", 0},
                {"2000-02-29T00:00:00Z", 951782400000000},
                {"1970-01-01T00:00:00.123456789Z", 123456},
                {"9999-12-31T23:59:59.999999Z", 253402300799999999}};
    static const char *const bad[] = {"",
                                      "1970",
                                      "1970-13-01",
                                      "1970-00-10",
                                      "1970-02-29",
                                      "1900-02-29",
                                      "2001-02-29T00:00:00Z",
                                      "1970-01-01T",
                                      "1970-01-01T24:00:00Z",
                                      "1970-01-01T23:59:60Z",
                                      "1970-01-01T00:00:00",
                                      "1970-01-01T00:00:00.Z",
                                      "1970-01-01T00:00:00.1234567890Z",
                                      "1970-01-01T00:00:00Zx",
                                      "1970-01-01T00:00:00+1:00",
                                      "1970-01-01T00:00:00+24:00",
                                      "0000-01-01",
                                      "+970-01-01",
                                      "1970-1-01",
                                      "0001-01-01T00:00:00+00:01"};
    int64_t time_us;

    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(clock_parse(slice_of(good[i].text), &time_us));
        assert_true(time_us == good[i].time_us);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (clock_parse(slice_of(bad[i]), &time_us))
            fail_msg("accepted: %s", bad[i]);
}

static void test_utf8(void **context)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",     "\xc0\x80",         "\xc1\xbf",         "\xc2",
                                      "\xc2\x41", "\xe0\x9f\xbf",     "\xed\xa0\x80",     "\xed\xbf\xbf",
                                      "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xff",     "a\xf0\x90\x80"};

    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(text_is_utf8(slice_of(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(text_is_utf8(slice_of(bad[i])));
    assert_true(text_has_control(SLICE("\x1f")) && text_has_control(SLICE("\x7f")) &&
                text_has_control(SLICE("\xc2\x9f")));
    assert_false(text_has_control(SLICE(" ~\xc2\xa0")));
}

static void test_integers(void **context)
{
    int64_t value;
    uint64_t unsigned_value;
    double decimal;

    (void)context;
    assert_true(text_parse_int64(SLICE("-9223372036854775808"), &value) && value == INT64_MIN);
    assert_true(text_parse_int64(SLICE("9223372036854775807"), &value) && value == INT64_MAX);
    assert_true(text_parse_uint64(SLICE("18446744073709551615"), &unsigned_value) && unsigned_value == UINT64_MAX);
    assert_false(text_parse_int64(SLICE("-9223372036854775809"), &value) ||
                 text_parse_int64(SLICE("9223372036854775808"), &value) || text_parse_int64(SLICE(""), &value) ||
                 text_parse_int64(SLICE("-"), &value) || text_parse_int64(SLICE("+1"), &value) ||
                 text_parse_int64(SLICE(" 1"), &value) || text_parse_int64(SLICE("1 "), &value) ||
                 text_parse_int64(SLICE("0x1"), &value) || text_parse_int64(SLICE("--1"), &value) ||
                 text_parse_uint64(SLICE("18446744073709551616"), &unsigned_value));
    assert_true(text_parse_decimal(SLICE("12.5"), &decimal) && decimal == 12.5);
    assert_false(text_parse_decimal(SLICE("1e5"), &decimal) || text_parse_decimal(SLICE("nan"), &decimal) ||
                 text_parse_decimal(SLICE("."), &decimal) || text_parse_decimal(SLICE("1.2.3"), &decimal));
}

static void test_base64url(void **context)
{
    uint64_t state = 11;
    uint8_t bytes[64], back[64];
    char text[100];
    size_t size;

    (void)context;
    for (int i = 0; i < 20000; i++) {
        size_t count = unit_random(&state) % sizeof(bytes);
        for (size_t b = 0; b < count; b++)
            bytes[b] = (uint8_t)unit_random(&state);
        size_t text_size = text_base64url_encode(bytes, count, text);
        assert_int_equal(text_size, text_base64url_size(count));
        assert_true(text_base64url_decode((struct slice){text, text_size}, back, sizeof(back), &size));
        assert_int_equal(size, count);
        assert_memory_equal(back, bytes, count);
        if (count > 0)
            assert_false(text_base64url_decode((struct slice){text, text_size}, back, count - 1, &size));
    }
    static const char *const bad[] = {"A", "AAAAA", "AB", "AA==", "A+A", "A/AA", "AA A", "AAB"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(text_base64url_decode(slice_of(bad[i]), back, sizeof(back), &size));
}

static void test_percent(void **context)
{
    char out[32];
    size_t size;

    (void)context;
    assert_true(text_percent_decode(SLICE("a%2Fb%c3%BC+"), out, &size));
    assert_true(slice_equal((struct slice){out, size}, SLICE("a/b\xc3\xbc+")));
    assert_false(text_percent_decode(SLICE("%"), out, &size) || text_percent_decode(SLICE("%2"), out, &size) ||
                 text_percent_decode(SLICE("%zz"), out, &size));
}

/* Whatever a precision or a buffer's end cuts, field and message stay UTF-8, and lose no more than one character. */
static void test_errors_are_utf8(void **context)
{
    static const char *const characters[] = {"a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x8f\x86"};
    struct error error;

    (void)context;
    for (size_t c = 0; c < 4; c++)
        for (size_t shift = 0; shift < 4; shift++) {
            char text[600] = "xxx", cut[61];
            size_t size = strlen(characters[c]);
            text[shift] = 0;
            while (strlen(text) < 500)
                strcat(text, characters[c]);
            error_set_field(&error, ERROR_CONFLICT, text, "%s", text);
            assert_true(text_is_utf8(slice_of(error.message)) && text_is_utf8(slice_of(error.field)));
            assert_true(strlen(error.message) + size >= ERROR_MESSAGE_MAX);
            assert_true(strlen(error.field) + size >= ERROR_FIELD_MAX);
            snprintf(cut, sizeof(cut), "%s", text);
            error_set_field(&error, ERROR_CONFLICT, cut, "%.60s: no such thing (%.7s)", text, text);
            assert_true(text_is_utf8(slice_of(error.message)) && text_is_utf8(slice_of(error.field)));
            assert_non_null(strstr(error.message, ": no such thing ("));
            assert_true(strlen(error.field) + size > 60);
        }
    error_set(&error, ERROR_CONFLICT, "a\xff\xc3(\xed\xa0\x80)\x80z");
    assert_string_equal(error.message, "a()z");
}

static void test_errors_are_cut_at_a_character(void **context)
{
    struct error error;
    char long_text[400];

    (void)context;
    for (size_t i = 0; i + 2 < sizeof(long_text); i += 2)
        memcpy(long_text + i, "\xc3\xbc", 3);
    assert_false(error_set(&error, ERROR_CONFLICT, "%s", long_text));
    assert_true(text_is_utf8(slice_of(error.message)));
    assert_false(error_set(&error, ERROR_CONFLICT, "x%s", long_text));
    assert_true(text_is_utf8(slice_of(error.message)));
    error_set(&error, ERROR_CONFLICT, "%s", "refused\n\tIs it running?\nanother: refused\n");
    assert_string_equal(error.message, "refused; Is it running?; another: refused");
    for (int code = 0; code < ERROR_CODE_COUNT; code++)
        assert_true(error_status((enum error_code)code) >= 200 && error_slug((enum error_code)code)[0]);
}

static void test_a_log_line_can_not_be_forged(void **context)
{
    char line[LOG_LINE_MAX + 1];
    int ends[2], kept = dup(STDERR_FILENO);

    (void)context;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_warn("odd", LOG_TEXT("a", "x\nlevel=error event=forged"), LOG_SLICE("b", SLICE("\xff\"\\ =")),
             LOG_INT("c", INT64_MIN), LOG_TEXT("d", "plain"));
    dup2(kept, STDERR_FILENO);
    ssize_t size = read(ends[0], line, sizeof(line) - 1);
    assert_true(size > 0);
    line[size] = 0;
    assert_ptr_equal(strchr(line, '\n'), line + size - 1);
    assert_int_equal(strcspn(line, " "), strlen("time=2026-01-01T00:00:00.000000Z"));
    assert_non_null(
        strstr(line, "a=\"x\\x0alevel=error event=forged\" b=\"\\xff\\\"\\\\ =\" c=-9223372036854775808 d=plain\n"));
    close(ends[0]);
    close(ends[1]);
    close(kept);
}

static void test_keys_of_different_purpose_differ(void **context)
{
    struct crypto_key a, b;
    uint8_t mac_a[CRYPTO_MAC_SIZE], mac_b[CRYPTO_MAC_SIZE];

    (void)context;
    crypto_derive(&a, SLICE("secret"), "cursor");
    crypto_derive(&b, SLICE("secret"), "token");
    crypto_mac(&a, SLICE("x"), mac_a);
    crypto_mac(&b, SLICE("x"), mac_b);
    assert_false(crypto_equal(mac_a, mac_b, sizeof(mac_a)));
    crypto_mac(&a, SLICE("x"), mac_b);
    assert_true(crypto_equal(mac_a, mac_b, sizeof(mac_a)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_has_a_cap),
        cmocka_unit_test(test_arena_lets_go_of_what_came_later),
        cmocka_unit_test(test_a_context_of_another_kind_ends_the_process),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_memory_of_the_machine),
        cmocka_unit_test(test_buf_overflows_softly),
        cmocka_unit_test(test_integers_are_spelled),
        cmocka_unit_test(test_json_strings_are_escaped),
        cmocka_unit_test(test_json_members_in_one_stretch),
        cmocka_unit_test(test_json_takes_no_more_room_than_it_needs),
        cmocka_unit_test(test_json_writer),
        cmocka_unit_test(test_json_writer_asserts),
        cmocka_unit_test(test_doubles_come_back),
        cmocka_unit_test(test_time_round_trip),
        cmocka_unit_test(test_time_texts),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_base64url),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_errors_are_utf8),
        cmocka_unit_test(test_errors_are_cut_at_a_character),
        cmocka_unit_test(test_a_log_line_can_not_be_forged),
        cmocka_unit_test(test_keys_of_different_purpose_differ),
    };

    return crypto_start() ? cmocka_run_group_tests_name("base", tests, NULL, NULL) : 1;
}
