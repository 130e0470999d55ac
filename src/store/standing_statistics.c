/*
 * standing_statistics.c -- a standing in numbers, from Redis.
 *
 *   statistics --> total, sums, activity, and the scores at some places
 *        |
 *        |  bins of equal width, or of powers of two: where they begin follows from the lowest and the highest score
 *        v
 *     counts  --> how many are before each begin, if the standing is still of that version; else from the start
 *
 * The sums are those of ladder.lua: in step with each change. The activity is the tail's, and says up to when it has counted:
 * a fraction of a second ago. Who shows a token of a write may expect to be counted; he is sent to PostgreSQL until no clock could
 * be so wrong that he is not. All numbers are the same there, to the last digit (sql/functions/73_statistics.sql).
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/put.h"
#include "board/sums.h"
#include "db/primary_clock.h"
#include "kv/scripts.h"
#include "store/private.h"
#include "store/standing_private.h"

enum { ROUNDS_MAX = 3, HEAD_ITEMS = 7, SCORE_BITS = 64 };
#define ACTIVITY_AGE_MAX_US 5000000LL
#define CLOCKS_APART_US 60000000LL

struct bins {
    size_t count;
    int64_t from[STANDING_BINS_MAX]; /* scores */
};

/* ---- asking ---- */

size_t standing_statistics_arguments(struct standing_read *read, struct slice *arguments)
{
    const struct statistics_wish *wish = &read->query.statistics;
    char *bins = read->texts[0];
    size_t count = 0;

    snprintf(bins, sizeof(read->texts[0]), "%d", strcmp(wish->bin_kind, "count") == 0 ? wish->bins : 0);

    arguments[count++] = wish->is_desc ? SLICE("1") : SLICE("0");
    arguments[count++] = slice_of(bins);
    for (const char *at = wish->percentiles + 1; *at && *at != '}';) { /* "{50,90}" */
        size_t size = strcspn(at, ",}");
        arguments[count++] = (struct slice){at, size};
        at += size + (at[size] == ',');
    }
    return count;
}

/* ---- answering ---- */

static struct slice text_of(struct standing_read *read, const char *text, size_t size)
{
    return arena_copy(read->arena, (struct slice){text, size});
}

static struct slice number_of(struct standing_read *read, int64_t number)
{
    char text[PUT_INTEGER_MAX];

    return text_of(read, text, (size_t)(put_int64(text, number) - text));
}

struct list {
    char *text, *at; /* NULL: the arena is full */
};

static struct list list_of(struct standing_read *read, size_t count)
{
    char *text = arena_alloc(read->arena, count * (PUT_INTEGER_MAX + 1) + 1);

    return (struct list){text, text};
}

static void list_add(struct list *list, int64_t number)
{
    if (!list->at)
        return;
    if (list->at > list->text)
        *list->at++ = ',';
    list->at = put_int64(list->at, number);
}

static struct slice list_text(const struct list *list)
{
    return (struct slice){list->text ? list->text : "", (size_t)(list->at - list->text)};
}

static bool score_read(const struct standing_read *read, const struct redisReply *reply, size_t item,
                       int64_t *ret_score)
{
    const struct slice code = kv_reply_text(kv_reply_item(reply, item));
    int64_t k1;

    if (!sort_key_decode_integer(code, &k1))
        return false;
    *ret_score = read->query.statistics.is_desc ? ~k1 : k1;
    return true;
}

static bool activity_read(struct standing_read *read, const struct redisReply *reply, int64_t at_us,
                          struct statistics *statistics)
{
    struct statistics_activity *const activities[] = {&statistics->minute, &statistics->hour, &statistics->day};
    const int64_t second = at_us / 1000000, minute = second / 60;
    const int64_t since[] = {second - 59, (minute - 59) * 60, (minute - 1439) * 60};

    if (kv_reply_count(reply) != 2 * ARRAY_SIZE(activities))
        return false;
    statistics->counted_us = at_us;
    for (size_t i = 0; i < ARRAY_SIZE(activities); i++) {
        activities[i]->since_us = since[i] * 1000000;
        activities[i]->submissions = number_of(read, kv_reply_int(kv_reply_item(reply, 2 * i)));
        activities[i]->arrivals = number_of(read, kv_reply_int(kv_reply_item(reply, 2 * i + 1)));
    }
    return true;
}

