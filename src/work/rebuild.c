/*
 * rebuild.c -- see rebuild.h.
 *
 *   R1  mark the new generation as being built: from here every apply goes to both
 *   R2  take a snapshot in PostgreSQL: it has every commit that was applied before R1
 *   R3  load all its rows through the gate of revisions, tombstones too
 *   R4  flip
 *
 * I4: so when the new generation takes over, it has everything that the old one had. Who is at a standing has its lock
 * in PostgreSQL, so what a dead one left half done is begun anew at once; who has the lock and stands still is not
 * waited for longer than the lease. It finds then that its generation is gone. Rows come in rank order, which
 * makes each insertion into Redis's skip list an insertion at its end.
 */
#include "work/rebuild.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "board/board.h"
#include "board/sums.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "work/alone.h"

enum {
    CHUNK_ROWS = 200,
    CHUNKS_IN_FLIGHT = 16,
    LEASE_S = 30,
    ATTEMPTS_MAX = 3,
    PROGRESS_ROWS = 1000,
    FIXED_ARGUMENTS = 9
};
#define LEASE_TEXT "30"

/* One row's bytes, so that the slices of a chunk stay valid until it is sent. */
struct row_bytes {
    uint8_t
        value[KV_REVISION_SIZE + 1 + SORT_KEY_MAX + METADATA_BYTES_MAX]; /* as the entry hash has it, see ladder.lua */
    uint8_t member[SORT_KEY_MAX + PLAYER_BYTES_MAX];                     /* the player is its end */
    char score[SORT_KEY_SCORE_TEXT_MAX];
};

struct loader {
    struct link *link;
    char meta[KV_KEY_MAX];
    char gen[2 * 8 + 1];
    struct row_bytes *rows;
    /* The chunk: fixed ones, then player and value of each row, and, when it is sent, score and member of each that has
     * a place. */
    struct slice arguments[FIXED_ARGUMENTS + 4 * CHUNK_ROWS];
    struct slice places[2 * CHUNK_ROWS];
    size_t count, place_count;
    struct sums sums; /* over the chunk */
    int in_flight;
    bool is_aborted;
    int64_t entries;
    void (*progress)(void *context, int64_t rows);
    void *context;
};

static bool reply_take(struct loader *loader, struct error *error)
{
    struct kvb_reply *reply;

    if (!kvb_read(loader->link->kv, &reply, error))
        return false;
    loader->in_flight--;
    enum kvb_kind kind = kvb_kind(reply);
    bool is_ok = slice_is(kvb_text(reply), "OK");
    if (!is_ok) {
        loader->is_aborted = kind != KVB_ERROR;
        error_set(error, ERROR_UNAVAILABLE, "Redis refused a load: %.150s", kvb_text(reply).data);
    }
    kvb_reply_free(&reply);
    return is_ok;
}

static bool chunk_send(struct loader *loader, struct error *error)
{
    char count[24];
    uint8_t sums[SUMS_SIZE];

    if (loader->count == 0)
        return true;
    sums_encode(&loader->sums, sums);
    loader->arguments[7] = (struct slice){(const char *)sums, sizeof(sums)};
    loader->arguments[8] = (struct slice){count, (size_t)snprintf(count, sizeof(count), "%zu", loader->count)};
    size_t values = FIXED_ARGUMENTS + 2 * loader->count;
    memcpy(&loader->arguments[values], loader->places, 2 * loader->place_count * sizeof(loader->places[0]));
    if (!kvb_append(loader->link->kv, values + 2 * loader->place_count, loader->arguments, error))
        return false;
    loader->count = loader->place_count = 0;
    loader->sums = (struct sums){0};
    loader->in_flight++;
    return loader->in_flight < CHUNKS_IN_FLIGHT || reply_take(loader, error);
}

