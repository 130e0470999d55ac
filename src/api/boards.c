/*
 * boards.c -- defining boards.
 *
 * What orders or adds scores (order, operator, tie, time zone) is fixed once a board exists: its entries were made
 * under it. Windows, bounds, visibility and caching may change.
 *
 * A change may be conditional (If-Match, If-None-Match, If-Unmodified-Since). The condition is looked at against the
 * board as the primary has it, and what it held for is then a condition of the statement: the version (updated_at grows
 * with every change), or that there is none. So of two changes that both saw the same board, one is made.
 *
 *   definition -> any condition? -- no ------------------------------------------------> statement
 *                      +---------- yes -> the board as it is -> does it hold? -- yes --> statement, of this version only
 *                                                                   +---------- no ---> statement, of no version
 *
 * Where it does not hold the statement is sent all the same: with an Idempotency-Key it is what finds out that the
 * change was made before, by the same request, whose answer is then sent again.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/board_loss.h"
#include "api/board_show.h"
#include "api/board_zone.h"
#include "api/definition.h"
#include "api/page.h"
#include "api/schedule.h"
#include "base/assert.h"
#include "http/condition.h"
#include "kv/keys.h"
#include "kv/scripts.h"

static const char *windows_literal(struct api_call *call, const struct board *board)
{
    char text[WINDOW_COUNT * (SCHEDULE_NAME_BYTES_MAX + 1) + 3] = "{";

    for (int i = 0; i < board->window_count; i++) {
        if (i)
            strcat(text, ",");
        strcat(text, board_window_name(board, board->windows[i]));
    }
    strcat(text, "}");
    return arena_strdup(call->arena, text);
}

static const char *facets_literal(struct api_call *call, const struct board *board)
{
    char text[FACETS_MAX * (FACET_NAME_BYTES_MAX + 1) + 3] = "{";

    for (int i = 0; i < board->facet_count; i++) {
        if (i)
            strcat(text, ",");
        strcat(text, board->facets[i].name);
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

/* A refusal by the statement: kept, where there is an Idempotency-Key, as what it did is. */
static void refusal_answer(struct api_call *call, const struct error *error)
{
    struct buf body;
    struct jsonw json;

    buf_init(&body, 4096);
    jsonw_init(&json, &body);
    http_problem(&json, error);
    api_answer(call, error_status(error->code), &body, "");
}

/* Sends one statement to the primary, behind the claim where there is one. */
static void write_send(struct api_call *call, struct db_call *write, db_done_fn *done)
{
    struct db_call calls[3];
    int count = 0;

    if (call->has_claim)
        calls[count++] = idempotency_claim_call(call->arena, call->key.game_id, &call->claim);
    write->is_last_of_transaction = true;
    calls[count++] = *write;
    calls[count++] = api_definition_written_call(call, call->key.game_id);
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
            error_set_field(&error, ERROR_INVALID_BODY, "/time_zone", "must be a name of the tz database");
        else if (strcmp(outcome->sqlstate, "LD003") == 0)
            error_set_field(
                &error, ERROR_CONFLICT, "/windows",
                "a board has at most %d names of schedules, with those of its past periods: use one of these",
                SCHEDULES_MAX);
        else if (strcmp(outcome->sqlstate, "LD004") == 0)
            error_set_field(&error, ERROR_CONFLICT, "/windows", "a board made of others has no schedules");
        else if (outcome->error.code == ERROR_WRITE_UNCERTAIN)
            error_set(&error, ERROR_UNAVAILABLE,
                      "the connection to the database was lost; the change may or may not have been made");
        else
            store_error_of(outcome, &error);
        api_fail(call, &error);
    } else {
        call->is_claimed = call->has_claim || call->again;
        api_definition_written(call, call->key.game_id, outcome->rows[outcome->count - 1]);
        return &outcome->rows[outcome->count - 2];
    }
    return NULL;
}

/* ---- conditions ---- */

enum { VERSION_NONE = -1 /* no board is of it */ };

struct change {
    struct api_call *call;
    struct definition definition;
    struct http_conditions conditions;
    void (*send)(struct change *change);
    int64_t board_id;
    const struct board *current; /* the board as it is, while its schedules are asked for */
    const char *version;         /* the statement's condition; NULL: any */
    bool is_conditional;
    bool must_be_new; /* PUT: only if there is none */
    bool exists;      /* PUT: a board to be changed, board_id, is known */
};

static struct change *change_new(struct api_call *call, void (*send)(struct change *change))
{
    struct change *change = arena_calloc(call->arena, 1, sizeof(*change));

    if (!change) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    change->call = call;
    change->send = send;
    change->board_id = call->board.id;
    /* Asked again because an answer was lost: whether it was a refusal nobody knows, so the condition decides again.
     * The connection may be gone by now, and the header with it. */
    change->conditions = call->again ? ((struct change *)call->state)->conditions : http_conditions_read(call->http);
    call->state = change;
    return change;
}

