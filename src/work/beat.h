/*
 * beat.h -- the worker's sign of life in Redis, which every serve reads (store/worker_word.h).
 *
 * `ladder:worker` says which process follows the changes. It is written with a life of KV_WORKER_LIVE_MS, so that what
 * is left of that says how old it is, by Redis's own clock. One thread.
 */
#ifndef WORK_BEAT_H
#define WORK_BEAT_H

#include "conf/settings.h"
#include "kv/blocking.h"

struct beat {
    struct kvb *kv; /* NULL: not connected */
    int64_t last_us;
};

/* After each step that succeeded: writes it, if the last one is a second old. Whether Redis took it is not said: without
 * Redis nobody can read it either. */
void beat_step(struct beat *beat, const struct settings *settings);
void beat_done(struct beat *beat);

#endif
