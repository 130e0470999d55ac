#include "unit.h"

#include <arpa/inet.h>

#include "edge/address.h"
#include "edge/signature.h"
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

static bool is_private(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_is_private((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_is_private((const struct sockaddr *)&v6);
}

static void test_private_addresses(void **context)
{
    static const char *const private[] = {"0.0.0.0",
                                          "0.1.2.3",
                                          "10.0.0.1",
                                          "10.255.255.255",
                                          "100.64.0.1",
                                          "100.127.255.255",
                                          "127.0.0.1",
                                          "127.255.0.1",
                                          "169.254.169.254",
                                          "172.16.0.1",
                                          "172.31.255.255",
                                          "192.0.0.8",
                                          "192.168.1.1",
                                          "168.63.129.16",
                                          "192.0.2.0",
                                          "192.0.2.255",
                                          "198.51.100.1",
                                          "203.0.113.77",
                                          "::ffff:192.0.2.1",
                                          "::ffff:168.63.129.16",
                                          "64:ff9b::cb00:7101",
                                          "64:ff9b:1::808:808",
                                          "2001:db8::1",
                                          "2001:db8:ffff:ffff::1",
                                          "2002:c633:6401::1",
                                          "3fff::1",
                                          "3fff:fff:ffff::1",
                                          "5f00::1",
                                          "198.18.0.1",
                                          "198.19.255.255",
                                          "224.0.0.1",
                                          "240.0.0.1",
                                          "255.255.255.255",
                                          "::",
                                          "::1",
                                          "fc00::1",
                                          "fdff::1",
                                          "fe80::1",
                                          "febf::1",
                                          "ff02::1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:10.1.2.3",
                                          "64:ff9b::a9fe:a9fe",
                                          "2002:7f00:1::",
                                          "2002:a00:1::1",
                                          "2001::1",
                                          "2001:1ff::1",
                                          "::7f00:1",
                                          "100::1",
                                          "4000::1"};
    static const char *const public[] = {"1.1.1.1",          "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
                                         "100.128.0.0",      "126.255.255.255", "128.0.0.0",       "169.253.255.255",
                                         "172.15.255.255",   "172.32.0.0",      "192.0.1.0",       "192.167.255.255",
                                         "198.17.255.255",   "198.20.0.0",      "223.255.255.255", "2606:4700::1111",
                                         "168.63.129.15",    "168.63.129.17",   "192.0.3.0",       "198.51.99.255",
                                         "198.51.101.0",     "203.0.112.255",   "203.0.114.0",     "2001:db7::1",
                                         "2001:db9::1",      "3fff:1000::1",    "3ffe::1",         "::ffff:8.8.8.8",
                                         "64:ff9b::808:808", "2002:808:808::1", "2001:4860::8888"};
    const struct sockaddr_storage other = {.ss_family = AF_UNIX};

    (void)context;
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
        if (!is_private(private[i]))
            fail_msg("%s is let through", private[i]);
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        if (is_private(public[i]))
            fail_msg("%s is refused", public[i]);
    assert_true(address_is_private((const struct sockaddr *)&other));
}

/* The example of the convention's own libraries. */
static void test_a_signature(void **context)
{
    uint8_t secret[WEBHOOK_SECRET_MAX];
    char text[SIGNATURE_TEXT_MAX], shown[WEBHOOK_SECRET_TEXT_MAX];
    size_t size;

    (void)context;
    assert_true(webhook_secret_read(SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), secret, &size));
    const struct slice key = {(const char *)secret, size};
    signature_write(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SLICE("{\"test\": 2432232314}"), text);
    assert_string_equal(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    webhook_secret_write(key, shown);
    assert_string_equal(shown, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
}

static void test_secrets_that_are_none(void **context)
{
    static const char *const bad[] = {
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa=w",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    uint8_t secret[WEBHOOK_SECRET_MAX];
    size_t size;

    (void)context;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (webhook_secret_read(slice_of(bad[i]), secret, &size))
            fail_msg("taken: %s", bad[i]);
    assert_true(webhook_secret_read(SLICE("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), secret, &size));
    assert_int_equal(size, 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varnish),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_private_addresses),
        cmocka_unit_test(test_a_signature),
        cmocka_unit_test(test_secrets_that_are_none),
    };

    return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}
