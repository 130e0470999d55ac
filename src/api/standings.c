/*
 * standings.c -- reading: top, range, at, player, around, players. Parameters, and which question they make.
 *
 *   parameters -> reading.c: remembered? under way? else standing_read -> reading_render.c -> page.c
 */
#include <stdlib.h>
#include <string.h>

#include "api/reading.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "board/cursor.h"

enum { LIMIT_DEFAULT = 100, AROUND_DEFAULT = 5, OFFSET_MAX = 1000000000 };

/* ---- parameters ---- */

static void view_apply(struct reading *reading, const struct cursor_view *view)
{
    reading->query.ranking = view->ranking;
    reading->fields = (struct api_entry_view){view->subscore, view->achieved_at, view->metadata};
    reading->query.with_metadata = view->metadata;
    reading->shows_percentile = view->percentile;
    reading->shows_total = view->total;
    reading->query.with_total = view->total || view->percentile;
    reading->call->integers_as_strings = view->integers_as_strings;
    reading->call->shows_source = view->source;
}

static bool view_refuse(const char *name, struct error *error)
{
    return error_set_field(error, ERROR_INVALID_CURSOR, name,
                           "differs from the request that the cursor is of: send the same, or the cursor alone");
}

/*
 * What the first page was asked with holds for the next one. A parameter that says something else is refused, because
 * the page would not fit the one before; limit alone may change. An old cursor holds no view: the request says all.
 */
static bool view_read(struct reading *reading, const struct cursor *cursor, int64_t *limit, struct error *error)
{
    const struct api_call *call = reading->call;
    const struct cursor_view mine = reading_view(reading), *view = &cursor->view;

    if (!cursor->has_view)
        return true;
    if (api_text(call, "ranking").data && mine.ranking != view->ranking)
        return view_refuse("ranking", error);
    if (api_text(call, "fields").data &&
        (mine.subscore != view->subscore || mine.achieved_at != view->achieved_at || mine.metadata != view->metadata ||
         mine.percentile != view->percentile || mine.total != view->total))
        return view_refuse("fields", error);
    if (api_text(call, "integers").data && mine.integers_as_strings != view->integers_as_strings)
        return view_refuse("integers", error);
    if (api_text(call, "source").data && mine.source != view->source)
        return view_refuse("source", error);
    if (!api_text(call, "limit").data)
        *limit = view->limit;
    view_apply(reading, view);
    return true;
}

/* limit: the request's; the cursor's where the request has none. */
static bool cursor_read(struct reading *reading, int64_t *limit, struct error *error)
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
    if (api_text(call, "window").data && cursor.window != reading->window)
        return error_set_field(error, ERROR_INVALID_CURSOR, "cursor", "the cursor is of the window %s",
                               board_window_name(&call->board, cursor.window));
    if (api_text(call, "facet").data && !slice_is(reading->facet, cursor.facet))
        return error_set_field(error, ERROR_INVALID_CURSOR, "cursor", "the cursor is of %s%s",
                               cursor.facet[0] ? "the facet " : "the whole board", cursor.facet);
    if (cursor.facet[0] && !board_facet_key(&call->board, slice_of(cursor.facet), reading->facet_key, error))
        return error_set_field(error, ERROR_INVALID_CURSOR, "cursor",
                               "the cursor is of %s, which the board has no more", cursor.facet);
    reading->facet = arena_copy(call->arena, slice_of(cursor.facet));
    static const char *const places[] = {"offset", "period", "min", "max"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (api_text(call, places[i]).data)
            return error_set_field(error, ERROR_INVALID_PARAMETER, places[i],
                                   "a cursor says where to go on: without %s", places[i]);
    if (!view_read(reading, &cursor, limit, error))
        return false;
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

/* ---- the handlers ---- */

void api_top(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_TOP);
    int64_t limit = LIMIT_DEFAULT, offset = 0;
    struct error error;

    if (!reading)
        return;
    reading->query.kind = STANDING_PAGE;
    bool is_ok = reading_common(reading, &error) && api_int(call, "limit", 1, STANDING_ROWS_MAX, &limit, &error) &&
                 api_int(call, "offset", 0, OFFSET_MAX, &offset, &error) && cursor_read(reading, &limit, &error);
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
    bool is_ok = reading_common(reading, &error) && api_int(call, "limit", 1, STANDING_ROWS_MAX, &limit, &error) &&
                 api_int(call, "min", INT64_MIN, INT64_MAX, &min, &error) &&
                 api_int(call, "max", INT64_MIN, INT64_MAX, &max, &error);
    if (is_ok && min > max)
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "min", "must not be above max");
    /* The best score first: the range starts before every entry of it, and its cursor carries where it stops. */
    bool is_desc = call->board.ordering == ORDER_DESC;
    reading->query.kind = STANDING_AFTER;
    reading->query.key = (struct sort_key){is_desc ? ~max : min, INT64_MIN, INT64_MIN};
    reading->query.k1_max = is_desc ? ~min : max;
    is_ok = is_ok && cursor_read(reading, &limit, &error);
    reading->query.limit = (int)limit;
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
    bool is_ok = reading_common(reading, &error) && api_int(call, "rank", 1, OFFSET_MAX, &rank, &error) &&
                 api_int(call, "score", INT64_MIN, INT64_MAX, &reading->at_score, &error) &&
                 api_int(call, "subscore", INT64_MIN, INT64_MAX, &subscore, &error);
    if (is_ok && has_rank + has_score + (percentile.data != NULL) != 1)
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "rank", "give one of rank, score and percentile");
    if (is_ok && !has_score && api_text(call, "subscore").data)
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "subscore", "goes with score only");
    if (is_ok && percentile.data &&
        (!text_parse_decimal(percentile, &reading->query.percentile) || reading->query.percentile < 0 ||
         reading->query.percentile > 100))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "percentile", "must be a number from 0 to 100");
    if (has_rank) {
        reading->query.kind = STANDING_PAGE;
        reading->query.offset = rank - 1;
    } else if (percentile.data) {
        reading->at_kind = AT_PERCENTILE;
        reading->query.kind = STANDING_PERCENTILE;
    } else {
        reading->at_kind = AT_SCORE;
        reading->query.kind = STANDING_SEEK;
        /* Behind every entry that has the same pair: who comes now was not first. Before them where the last wins, or
         * where equals share a rank. */
        bool is_before = call->board.tie == TIE_LAST || reading->query.ranking != RANKING_ORDINAL;
        reading->query.key = board_key(&call->board, reading->at_score, subscore, 0);
        reading->query.key.k3 = is_before ? INT64_MIN : INT64_MAX;
        if (is_ok && reading->shows_percentile)
            is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "fields",
                                    "percentile is of an entry, and with score there is none");
    }
    reading_start(reading, is_ok ? NULL : &error);
}

