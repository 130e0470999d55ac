#include "unit.h"

#include "base/crypto.h"
#include "cache/l1.h"
#include "cache/l2.h"

/* ---- moves, against a ranked list that is changed at random ---- */

enum { PLAYERS = 200, PAGES = 40, CHANGES = 60000 };

struct ranked {
    int players[PLAYERS], count;
};

static int rank_of(const struct ranked *list, int player)
{
    for (int i = 0; i < list->count; i++)
        if (list->players[i] == player)
            return i;
    return -1;
}

static void take_out(struct ranked *list, int rank)
{
    memmove(list->players + rank, list->players + rank + 1, (size_t)(list->count - rank - 1) * sizeof(int));
    list->count--;
}

static void put_in(struct ranked *list, int rank, int player)
{
    memmove(list->players + rank + 1, list->players + rank, (size_t)(list->count - rank) * sizeof(int));
    list->players[rank] = player;
    list->count++;
}

/* One random change; the interval that it touched. */
static struct move change(struct ranked *list, uint64_t *state, int *ret_delta)
{
    int player = (int)(unit_random(state) % PLAYERS), before = rank_of(list, player);
    /* Mostly near the end, as in life: pages at the top must outlive that. */
    int near_end = unit_random(state) % 16 ? list->count * 3 / 4 : 0;

    if (before >= 0 && before < near_end) {
        before = near_end + (int)(unit_random(state) % (uint64_t)(list->count - near_end));
        player = list->players[before];
    }
    if (before >= 0)
        take_out(list, before);
    if (before >= 0 && unit_random(state) % 8 == 0) {
        *ret_delta = -1;
        return (struct move){before, MOVES_END};
    }
    if (near_end > list->count)
        near_end = list->count;
    int after = near_end + (int)(unit_random(state) % (uint64_t)(list->count - near_end + 1));
    put_in(list, after, player);
    *ret_delta = before < 0;
    if (before < 0)
        return (struct move){after, MOVES_END};
    return before < after ? (struct move){before, after} : (struct move){after, before};
}

struct page {
    struct span span;
    int64_t version;
    struct ranked then;
    bool is_used;
};

static struct page page_take(const struct ranked *list, int64_t version, uint64_t *state)
{
    struct page page = {.version = version, .then = *list, .is_used = true};

    page.span.low = (int64_t)(unit_random(state) % 3 ? 0 : unit_random(state) % PLAYERS);
    page.span.high = page.span.low + (int64_t)(unit_random(state) % (unit_random(state) % 3 ? 12 : 190));
    if (unit_random(state) % 5 == 0)
        page.span.high = MOVES_END;
    page.span.is_of_total = unit_random(state) % 4 == 0;
    page.span.is_of_absence = unit_random(state) % 4 == 0;
    return page;
}

static bool is_true_still(const struct page *page, const struct ranked *now)
{
    if (page->span.is_of_total && page->then.count != now->count)
        return false;
    for (int player = 0; page->span.is_of_absence && player < PLAYERS; player++)
        if (rank_of(&page->then, player) < 0 && rank_of(now, player) >= 0)
            return false;
    for (int64_t i = page->span.low; i <= page->span.high && i < PLAYERS; i++) {
        int then = i < page->then.count ? page->then.players[i] : -1, is = i < now->count ? now->players[i] : -1;
        if (then != is)
            return false;
    }
    return true;
}

static void test_no_answer_outlives_its_truth(void **context)
{
    static struct page pages[PAGES];
    static struct moves moves;
    struct ranked list = {.count = 0};
    uint64_t state = 1;
    int64_t version = 1000, last = 1000;
    int kept = 0, kept_long = 0;

    (void)context;
    moves_init(&moves, version);
    for (int i = 0; i < CHANGES; i++) {
        struct move items[3];
        size_t count = 1 + unit_random(&state) % 3;
        int delta;
        for (size_t k = 0; k < count; k++)
            items[k] = change(&list, &state, &delta);
        version += 1 + (int64_t)(unit_random(&state) % 5);
        moves_add(&moves, version, last, items, count);
        moves_add(&moves, version, last, items, count); /* again: nothing */
        last = version;
        if (i % 24 == 0)
            pages[unit_random(&state) % PAGES] = page_take(&list, version, &state);
        /* Looked at often, or seldom: what the ring and the stack have forgotten by then must count as touched. */
        for (int p = 0; p < PAGES && (i / 5000 % 2 ? i % 500 == 0 : i % 3 == 0); p++) {
            if (!pages[p].is_used)
                continue;
            bool is_touched = moves_touch(&moves, &pages[p].span, pages[p].version);
            if (!is_touched && !is_true_still(&pages[p], &list))
                fail_msg("change %d: page [%lld, %lld] of version %lld is untrue at %lld", i,
                         (long long)pages[p].span.low, (long long)pages[p].span.high, (long long)pages[p].version,
                         (long long)version);
            if (is_touched)
                pages[p].is_used = false;
            else
                kept += pages[p].version < version, kept_long += pages[p].version + 1000 < version;
        }
    }
    /* And the answers that nothing touched are kept, also long after the ring has forgotten their time. */
    assert_true(kept > CHANGES / 10);
    assert_true(kept_long > 1000);
}

