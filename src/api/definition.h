/*
 * definition.h -- a board as a caller writes it: the body of PUT and PATCH. It may hold all that a GET of the board
 * shows, so that what was read can be sent back.
 */
#ifndef API_DEFINITION_H
#define API_DEFINITION_H

#include "api/api.h"

/* A window by schedule; its name is in the board. */
struct schedule {
    char opens[CRON_BYTES_MAX + 1], closes[CRON_BYTES_MAX + 1];
    int index; /* among the windows */
};

struct definition {
    struct board board;                       /* what was not said is as it was before */
    struct schedule schedules[SCHEDULES_MAX]; /* where has_windows: of board.schedule_names */
    int schedule_count;
    bool is_forced; /* PUT: windows and facets that it leaves out go, with the entries that they hold */
    bool has_windows, has_min, has_max, has_public, has_facets, has_facet_values, has_commit_level,
        has_caching[BOARD_CACHING_COUNT];
};

/* Reads the call's body over definition->board. false: *error says what is wrong with it. */
bool definition_read(struct api_call *call, struct definition *definition, bool is_patch, struct error *error);
/* Does `after` keep what cannot change in `before`? */
bool definition_fixed_check(const struct board *before, const struct board *after, struct error *error);

#endif
