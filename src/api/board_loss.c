#include "api/board_loss.h"

#include <inttypes.h>
#include <stdio.h>

/* An answer within the statement's time limit is worth more than an exact number beyond this. */
#define COUNT_MAX 100000

enum { COLUMN_FIELD, COLUMN_NAME, COLUMN_ENTRIES };

static void loss_render(struct jsonw *json, struct db_rows rows, int row)
{
    const char *field = db_text(rows, row, COLUMN_FIELD), *name = db_text(rows, row, COLUMN_NAME);
    int64_t entries = db_int64(rows, row, COLUMN_ENTRIES);
    char text[128];

    jsonw_object_open(json);
    jsonw_key(json, "pointer");
    snprintf(text, sizeof(text), "/%s", field);
    jsonw_text(json, text);
    jsonw_key(json, "detail");
    snprintf(text, sizeof(text), "%s holds %s%" PRId64 " entries", name, entries == COUNT_MAX ? "at least " : "",
             entries);
    jsonw_text(json, text);
    jsonw_key(json, "name");
    jsonw_text(json, name);
    jsonw_key(json, "entries");
    jsonw_number(json, entries);
    jsonw_object_close(json);
}

/* The problem, with one error for each window and facet that would go. */
static void problem_render(struct jsonw *json, struct db_rows rows)
{
    struct error error;

    if (db_row_count(rows) == 0) {
        error_set(&error, ERROR_CONFLICT, "the board was changed meanwhile: send the request again");
        http_problem(json, &error);
        return;
    }
    error_set(&error, ERROR_CONFLICT,
              "the definition leaves out windows or facets that hold entries: name them in it, send \"force\": true "
              "to drop them, or use PATCH");
    http_problem_open(json, &error);
    jsonw_key(json, "errors");
    jsonw_array_open(json);
    for (int i = 0; i < db_row_count(rows); i++)
        loss_render(json, rows, i);
    jsonw_array_close(json);
    jsonw_object_close(json);
}

static void on_loss(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct api_call *call = context;
    struct buf body;
    struct jsonw json;
    struct error error;

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        api_fail(call, &error);
    } else {
        buf_init(&body, 16384);
        jsonw_init(&json, &body);
        problem_render(&json, outcome->rows[0]);
        api_answer(call, error_status(ERROR_CONFLICT), &body, "");
    }
    http_release(call->http);
}

void board_loss_refuse(struct api_call *call, int64_t board_id, const char *windows, const char *facets)
{
    const char *const parameters[] = {arena_printf(call->arena, "%" PRId64, board_id), windows, facets,
                                      arena_printf(call->arena, "%d", COUNT_MAX)};
    struct db_call read = {.statement = STATEMENT_board_loss};

    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
        read.parameters[read.parameter_count++] = (struct db_parameter){.data = parameters[i], .format = DB_TEXT};
    http_hold(call->http);
    if (call->arena->is_exhausted || !db_read_primary(store_db(call->store), &read, on_loss, call)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the database is not reachable; nothing was changed");
        http_release(call->http);
    }
}
