/*
 * ask.h -- a question that one statement of PostgreSQL answers: histories, comparisons, lists of periods, numbers of a
 * game or a player.
 *
 *   ask_start -> brief? answers_ask -- HIT -----------------------> page_send
 *                          |---------- JOINED --> on_joined ------> page_send
 *                          | FETCH
 *                brief, of what is over? l2_find -- hit ----------> page_send, flight_land
 *                          | miss
 *                      statement -> render -> page_send, flight_land, l2_keep
 *
 * What is over are closed periods and noted midnights. Of those the second cache keeps answers for a short time, under
 * a tag of the game's histories, which is purged when another period of the game is closed or a midnight noted, and
 * before an erasure is acknowledged.
 *
 * Brief is what memory keeps, for cache.statistics_ms at most. It tells its as_of. It has every write that this process
 * has acknowledged (last_writes.h) and the one of the reader's token; what another server has acknowledged meanwhile it
 * may lack. If it is of what is not over, the second cache keeps it under the same rule. One loop, one thread.
 */
#ifndef API_ASK_H
#define API_ASK_H

#include "api/api.h"
#include "store/last_writes.h"

struct ask;

/* The answer's JSON, into an empty body. The rows are borrowed. */
typedef void ask_render_fn(const struct ask *ask, struct db_rows rows, struct jsonw *json);

/* The first member of whatever the renderer needs; in the request's arena. */
struct ask {
    struct api_call *call;
    struct db_call read;
    ask_render_fn *render;
    /* Its parameters say all that it depends on, and */
    bool is_over;               /* what it asks about is over */
    bool is_brief;              /* see above */
    enum last_write depends_on; /* with is_brief */
    struct freshness freshness;
    struct l2_ticket *ticket;
    struct flight *flight;
};

/* Parameters of the statement, in order. text: borrowed, NULL when the arena is exhausted. */
void ask_add(struct ask *ask, const char *text);
void ask_add_int(struct ask *ask, int64_t value);

/* Answers the call, now or later; holds it until then. */
void ask_start(struct ask *ask);

#endif
