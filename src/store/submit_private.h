/*
 * submit_private.h -- what the files of the way of submissions share:
 *
 *   submit.c (queues, PostgreSQL) -> submit_rows.c (its answer) -> submit_apply.c (Redis) -> submit_places.c (ranks)
 *       -> submit_answer.c (answers)
 */
#ifndef STORE_SUBMIT_PRIVATE_H
#define STORE_SUBMIT_PRIVATE_H

#include <ev.h>

#include "base/arena.h"
#include "store/private.h"
#include "store/submit.h"
#include "store/submit_flow.h"

enum {
    BATCHES_IN_FLIGHT = 2,
    /* For so long after a single submission, each connection has one batch of bulk under way, of so many rows, and single
     * ones of that connection are sent behind it at once. */
    SINGLES_LATELY_US = 1000000,
    BULK_MAX = 128,
    ROUNDS_MAX = 64,      /* more of one player wait for the next batch */
    RETRIES_MAX = 5,      /* of a batch that lost a race */
    APPLY_ROWS_MAX = 100, /* in one script call: it holds up the others for a millisecond */
    ARRAY_BYTES_MAX = 16 << 20,
    CONNECTIONS_MAX = 64,
    SUSPECTS_MAX = 256,
    SUBMIT_INCIDENT_MAX = 2 * 8 + 1,
};

enum outcome {
    OUTCOME_PASSED_OVER = -2, /* the period of this window is closed; others took it */
    OUTCOME_UNCHANGED = 0,
    OUTCOME_CHANGED,
    OUTCOME_OUT_OF_RANGE,
    OUTCOME_OVERFLOW,
    OUTCOME_CLOSED,
    OUTCOME_NO_BOARD,
    OUTCOME_REPEATED,
    OUTCOME_COMBINED,
    OUTCOME_TOO_MANY_VALUES,
    OUTCOME_NO_FACET,
    OUTCOME_NO_PERIOD,
    OUTCOME_FAILED,            /* the database refused it */
    OUTCOME_NOT_TRIED,         /* the time for a batch that fails was used up by others */
    OUTCOME_SUBSCORE_OVERFLOW, /* only here: SQL says overflow */
};

struct group {
    submit_done_fn *done;
    void *context;
    bool has_claim;
    struct submit_claim claim;
    size_t left; /* not answered yet */
};

struct item {
    struct submission submission;
    struct group *group;
    size_t index;      /* in its group */
    struct item *next; /* in its flow */
    /* In a batch: */
    int round;
    struct submit_result result;
    struct slice metadata; /* of windows[0], in the batch's arena */
};

struct queue {
    struct flows flows;  /* what waits */
    int in_flight;       /* batches that PostgreSQL has */
    int bulk;            /* of them, those of KIND_BULK */
    int waiting;         /* of them, those whose commit may wait for a standby longer than others' */
    struct batch *first; /* batches cut and not answered, oldest first: they are answered in that order */
    struct batch **last;
};

/* A board for which the database refused a submission, until some time after: a place for each remainder of its id. */
struct suspect {
    int64_t board_id;
    int64_t until_us; /* monotonic */
};

struct submitter {
    struct store *store;
    ev_prepare flush; /* once a turn, after the requests of the turn are in */
    bool must_flush;
    size_t queued;
    size_t batches;
    int64_t single_us; /* when something of KIND_SINGLE came last; 0: never */
    struct queue queues[CONNECTIONS_MAX];
    struct suspect suspects[SUSPECTS_MAX];
};

/* One change that goes to Redis, or (revision 0) one rank to ask for. */
struct apply_row {
    struct item *item;
    int64_t number;              /* of the item in its batch: the order of arrival */
    struct submit_window *place; /* in its result, or a facet's */
    bool is_removal;             /* the player left this standing */
    bool is_shown;               /* the answer has its rank */
    bool shows_old_rank;         /* and the one before */
    bool is_old_counted;         /* by PostgreSQL */
    int64_t revision;
    struct slice metadata;
};

struct batch {
    struct submitter *submitter;
    int connection;
    enum flow_kind kind;
    struct item **items;
    size_t count;
    int retries;
    bool is_waiting;       /* counted in its queue's `waiting` */
    bool has_commit_level; /* the first of its calls sets what the commit waits for */
    const char *snapshot;  /* what its transaction saw when it submitted, and its number; NULL: not known */
    bool is_apart;         /* it failed for some of its items: those are refused, the others are taken (submit_apart) */
    const struct item *failed;          /* the last item that was refused so */
    char incident[SUBMIT_INCIDENT_MAX]; /* its number */
    struct arena arena;
    int64_t lsn;
    int64_t committed_us;
    int64_t version;        /* of Redis, that covers what was applied */
    struct apply_row *rows; /* sorted by standing, in order of arrival */
    size_t row_count;
    size_t waiting; /* answers still to come, plus one while they are being asked for */
    bool is_applied;
    bool is_settled;    /* its answers are ready; they wait for the batches before it */
    struct error error; /* all of it failed */
    bool is_uncertain;  /* or may have been committed */
    struct batch *next;
};

/* submit_lane.c: where a group waits. */
struct submit_lane {
    int connection;
    enum flow_kind kind;
};

struct submit_lane submit_lane_of(struct store *store, const struct submission *submissions, size_t count);
/* The most submissions of a batch on this connection. */
size_t submit_batch_max(const struct store *store, int connection);
/* The database refused a submission to the board. */
void submit_suspect(struct submitter *submitter, int64_t board_id);

/* submit_rows.c: reads the answer to the statement submit into the results of the batch's items, and its rows. */
void submit_rows_take(struct batch *batch, struct db_rows rows);

/* submit_apply.c, W3: applies a committed batch to Redis, finds what ranks are still missing, answers, frees. */
void batch_apply(struct batch *batch);

/* ---- submit_answer.c ---- */

/* What must never be: answers all as taken, though nothing is known of it yet. Only to see that the checks find it
 * (base/fault.h). */
void batch_answer_early(struct batch *batch);
/* Answers all of a batch with an error; frees. */
void batch_fail(struct batch *batch, const struct error *error);
/* Its ranks are known: it is answered once those before it are. */
void batch_settle(struct batch *batch);
void item_answer(struct item *item); /* frees */

/* ---- submit_refuse.c ---- */

/* Fills the error of an item that the transaction did not take. outcome: an enum outcome. */
void item_refuse(struct item *item, int outcome);
/* The same of an item that the database refused: why has the SQLSTATE and the message. Logs it, under a number that the
 * error names; items of one board that follow one another share it. */
void item_fail(struct batch *batch, struct item *item, struct slice why);
/* Is the error of a batch one of its data? It was undone then, and can be taken without the items at fault. */
bool submit_is_of_data(const struct db_outcome *outcome);

/* ---- submit_places.c ---- */

void place_ask(struct batch *batch, size_t row, bool is_old);
void places_ask(struct batch *batch, size_t from, size_t to); /* of rows */
/* One of the answers that the batch waits for is there. After the last one old ranks that are not known are dropped, and
 * it is settled. */
void batch_step(struct batch *batch);

#endif
