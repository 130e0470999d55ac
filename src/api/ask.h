/*
 * ask.h -- a question that one statement of PostgreSQL answers: histories, comparisons, lists of periods.
 *
 *   ask_start -> of what is over? l2_find -- hit ----------------> page_send
 *                                    | miss
 *                                statement -> render -> page_send, l2_keep
 *
 * What is over are closed periods and noted midnights. Of those the second cache keeps answers for a short time, under
 * a tag of the game's histories, which is purged when another period of the game is closed or a midnight noted, and
 * before an erasure is acknowledged. One loop, one thread.
 */
#ifndef API_ASK_H
#define API_ASK_H

#include "api/api.h"

struct ask;

/* The answer's JSON, into an empty body. The rows are borrowed. */
typedef void ask_render_fn(const struct ask *ask, struct db_rows rows, struct jsonw *json);

/* The first member of whatever the renderer needs; in the request's arena. */
struct ask {
    struct api_call *call;
    struct db_call read;
    ask_render_fn *render;
    bool is_over; /* what it asks about is over, and its parameters say all that it depends on */
    struct freshness freshness;
    struct l2_ticket *ticket;
};

/* Parameters of the statement, in order. text: borrowed, NULL when the arena is exhausted. */
void ask_add(struct ask *ask, const char *text);
void ask_add_int(struct ask *ask, int64_t value);

/* Answers the call, now or later; holds it until then. */
void ask_start(struct ask *ask);

#endif
