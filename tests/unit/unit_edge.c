#include "unit.h"

#include "edge/target.h"

static struct edge_target *parsed(const char *line)
{
    struct error error = {.message = ""};
    struct edge_target *target = edge_target_parse(line, &error);

    if (!target)
        fail_msg("refused: %s (%s)", line, error.message);
    return target;
}

static void test_varnish(void **context)
{
    struct edge_target *target = parsed("varnish+http://user:secret@127.0.0.1:6081/x");

    (void)context;
    assert_string_equal(target->url, "http://user:secret@127.0.0.1:6081/x");
    assert_string_equal(target->name, "http://127.0.0.1:6081"); /* what is logged holds no password */
    assert_string_equal(target->method, "BAN");
    assert_int_equal(target->header_count, 1);
    assert_string_equal(target->headers[0], "Surrogate-Key: {tags}");
    assert_null(target->body);
    edge_target_free(&target);
    assert_null(target);
}

static void test_options(void **context)
{
    setenv("EDGE_TOKEN", "s3cret", 1);
    struct edge_target *target = parsed(
        "  https://api.example.com/purge?tags={commas} method=PUT 'header=Authorization: Bearer {env:EDGE_TOKEN}' "
        "'header=Surrogate-Key: {tags}' 'body={\"tags\": [{json}]}' tags_max=7 ");

    (void)context;
    assert_string_equal(target->method, "PUT");
    assert_string_equal(target->headers[0], "Authorization: Bearer s3cret");
    assert_string_equal(target->body, "{\"tags\": [{json}]}");
    assert_int_equal(target->tags_max, 7);
    struct edge_target *other = parsed("https://api.example.com/other"),
                       *same = parsed("https://api.example.com/purge?tags={commas}");
    assert_string_not_equal(target->id, other->id);
    assert_string_equal(target->id, same->id); /* its queue stays when a header changes */
    assert_string_equal(other->method, "POST");
    assert_int_equal(other->tags_max, EDGE_TAGS_DEFAULT);
    edge_target_free(&target);
    edge_target_free(&other);
    edge_target_free(&same);
}

static void test_refused(void **context)
{
    static const char *const lines[] = {"",
                                        "127.0.0.1",
                                        "ftp://h/",
                                        "http:///path",
                                        "http://",
                                        "varnish+h",
                                        "http://h method=",
                                        "http://h method=a",
                                        "http://h header=x",
                                        "http://h header=:x",
                                        "http://h tags_max=0",
                                        "http://h tags_max=1001",
                                        "http://h other=1",
                                        "http://h 'header=A: b",
                                        "'http://h",
                                        "http://h 'header=A: {env:EDGE_NOT_THERE}'",
                                        "http://h 'header=A: {env:",
                                        "http://h 'header=A: {env:}'"};
    struct error error;

    (void)context;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (edge_target_parse(lines[i], &error))
            fail_msg("accepted: %s", lines[i]);
        assert_int_equal(error.code, ERROR_CONFIG);
    }
    setenv("EDGE_TOKEN", "a\r\nInjected: b", 1);
    assert_null(edge_target_parse("http://h 'header=A: {env:EDGE_TOKEN}'", &error));
}

static void written(const char *template, size_t count, const char *expected)
{
    static const char *const tags[] = {"game:g", "board:g/b"};
    struct buf out;

    buf_init(&out, 1000);
    edge_template_write(template, tags, count, &out);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_done(&out);
}

static void test_templates(void **context)
{
    (void)context;
    written("X: {tags}", 2, "X: game:g board:g/b");
    written("{commas};{tags}", 1, "game:g;game:g");
    written("{\"tags\":[{json}]}", 2, "{\"tags\":[\"game:g\",\"board:g/b\"]}");
    written("[{json}]", 0, "[]");
    written("{tag} {", 2, "{tag} {");
    written("", 2, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varnish),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_templates),
    };

    return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}
