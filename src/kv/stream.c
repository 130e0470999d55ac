/*
 * stream.c -- see stream.h.
 *
 *   DOWN --dial--> CONNECTING --auth, SUBSCRIBE--> LISTENING (all channels confirmed) --first beat--> current
 *    ^                                                |
 *    +------------------- any failure: lost() --------+
 *
 * PING can't be the beat: hiredis 0.14 keeps the callback of each command that a subscribed connection sends until the
 * connection ends. So the beat is a message: published by the loop's other connection, on a channel that only this
 * stream listens to.
 */
#include "kv/stream.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <hiredis/adapters/libev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/magic.h"
#include "base/text.h"
#include "kv/keys.h"
#include "kv/url.h"

enum { STREAM_MAGIC = 0x6b767374 };
enum { CHANNELS = 3, RETRY_MS = 50, TICK_MS = 20, CONNECT_TIMEOUT_MS = 1000, CHANNEL_MAX = 64 };

struct kv_stream {
    unsigned magic;
    struct ev_loop *loop;
    struct kv *kv;
    struct kv_url url;
    unsigned place; /* of kv's, where it listens: what is published at another server is not heard */
    struct kv_stream_listener listener;
    redisAsyncContext *context; /* hiredis's; NULL while down */
    char beat_channel[CHANNEL_MAX];
    int64_t beat_us;
    int64_t next_beat_us;
    ev_timer tick;
    int confirmed; /* channels */
    int64_t connect_deadline_us;
    int64_t retry_at_us;
    int64_t current_until_us; /* monotonic */
    int beats_in_flight;
    bool is_closing;
};

static bool is_listening(const struct kv_stream *stream)
{
    return stream->context && stream->confirmed == CHANNELS;
}

static void stream_lost(struct kv_stream *stream, const char *because)
{
    bool was_listening = stream->confirmed == CHANNELS;

    stream->context = NULL;
    stream->confirmed = 0;
    stream->current_until_us = 0;
    stream->next_beat_us = 0; /* the first one at once */
    stream->retry_at_us = clock_monotonic_us() + RETRY_MS * 1000;
    if (stream->is_closing)
        return;
    if (was_listening)
        log_warn("changes-lost", LOG_TEXT("because", because));
    stream->listener.lost(stream->listener.context);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct kv_stream *stream = context->data;

    if (!stream)
        return; /* abandoned */
    ASSERT_MAGIC(stream, STREAM_MAGIC);
    if (stream->context == context)
        stream_lost(stream, status == REDIS_OK ? "disconnected" : context->errstr);
}

static void stream_abandon(struct kv_stream *stream, const char *because)
{
    redisAsyncContext *context = stream->context;

    if (!context)
        return;
    stream_lost(stream, because);
    context->data = NULL;
    redisAsyncFree(context);
}

/* ---- messages ---- */

static void on_beat(struct kv_stream *stream, struct slice payload)
{
    const char *space = memchr(payload.data, ' ', payload.size);
    size_t size = space ? (size_t)(space - payload.data) : 0;
    int64_t sent_us, mark;

    if (!space || !text_parse_int64((struct slice){payload.data, size}, &sent_us) ||
        !text_parse_int64((struct slice){space + 1, payload.size - size - 1}, &mark))
        return;
    stream->current_until_us = sent_us + KV_STREAM_BEATS_MISSED * stream->beat_us;
    stream->listener.reached(stream->listener.context, mark);
}

/* [kind, channel, payload]: kind is subscribe or message. */
static void on_message(redisAsyncContext *context, void *data, void *unused)
{
    struct kv_stream *stream = context->data;
    const struct redisReply *reply = data;

    (void)unused;
    if (!stream || !reply || kv_reply_count(reply) != 3)
        return;
    ASSERT_MAGIC(stream, STREAM_MAGIC);
    if (kv_reply_is_text(kv_reply_item(reply, 0), "subscribe"))
        stream->confirmed++;
    else if (kv_reply_is_text(kv_reply_item(reply, 1), KV_MOVES))
        stream->listener.message(stream->listener.context, kv_reply_text(kv_reply_item(reply, 2)));
    else if (kv_reply_is_text(kv_reply_item(reply, 1), KV_DEFINITIONS))
        stream->listener.definition(stream->listener.context, kv_reply_text(kv_reply_item(reply, 2)));
    else
        on_beat(stream, kv_reply_text(kv_reply_item(reply, 2)));
}

static void stream_free(struct kv_stream *stream)
{
    stream->magic = 0;
    free(stream);
}

static void on_published(void *data, const struct redisReply *reply)
{
    struct kv_stream *stream = data;

    (void)reply;
    ASSERT_MAGIC(stream, STREAM_MAGIC);
    stream->beats_in_flight--;
    if (stream->is_closing && stream->beats_in_flight == 0)
        stream_free(stream);
}

