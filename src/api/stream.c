/*
 * stream.c -- see stream.h: the life of a stream.
 *
 *   opening --key good--> open: fill, chunk, fill, chunk, … --body ended, all taken--> finish
 *      |                    |
 *      +-- refused          +-- failed: the lines that still come are only reported --body ended--> finish
 *
 * Whatever happens calls stream_run, which alone moves the stream on, and frees it.
 */
#include "api/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/checks.h"
#include "api/stream_private.h"
#include "base/assert.h"

void stream_fail(struct stream *stream, const struct error *error)
{
    struct error refusal = *error;

    if (stream->is_failed)
        return;
    stream->is_failed = true;
    stream->error = *error;
    if (stream->taken_sum > 0)
        error_set(&refusal, error->code, "%.180s; %lld lines were taken", error->message, (long long)stream->taken_sum);
    if (!stream->is_ended && !stream->is_abandoned)
        http_stream_hurry(stream->call->http, &refusal);
}

/* ---- the answer ---- */

/* The members behind the results. */
static void closing_write(struct stream *stream, struct buf *out, char token[static TOKEN_TEXT_MAX])
{
    token[0] = 0;
    buf_printf(out, "],\"taken\":%lld,\"refused\":%lld", (long long)stream->taken_sum, (long long)stream->refused_sum);
    if (stream->omitted_sum > 0)
        buf_printf(out, ",\"omitted\":%lld", (long long)stream->omitted_sum);
    if (stream->is_failed) {
        char text[4096];
        struct buf problem;
        struct jsonw json;
        buf_init_within(&problem, text, sizeof(text));
        jsonw_init(&json, &problem);
        http_problem(&json, &stream->error);
        buf_append_text(out, ",\"complete\":false");
        if (stream->first_not_taken)
            buf_printf(out, ",\"first_not_taken\":%lld", (long long)stream->first_not_taken);
        buf_append_text(out, ",\"problem\":");
        buf_append_slice(out, buf_slice(&problem));
    }
    if (stream->has_token_sum) {
        api_token_text(stream->call, &stream->token_sum, token);
        buf_printf(out, ",\"token\":\"%s\"", token);
    }
    buf_append_text(out, "}");
}

static void answer_headers(struct stream *stream)
{
    struct api_call *call = stream->call;

    api_timing_header(call);
    http_reply_header(call->http, "Cache-Control", "private, no-store");
    if (stream->is_replayed)
        http_reply_header(call->http, "Idempotency-Replayed", "true");
}

/* The body is whole and the first results are there: they are sent, and the others as they come. */
static void answer_begin(struct stream *stream)
{
    struct error error;
    struct spool_hold *hold;
    int fd = spool_file(&stream->results, &hold, &error);

    if (fd < 0) {
        stream_fail(stream, &error);
        return;
    }
    stream->is_begun = true;
    answer_headers(stream);
    http_reply_file(stream->call->http, 200, "application/json", fd, spool_size(&stream->results), false, spool_closed,
                    hold);
}

static void answer_whole(struct stream *stream, const char *token)
{
    struct api_call *call = stream->call;
    struct spool *results = &stream->results;
    struct error error;

    answer_headers(stream);
    if (token[0])
        api_token_headers(call, token);
    if (results->fd < 0) {
        http_reply(call->http, 200, "application/json", &results->text);
        return;
    }
    struct spool_hold *hold;
    int fd = spool_file(results, &hold, &error);
    if (fd < 0)
        api_fail(call, &error);
    else
        http_reply_file(call->http, 200, "application/json", fd, spool_size(results), true, spool_closed, hold);
}

