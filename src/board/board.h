/*
 * board.h -- what a board is: its definition, and the arithmetic that follows from it.
 *
 * Pure values: no I/O, no clock, any thread.
 */
#ifndef BOARD_BOARD_H
#define BOARD_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "board/sort_key.h"

enum { NAME_BYTES_MAX = 64, TIME_ZONE_BYTES_MAX = 63, METADATA_BYTES_MAX = 2048 };
/* Windows of all kinds; those that a schedule opens and closes are the last of them. */
enum { WINDOW_COUNT = 9, SCHEDULES_MAX = 4, SCHEDULE_NAME_BYTES_MAX = 32, CRON_BYTES_MAX = 64 };
/* How far ahead of the database's clock the time of a submission may lie: clocks differ. */
enum { AT_FUTURE_US_MAX = 60 * 1000000 };
enum {
    FACETS_MAX = 4,
    FACET_NAME_BYTES_MAX = 32,
    FACET_VALUE_BYTES_MAX = 64,
    FACET_VALUES_MAX = 1000000,
    FACET_VALUES_DEFAULT = 10000
};
/* With the NUL: "country:BR" as callers say it, "17:BR" as PostgreSQL keeps it. */
enum {
    FACET_TEXT_MAX = FACET_NAME_BYTES_MAX + FACET_VALUE_BYTES_MAX + 2,
    FACET_KEY_MAX = 20 + FACET_VALUE_BYTES_MAX + 2
};

enum score_order { ORDER_DESC, ORDER_ASC };
enum score_operator { OPERATOR_BEST, OPERATOR_LAST, OPERATOR_SUM };
enum tie_rule { TIE_FIRST, TIE_LAST };
/* A board has names for its windows by schedule: WINDOW_SCHEDULED + n is of schedule_names[n]. */
enum window { WINDOW_ALL, WINDOW_MONTHLY, WINDOW_WEEKLY, WINDOW_DAILY, WINDOW_HOURLY, WINDOW_SCHEDULED };
enum ranking { RANKING_ORDINAL, RANKING_COMPETITION, RANKING_DENSE };
/* What a commit waits for: synchronous_commit of PostgreSQL, the weakest first. */
enum commit_level { COMMIT_DEFAULT, COMMIT_LOCAL, COMMIT_REMOTE_WRITE, COMMIT_ON, COMMIT_REMOTE_APPLY };
enum scope { SCOPE_NONE, SCOPE_READ, SCOPE_WRITE, SCOPE_ADMIN };

/* How old an answer may be, by whom it is kept. All 0: never older than the newest change. */
struct board_caching {
    int64_t max_staleness_ms; /* ladder's own memory */
    int64_t max_age_s;        /* any HTTP cache, without asking again */
    int64_t stale_while_revalidate_s;
    int64_t stale_if_error_s;
    int64_t edge_max_age_s; /* an edge that is told of changes */
};

/* The members by name, as JSON and SQL have them; each from 0 to its max. */
enum { BOARD_CACHING_COUNT = 5 };
struct board_caching_field {
    const char *name;
    size_t offset;
    int64_t max;
};
extern const struct board_caching_field board_caching_fields[BOARD_CACHING_COUNT];

/* A value that splits a board: each value has its own standing. */
struct board_facet {
    char name[FACET_NAME_BYTES_MAX + 1];
    int64_t id; /* declared again, it is another */
};

