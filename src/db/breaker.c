#include "db/breaker.h"

/* A server that did well for so long begins again with the first pause. */
enum { FORGIVEN_MS = 60000 };

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half-open"};

    return names[state];
}

bool breaker_allows(const struct breaker *breaker, int64_t now_us)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_OPEN:
        return now_us >= breaker->until_us;
    case BREAKER_HALF_OPEN:
        return !breaker->has_trial;
    }
    return false;
}

bool breaker_begin(struct breaker *breaker, int64_t now_us)
{
    if (breaker->state == BREAKER_OPEN && now_us >= breaker->until_us)
        breaker->state = BREAKER_HALF_OPEN;
    if (breaker->state != BREAKER_HALF_OPEN || breaker->has_trial)
        return false;
    breaker->has_trial = true;
    return true;
}

void breaker_succeeded(struct breaker *breaker, bool is_trial, int64_t now_us)
{
    breaker->failures = 0;
    if (!is_trial)
        return; /* an answer to a call from before it opened says nothing */
    breaker->state = BREAKER_CLOSED;
    breaker->has_trial = false;
    breaker->closed_us = now_us;
}

void breaker_trip(struct breaker *breaker, const struct breaker_limits *limits, double jitter, int64_t now_us)
{
    int64_t pause_ms = limits->pause_ms;

    if (breaker->state == BREAKER_CLOSED && now_us - breaker->closed_us > FORGIVEN_MS * 1000LL)
        breaker->openings = 0;
    for (int i = 0; i < breaker->openings && pause_ms < limits->pause_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > limits->pause_max_ms)
        pause_ms = limits->pause_max_ms;
    breaker->openings++;
    breaker->state = BREAKER_OPEN;
    breaker->has_trial = false;
    breaker->failures = 0;
    breaker->until_us = now_us + (int64_t)((double)pause_ms * 1000.0 * (0.8 + 0.4 * jitter));
}

bool breaker_failed(struct breaker *breaker, const struct breaker_limits *limits, bool is_trial, double jitter,
                    int64_t now_us)
{
    breaker->failures++;
    if (!is_trial && (breaker->state != BREAKER_CLOSED || breaker->failures < limits->failures))
        return false;
    breaker_trip(breaker, limits, jitter, now_us);
    return true;
}
