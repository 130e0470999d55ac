/*
 * submit.h -- taking submissions: many callers, few transactions.
 *
 * Submissions wait in a queue. Whenever a connection has room, all that wait (up to a batch) go as one call of one SQL
 * function, in one transaction: at once when the service is idle, as many as came meanwhile when it is busy. After the
 * commit the changes are applied to Redis, in the same order, and each submission is answered with its place. The
 * submissions of a group go over one connection in the order given; groups pass each other (submit_flow.h).
 */
#ifndef STORE_SUBMIT_H
#define STORE_SUBMIT_H

#include "store/store.h"

enum { SUBMIT_GROUP_MAX = 1000 };
#define SUBMIT_NOW INT64_MIN

struct submission {
    struct board board;  /* a copy: the definition under which it was accepted */
    struct slice player; /* borrowed until done */
    int64_t score;
    int64_t subscore;
    int64_t at_us;          /* when it was reached; SUBMIT_NOW: when the database takes it, by its clock */
    bool is_unranked;       /* nobody wants its ranks: PostgreSQL is not asked where Redis cannot tell them */
    struct slice metadata;  /* borrowed until done; data NULL: none */
    unsigned windows;       /* which it is meant for: a bit for each enum window; 0: every one of the board */
    struct slice schedules; /* names of more of these, a comma behind each, until submission_windows_check; borrowed */
    bool is_strict;         /* refused where one of these windows is closed */
    struct slice facets;    /* a JSON object of values by facet, borrowed until done; data NULL: it names none */
};

struct submit_window {
    enum window window;
    int64_t period_id;
    int64_t period_start_us;
    int64_t rank;     /* 1-based after it; 0: not known */
    int64_t old_rank; /* before it; 0: there was none, or not known */
    bool is_changed;
    bool is_paused; /* passed over, because its schedule is not open: there is no period */
    bool has_old;
    struct sort_key key;
    struct sort_key old_key;
};

/* A facet that the player has, and his place in its value's standing of the first window. */
struct submit_facet {
    struct slice name, value; /* borrowed until the continuation returns */
    const struct submit_window *place;
};

struct submit_result {
    struct error error; /* ERROR_NONE: taken */
    bool is_uncertain;  /* with an error: the connection was lost, so it may have been taken all the same */
    /* From the front those that took it; from the end on those whose period is closed, and which were passed over: of these
     * window, is_paused and period_start_us only. */
    struct submit_window windows[WINDOW_COUNT];
    int window_count;
    int closed_count;
    struct submit_facet facets[FACETS_MAX];
    int facet_count;
    struct slice metadata; /* of the entry in windows[0], borrowed until the continuation returns */
    bool is_repeat;        /* its idempotency key was used before; nothing was done */
    enum source source;    /* where the ranks came from */
    struct token token;
};

typedef void submit_done_fn(void *context, size_t index, const struct submit_result *result);

struct submit_claim {
    uint8_t key[CRYPTO_HASH_SIZE];
    uint8_t hash[CRYPTO_HASH_SIZE];
};

/*
 * Queues a group, all of one game; `done` is called once for each submission, in order, never before this returns. All of a group with a
 * claim go in one transaction. false: the queue is full or no primary is reachable; nothing was queued, *error says
 * which.
 */
bool submit_group(struct store *store, const struct submission *submissions, size_t count,
                  const struct submit_claim *claim, submit_done_fn *done, void *context, struct error *error);
/*
 * Takes a group back, by the context of its `done`, as long as nothing of it was sent to the database: `done` is not
 * called, nothing of it was or will be taken. false: some of it is on its way, and `done` comes.
 */
bool submit_withdraw(struct store *store, const void *context);
/* The results of a claimed group whose answer was lost: from what its transaction kept. Ranks are today's. */
void submit_resume(struct store *store, const struct submission *submissions, size_t count,
                   const struct submit_claim *claim, int64_t game_id, submit_done_fn *done, void *context);
/* Does the submission's board have the windows that it names? Resolves the names of schedules. Fills *error, naming /windows. */
bool submission_windows_check(struct submission *submission, struct error *error);
size_t submit_queued(const struct store *store);
/* Submissions that the database refused for an error of their data, in this process. Any thread. */
uint64_t submit_failed(void);
/* Submissions in committed transactions (refused ones included), and these transactions, in this process. Any thread. */
uint64_t submit_committed(void);
uint64_t submit_transactions(void);

#endif
