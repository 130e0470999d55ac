#include "cli/import_source.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/text.h"

static bool file_fail(const struct source *source, const char *what, struct error *error)
{
    return error_set(error, ERROR_CONFIG, "%.200s: %s: %s", source->options.path, what, strerror(errno));
}

/* ---- options ---- */

static bool condition_parse(const char *text, struct source_condition *condition, struct error *error)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text)
        return error_set(error, ERROR_INVALID_PARAMETER, "--where: \"%.60s\" is not COLUMN=VALUE or COLUMN!=VALUE",
                         text);
    condition->is_equal = equals[-1] != '!';
    condition->column_name = (struct slice){text, (size_t)(equals - text) - !condition->is_equal};
    condition->value = slice_of(equals + 1);
    return true;
}

static bool time_parse(const struct source_options *options, const char *option, const char *text, int64_t *ret_time_us,
                       struct error *error)
{
    if (!text)
        return true;
    if (!options->at)
        return error_set(error, ERROR_INVALID_PARAMETER, "--%s: which column is the time? (--at)", option);
    return clock_parse(slice_of(text), ret_time_us) ||
           error_set(error, ERROR_INVALID_PARAMETER, "--%s: \"%.60s\" is no RFC 3339 time or date", option, text);
}

static bool facet_parse(const char *text, struct source_facet *facet, struct error *error)
{
    const char *equals = strchr(text, '=');

    if (!equals || !facet_name_is_valid((struct slice){text, (size_t)(equals - text)}))
        return error_set(error, ERROR_INVALID_PARAMETER, "--facet: \"%.60s\" is not NAME=COLUMN", text);
    snprintf(facet->name, sizeof(facet->name), "%.*s", (int)(equals - text), text);
    facet->column_name = equals + 1;
    return true;
}

static bool options_take(struct source *source, struct error *error)
{
    const struct source_options *options = &source->options;

    source->from_us = INT64_MIN;
    source->until_us = INT64_MAX;
    for (size_t i = 0; i < options->where_count; i++)
        if (!condition_parse(options->where[i], &source->conditions[i], error))
            return false;
    for (size_t i = 0; i < options->facet_count; i++)
        if (!facet_parse(options->facet[i], &source->facets[i], error))
            return false;
    return time_parse(options, "from", options->from, &source->from_us, error) &&
           time_parse(options, "until", options->until, &source->until_us, error);
}

/* ---- the header ---- */

static int column_find(const struct csv *header, struct slice name)
{
    for (size_t i = 0; i < header->count; i++)
        if (slice_equal(csv_field(header, i), name))
            return (int)i;
    return -1;
}

static bool column_need(const struct csv *header, const char *option, struct slice name, int *ret_column,
                        struct error *error)
{
    *ret_column = column_find(header, name);
    return *ret_column >= 0 || error_set(error, ERROR_INVALID_PARAMETER, "--%s: the file has no column \"%.*s\"",
                                         option, (int)(name.size < 60 ? name.size : 60), name.data);
}

static bool origin_find(const struct csv *header, const char *option, const char *text,
                        struct source_origin *ret_origin, struct error *error)
{
    *ret_origin = (struct source_origin){.column = column_find(header, slice_of(text))};
    if (ret_origin->column >= 0 || text_parse_int64(slice_of(text), &ret_origin->constant))
        return true;
    return error_set(error, ERROR_INVALID_PARAMETER, "--%s: the file has no column \"%.60s\", and it is no integer",
                     option, text);
}

