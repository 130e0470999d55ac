/*
 * still.h -- has a cold standing stood still? What PostgreSQL says about an open standing may then be kept for others.
 *
 * While Redis does not hold a standing, every apply to it still comes there, and takes away the record that a reader
 * has made: a nonce, and a position of the primary from before nothing was applied any more. An answer that was read
 * from a server which covers the position, and is kept under the nonce, is as good as the standing in Redis would be:
 * it has every change that was applied, and is found by nobody once another is.
 *
 * Only a Redis that is believed (kv.h) is asked: in one that lacks changes, records could be too old too. One loop, one
 * thread.
 */
#ifndef STORE_STILL_H
#define STORE_STILL_H

#include "cache/l2.h"
#include "store/store.h"

struct still {
    struct l2_nonce nonce;
    int64_t lsn; /* what an answer must cover to be kept under it */
};

/* still NULL: it is not cold any more, or something was applied just now, or nobody could tell. Borrowed. */
typedef void still_done_fn(void *context, const struct still *still);
/* false: not to be asked now; done is not called. */
bool still_find(struct store *store, int64_t standing, still_done_fn *done, void *context);

#endif