/* Within the ring's memory, touched means touched: no answer is given up for nothing. */
static void test_the_recent_past_is_exact(void **context)
{
    static struct moves moves;
    uint64_t state = 7;

    (void)context;
    for (int round = 0; round < 2000; round++) {
        struct move items[40];
        moves_init(&moves, 0);
        for (int i = 0; i < 40; i++) {
            items[i].low = (int64_t)(unit_random(&state) % 1000);
            items[i].high = unit_random(&state) % 10 ? items[i].low + (int64_t)(unit_random(&state) % 100) : MOVES_END;
            moves_add(&moves, i + 1, i, &items[i], 1);
        }
        struct span span = {.low = (int64_t)(unit_random(&state) % 1000)};
        span.high = span.low + (int64_t)(unit_random(&state) % 50);
        int64_t since = (int64_t)(unit_random(&state) % 41);
        bool is_hit = false;
        for (int64_t i = since; i < 40; i++)
            is_hit = is_hit || (items[i].low <= span.high && items[i].high >= span.low);
        assert_int_equal(moves_touch(&moves, &span, since), is_hit);
    }
}

/* Changes ever further down: the stack grows with each, and must not forget the highest ones when it is full. */
static void test_a_full_stack_forgets_no_rank(void **context)
{
    static struct moves moves;

    (void)context;
    moves_init(&moves, 0);
    for (int i = 1; i <= 3 * MOVES_STACK; i++) {
        const struct move item = {10 * i, 10 * i};
        moves_add(&moves, i, i - 1, &item, 1);
    }
    for (int since = 0; since < 3 * MOVES_STACK; since++) {
        const struct span next = {.low = 0, .high = 10 * (since + 1)};
        assert_true(moves_touch(&moves, &next, since));
    }
    const struct span above = {.low = 0, .high = 9};
    assert_false(moves_touch(&moves, &above, 0));
}

static void test_a_gap_forgets_all(void **context)
{
    static struct moves moves;
    const struct span top = {.low = 0, .high = 9};
    const struct move below = {500, 600};

    (void)context;
    moves_init(&moves, 10);
    moves_add(&moves, 20, 10, &below, 1);
    assert_false(moves_touch(&moves, &top, 10));
    moves_add(&moves, 40, 30, &below, 1); /* that of version 30 was never heard */
    assert_true(moves_touch(&moves, &top, 10));
    assert_true(moves_touch(&moves, &top, 30));
    assert_false(moves_touch(&moves, &top, 40));
    moves_add(&moves, 50, 40, NULL, 0); /* anything may have changed */
    assert_true(moves_touch(&moves, &top, 40));
    assert_true(moves_touch(&moves, &top, 9)); /* from before we listened */
}

/* ---- l1 ---- */

static int freed;

static void count_free(void *value)
{
    freed++;
    free(value);
}

static const struct span TOP = {.low = 0, .high = 9};

static bool put(struct l1 *l1, const char *key, int64_t standing, int64_t as_of, size_t bytes)
{
    struct l1_watch watch = l1_watch(l1, standing);
    void *value = malloc(1);
    struct l1_entry *entry = l1_put(l1, &watch, slice_of(key), 0, as_of, as_of, &TOP, value, bytes, 0);

    l1_unwatch(l1, &watch);
    if (!entry)
        free(value);
    return entry != NULL;
}

static bool has(struct l1 *l1, const char *key)
{
    struct l1_entry *entry = l1_find(l1, slice_of(key));

    return entry && l1_holds(l1, entry, 1);
}

