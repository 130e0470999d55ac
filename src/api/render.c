/*
 * render.c -- the JSON that more than one resource speaks.
 */
#include "api/intake.h"
#include "api/schedule.h"
#include "base/clock.h"
#include "base/put.h"

static void schedule_render(struct jsonw *json, const char *name, const struct schedules_view *schedules, int slot)
{
    jsonw_object_open(json);
    jsonw_key(json, "name");
    jsonw_text(json, name);
    jsonw_key(json, "opens");
    jsonw_text(json, schedules->of[slot].opens);
    jsonw_key(json, "closes");
    jsonw_text(json, schedules->of[slot].closes);
    if (schedules->of[slot].knows) {
        jsonw_key(json, "next");
        jsonw_array_open(json);
        for (int i = 0; i < schedules->of[slot].count; i++) {
            jsonw_object_open(json);
            jsonw_key(json, "starts_at");
            jsonw_time(json, schedules->of[slot].starts_us[i]);
            jsonw_key(json, "ends_at");
            jsonw_time(json, schedules->of[slot].ends_us[i]);
            jsonw_object_close(json);
        }
        jsonw_array_close(json);
    }
    jsonw_object_close(json);
}

void api_render_board(struct jsonw *json, const struct board *board, const struct schedules_view *schedules)
{
    jsonw_object_open(json);
    jsonw_key(json, "name");
    jsonw_text(json, board->name);
    jsonw_key(json, "order");
    jsonw_text(json, score_order_name(board->ordering));
    jsonw_key(json, "operator");
    jsonw_text(json, score_operator_name(board->operator));
    jsonw_key(json, "tie");
    jsonw_text(json, tie_rule_name(board->tie));
    jsonw_key(json, "windows");
    jsonw_array_open(json);
    for (int i = 0; i < board->window_count; i++) {
        const char *name = board_window_name(board, board->windows[i]);
        if (board->windows[i] < WINDOW_SCHEDULED)
            jsonw_text(json, name);
        else
            schedule_render(json, name, schedules, (int)board->windows[i] - (int)WINDOW_SCHEDULED);
    }
    jsonw_array_close(json);
    jsonw_key(json, "time_zone");
    jsonw_text(json, board->time_zone);
    jsonw_key(json, "score_min");
    jsonw_int64(json, board->score_min);
    jsonw_key(json, "score_max");
    jsonw_int64(json, board->score_max);
    jsonw_key(json, "public");
    jsonw_bool(json, board->is_public);
    jsonw_key(json, "facets");
    jsonw_array_open(json);
    for (int i = 0; i < board->facet_count; i++)
        jsonw_text(json, board->facets[i].name);
    jsonw_array_close(json);
    jsonw_key(json, "facet_values_max");
    jsonw_number(json, board->facet_values_max);
    jsonw_key(json, "synchronous_commit");
    jsonw_text(json, commit_level_name(board->commit_level));
    for (int i = 0; i < BOARD_CACHING_COUNT; i++) {
        jsonw_key(json, board_caching_fields[i].name);
        jsonw_number(json, board_caching_get(&board->caching, i));
    }
    jsonw_key(json, "created_at");
    jsonw_time(json, board->created_us);
    jsonw_key(json, "updated_at");
    jsonw_time(json, board->updated_us);
    jsonw_object_close(json);
}

struct api_entry_view api_entry_view_of(const struct api_call *call, bool metadata_by_default)
{
    return (struct api_entry_view){
        .subscore = api_fields_has(call, "subscore", true),
        .achieved_at = api_fields_has(call, "achieved_at", true),
        .metadata = api_fields_has(call, "metadata", metadata_by_default),
    };
}

enum { ROW_BYTES_MAX = 256 }; /* names and integers; without the player and the metadata */

static char *put_score(char *at, int64_t value, bool is_quoted)
{
    return is_quoted ? put_byte(put_int64(put_byte(at, '"'), value), '"') : put_int64(at, value);
}

/* A page has a hundred of these, most of its cost: so in one stretch, not piece by piece. */
void api_render_row(struct jsonw *json, const struct board *board, const struct standing_row *row,
                    struct api_entry_view view)
{
    struct slice metadata = row->metadata.data ? row->metadata : SLICE("null");
    char *at = jsonw_members_begin(json, ROW_BYTES_MAX + PUT_JSON_MAX(row->player.size) + metadata.size);

    if (!at)
        return;
    if (row->rank > 0)
        at = put_byte(put_int64(put_literal(at, "\"rank\":"), row->rank), ',');
    at = put_json_string(put_literal(at, "\"player\":"), row->player);
    at = put_score(put_literal(at, ",\"score\":"), board_score(board, &row->key), json->integers_as_strings);
    if (view.subscore)
        at = put_score(put_literal(at, ",\"subscore\":"), board_subscore(board, &row->key), json->integers_as_strings);
    if (view.achieved_at) {
        at = put_literal(at, ",\"achieved_at\":\"");
        at = put_byte(at + clock_format(board_achieved_us(board, &row->key), at), '"');
    }
    if (view.metadata)
        at = put_bytes(put_literal(at, ",\"metadata\":"), metadata.data, metadata.size);
    jsonw_members_end(json, at);
}

static void render_rank(struct jsonw *json, int64_t rank)
{
    jsonw_key(json, "rank");
    if (rank > 0)
        jsonw_number(json, rank);
    else
        jsonw_null(json);
}

