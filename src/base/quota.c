#include "base/quota.h"

#include <stddef.h>

enum { PERCENT = 100 };

void quota_init(struct quota *quota, int64_t max)
{
    atomic_init(&quota->used, 0);
    atomic_init(&quota->peak, 0);
    quota->max = max;
}

static void peak_note(struct quota *quota, int64_t used)
{
    int64_t peak = atomic_load_explicit(&quota->peak, memory_order_relaxed);

    while (used > peak && !atomic_compare_exchange_weak(&quota->peak, &peak, used))
        ;
}

void quota_take(struct quota *quota, int64_t *held, int64_t wanted)
{
    if (!quota || wanted == *held)
        return;
    peak_note(quota, atomic_fetch_add(&quota->used, wanted - *held) + wanted - *held);
    *held = wanted;
}

bool quota_hold(struct quota *quota, int64_t *held, int64_t wanted, int percent)
{
    if (!quota || wanted <= *held) {
        quota_take(quota, held, wanted);
        return true;
    }
    int64_t more = wanted - *held, max = quota->max / PERCENT * percent;
    int64_t used = atomic_load_explicit(&quota->used, memory_order_relaxed);
    do {
        if (used + more > max)
            return false;
    } while (!atomic_compare_exchange_weak(&quota->used, &used, used + more));
    peak_note(quota, used + more);
    *held = wanted;
    return true;
}

int64_t quota_used(const struct quota *quota)
{
    return atomic_load_explicit(&quota->used, memory_order_relaxed);
}

bool quota_has_fallen(struct quota *quota, int64_t by)
{
    int64_t peak = atomic_load(&quota->peak), used = quota_used(quota);

    return peak - used >= by && atomic_compare_exchange_strong(&quota->peak, &peak, used);
}
