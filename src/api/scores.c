/*
 * scores.c -- submissions: one, or many in one request.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/intake.h"
#include "api/stream.h"
#include "base/clock.h"
#include "db/primary_clock.h"
#include "http/json.h"

enum { FACETS_BYTES_MAX = 4096 };

/* Whether there are such facets, the transaction says: it knows the board as it is. */
static bool facets_read(const struct json_object *object, struct arena *arena, struct slice *ret_facets,
                        struct error *error)
{
    struct slice names[FACETS_MAX], values[FACETS_MAX];
    char field[ERROR_FIELD_MAX];
    size_t count;

    if (!json_read_texts(object, "facets", FACETS_MAX, names, values, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        snprintf(field, sizeof(field), "%.20s/facets/%.30s", object->pointer,
                 facet_name_is_valid(names[i]) ? names[i].data : "");
        if (values[i].data && !facet_value_check(values[i], field, error)) {
            error->code = ERROR_INVALID_BODY;
            return false;
        }
    }
    return json_read_compact(object, "facets", FACETS_BYTES_MAX, arena, ret_facets, error);
}

/* The names of schedules, until the board is known whose they are. */
struct schedule_names {
    char text[WINDOW_COUNT * (SCHEDULE_NAME_BYTES_MAX + 1)];
    size_t size;
};

static void schedule_add(struct schedule_names *names, struct slice name)
{
    memcpy(names->text + names->size, name.data, name.size);
    names->text[names->size + name.size] = ',';
    names->size += name.size + 1;
}

/* Which windows it is meant for, and what happens where one of them is closed. */
static bool windows_read(const struct api_call *call, const struct json_object *object, struct arena *arena,
                         struct submission *submission, struct error *error)
{
    struct schedule_names names = {.size = 0};
    char field[ERROR_FIELD_MAX];
    size_t count;

    if (!json_read_bool(object, "strict", false, &submission->is_strict, error))
        return false;
    if (!json_has(object, "windows"))
        return true;
    snprintf(field, sizeof(field), "%.50s/windows", object->pointer);
    if (!json_read_array(object, "windows", WINDOW_COUNT, &count, error))
        return false;
    if (call->key.scope != SCOPE_ADMIN)
        return error_set_field(error, ERROR_FORBIDDEN, field, "only a key of scope admin may choose the windows");
    if (count == 0)
        return error_set_field(error, ERROR_INVALID_BODY, field, "must name 1 to %d windows", WINDOW_COUNT);
    for (size_t i = 0; i < count; i++) {
        struct slice text;
        enum window window;
        if (!json_array_text(object, "windows", i, &text, error))
            return false;
        if (!window_name_is_valid(text))
            return error_set_field(error, ERROR_INVALID_BODY, field,
                                   "must hold all, monthly, weekly, daily, hourly or names of schedules");
        if (window_parse(text, &window))
            submission->windows |= 1U << window;
        else
            schedule_add(&names, text);
    }
    submission->schedules = arena_copy(arena, (struct slice){names.text, names.size});
    return submission->schedules.data || error_set(error, ERROR_OVERLOADED, "out of memory");
}

/* Copies what a submission keeps, so that the document may go. */
bool api_read_submission(struct api_call *call, const struct json_object *object, bool has_board, struct arena *arena,
                         struct submission *ret_submission, struct slice *ret_board, struct error *error)
{
    static const char *const names[] = {"player", "score",   "subscore", "metadata", "facets",
                                        "at",     "windows", "strict",   "board",    NULL};
    static const char *const names_here[] = {"player", "score",   "subscore", "metadata", "facets",
                                             "at",     "windows", "strict",   NULL};
    struct slice player = {NULL, 0}, at = {NULL, 0}, board = {NULL, 0};
    struct submission *s = ret_submission;
    char field[ERROR_FIELD_MAX];

    *s = (struct submission){.at_us = SUBMIT_NOW};
    if (!json_object_only(object, has_board ? names : names_here, error) ||
        !json_read_text(object, "player", true, &player, error) ||
        !json_read_int64(object, "score", true, &s->score, error) ||
        !json_read_int64(object, "subscore", false, &s->subscore, error) ||
        !json_read_raw(object, "metadata", METADATA_BYTES_MAX, arena, &s->metadata, error) ||
        !facets_read(object, arena, &s->facets, error) || !windows_read(call, object, arena, s, error) ||
        !json_read_text(object, "at", false, &at, error) ||
        (has_board && !json_read_text(object, "board", true, &board, error)))
        return false;
    snprintf(field, sizeof(field), "%.50s/player", object->pointer);
    if (!player_check(player, field, error)) {
        error->code = ERROR_INVALID_BODY;
        return false;
    }
    s->player = arena_copy(arena, player);
    if (has_board)
        *ret_board = arena_copy(arena, board);
    if (!s->player.data)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (!at.data)
        return true;
    snprintf(field, sizeof(field), "%.50s/at", object->pointer);
    if (call->key.scope != SCOPE_ADMIN)
        return error_set_field(error, ERROR_FORBIDDEN, field,
                               "only a key of scope admin may say when a score was reached");
    if (!clock_parse(at, &s->at_us) || s->at_us > primary_clock_us() + AT_FUTURE_US_MAX)
        return error_set_field(error, ERROR_INVALID_BODY, field, "must be an RFC 3339 time that is not in the future");
    return true;
}

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

void api_render_item(struct api_call *call, struct jsonw *json, const struct intake_item *item,
                     const struct submit_result *result)
{
    const struct error *error = result ? &result->error : &item->error;

    jsonw_object_open(json);
    if (item->place_name) {
        jsonw_key(json, item->place_name);
        jsonw_number(json, item->place);
    }
    jsonw_key(json, "status");
    jsonw_number(json, error_status(error->code));
    if (item->is_uncertain) {
        jsonw_key(json, "uncertain");
        jsonw_bool(json, true);
    }
    if (error->code != ERROR_NONE) {
        jsonw_key(json, "problem");
        http_problem(json, error);
    } else {
        api_render_result(call, json, &item->submission, result);
    }
    jsonw_object_close(json);
}

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
