/*
 * quota.h -- an amount that the whole process shares: bytes of memory, bytes of files.
 *
 * Each holder keeps, for itself, how much of the quota it has, and says how much it wants from now on. Any thread; what
 * one holder has is its own thread's.
 */
#ifndef BASE_QUOTA_H
#define BASE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct quota {
    _Atomic int64_t used;
    int64_t max;
    _Atomic int64_t peak; /* since quota_has_fallen was true */
};

void quota_init(struct quota *quota, int64_t max);
/*
 * The holder has *held and wants `wanted` instead. Less is always granted. More is refused, and changes nothing, where
 * all holders together would have more than this percentage of the quota. A quota of NULL refuses nothing.
 */
bool quota_hold(struct quota *quota, int64_t *held, int64_t wanted, int percent);
/* The same, granted in any case: what is there already and cannot be given up now. */
void quota_take(struct quota *quota, int64_t *held, int64_t wanted);
int64_t quota_used(const struct quota *quota);
/* So much was given back since the last time that this was true. One of several threads that ask gets true. */
bool quota_has_fallen(struct quota *quota, int64_t by);

#endif