static void sums_read(struct standing_read *read, struct sums *sums, struct statistics *statistics)
{
    int64_t entries = read->answer.total;
    char text[SUMS_TEXT_MAX];

    if (read->query.statistics.is_desc)
        sums_complement(sums, entries);
    statistics->entries = number_of(read, entries);
    statistics->total = text_of(read, text, sums_total_text(sums, text));
    if (entries == 0)
        return;
    statistics->mean = text_of(read, text, sums_mean_text(sums, entries, text));
    statistics->stddev = text_of(read, text, sums_deviation_text(sums, entries, text));
}

/* Bins of equal count: the first and the last score of each; how many are in it follows from its number. */
static bool places_read(struct standing_read *read, const struct redisReply *reply, size_t item,
                        struct statistics *statistics)
{
    size_t count = (kv_reply_count(reply) - item) / 2;
    int64_t entries = read->answer.total;
    struct list from = list_of(read, count), to = list_of(read, count), in = list_of(read, count);

    for (size_t i = 0; i < count; i++) {
        int64_t first, last, place = (int64_t)i, bins = (int64_t)count;
        if (!score_read(read, reply, item + 2 * i, &first) || !score_read(read, reply, item + 2 * i + 1, &last))
            return false;
        list_add(&from, first);
        list_add(&to, last);
        list_add(&in, (place + 1) * entries / bins - place * entries / bins);
    }
    statistics->bin_from = list_text(&from);
    statistics->bin_to = list_text(&to);
    statistics->bin_entries = list_text(&in);
    return true;
}

/* As ladder.bin_starts has them, with the first one. */
static void bins_make(const struct statistics_wish *wish, int64_t lowest, int64_t highest, struct bins *ret_bins)
{
    __extension__ typedef unsigned __int128 width;
    width scores = (width)((uint64_t)highest - (uint64_t)lowest) + 1;

    ret_bins->count = 0;
    ret_bins->from[ret_bins->count++] = lowest;
    if (strcmp(wish->bin_kind, "width") == 0) {
        width bins = scores < (width)wish->bins ? scores : (width)wish->bins;
        for (width i = 1; i < bins; i++)
            ret_bins->from[ret_bins->count++] = (int64_t)((uint64_t)lowest + (uint64_t)(i * scores / bins));
        return;
    }
    for (int k = SCORE_BITS - 1; k >= 1; k--) { /* 1 - 2^k; of 1, it would be 0 */
        int64_t start = (int64_t)(1 - (UINT64_C(1) << k));
        if (start > lowest && start <= highest)
            ret_bins->from[ret_bins->count++] = start;
    }
    if (lowest < 0 && highest >= 0)
        ret_bins->from[ret_bins->count++] = 0;
    for (int k = 0; k < SCORE_BITS - 1; k++) {
        int64_t start = INT64_C(1) << k;
        if (start > lowest && start <= highest)
            ret_bins->from[ret_bins->count++] = start;
    }
}

/* What is looked for while the counts are asked. */
struct counting {
    struct standing_read *read;
    struct statistics *statistics;
    struct bins bins;
    int64_t highest;
};

static bool counts_read(const struct counting *counting, const struct redisReply *reply)
{
    enum { COUNTS = 4 };
    const struct bins *bins = &counting->bins;
    struct standing_read *read = counting->read;
    struct statistics *statistics = counting->statistics;
    int64_t entries = read->answer.total, lower = 0;
    struct list from = list_of(read, bins->count), to = list_of(read, bins->count), in = list_of(read, bins->count);

    if (!kv_reply_is_text(kv_reply_item(reply, 0), "OK") || kv_reply_count(reply) != COUNTS + bins->count - 1)
        return false;
    for (size_t i = 0; i < bins->count; i++) {
        bool is_last = i + 1 == bins->count;
        int64_t before = is_last ? 0 : kv_reply_int(kv_reply_item(reply, COUNTS + i));
        int64_t next = is_last ? entries : read->query.statistics.is_desc ? entries - before : before;
        list_add(&from, bins->from[i]);
        list_add(&to, is_last ? counting->highest : bins->from[i + 1] - 1);
        list_add(&in, next - lower);
        lower = next;
    }
    statistics->bin_from = list_text(&from);
    statistics->bin_to = list_text(&to);
    statistics->bin_entries = list_text(&in);
    read->answer.statistics = statistics;
    return true;
}

static void on_counts(void *context, const struct redisReply *reply)
{
    const struct counting *counting = context;
    struct standing_read *read = counting->read;

    if (counts_read(counting, reply)) {
        standing_finish(read);
    } else if (reply && kv_reply_is_text(kv_reply_item(reply, 0), "CHANGED") && read->rounds < ROUNDS_MAX) {
        read->answer = (struct standing_answer){.total = -1};
        standing_script_send(read);
    } else {
        standing_redis_failed(read, false);
    }
}