static bool ids_room(struct reading *reading)
{
    reading->ids = arena_alloc(reading->call->arena, STANDING_PLAYERS_MAX * sizeof(*reading->ids));
    if (!reading->ids)
        api_fail_with(reading->call, ERROR_OVERLOADED, "out of memory");
    return reading->ids != NULL;
}

/* The next of a list of ids: up to the comma, or, when it begins with a quote, as in CSV: so that an id may hold
 * commas. */
static bool id_next(struct arena *arena, struct slice text, size_t *at, struct slice *ret_id, struct error *error)
{
    if (*at == text.size || text.data[*at] != '"') {
        const char *comma = memchr(text.data + *at, ',', text.size - *at);
        size_t end = comma ? (size_t)(comma - text.data) : text.size;
        *ret_id = (struct slice){text.data + *at, end - *at};
        *at = end + 1;
        return true;
    }
    char *id = arena_alloc(arena, PLAYER_BYTES_MAX);
    size_t size = 0, i = *at + 1;
    for (; id && i < text.size && (text.data[i] != '"' || (i + 1 < text.size && text.data[i + 1] == '"')); i++) {
        if (size < PLAYER_BYTES_MAX)
            id[size] = text.data[i];
        size++; /* one that is too long is refused by its length */
        i += text.data[i] == '"';
    }
    if (!id || i >= text.size || (i + 1 < text.size && text.data[i + 1] != ','))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "ids",
                               "a quoted id ends with a quote, then a comma or the end");
    *ret_id = (struct slice){id, size};
    *at = i + 2;
    return true;
}

/* Open addressing: a slot has the place of an id in the list, from 1 on. */
enum { SLOTS = 1024 };
_Static_assert(SLOTS >= 2 * (int)STANDING_PLAYERS_MAX, "there is always a free one");

/* Where the id stands, or would. */
static uint16_t *slot_of(const struct reading *reading, uint16_t slots[static SLOTS], struct slice id)
{
    uint8_t hash[HASH_SIZE];
    uint32_t at;

    hash_bytes(id, hash);
    memcpy(&at, hash, sizeof(at));
    for (at %= SLOTS; slots[at] && !slice_equal(reading->ids[slots[at] - 1], id); at = (at + 1) % SLOTS)
        ;
    return &slots[at];
}

static bool ids_read(struct reading *reading, struct slice text, struct error *error)
{
    struct standing_query *query = &reading->query;

    if (!text.data || text.size == 0)
        return error_set_field(error, ERROR_INVALID_PARAMETER, "ids", "give 1 to %d player ids, separated by commas",
                               STANDING_PLAYERS_MAX);
    uint16_t slots[SLOTS] = {0};
    int listed = 0; /* repeats too */
    for (size_t at = 0; at <= text.size;) {
        struct slice id;
        if (++listed > 2 * STANDING_PLAYERS_MAX)
            return error_set_field(error, ERROR_INVALID_PARAMETER, "ids", "more than %d ids, repeats included",
                                   2 * STANDING_PLAYERS_MAX);
        if (!id_next(reading->call->arena, text, &at, &id, error) || !player_check(id, "ids", error))
            return false;
        uint16_t *slot = slot_of(reading, slots, id);
        if (*slot)
            continue;
        if (query->player_count == STANDING_PLAYERS_MAX)
            return error_set_field(error, ERROR_INVALID_PARAMETER, "ids", "more than %d players", STANDING_PLAYERS_MAX);
        reading->ids[query->player_count++] = id;
        *slot = (uint16_t)query->player_count;
    }
    return true;
}

void api_players(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_PLAYERS);
    struct error error;

    if (!reading || !ids_room(reading))
        return;
    bool is_ok = reading_common(reading, &error) && ids_read(reading, api_text(call, "ids"), &error);
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
    bool is_ok = reading_common(reading, &error);
    reading->query.kind = STANDING_PLAYERS;
    reading->query.players = &call->player;
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
    bool is_ok = reading_common(reading, &error) && api_int(call, "above", 0, 500, &above, &error) &&
                 api_int(call, "below", 0, 499, &below, &error);
    if (is_ok && absent.data) {
        if (slice_is(absent, "top"))
            reading->query.absent = ABSENT_TOP;
        else if (slice_is(absent, "last"))
            reading->query.absent = ABSENT_LAST;
        else if (!slice_is(absent, "404"))
            is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "absent", "must be 404, top or last");
    }
    reading->query.kind = STANDING_AROUND;
    reading->query.player = call->player;
    reading->query.above = (int)above;
    reading->query.below = (int)below;
    reading_start(reading, is_ok ? NULL : &error);
}
