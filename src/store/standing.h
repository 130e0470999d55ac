/*
 * standing.h -- reading a standing: the same question to Redis or, where Redis can't be believed, to PostgreSQL.
 *
 * Redis is asked when it is trusted (kv.h), the period is open, nothing that this server wrote is missing from it, and
 * the token allows; a standing that it does not hold whole is answered by PostgreSQL and put on the worker's list.
 */
#ifndef STORE_STANDING_H
#define STORE_STANDING_H

#include "base/arena.h"
#include "cache/moves.h"
#include "store/store.h"

enum { STANDING_ROWS_MAX = 1000, STANDING_PLAYERS_MAX = 500, STANDING_BINS_MAX = 200, STANDING_PERCENTILES_MAX = 100 };

struct standing_row {
    struct sort_key key;
    struct slice player;   /* as long as `done` runs */
    struct slice metadata; /* likewise; data NULL: none or not asked for */
    int64_t rank;          /* 1-based, by the ranking asked for */
    int64_t ordinal;       /* 1-based place in the exact order */
};

/* What is wanted of a standing in numbers. */
struct statistics_wish {
    const char *percentiles; /* "{50,90,99.5}"; in the arena */
    size_t percentile_count;
    const char *bin_kind; /* "": no histogram; "width", "count", "log" */
    int bins;             /* 1 to STANDING_BINS_MAX */
    bool is_desc;         /* the board's order */
};

/* A standing in numbers, as decimal texts: sums need more than 64 bits. In the arena; "" for what there is not. */
struct statistics {
    struct slice entries, total, mean, stddev, lowest, highest;
    struct slice percentiles;                   /* "120,80": scores, in the order asked for */
    struct slice bin_from, bin_to, bin_entries; /* the same of the bins, from the lowest scores on */
    struct statistics_activity {
        int64_t since_us; /* 0: not known, or the period is closed */
        struct slice submissions, arrivals;
    } minute, hour, day;
    int64_t counted_us; /* up to when they count */
};

struct standing_answer {
    struct error error; /* ERROR_NONE, ERROR_PLAYER_NOT_FOUND, ERROR_UNAVAILABLE, … */
    enum source source;
    int64_t total;  /* entries in the standing; -1: not known (PostgreSQL counts them only where with_total) */
    int64_t before; /* STANDING_SEEK: how many entries (dense: pairs) are better */
    int64_t first;  /* a page: how many entries are before its first row */
    /* a page: how many entries have a better (score, subscore) than its first row; with RANKING_COMPETITION */
    int64_t group;
    /* it contains the changes up to this version (ladder.lua), of this standing at least; 0: not from Redis */
    int64_t as_of;
    int64_t version; /* of the standing's last change, in microseconds; with as_of */
    int64_t lsn;     /* contains what was committed up to here, where as_of is 0 */
    /* what the rows depend on; with as_of. Where the total is shown, too, is_of_total is the caller's to set */
    struct span span;
    const struct statistics *statistics; /* STANDING_STATISTICS; in the arena */
    struct standing_row *rows;           /* in the arena, best first */
    size_t count;
    bool has_more;     /* a page: something follows the last row */
    bool is_absent;    /* STANDING_AROUND: the player has no entry */
    bool is_momentary; /* it changes with time, too: not to be remembered */
    bool is_cold;      /* with tells_cold: Redis does not hold the standing, and PostgreSQL was not asked */
};

enum standing_kind {
    STANDING_PAGE,       /* offset, limit */
    STANDING_AFTER,      /* from a key on (excluded), limit, k1_max */
    STANDING_AROUND,     /* player, above, below, absent */
    STANDING_PERCENTILE, /* percentile, limit: a page from the last that has at least this percentile */
    STANDING_PLAYERS,    /* players */
    STANDING_SEEK,       /* key, player: how many are better */
    STANDING_STATISTICS, /* statistics */
};

/* What is around a player who has no entry: nothing, or a page of the same length from an end. */
enum standing_absent { ABSENT_404, ABSENT_TOP, ABSENT_LAST };

struct standing_query {
    enum standing_kind kind;
    int64_t game_id; /* whose turn it takes, and which client's of the game: base/turns.h */
    uint64_t client;
    struct period period;
    struct freshness freshness;
    enum ranking ranking;
    bool with_metadata;
    bool with_total;
    bool tells_cold; /* the caller knows who else could have it */
    int64_t offset;
    int limit;
    struct sort_key key;
    struct slice player; /* in the arena */
    int64_t k1_max;
    int above, below;
    enum standing_absent absent;
    double percentile;
    struct statistics_wish statistics;
    const struct slice *players; /* in the arena, no duplicates */
    size_t player_count;
};

typedef void standing_done_fn(void *context, const struct standing_answer *answer);

/* Reads of this loop that wait for their turn. */
size_t standing_reads_waiting(const struct store *store);
/* Those that waited too long or found no place, of all loops, since the start. */
uint64_t standing_reads_refused(void);

/* The query is copied; what it points to, and the arena, live until done. */
void standing_read(struct store *store, struct arena *arena, const struct standing_query *query, standing_done_fn *done,
                   void *context);

#endif
