/*
 * standing_private.h -- what standing.c and standing_sql.c share.
 */
#ifndef STORE_STANDING_PRIVATE_H
#define STORE_STANDING_PRIVATE_H

#include "base/turns.h"
#include "kv/keys.h"
#include "store/dense.h"
#include "store/standing.h"

struct standing_read {
    struct store *store;
    struct arena *arena; /* the caller's: this lies in it, too */
    struct standing_query query;
    struct standing_answer answer;
    standing_done_fn *done;
    void *context;
    char generation[KV_GEN_MAX + 1]; /* standing_page.c: whose members were asked for */
    bool is_past_replicas;           /* standing_replica.c: this one is the primary's to answer */
    int64_t place;                   /* STANDING_SEEK of Redis: how many entries are better, whatever the ranking */
    int rounds;                      /* standing_statistics.c: how often it was begun */
    struct dense_waiter waiter;      /* standing.c: for what dense ranks are read from */
    bool is_too_old;                 /* the same: a good answer, but not one for who asks */
    struct turn turn;                /* standing_turn.c */
    /* PostgreSQL: */
    struct db_call call;
    char texts[DB_PARAMETERS_MAX][32];
    char start_text[40];
    char percentile_text[32];
};

/* Numbers answer.rows: the first has this ordinal rank, and `groups` entries (or pairs, dense) are better than its
 * pair. */
void standing_rank_rows(struct standing_read *read, int64_t first, int64_t groups);
void standing_finish(struct standing_read *read); /* calls done: it is gone then, with the arena */
void standing_fail(struct standing_read *read, enum error_code code, const char *message);

void standing_sql_send(struct standing_read *read);
void standing_send(struct standing_read *read); /* to whoever may answer */

/* standing_turn.c: sends it when its turn comes, or fails it. */
void standing_turn_ask(struct standing_read *read);
void standing_turn_end(struct standing_read *read);
/* false: it is not long enough. */
bool standing_players_split(struct standing_read *read);
bool standing_redis_may_answer(struct standing_read *read);
int standing_row_compare(const void *a, const void *b); /* by their places */

/* standing.c, for standing_page.c: what both ways of asking Redis share. */
void standing_head_read(struct standing_read *read, const struct redisReply *reply); /* version, total, as_of */
bool standing_members_read(struct standing_read *read, const struct redisReply *members,
                           const struct redisReply *values);
void standing_script_send(struct standing_read *read); /* by the script of its kind after all; or PostgreSQL */

void standing_redis_failed(struct standing_read *read,
                           bool was_answered); /* PostgreSQL is asked; was it Redis's fault? */

/* standing_statistics.c. Writes the arguments behind the epoch, at most 2 + STANDING_PERCENTILES_MAX; they point into the read. */
size_t standing_statistics_arguments(struct standing_read *read, struct slice *arguments);
enum statistics_outcome { STATISTICS_READ, STATISTICS_WAITING, STATISTICS_UNREADABLE };
/* The script's reply. WAITING: more is asked of Redis; the read goes on when that is there. */
enum statistics_outcome standing_statistics_take(struct standing_read *read, const struct redisReply *reply);

/* standing_replica.c: to a replica, if its answer may be as good as the primary's. false: nothing was sent. Once for each
 * read. replies NULL: its answer does not count; otherwise as_of is up to where it has all changes. */
bool standing_replica_send(struct standing_read *read, size_t count, const struct kv_command *commands,
                           kv_replica_done_fn *done);

/* standing_page.c: a page by its place, without the script's detour. false: not for this question, or nothing was
 * sent. */
bool standing_page_send(struct standing_read *read);
void generation_learn(struct store *store, int64_t standing, struct slice gen);

#endif
