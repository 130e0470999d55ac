/*
 * standings.c -- reading: top, range, at, player, around, players.
 *
 *   parameters -> period (a cursor brings its own) -> standing_read -> JSON
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "base/text.h"
#include "board/cursor.h"

enum { LIMIT_DEFAULT = 100, AROUND_DEFAULT = 5, OFFSET_MAX = 1000000000 };

enum view { VIEW_TOP, VIEW_RANGE, VIEW_AT, VIEW_PLAYER, VIEW_AROUND, VIEW_PLAYERS };
enum absent { ABSENT_404, ABSENT_TOP, ABSENT_LAST };
enum at_kind { AT_RANK, AT_SCORE, AT_PERCENTILE };

struct reading {
    struct api_call *call;
    enum view view;
    enum window window;
    struct standing_query query;
    struct api_entry_view fields;
    enum absent absent;
    enum at_kind at_kind;
    double percentile;
    int64_t at_score;
    int64_t wanted_rank;
    /* VIEW_PLAYERS: as they were asked for, without repeats */
    struct slice ids[STANDING_PLAYERS_MAX];
};

/* ---- parameters ---- */

static bool fields_check(const struct api_call *call, struct error *error)
{
    static const char *const known[] = {"rank", "player", "score", "subscore", "achieved_at", "metadata", "percentile", "total"};
    struct slice fields = api_text(call, "fields");

    for (size_t at = 0; at < fields.size;) {
        const char *comma = memchr(fields.data + at, ',', fields.size - at);
        size_t end = comma ? (size_t)(comma - fields.data) : fields.size;
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_SIZE(known) && !is_known; i++)
            is_known = slice_is((struct slice){fields.data + at, end - at}, known[i]);
        if (!is_known)
            return error_set_field(error, ERROR_INVALID_PARAMETER, "fields",
                                   "must be some of rank, player, score, subscore, achieved_at, metadata");
        at = end + 1;
    }
    return true;
}

static bool common_read(struct reading *reading, struct error *error)
{
    struct api_call *call = reading->call;
    struct slice window = api_text(call, "window");
    struct slice ranking = api_text(call, "ranking");

    reading->window = call->board.windows[0];
    if (window.data && !window_parse(window, &reading->window))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "window", "must be one of all, monthly, weekly, daily, hourly");
    if (!board_has_window(&call->board, reading->window))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "window", "the board has no window %s", window_name(reading->window));
    if (ranking.data && !ranking_parse(ranking, &reading->query.ranking))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "ranking", "must be one of ordinal, competition, dense");
    return fields_check(call, error);
}

static bool cursor_read(struct reading *reading, struct error *error)
{
    struct api_call *call = reading->call;
    struct slice text = api_text(call, "cursor");
    struct standing_query *query = &reading->query;
    struct cursor cursor;

    if (!text.data)
        return true;
    if (!cursor_decode(text, api_cursor_key(call->api), &cursor, error))
        return false;
    if (cursor.board_id != call->board.id)
        return error_set_field(error, ERROR_INVALID_CURSOR, "cursor", "the cursor is of another board");
    query->kind = STANDING_AFTER;
    query->period = (struct period){.id = cursor.period_id,
                                    .board_id = cursor.board_id,
                                    .window = cursor.window,
                                    .start_us = cursor.period_start_us,
                                    .end_us = cursor.period_end_us};
    query->key = cursor.key;
    query->k1_max = cursor.k1_max;
    query->player = arena_copy(call->arena, (struct slice){cursor.player, cursor.player_size});
    reading->window = cursor.window;
    return true;
}

/* ---- rendering ---- */

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
    };
    memcpy(cursor.player, last->player.data, last->player.size);
    cursor_encode(&cursor, api_cursor_key(reading->call->api), text);
    jsonw_text(json, text);
}

