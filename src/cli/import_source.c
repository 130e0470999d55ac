#include "cli/import_source.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/text.h"
#include "http/json.h"

enum { ARENA_BYTES_MAX = 1 << 20 };

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
    return import_time_read(&(struct import_time_format){IMPORT_TIME_AUTO, NULL}, slice_of(text), ret_time_us) ||
           error_set(error, ERROR_INVALID_PARAMETER, "--%s: \"%.60s\" is no RFC 3339 time or date", option, text);
}

typedef bool name_check_fn(struct slice name);

static bool member_parse(const char *option, name_check_fn *is_valid, const char *text, struct source_member *member,
                         struct error *error)
{
    const char *equals = strchr(text, '=');

    if (!equals || !is_valid((struct slice){text, (size_t)(equals - text)}))
        return error_set(error, ERROR_INVALID_PARAMETER, "--%s: \"%.60s\" is not NAME=COLUMN", option, text);
    snprintf(member->name, sizeof(member->name), "%.*s", (int)(equals - text), text);
    member->column_name = equals + 1;
    return true;
}

bool source_is_exported(struct source_options *options)
{
    if (options->player || options->score || options->subscore || options->at || options->at_format ||
        options->facet[0] || options->metadata[0] || options->metadata_json)
        return false;
    options->player = "player";
    options->score = "score";
    options->subscore = "subscore";
    options->at = "achieved_at";
    options->at_format = "rfc3339";
    options->metadata_json = "metadata";
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
        if (!member_parse("facet", facet_name_is_valid, options->facet[i], &source->facets[i], error))
            return false;
    for (size_t i = 0; i < options->metadata_count; i++)
        if (!member_parse("metadata", name_is_valid, options->metadata[i], &source->metadata[i], error))
            return false;
    if (options->metadata_count && options->metadata_json)
        return error_set(error, ERROR_INVALID_PARAMETER, "--metadata and --metadata-json exclude each other");
    if (options->at_format && !options->at)
        return error_set(error, ERROR_INVALID_PARAMETER, "--at-format: which column is the time? (--at)");
    return import_time_format_parse(options->at_format, &source->at_format, error) &&
           time_parse(options, "from", options->from, &source->from_us, error) &&
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

static bool members_find(const struct csv *header, const char *option, struct source_member *members, size_t count,
                         struct error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!column_need(header, option, slice_of(members[i].column_name), &members[i].column, error))
            return false;
    return true;
}

/* Columns as facet:country. */
static bool exported_facets_find(struct source *source, struct error *error)
{
    static const char prefix[] = "facet:";
    const struct csv *header = &source->csv;
    size_t count = 0;

    for (size_t i = 0; i < header->count; i++) {
        struct slice name = csv_field(header, i);
        if (name.size < sizeof(prefix) || memcmp(name.data, prefix, sizeof(prefix) - 1) != 0)
            continue;
        name = (struct slice){name.data + sizeof(prefix) - 1, name.size - (sizeof(prefix) - 1)};
        if (count == FACETS_MAX || !facet_name_is_valid(name))
            return error_set(error, ERROR_INVALID_BODY, "%.100s: \"facet:%.*s\" is no column of ladder export",
                             source->options.path, (int)(name.size < 40 ? name.size : 40), name.data);
        struct source_member *facet = &source->facets[count++];
        snprintf(facet->name, sizeof(facet->name), "%.*s", (int)name.size, name.data);
        facet->column_name = facet->name;
        facet->column = (int)i;
    }
    source->options.facet_count = count;
    return true;
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
    if (options->is_exported && !exported_facets_find(source, error))
        return false;
    source->at_column = source->metadata_json_column = -1;
    if (!column_need(csv, "player", slice_of(options->player), &source->player_column, error) ||
        (options->at && !column_need(csv, "at", slice_of(options->at), &source->at_column, error)) ||
        (options->metadata_json &&
         !column_need(csv, "metadata-json", slice_of(options->metadata_json), &source->metadata_json_column, error)) ||
        (!options->is_exported && !members_find(csv, "facet", source->facets, options->facet_count, error)) ||
        !members_find(csv, "metadata", source->metadata, options->metadata_count, error))
        return false;
    for (size_t i = 0; i < options->where_count; i++)
        if (!column_need(csv, "where", source->conditions[i].column_name, &source->conditions[i].column, error))
            return false;
    return origin_find(csv, "score", options->score, &source->score, error) &&
           origin_find(csv, "subscore", options->subscore ? options->subscore : "0", &source->subscore, error);
}

