/*
 * scores.c -- submissions: one, or many in one request.
 */
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/intake.h"
#include "http/json.h"

/* ---- one ---- */

struct post {
    struct api_call *call;
    struct submission submission;
};

static void on_posted(void *context, size_t index, const struct submit_result *result);

/* Taken, but the answer was lost with a server: it is made from what was kept of the submission. */
static void post_again(struct api_call *call)
{
    struct post *post = call->state;

    http_hold(call->http);
    submit_resume(call->store, &post->submission, 1, &call->claim, call->key.game_id, on_posted, post);
}

static void on_posted(void *context, size_t index, const struct submit_result *result)
{
    struct post *post = context;
    struct api_call *call = post->call;
    struct buf body;
    struct jsonw json;
    char token[TOKEN_TEXT_MAX] = "";
    int status = 200;

    (void)index;
    if (result->is_repeat) {
        call->state = post;
        api_replay(call, post_again);
        http_release(call->http);
        return;
    }
    enum error_code code = result->error.code;
    /* A refusal is a committed answer to the key; a failure is not. */
    call->is_claimed = call->has_claim && (code == ERROR_NONE || error_status(code) < 500);
    call->source = result->source;
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    json.integers_as_strings = call->integers_as_strings;
    if (code != ERROR_NONE) {
        if (code == ERROR_BOARD_NOT_FOUND)
            store_board_forget_all(call->store, call->game, call->board_name);
        status = error_status(code);
        if (status >= 500) {
            api_fail(call, &result->error);
            http_release(call->http);
            return;
        }
        http_problem(&json, &result->error);
    } else {
        api_token_text(call, &result->token, token);
        jsonw_object_open(&json);
        api_render_result(call, &json, &post->submission, result);
        jsonw_key(&json, "token");
        jsonw_text(&json, token);
        jsonw_object_close(&json);
    }
    api_answer(call, status, &body, token);
    http_release(call->http);
}

static bool type_is(const struct api_call *call, const char *type)
{
    struct slice sent = http_header(call->http, "Content-Type");
    size_t size = strlen(type);

    return sent.size >= size && strncasecmp(sent.data, type, size) == 0 &&
           (sent.size == size || sent.data[size] == ';' || sent.data[size] == ' ');
}

static bool json_type_check(struct api_call *call)
{
    /* The last is what `curl -d` says when it is not told better. */
    if (!http_header(call->http, "Content-Type").data || type_is(call, "application/json") ||
        type_is(call, "application/x-www-form-urlencoded"))
        return true;
    api_fail_with(call, ERROR_UNSUPPORTED_MEDIA_TYPE,
                  "send application/json, or, to a game's /scores, application/x-ndjson");
    return false;
}

void api_score_post(struct api_call *call)
{
    struct post *post = arena_calloc(call->arena, 1, sizeof(*post));
    struct json_document document;
    struct json_object object;
    struct error error;

    if (!post) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    if (!json_type_check(call))
        return;
    if (!json_document_parse(&document, buf_slice(&call->http->body), &error)) {
        api_fail(call, &error);
        return;
    }
    post->call = call;
    bool is_ok = json_root_object(&document, &object, &error) &&
                 api_read_submission(call, &object, false, call->arena, &post->submission, NULL, &error);
    json_document_free(&document);
    post->submission.board = call->board;
    http_hold(call->http);
    is_ok = is_ok && submission_windows_check(&post->submission, &error);
    if (is_ok &&
        submit_group(call->store, &post->submission, 1, call->has_claim ? &call->claim : NULL, on_posted, post, &error))
        return;
    api_fail(call, &error);
    http_release(call->http);
}

/* ---- many ---- */

struct bulk {
    struct intake intake;
    struct buf body;
    struct jsonw json;
    struct token token;
    bool has_token, is_repeat, is_failed, only_errors;
    int64_t taken, refused;
    size_t failed; /* of the refused ones, those that the database refused */
};

