/*
 * worker_word.h -- how long ago the worker gave a sign of life (work/beat.h).
 *
 * Redis says it: without Redis it is not known. One loop, one thread.
 */
#ifndef STORE_WORKER_WORD_H
#define STORE_WORKER_WORD_H

#include "store/store.h"

enum worker_word {
    WORKER_UNKNOWN, /* Redis did not say, or not lately */
    WORKER_NEVER,   /* there is none, or none since KV_WORKER_LIVE_MS */
    WORKER_SPOKE
};

/* Asks Redis; some times a second. */
void worker_word_ask(struct store *store);
/* What its jobs fail for, in words; "": nothing, or it is not known. */
const char *worker_failing(const struct store *store);
/* *ret_age_us: with WORKER_SPOKE; else 0. */
enum worker_word worker_word_get(const struct store *store, int64_t *ret_age_us);

#endif