/* ---- the file ---- */

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
    while ((size = fread(bytes, 1, BLOCK, source->input.text)) > 0) {
        crypto_digest((struct slice){bytes, size}, digests + CRYPTO_HASH_SIZE);
        crypto_digest((struct slice){(char *)digests, sizeof(digests)}, hash);
        memcpy(digests, hash, sizeof(hash));
        source->size_bytes += (int64_t)size;
    }
    free(bytes);
    if (ferror(source->input.text))
        return import_input_fault(&source->input, options->path, error);
    buf_init(&text, 65536);
    buf_append(&text, digests, CRYPTO_HASH_SIZE);
    buf_printf(&text, "%s|%s|%s|%s|%s|%s", options->player, options->score, options->subscore ? options->subscore : "",
               options->at ? options->at : "", options->from ? options->from : "",
               options->until ? options->until : "");
    for (size_t i = 0; i < options->where_count; i++)
        buf_printf(&text, "|%s", options->where[i]);
    for (size_t i = 0; i < options->facet_count; i++)
        buf_printf(&text, "|facet %s", options->facet[i]);
    for (size_t i = 0; i < options->metadata_count; i++)
        buf_printf(&text, "|metadata %s", options->metadata[i]);
    if (options->metadata_json)
        buf_printf(&text, "|metadata-json %s", options->metadata_json);
    if (options->at_format)
        buf_printf(&text, "|at-format %s", options->at_format);
    crypto_digest(buf_slice(&text), hash);
    buf_done(&text);
    text_hex_encode(hash, sizeof(hash), source->hash);
    return true;
}

bool source_open(struct source *source, const struct source_options *options, struct error *error)
{
    *source = (struct source){.options = *options, .input.file = -1, .now_us = clock_realtime_us()};
    arena_init(&source->arena, ARENA_BYTES_MAX);
    buf_init(&source->facets_text, 65536);
    buf_init(&source->metadata_text, 65536);
    return options_take(source, error) && import_input_open(&source->input, options->path, error) &&
           hash_make(source, error) && source_rewind(source, error);
}

void source_close(struct source *source)
{
    csv_done(&source->csv);
    buf_done(&source->facets_text);
    buf_done(&source->metadata_text);
    arena_done(&source->arena);
    import_input_close(&source->input);
}

bool source_rewind(struct source *source, struct error *error)
{
    csv_done(&source->csv);
    if (!import_input_rewind(&source->input, source->options.path, error))
        return false;
    csv_init(&source->csv, source->input.text);
    return header_read(source, error);
}

double source_share(const struct source *source)
{
    return source->size_bytes
               ? (double)(source->csv.bytes - (int64_t)(source->csv.end - source->csv.at)) / (double)source->size_bytes
               : 1;
}

/* ---- rows ---- */

static bool bad_value(struct source *source, enum reject_reason reason, const char *column, struct slice value,
                      const char *what, struct error *error)
{
    source->reason = reason;
    return error_set(error, ERROR_INVALID_BODY, "column %.40s: \"%.*s\" %s", column,
                     (int)(value.size < 40 ? value.size : 40), value.data, what);
}

static bool number_read(struct source *source, const struct source_origin *origin, enum reject_reason reason,
                        const char *name, int64_t *ret_value, struct error *error)
{
    *ret_value = origin->constant;
    if (origin->column < 0)
        return true;
    struct slice text = csv_field(&source->csv, (size_t)origin->column);
    return text_parse_int64(text, ret_value) || bad_value(source, reason, name, text, "is not a 64-bit integer", error);
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
        const struct source_member *facet = &source->facets[i];
        struct slice value = csv_field(&source->csv, (size_t)facet->column);
        struct error reason;
        if (value.size == 0)
            continue;
        if (!facet_value_check(value, "facet", &reason))
            return bad_value(source, REJECT_FACET, facet->column_name, value, reason.message, error);
        jsonw_key(&json, facet->name);
        jsonw_string(&json, value);
    }
    jsonw_object_close(&json);
    ret_row->facets = buf_slice(&source->facets_text);
    return true;
}

