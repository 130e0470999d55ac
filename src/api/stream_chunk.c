/*
 * stream_chunk.c -- a chunk of a stream's lines: read, submitted, its results written.
 *
 * What the database surely did not take for a passing reason (a full queue, no connection, a statement that took too
 * long) is submitted again until nothing was taken for server.answer_timeout_ms; fewer lines at a time, if time was the
 * reason. That keeps the order of one player's lines only while the failed ones are the last of the attempt: where a
 * later line was taken, an earlier one that failed is reported instead.
 */
#include <string.h>

#include "api/stream_private.h"
#include "http/json.h"

/* ---- reading ---- */

/* Of what is taken no results are listed: that was asked for, or the answer is long already. A whole chunk is, or is not. */
static bool is_brief(const struct stream *stream)
{
    return stream->only_errors || (int64_t)spool_size(&stream->results) >= stream->all_bytes_max;
}

static void line_read(struct stream *stream, struct intake_item *item, struct slice line)
{
    struct json_document document;
    struct json_object object;

    if (!json_line_parse(&document, line, item->place, &item->error))
        return;
    item->is_read = json_root_object(&document, &object, &item->error) &&
                    api_read_submission(stream->call, &object, true, &stream->arena, &item->submission,
                                        &item->board_name, &item->error);
    json_document_free(&document);
    item->submission.is_unranked = is_brief(stream);
    if (item->is_read && !name_is_valid(item->board_name))
        item->is_read = error_set_field(&item->error, ERROR_BOARD_NOT_FOUND, "/board", "there is no such board");
}

bool chunk_fill(struct stream *stream)
{
    bool has_claim = stream->call->has_claim;
    size_t max = has_claim ? STREAM_KEYED_LINES : STREAM_LINES;
    struct slice line = {"", 0};

    while (stream->count < max) {
        enum lines_next next = lines_next(&stream->lines, stream->is_ended, &line);
        if (next == LINES_NONE)
            break;
        struct intake_item *item = &stream->items[stream->count++];
        memset(item, 0, sizeof(*item));
        item->place_name = "line";
        item->place = stream->lines.number;
        if (next == LINES_TOO_LONG)
            error_set(&item->error, ERROR_BODY_TOO_LARGE, "the line is longer than the limit of %zu bytes",
                      stream->lines.bytes_max);
        else
            line_read(stream, item, line);
        if (has_claim)
            claim_line(stream, next == LINES_TOO_LONG ? SLICE("") : line);
    }
    if (stream->count == 0)
        return false;
    return !has_claim || stream->is_ended || (stream->count == max && lines_has_more(&stream->lines));
}

/* ---- results ---- */

static void item_write(struct stream *stream, const struct intake_item *item, const struct submit_result *result)
{
    struct jsonw json;

    buf_append_byte(&stream->text, ',');
    jsonw_init(&json, &stream->text);
    json.integers_as_strings = stream->call->integers_as_strings;
    api_render_item(stream->call, &json, item, result);
}

static void item_refused(struct stream *stream, const struct intake_item *item, const struct submit_result *result)
{
    stream->refused++;
    item_write(stream, item, result);
}

static void item_taken(struct stream *stream, const struct intake_item *item, const struct submit_result *result)
{
    stream->taken++;
    stream->token = token_later(stream->has_token ? &stream->token : NULL, &result->token);
    stream->has_token = true;
    stream->call->source = result->source;
    if (!is_brief(stream))
        item_write(stream, item, result);
    else if (!stream->only_errors)
        stream->omitted++;
}

static void item_not_taken(struct stream *stream, struct intake_item *item, bool is_uncertain)
{
    bool is_refused = item->error.code != ERROR_NONE && error_is_refusal(item->error.code);

    if (!stream->first_not_taken)
        stream->first_not_taken = item->place;
    if (is_refused) {
        item_refused(stream, item, NULL);
        return;
    }
    item->error = stream->is_failed ? stream->error : stream->failure;
    item->is_uncertain = is_uncertain;
    item_write(stream, item, NULL);
}

/* ---- attempts ---- */

static bool is_failure(const struct intake_item *item, const struct error *error)
{
    return !error_is_refusal(error->code) && item->is_read;
}

static void on_item(void *context, const struct intake_item *const_item, const struct submit_result *result)
{
    struct stream *stream = context;
    size_t at = (size_t)(const_item - stream->items);
    struct intake_item *item = &stream->items[at];
    const struct error *error = result ? &result->error : &item->error;

    if (is_failure(item, error)) {
        if (stream->pending == stream->to) {
            stream->pending = at;
            stream->failure = *error;
        }
        stream->is_uncertain = stream->is_uncertain || (result && result->is_uncertain);
        return;
    }
    if (stream->pending < stream->to && !result)
        return; /* with the pending ones */
    if (stream->pending < stream->to) {
        stream->is_mixed = true;
        for (; stream->pending < at; stream->pending++)
            item_not_taken(stream, &stream->items[stream->pending], stream->is_uncertain);
        stream->pending = stream->to;
    }
    if (error->code == ERROR_NONE)
        item_taken(stream, item, result);
    else
        item_refused(stream, item, result);
}

static bool may_retry(const struct stream *stream)
{
    const struct api_call *call = stream->call;
    bool is_passing = stream->failure.code == ERROR_UNAVAILABLE || stream->failure.code == ERROR_DEADLINE ||
                      stream->failure.code == ERROR_OVERLOADED || stream->failure.code == ERROR_REQUEST_IN_FLIGHT;

    /* Under a key, the claim tells whether an uncertain attempt was taken. */
    return is_passing && (!stream->is_uncertain || call->has_claim) && !stream->is_late && !stream->is_abandoned &&
           !http_is_over(call->http) && !api_is_draining(call->api);
}