/* Columns: player, k1, k2, k3, revision, removed, metadata. */
static bool on_row(void *context, const struct dbb_field *fields, size_t count, struct error *error)
{
    struct loader *loader = context;
    struct row_bytes *row = &loader->rows[loader->count];

    ASSERT(count == 7);
    /* The API lets nothing longer in; whoever writes to the tables by hand may. */
    if (fields[0].size > PLAYER_BYTES_MAX || fields[6].size > METADATA_BYTES_MAX)
        return error_set(error, ERROR_INTERNAL, "the player \"%.64s\" or its metadata is too long for Redis",
                         fields[0].data);
    bool is_removed = fields[5].data[0] != 0;
    size_t player_size = (size_t)fields[0].size, key_size = 0, value_size = KV_REVISION_SIZE;
    kv_revision_encode(dbb_field_int64(&fields[4]), row->value);
    if (!is_removed) {
        struct sort_key key = {dbb_field_int64(&fields[1]), dbb_field_int64(&fields[2]), dbb_field_int64(&fields[3])};
        sums_add(&loader->sums, key.k1);
        key_size = sort_key_encode(&key, row->member);
        row->value[value_size++] = (uint8_t)key_size;
        memcpy(row->value + value_size, row->member, key_size);
        value_size += key_size;
        if (fields[6].size > 0) {
            memcpy(row->value + value_size, fields[6].data, (size_t)fields[6].size);
            value_size += (size_t)fields[6].size;
        }
        struct slice *place = &loader->places[2 * loader->place_count++];
        place[0] = (struct slice){row->score, sort_key_score_text(key.k1, row->score)};
        place[1] = (struct slice){(char *)row->member, key_size + player_size};
    }
    memcpy(row->member + key_size, fields[0].data, player_size);
    struct slice *value = &loader->arguments[FIXED_ARGUMENTS + 2 * loader->count];
    value[0] = (struct slice){(char *)row->member + key_size, player_size};
    value[1] = (struct slice){(char *)row->value, value_size};
    loader->entries++;
    if (loader->progress && loader->entries % PROGRESS_ROWS == 0)
        loader->progress(loader->context, loader->entries);
    return ++loader->count < CHUNK_ROWS || chunk_send(loader, error);
}

static bool rows_copy(struct loader *loader, const char *window, const char *start, int64_t standing, bool removed,
                      struct error *error)
{
    char query[512];

    snprintf(query, sizeof(query),
             "select player, k1, k2, k3, revision, removed, metadata::text from ladder.entry "
             "where window_kind = '%s' and period_start = '%s' and period_id = %lld and %s %s",
             window, start, (long long)standing, removed ? "removed" : "not removed",
             removed ? "" : "order by k1, k2, k3, player");
    return dbb_copy_out(loader->link->db, query, on_row, loader, error);
}

static bool call_text(struct link *link, size_t count, const struct slice *arguments, char *out, size_t out_max,
                      struct error *error)
{
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, count, arguments, &reply, error))
        return false;
    struct slice text = kvb_text(reply);
    snprintf(out, out_max, "%.*s", (int)text.size, text.data);
    kvb_reply_free(&reply);
    return true;
}

static bool standing_drop(struct link *link, int64_t standing, struct error *error)
{
    char meta[KV_KEY_MAX], text[32];
    const struct slice drop[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("drop")), SLICE("1"), kv_meta_key(standing, meta)};

    return call_text(link, ARRAY_SIZE(drop), drop, text, sizeof(text), error);
}

static bool generation_load(struct loader *loader, const char *window, const char *start, int64_t standing,
                            struct error *error)
{
    struct link *link = loader->link;

    loader->arguments[0] = SLICE("FCALL");
    loader->arguments[1] = SLICE(KV_FUNCTION("load"));
    loader->arguments[2] = SLICE("1");
    loader->arguments[3] = slice_of(loader->meta);
    loader->arguments[4] = slice_of(link->epoch_text);
    loader->arguments[5] = slice_of(loader->gen);
    loader->arguments[6] = SLICE(LEASE_TEXT);
    if (!dbb_begin(link->db, true, error)) /* R2 */
        return false;
    bool is_ok = dbb_script(link->db, "set local enable_sort = off", error) &&
                 rows_copy(loader, window, start, standing, false, error) &&
                 rows_copy(loader, window, start, standing, true, error) && chunk_send(loader, error);
    while (is_ok && loader->in_flight > 0)
        is_ok = reply_take(loader, error);
    dbb_rollback(link->db);
    return is_ok;
}