static void stream_finish(struct stream *stream)
{
    char token[TOKEN_TEXT_MAX];
    char text[8192]; /* so that an answer that has begun is closed without memory */
    struct error error;
    struct buf closing;

    stream->is_over = true;
    if (stream->is_failed && !stream->is_begun && stream->taken_now == 0 && !stream->is_uncertain) {
        api_fail(stream->call, &stream->error);
        return;
    }
    if (stream->is_failed)
        http_unavailable(stream->call->http, &stream->error);
    buf_init_within(&closing, text, sizeof(text));
    closing_write(stream, &closing, token);
    if (stream->is_begun || stream->results.fd >= 0)
        buf_append_byte(&closing, '\n');
    bool is_closed = spool_add(&stream->results, buf_slice(&closing), &error);
    if (stream->is_begun && is_closed && !spool_flush(&stream->results, &error))
        is_closed = false;
    if (stream->is_begun)
        http_reply_grown(stream->call->http, stream->results.filed, true);
    else if (is_closed)
        answer_whole(stream, token);
    else
        api_fail(stream->call, &error);
}

/* ---- moving on ---- */

static void stream_free(struct stream *stream)
{
    struct api_call *call = stream->call;
    struct ev_loop *loop = api_loop(call->api);

    ev_timer_stop(loop, &stream->deadline);
    ev_timer_stop(loop, &stream->retry);
    lines_done(&stream->lines);
    spool_done(&stream->results);
    buf_done(&stream->text);
    arena_done(&stream->arena);
    arena_done(&stream->attempt);
    free(stream);
    call->state = NULL;
    http_charge(call->http, 0);
    http_release(call->http);
}

/* Whether there is room for the results of another chunk. */
static bool has_room(struct stream *stream)
{
    struct error error;

    if (spool_has_room(&stream->results, 0, &error))
        return true;
    stream_fail(stream, &error);
    return false;
}

/* The body is whole, and what the answer is to say is settled so far that a status can be sent. */
static bool can_begin(const struct stream *stream)
{
    bool is_sure = stream->call->has_claim ? stream->taken_now > 0 : stream->chunk_number > 0;

    return stream->is_ended && is_sure && !stream->is_begun && !stream->is_failed;
}

/* false: there is nothing to do until something comes. */
static bool stream_step(struct stream *stream)
{
    if (stream->is_abandoned) {
        stream->is_over = true;
        return false;
    }
    if (!stream->is_failed && chunk_fill(stream)) {
        if (!has_room(stream))
            return true;
        chunk_begin(stream);
        if (stream->is_busy && can_begin(stream))
            answer_begin(stream);
        return true;
    }
    if (stream->is_failed)
        chunk_report(stream, 0);
    if (stream->is_ended)
        stream_finish(stream);
    return false;
}

/* false: all requests together have too much. */
static bool memory_count(const struct stream *stream)
{
    const struct spool *results = &stream->results;
    size_t bytes = sizeof(*stream) + lines_memory(&stream->lines) + results->text.capacity + stream->text.capacity +
                   stream->arena.used_bytes + stream->attempt.used_bytes;

    return http_charge(stream->call->http, (int64_t)bytes);
}

void stream_run(struct stream *stream)
{
    if (stream->is_in_run || !stream->is_open)
        return;
    stream->is_in_run = true;
    while (!stream->is_busy && !stream->is_over && stream_step(stream))
        ;
    stream->is_in_run = false;
    if (!stream->is_over)
        memory_count(stream);
    if (stream->is_over) {
        stream_free(stream);
    } else if (stream->is_paused && (!stream->is_busy || lines_waiting(&stream->lines) < STREAM_INPUT_BYTES)) {
        stream->is_paused = false;
        http_stream_resume(stream->call->http);
    }
}

/* ---- life ---- */

/* Before the first byte of the body: the connection closes behind the answer. */
static void stream_refuse(struct stream *stream, const struct error *error)
{
    api_fail(stream->call, error);
    stream_free(stream);
}

static void on_key(void *context, const struct api_key *key, const struct error *error)
{
    struct stream *stream = context;
    struct api_call *call = stream->call;
    struct error refusal = {.code = ERROR_NONE};

    stream->is_open = true;
    if (stream->is_abandoned) {
        stream_free(stream);
        return;
    }
    if (error) {
        refusal = *error;
    } else if (key_check(call, key, SCOPE_WRITE, &refusal)) {
        call->key = *key;
        claim_open(stream, &refusal);
    }
    if (refusal.code != ERROR_NONE) {
        stream_refuse(stream, &refusal);
        return;
    }
    http_stream_resume(call->http);
}

