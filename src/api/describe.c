/*
 * describe.c -- PATCH of a player: the metadata of his entries, without a score.
 *
 * The same path as a submission: commit first, then the entries are applied to Redis, then the answer.
 */
#include "store/describe.h"
#include "api/api.h"
#include "http/json.h"

struct patch {
    struct api_call *call;
    struct description description;
};

static void on_described(void *context, const struct describe_result *result);

static void patch_send(struct patch *patch)
{
    struct api_call *call = patch->call;

    http_hold(call->http);
    player_describe(call->store, call->arena, &patch->description, on_described, patch);
}

/* Changed already, but the answer was lost with a server: it says what there is now, and undoes no later change. */
static void patch_again(struct api_call *call)
{
    struct patch *patch = call->state;

    patch->description.claim = NULL;
    patch->description.reads_only = true;
    patch_send(patch);
}

static void result_render(struct patch *patch, struct jsonw *json, const struct describe_result *result,
                          const char *token)
{
    const struct api_call *call = patch->call;
    const struct standing_row row = {
        .player = call->player, .rank = result->rank, .key = result->key, .metadata = result->metadata};

    jsonw_object_open(json);
    jsonw_key(json, "entry");
    jsonw_object_open(json);
    if (result->rank == 0) {
        jsonw_key(json, "rank");
        jsonw_null(json);
    }
    api_render_row(json, &call->board, &row, (struct api_entry_view){true, true, true});
    jsonw_object_close(json);
    jsonw_key(json, "standings");
    jsonw_number(json, (int64_t)result->changed);
    if (call->shows_source) {
        jsonw_key(json, "source");
        jsonw_text(json, source_name(result->source));
    }
    jsonw_key(json, "token");
    jsonw_text(json, token);
    jsonw_object_close(json);
}

static void patch_answer(struct patch *patch, const struct describe_result *result)
{
    struct api_call *call = patch->call;
    struct buf body;
    struct jsonw json;
    char text[TOKEN_TEXT_MAX] = "";

    /* A refusal is a committed answer to the key; a failure is not. */
    call->is_claimed = call->has_claim;
    call->source = result->source;
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    json.integers_as_strings = call->integers_as_strings;
    if (result->error.code != ERROR_NONE) {
        http_problem(&json, &result->error);
        api_answer(call, error_status(result->error.code), &body, text);
        return;
    }
    struct token token = result->token;
    token.game_id = call->board.game_id;
    token.definition = call->board.definition;
    api_token_text(call, &token, text);
    result_render(patch, &json, result, text);
    api_answer(call, 200, &body, text);
}

static void on_described(void *context, const struct describe_result *result)
{
    struct patch *patch = context;
    struct api_call *call = patch->call;

    if (result->is_repeat) {
        call->state = patch;
        api_replay(call, patch_again);
    } else if (result->error.code != ERROR_NONE && error_status(result->error.code) >= 500) {
        api_fail(call, &result->error);
    } else {
        patch_answer(patch, result);
    }
    http_release(call->http);
}

static bool metadata_read(struct api_call *call, struct slice *ret_metadata, struct error *error)
{
    static const char *const names[] = {"metadata", NULL};
    struct json_document document;
    struct json_object object;

    if (!json_document_parse(&document, buf_slice(&call->http->body), error))
        return false;
    bool is_ok = json_root_object(&document, &object, error) && json_object_only(&object, names, error);
    if (is_ok && !json_has(&object, "metadata"))
        is_ok = error_set_field(error, ERROR_INVALID_BODY, "/metadata", "is missing; null removes the metadata");
    is_ok = is_ok && json_read_raw(&object, "metadata", METADATA_BYTES_MAX, call->arena, ret_metadata, error);
    json_document_free(&document);
    return is_ok;
}

static bool window_read(const struct api_call *call, const char **ret_window, struct error *error)
{
    struct slice text = api_text(call, "window");
    enum window window;

    *ret_window = "";
    if (!text.data)
        return true;
    if (!board_window_parse(&call->board, text, &window))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "window",
                               "must be one of all, monthly, weekly, daily, hourly, or the name of a schedule");
    if (!board_has_window(&call->board, window))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "window", "the board has no window %s",
                               board_window_name(&call->board, window));
    *ret_window = window_name(window);
    return true;
}

void api_player_describe(struct api_call *call)
{
    struct patch *patch = arena_calloc(call->arena, 1, sizeof(*patch));
    struct error error;

    if (!patch) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *patch = (struct patch){
        .call = call,
        .description = {.board = &call->board, .player = call->player, .claim = call->has_claim ? &call->claim : NULL}};
    if (!window_read(call, &patch->description.window, &error) ||
        !metadata_read(call, &patch->description.metadata, &error)) {
        api_fail(call, &error);
    } else if (call->board.is_combined) {
        error_set(&error, ERROR_CONFLICT, "the board is made of others: change the entries of those");
        api_fail(call, &error);
    } else {
        patch_send(patch);
    }
}