static void beat_send(struct kv_stream *stream)
{
    char sent[48];

    if (stream->beats_in_flight > 0)
        return;
    snprintf(sent, sizeof(sent), "%lld %lld", (long long)clock_monotonic_us(),
             (long long)stream->listener.mark(stream->listener.context));
    const struct slice publish[] = {SLICE("PUBLISH"), slice_of(stream->beat_channel), slice_of(sent)};
    if (kv_call(stream->kv, ARRAY_SIZE(publish), publish, on_published, stream)) {
        stream->beats_in_flight++;
        stream->next_beat_us = clock_monotonic_us() + stream->beat_us;
    }
}

/* ---- life ---- */

static void on_connect(const redisAsyncContext *context, int status)
{
    struct kv_stream *stream = context->data;

    if (!stream)
        return;
    ASSERT_MAGIC(stream, STREAM_MAGIC);
    if (status != REDIS_OK) {
        stream_lost(stream, context->errstr); /* hiredis frees the context */
        return;
    }
    const char *auth[] = {"AUTH", stream->url.password};
    if (stream->url.password[0])
        redisAsyncCommandArgv(stream->context, NULL, NULL, 2, auth, NULL);
    const char *subscribe[] = {"SUBSCRIBE", KV_MOVES, KV_DEFINITIONS, stream->beat_channel};
    redisAsyncCommandArgv(stream->context, on_message, NULL, 1 + CHANNELS, subscribe, NULL);
}

static bool is_at_place(const struct kv_stream *stream)
{
    const char *host;
    int port;

    return kv_place(stream->kv, &host, &port) == stream->place;
}

static void stream_dial(struct kv_stream *stream)
{
    const char *host;
    int port;

    stream->place = kv_place(stream->kv, &host, &port);
    stream->retry_at_us = clock_monotonic_us() + RETRY_MS * 1000;
    if (!stream->url.path[0] && !port)
        return;
    redisAsyncContext *context =
        stream->url.path[0] ? redisAsyncConnectUnix(stream->url.path) : redisAsyncConnect(host, port);

    if (!context || context->err) {
        if (context)
            redisAsyncFree(context);
        return;
    }
    stream->context = context;
    context->data = stream;
    stream->connect_deadline_us = clock_monotonic_us() + CONNECT_TIMEOUT_MS * 1000;
    redisLibevAttach(stream->loop, context);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct kv_stream *stream = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    ASSERT_MAGIC(stream, STREAM_MAGIC);
    if (stream->context && !is_at_place(stream)) {
        stream_abandon(stream, "another server is the primary");
    } else if (is_listening(stream)) {
        if (now_us >= stream->next_beat_us)
            beat_send(stream);
    } else if (stream->context && now_us > stream->connect_deadline_us) {
        stream_abandon(stream, "the connection was not made in time");
    } else if (!stream->context && now_us >= stream->retry_at_us) {
        stream_dial(stream);
    }
}

struct kv_stream *kv_stream_new(struct ev_loop *loop, const struct kv_settings *settings, struct kv *kv, int beat_ms,
                                const struct kv_stream_listener *listener)
{
    struct kv_stream *stream = calloc(1, sizeof(*stream));
    struct error error;
    uint8_t random[8];

    ASSERT(stream != NULL);
    stream->magic = STREAM_MAGIC;
    stream->loop = loop;
    stream->kv = kv;
    stream->listener = *listener;
    stream->beat_us = beat_ms * 1000LL;
    ASSERT(kv_url_parse(settings->url, &stream->url, &error)); /* checked with the settings */
    crypto_random(random, sizeof(random));
    int size = snprintf(stream->beat_channel, sizeof(stream->beat_channel), "ladder:beat:");
    for (size_t i = 0; i < sizeof(random); i++)
        size += snprintf(stream->beat_channel + size, sizeof(stream->beat_channel) - (size_t)size, "%02x", random[i]);
    ev_timer_init(&stream->tick, on_tick, 0.0, (beat_ms < TICK_MS ? beat_ms : TICK_MS) / 1000.0);
    stream->tick.data = stream;
    ev_timer_start(loop, &stream->tick);
    return stream;
}

void kv_stream_free(struct kv_stream **pstream)
{
    struct kv_stream *stream = *pstream;

    if (!stream)
        return;
    *pstream = NULL;
    stream->is_closing = true;
    stream_abandon(stream, "shutting down");
    ev_timer_stop(stream->loop, &stream->tick);
    if (stream->beats_in_flight == 0)
        stream_free(stream); /* else the answer to the last beat does it */
}

bool kv_stream_is_current(const struct kv_stream *stream)
{
    return is_listening(stream) && is_at_place(stream) && clock_monotonic_us() < stream->current_until_us;
}

void kv_stream_catch_up(struct kv_stream *stream)
{
    if (is_listening(stream))
        redisAsyncHandleRead(stream->context);
}