static enum rebuild_outcome generation_build(struct link *link, int64_t standing, const char *window, const char *start,
                                             bool is_alone, struct loader *loader, struct error *error)
{
    char text[32];
    uint8_t random[8];

    crypto_random(random, sizeof(random));
    text_hex_encode(random, sizeof(random), loader->gen);
    kv_meta_key(standing, loader->meta);
    const struct slice build[] = {SLICE("FCALL"),
                                  SLICE(KV_FUNCTION("build")),
                                  SLICE("1"),
                                  slice_of(loader->meta),
                                  slice_of(link->epoch_text),
                                  slice_of(loader->gen),
                                  is_alone ? SLICE("1") : SLICE("0"),
                                  SLICE(LEASE_TEXT)};
    if (!call_text(link, ARRAY_SIZE(build), build, text, sizeof(text), error)) /* R1 */
        return REBUILD_FAILED;
    if (strcmp(text, "BUSY") == 0)
        return REBUILD_BUSY;
    if (!generation_load(loader, window, start, standing, error)) {
        /* Replies may still be on their way: the connection is of no more use. */
        if (loader->in_flight > 0)
            kvb_close(&link->kv);
        return loader->is_aborted ? REBUILD_BUSY : REBUILD_FAILED;
    }
    fault_point("before-flip");
    const struct slice flip[] = {SLICE("FCALL"),         SLICE(KV_FUNCTION("flip")), SLICE("1"),
                                 slice_of(loader->meta), slice_of(link->epoch_text), slice_of(loader->gen)};
    if (!call_text(link, ARRAY_SIZE(flip), flip, text, sizeof(text), error)) /* R4 */
        return REBUILD_FAILED;
    return strcmp(text, "OK") == 0 ? REBUILD_DONE : REBUILD_BUSY;
}

enum rebuild_outcome rebuild_standing(struct link *link, int64_t standing,
                                      void (*progress)(void *context, int64_t rows), void *context,
                                      struct rebuild_result *ret_result, struct error *error)
{
    char id[24], window[16], start[64], lock[40];
    const char *parameters[] = {id};
    struct dbb_result *result;
    int64_t start_us = clock_monotonic_us();
    enum rebuild_outcome outcome = REBUILD_BUSY;
    bool is_alone;

    *ret_result = (struct rebuild_result){0, 0};
    snprintf(id, sizeof(id), "%lld", (long long)standing);
    snprintf(lock, sizeof(lock), "rebuild %lld", (long long)standing);
    if (!link_open(link, true, error) || !link_query(link, STATEMENT_standing_describe, 1, parameters, &result, error))
        return REBUILD_FAILED;
    bool is_needed = dbb_rows(result) == 1 && strcmp(dbb_text(result, 0, 2), "closed") != 0 && !dbb_bool(result, 0, 3);
    if (is_needed) {
        snprintf(window, sizeof(window), "%s", dbb_text(result, 0, 0));
        snprintf(start, sizeof(start), "%s", dbb_text(result, 0, 1));
    }
    dbb_result_free(&result);
    if (!is_needed)
        return standing_drop(link, standing, error) ? REBUILD_NOT_NEEDED : REBUILD_FAILED;
    struct row_bytes *rows = calloc(CHUNK_ROWS, sizeof(*rows));
    struct loader *loader = calloc(1, sizeof(*loader));
    ASSERT(rows && loader);
    for (int attempt = 0; attempt < ATTEMPTS_MAX && outcome == REBUILD_BUSY; attempt++) {
        /* An aborted load has left replies behind, and its connection with them. */
        if (!link_open(link, true, error) || !link_lock(link, lock, &is_alone, error)) {
            outcome = REBUILD_FAILED;
            break;
        }
        *loader = (struct loader){.link = link, .rows = rows, .progress = progress, .context = context};
        outcome = generation_build(link, standing, window, start, is_alone, loader, error);
        if (is_alone)
            link_unlock(link, lock);
    }
    ret_result->entries = loader->entries;
    ret_result->took_us = clock_monotonic_us() - start_us;
    free(loader);
    free(rows);
    return outcome;
}

