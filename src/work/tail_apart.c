#include "work/tail_apart.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "work/alone.h"
#include "work/held.h"

enum { IDS_BYTES_MAX = 1 << 26, ID_TEXT_MAX = 24 };

/* Of the boards that are asked for, and of no other, is what is read then: a scan would raise the error for all. */
static const char by_index[] = "set local enable_seqscan = off; set local enable_hashjoin = off; "
                               "set local enable_mergejoin = off; set local plan_cache_mode = force_custom_plan";

struct tail_apart_board {
    char id[ID_TEXT_MAX];
    struct error why;
};

struct search {
    struct tail_apart *apart;
    struct link *link;
    const char *const *parameters;
    const struct dbb_result *boards;
};

/* Of the boards in these rows. */
static bool changes_try(const struct search *search, size_t from, size_t to, struct error *error)
{
    struct buf ids;
    struct dbb_result *result;

    buf_init(&ids, IDS_BYTES_MAX);
    for (size_t i = from; i < to; i++)
        buf_printf(&ids, "%c%s", i == from ? '{' : ',', dbb_text(search->boards, i, 0));
    buf_append_text(&ids, "}");
    ASSERT(!ids.is_overflown);
    const char *parameters[] = {search->parameters[0], search->parameters[1], ids.data};
    static const enum statement statements[] = {STATEMENT_edge_changed, STATEMENT_tail_changes};
    bool is_ok = true;
    for (size_t i = 0; i < ARRAY_SIZE(statements) && is_ok; i++) {
        is_ok = link_query(search->link, statements[i], ARRAY_SIZE(parameters), parameters, &result, error);
        if (is_ok)
            dbb_result_free(&result);
    }
    buf_done(&ids);
    return is_ok;
}

static void failed_add(struct tail_apart *apart, const char *id, const struct error *why)
{
    apart->failed = realloc(apart->failed, (apart->count + 1) * sizeof(*apart->failed));
    ASSERT(apart->failed != NULL);
    struct tail_apart_board *board = &apart->failed[apart->count++];
    snprintf(board->id, sizeof(board->id), "%s", id);
    board->why = *why;
}

/* In halves, until what fails stands alone. */
static bool boards_try(const struct search *search, size_t from, size_t to, struct error *error)
{
    struct tail_apart *apart = search->apart;
    struct error why;

    if (from == to)
        return true;
    if (!dbb_script(search->link->db, "savepoint apart", error))
        return false;
    if (changes_try(search, from, to, &why)) {
        for (size_t i = from; i < to; i++)
            buf_printf(&apart->boards, "%c%s", apart->boards.size == 0 ? '{' : ',', dbb_text(search->boards, i, 0));
        return dbb_script(search->link->db, "release savepoint apart", error);
    }
    if (alone_is_of_server(search->link, &why)) {
        *error = why;
        return false;
    }
    if (!dbb_script(search->link->db, "rollback to savepoint apart", error) ||
        !dbb_script(search->link->db, "release savepoint apart", error))
        return false;
    if (to - from == 1) {
        failed_add(apart, dbb_text(search->boards, from, 0), &why);
        return true;
    }
    size_t middle = from + (to - from) / 2;
    return boards_try(search, from, middle, error) && boards_try(search, middle, to, error);
}

/* Those with changes; all, where an event that cannot be read does not say of which board it is. */
static bool boards_find(struct link *link, const char *const parameters[static 2], struct dbb_result **ret_boards,
                        struct error *error)
{
    if (!dbb_script(link->db, "savepoint boards", error))
        return false;
    if (link_query(link, STATEMENT_tail_boards, 2, parameters, ret_boards, error))
        return true;
    return !alone_is_of_server(link, error) && dbb_script(link->db, "rollback to savepoint boards", error) &&
           link_query(link, STATEMENT_tail_boards_all, 0, NULL, ret_boards, error);
}

bool tail_apart_find(struct tail_apart *apart, struct link *link, const char *const parameters[static 2],
                     struct error *error)
{
    struct dbb_result *boards;

    *apart = (struct tail_apart){.snapshot = parameters[0]};
    snprintf(apart->since, sizeof(apart->since), "%s", parameters[1]);
    buf_init(&apart->boards, IDS_BYTES_MAX);
    if (!dbb_script(link->db, by_index, error) || !boards_find(link, parameters, &boards, error))
        return false;
    const struct search search = {apart, link, parameters, boards};
    bool is_ok = boards_try(&search, 0, dbb_rows(boards), error);
    dbb_result_free(&boards);
    buf_append_text(&apart->boards, apart->boards.size == 0 ? "{}" : "}");
    ASSERT(!apart->boards.is_overflown);
    return is_ok;
}