static void window_render(struct jsonw *json, const struct board *board, const struct submit_window *window)
{
    const struct period period = {.start_us = window->period_start_us};
    char text[PERIOD_TEXT_MAX];

    period_text(&period, text);
    jsonw_key(json, board_window_name(board, window->window));
    jsonw_object_open(json);
    render_rank(json, window->rank);
    jsonw_key(json, "score");
    jsonw_int64(json, board_score(board, &window->key));
    jsonw_key(json, "subscore");
    jsonw_int64(json, board_subscore(board, &window->key));
    jsonw_key(json, "improved");
    jsonw_bool(json, window->is_changed);
    jsonw_key(json, "period");
    jsonw_text(json, text);
    jsonw_object_close(json);
}

/* One whose period is closed, or whose schedule is not open: nothing came of it there. */
static void closed_window_render(struct jsonw *json, const struct board *board, const struct submit_window *window)
{
    const struct period period = {.start_us = window->period_start_us};
    char text[PERIOD_TEXT_MAX];

    period_text(&period, text);
    jsonw_key(json, board_window_name(board, window->window));
    jsonw_object_open(json);
    render_rank(json, 0);
    jsonw_key(json, "score");
    jsonw_null(json);
    jsonw_key(json, "subscore");
    jsonw_null(json);
    jsonw_key(json, "improved");
    jsonw_bool(json, false);
    jsonw_key(json, "period");
    if (window->is_paused)
        jsonw_null(json);
    else
        jsonw_text(json, text);
    jsonw_key(json, "closed");
    jsonw_bool(json, true);
    jsonw_object_close(json);
}

/* Every facet that the board declares: the player's value and his rank in its standing of the first window. */
static void facets_render(struct jsonw *json, const struct board *board, const struct submit_result *result)
{
    jsonw_key(json, "facets");
    jsonw_object_open(json);
    for (int i = 0; i < board->facet_count; i++) {
        const struct submit_facet *found = NULL;
        for (int j = 0; j < result->facet_count && !found; j++)
            if (slice_is(result->facets[j].name, board->facets[i].name))
                found = &result->facets[j];
        jsonw_key(json, board->facets[i].name);
        if (!found) {
            jsonw_null(json);
            continue;
        }
        jsonw_object_open(json);
        jsonw_key(json, "value");
        jsonw_string(json, found->value);
        render_rank(json, found->place->rank);
        jsonw_object_close(json);
    }
    jsonw_object_close(json);
}

void api_render_result(struct api_call *call, struct jsonw *json, const struct submission *submission,
                       const struct submit_result *result)
{
    const struct board *board = &submission->board;
    const struct submit_window *first = &result->windows[0];
    bool is_improved = false;

    for (int i = 0; i < result->window_count; i++)
        is_improved = is_improved || result->windows[i].is_changed;
    jsonw_key(json, "entry");
    jsonw_object_open(json);
    jsonw_key(json, "player");
    jsonw_string(json, submission->player);
    jsonw_key(json, "score");
    jsonw_int64(json, board_score(board, &first->key));
    jsonw_key(json, "subscore");
    jsonw_int64(json, board_subscore(board, &first->key));
    render_rank(json, first->rank);
    jsonw_key(json, "achieved_at");
    jsonw_time(json, board_achieved_us(board, &first->key));
    jsonw_key(json, "metadata");
    if (result->metadata.data)
        jsonw_raw(json, result->metadata);
    else
        jsonw_null(json);
    jsonw_object_close(json);
    jsonw_key(json, "previous");
    if (first->has_old) {
        jsonw_object_open(json);
        jsonw_key(json, "score");
        jsonw_int64(json, board_score(board, &first->old_key));
        jsonw_key(json, "subscore");
        jsonw_int64(json, board_subscore(board, &first->old_key));
        render_rank(json, first->is_changed ? first->old_rank : first->rank);
        jsonw_object_close(json);
    } else {
        jsonw_null(json);
    }
    jsonw_key(json, "improved");
    jsonw_bool(json, is_improved);
    jsonw_key(json, "windows");
    jsonw_object_open(json);
    for (int i = 0; i < result->window_count; i++)
        window_render(json, board, &result->windows[i]);
    for (int i = 0; i < result->closed_count; i++)
        closed_window_render(json, board, &result->windows[WINDOW_COUNT - 1 - i]);
    jsonw_object_close(json);
    if (board->facet_count > 0)
        facets_render(json, board, result);
    if (call->shows_source) {
        jsonw_key(json, "source");
        jsonw_text(json, source_name(result->source));
    }
}

void api_render_item(struct api_call *call, struct jsonw *json, const struct intake_item *item,
                     const struct submit_result *result)
{
    const struct error *error = result ? &result->error : &item->error;

    jsonw_object_open(json);
    if (item->place_name) {
        jsonw_key(json, item->place_name);
        jsonw_number(json, item->place);
    }
    jsonw_key(json, "status");
    jsonw_number(json, error_status(error->code));
    if (item->is_uncertain) {
        jsonw_key(json, "uncertain");
        jsonw_bool(json, true);
    }
    if (error->code != ERROR_NONE) {
        jsonw_key(json, "problem");
        http_problem(json, error);
    } else {
        api_render_result(call, json, &item->submission, result);
    }
    jsonw_object_close(json);
}
