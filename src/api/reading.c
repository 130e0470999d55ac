/*
 * reading.c -- who answers a question: memory, a fetch that is under way already, or a fetch of our own.
 *
 *   reading_start -> period -> key -> answers_ask -- HIT, STALE --> page_send
 *                                        |--------- JOINED -------> on_joined, when the other's fetch has landed
 *                                        +--------- FETCH --------> closed? l2_find -- hit --> page_send, flight_land
 *                                                                       | miss
 *                                                                   standing_read -> render -> page_send, flight_land, l2_keep
 *
 * An open standing that Redis turns out not to hold is looked for in the second cache too, before PostgreSQL is asked.
 */
#include "api/reading.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "db/primary_clock.h"

/* ---- what every view has ---- */

struct reading *reading_new(struct api_call *call, enum view view)
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
    /* What changes with every newcomer is in an answer about one player, elsewhere only where it is asked for. */
    reading->shows_total = api_fields_has(call, "total", view == VIEW_PLAYER);
    reading->shows_percentile = api_fields_has(call, "percentile", view == VIEW_PLAYER);
    reading->query.with_total = reading->shows_total || reading->shows_percentile;
    return reading;
}

static bool fields_check(const struct api_call *call, struct error *error)
{
    static const char *const known[] = {"rank",        "player",   "score",      "subscore",
                                        "achieved_at", "metadata", "percentile", "total"};
    struct slice fields = api_text(call, "fields");

    for (size_t at = 0; at < fields.size;) {
        const char *comma = memchr(fields.data + at, ',', fields.size - at);
        size_t end = comma ? (size_t)(comma - fields.data) : fields.size;
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_SIZE(known) && !is_known; i++)
            is_known = slice_is((struct slice){fields.data + at, end - at}, known[i]);
        if (!is_known)
            return error_set_field(
                error, ERROR_INVALID_PARAMETER, "fields",
                "must be some of rank, player, score, subscore, achieved_at, metadata, percentile, total");
        at = end + 1;
    }
    return true;
}

bool reading_common(struct reading *reading, struct error *error)
{
    struct api_call *call = reading->call;
    struct slice window = api_text(call, "window");
    struct slice ranking = api_text(call, "ranking");
    struct slice facet = api_text(call, "facet");

    reading->window = call->board.windows[0];
    if (window.data && !board_window_parse(&call->board, window, &reading->window))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "window",
                               "must be one of all, monthly, weekly, daily, hourly, or the name of a schedule");
    if (!board_has_window(&call->board, reading->window))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "window", "the board has no window %s",
                               board_window_name(&call->board, reading->window));
    if (facet.data && !board_facet_key(&call->board, facet, reading->facet_key, error))
        return false;
    reading->facet = facet.data ? facet : SLICE("");
    if (ranking.data && !ranking_parse(ranking, &reading->query.ranking))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "ranking", "must be one of ordinal, competition, dense");
    return fields_check(call, error);
}

/* ---- the key ---- */

/* All that the answer depends on, apart from the data. What is not asked for is zero. */
struct key_head {
    int64_t standing, board_version, offset, k1, k2, k3, k1_max, at_score;
    double percentile;
    int32_t limit, above, below, player_size, bins;
    uint8_t view, kind, ranking, absent, at_kind, is_public;
    uint8_t bin_kind;
    uint8_t subscore, achieved_at, metadata, total, of_percentile, texts, names_period, is_pretty;
};