/* Where the board's rows in ladder.period cannot be read: those that its unread events name. */
static bool changed_drop(const struct tail_apart *apart, struct link *link, const char *board, struct error *error)
{
    const char *parameters[] = {board, apart->snapshot, apart->since};
    struct dbb_result *standings;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_tail_aside_changed, ARRAY_SIZE(parameters), parameters, &standings, error))
        return false;
    for (size_t i = 0; i < dbb_rows(standings) && is_ok; i++)
        is_ok = alone_standing_drop(link, dbb_int64(standings, i, 0), error) &&
                l2_standing_forget(link, dbb_int64(standings, i, 0), error);
    if (is_ok && dbb_rows(standings) > 0) {
        int64_t game = dbb_int64(standings, 0, 1);
        l2_histories_forget(link, &game, 1);
    }
    dbb_result_free(&standings);
    return is_ok;
}

/* Of these standings (an array's text): the list less those of other boards. */
static bool held_find(struct link *link, const char *const parameters[static 2], struct dbb_result **ret_standings,
                      bool *ret_is_of_server, struct error *error)
{
    bool is_ok = dbb_begin(link->db, true, error) && dbb_script(link->db, by_index, error) &&
                 link_query(link, STATEMENT_tail_aside_held, 2, parameters, ret_standings, error);

    *ret_is_of_server = !is_ok && alone_is_of_server(link, error);
    dbb_rollback(link->db);
    return is_ok;
}

/* In halves: a standing whose period cannot be read may be the board's. */
static bool held_some_drop(struct link *link, const char *board, const int64_t *standings, size_t count,
                           struct error *error)
{
    struct dbb_result *found;
    bool is_of_server;
    struct buf ids;

    if (count == 0)
        return true;
    buf_init(&ids, count * ID_TEXT_MAX + 1);
    for (size_t i = 0; i < count; i++)
        buf_printf(&ids, "%c%lld", i ? ',' : '{', (long long)standings[i]);
    buf_append_text(&ids, "}");
    const char *parameters[] = {ids.data, board};
    bool is_ok = held_find(link, parameters, &found, &is_of_server, error);
    buf_done(&ids);
    if (is_ok) {
        for (size_t i = 0; i < dbb_rows(found) && is_ok; i++)
            is_ok = alone_standing_drop(link, dbb_int64(found, i, 0), error);
        dbb_result_free(&found);
        return is_ok;
    }
    if (is_of_server)
        return false;
    if (count == 1)
        return alone_standing_drop(link, standings[0], error);
    return held_some_drop(link, board, standings, count / 2, error) &&
           held_some_drop(link, board, standings + count / 2, count - count / 2, error);
}

static bool held_visit(struct link *link, const struct kvb_reply *keys, void *context, struct error *error)
{
    int64_t *standings = malloc((kvb_count(keys) + 1) * sizeof(*standings));
    size_t count = 0;

    ASSERT(standings != NULL);
    for (size_t i = 0; i < kvb_count(keys); i++)
        if ((standings[count] = held_standing(kvb_text(kvb_item(keys, i)))) > 0)
            count++;
    bool is_ok = held_some_drop(link, context, standings, count, error);
    free(standings);
    return is_ok;
}

/* Where its events cannot be read either: those that Redis holds and that are not known to be another board's. The second cache
 * and the servers' memory may hold closed ones that Redis does not. */
static bool held_drop(struct link *link, char *board, struct l2_tail *l2, struct error *error)
{
    l2_tail_note_all(l2);
    return held_each(link, held_visit, board, error) && alone_forget_tell(link, error);
}

static bool standings_drop(const struct tail_apart *apart, struct link *link, char *board, struct l2_tail *l2,
                           struct error *error)
{
    const char *parameters[] = {board};
    struct dbb_result *standings;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_edge_tell, 1, parameters, NULL, error))
        return false;
    if (!link_query(link, STATEMENT_tail_aside, 1, parameters, &standings, error))
        return !alone_is_of_server(link, error) &&
               (changed_drop(apart, link, board, error) ||
                (!alone_is_of_server(link, error) && held_drop(link, board, l2, error)));
    for (size_t i = 0; i < dbb_rows(standings) && is_ok; i++) {
        is_ok = alone_standing_drop(link, dbb_int64(standings, i, 0), error);
        if (dbb_bool(standings, i, 1))
            l2_tail_note(l2, dbb_int64(standings, i, 0));
    }
    dbb_result_free(&standings);
    return is_ok;
}

bool tail_apart_leave(struct tail_apart *apart, struct link *link, struct l2_tail *l2, struct error *error)
{
    for (size_t i = 0; i < apart->count; i++)
        if (!alone_failed(link, "tail", apart->failed[i].id, &apart->failed[i].why, error) ||
            !standings_drop(apart, link, apart->failed[i].id, l2, error))
            return false;
    return true;
}

void tail_apart_done(struct tail_apart *apart)
{
    buf_done(&apart->boards);
    free(apart->failed);
    *apart = (struct tail_apart){.count = 0};
}