static void test_entries_hold_until_they_are_touched(void **context)
{
    struct l1 *l1 = l1_new(100000, count_free);
    const struct move below = {100, 200}, at = {5, 200};

    (void)context;
    freed = 0;
    assert_true(put(l1, "a", 1, 10, 100));
    assert_true(put(l1, "b", 2, 10, 100));
    assert_true(has(l1, "a"));
    l1_hear(l1, 1, 20, 10, &below, 1);
    assert_true(has(l1, "a"));
    l1_hear(l1, 1, 30, 20, &at, 1);
    assert_false(has(l1, "a"));
    assert_true(has(l1, "b"));
    /* An answer from before what is known already is not kept, a newer one is. */
    assert_false(put(l1, "a", 1, 25, 100));
    assert_true(put(l1, "a", 1, 30, 100));
    assert_true(has(l1, "a"));
    l1_free(&l1);
    assert_int_equal(freed, 3);
}

static void test_a_fetch_of_an_older_era_makes_no_entry(void **context)
{
    struct l1 *l1 = l1_new(100000, count_free);
    char *value = malloc(1);

    (void)context;
    struct l1_watch watch = l1_watch(l1, 1);
    assert_true(put(l1, "a", 1, 10, 100));
    l1_forget(l1);
    assert_null(l1_find(l1, slice_of("a")));
    assert_null(l1_put(l1, &watch, slice_of("a"), 0, 50, 50, &TOP, value, 100, 0));
    free(value);
    l1_unwatch(l1, &watch);
    assert_true(put(l1, "a", 1, 60, 100));
    assert_true(has(l1, "a"));
    l1_free(&l1);
}

/* One answer may say of a later moment than the next that nothing has changed: both are kept. */
static void test_answers_come_in_any_order(void **context)
{
    struct l1 *l1 = l1_new(100000, count_free);
    struct l1_watch watch = l1_watch(l1, 1);

    (void)context;
    assert_non_null(l1_put(l1, &watch, slice_of("a"), 0, 20, 50, &TOP, malloc(1), 100, 0));
    assert_non_null(l1_put(l1, &watch, slice_of("b"), 0, 20, 30, &TOP, malloc(1), 100, 0));
    assert_true(has(l1, "a") && has(l1, "b"));
    l1_unwatch(l1, &watch);
    l1_free(&l1);
}

static void test_memory_is_bounded_and_what_is_asked_for_stays(void **context)
{
    struct l1 *l1 = l1_new(200000, count_free);
    char key[32];

    (void)context;
    assert_true(put(l1, "hot", 1, 10, 1000));
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "crawled %d", i);
        assert_true(put(l1, key, i % 50, 10, 1000));
        assert_true(l1_counters(l1)->all.bytes <= 200000);
        assert_true(has(l1, "hot"));
    }
    assert_true(l1_counters(l1)->all.evicted > 4500);
    assert_true(l1_counters(l1)->standings <= 50);
    assert_false(put(l1, "huge", 1, 10, 150000));
    l1_free(&l1);
}

/* ---- values of the second cache ---- */

static struct crypto_key key_of(const char *secret)
{
    struct crypto_key key;

    crypto_derive(&key, slice_of(secret), "test");
    return key;
}

