#include "unit.h"

#include "api/lines.h"

/* What comes out of `body`, sent in pieces of `piece` bytes: "1:text;3:text;5!;" with '!' for a line that is too long. */
static void split(const char *body, size_t piece, size_t bytes_max, char out[static 256])
{
    struct lines lines;
    struct slice line;
    enum lines_next next;
    size_t size = strlen(body);

    lines_init(&lines, bytes_max);
    out[0] = 0;
    for (size_t at = 0; at <= size; at += piece) {
        bool is_ended = at + piece > size;
        assert_true(lines_add(&lines, (struct slice){body + at, is_ended ? size - at : piece}));
        while ((next = lines_next(&lines, is_ended, &line)) != LINES_NONE) {
            char *end = out + strlen(out);
            if (next == LINES_TOO_LONG)
                snprintf(end, 64, "%lld!;", (long long)lines.number);
            else
                snprintf(end, 64, "%lld:%.*s;", (long long)lines.number, (int)line.size, line.data);
        }
    }
    assert_int_equal(lines_waiting(&lines), 0);
    lines_done(&lines);
}

static void test_any_pieces(void **context)
{
    static const struct {
        const char *body, *lines;
    } cases[] = {
        {"", ""},
        {"a", "1:a;"},
        {"a\n", "1:a;"},
        {"a\r\nb", "1:a;2:b;"},
        {"\n\r\na\n\n\nb\n", "3:a;6:b;"},
        {"a\n12345678901\nb\n", "1:a;2!;3:b;"},
        {"12345678901", "1!;"},
        {"1234567890\n1234567890", "1:1234567890;2:1234567890;"},
        {"12345678901234567890123456789\r\n\nb", "1!;3:b;"},
        {" \n", "1: ;"},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t piece = 1; piece < 40; piece++) {
            char out[256];
            split(cases[i].body, piece, 10, out);
            assert_string_equal(out, cases[i].lines);
        }
}

static void test_empty_lines_have_a_bound(void **context)
{
    char out[256];

    (void)context;
    split("\n\n\n\n\n\n\n\n\n\n\n\na", 1, 10, out);
    assert_string_equal(out, "11!;13:a;");
}

/* 4 MiB in single bytes: with a search from the start for each, that is 8 * 10^12 steps. */
static void test_a_line_in_single_bytes_is_searched_once(void **context)
{
    enum { SIZE = 4 << 20 };
    struct lines lines;
    struct slice line;

    (void)context;
    lines_init(&lines, SIZE);
    for (int i = 0; i < SIZE; i++) {
        assert_true(lines_add(&lines, SLICE("x")));
        assert_int_equal(lines_next(&lines, false, &line), LINES_NONE);
    }
    assert_true(lines_add(&lines, SLICE("\n")));
    assert_int_equal(lines_next(&lines, false, &line), LINES_LINE);
    assert_int_equal(line.size, SIZE);
    lines_done(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_pieces),
        cmocka_unit_test(test_empty_lines_have_a_bound),
        cmocka_unit_test(test_a_line_in_single_bytes_is_searched_once),
    };

    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
