/*
 * combination.c -- what a board is made of: /boards/{board}/combination.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "db/array.h"
#include "http/json.h"

enum { SOURCES_MAX = 50, WEIGHT_MAX = 1000000, ARRAY_BYTES_MAX = 65536 };

struct combination {
    struct api_call *call;
    struct slice rule;
    struct slice names[SOURCES_MAX]; /* in the arena */
    int64_t weights[SOURCES_MAX];
    size_t count;
};

static void combination_fail(struct api_call *call, const struct error *error)
{
    struct http_request *http = call->http;

    api_fail(call, error);
    http_release(http);
}

/* ---- what there is ---- */

static void combination_render(struct jsonw *json, struct db_rows rows)
{
    jsonw_object_open(json);
    jsonw_key(json, "by");
    jsonw_text(json, db_text(rows, 0, 0));
    jsonw_key(json, "of");
    jsonw_array_open(json);
    for (int i = 0; i < db_row_count(rows); i++) {
        if (db_is_null(rows, i, 2))
            continue; /* deleted */
        jsonw_object_open(json);
        jsonw_key(json, "board");
        jsonw_text(json, db_text(rows, i, 2));
        jsonw_key(json, "weight");
        jsonw_number(json, db_int64(rows, i, 3));
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
    jsonw_key(json, "combined_at");
    if (db_is_null(rows, 0, 1))
        jsonw_null(json);
    else
        jsonw_time(json, db_int64(rows, 0, 1));
    jsonw_object_close(json);
}

static void on_found(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct api_call *call = context;
    struct error error;
    struct jsonw json;
    struct buf body;

    call->source = store_source_of(outcome, source);
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        combination_fail(call, &error);
        return;
    }
    if (db_row_count(outcome->rows[0]) == 0) {
        error_set(&error, ERROR_NOT_FOUND, "the board is not made of others");
        combination_fail(call, &error);
        return;
    }
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    combination_render(&json, outcome->rows[0]);
    api_answer(call, 200, &body, call->written);
    http_release(call->http);
}

static struct db_call board_statement(struct api_call *call, enum statement statement)
{
    return (struct db_call){
        .statement = statement,
        .parameter_count = 1,
        .is_last_of_transaction = true,
        .parameters = {{.data = arena_printf(call->arena, "%lld", (long long)call->board.id), .format = DB_TEXT}}};
}

/* From the primary: it is shown after a change, too. The request is held. */
static void find_send(struct api_call *call)
{
    const struct db_call read = board_statement(call, STATEMENT_combination_find);
    struct error error;

    if (api_read_primary(call, &read, on_found, call))
        return;
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    combination_fail(call, &error);
}

void api_combination_get(struct api_call *call)
{
    http_hold(call->http);
    find_send(call);
}

/* ---- changes ---- */

static bool write_ended(struct api_call *call, const struct db_outcome *outcome)
{
    struct error error;

    store_board_forget_all(call->store, call->game, call->board_name);
    if (outcome->error.code == ERROR_NONE)
        return true;
    if (outcome->error.code == ERROR_WRITE_UNCERTAIN)
        error_set(&error, ERROR_UNAVAILABLE,
                  "the connection to the database was lost; it may or may not have been changed: send it again");
    else
        store_error_of(outcome, &error);
    combination_fail(call, &error);
    return false;
}

static void on_put(void *context, const struct db_outcome *outcome)
{
    struct combination *combination = context;
    struct api_call *call = combination->call;
    struct error error;
    char pointer[ERROR_FIELD_MAX];
    long long standing = 0;
    int source;

    if (!write_ended(call, outcome))
        return;
    const char *said = db_text(outcome->rows[0], 0, 0);
    if (sscanf(said, "combined %lld", &standing) == 1)
        api_standing_written(call, call->board.game_id, outcome->rows[1], standing);
    else
        api_definition_written(call, call->board.game_id, outcome->rows[1]);
    if (standing || strcmp(said, "ok") == 0) {
        find_send(call);
        return;
    }
    if (strcmp(said, "gone") == 0) {
        error_set(&error, ERROR_BOARD_NOT_FOUND, "there is no board \"%s\"", call->board.name);
    } else if (strcmp(said, "windows") == 0) {
        error_set(&error, ERROR_CONFLICT, "only a board whose one window is all can be made of others");
    } else if (strcmp(said, "is a source") == 0) {
        error_set(&error, ERROR_CONFLICT, "another board is made of this one");
    } else if (strcmp(said, "has scores") == 0) {
        error_set(&error, ERROR_CONFLICT, "the board has had scores of its own");
    } else if (sscanf(said, "source %d", &source) == 1) {
        snprintf(pointer, sizeof(pointer), "/of/%d/board", source);
        error_set_field(&error, ERROR_INVALID_BODY, pointer,
                        "must be another board of the game, with the window all, and not made of others itself");
    } else {
        error_set(&error, ERROR_INTERNAL, "unknown outcome");
    }
    combination_fail(call, &error);
}