static void on_late(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct stream *stream = watcher->data;
    struct error error;

    (void)events;
    stream->is_late = true;
    if (ev_is_active(&stream->retry)) {
        ev_timer_stop(loop, &stream->retry);
        chunk_give_up(stream);
    } else if (submit_withdraw(stream->call->store, &stream->intake)) {
        stream->pending = stream->from + stream->intake.told;
        error_set(&error, ERROR_OVERLOADED, "the lines waited longer than server.answer_timeout_ms for the database");
        chunk_failed(stream, &error);
    } /* else it is on its way: its outcome comes, within the database's own limits */
}

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct stream *stream = watcher->data;

    (void)loop;
    (void)events;
    chunk_attempt(stream, stream->pending);
}

void api_stream_begin(struct api_call *call)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    const struct api_settings *settings = api_settings_of(call->api);
    struct slice key = api_bearer(call);
    struct error error;

    ASSERT(stream != NULL);
    stream->call = call;
    stream->only_errors = slice_is(api_text(call, "results"), "errors");
    stream->all_bytes_max = slice_is(api_text(call, "results"), "all") ? INT64_MAX : settings->results_bytes;
    stream->attempt_max = STREAM_LINES;
    lines_init(&stream->lines, (size_t)settings->line_bytes_max);
    spool_init(&stream->results, settings->spool_directory, settings->spool_bytes_max, settings->spool);
    bool is_open = spool_add(&stream->results, SLICE("{\"results\":["), &error);
    buf_init(&stream->text, STREAM_ARENA_BYTES);
    arena_init(&stream->arena, STREAM_ARENA_BYTES);
    arena_init(&stream->attempt, STREAM_ARENA_BYTES);
    ev_timer_init(&stream->deadline, on_late, settings->answer_timeout_ms / 1000.0, 0.0);
    ev_timer_init(&stream->retry, on_retry, STREAM_RETRY_MS / 1000.0, 0.0);
    stream->deadline.data = stream->retry.data = stream;
    call->state = stream;
    http_hold(call->http);
    http_stream_pause(call->http);
    if (is_open && !key.size)
        is_open = error_set(&error, ERROR_UNAUTHORIZED, "send an API key as `Authorization: Bearer …`");
    if (!is_open) {
        stream_refuse(stream, &error);
        return;
    }
    store_key_find(call->store, key, call->has_token ? &call->token : NULL, on_key, stream);
}

bool api_stream_data(struct api_call *call, struct slice bytes)
{
    struct stream *stream = call->state;
    struct error error;

    if (stream->is_busy && lines_waiting(&stream->lines) >= STREAM_INPUT_BYTES) {
        stream->is_paused = true;
        http_stream_pause(call->http);
        return false;
    }
    if (!lines_add(&stream->lines, bytes)) {
        error_set(&error, ERROR_OVERLOADED, "out of memory");
        stream_fail(stream, &error);
    }
    if (!memory_count(stream)) {
        error_set(&error, ERROR_MEMORY_FULL, "all requests together have reached server.memory_bytes");
        stream_fail(stream, &error);
    }
    stream_run(stream);
    return true;
}

void api_stream_broken(struct api_call *call, const struct error *error)
{
    struct stream *stream = call->state;

    stream_fail(stream, error);
    stream_run(stream);
}

void api_stream_end(struct api_call *call)
{
    struct stream *stream = call->state;

    stream->is_ended = true;
    if (stream->is_busy && can_begin(stream))
        answer_begin(stream);
    stream_run(stream);
}

void api_stream_abandon(struct api_call *call)
{
    struct stream *stream = call->state;

    if (!stream)
        return;
    stream->is_abandoned = true;
    stream_run(stream);
}
