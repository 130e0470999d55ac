#include "work/beat.h"

#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "kv/keys.h"

enum { BEAT_US = 1000000, NAME_MAX_BYTES = 128 };

void beat_step(struct beat *beat, const struct settings *settings)
{
    char host[64] = "", name[NAME_MAX_BYTES], live[24];
    int64_t now_us = clock_monotonic_us();
    struct kvb_reply *reply;
    struct error ignored;

    if (beat->last_us && now_us - beat->last_us < BEAT_US)
        return;
    beat->last_us = now_us;
    if (beat->kv && kvb_is_broken(beat->kv))
        kvb_close(&beat->kv);
    if (!beat->kv)
        beat->kv = kvb_open(settings->redis_url, (int)settings->worker_answer_timeout_ms, &ignored);
    if (!beat->kv)
        return;
    gethostname(host, sizeof(host) - 1);
    snprintf(name, sizeof(name), "%s/%d", host, getpid());
    snprintf(live, sizeof(live), "%d", KV_WORKER_LIVE_MS);
    const struct slice set[] = {SLICE("SET"), SLICE(KV_WORKER), slice_of(name), SLICE("PX"), slice_of(live)};
    if (kvb_call(beat->kv, ARRAY_SIZE(set), set, &reply, &ignored))
        kvb_reply_free(&reply);
}

void beat_done(struct beat *beat)
{
    kvb_close(&beat->kv);
}
