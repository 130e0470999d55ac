/*
 * boards.c -- defining boards.
 *
 * What orders or adds scores (order, operator, tie, time zone) is fixed once a board exists: its entries were made under
 * it. Windows, bounds and visibility may change. A body may hold all that a GET of the board shows, so that what was read
 * can be sent back.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "http/json.h"
#include "kv/keys.h"
#include "kv/scripts.h"

struct definition {
    struct board board;
    bool has_windows, has_min, has_max, has_public;
};

static bool read_name(const struct json_object *object, const char *name, bool (*parse)(struct slice, void *), void *ret_value,
                      const char *allowed, bool *ret_has, struct error *error)
{
    struct slice text = {NULL, 0};

    if (!json_read_text(object, name, false, &text, error))
        return false;
    if (!text.data)
        return true;
    if (ret_has)
        *ret_has = true;
    char pointer[ERROR_FIELD_MAX];
    snprintf(pointer, sizeof(pointer), "/%s", name);
    return parse(text, ret_value) || error_set_field(error, ERROR_INVALID_BODY, pointer, "must be one of %s", allowed);
}

static bool parse_order(struct slice text, void *value)
{
    return score_order_parse(text, value);
}

static bool parse_operator(struct slice text, void *value)
{
    return score_operator_parse(text, value);
}

static bool parse_tie(struct slice text, void *value)
{
    return tie_rule_parse(text, value);
}

static bool read_windows(const struct json_object *object, struct definition *definition, struct error *error)
{
    struct board *board = &definition->board;
    size_t count;

    if (!json_has(object, "windows"))
        return true;
    if (!json_read_array(object, "windows", WINDOW_COUNT, &count, error))
        return false;
    if (count == 0)
        return error_set_field(error, ERROR_INVALID_BODY, "/windows", "must name 1 to %d windows", WINDOW_COUNT);
    board->window_count = 0;
    definition->has_windows = true;
    for (size_t i = 0; i < count; i++) {
        struct slice text;
        enum window window;
        if (!json_array_text(object, "windows", i, &text, error))
            return false;
        if (!window_parse(text, &window))
            return error_set_field(error, ERROR_INVALID_BODY, "/windows", "must hold all, monthly, weekly, daily or hourly");
        if (board_has_window(board, window))
            return error_set_field(error, ERROR_INVALID_BODY, "/windows", "holds %s twice", window_name(window));
        board->windows[board->window_count++] = window;
    }
    return true;
}

/* Does `after` keep what cannot change in `before`? */
static bool fixed_check(const struct board *before, const struct board *after, struct error *error)
{
    const struct {
        const char *name, *before, *after;
    } fixed[] = {
        {"order", score_order_name(before->ordering), score_order_name(after->ordering)},
        {"operator", score_operator_name(before->operator), score_operator_name(after->operator)},
        {"tie", tie_rule_name(before->tie), tie_rule_name(after->tie)},
        {"time_zone", before->time_zone, after->time_zone},
    };

    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (strcmp(fixed[i].before, fixed[i].after) != 0) {
            char pointer[ERROR_FIELD_MAX];
            snprintf(pointer, sizeof(pointer), "/%s", fixed[i].name);
            return error_set_field(error, ERROR_CONFLICT, pointer, "the board's %s is %s and cannot change", fixed[i].name, fixed[i].before);
        }
    return true;
}