bool rebuild_want(struct link *link, int64_t standing, bool only_if_cold, int64_t weight, struct error *error)
{
    char id[24], weight_text[24];
    const struct slice drop[] = {SLICE("UNLINK"), SLICE(KV_WANTED)};
    struct kvb_reply *reply;

    snprintf(id, sizeof(id), "%s%lld", only_if_cold ? "?" : "", (long long)standing);
    snprintf(weight_text, sizeof(weight_text), "%lld", (long long)weight);
    const struct slice add[] = {SLICE("ZADD"), SLICE(KV_WANTED), SLICE("GT"), slice_of(weight_text), slice_of(id)};
    if (!kvb_call(link->kv, ARRAY_SIZE(add), add, &reply, error)) {
        if (kvb_error_is_of_server(error) || !kvb_call(link->kv, ARRAY_SIZE(drop), drop, &reply, error))
            return false;
        kvb_reply_free(&reply); /* it was no sorted set */
        if (!kvb_call(link->kv, ARRAY_SIZE(add), add, &reply, error))
            return error_set(error, ERROR_UNAVAILABLE, "the list of wanted standings cannot be written");
    }
    kvb_reply_free(&reply);
    return true;
}

/* Does Redis hold it whole, as far as one look tells? */
static bool standing_is_warm(struct link *link, int64_t standing, bool *ret_is_warm, struct error *error)
{
    char meta[KV_KEY_MAX];
    const struct slice seek[] = {SLICE("FCALL_RO"),
                                 SLICE(KV_FUNCTION("seek")),
                                 SLICE("1"),
                                 kv_meta_key(standing, meta),
                                 slice_of(link->epoch_text),
                                 SLICE("0"),
                                 SLICE("")};
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, ARRAY_SIZE(seek), seek, &reply, error))
        return false;
    *ret_is_warm = kvb_count(reply) > 0 && slice_is(kvb_text(kvb_item(reply, 0)), "OK");
    kvb_reply_free(&reply);
    return true;
}

/* ---- those that fail: left out for a while, so that the others are rebuilt ---- */

enum { LATER_MAX = 256, LATER_US = 5000000, LATER_MAX_US = 300000000 };

static struct later {
    int64_t standing; /* 0: free */
    int64_t due_us, pause_us;
} later[LATER_MAX]; /* under the mutex */
static pthread_mutex_t later_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct later *later_find(int64_t standing)
{
    for (size_t i = 0; i < LATER_MAX; i++)
        if (later[i].standing == standing)
            return &later[i];
    return NULL;
}

/* In a full list it takes the place of another one, which is tried again as soon as a reader wants it. */
static void later_add(int64_t standing)
{
    pthread_mutex_lock(&later_mutex);
    struct later *at = later_find(standing);
    if (!at)
        at = later_find(0);
    if (!at)
        at = &later[standing % LATER_MAX];
    bool is_known = at->standing == standing;
    at->pause_us = !is_known ? LATER_US : 2 * at->pause_us < LATER_MAX_US ? 2 * at->pause_us : LATER_MAX_US;
    at->due_us = clock_monotonic_us() + at->pause_us;
    at->standing = standing;
    pthread_mutex_unlock(&later_mutex);
}

static void later_remove(int64_t standing)
{
    pthread_mutex_lock(&later_mutex);
    struct later *at = later_find(standing);
    if (at)
        at->standing = 0;
    pthread_mutex_unlock(&later_mutex);
}

