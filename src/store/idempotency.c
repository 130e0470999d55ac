#include "store/idempotency.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "store/private.h"

static const char *bytea(struct arena *arena, const void *bytes, size_t size)
{
    char *text = arena_alloc(arena, 2 * size + 3);

    if (!text)
        return NULL;
    memcpy(text, "\\x", 2);
    text_hex_encode(bytes, size, text + 2);
    return text;
}

struct find {
    struct arena *arena;
    struct submit_claim claim;
    idempotency_find_fn *done;
    void *context;
};

static void on_find(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct find *find = context;
    struct idempotency_answer answer = {.error = {.code = ERROR_NONE}};
    struct db_rows rows = outcome->rows[0];
    uint8_t hash[CRYPTO_HASH_SIZE];

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &answer.error);
    } else if (db_row_count(rows) == 0) {
        /* Its transaction was undone after ours met it. */
        answer.is_unused = true;
        error_set(&answer.error, ERROR_REQUEST_IN_FLIGHT,
                  "the first request with this Idempotency-Key failed just now; send it again");
    } else if (db_bytes(rows, 0, 0, hash, sizeof(hash)) != sizeof(hash) ||
               !crypto_equal(hash, find->claim.hash, sizeof(hash))) {
        error_set_field(&answer.error, ERROR_IDEMPOTENCY_MISMATCH, "Idempotency-Key",
                        "the key was used for another request: method, target or body differ");
    } else if (db_is_null(rows, 0, 1) && !db_bool(rows, 0, 4)) {
        answer.is_orphan = true;
    } else if (db_is_null(rows, 0, 1)) {
        error_set(
            &answer.error, ERROR_REQUEST_IN_FLIGHT,
            "the first request with this Idempotency-Key was taken and its answer is not ready; it will not be taken twice");
    } else {
        answer.status = (int)db_int64(rows, 0, 1);
        answer.token = arena_copy(find->arena, (struct slice){db_text(rows, 0, 2), (size_t)db_size(rows, 0, 2)});
        size_t size = (size_t)db_size(rows, 0, 3) / 2;
        char *body = arena_alloc(find->arena, size + 1);
        if (body)
            answer.body = (struct slice){body, size > 1 ? db_bytes(rows, 0, 3, body, size) : 0};
        else
            error_set(&answer.error, ERROR_OVERLOADED, "out of memory");
    }
    find->done(find->context, &answer);
    free(find);
}

static void call_key(struct db_call *call, struct arena *arena, int64_t game_id, const struct submit_claim *claim)
{
    call->is_last_of_transaction = true;
    call->parameters[0] =
        (struct db_parameter){.data = arena_printf(arena, "%lld", (long long)game_id), .format = DB_TEXT};
    call->parameters[1] =
        (struct db_parameter){.data = bytea(arena, claim->key, sizeof(claim->key)), .format = DB_TEXT};
    call->parameter_count = 2;
}

void idempotency_find(struct store *store, struct arena *arena, int64_t game_id, const struct submit_claim *claim,
                      idempotency_find_fn *done, void *context)
{
    struct find *find = malloc(sizeof(*find));
    struct db_call call = {.statement = STATEMENT_idempotency_find};

    ASSERT(find != NULL);
    *find = (struct find){.arena = arena, .claim = *claim, .done = done, .context = context};
    call_key(&call, arena, game_id, claim);
    if (db_read_primary(store->db, &call, on_find, find))
        return;
    free(find);
    struct idempotency_answer answer = {.status = 0};
    error_set(&answer.error, ERROR_UNAVAILABLE, "the database is not reachable");
    done(context, &answer);
}

struct keep {
    idempotency_keep_fn *done;
    void *context;
};

static void on_keep(void *context, const struct db_outcome *outcome)
{
    struct keep *keep = context;
    struct error error;

    if (outcome->error.code != ERROR_NONE)
        store_error_of(outcome, &error);
    bool is_ok = outcome->error.code == ERROR_NONE;
    keep->done(keep->context, is_ok && db_row_count(outcome->rows[0]) == 1, is_ok ? NULL : &error);
    free(keep);
}

void idempotency_keep(struct store *store, struct arena *arena, int64_t game_id, const struct submit_claim *claim,
                      int status, struct slice token, struct slice body, idempotency_keep_fn *done, void *context)
{
    struct keep *keep = malloc(sizeof(*keep));
    struct db_call call = {.statement = STATEMENT_idempotency_keep};

    ASSERT(keep != NULL);
    *keep = (struct keep){done, context};
    call_key(&call, arena, game_id, claim);
    call.parameters[2] = (struct db_parameter){.data = arena_printf(arena, "%d", status), .format = DB_TEXT};
    call.parameters[3] = (struct db_parameter){.data = arena_copy(arena, token).data, .format = DB_TEXT};
    call.parameters[4] = (struct db_parameter){.data = bytea(arena, body.data, body.size), .format = DB_TEXT};
    call.parameter_count = 5;
    if (!arena->is_exhausted && db_write(store->db, &call, 1, on_keep, keep))
        return;
    free(keep);
    struct error error;
    error_set(&error, ERROR_UNAVAILABLE, "the write was taken, but its answer could not be kept");
    done(context, false, &error);
}

struct db_call idempotency_claim_call(struct arena *arena, int64_t game_id, const struct submit_claim *claim)
{
    struct db_call call = {.statement = STATEMENT_idempotency_claim};

    call_key(&call, arena, game_id, claim);
    call.is_last_of_transaction = false;
    call.parameters[2] =
        (struct db_parameter){.data = bytea(arena, claim->hash, sizeof(claim->hash)), .format = DB_TEXT};
    call.parameter_count = 3;
    return call;
}

bool idempotency_was_used(const struct db_outcome *outcome)
{
    return strcmp(outcome->sqlstate, "LD001") == 0;
}
