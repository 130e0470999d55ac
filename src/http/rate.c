#include "http/rate.h"

bool rate_is_kept(struct rate *rate, int64_t total, int64_t now_us, int64_t window_us, int64_t bytes_min)
{
    int64_t slot = rate->since_us ? (now_us - rate->since_us) / (window_us / RATE_SLOTS) : 0;

    if (!rate->since_us) {
        *rate = (struct rate){.since_us = now_us};
        rate->totals[0] = total;
        return true;
    }
    if (slot > rate->slot + RATE_SLOTS) /* the process stood still: that is not the other side's doing */
        rate_stop(rate);
    while (rate->since_us && rate->slot < slot) {
        int64_t *noted = &rate->totals[++rate->slot % RATE_SLOTS];
        if (rate->slot >= RATE_SLOTS && total - *noted < bytes_min)
            return false;
        *noted = total;
    }
    return true;
}

void rate_stop(struct rate *rate)
{
    rate->since_us = 0;
}