static bool header_read(struct source *source, struct error *error)
{
    const struct source_options *options = &source->options;
    struct csv *csv = &source->csv;
    struct error reason;

    switch (csv_next(csv, &reason)) {
    case CSV_ROW:
        break;
    case CSV_END:
        return error_set(error, ERROR_INVALID_BODY, "%.100s: no header row", options->path);
    case CSV_BAD:
        return error_set(error, ERROR_INVALID_BODY, "%.100s: %s", options->path, reason.message);
    }
    source->columns = csv->count;
    source->at_column = -1;
    if (!column_need(csv, "player", slice_of(options->player), &source->player_column, error) ||
        (options->at && !column_need(csv, "at", slice_of(options->at), &source->at_column, error)))
        return false;
    for (size_t i = 0; i < options->where_count; i++)
        if (!column_need(csv, "where", source->conditions[i].column_name, &source->conditions[i].column, error))
            return false;
    for (size_t i = 0; i < options->facet_count; i++)
        if (!column_need(csv, "facet", slice_of(source->facets[i].column_name), &source->facets[i].column, error))
            return false;
    return origin_find(csv, "score", options->score, &source->score, error) &&
           origin_find(csv, "subscore", options->subscore ? options->subscore : "0", &source->subscore, error);
}

/* ---- the file ---- */

