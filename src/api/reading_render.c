/*
 * reading_render.c -- what an answer about a standing looks like.
 */
#include <stdlib.h>
#include <string.h>

#include "api/reading.h"
#include "base/assert.h"
#include "board/cursor.h"

enum { HEAD_BYTES = 1024, ROW_BYTES = 128 };

struct cursor_view reading_view(const struct reading *reading)
{
    return (struct cursor_view){.ranking = reading->query.ranking,
                                .limit = reading->query.limit,
                                .subscore = reading->fields.subscore,
                                .achieved_at = reading->fields.achieved_at,
                                .metadata = reading->fields.metadata,
                                .percentile = reading->shows_percentile,
                                .total = reading->shows_total,
                                .integers_as_strings = reading->call->integers_as_strings,
                                .source = reading->call->shows_source};
}

static void cursor_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    char text[CURSOR_TEXT_MAX];

    jsonw_key(json, "next");
    if (!answer->has_more || answer->count == 0) {
        jsonw_null(json);
        return;
    }
    const struct standing_row *last = &answer->rows[answer->count - 1];
    const struct period *period = &reading->query.period;
    struct cursor cursor = {
        .board_id = reading->call->board.id,
        .period_id = period->id,
        .period_start_us = period->start_us,
        .period_end_us = period->end_us,
        .window = reading->window,
        .key = last->key,
        .k1_max = reading->query.kind == STANDING_AFTER ? reading->query.k1_max : INT64_MAX,
        .player_size = last->player.size,
        .has_view = true,
        .view = reading_view(reading),
    };
    memcpy(cursor.facet, reading->facet.data, reading->facet.size);
    memcpy(cursor.player, last->player.data, last->player.size);
    cursor_encode(&cursor, api_cursor_key(reading->call->api), text);
    jsonw_text(json, text);
}

void reading_head(struct reading *reading, struct jsonw *json)
{
    const struct period *period = &reading->query.period;
    char text[PERIOD_TEXT_MAX];

    jsonw_key(json, "board");
    jsonw_text(json, reading->call->board.name);
    jsonw_key(json, "window");
    jsonw_text(json, board_window_name(&reading->call->board, reading->window));
    period_text(period, text);
    jsonw_key(json, "period");
    jsonw_text(json, text);
    if (reading->facet.size) {
        jsonw_key(json, "facet");
        jsonw_string(json, reading->facet);
    }
    if (reading->call->board.is_combined) {
        jsonw_key(json, "combined_at");
        if (reading->call->board.combined_us)
            jsonw_time(json, reading->call->board.combined_us);
        else
            jsonw_null(json);
    }
    if (reading->call->shows_source) {
        jsonw_key(json, "source");
        jsonw_text(json, source_name(reading->call->source));
    }
}

/* An entry's members: the row's, and its percentile. */
static void entry_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer,
                         const struct standing_row *row)
{
    api_render_row(json, &reading->call->board, row, reading->fields);
    if (answer->total >= 0 && reading->shows_percentile) {
        jsonw_key(json, "percentile");
        jsonw_double(json, percentile_of(row->ordinal, answer->total));
    }
}

static void rows_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    jsonw_key(json, "entries");
    jsonw_array_open(json);
    for (size_t i = 0; i < answer->count; i++) {
        jsonw_object_open(json);
        if (reading->view == VIEW_PLAYERS) {
            jsonw_key(json, "position");
            jsonw_number(json, (int64_t)i + 1);
        }
        entry_render(reading, json, answer, &answer->rows[i]);
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
}

static int slice_compare(const void *a, const void *b)
{
    const struct slice *left = a, *right = b;
    int order = memcmp(left->data, right->data, left->size < right->size ? left->size : right->size);

    return order ? order : (left->size > right->size) - (left->size < right->size);
}

static void not_found_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    struct slice *found = arena_alloc(reading->call->arena, (answer->count + 1) * sizeof(*found));

    jsonw_key(json, "not_found");
    jsonw_array_open(json);
    if (found) {
        for (size_t i = 0; i < answer->count; i++)
            found[i] = answer->rows[i].player;
        qsort(found, answer->count, sizeof(*found), slice_compare);
        for (size_t i = 0; i < reading->query.player_count; i++)
            if (!bsearch(&reading->ids[i], found, answer->count, sizeof(*found), slice_compare))
                jsonw_string(json, reading->ids[i]);
    }
    jsonw_array_close(json);
}

static void total_render(const struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    if (answer->total < 0 || !reading->shows_total)
        return;
    jsonw_key(json, "total");
    jsonw_number(json, answer->total);
}

static void page_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    reading_head(reading, json);
    total_render(reading, json, answer);
    rows_render(reading, json, answer);
    if (reading->view == VIEW_TOP || reading->view == VIEW_RANGE)
        cursor_render(reading, json, answer);
    if (reading->view == VIEW_PLAYERS)
        not_found_render(reading, json, answer);
}

static void player_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    entry_render(reading, json, answer, &answer->rows[0]);
    total_render(reading, json, answer);
    reading_head(reading, json);
}

/* What stands at a rank or percentile; or where a score would stand. */
static void at_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    reading_head(reading, json);
    if (reading->at_kind == AT_SCORE) {
        jsonw_key(json, "score");
        jsonw_int64(json, reading->at_score);
        jsonw_key(json, "rank");
        jsonw_number(json, answer->before + 1);
    } else {
        jsonw_key(json, "entry");
        if (answer->count) {
            jsonw_object_open(json);
            entry_render(reading, json, answer, &answer->rows[0]);
            jsonw_object_close(json);
        } else {
            jsonw_null(json);
        }
    }
    total_render(reading, json, answer);
}

static int answer_render(struct reading *reading, const struct standing_answer *answer, struct buf *body)
{
    bool is_absent = answer->error.code != ERROR_NONE || (reading->view == VIEW_PLAYER && answer->count == 0);
    struct jsonw json;

    buf_init(body, API_ANSWER_BYTES_MAX);
    buf_reserve(body, HEAD_BYTES + answer->count * ROW_BYTES); /* what most answers take, so that they grow once */
    jsonw_init(&json, body);
    json.integers_as_strings = reading->call->integers_as_strings;
    if (is_absent) {
        struct error error;
        error_set_field(&error, ERROR_PLAYER_NOT_FOUND, "player", "the player has no entry in this standing");
        http_problem(&json, &error);
        return error_status(error.code);
    }
    jsonw_object_open(&json);
    if (reading->view == VIEW_PLAYER)
        player_render(reading, &json, answer);
    else if (reading->view == VIEW_AT)
        at_render(reading, &json, answer);
    else if (reading->render)
        reading->render(reading, &json, answer);
    else
        page_render(reading, &json, answer);
    jsonw_object_close(&json);
    return 200;
}

int reading_render(struct reading *reading, const struct standing_answer *answer, struct buf *body)
{
    int status = answer_render(reading, answer, body);

    buf_append_byte(body, '\n');
    return status;
}
