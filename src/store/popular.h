/*
 * popular.h -- what is read most, told to everybody through Redis: the worker loads those standings first, servers make
 * those pages ready before they are asked for. Lists of hints: what is lost of them only costs time. One loop, one
 * thread.
 */
#ifndef STORE_POPULAR_H
#define STORE_POPULAR_H

#include "store/store.h"

enum { POPULAR_MAX = 32 };

struct popular {
    char name[520]; /* a standing's id, or a page: see kv/keys.h */
    uint64_t reads;
};

/* Adds to what is known of them. At most POPULAR_MAX of each; copied. */
void popular_tell(struct store *store, const struct popular *standings, size_t standing_count,
                  const struct popular *pages, size_t page_count);

/* The pages that are read most, by all servers; called once for each, then with an empty name. */
typedef void popular_page_fn(void *context, struct slice name);
void popular_pages(struct store *store, popular_page_fn *visit, void *context);

#endif
