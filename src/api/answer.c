/*
 * answer.c -- how a call ends, and how it reads its parameters.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/page.h"
#include "base/clock.h"
#include "base/put.h"
#include "base/text.h"
#include "store/last_writes.h"

/* ---- ends ---- */

void api_timing_text(const struct api_call *call, char timing[static API_TIMING_MAX])
{
    int64_t total_us = clock_monotonic_us() - call->http->started_us;
    const char *source = source_name(call->source);
    char *at = timing;

    if (call->source != SOURCE_NONE)
        at = put_bytes(at, source, strlen(source));
    if (call->source == SOURCE_BEHIND)
        at = put_literal(at, ";desc=\"behind\"");
    if (call->source != SOURCE_NONE)
        at = put_literal(at, ", ");
    /* Milliseconds to two places, without printf, which takes its time over them. */
    at = put_byte(put_int64(put_literal(at, "total;dur="), total_us / 1000), '.');
    *put_two_digits(at, (int)(total_us % 1000 / 10)) = 0;
}

void api_timing_header(const struct api_call *call)
{
    char timing[API_TIMING_MAX];

    api_timing_text(call, timing);
    http_reply_header(call->http, "Server-Timing", timing);
}

bool api_read_primary(struct api_call *call, const struct db_call *read, db_read_fn *done, void *context)
{
    const struct freshness freshness = store_freshness(call->store, call->has_token ? &call->token : NULL, 0);
    struct db_wish wish = store_wish(&freshness);

    wish.prefers_primary = true;
    return db_read_with(store_db(call->store), read, &wish, done, context);
}

void api_fail(struct api_call *call, const struct error *error)
{
    api_timing_header(call);
    http_reply_error(call->http, error);
}

void api_fail_with(struct api_call *call, enum error_code code, const char *message)
{
    struct error error;

    error_set(&error, code, "%s", message);
    api_fail(call, &error);
}

static void answer_send(struct api_call *call, int status, struct buf *body, const char *token)
{
    if (token[0])
        api_token_headers(call, token);
    /* Not after a PUT: what is stored has more than what was sent, so that its tag would lie (RFC 9110, 9.3.4). */
    if (call->route->flags & API_CONDITIONAL && call->route->method == HTTP_PATCH && status < 300 && body->size > 0) {
        char tag[HTTP_TAG_MAX], quoted[HTTP_TAG_MAX + 2];
        http_json_finish(call->http, body);
        http_tag_of(buf_slice(body), tag);
        snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
        http_reply_header(call->http, "ETag", quoted);
    }
    api_timing_header(call);
    http_reply_header(call->http, "Cache-Control", "private, no-store");
    http_reply(call->http, status,
               body->size == 0 ? NULL
               : status >= 400 ? "application/problem+json"
                               : "application/json",
               body);
}

struct kept {
    struct api_call *call;
    int status;
    struct buf body;
    char token[TOKEN_TEXT_MAX];
};

static void on_kept(void *context, bool is_first, const struct error *error)
{
    struct kept *kept = context;
    struct http_request *http = kept->call->http;

    if (error)
        api_fail(kept->call, error);
    else if (!is_first)
        api_replay(kept->call, NULL);
    else
        answer_send(kept->call, kept->status, &kept->body, kept->token);
    buf_done(&kept->body);
    http_release(http);
}