static bool definition_read(struct api_call *call, struct definition *definition, bool is_patch, struct error *error)
{
    static const char *const names[] = {"name",      "order",     "operator", "tie",        "windows",    "time_zone",
                                        "score_min", "score_max", "public",   "created_at", "updated_at", NULL};
    struct json_document document;
    struct json_object object;
    struct board *board = &definition->board;
    struct slice zone = {NULL, 0}, name = {NULL, 0};

    if (!json_document_parse(&document, buf_slice(&call->http->body), error))
        return false;
    bool is_ok = json_root_object(&document, &object, error) && json_object_only(&object, names, error) &&
                 json_read_text(&object, "name", false, &name, error) &&
                 read_name(&object, "order", parse_order, &board->ordering, "desc, asc", NULL, error) &&
                 read_name(&object, "operator", parse_operator, &board->operator, "best, last, sum", NULL, error) &&
                 read_name(&object, "tie", parse_tie, &board->tie, "first, last", NULL, error) &&
                 read_windows(&object, definition, error) && json_read_text(&object, "time_zone", false, &zone, error) &&
                 json_read_int64(&object, "score_min", false, &board->score_min, error) &&
                 json_read_int64(&object, "score_max", false, &board->score_max, error) &&
                 json_read_bool(&object, "public", false, &board->is_public, error);
    definition->has_min = is_ok && json_has(&object, "score_min");
    definition->has_max = is_ok && json_has(&object, "score_max");
    definition->has_public = is_ok && json_has(&object, "public");
    if (is_ok && zone.data) {
        if (zone.size < 1 || zone.size > TIME_ZONE_BYTES_MAX)
            is_ok = error_set_field(error, ERROR_INVALID_BODY, "/time_zone", "must be an IANA time zone");
        else
            snprintf(board->time_zone, sizeof(board->time_zone), "%.*s", (int)zone.size, zone.data);
    }
    if (is_ok && board->score_min > board->score_max)
        is_ok = error_set_field(error, ERROR_INVALID_BODY, "/score_min", "must not be above score_max");
    if (is_ok && name.data && !slice_equal(name, call->board_name))
        is_ok = error_set_field(error, is_patch ? ERROR_CONFLICT : ERROR_INVALID_BODY, "/name", "a board's name is the path's and cannot change");
    json_document_free(&document);
    return is_ok && (!is_patch || fixed_check(&call->board, board, error));
}

static const char *windows_literal(struct api_call *call, const struct board *board)
{
    char text[64] = "{";

    for (int i = 0; i < board->window_count; i++) {
        if (i)
            strcat(text, ",");
        strcat(text, window_name(board->windows[i]));
    }
    strcat(text, "}");
    return arena_strdup(call->arena, text);
}

static const char *number(struct api_call *call, int64_t value)
{
    return arena_printf(call->arena, "%lld", (long long)value);
}

static void parameter(struct db_call *db_call, const char *text)
{
    db_call->parameters[db_call->parameter_count++] = (struct db_parameter){.data = text, .format = DB_TEXT};
}

static void board_answer(struct api_call *call, int status, const struct board *board)
{
    struct buf body;
    struct jsonw json;

    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    api_render_board(&json, board);
    api_answer(call, status, &body, "");
}

/* Sends one statement to the primary, behind the claim where there is one. */
static void write_send(struct api_call *call, struct db_call *write, db_done_fn *done)
{
    struct db_call calls[2];
    int count = 0;

    if (call->has_claim)
        calls[count++] = idempotency_claim_call(call->arena, call->key.game_id, &call->claim);
    write->is_last_of_transaction = true;
    calls[count++] = *write;
    http_hold(call->http);
    if (call->arena->is_exhausted || !db_write(store_db(call->store), calls, count, done, call)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was changed");
        http_release(call->http);
    }
}

/* It happened, but its answer was lost with a server: definitions are the same made twice. */
static void write_again(struct api_call *call)
{
    call->has_claim = false;
    call->route->handle(call);
}

/* What every write's callback begins with. NULL: the answer is given. */
static const struct db_rows *write_done(struct api_call *call, const struct db_outcome *outcome)
{
    if (idempotency_was_used(outcome)) {
        api_replay(call, write_again);
    } else if (outcome->error.code != ERROR_NONE) {
        struct error error;
        if (strcmp(outcome->sqlstate, "22023") == 0)
            error_set_field(&error, ERROR_INVALID_BODY, "/time_zone", "must be an IANA time zone");
        else if (outcome->error.code == ERROR_WRITE_UNCERTAIN)
            error_set(&error, ERROR_UNAVAILABLE, "the connection to the database was lost; the change may or may not have been made");
        else
            store_error_of(outcome, &error);
        api_fail(call, &error);
    } else {
        call->is_claimed = call->has_claim || call->again;
        return &outcome->rows[outcome->count - 1];
    }
    return NULL;
}