/* The board as it is (NULL: there is none), and then whether the condition holds for it. */
static void condition_check(struct change *change, const struct board *board, const struct schedules_view *schedules)
{
    struct api_call *call = change->call;
    char tags[BOARD_TAGS][PAGE_TAG_MAX];
    const char *names[BOARD_TAGS];
    struct http_state state = {.exists = board != NULL, .tags = names, .tag_count = BOARD_TAGS};
    struct error conflict;
    int form;

    if (board) {
        board_tags(board, schedules, tags);
        for (int i = 0; i < BOARD_TAGS; i++)
            names[i] = tags[i];
        state.valid_since_us = page_valid_since(board->updated_us);
        change->board_id = board->id;
    }
    bool holds = http_conditions_check(&change->conditions, &state, false, &form) == HTTP_PASS;
    change->exists = board || !holds;
    change->must_be_new = !change->exists;
    change->version = number(call, holds && board ? board->updated_us : VERSION_NONE);
    if (holds && board && call->route->method == HTTP_PUT &&
        !definition_fixed_check(board, &change->definition.board, &conflict))
        api_refuse(call, &conflict, NULL);
    else
        change->send(change);
}

static void on_current_schedules(void *context, const struct schedules_view *view, const struct error *error)
{
    struct change *change = context;

    if (error)
        api_fail(change->call, error);
    else
        condition_check(change, change->current, view);
}

static void on_current(void *context, const struct board *board, const struct error *error)
{
    struct change *change = context;
    struct api_call *call = change->call;

    if (!board && (error->code != ERROR_BOARD_NOT_FOUND || call->route->method != HTTP_PUT)) {
        if (error->code == ERROR_BOARD_NOT_FOUND)
            api_refuse(call, error, call->route->handle == api_board_delete ? api_board_deleted : NULL);
        else
            api_fail(call, error);
        http_release(call->http);
        return;
    }
    if (board && board_has_schedules(board)) {
        struct board *copy = arena_alloc(call->arena, sizeof(*copy));
        if (copy) {
            *copy = *board;
            change->current = copy;
            schedules_find(call, board->id, on_current_schedules, change);
        } else {
            api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        }
    } else {
        condition_check(change, board, NULL);
    }
    http_release(call->http);
}

/* Sends the change, once it is known what it must find. */
static void change_start(struct change *change)
{
    struct api_call *call = change->call;

    if (!http_conditions_any(&change->conditions)) {
        change->send(change);
        return;
    }
    change->is_conditional = true;
    if (!http_conditions_keep(&change->conditions, call->arena)) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    http_hold(call->http);
    store_board_forget(call->store, call->game, call->board_name);
    store_board_find(call->store, call->game, call->board_name, true, NULL, on_current, change);
}

static void not_changed(struct api_call *call)
{
    const struct change *change = call->state;
    struct error error;

    error_set(&error, ERROR_PRECONDITION_FAILED,
              "the board is not in the state that If-Match, If-None-Match or If-Unmodified-Since ask for");
    if (change->is_conditional)
        refusal_answer(call, &error);
    else
        api_fail_with(call, ERROR_BOARD_NOT_FOUND, "the board was deleted meanwhile");
}

/* ---- PUT, PATCH ---- */

/* PUT: the board is there, and the statement did not change it. Another version, something fixed, or a loss? */
static void on_conflict(void *context, const struct board *board, const struct error *error)
{
    struct api_call *call = context;
    const struct change *change = call->state;
    const struct board *wanted = &change->definition.board;
    struct error conflict;

    if (change->is_conditional && (error || strcmp(change->version, number(call, board->updated_us)) != 0)) {
        not_changed(call);
    } else if (error) {
        error_set(&conflict, ERROR_CONFLICT, "the board was there with another order, operator, tie or time_zone");
        refusal_answer(call, &conflict);
    } else if (!definition_fixed_check(board, wanted, &conflict)) {
        refusal_answer(call, &conflict);
    } else {
        board_loss_refuse(call, board->id, windows_literal(call, wanted), facets_literal(call, wanted));
    }
    http_release(call->http);
}

static void on_put(void *context, const struct db_outcome *outcome)
{
    struct api_call *call = context;
    const struct change *change = call->state;
    const struct db_rows *rows = write_done(call, outcome);

    if (rows) {
        store_board_forget_all(call->store, call->game, call->board_name);
        if (db_row_count(*rows) > 0) {
            board_answer(call, db_bool(*rows, 0, BOARD_COLUMNS) ? 201 : 200, *rows);
        } else if (change->must_be_new) {
            not_changed(call);
        } else {
            store_board_find(call->store, call->game, call->board_name, true, NULL, on_conflict, call);
            return; /* keeps the hold */
        }
    }
    http_release(call->http);
}

static void on_patch(void *context, const struct db_outcome *outcome)
{
    struct api_call *call = context;
    const struct db_rows *rows = write_done(call, outcome);

    if (rows) {
        store_board_forget_all(call->store, call->game, call->board_name);
        if (db_row_count(*rows) == 0 && call->route->method == HTTP_PUT) {
            store_board_find(call->store, call->game, call->board_name, true, NULL, on_conflict, call);
            return; /* keeps the hold */
        } else if (db_row_count(*rows) == 0) {
            not_changed(call);
        } else {
            board_answer(call, 200, *rows);
        }
    }
    http_release(call->http);
}

