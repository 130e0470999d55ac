/*
 * stream.h -- what changes in Redis, as it changes: a connection that listens to ladder.lua's channel of moves, and to
 * the channel of changed definitions.
 *
 * From the moment `is_current` becomes true, every change is heard, in order, until `lost` is called. A beat that the
 * loop publishes to itself comes back behind everything that was published before it, so a link that died, or a Redis
 * that hangs, is noticed within KV_STREAM_BEATS_MISSED beats: then, too, the stream is not current until a beat comes
 * back. One thread: its loop's.
 */
#ifndef KV_STREAM_H
#define KV_STREAM_H

#include "kv/kv.h"

struct kv_stream;

enum { KV_STREAM_BEATS_MISSED = 3 };

struct kv_stream_listener {
    void *context;
    void (*message)(void *context, struct slice payload);    /* see ladder.lua */
    void (*definition)(void *context, struct slice payload); /* see keys.h */
    void (*lost)(void *context);                             /* changes may be missed from here on */
    /* A version that Redis is known to have reached when a beat is sent; and when that beat is back, everything up to
     * it was heard, whether there were messages or not. */
    int64_t (*mark)(void *context);
    void (*reached)(void *context, int64_t mark);
};

/* kv: the loop's connection for commands, by which beats are sent; it outlives the stream. beat_ms: time between
 * two. */
struct kv_stream *kv_stream_new(struct ev_loop *loop, const struct kv_settings *settings, struct kv *kv, int beat_ms,
                                const struct kv_stream_listener *listener);
void kv_stream_free(struct kv_stream **stream);

bool kv_stream_is_current(const struct kv_stream *stream);
/* Takes in what has arrived and was not read yet. Calls the listener. */
void kv_stream_catch_up(struct kv_stream *stream);

#endif
