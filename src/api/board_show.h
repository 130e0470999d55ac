/*
 * board_show.h -- a board as answers have it: after a change, in a GET, in a list, and the tags of that.
 */
#ifndef API_BOARD_SHOW_H
#define API_BOARD_SHOW_H

#include "api/page.h"
#include "api/schedule.h"

/* Answers a write with what it made of the board: the only row. Holds the call for itself, where it must ask for what the
 * board's schedules come to. */
void board_answer(struct api_call *call, int status, struct db_rows rows);
/* Of a board's two representations, plain and `pretty`, in all their forms: a condition may name any. schedules: of a board
 * that has some. */
enum { BOARD_TAGS = 2 * PAGE_FORMS };
void board_tags(const struct board *board, const struct schedules_view *schedules,
                char tags[static BOARD_TAGS][PAGE_TAG_MAX]);

#endif
