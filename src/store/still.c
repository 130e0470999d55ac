/*
 * still.c -- see still.h. What is atomic happens in Redis: look and settle in ladder.lua.
 *
 *   still_find --look--> a record? -- yes --> it
 *                           | no
 *                       primary's position --settle--> made: it; something was applied meanwhile: none
 */
#include "store/still.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/private.h"

enum { LSN_SIZE = 8, TEXT_MAX = 128 };
#define LIVE_MS "60000" /* standings are cold for seconds; one that is longer gets another record */

struct question {
    struct store *store;
    int64_t standing;
    still_done_fn *done;
    void *context;
    char text[TEXT_MAX]; /* the record as it was, before the position was asked for */
    size_t text_size;
    int64_t stirs;
};

static void question_end(struct question *question, const struct still *still)
{
    question->done(question->context, still);
    free(question);
}

static bool still_read(struct slice text, struct still *ret_still)
{
    if (text.size != LSN_SIZE + L2_NONCE_SIZE)
        return false;
    ret_still->lsn = 0;
    for (int i = 0; i < LSN_SIZE; i++)
        ret_still->lsn = ret_still->lsn << 8 | (uint8_t)text.data[i];
    memcpy(ret_still->nonce.bytes, text.data + LSN_SIZE, L2_NONCE_SIZE);
    if (fault_is("still-position"))
        ret_still->lsn = 0;
    if (fault_is("still"))
        memset(ret_still->nonce.bytes, 0, L2_NONCE_SIZE);
    return true;
}

static void on_settled(void *context, const struct redisReply *reply)
{
    struct still still;

    question_end(context, still_read(kv_reply_text(reply), &still) ? &still : NULL);
}

static void on_position(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct question *question = context;
    struct store *store = question->store;
    struct l2_nonce nonce;
    char meta[KV_KEY_MAX], epoch[16], stirs[24], lsn[LSN_SIZE];

    if (outcome->error.code != ERROR_NONE || source != DB_PRIMARY) {
        question_end(question, NULL);
        return;
    }
    uint64_t position = (uint64_t)db_int64(outcome->rows[0], 0, 0);
    for (int i = LSN_SIZE - 1; i >= 0; i--, position >>= 8)
        lsn[i] = (char)(uint8_t)position;
    crypto_random(&nonce, sizeof(nonce));
    snprintf(epoch, sizeof(epoch), "%d", db_epoch(store->db));
    snprintf(stirs, sizeof(stirs), "%lld", (long long)question->stirs);
    const struct slice settle[] = {SLICE("FCALL"),
                                   SLICE(KV_FUNCTION("settle")),
                                   SLICE("1"),
                                   kv_meta_key(question->standing, meta),
                                   slice_of(epoch),
                                   {lsn, sizeof(lsn)},
                                   {(const char *)nonce.bytes, sizeof(nonce)},
                                   SLICE(LIVE_MS),
                                   slice_of(stirs),
                                   {question->text, question->text_size}};
    if (!kv_trusts(store->kv, question->standing) ||
        !kv_call(store->kv, ARRAY_SIZE(settle), settle, on_settled, question))
        question_end(question, NULL);
}

static void on_look(void *context, const struct redisReply *reply)
{
    static const struct db_call position = {.statement = STATEMENT_commit_lsn};
    struct question *question = context;
    struct slice text = kv_reply_text(kv_reply_item(reply, 2));
    struct still still;

    if (!kv_reply_is_text(kv_reply_item(reply, 0), "COLD") || text.size > TEXT_MAX) {
        question_end(question, NULL);
        return;
    }
    if (still_read(kv_reply_text(kv_reply_item(reply, 3)), &still)) {
        question_end(question, &still);
        return;
    }
    question->stirs = kv_reply_int(kv_reply_item(reply, 1));
    question->text_size = text.size;
    if (text.size)
        memcpy(question->text, text.data, text.size);
    if (!db_read_primary(question->store->db, &position, on_position, question))
        question_end(question, NULL);
}

bool still_find(struct store *store, int64_t standing, still_done_fn *done, void *context)
{
    char meta[KV_KEY_MAX], epoch[16];

    if (!kv_trusts(store->kv, standing) || db_epoch(store->db) == 0)
        return false;
    struct question *question = calloc(1, sizeof(*question));
    ASSERT(question != NULL);
    *question = (struct question){.store = store, .standing = standing, .done = done, .context = context};
    snprintf(epoch, sizeof(epoch), "%d", db_epoch(store->db));
    const struct slice look[] = {SLICE("FCALL_RO"), SLICE(KV_FUNCTION("look")), SLICE("1"), kv_meta_key(standing, meta),
                                 slice_of(epoch)};
    if (kv_call(store->kv, ARRAY_SIZE(look), look, on_look, question))
        return true;
    free(question);
    return false;
}
