/*
 * boards.c -- board definitions, remembered for a moment.
 *
 * A loop trusts its copy for board_ttl_ms, and looks again when half of that has passed, so that no request waits for
 * it, nor for a database that hangs. A change reaches every loop of this process at once, and other servers by a message
 * (definition_changes.c); where that does not come, a copy may be board_ttl_ms older than the board. Even then nothing is
 * written by it: submit checks the board inside its transaction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/private.h"

enum { BOARDS_REMEMBERED_MAX = 100000 };

struct board_entry {
    char path[BOARD_PATH_MAX]; /* "game/board" */
    struct board board;
    int64_t ahead_us; /* from here on it is looked at again, while it is still good */
    int64_t expires_us;
    bool is_looked_at;
    UT_hash_handle hh;
};

struct find {
    struct store *store;
    char path[BOARD_PATH_MAX];
    char game[NAME_BYTES_MAX + 1];
    char name[NAME_BYTES_MAX + 1];
    store_board_fn *done; /* NULL: nobody waits, it is looked at ahead of its time */
    void *context;
    uint64_t changes, definition_changes; /* those that were known when it was asked */
    enum lookup lookup;                   /* as which it was counted; LOOKUP_COUNT: it was not */
    bool has_token;
    struct token token; /* what the answer must be as new as */
};

void board_path(struct slice game, struct slice name, char path[static BOARD_PATH_MAX])
{
    memcpy(path, game.data, game.size);
    path[game.size] = '/';
    memcpy(path + game.size + 1, name.data, name.size);
    path[game.size + 1 + name.size] = 0;
}

static void board_drop(struct store *store, const char *path)
{
    struct board_entry *entry;

    HASH_FIND_STR(store->boards, path, entry);
    if (entry) {
        HASH_DEL(store->boards, entry);
        free(entry);
    }
}

/* Names and ids, each list with commas. */
static void facets_read(struct board *board, const char *names, const char *ids)
{
    while (*names) {
        struct board_facet *facet = &board->facets[board->facet_count++];
        size_t size = strcspn(names, ","), id_size = strcspn(ids, ",");
        ASSERT(board->facet_count <= FACETS_MAX && size < sizeof(facet->name));
        memcpy(facet->name, names, size);
        ASSERT(text_parse_int64((struct slice){ids, id_size}, &facet->id));
        names += size + (names[size] == ',');
        ids += id_size + (ids[id_size] == ',');
    }
}

/* A line each, with the name before the first bar. */
static void schedules_read(struct board *board, const char *lines)
{
    for (int i = 0; *lines; i++) {
        size_t size = strcspn(lines, "|");
        ASSERT(i < SCHEDULES_MAX && size < sizeof(board->schedule_names[i]));
        memcpy(board->schedule_names[i], lines, size);
        lines += strcspn(lines, "\n");
        lines += *lines == '\n';
    }
}

void store_board_read(struct board *board, struct db_rows rows, int row, int at)
{
    *board = (struct board){.id = db_int64(rows, row, at), .game_id = db_int64(rows, row, at + 1)};
    snprintf(board->name, sizeof(board->name), "%s", db_text(rows, row, at + 2));
    ASSERT(score_order_parse(slice_of(db_text(rows, row, at + 3)), &board->ordering));
    ASSERT(score_operator_parse(slice_of(db_text(rows, row, at + 4)), &board->operator));
    ASSERT(tie_rule_parse(slice_of(db_text(rows, row, at + 5)), &board->tie));
    const char *windows = db_text(rows, row, at + 6);
    while (*windows) {
        size_t size = strcspn(windows, ",");
        ASSERT(board->window_count < WINDOW_COUNT &&
               window_parse((struct slice){windows, size}, &board->windows[board->window_count++]));
        windows += size + (windows[size] == ',');
    }
    snprintf(board->time_zone, sizeof(board->time_zone), "%s", db_text(rows, row, at + 7));
    board->score_min = db_int64(rows, row, at + 8);
    board->score_max = db_int64(rows, row, at + 9);
    board->is_public = db_bool(rows, row, at + 10);
    board->created_us = db_int64(rows, row, at + 11);
    board->updated_us = db_int64(rows, row, at + 12);
    for (int i = 0; i < BOARD_CACHING_COUNT; i++)
        *board_caching_value(&board->caching, i) = db_int64(rows, row, at + 13 + i);
    facets_read(board, db_text(rows, row, at + 13 + BOARD_CACHING_COUNT),
                db_text(rows, row, at + 14 + BOARD_CACHING_COUNT));
    board->facet_values_max = db_int64(rows, row, at + 15 + BOARD_CACHING_COUNT);
    ASSERT(commit_level_parse(slice_of(db_text(rows, row, at + 16 + BOARD_CACHING_COUNT)), &board->commit_level));
    schedules_read(board, db_text(rows, row, at + BOARD_SCHEDULES));
}