/* One column with all of it: read and kept as POST scores does. */
static bool metadata_json_read(struct source *source, struct submission *ret_row, struct error *error)
{
    static const char *const names[] = {"metadata", NULL};
    struct slice text = csv_field(&source->csv, (size_t)source->metadata_json_column);
    struct buf *body = &source->metadata_text;
    struct json_document document = {.root = NULL};
    struct json_object object;
    struct error reason;

    if (text.size == 0)
        return true;
    buf_reset(body);
    buf_append_text(body, "{\"metadata\":");
    buf_append_slice(body, text);
    buf_append_byte(body, '}');
    arena_reset(&source->arena);
    bool is_ok = json_document_parse(&document, buf_slice(body), &reason) &&
                 json_root_object(&document, &object, &reason) && json_object_only(&object, names, &reason) &&
                 json_read_raw(&object, "metadata", METADATA_BYTES_MAX, &source->arena, &ret_row->metadata, &reason);
    json_document_free(&document);
    return is_ok || bad_value(source, REJECT_METADATA, source->options.metadata_json, text, reason.message, error);
}

/* A column for each string of it. A row whose columns are all empty has none. */
static bool metadata_read(struct source *source, struct submission *ret_row, struct error *error)
{
    struct jsonw json;
    bool is_empty = true;

    buf_reset(&source->metadata_text);
    jsonw_init(&json, &source->metadata_text);
    jsonw_object_open(&json);
    for (size_t i = 0; i < source->options.metadata_count; i++) {
        const struct source_member *member = &source->metadata[i];
        struct slice value = csv_field(&source->csv, (size_t)member->column);
        if (!text_is_utf8(value))
            return bad_value(source, REJECT_METADATA, member->column_name, slice_of(""), "is not UTF-8", error);
        if (value.size == 0)
            continue;
        is_empty = false;
        jsonw_key(&json, member->name);
        jsonw_string(&json, value);
    }
    jsonw_object_close(&json);
    struct slice text = buf_slice(&source->metadata_text);
    if (text.size > METADATA_BYTES_MAX) {
        source->reason = REJECT_METADATA;
        return error_set(error, ERROR_INVALID_BODY, "the metadata has %zu bytes, the limit is %d", text.size,
                         METADATA_BYTES_MAX);
    }
    if (!is_empty)
        ret_row->metadata = text;
    return true;
}

static bool at_read(struct source *source, struct submission *ret_row, struct error *error)
{
    const struct source_options *options = &source->options;
    char what[120];

    if (source->at_column < 0)
        return true;
    struct slice text = csv_field(&source->csv, (size_t)source->at_column);
    if (import_time_read(&source->at_format, text, &ret_row->at_us))
        return true;
    snprintf(what, sizeof(what), "is not a time of the format \"%.60s\"", options->at_format);
    return bad_value(source, REJECT_TIME, options->at, text,
                     options->at_format ? what : "is no RFC 3339 time, date or epoch (--at-format)", error);
}

/* What a wanted row says. */
static bool values_read(struct source *source, struct submission *ret_row, struct error *error)
{
    const struct source_options *options = &source->options;
    struct error reason;

    ret_row->player = csv_field(&source->csv, (size_t)source->player_column);
    if (!player_check(ret_row->player, "player", &reason)) {
        source->reason = REJECT_PLAYER;
        return error_set(error, ERROR_INVALID_BODY, "column %.40s: %s", options->player, reason.message);
    }
    ret_row->takes_metadata = options->metadata_count > 0 || options->metadata_json;
    return number_read(source, &source->score, REJECT_SCORE, options->score, &ret_row->score, error) &&
           number_read(source, &source->subscore, REJECT_SUBSCORE, options->subscore ? options->subscore : "",
                       &ret_row->subscore, error) &&
           at_read(source, ret_row, error) && facets_read(source, ret_row, error) &&
           (options->metadata_count == 0 || metadata_read(source, ret_row, error)) &&
           (!options->metadata_json || metadata_json_read(source, ret_row, error));
}

static enum source_outcome row_read(struct source *source, struct submission *ret_row, struct error *error)
{
    const struct source_options *options = &source->options;
    const struct csv *csv = &source->csv;

    *ret_row = (struct submission){.at_us = source->now_us, .line = csv->line};
    if (csv->count != source->columns) {
        source->reason = REJECT_FIELDS;
        error_set(error, ERROR_INVALID_BODY, "%zu fields, the header has %zu", csv->count, source->columns);
        return SOURCE_BAD_ROW;
    }
    for (size_t i = 0; i < options->where_count; i++) {
        const struct source_condition *condition = &source->conditions[i];
        if (slice_equal(csv_field(csv, (size_t)condition->column), condition->value) != condition->is_equal)
            return SOURCE_UNWANTED;
    }
    if (!values_read(source, ret_row, error))
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