void api_answer(struct api_call *call, int status, struct buf *body, const char *token)
{
    if (!call->is_claimed || body->is_overflown) {
        answer_send(call, status, body, token);
        return;
    }
    struct kept *kept = arena_calloc(call->arena, 1, sizeof(*kept));
    if (!kept) {
        buf_done(body);
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    kept->call = call;
    kept->status = status;
    kept->body = *body;
    snprintf(kept->token, sizeof(kept->token), "%s", token);
    http_hold(call->http);
    idempotency_keep(call->store, call->arena, call->key.game_id, &call->claim, status, slice_of(token),
                     buf_slice(body), on_kept, kept);
}

/* ERROR_NONE: there was nothing to do. */
static void refusal_send(struct api_call *call, const struct error *error)
{
    struct buf none;

    if (error->code != ERROR_NONE) {
        api_fail(call, error);
        return;
    }
    buf_init(&none, 1);
    answer_send(call, 204, &none, "");
}

static void on_replay(void *context, const struct idempotency_answer *answer)
{
    struct api_call *call = context;
    struct buf body;

    if (call->otherwise && (answer->is_unused || (answer->is_orphan && !call->again))) {
        refusal_send(call, call->otherwise);
    } else if (answer->error.code != ERROR_NONE) {
        api_fail(call, &answer->error);
    } else if (answer->is_orphan && call->again) {
        call->again(call);
    } else if (answer->is_orphan) {
        api_fail_with(call, ERROR_INTERNAL, "the first answer was lost");
    } else {
        buf_init(&body, API_ANSWER_BYTES_MAX);
        buf_append_slice(&body, answer->body);
        http_reply_header(call->http, "Idempotency-Replayed", "true");
        answer_send(call, answer->status, &body, answer->token.size ? answer->token.data : "");
    }
    http_release(call->http);
}

void api_replay(struct api_call *call, api_handler_fn *again)
{
    call->again = again;
    http_hold(call->http);
    idempotency_find(call->store, call->arena, call->key.game_id, &call->claim, on_replay, call);
}

void api_refuse(struct api_call *call, const struct error *error, api_handler_fn *again)
{
    struct error *otherwise = call->has_claim ? arena_alloc(call->arena, sizeof(*otherwise)) : NULL;

    if (!otherwise) {
        refusal_send(call, error);
        return;
    }
    *otherwise = *error;
    call->otherwise = otherwise;
    api_replay(call, again);
}

void api_token_text(const struct api_call *call, const struct token *token, char out[static TOKEN_TEXT_MAX])
{
    token_encode(token, api_token_key(call->api), out);
}

struct db_call api_definition_written_call(struct api_call *call, int64_t game_id)
{
    return (struct db_call){
        .statement = STATEMENT_definition_written,
        .parameter_count = 1,
        .is_last_of_transaction = true,
        .parameters = {{.data = arena_printf(call->arena, "%lld", (long long)game_id), .format = DB_TEXT}}};
}

static void written(struct api_call *call, int64_t game_id, struct db_rows rows, bool is_applied)
{
    struct db *db = store_db(call->store);
    const struct token token = {.epoch = db_epoch(db),
                                .timeline = db_timeline(db),
                                .lsn = db_int64(rows, 0, 0),
                                .committed_us = db_int64(rows, 0, 1),
                                .is_applied = is_applied,
                                .game_id = game_id,
                                .definition = db_is_null(rows, 0, 2) ? 0 : db_int64(rows, 0, 2)};

    db_saw_lsn(db, token.lsn);
    last_write_note(call->store, LAST_WRITE_GAME, game_id, SLICE(""), token.lsn);
    store_definition_changed(call->store, game_id, token.definition);
    api_token_text(call, &token, call->written);
}

void api_definition_written(struct api_call *call, int64_t game_id, struct db_rows rows)
{
    written(call, game_id, rows, true); /* nothing of it goes to Redis */
}

void api_standing_written(struct api_call *call, int64_t game_id, struct db_rows rows, int64_t standing)
{
    store_standing_changed(standing, db_int64(rows, 0, 1));
    written(call, game_id, rows, false);
}

void api_token_headers(struct api_call *call, const char *token)
{
    int age_s = api_settings_of(call->api)->token_cookie_s;

    http_reply_header(call->http, "Ladder-Token", token);
    if (age_s > 0 && call->game.size > 0)
        http_reply_header(call->http, "Set-Cookie",
                          arena_printf(call->arena,
                                       API_TOKEN_COOKIE "=%s; Path=/v1/games/%s; Max-Age=%d; HttpOnly; SameSite=Lax",
                                       token, call->game.data, age_s));
}

/* ---- parameters ---- */

struct slice api_text(const struct api_call *call, const char *name)
{
    const struct http_parameter *parameter = http_parameter(call->http, name);

    return parameter ? parameter->value : (struct slice){NULL, 0};
}

bool api_int(const struct api_call *call, const char *name, int64_t min, int64_t max, int64_t *ret_value,
             struct error *error)
{
    struct slice text = api_text(call, name);
    int64_t value;

    if (!text.data)
        return true;
    if (!text_parse_int64(text, &value) || value < min || value > max)
        return error_set_field(error, ERROR_INVALID_PARAMETER, name, "must be an integer from %lld to %lld",
                               (long long)min, (long long)max);
    *ret_value = value;
    return true;
}

bool api_fields_has(const struct api_call *call, const char *name, bool by_default)
{
    struct slice fields = api_text(call, "fields");

    if (!fields.data)
        return by_default;
    for (size_t at = 0; at < fields.size;) {
        const char *comma = memchr(fields.data + at, ',', fields.size - at);
        size_t end = comma ? (size_t)(comma - fields.data) : fields.size;
        if (slice_is((struct slice){fields.data + at, end - at}, name))
            return true;
        at = end + 1;
    }
    return false;
}