/* Returns its size, or 0: too long to be remembered. */
static size_t key_make(const struct reading *reading, char out[static L1_KEY_MAX])
{
    const struct api_call *call = reading->call;
    const struct standing_query *query = &reading->query;
    struct key_head head;
    size_t size = sizeof(head);

    memset(&head, 0, sizeof(head)); /* its padding too */
    head.standing = query->period.id;
    head.board_version = call->board.updated_us;
    head.offset = query->offset;
    head.k1 = query->key.k1;
    head.k2 = query->key.k2;
    head.k3 = query->key.k3;
    head.k1_max = query->k1_max;
    head.at_score = reading->at_score;
    head.percentile = query->percentile;
    head.limit = query->limit;
    head.above = query->above;
    head.below = query->below;
    head.player_size = (int32_t)query->player.size;
    head.bins = query->statistics.bins;
    head.bin_kind = query->statistics.bin_kind ? (uint8_t)query->statistics.bin_kind[0] : 0;
    head.view = (uint8_t)reading->view;
    head.kind = (uint8_t)query->kind;
    head.ranking = (uint8_t)query->ranking;
    head.absent = (uint8_t)query->absent;
    head.at_kind = (uint8_t)reading->at_kind;
    head.is_public = call->key.scope == SCOPE_NONE;
    head.subscore = reading->fields.subscore;
    head.achieved_at = reading->fields.achieved_at;
    head.metadata = reading->fields.metadata;
    head.total = reading->shows_total;
    head.of_percentile = reading->shows_percentile;
    head.texts = call->integers_as_strings;
    head.names_period = reading->names_period; /* what it tells the caches differs */
    head.is_pretty = http_is_pretty(call->http);
    memcpy(out, &head, sizeof(head));
    if (query->player.size) {
        memcpy(out + size, query->player.data, query->player.size);
        size += query->player.size;
    }
    if (query->statistics.percentiles) {
        struct slice percentiles = slice_of(query->statistics.percentiles);
        if (size + percentiles.size > L1_KEY_MAX)
            return 0;
        memcpy(out + size, percentiles.data, percentiles.size);
        size += percentiles.size;
    }
    for (size_t i = 0; i < query->player_count; i++) {
        struct slice id = query->players[i];
        if (size + 1 + id.size > L1_KEY_MAX)
            return 0;
        out[size++] = (char)id.size;
        memcpy(out + size, id.data, id.size);
        size += id.size;
    }
    return size;
}

/* ---- ends ---- */

static void reading_fail(struct reading *reading, const struct error *error)
{
    struct http_request *http = reading->call->http;

    api_fail(reading->call, error);
    if (reading->flight)
        flight_fail(reading->flight, error);
    http_release(http);
}

/* What was changed then was so then, at least. */
static struct page *reading_page(struct reading *reading, int status, struct buf *body, int64_t changed_us,
                                 int64_t until_us)
{
    struct api_call *call = reading->call;

    call->is_final = call->is_final && status == 200;
    return page_new(call, status, body, changed_us, changed_us, until_us);
}

static void reading_end(struct reading *reading, const struct standing_answer *answer, struct page *page,
                        enum api_cache outcome)
{
    struct api_call *call = reading->call;
    struct http_request *http = call->http;

    if (reading->flight && flight_keep(reading->flight, answer, page, page_bytes(page)))
        call->is_stored = true;
    page_send(call, page, outcome);
    if (reading->flight)
        flight_land(reading->flight, answer, page, page_bytes(page));
    else
        page_free(page);
    http_release(http);
}

/*
 * When the answer last became another one: with the standing's last change, or when its period began. A period may have
 * been made ready long before it is what the question means, and its page is a new one all the same. And no page bears
 * a date at which the next period had begun, however late it was sent.
 */
static int64_t changed_at(const struct reading *reading, const struct standing_answer *answer)
{
    int64_t start_us = reading->query.period.start_us;

    if (answer->as_of == 0 || answer->is_momentary)
        return 0;
    return start_us > answer->version && !fault_is("period-since") ? start_us : answer->version;
}

static void reading_land(struct reading *reading, const struct standing_answer *answer)
{
    struct buf body;
    int status = reading_render(reading, answer, &body);

    if (body.is_overflown) {
        struct error error;
        buf_done(&body);
        if (reading->ticket)
            l2_drop(reading->ticket);
        error_set(&error, ERROR_INTERNAL, "the answer is too large");
        reading_fail(reading, &error);
        return;
    }
    if (reading->ticket && answer->lsn < reading->query.freshness.lsn)
        l2_drop(reading->ticket); /* it lacks what only a server that is gone had */
    else if (reading->ticket)
        reading->call->is_stored = l2_keep(reading->ticket, status, buf_slice(&body));
    enum api_cache outcome = !reading->flight && !reading->is_refresh ? API_CACHE_BYPASS
                             : reading->was_touched                   ? API_CACHE_TOUCHED
                                                                      : API_CACHE_MISS;
    struct page *page = reading_page(reading, status, &body, changed_at(reading, answer), reading->query.period.end_us);
    reading_end(reading, answer, page, outcome);
}

