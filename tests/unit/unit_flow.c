/* What waits for a connection: whose turn it is (store/submit_flow.h). */
#include "unit.h"

#include "store/submit_flow.h"
#include "store/submit_private.h"

enum { BATCH = 128 };

/* `count` items of a new group; the number of the first goes on from *next. */
static struct group *add(struct flows *flows, int64_t game, enum flow_kind kind, size_t count, bool is_claimed)
{
    struct group *group = calloc(1, sizeof(*group));
    struct item *items = NULL, **tail = &items;

    group->has_claim = is_claimed;
    group->context = group;
    group->left = count;
    group->claim.key[0] = (uint8_t)(count % 256); /* for the check of the order */
    group->claim.key[1] = (uint8_t)(count / 256);
    for (size_t i = 0; i < count; i++) {
        struct item *item = calloc(1, sizeof(*item));
        item->group = group;
        item->index = i;
        item->submission.board.game_id = game;
        *tail = item;
        tail = &item->next;
    }
    flows_add(flows, game, kind, items);
    return group;
}

struct taken {
    enum flow_kind kind;
    size_t count;
    size_t games[8];  /* how many of each */
    size_t first[8];  /* where its first one stands; SIZE_MAX: none */
    bool is_in_order; /* within each group */
};

static void item_done(struct item *item)
{
    if (--item->group->left == 0)
        free(item->group);
    free(item);
}

static struct taken batch(struct flows *flows, size_t max)
{
    struct taken taken = {.is_in_order = true};
    struct item *item;
    const struct group *last = NULL;

    for (int i = 0; i < 8; i++)
        taken.first[i] = SIZE_MAX;
    taken.kind = flows_begin(flows);
    while ((item = flows_next(flows, taken.kind)) && (taken.count < max || (last && last == item->group))) {
        int64_t game = item->submission.board.game_id;
        flows_take(flows, taken.kind);
        if (taken.first[game] == SIZE_MAX)
            taken.first[game] = taken.count;
        taken.games[game]++;
        taken.count++;
        /* What is left of a group says how many came before. */
        last = item->group->has_claim && item->group->left > 1 ? item->group : NULL;
        taken.is_in_order =
            taken.is_in_order &&
            item->index == item->group->claim.key[0] + 256U * item->group->claim.key[1] - item->group->left;
        item_done(item);
    }
    flows_end(flows, taken.kind, false);
    return taken;
}

static void drain(struct flows *flows)
{
    while (flows_count(flows) > 0)
        assert_true(batch(flows, BATCH).is_in_order);
    assert_null(flows->by_name);
}

static void test_one_passes_thousands(void **state)
{
    struct flows flows;

    (void)state;
    flows_init(&flows);
    for (int i = 0; i < 5000; i++)
        add(&flows, 1, KIND_SINGLE, 1, false);
    add(&flows, 2, KIND_SINGLE, 1, false);
    struct taken taken = batch(&flows, BATCH);
    assert_int_equal(taken.games[2], 1);
    assert_true(taken.first[2] <= 16);
    assert_int_equal(taken.count, BATCH);
    assert_int_equal(flows_count_of(&flows, 1, KIND_SINGLE), 5001 - BATCH);
    drain(&flows);
}

static void test_games_share(void **state)
{
    struct flows flows;
    size_t sums[4] = {0};

    (void)state;
    flows_init(&flows);
    for (int64_t game = 1; game <= 3; game++)
        add(&flows, game, KIND_BULK, 1000, false);
    for (int i = 0; i < 6; i++) {
        struct taken taken = batch(&flows, BATCH);
        for (int game = 1; game <= 3; game++)
            sums[game] += taken.games[game];
    }
    for (int game = 1; game <= 3; game++)
        assert_in_range(sums[game], 6 * BATCH / 3 - 16, 6 * BATCH / 3 + 16);
    drain(&flows);
}

static void test_a_claimed_group_is_whole_and_pays(void **state)
{
    struct flows flows;

    (void)state;
    flows_init(&flows);
    add(&flows, 1, KIND_BULK, 1000, true);
    add(&flows, 1, KIND_BULK, 1000, true);
    add(&flows, 2, KIND_BULK, 1900, false);
    struct taken taken = batch(&flows, BATCH);
    assert_int_equal(taken.games[1], 1000);
    size_t second = 0;
    do
        taken = batch(&flows, BATCH);
    while (taken.games[1] == 0 && (second += taken.games[2]) < 5000);
    assert_int_equal(taken.games[1], 1000);
    assert_in_range(second + taken.games[2], 900, 1150);
    drain(&flows);
}

