#include "db/leader.h"

const char *leader_fault_name(enum leader_fault fault)
{
    static const char *const names[] = {"none", "replaced", "twin", "foreign"};

    return names[fault];
}

static bool is_primary(const struct leader_candidate *candidate)
{
    return candidate->is_known && !candidate->is_standby;
}

/* Of the history's cluster; or, if that has no primary, the only other one. */
static int64_t cluster_of(const struct leader_candidate *candidates, int count, const struct leader_history *history)
{
    int64_t other = 0;

    for (int i = 0; i < count; i++) {
        if (!is_primary(&candidates[i]))
            continue;
        if (candidates[i].cluster == history->cluster)
            return history->cluster;
        if (other && other != candidates[i].cluster)
            return history->cluster; /* two strangers: neither */
        other = candidates[i].cluster;
    }
    return other ? other : history->cluster;
}

int leader_elect(const struct leader_candidate *candidates, int count, int current, struct leader_history *history,
                 enum leader_fault *faults)
{
    int64_t cluster = cluster_of(candidates, count, history);
    int leader = -1;
    bool is_contested = false;

    if (cluster != history->cluster)
        *history = (struct leader_history){.cluster = cluster};
    for (int i = 0; i < count; i++) {
        const struct leader_candidate *c = &candidates[i];
        faults[i] = LEADER_FINE;
        if (!c->is_known || cluster == 0 || c->cluster == cluster) {
            if (is_primary(c) && c->timeline > history->timeline)
                history->timeline = c->timeline;
        } else {
            faults[i] = LEADER_FOREIGN;
        }
    }
    for (int i = 0; i < count; i++) {
        const struct leader_candidate *c = &candidates[i];
        if (!is_primary(c) || faults[i] != LEADER_FINE)
            continue;
        if (c->timeline < history->timeline) {
            faults[i] = LEADER_REPLACED;
        } else if (leader < 0) {
            leader = i;
        } else if (c->start_us == candidates[leader].start_us) {
            leader = i == current ? i : leader;
        } else {
            is_contested = true;
            faults[i] = faults[leader] = LEADER_TWIN;
        }
    }
    if (is_contested)
        return -1;
    if (leader < 0 && current >= 0 && !candidates[current].is_known)
        return current; /* it is away; nobody took its place */
    return leader;
}
