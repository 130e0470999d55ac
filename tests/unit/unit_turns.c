#include "unit.h"

#include "base/assert.h"
#include "base/turns.h"

enum { WORKS_MAX = 4096 };

static struct turns *turns;
static struct turn works[WORKS_MAX];
static int game_of[WORKS_MAX], client_of[WORKS_MAX];
static int64_t had[8], in_flight[8], client_had[8];
static size_t started[WORKS_MAX], start_count;

static void started_one(struct turn *turn)
{
    size_t at = (size_t)(turn - works);

    started[start_count++ % WORKS_MAX] = at;
    had[game_of[at]] += turn->cost;
    client_had[client_of[at]] += turn->cost;
    in_flight[game_of[at]] += turn->cost;
}

static enum turns_answer ask(size_t at, int game, int client, int64_t cost)
{
    works[at] = (struct turn){.go = started_one, .cost = cost};
    game_of[at] = game;
    client_of[at] = client;
    enum turns_answer answer = turns_ask(turns, &works[at], game, (uint64_t)client);
    if (answer == TURN_GO)
        started_one(&works[at]);
    return answer;
}

static void end(size_t at)
{
    in_flight[game_of[at]] -= works[at].cost;
    turns_end(turns, &works[at]);
}

static int begin(void **context)
{
    const struct turns_settings settings = {
        .in_flight_max = 100, .game_max = 60, .client_max = 40, .waiting_max = 1000};

    (void)context;
    memset(had, 0, sizeof(had));
    memset(client_had, 0, sizeof(client_had));
    memset(in_flight, 0, sizeof(in_flight));
    start_count = 0;
    turns = turns_new(&settings);
    return 0;
}

static int over(void **context)
{
    (void)context;
    assert_int_equal(turns_in_flight(turns), 0);
    assert_int_equal(turns_waiting(turns), 0);
    turns_free(&turns);
    return 0;
}

static void test_what_fits_starts_at_once(void **context)
{
    (void)context;
    assert_int_equal(ask(0, 1, 1, 40), TURN_GO);
    assert_int_equal(ask(1, 1, 1, 1), TURN_WAITS); /* the client */
    assert_int_equal(ask(2, 1, 2, 20), TURN_GO);   /* the game is full */
    assert_int_equal(ask(3, 1, 3, 1), TURN_WAITS);
    assert_int_equal(ask(4, 2, 1, 40), TURN_GO); /* all is full */
    assert_int_equal(ask(5, 3, 1, 1), TURN_WAITS);
    end(4);
    assert_int_equal(started[start_count - 1], 5);
    end(2);
    assert_int_equal(started[start_count - 1], 3);
    end(5);
    end(3);
    end(0);
    assert_int_equal(started[start_count - 1], 1);
    end(1);
}

static void test_what_is_larger_than_a_limit_goes_alone(void **context)
{
    (void)context;
    assert_int_equal(ask(0, 1, 1, 500), TURN_GO);
    assert_int_equal(ask(1, 2, 1, 1), TURN_WAITS);
    assert_int_equal(ask(2, 3, 1, 500), TURN_WAITS);
    end(0);
    assert_int_equal(start_count, 2);
    end(1);
    assert_int_equal(start_count, 3);
    end(2);
}

static void test_who_waits_for_room_is_not_overtaken(void **context)
{
    (void)context;
    assert_int_equal(ask(0, 1, 1, 40), TURN_GO);
    assert_int_equal(ask(1, 2, 1, 40), TURN_GO);
    assert_int_equal(ask(2, 3, 1, 30), TURN_WAITS);
    for (size_t i = 3; i < 20; i++)
        assert_int_equal(ask(i, 4, 1, 1), TURN_WAITS);
    end(0);
    assert_int_equal(started[2], 2);
    for (size_t i = 1; i < 20; i++)
        end(i);
}

static void test_leaving_the_queue(void **context)
{
    (void)context;
    assert_int_equal(ask(0, 1, 1, 40), TURN_GO);
    assert_int_equal(ask(1, 1, 1, 40), TURN_WAITS);
    assert_int_equal(ask(2, 1, 1, 40), TURN_WAITS);
    turns_end(turns, &works[1]);
    end(0);
    assert_int_equal(started[1], 2);
    end(2);
}

static void test_too_many_of_a_game(void **context)
{
    (void)context;
    assert_int_equal(ask(0, 1, 1, 60), TURN_GO);
    for (size_t i = 1; i <= 1000; i++)
        assert_int_equal(ask(i, 1, (int)(i % 5), 1), TURN_WAITS);
    assert_int_equal(ask(1001, 1, 7, 1), TURN_REFUSED);
    assert_int_equal(ask(1002, 2, 1, 1), TURN_GO);
    end(1002);
    for (size_t i = 0; i <= 1000; i++)
        end(i);
}

