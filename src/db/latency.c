#include "db/latency.h"

#include <math.h>

double latency_at(const struct latency *latency, int64_t now_us)
{
    int64_t passed_us = now_us > latency->at_us ? now_us - latency->at_us : 0;

    return latency->average_us * exp(-(double)passed_us / LATENCY_DECAY_US);
}

void latency_note(struct latency *latency, int64_t took_us, int64_t now_us)
{
    int64_t passed_us = now_us > latency->at_us ? now_us - latency->at_us : 0;
    double kept = exp(-(double)passed_us / LATENCY_DECAY_US), took = (double)took_us;

    if (took > latency->average_us)
        latency->average_us = took;
    else
        latency->average_us = latency->average_us * kept + took * (1.0 - kept);
    latency->at_us = now_us;
}

double latency_cost(const struct latency *latency, int in_flight, int64_t oldest_us, int64_t now_us)
{
    double usual = latency_at(latency, now_us);

    if (usual < (double)oldest_us)
        usual = (double)oldest_us;
    return (usual + 1.0) * (in_flight + 1);
}
