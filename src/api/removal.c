/*
 * removal.c -- removing a player from a board, or erasing it from a game.
 *
 * The same path as a submission: commit first, then the tombstones are applied to Redis, then the answer.
 */
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "store/removal.h"

struct removing {
    struct api_call *call;
    bool is_erase;
};

/* Removed already, but the answer was lost with a server. */
static void remove_again(struct api_call *call)
{
    call->has_claim = false;
    call->route->handle(call);
}

static void on_removed(void *context, const struct removal_result *result)
{
    struct removing *removing = context;
    struct api_call *call = removing->call;
    struct buf body;
    struct jsonw json;
    char token[TOKEN_TEXT_MAX];

    if (result->is_repeat) {
        api_replay(call, remove_again);
    } else if (result->error.code != ERROR_NONE) {
        api_fail(call, &result->error);
    } else {
        call->is_claimed = call->has_claim || call->again;
        struct token written = result->token;
        written.game_id = call->key.game_id;
        written.definition = call->board.definition;
        api_token_text(call, &written, token);
        buf_init(&body, 4096);
        jsonw_init(&json, &body);
        jsonw_object_open(&json);
        jsonw_key(&json, "player");
        jsonw_string(&json, call->player);
        jsonw_key(&json, "removed");
        jsonw_bool(&json, result->count > 0);
        jsonw_key(&json, "standings");
        jsonw_number(&json, (int64_t)result->count);
        jsonw_key(&json, "token");
        jsonw_text(&json, token);
        jsonw_object_close(&json);
        api_answer(call, 200, &body, token);
    }
    http_release(call->http);
}

static void remove_start(struct api_call *call, bool is_erase)
{
    struct removing *removing = arena_calloc(call->arena, 1, sizeof(*removing));

    if (!removing) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *removing = (struct removing){call, is_erase};
    http_hold(call->http);
    player_remove(call->store, call->arena, is_erase ? call->key.game_id : call->board.id, is_erase, call->player,
                  call->has_claim ? &call->claim : NULL, call->key.game_id, on_removed, removing);
}

void api_player_remove(struct api_call *call)
{
    remove_start(call, false);
}

void api_player_erase(struct api_call *call)
{
    remove_start(call, true);
}
