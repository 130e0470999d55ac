/*
 * key_signing.c -- what the id of an API key that is not in memory says of itself, without a query.
 *
 * Ids of new keys are signed with a secret of the installation (board/key_id.h). A loop reads it when PostgreSQL is reachable
 * at first, with the word whether there are valid keys whose ids have no signature:
 *
 *   id with a signature      right: there may be such a key      wrong: it was made up
 *   id without one           some such keys: there may be one    none: it was made up
 *
 * A right signature is right whatever the age of what was read. That an id was made up is said for FRESH_US from then on:
 * a key may be made by hand, or the secret be replaced. From half of it on the secret is read again when it is of use, while
 * requests go on; after it, who needs the word waits for that. So made-up ids cost a read of the secret each half of FRESH_US,
 * however many they are. As long as a loop has no secret, it knows nothing of ids.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/private.h"

enum { FRESH_US = 1000000, AGAIN_US = 500000 /* after a try in vain */ };

static _Atomic uint64_t refused; /* of all loops */

struct key_waiting {
    key_signing_fn *done;
    void *context;
    struct key_waiting *next;
};

struct key_signing {
    struct store *store;
    struct key_secret secret, previous;
    bool is_known, has_previous, has_unsigned;
    int64_t ahead_us; /* from here on it is read again, when it is of use */
    int64_t expires_us;
    bool is_read; /* now */
    struct key_waiting *waiting;
};

void key_signing_open(struct store *store)
{
    store->key_signing = calloc(1, sizeof(*store->key_signing));
    ASSERT(store->key_signing != NULL);
    store->key_signing->store = store;
}

void key_signing_close(struct store *store)
{
    ASSERT(!store->key_signing->waiting);
    free(store->key_signing);
    store->key_signing = NULL;
}

static bool secret_take(const struct db_outcome *outcome, int column, struct key_secret *secret)
{
    return !db_is_null(outcome->rows[0], 0, column) &&
           db_bytes(outcome->rows[0], 0, column, secret->bytes, sizeof(secret->bytes)) == sizeof(secret->bytes);
}

static void on_secret(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct key_signing *signing = context;
    int64_t now_us = clock_monotonic_us();
    struct error error = {.code = ERROR_NONE};

    (void)source;
    signing->is_read = false;
    signing->ahead_us = now_us + AGAIN_US;
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
    } else {
        signing->is_known = db_row_count(outcome->rows[0]) == 1 && secret_take(outcome, 0, &signing->secret);
        if (signing->is_known) {
            signing->has_previous = secret_take(outcome, 1, &signing->previous);
            signing->has_unsigned = db_bool(outcome->rows[0], 0, 2);
            signing->expires_us = now_us + FRESH_US;
        }
    }
    struct key_waiting *waiting = signing->waiting, *next;
    for (signing->waiting = NULL; waiting; waiting = next) {
        next = waiting->next;
        waiting->done(waiting->context, error.code == ERROR_NONE ? NULL : &error);
        free(waiting);
    }
}

static void secret_read(struct key_signing *signing)
{
    const struct db_call call = {.statement = STATEMENT_key_secret};

    if (!signing->is_read && clock_monotonic_us() >= signing->ahead_us)
        signing->is_read = db_read_primary(signing->store->db, &call, on_secret, signing);
}

void key_signing_start(struct store *store)
{
    if (!store->key_signing->is_known)
        secret_read(store->key_signing);
}

void key_signing_forget(struct store *store)
{
    store->key_signing->is_known = false;
    store->key_signing->ahead_us = 0;
}

enum key_word key_signing_judge(struct store *store, const char *id)
{
    struct key_signing *signing = store->key_signing;

    secret_read(signing);
    if (!signing->is_known || fault_is("absent"))
        return KEY_UNCERTAIN;
    if (key_id_has_mac(id)) {
        if (key_id_verify(&signing->secret, id) || (signing->has_previous && key_id_verify(&signing->previous, id)))
            return KEY_SIGNED;
    } else if (signing->has_unsigned) {
        return KEY_UNCERTAIN;
    }
    if (clock_monotonic_us() < signing->expires_us) {
        atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
        return KEY_MADE_UP;
    }
    return signing->is_read ? KEY_TO_WAIT : KEY_UNCERTAIN;
}

void key_signing_wait(struct store *store, key_signing_fn *done, void *context)
{
    struct key_waiting *waiting = malloc(sizeof(*waiting));

    ASSERT(waiting != NULL && store->key_signing->is_read);
    *waiting = (struct key_waiting){done, context, store->key_signing->waiting};
    store->key_signing->waiting = waiting;
}

uint64_t store_keys_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}
