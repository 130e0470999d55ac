/*
 * held.h -- the standings that Redis holds.
 *
 * Source: SCAN gives each key that is there from the beginning to the end of the scan at least once.
 */
#ifndef WORK_HELD_H
#define WORK_HELD_H

#include "work/link.h"

enum { HELD_PAGE = 1000 };

/* Gets the meta keys (kv_meta_key) of some standings, about HELD_PAGE. false ends the scan. */
typedef bool held_fn(struct link *link, const struct kvb_reply *keys, void *context, struct error *error);

/* Scans every Redis process; a key may come twice. Blocking. false: visit returned false, or Redis failed. */
bool held_each(struct link *link, held_fn *visit, void *context, struct error *error);

/* The standing of a meta key; 0: the key names none. */
int64_t held_standing(struct slice key);

#endif