static void head_render(struct reading *reading, struct jsonw *json)
{
    const struct period *period = &reading->query.period;
    char text[PERIOD_TEXT_MAX];

    jsonw_key(json, "board");
    jsonw_text(json, reading->call->board.name);
    jsonw_key(json, "window");
    jsonw_text(json, window_name(reading->window));
    period_text(period, text);
    jsonw_key(json, "period");
    jsonw_text(json, text);
    if (reading->call->shows_source) {
        jsonw_key(json, "source");
        jsonw_text(json, source_name(reading->call->source));
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
        api_render_row(json, &reading->call->board, &answer->rows[i], reading->fields);
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

static void answer_begin(struct reading *reading, struct buf *body, struct jsonw *json)
{
    buf_init(body, API_ANSWER_BYTES_MAX);
    jsonw_init(json, body);
    json->integers_as_strings = reading->call->integers_as_strings;
    jsonw_object_open(json);
}

static void answer_end(struct reading *reading, struct buf *body, struct jsonw *json)
{
    jsonw_object_close(json);
    api_answer(reading->call, 200, body, "");
    http_release(reading->call->http);
}

static void reading_fail(struct reading *reading, const struct error *error)
{
    api_fail(reading->call, error);
    http_release(reading->call->http);
}

static void page_answer(struct reading *reading, const struct standing_answer *answer)
{
    struct buf body;
    struct jsonw json;

    answer_begin(reading, &body, &json);
    head_render(reading, &json);
    if (answer->total >= 0 && (reading->view == VIEW_PLAYERS || reading->view == VIEW_AROUND)) {
        jsonw_key(&json, "total");
        jsonw_number(&json, answer->total);
    }
    rows_render(reading, &json, answer);
    if (reading->view == VIEW_TOP || reading->view == VIEW_RANGE)
        cursor_render(reading, &json, answer);
    if (reading->view == VIEW_PLAYERS)
        not_found_render(reading, &json, answer);
    answer_end(reading, &body, &json);
}

static void player_answer(struct reading *reading, const struct standing_answer *answer)
{
    struct buf body;
    struct jsonw json;

    if (answer->count == 0) {
        struct error error;
        error_set_field(&error, ERROR_PLAYER_NOT_FOUND, "player", "the player has no entry in this standing");
        reading_fail(reading, &error);
        return;
    }
    answer_begin(reading, &body, &json);
    api_render_row(&json, &reading->call->board, &answer->rows[0], reading->fields);
    if (answer->total >= 0) {
        jsonw_key(&json, "percentile");
        jsonw_double(&json, percentile_of(answer->rows[0].ordinal, answer->total));
        jsonw_key(&json, "total");
        jsonw_number(&json, answer->total);
    }
    head_render(reading, &json);
    answer_end(reading, &body, &json);
}

/* What stands at a rank or percentile; or where a score would stand. */
static void at_answer(struct reading *reading, const struct standing_answer *answer)
{
    struct buf body;
    struct jsonw json;

    answer_begin(reading, &body, &json);
    head_render(reading, &json);
    if (reading->at_kind == AT_SCORE) {
        jsonw_key(&json, "score");
        jsonw_int64(&json, reading->at_score);
        jsonw_key(&json, "rank");
        jsonw_number(&json, answer->before + 1);
        jsonw_key(&json, "total");
        jsonw_number(&json, answer->total);
    } else {
        jsonw_key(&json, "entry");
        if (answer->count) {
            jsonw_object_open(&json);
            api_render_row(&json, &reading->call->board, &answer->rows[0], reading->fields);
            jsonw_object_close(&json);
        } else {
            jsonw_null(&json);
        }
    }
    answer_end(reading, &body, &json);
}

/* ---- asking ---- */

static void reading_ask(struct reading *reading);

static void on_answer(void *context, const struct standing_answer *answer)
{
    struct reading *reading = context;
    struct api_call *call = reading->call;
    struct standing_query *query = &reading->query;

    call->source = answer->source;
    if (answer->error.code == ERROR_PLAYER_NOT_FOUND && reading->view == VIEW_AROUND && reading->absent != ABSENT_404) {
        /* The page at an end instead: its length is what was asked for. */
        int want = query->above + query->below + 1;
        int64_t total = answer->total;
        query->limit = want;
        if (reading->absent == ABSENT_TOP || total >= 0) {
            query->kind = STANDING_PAGE;
            query->offset = reading->absent == ABSENT_TOP || total < want ? 0 : total - want;
        } else {
            query->kind = STANDING_SEEK; /* how many are there? */
            query->key = (struct sort_key){INT64_MAX, INT64_MAX, INT64_MAX};
        }
        reading_ask(reading);
        return;
    }
    if (answer->error.code != ERROR_NONE) {
        reading_fail(reading, &answer->error);
        return;
    }
    if (query->kind == STANDING_SEEK && (reading->view == VIEW_AROUND || reading->at_kind == AT_PERCENTILE)) {
        /* The size is known: now the page. */
        int64_t start = reading->view == VIEW_AROUND ? answer->total - query->limit
                        : answer->total > 0          ? percentile_rank(reading->percentile, answer->total) - 1
                                                     : 0;
        query->kind = STANDING_PAGE;
        query->offset = start < 0 ? 0 : start;
        reading_ask(reading);
        return;
    }
    if (reading->view == VIEW_PLAYER)
        player_answer(reading, answer);
    else if (reading->view == VIEW_AT)
        at_answer(reading, answer);
    else
        page_answer(reading, answer);
}

static void reading_ask(struct reading *reading)
{
    struct api_call *call = reading->call;
    const struct token *token = call->has_token ? &call->token : NULL;

    reading->query.freshness = store_freshness(call->store, token);
    standing_read(call->store, call->arena, &reading->query, on_answer, reading);
}

static void on_period(void *context, const struct period *period, const struct error *error)
{
    struct reading *reading = context;

    if (error) {
        reading_fail(reading, error);
        return;
    }
    reading->query.period = *period;
    reading_ask(reading);
}

static struct reading *reading_new(struct api_call *call, enum view view)
{
    struct reading *reading = arena_calloc(call->arena, 1, sizeof(*reading));

    if (!reading) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    reading->call = call;
    reading->view = view;
    reading->query.k1_max = INT64_MAX;
    reading->fields = api_entry_view_of(call, view == VIEW_PLAYER);
    reading->query.with_metadata = reading->fields.metadata;
    return reading;
}

static void reading_start(struct reading *reading, const struct error *error)
{
    struct api_call *call = reading->call;

    if (error) {
        api_fail(call, error);
        return;
    }
    http_hold(call->http);
    if (reading->query.kind == STANDING_AFTER && reading->query.period.id) {
        reading_ask(reading); /* the cursor says which period */
        return;
    }
    struct slice period = api_text(call, "period");
    store_period_find(call->store, &call->board, reading->window, period, on_period, reading);
}

/* ---- the handlers ---- */

void api_top(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_TOP);
    int64_t limit = LIMIT_DEFAULT, offset = 0;
    struct error error;

    if (!reading)
        return;
    reading->query.kind = STANDING_PAGE;
    bool is_ok = common_read(reading, &error) && api_int(call, "limit", 1, STANDING_ROWS_MAX, &limit, &error) &&
                 api_int(call, "offset", 0, OFFSET_MAX, &offset, &error) && cursor_read(reading, &error);
    if (is_ok && reading->query.kind == STANDING_AFTER && (api_text(call, "offset").data || api_text(call, "period").data))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "cursor", "a cursor says where to go on: without offset and period");
    reading->query.limit = (int)limit;
    reading->query.offset = offset;
    reading_start(reading, is_ok ? NULL : &error);
}

