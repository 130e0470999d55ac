#include "api/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

enum { CHUNK_LINES = 512, CHUNK_ARENA_BYTES = 8 << 20 };

struct stream {
    struct api_call *call;
    struct buf input;   /* lines that were not taken yet */
    size_t taken;       /* of input */
    struct arena arena; /* of the chunk under way */
    struct intake intake;
    struct intake_item items[CHUNK_LINES];
    bool is_running;
    bool is_paused;
    bool is_ended;      /* no more comes */
    bool is_authorized; /* the key was looked at */
    bool is_authorizing;
    bool is_failed;
    struct error error;
    struct buf output;
    struct jsonw json;
    int fd;
    uint64_t spooled;
    struct token token;
    bool has_token;
    bool is_over;
};

struct token token_later(const struct token *before, const struct token *after)
{
    struct token token = *after;

    if (before) {
        token.lsn = before->lsn > after->lsn ? before->lsn : after->lsn;
        token.version = before->version > after->version ? before->version : after->version;
        token.is_applied = before->is_applied && after->is_applied;
        token.committed_us = before->committed_us > after->committed_us ? before->committed_us : after->committed_us;
        token.definition = before->definition > after->definition ? before->definition : after->definition;
    }
    return token;
}

void api_stream_line(struct intake *intake, size_t index, struct slice line)
{
    struct intake_item *item = &intake->items[index];
    struct json_document document;
    struct json_object object;

    memset(item, 0, sizeof(*item));
    if (!json_document_parse(&document, line, &item->error))
        return;
    if (json_root_object(&document, &object, &item->error))
        intake_read(intake, index, &object);
    json_document_free(&document);
}

static void stream_fail(struct stream *stream, const struct error *error)
{
    if (!stream->is_failed)
        stream->error = *error;
    stream->is_failed = true;
}

/* Moves what is rendered to the file. A write to the page cache: it does not wait for a disk. */
static void stream_spool(struct stream *stream)
{
    size_t at = 0;

    while (!stream->is_failed && at < stream->output.size) {
        ssize_t written = write(stream->fd, stream->output.data + at, stream->output.size - at);
        if (written > 0) {
            at += (size_t)written;
        } else if (errno != EINTR) {
            struct error error;
            error_set(&error, ERROR_UNAVAILABLE,
                      "the results could not be kept: what was sent so far may have been taken");
            log_error("spool-failed", LOG_TEXT("because", strerror(errno)));
            stream_fail(stream, &error);
        }
    }
    stream->spooled += at;
    stream->output.size = 0;
}

static void stream_finish(struct stream *stream)
{
    struct api_call *call = stream->call;
    char token[TOKEN_TEXT_MAX];

    if (stream->is_over)
        return;
    stream->is_over = true;
    if (!stream->is_failed) {
        jsonw_array_close(&stream->json);
        if (stream->has_token) {
            api_token_text(call, &stream->token, token);
            jsonw_key(&stream->json, "token");
            jsonw_text(&stream->json, token);
            api_token_headers(call, token);
        }
        jsonw_object_close(&stream->json);
        stream_spool(stream);
    }
    if (stream->is_failed) {
        api_fail(call, &stream->error);
        close(stream->fd);
    } else {
        api_timing_header(call);
        http_reply_header(call->http, "Cache-Control", "private, no-store");
        http_reply_file(call->http, 200, "application/json", stream->fd, stream->spooled);
    }
    buf_done(&stream->input);
    buf_done(&stream->output);
    arena_done(&stream->arena);
    free(stream);
    call->state = NULL;
    http_release(call->http);
}

static void stream_run(struct stream *stream);

static void on_item(void *context, const struct intake_item *item, const struct submit_result *result)
{
    struct stream *stream = context;

    if (result && result->error.code == ERROR_NONE) {
        stream->token = token_later(stream->has_token ? &stream->token : NULL, &result->token);
        stream->has_token = true;
    }
    api_render_item(stream->call, &stream->json, item, result);
}

static void on_chunk(void *context, const struct error *error)
{
    struct stream *stream = context;

    if (error)
        stream_fail(stream, error);
    stream_spool(stream);
    arena_reset(&stream->arena);
    stream->is_running = false;
    stream_run(stream);
}

/* Takes whole lines out of the input, up to a chunk. */
static size_t stream_take(struct stream *stream)
{
    size_t count = 0;

    while (count < CHUNK_LINES && stream->taken < stream->input.size) {
        const char *start = stream->input.data + stream->taken;
        size_t left = stream->input.size - stream->taken;
        const char *end = memchr(start, '\n', left);
        if (!end && !stream->is_ended)
            break;
        struct slice line = {start, end ? (size_t)(end - start) : left};
        stream->taken += line.size + (end != NULL);
        if (line.size && line.data[line.size - 1] == '\r')
            line.size--;
        if (line.size)
            api_stream_line(&stream->intake, count++, line);
    }
    memmove(stream->input.data, stream->input.data + stream->taken, stream->input.size - stream->taken);
    stream->input.size -= stream->taken;
    stream->taken = 0;
    return count;
}

