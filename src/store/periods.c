/*
 * periods.c -- which standing a question is about.
 *
 * The bounds of a period are PostgreSQL's to say (it owns the time zones), and so is what time it is. The current
 * period of a window is remembered until it ends, a closed one by where it starts and by where it ends, for
 * CLOSED_TTL_US: it is final, unless an operator opens it again. A reader who shows a token, and one of a game to which
 * this process took a submission with an instant of its own, gets what was read after that write: the write may be the
 * correction of a period that was opened again. A period that has no row yet has no entries and is asked for each time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "db/primary_clock.h"
#include "store/last_writes.h"
#include "store/private.h"

size_t period_text(const struct period *period, char out[static PERIOD_TEXT_MAX])
{
    if (period->start_us == INT64_MIN)
        return (size_t)snprintf(out, PERIOD_TEXT_MAX, "all");
    return clock_format(period->start_us, out);
}

/* ---- remembered: the current period of each window, and closed ones ---- */

enum recall { RECALL_CURRENT, RECALL_STARTS, RECALL_ENDS };

struct period_name {
    int64_t board_id;
    int64_t window;
    int64_t recall;
    int64_t at_us;                 /* where it starts or ends; 0 for the current one */
    char facet[FACET_KEY_MAX + 2]; /* filled up with NULs */
};
_Static_assert(sizeof(struct period_name) == 32 + FACET_KEY_MAX + 2, "it is hashed, so it has no padding");

struct period_entry {
    struct period_name name;
    struct period period;
    int64_t remembered_us; /* monotonic */
    int64_t lsn;           /* the position that was read covered it at least */
    UT_hash_handle hh;
};

enum { PERIODS_REMEMBERED_MAX = 200000, CLOSED_TTL_US = 5000000, STEPS_MAX = 16 };

static struct period_name name_make(int64_t board_id, enum window window, const char *facet, enum recall recall,
                                    int64_t at_us)
{
    struct period_name name = {.board_id = board_id, .window = window, .recall = recall, .at_us = at_us};

    memcpy(name.facet, facet, strlen(facet));
    return name;
}

static struct period_entry *entry_find(struct store *store, const struct period_name *name)
{
    struct period_entry *entry;

    HASH_FIND(hh, store->periods, name, sizeof(*name), entry);
    return entry;
}

static bool current_recall(struct store *store, int64_t board_id, enum window window, const char *facet, int64_t at_us,
                           struct period *ret_period)
{
    const struct period_name name = name_make(board_id, window, facet, RECALL_CURRENT, 0);
    const struct period_entry *entry = entry_find(store, &name);

    if (!entry || at_us < entry->period.start_us || (at_us >= entry->period.end_us && !fault_is("period-end")))
        return false;
    *ret_period = entry->period;
    return true;
}

static void entry_remember(struct store *store, const struct period *period, const char *facet, enum recall recall,
                           int64_t at_us, int64_t lsn)
{
    const struct period_name name = name_make(period->board_id, period->window, facet, recall, at_us);
    struct period_entry *entry = entry_find(store, &name);

    if (!entry) {
        if (HASH_COUNT(store->periods) >= PERIODS_REMEMBERED_MAX) {
            entry = store->periods;
            HASH_DEL(store->periods, entry);
            free(entry);
        }
        entry = calloc(1, sizeof(*entry));
        ASSERT(entry != NULL);
        entry->name = name;
        HASH_ADD(hh, store->periods, name, sizeof(entry->name), entry);
    }
    entry->period = *period;
    entry->remembered_us = clock_monotonic_us();
    entry->lsn = lsn;
}

static void entry_forget(struct store *store, const struct period *period, const char *facet, enum recall recall,
                         int64_t at_us)
{
    const struct period_name name = name_make(period->board_id, period->window, facet, recall, at_us);
    struct period_entry *entry = entry_find(store, &name);

    if (entry) {
        HASH_DEL(store->periods, entry);
        free(entry);
    }
}

/* What a reader must see of whether a period is closed: the write whose token is shown, and what this process took that
 * may belong to a period of the past. INT64_MAX: what is remembered does not count. */
