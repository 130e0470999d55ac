#include "unit.h"

#include <unistd.h>

#include "cli/csv.h"
#include "cli/import_source.h"

static FILE *file_of(const char *text, size_t size)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    rewind(file);
    return file;
}

/* Reads all: fields joined by '|', rows by '/', and how it ended: '.' or the error. */
static void read_all(const char *text, size_t size, char *out, size_t out_max)
{
    FILE *file = file_of(text, size);
    struct csv csv;
    struct error error;
    enum csv_outcome outcome;
    size_t at = 0;

    csv_init(&csv, file);
    while ((outcome = csv_next(&csv, &error)) == CSV_ROW) {
        for (size_t i = 0; i < csv.count; i++) {
            struct slice field = csv_field(&csv, i);
            at += (size_t)snprintf(out + at, out_max - at, "%.*s%s", (int)field.size, field.data,
                                   i + 1 < csv.count ? "|" : "/");
            assert_true(at < out_max);
        }
    }
    snprintf(out + at, out_max - at, "%s", outcome == CSV_END ? "." : error.message);
    csv_done(&csv);
    fclose(file);
}

static void test_csv_of_every_shape(void **context)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", "."},
        {"a", "a/."},
        {"a,b\n1,2\n", "a|b/1|2/."},
        {"a,b\r\n1,2", "a|b/1|2/."},
        {"\n\na\n\r\nb\n\n", "a/b/."},
        {"a,,\n,\n", "a||/|/."},
        {"\"a\",\"b,c\"\n", "a|b,c/."},
        {"\"say \"\"yes\"\"\",\"\"\n", "say \"yes\"|/."},
        {"\"two\nlines\"\r\nx\n", "two\nlines/x/."},
        {"\"a\rb\",c\r\n", "a\rb|c/."},
        {"a\rb,c\n", "a\rb|c/."},
        {"\xEF\xBB\xBF"
         "a,b\n",
         "a|b/."},
        {"\xEF\xBB", "line 1: a byte order mark is cut"},
        {"a\n\"b\nc", "a/line 2: a quote is not closed"},
        {"a\n\n\"b\nc\"\nd\"e\n", "a/b\nc/line 5: there is a quote inside an unquoted field"},
        {"\"a\"b\n", "line 1: there is text behind a closing quote"},
    };
    char out[4096];

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_all(cases[i].text, strlen(cases[i].text), out, sizeof(out));
        if (strcmp(out, cases[i].wanted) != 0)
            fail_msg("case %zu: %s", i, out);
    }
}

static void test_csv_limits(void **context)
{
    enum { LONG = CSV_FIELD_MAX + 1 };
    char text[LONG + 3], out[2 * LONG];

    (void)context;
    memset(text, 'x', sizeof(text));
    text[CSV_FIELD_MAX] = '\n';
    read_all(text, CSV_FIELD_MAX + 1, out, sizeof(out));
    assert_int_equal(strlen(out), CSV_FIELD_MAX + 2);
    text[CSV_FIELD_MAX] = 'x';
    read_all(text, LONG, out, sizeof(out));
    assert_string_equal(out, "line 1: a field is longer than 4096 bytes");
    text[0] = '"';
    text[LONG] = '"';
    read_all(text, LONG + 1, out, sizeof(out));
    assert_int_equal(strlen(out), CSV_FIELD_MAX + 2);
    memset(text, ',', CSV_FIELDS_MAX - 1);
    read_all(text, CSV_FIELDS_MAX - 1, out, sizeof(out));
    assert_int_equal(strlen(out), CSV_FIELDS_MAX + 1);
    text[CSV_FIELDS_MAX - 1] = ',';
    read_all(text, CSV_FIELDS_MAX, out, sizeof(out));
    assert_string_equal(out, "line 1: more than 256 fields");
}

/* Wherever a block of the file ends, the rows are the same. */
static void test_csv_over_the_edge_of_a_block(void **context)
{
    static const char row[] = "\"a \"\"b\"\", c\",2026-01-01,\"x\ny\"\r\n";
    enum { ROWS = 4 };
    char *text = malloc(CSV_BLOCK + sizeof(row) * ROWS), out[CSV_BLOCK + 256];

    (void)context;
    assert_non_null(text);
    for (size_t lead = CSV_BLOCK - sizeof(row) - 1; lead <= CSV_BLOCK + 1; lead++) {
        memset(text, '\n', lead);
        for (size_t i = 0; i < ROWS; i++)
            memcpy(text + lead + i * (sizeof(row) - 1), row, sizeof(row) - 1);
        read_all(text, lead + ROWS * (sizeof(row) - 1), out, sizeof(out));
        assert_string_equal(out, "a \"b\", c|2026-01-01|x\ny/a \"b\", c|2026-01-01|x\ny/a \"b\", c|2026-01-01|x\ny/a "
                                 "\"b\", c|2026-01-01|x\ny/.");
    }
    free(text);
}

static const char rows_text[] =
    "player,at,rating,list\nann,2000-01-01,2851,a\nbob,2000-02-01,2700,b\nann,2000-02-01,oops,a\ncy,2001-01-01,1,b\n";

/* The players that the options let in, "!" for a bad row, "-" for one left out. */
static void source_read(const char *path, struct source_options options, char *out)
{
    struct source source;
    struct submission row;
    struct error error = {.message = ""};
    enum source_outcome outcome;

    options.path = path;
    options.player = "player";
    options.score = options.score ? options.score : "rating";
    out[0] = 0;
    if (!source_open(&source, &options, &error)) {
        strcpy(out, error.message);
        source_close(&source);
        return;
    }
    while ((outcome = source_next(&source, &row, &error)) != SOURCE_END && outcome != SOURCE_FAILED)
        snprintf(out + strlen(out), 200, "%.*s ", outcome == SOURCE_ROW ? (int)row.player.size : 1,
                 outcome == SOURCE_ROW       ? row.player.data
                 : outcome == SOURCE_BAD_ROW ? "!"
                                             : "-");
    assert_true(source_share(&source) == 1);
    source_close(&source);
}