void api_range(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_RANGE);
    int64_t limit = LIMIT_DEFAULT, min = INT64_MIN, max = INT64_MAX;
    struct error error;

    if (!reading)
        return;
    bool is_ok = common_read(reading, &error) && api_int(call, "limit", 1, STANDING_ROWS_MAX, &limit, &error) &&
                 api_int(call, "min", INT64_MIN, INT64_MAX, &min, &error) && api_int(call, "max", INT64_MIN, INT64_MAX, &max, &error);
    if (is_ok && min > max)
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "min", "must not be above max");
    /* The best score first: the range starts before every entry of it, and its cursor carries where it stops. */
    bool is_desc = call->board.ordering == ORDER_DESC;
    reading->query.kind = STANDING_AFTER;
    reading->query.key = (struct sort_key){is_desc ? ~max : min, INT64_MIN, INT64_MIN};
    reading->query.k1_max = is_desc ? ~min : max;
    reading->query.limit = (int)limit;
    is_ok = is_ok && cursor_read(reading, &error);
    reading_start(reading, is_ok ? NULL : &error);
}

void api_at(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_AT);
    struct slice percentile = api_text(call, "percentile");
    bool has_rank = api_text(call, "rank").data, has_score = api_text(call, "score").data;
    int64_t rank = 1, subscore = 0;
    struct error error;

    if (!reading)
        return;
    reading->query.limit = 1;
    bool is_ok = common_read(reading, &error) && api_int(call, "rank", 1, OFFSET_MAX, &rank, &error) &&
                 api_int(call, "score", INT64_MIN, INT64_MAX, &reading->at_score, &error) &&
                 api_int(call, "subscore", INT64_MIN, INT64_MAX, &subscore, &error);
    if (is_ok && has_rank + has_score + (percentile.data != NULL) != 1)
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "rank", "give one of rank, score and percentile");
    if (is_ok && percentile.data &&
        (!text_parse_decimal(percentile, &reading->percentile) || reading->percentile < 0 || reading->percentile > 100))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "percentile", "must be a number from 0 to 100");
    if (has_rank) {
        reading->query.kind = STANDING_PAGE;
        reading->query.offset = rank - 1;
    } else {
        reading->at_kind = has_score ? AT_SCORE : AT_PERCENTILE;
        reading->query.kind = STANDING_SEEK;
        /* Behind every entry that has the same pair: who comes now was not first. Where the last wins, before them. */
        reading->query.key = board_key(&call->board, reading->at_score, subscore, 0);
        reading->query.key.k3 = call->board.tie == TIE_LAST ? INT64_MIN : INT64_MAX;
    }
    reading_start(reading, is_ok ? NULL : &error);
}

