/*
 * standing_private.h -- what standing.c and standing_sql.c share.
 */
#ifndef STORE_STANDING_PRIVATE_H
#define STORE_STANDING_PRIVATE_H

#include "store/standing.h"

struct standing_read {
    struct store *store;
    struct arena *arena; /* the caller's */
    struct standing_query query;
    struct standing_answer answer;
    standing_done_fn *done;
    void *context;
    /* PostgreSQL: */
    struct db_call call;
    char texts[10][32];
    char start_text[40];
    char percentile_text[32];
};

/* Numbers answer.rows: the first has this ordinal rank, and `groups` entries (or pairs, dense) are better than its pair. */
void standing_rank_rows(struct standing_read *read, int64_t first, int64_t groups);
bool standing_row_decode(struct standing_read *read, struct slice member, struct standing_row *ret_row);
void standing_finish(struct standing_read *read); /* calls done, frees */
void standing_fail(struct standing_read *read, enum error_code code, const char *message);

void standing_sql_send(struct standing_read *read);

#endif
