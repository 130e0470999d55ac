/*
 * schedule.h -- windows by schedule, as a board's definition has them: checked where they are sent, shown with their next
 * periods. The cron expressions are PostgreSQL's to read; a board in memory has only the names.
 */
#ifndef API_SCHEDULE_H
#define API_SCHEDULE_H

#include "api/definition.h"

enum { SCHEDULE_NEXT = 5 };

/* What an answer says of a board's schedules, by their place in board.schedule_names. */
struct schedules_view {
    struct {
        char opens[CRON_BYTES_MAX + 1], closes[CRON_BYTES_MAX + 1];
        int64_t starts_us[SCHEDULE_NEXT], ends_us[SCHEDULE_NEXT];
        int count;  /* of the next periods, 0 to SCHEDULE_NEXT */
        bool knows; /* them: they are shown */
    } of[SCHEDULES_MAX];
    int64_t updated_us; /* the board's when it was read; 0: it is gone, or no window is by schedule */
};

/* view NULL: *error says why. */
typedef void schedules_fn(void *context, const struct schedules_view *view, const struct error *error);
typedef void schedules_checked_fn(void *context);

bool board_has_schedules(const struct board *board);
/* The cron expressions, from the column at BOARD_SCHEDULES of a board's row. */
void schedules_view_read(struct schedules_view *view, const char *lines);
/* The view of a board as the primary has it, with the next periods. Holds the call until `done` has returned. */
void schedules_find(struct api_call *call, int64_t board_id, schedules_fn *done, void *context);

/* Do the definition's schedules make sense in its time zone? Calls `done`, at once if it has none, or refuses the call with
 * 400, which names the field. */
void schedules_check(struct api_call *call, const struct definition *definition, schedules_checked_fn *done,
                     void *context);
/* board.schedules of PostgreSQL: an array literal. In the call's arena; NULL: out of memory. */
const char *schedules_literal(struct api_call *call, const struct definition *definition);

#endif