static bool ids_read(struct reading *reading, struct slice text, struct error *error)
{
    struct standing_query *query = &reading->query;

    if (!text.data || text.size == 0)
        return error_set_field(error, ERROR_INVALID_PARAMETER, "ids", "give 1 to %d player ids, separated by commas", STANDING_PLAYERS_MAX);
    for (size_t at = 0; at <= text.size;) {
        const char *comma = memchr(text.data + at, ',', text.size - at);
        size_t end = comma ? (size_t)(comma - text.data) : text.size;
        struct slice id = {text.data + at, end - at};
        at = end + 1;
        if (!player_check(id, "ids", error))
            return false;
        bool is_repeat = false;
        for (size_t i = 0; i < query->player_count && !is_repeat; i++)
            is_repeat = slice_equal(reading->ids[i], id);
        if (is_repeat)
            continue;
        if (query->player_count == STANDING_PLAYERS_MAX)
            return error_set_field(error, ERROR_INVALID_PARAMETER, "ids", "more than %d players", STANDING_PLAYERS_MAX);
        reading->ids[query->player_count++] = id;
    }
    return true;
}

void api_players(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_PLAYERS);
    struct error error;

    if (!reading)
        return;
    bool is_ok = common_read(reading, &error) && ids_read(reading, api_text(call, "ids"), &error);
    reading->query.kind = STANDING_PLAYERS;
    reading->query.players = reading->ids;
    reading_start(reading, is_ok ? NULL : &error);
}

void api_player(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_PLAYER);
    struct error error;

    if (!reading)
        return;
    bool is_ok = common_read(reading, &error);
    reading->ids[0] = call->player;
    reading->query.kind = STANDING_PLAYERS;
    reading->query.players = reading->ids;
    reading->query.player_count = 1;
    reading_start(reading, is_ok ? NULL : &error);
}

void api_around(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_AROUND);
    struct slice absent = api_text(call, "absent");
    int64_t above = AROUND_DEFAULT, below = AROUND_DEFAULT;
    struct error error;

    if (!reading)
        return;
    bool is_ok = common_read(reading, &error) && api_int(call, "above", 0, 500, &above, &error) && api_int(call, "below", 0, 499, &below, &error);
    if (is_ok && absent.data) {
        if (slice_is(absent, "top"))
            reading->absent = ABSENT_TOP;
        else if (slice_is(absent, "last"))
            reading->absent = ABSENT_LAST;
        else if (!slice_is(absent, "404"))
            is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "absent", "must be 404, top or last");
    }
    reading->query.kind = STANDING_AROUND;
    reading->query.player = call->player;
    reading->query.above = (int)above;
    reading->query.below = (int)below;
    reading_start(reading, is_ok ? NULL : &error);
}