struct board {
    int64_t id; /* 0: none */
    int64_t game_id;
    char name[NAME_BYTES_MAX + 1];
    enum score_order ordering;
    enum score_operator operator;
    enum tie_rule tie;
    enum window windows[WINDOW_COUNT];
    int window_count; /* 1 to WINDOW_COUNT; windows[0] is the one meant when none is named */
    char schedule_names[SCHEDULES_MAX][SCHEDULE_NAME_BYTES_MAX + 1]; /* "": there is none */
    char time_zone[TIME_ZONE_BYTES_MAX + 1];
    int64_t score_min;
    int64_t score_max;
    bool is_public;
    struct board_facet facets[FACETS_MAX];
    int facet_count;
    int64_t facet_values_max;       /* of all facets together */
    bool is_combined;               /* made of others (known where a board was found by its name) */
    int64_t combined_us;            /* then: it has what they had then, at least; 0: not made yet */
    enum commit_level commit_level; /* of submissions; COMMIT_DEFAULT: as the connection has it */
    struct board_caching caching;
    int64_t created_us;
    int64_t updated_us;
    int64_t definition; /* of its game when it was read: the number of the newest change of a definition */
};

/* Names as they stand in SQL, JSON and URLs. The parsers return false for any other text. */
const char *score_order_name(enum score_order order);
const char *score_operator_name(enum score_operator operator);
const char *tie_rule_name(enum tie_rule tie);
const char *window_name(enum window window); /* in SQL; callers know board_window_name */
const char *scope_name(enum scope scope);
const char *commit_level_name(enum commit_level level);
bool score_order_parse(struct slice text, enum score_order *ret_order);
bool score_operator_parse(struct slice text, enum score_operator *ret_operator);
bool tie_rule_parse(struct slice text, enum tie_rule *ret_tie);
bool window_parse(struct slice text, enum window *ret_window); /* of SQL */
bool ranking_parse(struct slice text, enum ranking *ret_ranking);
bool commit_level_parse(struct slice text, enum commit_level *ret_level);
bool scope_parse(struct slice text, enum scope *ret_scope);

/* Game and board names: a letter or digit, then up to 63 of letters, digits, '.', '_', '-'. */
bool name_is_valid(struct slice name);
/* Player ids: 1 to PLAYER_BYTES_MAX bytes of UTF-8 without control characters. Fills *error, naming `field`. */
bool player_check(struct slice player, const char *field, struct error *error);

/* Facet names: a small letter, then up to 31 of small letters, digits, '_'. */
bool facet_name_is_valid(struct slice name);
/* Facet values: 1 to FACET_VALUE_BYTES_MAX bytes of UTF-8 without control characters. Fills *error, naming `field`. */
bool facet_value_check(struct slice value, const char *field, struct error *error);
/* "country:BR" as PostgreSQL keeps it. false: the board has no such facet, or it is no value; *error names `facet`. */
bool board_facet_key(const struct board *board, struct slice text, char ret_key[static FACET_KEY_MAX],
                     struct error *error);

int64_t *board_caching_value(struct board_caching *caching, int field);
int64_t board_caching_get(const struct board_caching *caching, int field);

bool board_has_window(const struct board *board, enum window window);
/* Of a board, what callers call a window: the kind, or the name of its schedule. parse: false for any other text; a window
 * that is found may be one that the board no longer has. */
const char *board_window_name(const struct board *board, enum window window);
bool board_window_parse(const struct board *board, struct slice text, enum window *ret_window);
/* Could a board have a window of this name? The kinds but those of schedules, or a schedule's name: a small letter, then up
 * to 31 of small letters, digits, '_', '-', and no word that means something else where a window is named. */
bool window_name_is_valid(struct slice text);
bool schedule_name_is_valid(struct slice name);

/* Between what callers say and the order's key. */
struct sort_key board_key(const struct board *board, int64_t score, int64_t subscore, int64_t at_us);
int64_t board_score(const struct board *board, const struct sort_key *key);
int64_t board_subscore(const struct board *board, const struct sort_key *key);
int64_t board_achieved_us(const struct board *board, const struct sort_key *key);

/* 100 for the first of several, 0 for the last, 100 for the only one: 100 * (total - rank) / (total - 1). */
double percentile_of(int64_t rank, int64_t total);
/* The rank at a percentile of 0 to 100: the last that has at least this percentile. total > 0. */
int64_t percentile_rank(double percentile, int64_t total);

#endif