static bool file_open(struct source *source, struct error *error)
{
    char bytes[65536];
    size_t size;

    if (strcmp(source->options.path, "-") != 0) {
        source->file = fopen(source->options.path, "r");
        return source->file || file_fail(source, "cannot be read", error);
    }
    source->file = tmpfile();
    if (!source->file)
        return file_fail(source, "no temporary file", error);
    while ((size = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
        if (fwrite(bytes, 1, size, source->file) != size)
            return file_fail(source, "the temporary file cannot be written", error);
    if (ferror(stdin))
        return file_fail(source, "cannot be read", error);
    if (fflush(source->file) != 0)
        return file_fail(source, "the temporary file cannot be written", error);
    rewind(source->file);
    return true;
}

static bool hash_make(struct source *source, struct error *error)
{
    enum { BLOCK = 1 << 20 };
    const struct source_options *options = &source->options;
    uint8_t digests[2 * CRYPTO_HASH_SIZE] = {0}, hash[CRYPTO_HASH_SIZE];
    char *bytes = malloc(BLOCK);
    struct buf text;
    size_t size;

    ASSERT(bytes != NULL);
    /* A chain of digests, block by block. */
    while ((size = fread(bytes, 1, BLOCK, source->file)) > 0) {
        crypto_digest((struct slice){bytes, size}, digests + CRYPTO_HASH_SIZE);
        crypto_digest((struct slice){(char *)digests, sizeof(digests)}, hash);
        memcpy(digests, hash, sizeof(hash));
        source->size_bytes += (int64_t)size;
    }
    free(bytes);
    if (ferror(source->file))
        return file_fail(source, "cannot be read", error);
    buf_init(&text, 65536);
    buf_append(&text, digests, CRYPTO_HASH_SIZE);
    buf_printf(&text, "%s|%s|%s|%s|%s|%s", options->player, options->score, options->subscore ? options->subscore : "",
               options->at ? options->at : "", options->from ? options->from : "",
               options->until ? options->until : "");
    for (size_t i = 0; i < options->where_count; i++)
        buf_printf(&text, "|%s", options->where[i]);
    for (size_t i = 0; i < options->facet_count; i++)
        buf_printf(&text, "|facet %s", options->facet[i]);
    crypto_digest(buf_slice(&text), hash);
    buf_done(&text);
    text_hex_encode(hash, sizeof(hash), source->hash);
    return true;
}

bool source_open(struct source *source, const struct source_options *options, struct error *error)
{
    *source = (struct source){.options = *options, .now_us = clock_realtime_us()};
    buf_init(&source->facets_text, 65536);
    return options_take(source, error) && file_open(source, error) && hash_make(source, error) &&
           source_rewind(source, error);
}

void source_close(struct source *source)
{
    csv_done(&source->csv);
    buf_done(&source->facets_text);
    if (source->file)
        fclose(source->file);
    source->file = NULL;
}

bool source_rewind(struct source *source, struct error *error)
{
    csv_done(&source->csv);
    rewind(source->file);
    csv_init(&source->csv, source->file);
    return header_read(source, error);
}

double source_share(const struct source *source)
{
    return source->size_bytes
               ? (double)(source->csv.bytes - (int64_t)(source->csv.end - source->csv.at)) / (double)source->size_bytes
               : 1;
}

/* ---- rows ---- */

static enum source_outcome bad_value(const struct source *source, const char *column, struct slice value,
                                     const char *what, struct error *error)
{
    error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: \"%.*s\" %s", source->options.path,
              (long long)source->csv.line, column, (int)(value.size < 40 ? value.size : 40), value.data, what);
    return SOURCE_BAD_ROW;
}

static bool number_read(const struct source *source, const struct source_origin *origin, const char *name,
                        int64_t *ret_value, struct error *error)
{
    *ret_value = origin->constant;
    if (origin->column < 0)
        return true;
    struct slice text = csv_field(&source->csv, (size_t)origin->column);
    if (text_parse_int64(text, ret_value))
        return true;
    bad_value(source, name, text, "is not a 64-bit integer", error);
    return false;
}

/* The row's facets as POST scores has them. */
static bool facets_read(struct source *source, struct submission *ret_row, struct error *error)
{
    struct jsonw json;

    if (source->options.facet_count == 0)
        return true;
    buf_reset(&source->facets_text);
    jsonw_init(&json, &source->facets_text);
    jsonw_object_open(&json);
    for (size_t i = 0; i < source->options.facet_count; i++) {
        const struct source_facet *facet = &source->facets[i];
        struct slice value = csv_field(&source->csv, (size_t)facet->column);
        struct error reason;
        if (value.size == 0)
            continue;
        if (!facet_value_check(value, "facet", &reason)) {
            bad_value(source, facet->column_name, value, reason.message, error);
            return false;
        }
        jsonw_key(&json, facet->name);
        jsonw_string(&json, value);
    }
    jsonw_object_close(&json);
    ret_row->facets = buf_slice(&source->facets_text);
    return true;
}

static enum source_outcome row_read(struct source *source, struct submission *ret_row, struct error *error)
{
    const struct source_options *options = &source->options;
    const struct csv *csv = &source->csv;
    struct error reason;

    *ret_row = (struct submission){.at_us = source->now_us};
    if (csv->count != source->columns) {
        error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: %zu fields, the header has %zu", options->path,
                  (long long)csv->line, csv->count, source->columns);
        return SOURCE_BAD_ROW;
    }
    for (size_t i = 0; i < options->where_count; i++) {
        const struct source_condition *condition = &source->conditions[i];
        if (slice_equal(csv_field(csv, (size_t)condition->column), condition->value) != condition->is_equal)
            return SOURCE_UNWANTED;
    }
    ret_row->player = csv_field(csv, (size_t)source->player_column);
    if (!player_check(ret_row->player, "player", &reason)) {
        error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: %s", options->path, (long long)csv->line,
                  options->player, reason.message);
        return SOURCE_BAD_ROW;
    }
    if (!number_read(source, &source->score, options->score, &ret_row->score, error) ||
        !number_read(source, &source->subscore, options->subscore ? options->subscore : "", &ret_row->subscore, error))
        return SOURCE_BAD_ROW;
    if (source->at_column >= 0) {
        struct slice at = csv_field(csv, (size_t)source->at_column);
        if (!clock_parse(at, &ret_row->at_us))
            return bad_value(source, options->at, at, "is no RFC 3339 time or date", error);
    }
    if (!facets_read(source, ret_row, error))
        return SOURCE_BAD_ROW;
    return ret_row->at_us >= source->from_us && ret_row->at_us < source->until_us ? SOURCE_ROW : SOURCE_UNWANTED;
}

enum source_outcome source_next(struct source *source, struct submission *ret_row, struct error *error)
{
    struct error reason;

    switch (csv_next(&source->csv, &reason)) {
    case CSV_ROW:
        return row_read(source, ret_row, error);
    case CSV_END:
        return SOURCE_END;
    case CSV_BAD:
        break;
    }
    error_set(error, ERROR_INVALID_BODY, "%.100s: %s", source->options.path, reason.message);
    return SOURCE_FAILED;
}