static void test_kinds_take_turns(void **state)
{
    struct flows flows;

    (void)state;
    flows_init(&flows);
    add(&flows, 1, KIND_BULK, 1000, false);
    assert_int_equal(batch(&flows, BATCH).kind, KIND_BULK);
    add(&flows, 1, KIND_SINGLE, 1, false);
    assert_true(flows_are_full(&flows, BATCH));
    struct taken taken = batch(&flows, BATCH);
    assert_int_equal(taken.kind, KIND_SINGLE);
    assert_int_equal(taken.count, 1);
    assert_int_equal(batch(&flows, BATCH).kind, KIND_BULK);
    drain(&flows);
    assert_false(flows_are_full(&flows, 1));
}

static void test_a_batch_of_a_kind_that_is_asked_for(void **state)
{
    struct flows flows;

    (void)state;
    flows_init(&flows);
    add(&flows, 1, KIND_BULK, 1000, false);
    assert_false(flows_wait(&flows, KIND_SINGLE));
    add(&flows, 2, KIND_SINGLE, 1, false);
    assert_true(flows_wait(&flows, KIND_SINGLE));
    assert_int_equal(flows_begin_kind(&flows, KIND_SINGLE), KIND_SINGLE);
    struct item *item = flows_next(&flows, KIND_SINGLE);
    assert_non_null(item);
    flows_take(&flows, KIND_SINGLE);
    item_done(item);
    assert_null(flows_next(&flows, KIND_SINGLE));
    flows_end(&flows, KIND_SINGLE, false);
    assert_int_equal(batch(&flows, BATCH).kind, KIND_BULK);
    drain(&flows);
}

static void test_suspects_are_of_one_game(void **state)
{
    struct flows flows;

    (void)state;
    flows_init(&flows);
    for (int i = 0; i < 200; i++)
        for (int64_t game = 1; game <= 3; game++)
            add(&flows, game, KIND_SUSPECT, 1, false);
    for (int64_t game = 1; game <= 3; game++) {
        struct taken taken = batch(&flows, BATCH);
        assert_int_equal(taken.kind, KIND_SUSPECT);
        assert_int_equal(taken.games[game], BATCH);
        assert_int_equal(taken.count, BATCH);
    }
    assert_int_equal(batch(&flows, BATCH).games[1], 200 - BATCH);
    drain(&flows);
}

static void test_groups_are_withdrawn(void **state)
{
    struct flows flows;

    (void)state;
    flows_init(&flows);
    struct group *first = add(&flows, 1, KIND_BULK, 100, false), *second = add(&flows, 1, KIND_BULK, 100, false);
    assert_ptr_equal(flows_group(&flows, second), second);
    assert_true(flows_withdraw(&flows, second, 100));
    free(second);
    assert_int_equal(flows_count(&flows), 100);
    assert_int_equal(batch(&flows, 40).games[1], 40);
    assert_false(flows_withdraw(&flows, first, 100)); /* some of it is on its way */
    assert_int_equal(flows_count(&flows), 60);
    struct group *third = add(&flows, 1, KIND_BULK, 5, false);
    drain(&flows);
    assert_null(flows_group(&flows, third));
}

/* Whatever comes: each item is taken once, those of a group in order, and a claimed group in one batch. */
static void test_random_groups(void **state)
{
    struct flows flows;
    uint64_t seed = 1;
    size_t added = 0, taken = 0;

    (void)state;
    flows_init(&flows);
    for (int i = 0; i < 3000; i++) {
        if (unit_random(&seed) % 2) {
            size_t count = unit_random(&seed) % 3 ? 1 + unit_random(&seed) % 300 : 1;
            add(&flows, (int64_t)(unit_random(&seed) % 8), (enum flow_kind)(unit_random(&seed) % KIND_COUNT), count,
                unit_random(&seed) % 2);
            added += count;
        } else if (flows_count(&flows) > 0) {
            struct taken one = batch(&flows, 1 + unit_random(&seed) % BATCH);
            assert_true(one.is_in_order && one.count > 0);
            taken += one.count;
        }
        assert_int_equal(flows_count(&flows), added - taken);
    }
    drain(&flows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_passes_thousands),
        cmocka_unit_test(test_games_share),
        cmocka_unit_test(test_a_claimed_group_is_whole_and_pays),
        cmocka_unit_test(test_kinds_take_turns),
        cmocka_unit_test(test_a_batch_of_a_kind_that_is_asked_for),
        cmocka_unit_test(test_suspects_are_of_one_game),
        cmocka_unit_test(test_groups_are_withdrawn),
        cmocka_unit_test(test_random_groups),
    };

    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
