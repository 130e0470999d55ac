/*
 * l2.h -- what a finished answer looks like in the second cache, which all servers share (store/l2.h puts it there).
 *
 *     0  "L2", format, coding (0: as it is, 1: brotli)
 *     4  status (2)
 *     6  until (8)      when it expires, in ms by Redis's clock
 *    14  made (8)       when it was fetched, likewise
 *    22  took (4)       ms that its fetch took
 *    26  size (4)       of the body
 *    30  lsn (8)        its fetch covered every commit up to there
 *    38  nonces (16 each, L2_TAGS): of its tags, from before its fetch began
 *        body, coded
 *        MAC (16)       over the value's name and all before it
 *
 * All big-endian. The MAC's key comes from the servers' secret: what is cut off, damaged, put under another name or
 * made by somebody else is no value. Pure memory, any thread.
 */
#ifndef CACHE_L2_H
#define CACHE_L2_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/crypto.h"

enum { L2_TAGS = 3, L2_NONCE_SIZE = 16, L2_NAME_SIZE = 22, L2_BODY_BYTES_MAX = 1 << 20 };

struct l2_nonce {
    uint8_t bytes[L2_NONCE_SIZE];
};

struct l2_value {
    int status;
    int64_t until_ms;
    int64_t made_ms;
    int64_t took_ms;
    int64_t lsn;
    struct l2_nonce nonces[L2_TAGS];
};

/* The name of an answer: a keyed hash of `scope` (what else it depends on: version, epoch, …) and the canonical query.
 * Text. */
void l2_name(const struct crypto_key *key, struct slice scope, struct slice query, char out[static L2_NAME_SIZE + 1]);

/* False: the body is too long to be kept. out: initialised here, the caller's. */
bool l2_encode(const struct crypto_key *key, const char *name, const struct l2_value *value, struct slice body,
               struct buf *out);
/* False: it is no value of this name. body: initialised here, the caller's; empty then. *ret_brotli: the body's
 * compressed form, within `bytes`; size 0: it has none. */
bool l2_decode(const struct crypto_key *key, const char *name, struct slice bytes, struct l2_value *ret_value,
               struct buf *body, struct slice *ret_brotli);

/*
 * Should this reader fetch it again before it expires? XFetch (Vattani, Chierichetti and Lowenstein, "Optimal
 * Probabilistic Cache Stampede Prevention", VLDB 2015): the nearer the end and the longer the fetch, the likelier;
 * chance: in (0, 1].
 */
bool l2_is_due(const struct l2_value *value, int64_t now_ms, double chance);

/* How long a value lives: up to a fifth less than the setting, so that what was kept together does not expire
 * together. */
int64_t l2_ttl_ms(int64_t ttl_ms, double chance);

#endif
