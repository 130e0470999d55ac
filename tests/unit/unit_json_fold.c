#include "unit.h"

#include "base/json_fold.h"

static void assert_folds(const char *text, const char *expected)
{
    struct buf folded, again;

    buf_init(&folded, 4096);
    buf_init(&again, 4096);
    json_fold(slice_of(text), &folded);
    assert_string_equal(folded.data, expected);
    json_fold(buf_slice(&folded), &again);
    assert_string_equal(again.data, expected);
    buf_done(&folded);
    buf_done(&again);
}

static void test_json_is_folded_where_it_is_too_long(void **context)
{
    char text[256], expected[256], filler[128];

    (void)context;
    assert_folds("{\"a\":1,\"b\":[true,null,\"x,y:{\\\"\"],\"c\":{}}",
                 "{\"a\": 1, \"b\": [true, null, \"x,y:{\\\"\"], \"c\": {}}");
    assert_folds(" \"text\" ", "\"text\"");
    /* {"a": "…"} has 9 characters around the text: one of 109 still fits, one of 110 does not. */
    memset(filler, 'x', sizeof(filler));
    for (int size = 109; size <= 110; size++) {
        snprintf(text, sizeof(text), "{\"a\":\"%.*s\"}", size, filler);
        snprintf(expected, sizeof(expected), size == 109 ? "{\"a\": \"%.*s\"}" : "{\n  \"a\": \"%.*s\"\n}", size,
                 filler);
        assert_folds(text, expected);
    }
    /* Characters count, not bytes; what is empty is never broken. */
    memcpy(filler, "\xc3\xa4", 2);
    snprintf(text, sizeof(text), "{\"a\":\"%.110s\"}", filler);
    snprintf(expected, sizeof(expected), "{\"a\": \"%.110s\"}", filler);
    assert_folds(text, expected);
    memset(filler, 'x', 2);
    snprintf(text, sizeof(text), "{\"%.112s\":[],\"b\":[1,{\"c\":2}]}", filler);
    snprintf(expected, sizeof(expected), "{\n  \"%.112s\": [],\n  \"b\": [1, {\"c\": 2}]\n}", filler);
    assert_folds(text, expected);
    snprintf(text, sizeof(text), "{\"%.100s\":[\"yyyyyyyyy\"]}", filler);
    snprintf(expected, sizeof(expected), "{\n  \"%.100s\": [\n    \"yyyyyyyyy\"\n  ]\n}", filler);
    assert_folds(text, expected);
}

static void test_what_is_no_json_is_folded_without_harm(void **context)
{
    static const char *const texts[] = {"}", "]]]", "{", "[{\"", "\"\\", "{\"a\":", ",,,:", "[\"\\\"]"};
    struct buf out;

    (void)context;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        buf_init(&out, 4096);
        json_fold(slice_of(texts[i]), &out);
        assert_false(out.is_overflown);
        buf_done(&out);
    }
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    buf_init(&out, 1 << 16);
    json_fold((struct slice){deep, sizeof(deep)}, &out);
    assert_false(out.is_overflown);
    buf_done(&out);
    buf_init(&out, 5);
    json_fold(SLICE("[1,2,3]"), &out);
    assert_true(out.is_overflown);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_folded_where_it_is_too_long),
        cmocka_unit_test(test_what_is_no_json_is_folded_without_harm),
    };

    return cmocka_run_group_tests_name("json_fold", tests, NULL, NULL);
}