/* ---- PUT ---- */

/* A refusal that is a committed answer to an Idempotency-Key. */
static void refusal_answer(struct api_call *call, const struct error *error)
{
    struct buf body;
    struct jsonw json;

    buf_init(&body, 4096);
    jsonw_init(&json, &body);
    http_problem(&json, error);
    api_answer(call, error_status(error->code), &body, "");
}

/* The board is there and is another: what differs? */
static void on_conflict(void *context, const struct board *board, const struct error *error)
{
    struct api_call *call = context;
    struct definition *definition = call->state;
    struct error conflict;

    call->state = NULL;
    if (error || fixed_check(board, &definition->board, &conflict))
        error_set(&conflict, ERROR_CONFLICT, "the board was there with another order, operator, tie or time_zone");
    refusal_answer(call, &conflict);
    http_release(call->http);
}

static void on_put(void *context, const struct db_outcome *outcome)
{
    struct api_call *call = context;
    const struct db_rows *rows = write_done(call, outcome);

    if (rows) {
        store_board_forget_all(call->store, call->game, call->board_name);
        if (db_row_count(*rows) == 0) {
            store_board_find(call->store, call->game, call->board_name, on_conflict, call);
            return; /* keeps the hold */
        } else {
            struct board board;
            store_board_read(&board, *rows, 0, 0);
            board_answer(call, db_bool(*rows, 0, 13) ? 201 : 200, &board);
        }
    }
    http_release(call->http);
}

void api_board_put(struct api_call *call)
{
    struct definition *definition = arena_calloc(call->arena, 1, sizeof(*definition));
    struct db_call write = {.statement = STATEMENT_board_put};
    struct error error;

    if (!definition) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    struct board *board = &definition->board;
    *board = (struct board){.window_count = 1, .time_zone = "UTC", .score_min = INT64_MIN, .score_max = INT64_MAX};
    if (!definition_read(call, definition, false, &error)) {
        api_fail(call, &error);
        return;
    }
    call->state = definition;
    parameter(&write, number(call, call->key.game_id));
    parameter(&write, call->board_name.data);
    parameter(&write, score_order_name(board->ordering));
    parameter(&write, score_operator_name(board->operator));
    parameter(&write, tie_rule_name(board->tie));
    parameter(&write, windows_literal(call, board));
    parameter(&write, arena_strdup(call->arena, board->time_zone));
    parameter(&write, number(call, board->score_min));
    parameter(&write, number(call, board->score_max));
    parameter(&write, board->is_public ? "true" : "false");
    write_send(call, &write, on_put);
}

/* ---- GET ---- */

void api_board_get(struct api_call *call)
{
    board_answer(call, 200, &call->board);
}

static void on_list(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct api_call *call = context;
    struct db_rows rows = outcome->rows[0];
    struct buf body;
    struct jsonw json;

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        struct error error;
        store_error_of(outcome, &error);
        api_fail(call, &error);
        http_release(call->http);
        return;
    }
    int64_t limit = *(int64_t *)call->state;
    int count = db_row_count(rows);
    struct board board = {.id = 0};
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    jsonw_key(&json, "boards");
    jsonw_array_open(&json);
    for (int i = 0; i < count && i < limit; i++) {
        store_board_read(&board, rows, i, 0);
        api_render_board(&json, &board);
    }
    jsonw_array_close(&json);
    jsonw_key(&json, "next");
    if (count > limit)
        jsonw_text(&json, board.name);
    else
        jsonw_null(&json);
    jsonw_object_close(&json);
    call->state = NULL;
    api_answer(call, 200, &body, "");
    http_release(call->http);
}

