#include "unit.h"

#include <unistd.h>

#include "conf/settings.h"

static struct settings settings;

static const char *write_file(const char *text)
{
    static char path[] = "/tmp/ladder-unit-XXXXXX";

    strcpy(path, "/tmp/ladder-unit-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void refused(const char *text, const char *wanted)
{
    struct error error = {.message = ""};
    const char *path = write_file(text);
    bool is_ok = settings_load(&settings, path, NULL, &error);

    unlink(path);
    if (is_ok || !strstr(error.message, wanted))
        fail_msg("%s: \"%s\" instead of \"%s\"", text, is_ok ? "accepted" : error.message, wanted);
}

static void test_a_file_is_read(void **context)
{
    struct error error;
    const char *path = write_file("# comment\nserver:\n  port: 8123\n  listen: \"::1\"\nredis: {url: "
                                  "unix:///r.sock}\ndatabase:\n  replicas: [a, \"b c\"]\nlog:\n");

    (void)context;
    assert_true(settings_load(&settings, path, NULL, &error));
    unlink(path);
    assert_int_equal(settings.server_port, 8123);
    assert_string_equal(settings.server_listen, "::1");
    assert_string_equal(settings.redis_url, "unix:///r.sock");
    assert_int_equal(settings.database_replicas.count, 2);
    assert_string_equal(settings.database_replicas.items[1], "b c");
    assert_int_equal(settings.server_uri_bytes_max, 8192);
}

static void test_mistakes_are_named(void **context)
{
    (void)context;
    refused("server:\n  port: 70000\n",
            ":2: server.port: \"70000\" is not an integer of the range (allowed: 0 to 65535)");
    refused("server:\n  port: 080x\n", "server.port");
    refused("server:\n  prot: 1\n", ":2: server.prot: there is no such setting");
    refused("sever:\n  port: 1\n", ":1: sever: there is no such section");
    refused("server:\n  port: 1\n  port: 2\n", ":3: server.port: the setting is there twice");
    refused("server:\n  port: 1\nserver:\n  listen: x\n", "twice");
    refused("server:\n  port: [1]\n", "must be one value");
    refused("database:\n  replicas: x\n", "must be a list");
    refused("a: &x {b: c}\nd: *x\n", "");
    refused("server: &x\n  port: 1\n", "anchors");
    refused("server:\n  listen: *x\n", "");
    refused("server:\n  secret: short\n", "allowed: 16 bytes or more");
    refused("- a\n", "section");
    refused("server:\n  listen: \"a\\0b\"\n", ":2: server.listen: the text holds a NUL");
    refused("database:\n  replicas: [\"a\\0b\"]\n", ":2: database.replicas: the text holds a NUL");
    refused("server:\n  \xff: 1\n", "not YAML");
    refused("server: [\n", "");
    refused("server:\n  port: 1\n---\nserver:\n  port: 2\n", "more than one document");
    refused("server:\n  header_timeout_ms: 1\n", "allowed: 100 to 600000 ms");
    char *deep = calloc(1, 40000);
    memset(deep, '[', 39000);
    refused(deep, "deep");
    free(deep);
}

static void test_a_directory_is_no_file(void **context)
{
    struct error error = {.message = ""};

    (void)context;
    assert_false(settings_load(&settings, "/tmp", NULL, &error));
    assert_string_equal(error.message, "/tmp: cannot be read: Is a directory");
    assert_false(settings_load(&settings, "/nowhere/ladder.yaml", NULL, &error));
    assert_string_equal(error.message, "/nowhere/ladder.yaml: cannot be read: No such file or directory");
}

/* The line, the key and the range are there however long the path and the value are. */
static void test_a_long_path_keeps_the_line(void **context)
{
    char directory[] = "/tmp/ladder-unit-XXXXXX", path[600], name[251];
    struct error error = {.message = ""};

    (void)context;
    assert_non_null(mkdtemp(directory));
    for (size_t size = 1; size <= 250; size += 3) {
        memset(name, 'p', size);
        name[size] = 0;
        snprintf(path, sizeof(path), "%s/%s", directory, name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file, "database:\n\n  statement_timeout_ms: %0100d\n", 7);
        fclose(file);
        assert_false(settings_load(&settings, path, NULL, &error));
        unlink(path);
        if (!strstr(error.message, "p:3: database.statement_timeout_ms: \"000") ||
            !strstr(error.message, "(allowed: 10 to 600000 ms)"))
            fail_msg("%zu: %s", size, error.message);
    }
    rmdir(directory);
}

static void test_the_environment_wins(void **context)
{
    struct error error;
    const char *path = write_file("server:\n  port: 1\n");

    (void)context;
    setenv("LADDER_SERVER_PORT", "2", 1);
    setenv("LADDER_DATABASE_REPLICAS", "a,b,", 1);
    setenv("LADDER_KEY", "not a setting, and none of our sections", 1);
    assert_true(settings_load(&settings, path, NULL, &error));
    assert_int_equal(settings.server_port, 2);
    assert_int_equal(settings.database_replicas.count, 2);
    setenv("LADDER_SERVER_PORT", "two", 1);
    assert_false(settings_load(&settings, path, NULL, &error));
    assert_non_null(strstr(error.message, "LADDER_SERVER_PORT: server.port"));
    unsetenv("LADDER_SERVER_PORT");
    setenv("LADDER_SERVER_PROT", "2", 1);
    assert_false(settings_load(&settings, path, NULL, &error));
    assert_non_null(strstr(error.message, "LADDER_SERVER_PROT: there is no such setting"));
    unsetenv("LADDER_SERVER_PROT");
    unsetenv("LADDER_DATABASE_REPLICAS");
    unlink(path);
}

/* config/ladder.yaml documents every row with its default, and loads. */
static void test_the_shipped_file_is_complete(void **context)
{
    char path[1024], wanted[256], *text = calloc(1, 100000);
    struct error error;

    (void)context;
    snprintf(path, sizeof(path), "%s/config/ladder.yaml", getenv("LADDER_ROOT"));
    assert_true(settings_load(&settings, path, NULL, &error));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, 99999, file) > 0);
    fclose(file);
#define INT(section, name, fallback, min, max, unit, help)                                                             \
    snprintf(wanted, sizeof(wanted), "# " #name ": %lld\n", (long long)(fallback));                                    \
    if (!strstr(text, wanted))                                                                                         \
        fail_msg("config/ladder.yaml lacks: %s", wanted);
#define BOOL(section, name, fallback, help)
#define TEXT(section, name, fallback, help)                                                                            \
    if (!strstr(text, "# " #name ": \"" fallback "\"\n"))                                                              \
        fail_msg("config/ladder.yaml lacks: %s", #name);
#define SECRET(section, name, help) TEXT(section, name, "", help)
#define LIST(section, name, help)                                                                                      \
    if (!strstr(text, "# " #name ": []\n"))                                                                            \
        fail_msg("config/ladder.yaml lacks: %s", #name);
#include "conf/settings.tbl.h"
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_read),         cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_a_directory_is_no_file), cmocka_unit_test(test_a_long_path_keeps_the_line),
        cmocka_unit_test(test_the_environment_wins),   cmocka_unit_test(test_the_shipped_file_is_complete)};

    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
