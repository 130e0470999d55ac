#include "db/outlier.h"

#include <stdbool.h>

#include "base/assert.h"

void outlier_note(struct outlier_window *window, int64_t took_us)
{
    window->open.count++;
    window->open.took_us += took_us;
}

struct outlier_sum outlier_look(struct outlier_window *window, int64_t now_us)
{
    if (window->open.count >= OUTLIER_ANSWERS_MIN)
        *window = (struct outlier_window){.closed = window->open, .closed_us = now_us};
    else if (now_us - window->closed_us > OUTLIER_AGE_MAX_US)
        window->closed = (struct outlier_sum){0};
    return window->closed;
}

static int64_t mean_us(const struct outlier_sum *sum)
{
    return sum->count >= OUTLIER_ANSWERS_MIN ? sum->took_us / sum->count : -1;
}

/* Of the means of all but one; of two in the middle, the smaller. -1: none of them says anything. */
static int64_t median_of_others(const struct outlier_sum *servers, int count, int but)
{
    int64_t means[OUTLIER_SERVERS_MAX];
    int found = 0;

    for (int i = 0; i < count; i++) {
        int64_t mean = i == but ? -1 : mean_us(&servers[i]);
        if (mean < 0)
            continue;
        int at = found++;
        for (; at > 0 && means[at - 1] > mean; at--)
            means[at] = means[at - 1];
        means[at] = mean;
    }
    return found ? means[(found - 1) / 2] : -1;
}

int outlier_find(const struct outlier_sum *servers, int count, int factor, int64_t floor_us, int64_t *ret_limit_us)
{
    int worst = -1;
    int64_t worst_us = 0;

    ASSERT(count <= OUTLIER_SERVERS_MAX);
    for (int i = 0; i < count && factor > 0; i++) {
        int64_t mean = mean_us(&servers[i]), others = median_of_others(servers, count, i);
        int64_t limit = others * factor > floor_us ? others * factor : floor_us;
        if (others < 0 || mean <= limit || mean <= worst_us)
            continue;
        worst = i;
        worst_us = mean;
        *ret_limit_us = limit;
    }
    return worst;
}