void api_board_list(struct api_call *call)
{
    struct error error;
    struct slice cursor = api_text(call, "cursor");
    int64_t *limit = arena_alloc(call->arena, sizeof(*limit));
    struct db_call read = {.statement = STATEMENT_board_list};

    if (!limit)
        return;
    *limit = 100;
    if (!api_int(call, "limit", 1, 1000, limit, &error) ||
        (cursor.data && !name_is_valid(cursor) &&
         !error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made"))) {
        api_fail(call, &error);
        return;
    }
    call->state = limit;
    parameter(&read, number(call, call->key.game_id));
    parameter(&read, cursor.data ? cursor.data : "");
    parameter(&read, number(call, *limit + 1));
    http_hold(call->http);
    if (!db_read_primary(store_db(call->store), &read, on_list, call)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the database is not reachable");
        http_release(call->http);
    }
}

/* ---- PATCH ---- */

static void on_patch(void *context, const struct db_outcome *outcome)
{
    struct api_call *call = context;
    const struct db_rows *rows = write_done(call, outcome);

    if (rows) {
        store_board_forget_all(call->store, call->game, call->board_name);
        if (db_row_count(*rows) == 0) {
            api_fail_with(call, ERROR_BOARD_NOT_FOUND, "the board was deleted meanwhile");
        } else {
            struct board board;
            store_board_read(&board, *rows, 0, 0);
            board_answer(call, 200, &board);
        }
    }
    http_release(call->http);
}

void api_board_patch(struct api_call *call)
{
    struct definition definition = {.board = call->board};
    struct db_call write = {.statement = STATEMENT_board_patch};
    struct error error;

    if (!definition_read(call, &definition, true, &error)) {
        api_refuse(call, &error, NULL);
        return;
    }
    parameter(&write, number(call, call->board.id));
    parameter(&write, definition.has_windows ? windows_literal(call, &definition.board) : NULL);
    parameter(&write, definition.has_min ? number(call, definition.board.score_min) : NULL);
    parameter(&write, definition.has_max ? number(call, definition.board.score_max) : NULL);
    parameter(&write, definition.has_public ? (definition.board.is_public ? "true" : "false") : NULL);
    write_send(call, &write, on_patch);
}

/* ---- DELETE ---- */

static void on_dropped(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* the worker drops what is left of deleted boards */
}

static void on_standings(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct api_call *call = context;
    struct buf none;

    (void)source;
    if (outcome->error.code == ERROR_NONE) {
        for (int i = 0; i < db_row_count(outcome->rows[0]); i++) {
            char meta[KV_KEY_MAX];
            const struct slice drop[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("drop")), SLICE("1"),
                                         kv_meta_key(db_int64(outcome->rows[0], i, 0), meta)};
            kv_call(store_kv(call->store), ARRAY_SIZE(drop), drop, on_dropped, NULL);
        }
    }
    buf_init(&none, 1);
    api_answer(call, 204, &none, "");
    http_release(call->http);
}

static void on_delete(void *context, const struct db_outcome *outcome)
{
    struct api_call *call = context;
    const struct db_rows *rows = write_done(call, outcome);

    if (rows) {
        struct db_call read = {.statement = STATEMENT_board_periods};
        store_board_forget_all(call->store, call->game, call->board_name);
        if (db_row_count(*rows) == 0) {
            api_fail_with(call, ERROR_BOARD_NOT_FOUND, "the board was deleted meanwhile");
        } else {
            parameter(&read, number(call, call->board.id));
            if (db_read_primary(store_db(call->store), &read, on_standings, call))
                return; /* keeps the hold */
            api_fail_with(call, ERROR_UNAVAILABLE, "the board was deleted; the database went away behind it");
        }
    }
    http_release(call->http);
}

void api_board_delete(struct api_call *call)
{
    struct db_call write = {.statement = STATEMENT_board_delete};

    parameter(&write, number(call, call->board.id));
    write_send(call, &write, on_delete);
}

/* Deleted by an earlier request of the same key, whose answer was lost with a server. */
void api_board_deleted(struct api_call *call)
{
    struct buf none;

    call->is_claimed = true;
    buf_init(&none, 1);
    api_answer(call, 204, &none, "");
}
