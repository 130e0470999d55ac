/*
 * submission.c -- one submission, as a client writes it.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "db/primary_clock.h"
#include "http/json.h"

enum { FACETS_BYTES_MAX = 4096 };

/* Whether there are such facets, the transaction says: it knows the board as it is. */
static bool facets_read(const struct json_object *object, struct arena *arena, struct slice *ret_facets,
                        struct error *error)
{
    struct slice names[FACETS_MAX], values[FACETS_MAX];
    char field[ERROR_FIELD_MAX];
    size_t count;

    if (!json_read_texts(object, "facets", FACETS_MAX, names, values, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        snprintf(field, sizeof(field), "%.20s/facets/%.30s", object->pointer,
                 facet_name_is_valid(names[i]) ? names[i].data : "");
        if (values[i].data && !facet_value_check(values[i], field, error)) {
            error->code = ERROR_INVALID_BODY;
            return false;
        }
    }
    return json_read_compact(object, "facets", FACETS_BYTES_MAX, arena, ret_facets, error);
}

/* The names of schedules, until the board is known whose they are. */
struct schedule_names {
    char text[WINDOW_COUNT * (SCHEDULE_NAME_BYTES_MAX + 1)];
    size_t size;
};

static void schedule_add(struct schedule_names *names, struct slice name)
{
    memcpy(names->text + names->size, name.data, name.size);
    names->text[names->size + name.size] = ',';
    names->size += name.size + 1;
}

/* Which windows it is meant for, and what happens where one of them is closed. */
static bool windows_read(const struct api_call *call, const struct json_object *object, struct arena *arena,
                         struct submission *submission, struct error *error)
{
    struct schedule_names names = {.size = 0};
    char field[ERROR_FIELD_MAX];
    size_t count;

    if (!json_read_bool(object, "strict", false, &submission->is_strict, error))
        return false;
    if (!json_has(object, "windows"))
        return true;
    snprintf(field, sizeof(field), "%.50s/windows", object->pointer);
    if (!json_read_array(object, "windows", WINDOW_COUNT, &count, error))
        return false;
    if (call->key.scope != SCOPE_ADMIN)
        return error_set_field(error, ERROR_FORBIDDEN, field, "only a key of scope admin may choose the windows");
    if (count == 0)
        return error_set_field(error, ERROR_INVALID_BODY, field, "must name 1 to %d windows", WINDOW_COUNT);
    for (size_t i = 0; i < count; i++) {
        struct slice text;
        enum window window;
        if (!json_array_text(object, "windows", i, &text, error))
            return false;
        if (!window_name_is_valid(text))
            return error_set_field(error, ERROR_INVALID_BODY, field,
                                   "must hold all, monthly, weekly, daily, hourly or names of schedules");
        if (window_parse(text, &window))
            submission->windows |= 1U << window;
        else
            schedule_add(&names, text);
    }
    submission->schedules = arena_copy(arena, (struct slice){names.text, names.size});
    return submission->schedules.data || error_set(error, ERROR_OVERLOADED, "out of memory");
}

/* Copies what a submission keeps, so that the document may go. */
bool api_read_submission(struct api_call *call, const struct json_object *object, bool has_board, struct arena *arena,
                         struct submission *ret_submission, struct slice *ret_board, struct error *error)
{
    static const char *const names[] = {"player", "score",   "subscore", "metadata", "facets",
                                        "at",     "windows", "strict",   "board",    NULL};
    static const char *const names_here[] = {"player", "score",   "subscore", "metadata", "facets",
                                             "at",     "windows", "strict",   NULL};
    struct slice player = {NULL, 0}, at = {NULL, 0}, board = {NULL, 0};
    struct submission *s = ret_submission;
    char field[ERROR_FIELD_MAX];

    *s = (struct submission){.at_us = SUBMIT_NOW};
    if (!json_object_only(object, has_board ? names : names_here, error) ||
        !json_read_text(object, "player", true, &player, error) ||
        !json_read_int64(object, "score", true, &s->score, error) ||
        !json_read_int64(object, "subscore", false, &s->subscore, error) ||
        !json_read_raw(object, "metadata", METADATA_BYTES_MAX, arena, &s->metadata, error) ||
        !facets_read(object, arena, &s->facets, error) || !windows_read(call, object, arena, s, error) ||
        !json_read_text(object, "at", false, &at, error) ||
        (has_board && !json_read_text(object, "board", true, &board, error)))
        return false;
    snprintf(field, sizeof(field), "%.50s/player", object->pointer);
    if (!player_check(player, field, error)) {
        error->code = ERROR_INVALID_BODY;
        return false;
    }
    s->player = arena_copy(arena, player);
    if (has_board)
        *ret_board = arena_copy(arena, board);
    if (!s->player.data)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (!at.data)
        return true;
    snprintf(field, sizeof(field), "%.50s/at", object->pointer);
    if (call->key.scope != SCOPE_ADMIN)
        return error_set_field(error, ERROR_FORBIDDEN, field,
                               "only a key of scope admin may say when a score was reached");
    if (!clock_parse(at, &s->at_us) || s->at_us > primary_clock_us() + AT_FUTURE_US_MAX)
        return error_set_field(error, ERROR_INVALID_BODY, field, "must be an RFC 3339 time that is not in the future");
    return true;
}