static void stream_run(struct stream *stream)
{
    if (stream->is_running || !stream->is_authorized)
        return;
    if (!stream->is_failed && stream->input.size) {
        stream->intake = (struct intake){.call = stream->call,
                                         .arena = &stream->arena,
                                         .items = stream->items,
                                         .result = on_item,
                                         .done = on_chunk,
                                         .context = stream,
                                         .connection = stream->intake.connection};
        stream->intake.count = stream_take(stream);
        if (stream->intake.count) {
            stream->is_running = true;
            if (stream->is_paused) {
                stream->is_paused = false;
                http_stream_resume(stream->call->http);
            }
            intake_run(&stream->intake);
            return;
        }
    }
    if (stream->is_paused) {
        stream->is_paused = false;
        http_stream_resume(stream->call->http);
    }
    if (stream->is_ended)
        stream_finish(stream);
}

static void on_key(void *context, const struct api_key *key, const struct error *error)
{
    struct stream *stream = context;
    struct api_call *call = stream->call;
    struct error refusal;

    if (error) {
        stream_fail(stream, error);
    } else if (key->game_id == 0) {
        error_set(&refusal, ERROR_UNAUTHORIZED, "the API key is unknown or revoked");
        stream_fail(stream, &refusal);
    } else if (!slice_is(call->game, key->game) || key->scope < SCOPE_WRITE) {
        error_set(&refusal, ERROR_FORBIDDEN, "this needs a key of scope write, of this game");
        stream_fail(stream, &refusal);
    } else {
        call->key = *key;
    }
    stream->is_authorized = true;
    stream->is_authorizing = false;
    stream_run(stream);
}

static struct stream *stream_new(struct api_call *call)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    const struct api_settings *settings = api_settings_of(call->api);
    struct slice key = api_bearer(call);
    struct error error;

    ASSERT(stream != NULL);
    stream->call = call;
    buf_init(&stream->input, (size_t)settings->line_bytes_max * 2);
    buf_init(&stream->output, API_ANSWER_BYTES_MAX);
    arena_init(&stream->arena, CHUNK_ARENA_BYTES);
    jsonw_init(&stream->json, &stream->output);
    stream->json.integers_as_strings = call->integers_as_strings;
    jsonw_object_open(&stream->json);
    jsonw_key(&stream->json, "results");
    jsonw_array_open(&stream->json);
    stream->intake.connection = submit_connection(call->store, COMMIT_DEFAULT);
    stream->fd = open(settings->spool_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    call->state = stream;
    http_hold(call->http);
    if (stream->fd < 0) {
        error_set(&error, ERROR_UNAVAILABLE, "the results can't be kept");
        log_error("spool-failed", LOG_TEXT("because", strerror(errno)),
                  LOG_TEXT("directory", settings->spool_directory));
        stream_fail(stream, &error);
    }
    stream->is_authorizing = true;
    store_key_find(call->store, key.data ? key : SLICE(""), call->has_token ? &call->token : NULL, on_key, stream);
    return stream;
}

bool api_stream_data(struct api_call *call, struct slice bytes)
{
    struct stream *stream = call->state ? call->state : stream_new(call);

    if (stream->is_failed)
        return true; /* the rest is read and dropped; the answer says why */
    size_t limit = (size_t)api_settings_of(call->api)->line_bytes_max;
    if (stream->input.size >= limit) {
        if (stream->is_running || !stream->is_authorized) {
            stream->is_paused = true;
            http_stream_pause(call->http);
            return false;
        }
        struct error error;
        error_set(&error, ERROR_BODY_TOO_LARGE, "a line is longer than the limit of %zu bytes", limit);
        stream_fail(stream, &error);
        return true;
    }
    buf_append_slice(&stream->input, bytes);
    stream_run(stream);
    return true;
}

void api_stream_end(struct api_call *call)
{
    struct stream *stream = call->state;

    stream->is_ended = true;
    stream_run(stream);
}

void api_stream_abandon(struct api_call *call)
{
    struct stream *stream = call->state;
    struct error error;

    if (!stream)
        return;
    /* Nobody will read an answer: what is under way ends, what was not begun does not begin. */
    error_set(&error, ERROR_BAD_REQUEST, "the body was cut off");
    stream_fail(stream, &error);
    api_stream_end(call);
}
