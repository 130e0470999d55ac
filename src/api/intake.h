/*
 * intake.h -- many submissions of one request: boards looked up, the good ones submitted, results in the order given.
 */
#ifndef API_INTAKE_H
#define API_INTAKE_H

#include "api/api.h"
#include "http/json.h"

struct intake_item {
    struct submission submission;
    struct slice board_name;
    struct error error;     /* ERROR_NONE: it is, or was, submitted */
    const char *place_name; /* what a result says of where the item was: "line", "item"; NULL: nothing */
    int64_t place;          /* a line is counted from 1, an item of a JSON array from 0 */
    bool is_read;           /* submission and board_name are there */
    bool is_uncertain;      /* with an error: it may have been taken */
};

struct intake;
/* Called once for each item that was submitted, and once for each that was not (result NULL, item->error says why), in
 * order. */
typedef void intake_result_fn(void *context, const struct intake_item *item, const struct submit_result *result);
/* error: nothing was taken, no result function was called. */
typedef void intake_done_fn(void *context, const struct error *error);

struct intake {
    struct api_call *call;
    struct arena *arena; /* of the items */
    struct intake_item *items;
    size_t count;
    bool is_claimed_group; /* all in one transaction, under the call's Idempotency-Key */
    intake_result_fn *result;
    intake_done_fn *done;
    void *context;
    /* inside: */
    size_t at;
    bool is_looking, was_sync;
    struct submission *good;
    size_t *good_items; /* index of each in items */
    size_t good_count, answered;
    size_t told; /* items whose result was passed on */
    bool is_repeat;
};

/* Reads one item from its JSON; on failure its error is set. */
void intake_read(struct intake *intake, size_t index, const struct json_object *object);
void intake_run(struct intake *intake);
/* After is_repeat: the results of the first time, as they were kept. */
void intake_resume(struct intake *intake);

#endif
