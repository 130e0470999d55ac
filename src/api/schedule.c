#include "api/schedule.h"

#include <stdio.h>
#include <string.h>

bool board_has_schedules(const struct board *board)
{
    for (int i = 0; i < board->window_count; i++)
        if (board->windows[i] >= WINDOW_SCHEDULED)
            return true;
    return false;
}

/* name|opens|closes */
static void schedule_read(struct schedules_view *view, int slot, const char *line, size_t size)
{
    const char *opens = memchr(line, '|', size);
    const char *closes = opens ? memchr(opens + 1, '|', size - (size_t)(opens + 1 - line)) : NULL;

    if (!closes || slot < 0 || slot >= SCHEDULES_MAX)
        return;
    snprintf(view->of[slot].opens, sizeof(view->of[slot].opens), "%.*s", (int)(closes - opens - 1), opens + 1);
    snprintf(view->of[slot].closes, sizeof(view->of[slot].closes), "%.*s", (int)(line + size - closes - 1), closes + 1);
}

void schedules_view_read(struct schedules_view *view, const char *lines)
{
    *view = (struct schedules_view){.updated_us = 0};
    for (int slot = 0; *lines; slot++) {
        size_t size = strcspn(lines, "\n");
        schedule_read(view, slot, lines, size);
        lines += size + (lines[size] == '\n');
    }
}

/* ---- the next periods ---- */

enum { COLUMN_SLOT, COLUMN_TEXT, COLUMN_STARTS, COLUMN_ENDS, COLUMN_UPDATED };

struct finding {
    struct api_call *call;
    schedules_fn *done;
    void *context;
};

static void on_schedules(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct finding *finding = context;
    struct http_request *http = finding->call->http;
    struct db_rows rows = outcome->rows[0];
    struct schedules_view view = {.updated_us = 0};
    struct error error;

    finding->call->source = store_source_of(outcome, source);
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        finding->done(finding->context, NULL, &error);
        http_release(http);
        return;
    }
    for (int i = 0; i < db_row_count(rows); i++) {
        int slot = (int)db_int64(rows, i, COLUMN_SLOT) - 1;
        const char *text = db_text(rows, i, COLUMN_TEXT);
        view.updated_us = db_int64(rows, i, COLUMN_UPDATED);
        schedule_read(&view, slot, text, strlen(text));
        view.of[slot].knows = true;
        if (db_is_null(rows, i, COLUMN_STARTS) || view.of[slot].count == SCHEDULE_NEXT)
            continue;
        view.of[slot].starts_us[view.of[slot].count] = db_int64(rows, i, COLUMN_STARTS);
        view.of[slot].ends_us[view.of[slot].count++] = db_int64(rows, i, COLUMN_ENDS);
    }
    finding->done(finding->context, &view, NULL);
    http_release(http);
}

void schedules_find(struct api_call *call, int64_t board_id, schedules_fn *done, void *context)
{
    struct finding *finding = arena_alloc(call->arena, sizeof(*finding));
    struct db_call read = {.statement = STATEMENT_board_schedules, .parameter_count = 1};
    struct error error;

    read.parameters[0] =
        (struct db_parameter){.data = arena_printf(call->arena, "%lld", (long long)board_id), .format = DB_TEXT};
    if (!finding || !read.parameters[0].data) {
        error_set(&error, ERROR_OVERLOADED, "out of memory");
        done(context, NULL, &error);
        return;
    }
    *finding = (struct finding){.call = call, .done = done, .context = context};
    http_hold(call->http);
    if (!api_read_primary(call, &read, on_schedules, finding)) {
        error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
        done(context, NULL, &error);
        http_release(call->http);
    }
}

/* ---- what is sent ---- */

const char *schedules_literal(struct api_call *call, const struct definition *definition)
{
    enum { ITEM = SCHEDULE_NAME_BYTES_MAX + 2 * CRON_BYTES_MAX + 5 };
    char text[SCHEDULES_MAX * ITEM + 3] = "{";

    /* None of the parts holds what an array literal must escape. */
    for (int i = 0; i < definition->schedule_count; i++) {
        const struct schedule *schedule = &definition->schedules[i];
        size_t size = strlen(text);
        snprintf(text + size, sizeof(text) - size, "%s\"%s|%s|%s\"", i ? "," : "", definition->board.schedule_names[i],
                 schedule->opens, schedule->closes);
    }
    strcat(text, "}");
    return arena_strdup(call->arena, text);
}

struct check {
    struct api_call *call;
    const struct definition *definition;
    schedules_checked_fn *done;
    void *context;
};

static bool fault_name(const struct schedule *schedule, const char *member, int64_t fault, struct error *error)
{
    char field[ERROR_FIELD_MAX];

    if (fault == 0)
        return false;
    snprintf(field, sizeof(field), "/windows/%d/%s", schedule->index, member);
    if (fault == 1)
        error_set_field(
            error, ERROR_INVALID_BODY, field,
            "must be a cron expression: minute, hour, day of the month, month and day of the week, with blanks "
            "between, as in 0 18 * * 5");
    else
        error_set_field(error, ERROR_INVALID_BODY, field, "no such moment comes within 3,000 days");
    return true;
}

static void on_check(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct check *check = context;
    struct api_call *call = check->call;
    struct error error = {.code = ERROR_NONE};

    (void)source;
    if (outcome->error.code != ERROR_NONE)
        store_error_of(outcome, &error);
    for (int i = 0; error.code == ERROR_NONE && i < db_row_count(outcome->rows[0]); i++) {
        const struct schedule *schedule = &check->definition->schedules[i];
        if (!fault_name(schedule, "opens", db_int64(outcome->rows[0], i, 0), &error))
            fault_name(schedule, "closes", db_int64(outcome->rows[0], i, 1), &error);
    }
    if (error.code != ERROR_NONE)
        api_fail(call, &error);
    else
        check->done(check->context);
    http_release(call->http);
}

void schedules_check(struct api_call *call, const struct definition *definition, schedules_checked_fn *done,
                     void *context)
{
    struct check *check = arena_alloc(call->arena, sizeof(*check));
    struct db_call read = {.statement = STATEMENT_schedule_check, .parameter_count = 2};

    if (!definition->schedule_count) {
        done(context);
        return;
    }
    read.parameters[0] = (struct db_parameter){.data = schedules_literal(call, definition), .format = DB_TEXT};
    read.parameters[1] = (struct db_parameter){.data = definition->board.time_zone, .format = DB_TEXT};
    if (!check || !read.parameters[0].data) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *check = (struct check){.call = call, .definition = definition, .done = done, .context = context};
    http_hold(call->http);
    if (!db_read_primary(store_db(call->store), &read, on_check, check)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the database is not reachable; nothing was changed");
        http_release(call->http);
    }
}