/* What the second cache has; its buffers are taken. */
static void reading_land_kept(struct reading *reading, struct l2_found *found)
{
    const struct standing_answer answer = {.lsn = reading->query.freshness.lsn};

    reading->call->source = SOURCE_L2;
    struct page *page = reading_page(reading, found->status, &found->body, 0, INT64_MAX);
    page_set_kept(page, found->age_us, &found->brotli);
    reading_end(reading, &answer, page, API_CACHE_L2);
}

/* ---- fetching ---- */

static void reading_cold(struct reading *reading);

static void on_answer(void *context, const struct standing_answer *found)
{
    struct reading *reading = context;
    struct standing_answer answer = *found;

    if (answer.is_cold) {
        reading_cold(reading);
        return;
    }
    reading->call->source = answer.source;
    if (answer.error.code != ERROR_NONE && answer.error.code != ERROR_PLAYER_NOT_FOUND) {
        struct l2_found spare;
        if (reading->ticket && l2_spare(reading->ticket, &spare))
            reading_land_kept(reading, &spare);
        else
            reading_fail(reading, &answer.error);
        return;
    }
    if (reading->shows_total || reading->shows_percentile)
        answer.span.is_of_total = true;
    reading_land(reading, &answer);
}

static void reading_fetch(struct reading *reading)
{
    standing_read(reading->call->store, reading->call->arena, &reading->query, on_answer, reading);
}

/* The second cache has one, which we were drawn to fetch anew: those who joined us need not wait for that. */
static void others_answer(struct reading *reading, const struct l2_found *found)
{
    const struct standing_answer answer = {.lsn = reading->query.freshness.lsn};
    struct buf body;

    buf_init(&body, API_ANSWER_BYTES_MAX);
    buf_append_slice(&body, buf_slice(&found->body));
    reading->call->source = SOURCE_L2;
    struct page *page = reading_page(reading, found->status, &body, 0, INT64_MAX);
    flight_land(reading->flight, &answer, page, page_bytes(page));
    reading->flight = NULL;
    reading->is_refresh = true;
}

static void on_kept(void *context, struct l2_found *found)
{
    struct reading *reading = context;
    struct freshness *freshness = &reading->query.freshness;

    /* What may be kept for others covers every change that there was when the period was seen closed. */
    reading->call->is_final =
        reading->names_period && reading->query.period.is_closed && (found->is_hit || found->ticket);
    if (found->is_hit) {
        reading_land_kept(reading, found);
        return;
    }
    if (found->ticket)
        api_count_l2(reading->call, found->is_refresh);
    if (found->is_refresh)
        others_answer(reading, found);
    reading->ticket = found->ticket;
    if (found->lsn > freshness->lsn)
        freshness->lsn = found->lsn;
    reading_fetch(reading);
}

/* What only PostgreSQL can answer may be in the second cache. */
static void reading_find(struct reading *reading, bool is_open)
{
    struct api_call *call = reading->call;
    char key[L1_KEY_MAX];
    const struct l2_query query = {.key = {key, key_make(reading, key)},
                                   .game = call->game,
                                   .board = slice_of(call->board.name),
                                   .standing = reading->query.period.id,
                                   .is_open = is_open};

    if (!l2_find(call->store, &query, on_kept, reading))
        reading_fetch(reading);
}

/* Redis does not hold it: from here on it is PostgreSQL's, or what somebody has kept of it since the last change. */
static void reading_cold(struct reading *reading)
{
    reading->query.tells_cold = false;
    reading->query.freshness.skips_redis = true;
    reading_find(reading, true);
}

/* ---- asking ---- */

static void reading_ask(struct reading *reading);

/* Who asks, for a choice of replica that sticks to him: a session if he names one, else whose key it is, else where it
 * comes from. 0: that does not matter. */