/* Three games of which one asks for ten times as much, in pieces of other sizes: while all wait, each gets its third. */
static void test_shares_are_equal(void **context)
{
    uint64_t state = 5;
    size_t ended = 0, count = 0;

    (void)context;
    for (; count < 1500; count++) {
        int game = unit_random(&state) % 12 < 10 ? 1 : 2 + (int)(unit_random(&state) % 2);
        int64_t cost = game == 1 ? 30 : 1 + (int64_t)(unit_random(&state) % 7);
        if (ask(count, game, game == 1 ? 5 + (int)(count % 2) : game, cost) == TURN_REFUSED)
            break;
    }
    int64_t before[4] = {0, had[1], had[2], had[3]};
    int64_t waiting_of[4] = {0};
    for (size_t i = 0; i < count; i++)
        waiting_of[game_of[i]] += works[i].is_in_flight ? 0 : works[i].cost;
    int64_t until = waiting_of[2] < waiting_of[3] ? waiting_of[2] : waiting_of[3];
    while (had[2] - before[2] < until * 9 / 10 && had[3] - before[3] < until * 9 / 10)
        end(started[ended++]);
    for (int game = 1; game < 4; game++)
        assert_in_range((uintmax_t)(had[game] - before[game]), (uintmax_t)(until * 9 / 10 - 60),
                        (uintmax_t)(until + 60));
    /* The two clients of the greedy one, too. */
    assert_in_range((uintmax_t)(client_had[5] - client_had[6] + 60), 0, 120);
    while (ended < start_count)
        end(started[ended++]);
    assert_int_equal(start_count, count);
}

static void test_no_limit_is_ever_passed(void **context)
{
    uint64_t state = 11;
    static bool is_there[WORKS_MAX];
    size_t refused = 0;

    (void)context;
    memset(is_there, 0, sizeof(is_there));
    for (int step = 0; step < 200000; step++) {
        size_t at = unit_random(&state) % 400;
        if (!is_there[at]) {
            is_there[at] = ask(at, (int)(unit_random(&state) % 6), (int)(unit_random(&state) % 4),
                               1 + (int64_t)(unit_random(&state) % 40)) != TURN_REFUSED;
            refused += !is_there[at];
        } else if (works[at].is_in_flight) {
            end(at);
            is_there[at] = false;
        } else if (unit_random(&state) % 50 == 0) {
            turns_end(turns, &works[at]);
            is_there[at] = false;
        }
        int64_t sum = 0;
        for (int game = 0; game < 6; game++) {
            assert_true(in_flight[game] <= 60);
            sum += in_flight[game];
        }
        assert_true(sum <= 100);
        assert_int_equal(sum, turns_in_flight(turns));
        assert_true(sum > 60 || turns_waiting(turns) == 0 || sum > 0);
    }
    assert_int_equal(refused, 0);
    for (bool is_any = true; is_any;) {
        is_any = false;
        for (size_t at = 0; at < 400; at++)
            if (is_there[at] && works[at].is_in_flight) {
                end(at);
                is_there[at] = false;
                is_any = true;
            }
    }
}

/* What ends as soon as it starts starts the next one without a deeper stack. */
static void ends_at_once(struct turn *turn)
{
    start_count++;
    turns_end(turns, turn);
}

static void test_what_ends_at_once(void **context)
{
    (void)context;
    assert_int_equal(ask(0, 1, 1, 60), TURN_GO);
    for (size_t i = 1; i < 1000; i++) {
        assert_int_equal(ask(i, 1, 1, 1), TURN_WAITS);
        works[i].go = ends_at_once;
    }
    end(0);
    assert_int_equal(start_count, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_fits_starts_at_once, begin, over),
        cmocka_unit_test_setup_teardown(test_what_is_larger_than_a_limit_goes_alone, begin, over),
        cmocka_unit_test_setup_teardown(test_who_waits_for_room_is_not_overtaken, begin, over),
        cmocka_unit_test_setup_teardown(test_leaving_the_queue, begin, over),
        cmocka_unit_test_setup_teardown(test_too_many_of_a_game, begin, over),
        cmocka_unit_test_setup_teardown(test_shares_are_equal, begin, over),
        cmocka_unit_test_setup_teardown(test_no_limit_is_ever_passed, begin, over),
        cmocka_unit_test_setup_teardown(test_what_ends_at_once, begin, over),
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
