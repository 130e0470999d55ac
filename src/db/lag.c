#include "db/lag.h"

#include <string.h>

void lag_forget(struct lag *lag)
{
    *lag = (struct lag){.count = 0};
}

void lag_note(struct lag *lag, int64_t lsn, int64_t now_us)
{
    if (lag->count && lsn <= lag->samples[lag->count - 1].lsn)
        return;
    if (lag->count == LAG_SAMPLES) {
        double least = 2.0;
        int at = 1;
        for (int i = 1; i + 1 < lag->count; i++) {
            double share = (double)(lag->samples[i + 1].at_us - lag->samples[i - 1].at_us) /
                           (double)(now_us - lag->samples[i - 1].at_us + 1);
            if (share < least) {
                least = share;
                at = i;
            }
        }
        memmove(&lag->samples[at], &lag->samples[at + 1], sizeof(lag->samples[0]) * (size_t)(--lag->count - at));
    }
    lag->samples[lag->count].lsn = lsn;
    lag->samples[lag->count++].at_us = now_us;
}

int64_t lag_bytes(const struct lag *lag, int64_t replayed)
{
    int64_t newest = lag->count ? lag->samples[lag->count - 1].lsn : 0;

    return newest > replayed ? newest - replayed : 0;
}

int64_t lag_us(const struct lag *lag, int64_t replayed, int64_t now_us)
{
    for (int i = 0; i < lag->count; i++)
        if (lag->samples[i].lsn > replayed)
            return now_us - lag->samples[i].at_us;
    return 0;
}
