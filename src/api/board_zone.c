#include "api/board_zone.h"

#include <stdio.h>
#include <string.h>

#include "store/zones.h"

struct check {
    struct api_call *call;
    struct definition *definition;
    board_zone_fn *done;
    void *context;
    struct error refusal;
};

static void on_board(void *context, const struct board *board, const struct error *error)
{
    struct check *check = context;
    struct api_call *call = check->call;

    (void)error;
    if (board && strcmp(board->time_zone, check->definition->board.time_zone) == 0)
        check->done(check->context);
    else
        api_fail(call, &check->refusal);
    http_release(call->http);
}

static void on_zone(void *context, const char *name, const struct error *error)
{
    struct check *check = context;
    struct api_call *call = check->call;
    struct board *board = &check->definition->board;

    if (error && error->code == ERROR_INVALID_BODY) {
        check->refusal = *error;
        store_board_find(call->store, call->game, call->board_name, true, call->has_token ? &call->token : NULL,
                         on_board, check);
        return; /* keeps the hold */
    }
    if (error) {
        api_fail(call, error);
    } else {
        snprintf(board->time_zone, sizeof(board->time_zone), "%s", name);
        check->done(check->context);
    }
    http_release(call->http);
}

void board_zone_check(struct api_call *call, struct definition *definition, board_zone_fn *done, void *context)
{
    struct check *check = arena_alloc(call->arena, sizeof(*check));

    if (!check) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *check = (struct check){.call = call, .definition = definition, .done = done, .context = context};
    http_hold(call->http);
    store_zone_find(call->store, slice_of(definition->board.time_zone), on_zone, check);
}
