/*
 * reading.h -- one question about a standing, from its parameters to its answer. Shared by standings.c (parameters),
 * reading.c (who answers) and reading_render.c (how it looks).
 */
#ifndef API_READING_H
#define API_READING_H

#include "api/api.h"
#include "api/page.h"
#include "board/cursor.h"
#include "store/answers.h"
#include "store/l2.h"

enum view { VIEW_TOP, VIEW_RANGE, VIEW_AT, VIEW_PLAYER, VIEW_AROUND, VIEW_PLAYERS, VIEW_STATISTICS };
enum at_kind { AT_RANK, AT_SCORE, AT_PERCENTILE };

struct reading {
    struct api_call *call;
    enum view view;
    enum window window;
    struct slice facet; /* "country:BR"; "": the whole board */
    char facet_key[FACET_KEY_MAX];
    struct standing_query query;
    struct api_entry_view fields;
    bool shows_total, shows_percentile;
    bool names_period; /* by its id, or a cursor into it: the same question is about the same period for ever */
    enum at_kind at_kind;
    int64_t at_score;
    /* Without the braces; NULL: rows. */
    void (*render)(struct reading *reading, struct jsonw *json, const struct standing_answer *answer);
    const double *percentiles; /* VIEW_STATISTICS: as they were asked for; in the arena */
    struct slice *ids; /* VIEW_PLAYERS: as they were asked for, without repeats; room for STANDING_PLAYERS_MAX */
    /* Under way: */
    struct flight *flight;    /* this call fetches for all that joined; NULL: for itself only */
    struct l2_ticket *ticket; /* what it fetches is for the second cache too; NULL: it is not */
    bool is_refresh;          /* what is fetched is for the second cache, which has an older one; nobody waits for it */
    bool was_touched;         /* there was an answer, until a change touched it */
};

/* The call is answered, now or later. error: what is wrong with its parameters; NULL: nothing. */
void reading_start(struct reading *reading, const struct error *error);

/* Parameters that every view has: window, ranking, fields. */
bool reading_common(struct reading *reading, struct error *error);
struct reading *reading_new(struct api_call *call, enum view view); /* NULL: the call is answered */
/* board, window, period, source: without the braces. */
void reading_head(struct reading *reading, struct jsonw *json);
/* How the page shows its entries: what its cursor holds. */
struct cursor_view reading_view(const struct reading *reading);

/* The answer's JSON. The status: 200, or 404 with a problem. */
int reading_render(struct reading *reading, const struct standing_answer *answer, struct buf *body);

#endif