static int64_t least_lsn_of(struct store *store, const struct board *board, const struct freshness *freshness)
{
    int64_t own = last_write_find(store, LAST_WRITE_PAST, board->game_id, SLICE(""));

    if (freshness->needs_primary)
        return INT64_MAX;
    return own > freshness->shown_lsn ? own : freshness->shown_lsn;
}

void periods_free(struct store *store)
{
    struct period_entry *entry, *next;

    HASH_ITER(hh, store->periods, entry, next) {
        HASH_DEL(store->periods, entry);
        free(entry);
    }
}

/* ---- finding one ---- */

struct find {
    struct store *store;
    int64_t board_id;
    enum window window;
    bool is_previous; /* step 1 finds the current one, step 2 the one before; of a schedule past its pauses */
    int steps;        /* taken back */
    bool is_exact;    /* at_us must be its first instant */
    int64_t at_us;
    int64_t least_lsn; /* that an answer from memory must cover */
    struct db_wish wish;
    char facet[FACET_KEY_MAX];
    char board_text[24];
    char at_text[24];
    store_period_fn *done;
    void *context;
};

static void find_fail(struct find *find, enum error_code code, const char *message)
{
    struct error error;

    bool is_named = code == ERROR_PERIOD_NOT_FOUND || code == ERROR_INVALID_PARAMETER;
    error_set_field(&error, code, is_named ? "period" : "", "%s", message);
    find->done(find->context, NULL, &error);
    free(find);
}

static void find_send(struct find *find);

/* While the database does not answer, a period that was closed stays closed: that a server looks again is for the rare one
 * that was opened again, which takes the database, too. */
static bool find_last_known(struct find *find)
{
    struct period_name name = name_make(find->board_id, find->window, find->facet, RECALL_STARTS, find->at_us);
    struct period_entry *entry = find->is_exact ? entry_find(find->store, &name) : NULL;

    if (!entry || entry->lsn < find->least_lsn)
        return false;
    entry->remembered_us = clock_monotonic_us();
    struct period period = entry->period;
    find->done(find->context, &period, NULL);
    free(find);
    return true;
}

/* A schedule that is not open now. */
static void pause_answer(struct find *find, const struct period *pause)
{
    char message[80 + CLOCK_TEXT_MAX], opens[CLOCK_TEXT_MAX];

    clock_format(pause->end_us, opens);
    snprintf(message, sizeof(message), "the window is not open now: its next period begins at %s", opens);
    find_fail(find, ERROR_PERIOD_NOT_FOUND, message);
}

static void on_period(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct find *find = context;
    struct db_rows rows = outcome->rows[0];
    struct error error;

    if (outcome->error.code != ERROR_NONE) {
        if (find_last_known(find))
            return;
        store_error_of(outcome, &error);
        find->done(find->context, NULL, &error);
        free(find);
        return;
    }
    if (db_row_count(rows) == 0) {
        find_fail(find, ERROR_BOARD_NOT_FOUND, "the board is gone");
        return;
    }
    if (source == DB_PRIMARY)
        primary_clock_saw(db_int64(rows, 0, 5));
    struct period period = {
        .id = db_int64(rows, 0, 0), /* of a facet's standing, 0 where nobody was in it */
        .board_id = find->board_id,
        .window = find->window,
        .start_us = db_int64(rows, 0, 2),
        .end_us = db_int64(rows, 0, 3),
        .is_closed = strcmp(db_text(rows, 0, 4), "closed") == 0,
    };
    if (period.id == 0)
        period.source = store_source_of(outcome, source);
    bool is_pause = strcmp(db_text(rows, 0, 4), "pause") == 0;
    if (find->is_previous || (is_pause && find->steps > 0)) {
        if (period.start_us == INT64_MIN) {
            find_fail(find, ERROR_PERIOD_NOT_FOUND, "the window `all` has no previous period");
            return;
        }
        if (++find->steps > STEPS_MAX) {
            find_fail(find, ERROR_PERIOD_NOT_FOUND, "the window has no previous period");
            return;
        }
        find->is_previous = false;
        find->at_us = period.start_us - 1;
        find_send(find);
        return;
    }
    if (is_pause && !find->is_exact) {
        pause_answer(find, &period);
        return;
    }
    if (find->is_exact && (is_pause || period.start_us != find->at_us || !db_bool(rows, 0, 6))) {
        find_fail(find, ERROR_PERIOD_NOT_FOUND, "no period of this window starts then");
        return;
    }
    if (period.id != 0 && period.is_closed) {
        entry_remember(find->store, &period, find->facet, RECALL_STARTS, period.start_us, find->wish.lsn);
        entry_remember(find->store, &period, find->facet, RECALL_ENDS, period.end_us, find->wish.lsn);
    } else {
        entry_forget(find->store, &period, find->facet, RECALL_STARTS, period.start_us);
        entry_forget(find->store, &period, find->facet, RECALL_ENDS, period.end_us);
        if (!find->is_exact && period.id != 0 && find->at_us >= period.start_us)
            entry_remember(find->store, &period, find->facet, RECALL_CURRENT, 0, find->wish.lsn);
    }
    find->done(find->context, &period, NULL);
    free(find);
}