static bool counts_send(struct counting *counting)
{
    enum { FIXED = 6 };
    struct standing_read *read = counting->read;
    const struct bins *bins = &counting->bins;
    struct slice arguments[FIXED + 2 * STANDING_BINS_MAX];
    uint8_t codes[STANDING_BINS_MAX][SORT_KEY_INTEGER_MAX];
    char scores[STANDING_BINS_MAX][SORT_KEY_SCORE_TEXT_MAX], meta[KV_KEY_MAX], epoch[16], version[PUT_INTEGER_MAX];
    size_t count = 0;

    snprintf(epoch, sizeof(epoch), "%d", db_epoch(read->store->db));
    arguments[count++] = SLICE("FCALL_RO");
    arguments[count++] = SLICE(KV_FUNCTION("counts"));
    arguments[count++] = SLICE("1");
    arguments[count++] = kv_meta_key(read->query.period.id, meta);
    arguments[count++] = slice_of(epoch);
    arguments[count++] = (struct slice){version, (size_t)(put_int64(version, read->answer.version) - version)};
    for (size_t i = 1; i < bins->count; i++) {
        /* On a desc board, how many have at least this score: those before the k1 behind its own, ~score + 1. */
        int64_t k1 = read->query.statistics.is_desc ? -bins->from[i] : bins->from[i];
        arguments[count++] = (struct slice){scores[i], sort_key_score_text(k1, scores[i])};
        arguments[count++] = (struct slice){(const char *)codes[i], sort_key_encode_integer(k1, codes[i])};
    }
    return kv_call(read->store->kv, count, arguments, on_counts, counting);
}

enum statistics_outcome standing_statistics_take(struct standing_read *read, const struct redisReply *reply)
{
    const struct statistics_wish *wish = &read->query.statistics;
    const struct freshness *freshness = &read->query.freshness;
    struct statistics *statistics = arena_calloc(read->arena, 1, sizeof(*statistics));
    int64_t at_us = kv_cursor_at(kv_reply_text(kv_reply_item(reply, 5)));
    struct sums sums;
    size_t item = HEAD_ITEMS;

    read->rounds++;
    read->answer.is_momentary = true;
    if (!statistics)
        return STATISTICS_READ; /* reported by standing_finish */
    read->is_too_old = at_us < primary_clock_us() - ACTIVITY_AGE_MAX_US ||
                       (freshness->shown_lsn > 0 && at_us < freshness->version + CLOCKS_APART_US);
    if (read->is_too_old || read->answer.total < 0 || read->answer.total > SUMS_ENTRIES_MAX ||
        !sums_decode(kv_reply_text(kv_reply_item(reply, 4)), &sums) ||
        !activity_read(read, kv_reply_item(reply, 6), at_us, statistics))
        return STATISTICS_UNREADABLE;
    sums_read(read, &sums, statistics);
    read->answer.statistics = statistics;
    if (read->answer.total == 0)
        return STATISTICS_READ;

    int64_t best, last;
    size_t percentiles = wish->percentile_count;
    if (kv_reply_count(reply) < item + 2 + percentiles || !score_read(read, reply, item, &best) ||
        !score_read(read, reply, item + 1, &last))
        return STATISTICS_UNREADABLE;
    item += 2;
    statistics->highest = number_of(read, wish->is_desc ? best : last);
    statistics->lowest = number_of(read, wish->is_desc ? last : best);
    struct list list = list_of(read, percentiles);
    for (size_t i = 0; i < percentiles; i++) {
        int64_t score;
        if (!score_read(read, reply, item++, &score))
            return STATISTICS_UNREADABLE;
        list_add(&list, score);
    }
    statistics->percentiles = list_text(&list);
    if (strcmp(wish->bin_kind, "count") == 0)
        return places_read(read, reply, item, statistics) ? STATISTICS_READ : STATISTICS_UNREADABLE;
    if (!wish->bin_kind[0])
        return STATISTICS_READ;

    struct counting *counting = arena_alloc(read->arena, sizeof(*counting));
    if (!counting)
        return STATISTICS_READ;
    *counting = (struct counting){.read = read, .statistics = statistics, .highest = wish->is_desc ? best : last};
    bins_make(wish, wish->is_desc ? last : best, counting->highest, &counting->bins);
    read->answer.statistics = NULL;
    return counts_send(counting) ? STATISTICS_WAITING : STATISTICS_UNREADABLE;
}