static uint64_t client_of(const struct api_call *call)
{
    uint8_t hash[HASH_SIZE], address[HTTP_ADDRESS_BYTES];
    uint64_t client;

    if (!db_chooses_by_client(store_db(call->store)))
        return 0;
    struct slice name = http_header(call->http, "Ladder-Session");
    if (!name.data)
        name = http_header(call->http, "Authorization");
    if (!name.data && http_client_address(call->http, address))
        name = (struct slice){(const char *)address, sizeof(address)};
    if (!name.data)
        return 0;
    hash_bytes(name, hash); /* every server's is the same */
    memcpy(&client, hash, sizeof(client));
    return client;
}

/* Who pays for it: a key, or all of the game who have none. */
static uint64_t requester_of(const struct api_call *call)
{
    struct slice key = http_header(call->http, "Authorization");
    uint8_t hash[HASH_SIZE];
    uint64_t requester = 0;

    if (key.data && call->key.scope != SCOPE_NONE) {
        hash_bytes(key, hash);
        memcpy(&requester, hash, sizeof(requester));
    }
    return requester;
}

static void on_joined(void *context, void *value, const struct error *error)
{
    struct reading *reading = context;

    if (!value && !error)
        reading_ask(reading);
    else
        page_send_joined(reading->call, value, error);
}

static void reading_ask(struct reading *reading)
{
    struct api_call *call = reading->call;
    struct standing_query *query = &reading->query;
    struct l1_entry *entry;
    char key[L1_KEY_MAX];

    query->freshness = store_freshness(call->store, call->has_token ? &call->token : NULL, query->period.id);
    query->freshness.client = client_of(call);
    query->game_id = call->board.game_id;
    query->client = requester_of(call);
    size_t size = key_make(reading, key);
    bool may_share = size > 0 && query->period.id > 0 && !call->shows_source &&
                     !call->board.is_combined /* its age is of now */ && !query->freshness.needs_primary &&
                     !query->freshness.skips_redis && !(query->kind == STANDING_STATISTICS && call->has_token);
    if (!may_share) {
        reading_fetch(reading);
        return;
    }
    const struct answers_query asked = {.key = {key, size},
                                        .standing = query->period.id,
                                        .freshness = &query->freshness,
                                        .max_staleness_us = call->board.caching.max_staleness_ms * 1000LL,
                                        .label = api_route_index(call)};
    enum answers_outcome outcome =
        answers_ask(call->store, &asked, on_joined, reading, &entry, &reading->flight, &reading->was_touched);
    if (outcome == ANSWERS_FETCH) {
        query->tells_cold = !query->period.is_closed && query->kind != STANDING_STATISTICS && l2_is_on(call->store);
        if (query->period.is_closed)
            reading_find(reading, false);
        else
            reading_fetch(reading);
    } else if (outcome != ANSWERS_JOINED) {
        page_send_kept(call, entry, outcome == ANSWERS_HIT ? API_CACHE_HIT : API_CACHE_STALE);
    }
}

static void on_period(void *context, const struct period *period, const struct error *error)
{
    struct reading *reading = context;
    struct period *asked = &reading->query.period;

    if (asked->id) {
        asked->is_closed = !error && period->id == asked->id && period->is_closed; /* the cursor knew the rest */
    } else if (error) {
        reading_fail(reading, error);
        return;
    } else {
        *asked = *period;
    }
    reading_ask(reading);
}

void reading_start(struct reading *reading, const struct error *error)
{
    struct api_call *call = reading->call;

    if (error) {
        api_fail(call, error);
        return;
    }
    if (call->board.is_combined && !call->board.combined_us) {
        api_fail_with(call, ERROR_NOT_COMBINED, "the board has not been made of others yet; try again");
        return;
    }
    http_hold(call->http);
    const struct period *asked = &reading->query.period; /* by a cursor */
    char start[PERIOD_TEXT_MAX];
    struct slice period = api_text(call, "period");
    reading->names_period = asked->id || (period.size > 0 && period.data[0] >= '0' && period.data[0] <= '9');
    if (asked->id && asked->end_us > primary_clock_us()) {
        reading_ask(reading);
        return;
    }
    if (asked->id)
        period = (struct slice){start, period_text(asked, start)}; /* it may have been closed since */
    const struct freshness freshness = store_freshness(call->store, call->has_token ? &call->token : NULL, 0);
    store_period_find(call->store, &call->board, reading->window, period, reading->facet_key, &freshness, on_period,
                      reading);
}