static void test_a_source_takes_what_the_options_say(void **context)
{
    char path[] = "/tmp/unit_cli.XXXXXX", out[1024];
    int fd = mkstemp(path);

    (void)context;
    assert_int_equal(write(fd, rows_text, sizeof(rows_text) - 1), sizeof(rows_text) - 1);
    close(fd);
    source_read(path, (struct source_options){.at = "at"}, out);
    assert_string_equal(out, "ann bob ! cy ");
    source_read(path, (struct source_options){.at = "at", .score = "1", .from = "2000-02-01", .until = "2001-01-01"},
                out);
    assert_string_equal(out, "- bob ann - ");
    source_read(path, (struct source_options){.at = "at", .score = "1", .until = "2000-02-01T00:30:00+01:00"}, out);
    assert_string_equal(out, "ann - - - ");
    source_read(path, (struct source_options){.where = {"list=a", "rating!=oops"}, .where_count = 2}, out);
    assert_string_equal(out, "ann - - - ");
    source_read(path, (struct source_options){.where = {"list!=b"}, .where_count = 1}, out);
    assert_string_equal(out, "ann - ! - ");
    source_read(path, (struct source_options){.from = "2000-01-01"}, out);
    assert_string_equal(out, "--from: which column is the time? (--at)");
    source_read(path, (struct source_options){.at = "at", .until = "soon"}, out);
    assert_string_equal(out, "--until: \"soon\" is no RFC 3339 time or date");
    source_read(path, (struct source_options){.where = {"list"}, .where_count = 1}, out);
    assert_string_equal(out, "--where: \"list\" is not COLUMN=VALUE or COLUMN!=VALUE");
    source_read(path, (struct source_options){.where = {"lost=a"}, .where_count = 1}, out);
    assert_string_equal(out, "--where: the file has no column \"lost\"");
    unlink(path);
}

static void hash_of(const char *path, struct source_options options, char *out)
{
    struct source source;
    struct error error;

    options.path = path;
    assert_true(source_open(&source, &options, &error));
    strcpy(out, source.hash);
    source_close(&source);
}

/* What makes another import has another hash, or rows would be taken for those that are in. */
static void test_a_source_is_known_by_its_bytes_and_options(void **context)
{
    static const struct source_options options[] = {
        {.player = "player", .score = "rating"},
        {.player = "list", .score = "rating"},
        {.player = "player", .score = "1"},
        {.player = "player", .score = "rating", .subscore = "1"},
        {.player = "player", .score = "rating", .at = "at"},
        {.player = "player", .score = "rating", .at = "at", .from = "2000-01-01"},
        {.player = "player", .score = "rating", .at = "at", .until = "2000-01-01"},
        {.player = "player", .score = "rating", .where = {"list=a"}, .where_count = 1},
        {.player = "player", .score = "rating", .where = {"list!=a"}, .where_count = 1},
        {.player = "player", .score = "rating", .at = "at", .at_format = "rfc3339"},
        {.player = "player", .score = "rating", .metadata = {"list=list"}, .metadata_count = 1},
        {.player = "player", .score = "rating", .metadata_json = "list"},
    };
    enum { COUNT = sizeof(options) / sizeof(options[0]) };
    char path[] = "/tmp/unit_cli.XXXXXX", hashes[COUNT + 1][SOURCE_HASH_TEXT], again[SOURCE_HASH_TEXT];
    FILE *file = fdopen(mkstemp(path), "w");

    (void)context;
    fputs(rows_text, file);
    fflush(file);
    for (size_t i = 0; i < COUNT; i++)
        hash_of(path, options[i], hashes[i]);
    hash_of(path, options[0], again);
    assert_string_equal(again, hashes[0]);
    fputc('\n', file);
    fflush(file);
    hash_of(path, options[0], hashes[COUNT]);
    fclose(file);
    unlink(path);
    for (size_t i = 0; i <= COUNT; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(hashes[i], hashes[j]) == 0)
                fail_msg("%zu and %zu are taken for one import", j, i);
}

static void test_csv_append_is_read_again(void **context)
{
    static const char *const fields[] = {"", "a", " a", "a,b", "say \"yes\"", "two\nlines", "a\r", "\"", "ü"};
    struct csv csv;
    struct error error;
    struct buf text;

    (void)context;
    buf_init(&text, 4096);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (i)
            buf_append_byte(&text, ',');
        csv_append(&text, slice_of(fields[i]));
    }
    FILE *file = file_of(text.data, text.size);
    csv_init(&csv, file);
    assert_int_equal(csv_next(&csv, &error), CSV_ROW);
    assert_int_equal(csv.count, sizeof(fields) / sizeof(fields[0]));
    for (size_t i = 0; i < csv.count; i++)
        assert_true(slice_is(csv_field(&csv, i), fields[i]));
    csv_done(&csv);
    fclose(file);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_csv_of_every_shape),
                                       cmocka_unit_test(test_csv_limits),
                                       cmocka_unit_test(test_csv_over_the_edge_of_a_block),
                                       cmocka_unit_test(test_csv_append_is_read_again),
                                       cmocka_unit_test(test_a_source_takes_what_the_options_say),
                                       cmocka_unit_test(test_a_source_is_known_by_its_bytes_and_options)};

    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