static bool source_read(struct combination *combination, const struct json_object *object, struct error *error)
{
    static const char *const names[] = {"board", "weight", NULL};
    struct slice name = {NULL, 0};
    int64_t weight = 1;
    char pointer[ERROR_FIELD_MAX];

    if (!json_object_only(object, names, error) || !json_read_text(object, "board", true, &name, error) ||
        !json_read_int64(object, "weight", false, &weight, error))
        return false;
    snprintf(pointer, sizeof(pointer), "%.50s/board", object->pointer);
    for (size_t i = 0; i < combination->count; i++)
        if (slice_equal(combination->names[i], name))
            return error_set_field(error, ERROR_INVALID_BODY, pointer, "is there twice");
    snprintf(pointer, sizeof(pointer), "%.50s/weight", object->pointer);
    if (weight == 0 || weight < -WEIGHT_MAX || weight > WEIGHT_MAX)
        return error_set_field(error, ERROR_INVALID_BODY, pointer, "must be an integer from -%d to %d, and not 0",
                               WEIGHT_MAX, WEIGHT_MAX);
    combination->names[combination->count] = arena_copy(combination->call->arena, name);
    combination->weights[combination->count++] = weight;
    return true;
}

static bool combination_read(struct combination *combination, const struct json_document *document, struct error *error)
{
    static const char *const names[] = {"by", "of", "combined_at", NULL};
    struct json_object object, item;
    struct slice rule = {NULL, 0};
    size_t count = 0;

    if (!json_root_object(document, &object, error) || !json_object_only(&object, names, error) ||
        !json_read_text(&object, "by", true, &rule, error) ||
        !json_read_array(&object, "of", SOURCES_MAX, &count, error))
        return false;
    if (!slice_is(rule, "sum") && !slice_is(rule, "max") && !slice_is(rule, "min"))
        return error_set_field(error, ERROR_INVALID_BODY, "/by", "must be sum, max or min");
    combination->rule = arena_copy(combination->call->arena, rule);
    if (count == 0)
        return error_set_field(error, ERROR_INVALID_BODY, "/of", "must name 1 to %d boards", SOURCES_MAX);
    for (size_t i = 0; i < count; i++)
        if (!json_array_object(&object, "of", i, &item, error) || !source_read(combination, &item, error))
            return false;
    return true;
}

static bool put_send(struct combination *combination)
{
    struct api_call *call = combination->call;
    struct db_array names, weights;

    db_array_init(&names, DB_TYPE_TEXT, ARRAY_BYTES_MAX);
    db_array_init(&weights, DB_INT8, ARRAY_BYTES_MAX);
    for (size_t i = 0; i < combination->count; i++) {
        db_array_bytes(&names, combination->names[i]);
        db_array_int8(&weights, combination->weights[i]);
    }
    if (names.bytes.is_overflown || weights.bytes.is_overflown) {
        db_array_done(&names);
        db_array_done(&weights);
        return false;
    }
    const struct db_call put[] = {
        {
            .statement = STATEMENT_combination_put,
            .parameter_count = 5,
            .is_last_of_transaction = true,
            .parameters = {db_text_parameter(arena_printf(call->arena, "%lld", (long long)call->board.game_id)),
                           db_text_parameter(arena_printf(call->arena, "%lld", (long long)call->board.id)),
                           db_text_parameter(
                               arena_printf(call->arena, "%.*s", (int)combination->rule.size, combination->rule.data)),
                           db_array_parameter(&names), db_array_parameter(&weights)},
        },
        api_definition_written_call(call, call->board.game_id)};
    bool is_sent =
        !call->arena->is_exhausted && db_write(store_db(call->store), put, ARRAY_SIZE(put), on_put, combination);
    db_array_done(&names);
    db_array_done(&weights);
    return is_sent;
}

void api_combination_put(struct api_call *call)
{
    struct combination *combination = arena_calloc(call->arena, 1, sizeof(*combination));
    struct json_document document;
    struct error error;

    if (!combination) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    combination->call = call;
    if (!json_document_parse(&document, buf_slice(&call->http->body), &error)) {
        api_fail(call, &error);
        return;
    }
    bool is_ok = combination_read(combination, &document, &error);
    json_document_free(&document);
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    http_hold(call->http);
    if (put_send(combination))
        return;
    error_set(&error, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was changed");
    combination_fail(call, &error);
}

static void on_deleted(void *context, const struct db_outcome *outcome)
{
    struct api_call *call = context;
    struct buf none;

    if (!write_ended(call, outcome))
        return;
    api_definition_written(call, call->board.game_id, outcome->rows[1]);
    buf_init(&none, 1);
    api_answer(call, 204, &none, call->written);
    http_release(call->http);
}

void api_combination_delete(struct api_call *call)
{
    const struct db_call drop[] = {board_statement(call, STATEMENT_combination_delete),
                                   api_definition_written_call(call, call->board.game_id)};
    struct error error;

    http_hold(call->http);
    if (db_write(store_db(call->store), drop, ARRAY_SIZE(drop), on_deleted, call))
        return;
    error_set(&error, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was changed");
    combination_fail(call, &error);
}