void chunk_give_up(struct stream *stream)
{
    if (!stream->is_failed)
        stream_fail(stream, &stream->failure);
    for (size_t i = stream->pending; i < stream->to; i++)
        item_not_taken(stream, &stream->items[i], stream->is_uncertain);
    for (size_t i = stream->to; i < stream->count; i++)
        item_not_taken(stream, &stream->items[i], false);
    chunk_end(stream);
}

void chunk_failed(struct stream *stream, const struct error *error)
{
    stream->failure = *error;
    if (may_retry(stream)) {
        ev_timer_start(api_loop(stream->call->api), &stream->retry);
        return;
    }
    chunk_give_up(stream);
}

static void deadline_restart(struct stream *stream)
{
    struct ev_loop *loop = api_loop(stream->call->api);

    stream->is_late = false;
    ev_timer_stop(loop, &stream->deadline);
    ev_timer_set(&stream->deadline, api_settings_of(stream->call->api)->answer_timeout_ms / 1000.0, 0.0);
    ev_timer_start(loop, &stream->deadline);
}

/* error: nothing of the attempt was submitted. */
static void on_attempt(void *context, const struct error *error)
{
    struct stream *stream = context;

    if (error) {
        stream->pending = stream->from;
        chunk_failed(stream, error);
        return;
    }
    if (stream->intake.is_repeat) {
        claim_replay(stream);
        return;
    }
    if (stream->pending > stream->from)
        deadline_restart(stream);
    if (stream->pending < stream->to) {
        if (stream->failure.code == ERROR_DEADLINE && !stream->call->has_claim)
            stream->attempt_max =
                stream->to - stream->from > 2 * STREAM_LINES_MIN ? (stream->to - stream->from) / 2 : STREAM_LINES_MIN;
        struct error failure = stream->failure;
        chunk_failed(stream, &failure);
        return;
    }
    if (stream->is_mixed) {
        chunk_give_up(stream);
        return;
    }
    if (stream->to < stream->count) {
        chunk_attempt(stream, stream->to);
        return;
    }
    stream->attempt_max = 2 * stream->attempt_max < STREAM_LINES ? 2 * stream->attempt_max : STREAM_LINES;
    if (stream->call->has_claim && stream->intake.good_count > 0)
        claim_keep(stream);
    else
        chunk_end(stream);
}

void chunk_attempt(struct stream *stream, size_t from)
{
    struct api_call *call = stream->call;
    size_t left = stream->count - from;
    size_t count = call->has_claim || left < stream->attempt_max ? left : stream->attempt_max;

    stream->from = from;
    stream->to = stream->pending = from + count;
    stream->is_uncertain = false;
    arena_reset(&stream->attempt);
    for (size_t i = from; i < stream->to; i++)
        if (stream->items[i].is_read && !error_is_refusal(stream->items[i].error.code))
            stream->items[i].error.code = ERROR_NONE;
    stream->intake = (struct intake){.call = call,
                                     .arena = &stream->attempt,
                                     .items = stream->items + from,
                                     .count = count,
                                     .is_claimed_group = call->has_claim,
                                     .result = on_item,
                                     .done = on_attempt,
                                     .context = stream};
    intake_run(&stream->intake);
}

/* ---- its begin and end ---- */

void chunk_begin(struct stream *stream)
{
    stream->is_busy = true;
    stream->taken = stream->refused = stream->omitted = 0;
    stream->has_token = stream->is_kept = stream->is_mixed = false;
    deadline_restart(stream);
    if (stream->call->has_claim)
        claim_begin(stream);
    chunk_attempt(stream, 0);
}

/* Its text goes to the answer. */
static void text_move(struct stream *stream)
{
    struct slice text = buf_slice(&stream->text);
    struct error error;

    if (stream->text.is_overflown) {
        error_set(&error, ERROR_OVERLOADED, "out of memory");
        stream_fail(stream, &error);
    } else if (text.size > 0) {
        if (!stream->has_results)
            text = (struct slice){text.data + 1, text.size - 1};
        if (spool_add(&stream->results, text, &error))
            stream->has_results = true;
        else
            stream_fail(stream, &error);
    }
    buf_done(&stream->text);
    if (stream->is_begun && spool_flush(&stream->results, &error))
        http_reply_grown(stream->call->http, spool_size(&stream->results), false);
}

void chunk_end(struct stream *stream)
{
    stream->taken_sum += stream->taken;
    stream->taken_now += stream->is_kept ? 0 : stream->taken;
    stream->refused_sum += stream->refused;
    stream->omitted_sum += stream->omitted;
    if (stream->has_token)
        stream->token_sum = token_later(stream->has_token_sum ? &stream->token_sum : NULL, &stream->token);
    stream->has_token_sum = stream->has_token_sum || stream->has_token;
    text_move(stream);
    ev_timer_stop(api_loop(stream->call->api), &stream->deadline);
    arena_reset(&stream->arena);
    stream->count = 0;
    stream->chunk_number++;
    stream->is_busy = false;
    stream_run(stream);
}

void chunk_report(struct stream *stream, size_t from)
{
    struct slice line = {"", 0};
    struct intake_item item;
    struct error none;

    stream->refused = 0;
    for (size_t i = from; i < stream->count; i++)
        item_not_taken(stream, &stream->items[i], false);
    stream->count = 0;
    while (lines_next(&stream->lines, stream->is_ended, &line) != LINES_NONE) {
        memset(&item, 0, sizeof(item));
        item.place_name = "line";
        item.place = stream->lines.number;
        if (spool_has_room(&stream->results, stream->text.size, &none))
            item_not_taken(stream, &item, false);
        else if (!stream->first_not_taken)
            stream->first_not_taken = item.place;
    }
    stream->refused_sum += stream->refused;
    text_move(stream);
}