static void find_send(struct find *find)
{
    snprintf(find->board_text, sizeof(find->board_text), "%lld", (long long)find->board_id);
    snprintf(find->at_text, sizeof(find->at_text), "%lld", (long long)find->at_us);
    const struct db_call call = {
        .statement = STATEMENT_period_at,
        .parameter_count = 4,
        .parameters = {{.data = find->board_text, .format = DB_TEXT},
                       {.data = window_name(find->window), .format = DB_TEXT},
                       {.data = find->at_text, .format = DB_TEXT},
                       {.data = find->facet, .format = DB_TEXT}},
    };
    if (!db_read_with(find->store->db, &call, &find->wish, on_period, find) && !find_last_known(find))
        find_fail(find, ERROR_UNAVAILABLE, "the database is not reachable");
}

/* The one that the question means, if it is remembered. */
static bool period_recall(struct store *store, int64_t board_id, enum window window, struct slice text,
                          const char *facet, int64_t least_lsn, struct period *ret_period)
{
    bool is_current = text.size == 0 || slice_is(text, "current") || (window == WINDOW_ALL && slice_is(text, "all"));
    bool is_previous = slice_is(text, "previous");
    struct period_name name = name_make(board_id, window, facet, RECALL_STARTS, 0);
    struct period current;

    if (is_current)
        return current_recall(store, board_id, window, facet, primary_clock_us(), ret_period);
    if (is_previous) {
        if (!current_recall(store, board_id, window, facet, primary_clock_us(), &current) ||
            current.start_us == INT64_MIN)
            return false;
        name.recall = RECALL_ENDS;
        name.at_us = current.start_us;
    } else if (!clock_parse(text, &name.at_us)) {
        return false;
    }
    const struct period_entry *entry = entry_find(store, &name);
    if (!entry || clock_monotonic_us() > entry->remembered_us + CLOSED_TTL_US || entry->lsn < least_lsn)
        return false;
    *ret_period = entry->period;
    return true;
}

void store_period_find(struct store *store, const struct board *board, enum window window, struct slice text,
                       const char *facet, const struct freshness *freshness, store_period_fn *done, void *context)
{
    bool is_current = text.size == 0 || slice_is(text, "current") || (window == WINDOW_ALL && slice_is(text, "all"));
    int64_t least_lsn = least_lsn_of(store, board, freshness);
    struct period period;

    if (period_recall(store, board->id, window, text, facet, least_lsn, &period)) {
        done(context, &period, NULL);
        return;
    }
    struct find *find = calloc(1, sizeof(*find));
    ASSERT(find != NULL);
    *find = (struct find){.store = store, .board_id = board->id, .window = window, .done = done, .context = context};
    snprintf(find->facet, sizeof(find->facet), "%s", facet);
    find->at_us = primary_clock_us();
    find->least_lsn = least_lsn;
    find->wish = store_wish(freshness);
    find->wish.prefers_primary = true;
    if (slice_is(text, "previous")) {
        find->is_previous = true;
    } else if (!is_current) {
        find->is_exact = true;
        if (!clock_parse(text, &find->at_us)) {
            find_fail(find, ERROR_INVALID_PARAMETER,
                      "a period is `current`, `previous` or its first instant (RFC 3339)");
            return;
        }
    }
    find_send(find);
}