void boards_spoil(struct store *store, int64_t game_id, int64_t version)
{
    for (struct board_entry *entry = store->boards; entry; entry = entry->hh.next)
        if ((game_id == 0 || entry->board.game_id == game_id) && entry->board.definition < version) {
            entry->ahead_us = entry->expires_us = 0;
            entry->is_looked_at = false;
        }
}

/* Somebody changed it. */
void boards_forget(struct store *store, const char *path)
{
    board_drop(store, path);
    absent_forget(store, path);
    store->board_changes++;
}

static void entry_renew(struct store *store, struct board_entry *entry)
{
    if (entry->board.definition < definition_heard(store, entry->board.game_id))
        return; /* it was changed since */
    int64_t now_us = clock_monotonic_us(), ttl_us = store->settings.board_ttl_ms * 1000LL;

    entry->is_looked_at = false;
    entry->ahead_us = now_us + ttl_us / 2;
    entry->expires_us = now_us + ttl_us;
}

static void board_remember(struct store *store, const char *path, const struct board *board)
{
    struct board_entry *entry = calloc(1, sizeof(*entry));

    ASSERT(entry != NULL);
    board_drop(store, path);
    if (HASH_COUNT(store->boards) >= BOARDS_REMEMBERED_MAX)
        board_drop(store, store->boards->path);
    strcpy(entry->path, path);
    entry->board = *board;
    entry_renew(store, entry);
    HASH_ADD_STR(store->boards, path, entry);
}

static void find_answer(struct find *find, const struct board *board, const struct error *error)
{
    struct board copy;

    if (board)
        copy = *board; /* the continuation may make the store forget its own */
    if (find->done)
        find->done(find->context, board ? &copy : NULL, error);
    free(find);
}

/* May this copy be given to whom it is looked up for? */
static bool find_takes(const struct find *find, const struct board_entry *entry)
{
    const struct token *token = find->has_token ? &find->token : NULL;

    return entry->board.definition >= definition_need(find->store, token, entry->board.game_id);
}

/* What was asked before a change that is known by now is nothing to remember. */
static void absence_remember(struct find *find, struct db_rows rows)
{
    enum { DEFINITION = 3 + BOARD_COLUMNS };
    struct store *store = find->store;

    if (find->changes != store->board_changes)
        return;
    if (db_row_count(rows) == 0 && find->definition_changes == store->definition_changes)
        absent_remember(store, find->path, 0, 0);
    else if (db_row_count(rows) > 0 && db_int64(rows, 0, DEFINITION) >= definition_heard(store, db_int64(rows, 0, 0)))
        absent_remember(store, find->path, db_int64(rows, 0, 0), db_int64(rows, 0, DEFINITION));
}

/* A standby that is behind was asked because there is no primary. */
static bool is_too_old(const struct find *find, struct db_rows rows)
{
    enum { DEFINITION = 3 + BOARD_COLUMNS };

    return db_row_count(rows) > 0 && find->has_token &&
           db_int64(rows, 0, DEFINITION) < definition_need(find->store, &find->token, db_int64(rows, 0, 0));
}

static void absence_error(bool is_of_game, const char *game, const char *name, struct error *error)
{
    if (is_of_game)
        error_set(error, ERROR_GAME_NOT_FOUND, "there is no game \"%s\"", game);
    else
        error_set(error, ERROR_BOARD_NOT_FOUND, "there is no board \"%s\" in the game \"%s\"", name, game);
}

/* This loop did not know that it is made by now: neither a replica nor Redis answers for it before they have it. */
static void combined_seen(struct store *store, const struct board_entry *entry, const struct board *board,
                          struct db_rows rows)
{
    if (!board->combined_us || db_is_null(rows, 0, 4 + BOARD_COLUMNS) || (entry && entry->board.combined_us))
        return;
    db_saw_lsn(store->db, db_int64(rows, 0, 5 + BOARD_COLUMNS));
    store_standing_changed(db_int64(rows, 0, 4 + BOARD_COLUMNS), db_int64(rows, 0, 6 + BOARD_COLUMNS));
}