/* Is it to be left out now? */
static bool later_has(int64_t standing)
{
    pthread_mutex_lock(&later_mutex);
    const struct later *at = later_find(standing);
    bool has_it = at && at->due_us != 0;
    pthread_mutex_unlock(&later_mutex);
    return has_it;
}

/* One whose time has come, once; 0: there is none. */
static int64_t later_due(void)
{
    int64_t now_us = clock_monotonic_us(), standing = 0;

    pthread_mutex_lock(&later_mutex);
    for (size_t i = 0; i < LATER_MAX && !standing; i++)
        if (later[i].standing && later[i].due_us && later[i].due_us <= now_us) {
            standing = later[i].standing;
            later[i].due_us = 0; /* it is on the list, or being tried */
        }
    pthread_mutex_unlock(&later_mutex);
    return standing;
}

/* The first of the list; an empty text when there is none. */
static bool wanted_pop(struct link *link, char out[static 24], struct error *error)
{
    const struct slice pop[] = {SLICE("ZPOPMAX"), SLICE(KV_WANTED)};
    struct kvb_reply *reply;

    if (!link_pop(link, ARRAY_SIZE(pop), pop, &reply, error))
        return false;
    struct slice id = reply && kvb_count(reply) ? kvb_text(kvb_item(reply, 0)) : SLICE("");
    snprintf(out, 24, "%.*s", (int)id.size, id.data);
    kvb_reply_free(&reply);
    return true;
}

static bool rebuild_failed(struct link *link, int64_t standing, bool only_if_cold, const struct error *why,
                           struct error *error)
{
    struct error ignored;

    if (!alone_is_of_server(link, why)) {
        later_add(standing);
        return alone_standing_failed(link, "rebuild", standing, why, error);
    }
    if (link->kv)
        rebuild_want(link, standing, only_if_cold, 0, &ignored);
    *error = *why;
    return false;
}

static bool rebuild_done(struct link *link, int64_t standing, struct error *error)
{
    char id[24];
    const char *parameters[] = {id};

    later_remove(standing);
    snprintf(id, sizeof(id), "%lld", (long long)standing);
    return link_query(link, STATEMENT_job_standing_worked, 1, parameters, NULL, error);
}

bool rebuild_wanted(struct link *link, int limit, int64_t *ret_count, struct error *error)
{
    *ret_count = 0;
    for (int64_t standing; (standing = later_due()) != 0;)
        if (!rebuild_want(link, standing, true, 0, error))
            return false;
    for (int i = 0; i < limit && !link_is_stopping(link); i++) {
        struct rebuild_result result;
        struct error why;
        char text[24];
        int64_t standing;
        /* What failed may have left replies behind, and its connection with them. */
        if (!link_open(link, true, error) || !wanted_pop(link, text, error))
            return false;
        if (!text[0])
            return true; /* the list is empty */
        bool only_if_cold = text[0] == '?', is_warm = false;
        if (!text_parse_int64(slice_of(text + only_if_cold), &standing) || standing <= 0)
            continue; /* not ours */
        if (later_has(standing))
            continue;
        if (only_if_cold && !standing_is_warm(link, standing, &is_warm, error))
            return false;
        if (is_warm)
            continue;
        enum rebuild_outcome outcome = rebuild_standing(link, standing, NULL, NULL, &result, &why);
        if (outcome == REBUILD_FAILED) {
            if (!rebuild_failed(link, standing, only_if_cold, &why, error))
                return false;
            continue;
        }
        if (outcome == REBUILD_BUSY)
            return (link->kv || link_open(link, true, error)) &&
                   rebuild_want(link, standing, true, 0, error); /* look again later */
        if (!rebuild_done(link, standing, error))
            return false;
        if (outcome == REBUILD_DONE) {
            (*ret_count)++;
            log_info("rebuilt", LOG_INT("standing", standing), LOG_INT("entries", result.entries),
                     LOG_INT("took_ms", result.took_us / 1000));
        }
    }
    return true;
}