static void test_a_value_comes_back(void **state)
{
    const struct crypto_key key = key_of("a");
    struct l2_value value = {.status = 404,
                             .until_ms = 1800000000123,
                             .made_ms = 1800000000001,
                             .took_ms = 17,
                             .lsn = INT64_C(1) << 40 | 5},
                    back;
    struct slice brotli;
    struct buf body, bytes, found;
    char name[L2_NAME_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < L2_TAGS; i++)
        memset(value.nonces[i].bytes, 'a' + (int)i, L2_NONCE_SIZE);
    l2_name(&key, SLICE("1 2"), SLICE("query"), name);
    assert_int_equal(strlen(name), L2_NAME_SIZE);
    const size_t sizes[] = {0, 1, 300, 20000, L2_BODY_BYTES_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        buf_init(&body, L2_BODY_BYTES_MAX);
        while (body.size < sizes[i])
            buf_append_byte(&body, (char)('a' + body.size % 7));
        assert_true(l2_encode(&key, name, &value, buf_slice(&body), &bytes));
        assert_true(sizes[i] < 300 || bytes.size < sizes[i] / 2);
        assert_true(l2_decode(&key, name, buf_slice(&bytes), &back, &found, &brotli));
        assert_int_equal(found.size, sizes[i]);
        assert_true(sizes[i] == 0 || memcmp(found.data, body.data, sizes[i]) == 0);
        assert_int_equal(back.status, 404);
        assert_int_equal(back.until_ms, value.until_ms);
        assert_int_equal(back.made_ms, value.made_ms);
        assert_int_equal(back.took_ms, 17);
        assert_int_equal(back.lsn, value.lsn);
        assert_true(sizes[i] < 300 ? brotli.size < 300 : brotli.size > 0 && brotli.size < sizes[i] / 2);
        assert_memory_equal(back.nonces, value.nonces, sizeof(value.nonces));
        buf_done(&found);
        buf_done(&bytes);
        buf_done(&body);
    }
    buf_init(&body, L2_BODY_BYTES_MAX + 1);
    while (body.size <= L2_BODY_BYTES_MAX)
        buf_append_byte(&body, 'x');
    assert_false(l2_encode(&key, name, &value, buf_slice(&body), &bytes));
    buf_done(&bytes);
    buf_done(&body);
}

static void test_nothing_else_is_a_value(void **state)
{
    const struct crypto_key key = key_of("a"), other_key = key_of("b");
    const struct l2_value value = {.status = 200, .until_ms = 1, .took_ms = 1};
    struct l2_value back;
    struct buf bytes, found;
    struct slice brotli;
    char name[L2_NAME_SIZE + 1], other[L2_NAME_SIZE + 1];

    (void)state;
    /* Where the scope ends and the query begins is part of the name; so is the secret. */
    l2_name(&key, SLICE("ab"), SLICE("c"), name);
    l2_name(&key, SLICE("a"), SLICE("bc"), other);
    assert_string_not_equal(name, other);
    l2_name(&other_key, SLICE("ab"), SLICE("c"), other);
    assert_string_not_equal(name, other);
    assert_true(l2_encode(&key, name, &value, SLICE("{\"entries\": []}"), &bytes));
    assert_false(l2_decode(&key, other, buf_slice(&bytes), &back, &found, &brotli));
    assert_false(l2_decode(&other_key, name, buf_slice(&bytes), &back, &found, &brotli));
    for (size_t size = 0; size < bytes.size; size++)
        assert_false(l2_decode(&key, name, (struct slice){bytes.data, size}, &back, &found, &brotli));
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(l2_decode(&key, name, buf_slice(&bytes), &back, &found, &brotli));
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(l2_decode(&key, name, buf_slice(&bytes), &back, &found, &brotli));
    buf_done(&found);
    buf_done(&bytes);
}

static void test_early_refresh(void **state)
{
    const struct l2_value value = {.until_ms = 100000, .took_ms = 100};
    int due = 0;

    (void)state;
    assert_false(l2_is_due(&value, 99999, 1.0));
    assert_true(l2_is_due(&value, 100000, 1.0));
    /* 230 ms before the end, one in ten: took * -ln(0.1). */
    for (int i = 1; i <= 10000; i++)
        due += l2_is_due(&value, 100000 - 230, i / 10000.0);
    assert_in_range(due, 990, 1010);
    assert_false(l2_is_due(&value, 0, 1.0 / 4294967296.0)); /* never ten minutes before */
    assert_int_equal(l2_ttl_ms(1000, 1.0), 800);
    assert_in_range(l2_ttl_ms(1000, 1.0 / 4294967296.0), 999, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_answer_outlives_its_truth),
        cmocka_unit_test(test_the_recent_past_is_exact),
        cmocka_unit_test(test_a_full_stack_forgets_no_rank),
        cmocka_unit_test(test_a_gap_forgets_all),
        cmocka_unit_test(test_entries_hold_until_they_are_touched),
        cmocka_unit_test(test_a_fetch_of_an_older_era_makes_no_entry),
        cmocka_unit_test(test_answers_come_in_any_order),
        cmocka_unit_test(test_memory_is_bounded_and_what_is_asked_for_stays),
        cmocka_unit_test(test_a_value_comes_back),
        cmocka_unit_test(test_nothing_else_is_a_value),
        cmocka_unit_test(test_early_refresh),
    };

    return crypto_start() ? cmocka_run_group_tests_name("cache", tests, NULL, NULL) : 1;
}