static void on_board(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct find *find = context;
    struct store *store = find->store;
    struct board_entry *entry;
    struct error error = {.code = ERROR_NONE};
    struct db_rows rows = outcome->rows[0];

    (void)source;
    HASH_FIND_STR(store->boards, find->path, entry);
    if (entry && !find->done)
        entry->is_looked_at = false; /* whether or not the answer is remembered */
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        if (entry && find_takes(find, entry)) { /* it can't be told now: the last definition known */
            entry_renew(store, entry);
            find_answer(find, &entry->board, NULL);
            return;
        }
    } else if (is_too_old(find, rows)) {
        error_set(&error, ERROR_UNAVAILABLE, "no database that is reachable has the definition that the token names");
    } else if (db_row_count(rows) == 0 || db_is_null(rows, 0, 1)) {
        absence_error(db_row_count(rows) == 0, find->game, find->name, &error);
        absence_remember(find, rows);
    } else {
        struct board board;
        lookup_found(store, find->lookup);
        store_board_read(&board, rows, 0, 1);
        board.is_combined = db_bool(rows, 0, 1 + BOARD_COLUMNS);
        board.combined_us = db_int64(rows, 0, 2 + BOARD_COLUMNS);
        board.definition = db_int64(rows, 0, 3 + BOARD_COLUMNS);
        combined_seen(store, entry, &board, rows);
        /* What was asked before a change that is known by now is an answer, but nothing to remember. */
        if (find->changes == store->board_changes && board.definition >= definition_heard(store, board.game_id)) {
            if (board.is_combined && !board.combined_us)
                board_drop(store, find->path); /* it may be read at any moment now */
            else
                board_remember(store, find->path, &board);
        }
        find_answer(find, &board, NULL);
        return;
    }
    board_drop(store, find->path);
    find_answer(find, NULL, &error);
}

static bool find_send(struct store *store, enum lookup lookup, struct slice game, struct slice name, const char *path,
                      const struct token *token, store_board_fn *done, void *context)
{
    struct find *find = calloc(1, sizeof(*find));

    ASSERT(find != NULL);
    find->store = store;
    find->done = done;
    find->context = context;
    find->changes = store->board_changes;
    find->definition_changes = store->definition_changes;
    find->lookup = lookup;
    find->has_token = token != NULL;
    if (token)
        find->token = *token;
    strcpy(find->path, path);
    memcpy(find->game, game.data, game.size);
    memcpy(find->name, name.data, name.size);
    const struct db_call call = {
        .statement = STATEMENT_board_find,
        .parameter_count = 2,
        .parameters = {{.data = find->game, .format = DB_TEXT}, {.data = find->name, .format = DB_TEXT}},
    };
    if (db_read_primary(store->db, &call, on_board, find))
        return true;
    free(find);
    return false;
}

/* Without the database: it is known that there is none, or too many such questions were sent. */
static bool find_refuses(struct store *store, const char *path, enum lookup lookup, const struct token *token,
                         struct error *error)
{
    enum absence absence = absent_find(store, path, token);
    char game[NAME_BYTES_MAX + 1];

    if (absence != ABSENCE_UNKNOWN) {
        size_t size = strcspn(path, "/");
        memcpy(game, path, size);
        game[size] = 0;
        absence_error(absence == ABSENCE_OF_GAME, game, path + size + 1, error);
        return true;
    }
    if (lookup_may_be_sent(store, lookup))
        return false;
    error_set(error, ERROR_OVERLOADED, "too many boards that the server does not know are asked for; try again");
    return true;
}

void store_board_find(struct store *store, struct slice game, struct slice name, bool is_keyed,
                      const struct token *token, store_board_fn *done, void *context)
{
    struct board_entry *entry;
    struct error error;
    char path[BOARD_PATH_MAX];

    ASSERT(game.size <= NAME_BYTES_MAX && name.size <= NAME_BYTES_MAX);
    board_path(game, name, path);
    HASH_FIND_STR(store->boards, path, entry);
    bool is_new = entry && entry->board.definition >= definition_need(store, token, entry->board.game_id);
    if (is_new) {
        int64_t now_us = clock_monotonic_us();
        if (now_us > entry->ahead_us && now_us < entry->expires_us && !entry->is_looked_at)
            entry->is_looked_at = find_send(store, LOOKUP_COUNT, game, name, path, NULL, NULL, NULL);
        /* Expired under a look that has no answer yet: the database is slow, and the last definition known is what
         * there is. */
        if (now_us < entry->expires_us || entry->is_looked_at) {
            struct board copy = entry->board;
            done(context, &copy, NULL);
            return;
        }
    }
    enum lookup lookup = entry ? LOOKUP_COUNT : is_keyed ? LOOKUP_BOARD_KEYED : LOOKUP_BOARD_ANONYMOUS;
    if (!entry && find_refuses(store, path, lookup, token, &error)) {
        done(context, NULL, &error);
        return;
    }
    if (find_send(store, lookup, game, name, path, token, done, context))
        return;
    if (is_new) { /* no server at all: the same */
        struct board copy = entry->board;
        done(context, &copy, NULL);
        return;
    }
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    done(context, NULL, &error);
}

void store_board_forget(struct store *store, struct slice game, struct slice name)
{
    char path[BOARD_PATH_MAX];

    board_path(game, name, path);
    boards_forget(store, path);
}

void boards_free(struct store *store)
{
    struct board_entry *entry, *next;

    HASH_ITER(hh, store->boards, entry, next) {
        HASH_DEL(store->boards, entry);
        free(entry);
    }
}
