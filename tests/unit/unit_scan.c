/* What is wrong in a JSON text is found without the parser, and where. */
#include "unit.h"

#include <string.h>

#include "base/assert.h"
#include "http/json.h"
#include "http/json_scan.h"

static void test_what_is_json(void **context)
{
    static const char *const texts[] = {
        "{}",
        " [ ] ",
        "[1]",
        "[0,-0,10,-1.5,1e5,2E-3,0.0e+1]",
        "{\"a\":true,\"b\":[false,null,{}],\"\":\"\"}",
        "\t{\r\n\"a\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\" }\n",
        "[\"\xc3\xbc\xf0\x9f\x8f\x86\", \"\\uD83c\\udFC6\"]",
        "[\"a\\\"b\", \"\x7f\"]",
        "[[[[[[[[1]]]]]]]]",
        "[[[[[[[[[1]]]]]]]]", /* too deep to be looked at */
    };
    const char *what;
    size_t at;

    (void)context;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (!json_scan(slice_of(texts[i]), &at, &what))
            fail_msg("%s: %zu, %s", texts[i], at, what);
}

static void test_what_is_not(void **context)
{
    static const struct {
        const char *text;
        size_t at; /* what is wrong */
    } cases[] = {
        {"", 0},
        {"  ", 2},
        {"1", 0},
        {"\"a\"", 0},
        {"nul", 0},
        {"{", 1},
        {"[", 1},
        {"[1", 2},
        {"[1,", 3},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"[1}", 2},
        {"{]", 1},
        {"{\"a\"}", 4},
        {"{\"a\":}", 5},
        {"{\"a\":1,}", 7},
        {"{\"a\":1 \"b\"}", 7},
        {"{a:1}", 1},
        {"{1:1}", 1},
        {"[]]", 2},
        {"{} {}", 3},
        {"[01]", 2},
        {"[1.]", 3},
        {"[.5]", 1},
        {"[-]", 2},
        {"[+1]", 1},
        {"[1e]", 3},
        {"[0x1]", 2},
        {"[nul]", 1},
        {"[True]", 1},
        {"[truex]", 5},
        {"[NaN]", 1},
        {"[\"a]", 4},
        {"[\"a\nb\"]", 3},
        {"[\"\\x\"]", 3},
        {"[\"\\u12g4\"]", 6},
        {"[\"\\\"]", 5},
        {"[\"\\ud800\"]", 8},
        {"[\"\\udc00\"]", 8},
        {"[\"\\ud800\\n\"]", 9},
        {"[\"\\ud800\\u0041\"]", 14},
        {"[\"\xff\"]", 3},
        {"[\"\xc0\xaf\"]", 4},
        {"[\"\xed\xa0\x80\"]", 5},
        {"\xef\xbb\xbf[]", 0},
        {"[1,/* */2]", 3},
        {"['a']", 1},
    };
    const char *what;
    size_t at;

    (void)context;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (json_scan(slice_of(cases[i].text), &at, &what) || at != cases[i].at)
            fail_msg("%s: %zu, %s", cases[i].text, at, what);
}

/* A large text that is wrong at its end is refused with the place. */
static void test_a_large_text(void **context)
{
    enum { LINES = 1000 };
    static const char line[] = "\"\xc3\xbc\",\n";
    size_t size = sizeof(line) - 1;
    char *text = malloc(1 + LINES * size + 2);
    struct json_document document;
    struct error error;

    (void)context;
    text[0] = '[';
    for (size_t i = 0; i < LINES; i++)
        memcpy(text + 1 + i * size, line, size);
    memcpy(text + 1 + LINES * size - 2, "  ]", 3);
    assert_true(json_document_parse(&document, (struct slice){text, LINES * size + 2}, &error));
    json_document_free(&document);
    memcpy(text + 1 + LINES * size - 2, " }", 2);
    assert_false(json_document_parse(&document, (struct slice){text, LINES * size + 1}, &error));
    assert_string_equal(error.message,
                        "not JSON at line 1000, column 5: ',' or the end of the array or object expected");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_json), cmocka_unit_test(test_what_is_not),
                                       cmocka_unit_test(test_a_large_text)};

    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