static void on_item(void *context, const struct intake_item *item, const struct submit_result *result)
{
    struct bulk *bulk = context;

    if (result && result->error.code == ERROR_NONE) {
        bulk->token = token_later(bulk->has_token ? &bulk->token : NULL, &result->token);
        bulk->has_token = true;
        bulk->intake.call->source = result->source;
    }
    if (result && !error_is_refusal(result->error.code))
        bulk->is_failed = true;
    bulk->failed += result && result->error.code == ERROR_ITEM_FAILED;
    bool is_taken = result && result->error.code == ERROR_NONE;
    *(is_taken ? &bulk->taken : &bulk->refused) += 1;
    if (is_taken && bulk->only_errors)
        return;
    api_render_item(bulk->intake.call, &bulk->json, item, result);
}

static void bulk_open(struct bulk *bulk)
{
    bulk->taken = bulk->refused = 0;
    bulk->failed = 0;
    buf_init(&bulk->body, API_ANSWER_BYTES_MAX);
    jsonw_init(&bulk->json, &bulk->body);
    bulk->json.integers_as_strings = bulk->intake.call->integers_as_strings;
    jsonw_object_open(&bulk->json);
    jsonw_key(&bulk->json, "results");
    jsonw_array_open(&bulk->json);
}

static void bulk_again(struct api_call *call)
{
    struct bulk *bulk = call->state;

    bulk_open(bulk);
    http_hold(call->http);
    intake_resume(&bulk->intake);
}

static void on_bulk(void *context, const struct error *error)
{
    struct bulk *bulk = context;
    struct api_call *call = bulk->intake.call;
    char token[TOKEN_TEXT_MAX] = "";

    if (error || bulk->intake.is_repeat) {
        buf_done(&bulk->body);
        if (error)
            api_fail(call, error);
        call->state = bulk;
        if (!error)
            api_replay(call, bulk_again);
    } else {
        jsonw_array_close(&bulk->json);
        if (bulk->only_errors) {
            jsonw_key(&bulk->json, "taken");
            jsonw_number(&bulk->json, bulk->taken);
            jsonw_key(&bulk->json, "refused");
            jsonw_number(&bulk->json, bulk->refused);
        }
        if (bulk->has_token) {
            api_token_text(call, &bulk->token, token);
            jsonw_key(&bulk->json, "token");
            jsonw_text(&bulk->json, token);
        }
        jsonw_object_close(&bulk->json);
        /* If all of them failed, nothing was committed, and the key is unused. */
        call->is_claimed = call->has_claim && !bulk->is_failed && bulk->intake.good_count > bulk->failed;
        api_answer(call, 200, &bulk->body, token);
    }
    http_release(call->http);
}

static bool bulk_read(struct bulk *bulk, struct error *error)
{
    static const char *const names[] = {"scores", NULL};
    struct api_call *call = bulk->intake.call;
    struct json_document document;
    struct json_object root;

    if (!json_document_parse(&document, buf_slice(&call->http->body), error))
        return false;
    bool is_ok = json_root_object(&document, &root, error) && json_object_only(&root, names, error) &&
                 json_read_array(&root, "scores", SUBMIT_GROUP_MAX, &bulk->intake.count, error);
    if (is_ok) {
        bulk->intake.items = arena_calloc(call->arena, bulk->intake.count, sizeof(*bulk->intake.items));
        is_ok = bulk->intake.items || error_set(error, ERROR_OVERLOADED, "out of memory");
    }
    for (size_t i = 0; is_ok && i < bulk->intake.count; i++) {
        struct json_object object;
        bulk->intake.items[i].place_name = bulk->only_errors ? "item" : NULL;
        bulk->intake.items[i].place = (int64_t)i;
        if (json_array_object(&root, "scores", i, &object, &bulk->intake.items[i].error))
            intake_read(&bulk->intake, i, &object);
    }
    json_document_free(&document);
    return is_ok;
}

void api_scores_post(struct api_call *call)
{
    struct bulk *bulk = arena_calloc(call->arena, 1, sizeof(*bulk));
    struct error error;

    if (!json_type_check(call))
        return;
    if (!bulk) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    bulk->intake = (struct intake){.call = call,
                                   .arena = call->arena,
                                   .is_claimed_group = call->has_claim,
                                   .result = on_item,
                                   .done = on_bulk,
                                   .context = bulk};
    bulk->only_errors = slice_is(api_text(call, "results"), "errors");
    if (!bulk_read(bulk, &error)) {
        api_fail(call, &error);
        return;
    }
    bulk_open(bulk);
    http_hold(call->http);
    intake_run(&bulk->intake);
}