static void patch_send(struct change *change)
{
    struct api_call *call = change->call;
    const struct definition *definition = &change->definition;
    const struct board *board = &definition->board;
    struct db_call write = {.statement = STATEMENT_board_patch};

    parameter(&write, number(call, change->board_id));
    parameter(&write, definition->has_windows ? windows_literal(call, board) : NULL);
    parameter(&write, definition->has_min ? number(call, board->score_min) : NULL);
    parameter(&write, definition->has_max ? number(call, board->score_max) : NULL);
    parameter(&write, definition->has_public ? (board->is_public ? "true" : "false") : NULL);
    for (int i = 0; i < BOARD_CACHING_COUNT; i++)
        parameter(&write, definition->has_caching[i] ? number(call, board_caching_get(&board->caching, i)) : NULL);
    parameter(&write, change->version);
    parameter(&write, definition->has_facets ? facets_literal(call, board) : NULL);
    parameter(&write, definition->has_facet_values ? number(call, board->facet_values_max) : NULL);
    parameter(&write, definition->has_commit_level ? commit_level_name(board->commit_level) : NULL);
    parameter(&write, call->route->method == HTTP_PATCH || definition->is_forced ? "true" : "false");
    parameter(&write, schedules_literal(call, definition));
    write_send(call, &write, on_patch);
}

static void put_send(struct change *change)
{
    struct api_call *call = change->call;
    struct definition *definition = &change->definition;
    const struct board *board = &definition->board;
    struct db_call write = {.statement = STATEMENT_board_put};

    if (change->exists) {
        /* Not an insertion that may turn out to be a change: it must not make a board again that is deleted
         * meanwhile. */
        definition->has_windows = definition->has_min = definition->has_max = definition->has_public = true;
        definition->has_facets = definition->has_facet_values = definition->has_commit_level = true;
        for (int i = 0; i < BOARD_CACHING_COUNT; i++)
            definition->has_caching[i] = true;
        patch_send(change);
        return;
    }
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
    for (int i = 0; i < BOARD_CACHING_COUNT; i++)
        parameter(&write, number(call, board_caching_get(&board->caching, i)));
    parameter(&write, change->must_be_new ? "true" : "false");
    parameter(&write, facets_literal(call, board));
    parameter(&write, number(call, board->facet_values_max));
    parameter(&write, commit_level_name(board->commit_level));
    parameter(&write, definition->is_forced ? "true" : "false");
    parameter(&write, schedules_literal(call, definition));
    write_send(call, &write, on_put);
}

static void checked_start(void *change)
{
    change_start(change);
}

static void zone_known(void *context)
{
    struct change *change = context;

    schedules_check(change->call, &change->definition, checked_start, change);
}

static void definition_start(struct api_call *call, const struct board *before, bool is_patch)
{
    struct change *change = change_new(call, is_patch ? patch_send : put_send);
    struct error error;

    if (!change)
        return;
    change->definition.board = *before;
    if (!definition_read(call, &change->definition, is_patch, &error)) {
        if (is_patch)
            api_refuse(call, &error, NULL);
        else
            api_fail(call, &error);
    } else if (is_patch) {
        zone_known(change);
    } else {
        board_zone_check(call, &change->definition, zone_known, change);
    }
}

void api_board_put(struct api_call *call)
{
    const struct board fresh = {.window_count = 1,
                                .time_zone = "UTC",
                                .score_min = INT64_MIN,
                                .score_max = INT64_MAX,
                                .facet_values_max = FACET_VALUES_DEFAULT};

    definition_start(call, &fresh, false);
}

void api_board_patch(struct api_call *call)
{
    definition_start(call, &call->board, true);
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
    api_answer(call, 204, &none, call->written);
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
            not_changed(call);
        } else {
            parameter(&read, number(call, ((struct change *)call->state)->board_id));
            if (db_read_primary(store_db(call->store), &read, on_standings, call))
                return; /* keeps the hold */
            api_fail_with(call, ERROR_UNAVAILABLE, "the board was deleted; the database went away behind it");
        }
    }
    http_release(call->http);
}

static void delete_send(struct change *change)
{
    struct db_call write = {.statement = STATEMENT_board_delete};

    parameter(&write, number(change->call, change->board_id));
    parameter(&write, change->version);
    write_send(change->call, &write, on_delete);
}

void api_board_delete(struct api_call *call)
{
    struct change *change = change_new(call, delete_send);

    if (change)
        change_start(change);
}

/* Deleted by an earlier request of the same key, whose answer was lost with a server. */
void api_board_deleted(struct api_call *call)
{
    struct buf none;

    call->is_claimed = true;
    buf_init(&none, 1);
    api_answer(call, 204, &none, "");
}
