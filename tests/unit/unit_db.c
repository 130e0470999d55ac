#include "unit.h"

#include "db/array.h"
#include "db/breaker.h"
#include "db/budget.h"
#include "db/choice.h"
#include "db/history.h"
#include "db/lag.h"
#include "db/latency.h"
#include "db/leader.h"
#include "db/line.h"
#include "db/outlier.h"
#include "db/random.h"
#include "db/statements.h"

static void test_arrays_have_the_wire_form(void **context)
{
    static const uint8_t wanted[] = {0,    0,    0,    1,    0,    0,    0,    1,    0,    0,    0,    20,
                                     0,    0,    0,    2,    0,    0,    0,    1,    0,    0,    0,    8,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff};
    struct db_array array;

    (void)context;
    db_array_init(&array, DB_INT8, 1000);
    struct db_parameter empty = db_array_parameter(&array);
    assert_int_equal(empty.size, 12);
    assert_int_equal(empty.data[3], 0);
    db_array_done(&array);
    db_array_init(&array, DB_INT8, 1000);
    db_array_int8(&array, -2);
    db_array_null(&array);
    struct db_parameter parameter = db_array_parameter(&array);
    assert_int_equal(parameter.size, sizeof(wanted));
    assert_memory_equal(parameter.data, wanted, sizeof(wanted));
    db_array_done(&array);
}

static void test_every_statement_has_a_text(void **context)
{
    (void)context;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        assert_true(strlen(statement_name((enum statement)i)) > 0 && strlen(statement_name((enum statement)i)) < 64);
        assert_true(strlen(statement_text((enum statement)i)) > 10);
    }
}

/* ---- choice ---- */

enum { SERVERS = 3, ROUNDS = 10000 };

static void candidates_fill(struct choice_candidate *candidates, int *credits)
{
    for (int i = 0; i < SERVERS; i++)
        candidates[i] = (struct choice_candidate){
            .id = i, .name = (uint64_t)i * 7919 + 1, .weight = 1, .cost = 1.0, .credit = &credits[i]};
}

/* How often each was chosen; the candidates are made anew each time, as the router does. */
static void shares_count(enum choice_by by, const struct choice_candidate *servers, int count, int *shares)
{
    uint64_t random = 88172645463325252ULL;
    unsigned turn = 0;

    for (int i = 0; i < SERVERS; i++)
        shares[i] = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct choice_candidate candidates[SERVERS];
        for (int s = 0; s < count; s++)
            candidates[s] = servers[s];
        int chosen = choice_make(by, candidates, count, 0, unit_random(&random), &turn);
        assert_in_range(chosen, 0, count - 1);
        shares[candidates[chosen].id]++;
    }
}

static void test_choice_by_turns(void **context)
{
    struct choice_candidate servers[SERVERS];
    int credits[SERVERS] = {0}, shares[SERVERS];

    (void)context;
    candidates_fill(servers, credits);
    shares_count(CHOICE_ROUND_ROBIN, servers, SERVERS, shares);
    for (int i = 0; i < SERVERS; i++)
        assert_in_range(shares[i], ROUNDS / SERVERS, ROUNDS / SERVERS + 1);
    servers[1] = servers[2]; /* one is away: the others share */
    shares_count(CHOICE_ROUND_ROBIN, servers, 2, shares);
    assert_int_equal(shares[0], ROUNDS / 2);
    assert_int_equal(shares[2], ROUNDS / 2);
}

static void test_choice_by_weight(void **context)
{
    struct choice_candidate servers[SERVERS];
    int credits[SERVERS] = {0}, shares[SERVERS];

    (void)context;
    candidates_fill(servers, credits);
    servers[0].weight = 5;
    servers[1].weight = 3;
    servers[2].weight = 2;
    shares_count(CHOICE_WEIGHTED, servers, SERVERS, shares);
    assert_int_equal(shares[0], ROUNDS / 2);
    assert_int_equal(shares[1], 3 * ROUNDS / 10);
    assert_int_equal(shares[2], ROUNDS / 5);
    shares_count(CHOICE_LATENCY, servers, SERVERS, shares); /* draws by weight, where nothing else tells them apart */
    assert_true(shares[0] > shares[1] && shares[1] > shares[2]);
}

static void test_choice_by_load(void **context)
{
    struct choice_candidate servers[SERVERS];
    int credits[SERVERS] = {0};
    unsigned turn = 0;

    (void)context;
    candidates_fill(servers, credits);
    servers[0].in_flight = 4;
    servers[1].in_flight = 3;
    servers[2].in_flight = 5;
    assert_int_equal(choice_make(CHOICE_LEAST_CONNECTIONS, servers, SERVERS, 0, 0, &turn), 1);
    servers[2].weight = 2; /* 2.5 for its weight */
    for (int i = 0; i < 5; i++)
        assert_int_equal(choice_make(CHOICE_LEAST_CONNECTIONS, servers, SERVERS, 0, 0, &turn), 2);
}

static void test_choice_by_client(void **context)
{
    struct choice_candidate servers[SERVERS], fewer[2];
    int credits[SERVERS] = {0}, shares[SERVERS] = {0}, moved = 0;
    unsigned turn = 0;

    (void)context;
    candidates_fill(servers, credits);
    fewer[0] = servers[0];
    fewer[1] = servers[2];
    for (uint64_t client = 1; client <= ROUNDS; client++) {
        int chosen = choice_make(CHOICE_CLIENT_HASH, servers, SERVERS, client, 0, &turn);
        assert_int_equal(chosen, choice_make(CHOICE_CLIENT_HASH, servers, SERVERS, client, 1, &turn));
        shares[chosen]++;
        int then = fewer[choice_make(CHOICE_CLIENT_HASH, fewer, 2, client, 0, &turn)].id;
        moved += chosen != 1 && then != chosen;
    }
    assert_int_equal(moved, 0); /* only the clients of the one that went */
    for (int i = 0; i < SERVERS; i++)
        assert_in_range(shares[i], ROUNDS / SERVERS * 95 / 100, ROUNDS / SERVERS * 105 / 100);
}

static void test_choice_by_latency(void **context)
{
    struct choice_candidate servers[SERVERS];
    int credits[SERVERS] = {0}, shares[SERVERS];

    (void)context;
    candidates_fill(servers, credits);
    servers[1].cost = 1000.0;
    shares_count(CHOICE_LATENCY, servers, SERVERS, shares);
    assert_int_equal(shares[1], 0); /* whoever it is drawn with is better */
    assert_in_range(shares[0], ROUNDS * 45 / 100, ROUNDS * 55 / 100);
}

static void test_choice_stays_near(void **context)
{
    static const enum choice_by all[] = {CHOICE_ROUND_ROBIN, CHOICE_LEAST_CONNECTIONS, CHOICE_WEIGHTED,
                                         CHOICE_CLIENT_HASH, CHOICE_LATENCY};
    struct choice_candidate servers[SERVERS];
    int credits[SERVERS] = {0}, shares[SERVERS];

    (void)context;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        candidates_fill(servers, credits);
        servers[1].is_near = true;
        servers[1].cost = 1e9;
        servers[1].in_flight = 100;
        shares_count(all[i], servers, SERVERS, shares);
        assert_int_equal(shares[1], ROUNDS);
    }
}

/* ---- breaker, budget, latency, lag ---- */

enum { MS = 1000, SECOND = 1000000 };

static void test_random_fills_the_unit(void **context)
{
    enum { COUNT = 10000, PARTS = 10 };
    uint64_t state = 1;
    int parts[PARTS] = {0};

    (void)context;
    for (int i = 0; i < COUNT; i++) {
        double number = random_unit(&state);
        assert_true(number >= 0.0 && number < 1.0 && state != 0);
        parts[(int)(number * PARTS)]++;
    }
    for (int i = 0; i < PARTS; i++)
        assert_in_range(parts[i], COUNT / PARTS * 9 / 10, COUNT / PARTS * 11 / 10);
}

static void test_breaker(void **context)
{
    const struct breaker_limits limits = {.failures = 3, .pause_ms = 1000, .pause_max_ms = 5000};
    struct breaker breaker = {0};
    int64_t now = 1000 * (int64_t)SECOND;

    (void)context;
    assert_false(breaker_failed(&breaker, &limits, false, 0.5, now));
    assert_false(breaker_failed(&breaker, &limits, false, 0.5, now));
    breaker_succeeded(&breaker, false, now); /* not in a row */
    assert_false(breaker_failed(&breaker, &limits, false, 0.5, now));
    assert_false(breaker_failed(&breaker, &limits, false, 0.5, now));
    assert_true(breaker_allows(&breaker, now));
    assert_true(breaker_failed(&breaker, &limits, false, 0.5, now));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_allows(&breaker, now + 999 * MS));
    breaker_succeeded(&breaker, false, now); /* of a call from before */
    assert_int_equal(breaker.state, BREAKER_OPEN);
    /* One trial, which fails: twice the pause, up to the most. */
    static const int64_t pauses_ms[] = {1000, 2000, 4000, 5000, 5000};
    for (int i = 0; i < 5; i++) {
        now += pauses_ms[i] * MS;
        assert_false(breaker_allows(&breaker, now - 1));
        assert_true(breaker_allows(&breaker, now));
        assert_true(breaker_begin(&breaker, now));
        assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
        assert_false(breaker_allows(&breaker, now));
        assert_false(breaker_begin(&breaker, now));
        assert_true(breaker_failed(&breaker, &limits, true, 0.5, now));
    }
    now += 5 * SECOND;
    assert_true(breaker_begin(&breaker, now));
    breaker_succeeded(&breaker, true, now);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_false(breaker_begin(&breaker, now));
    /* Soon again: the pause goes on growing. After a minute of health it begins anew. */
    breaker_trip(&breaker, &limits, 0.5, now + SECOND);
    assert_int_equal(breaker.until_us, now + 6 * (int64_t)SECOND);
    assert_true(breaker_begin(&breaker, now + 6 * (int64_t)SECOND));
    breaker_succeeded(&breaker, true, now + 6 * (int64_t)SECOND);
    breaker_trip(&breaker, &limits, 0.5, now + 70 * (int64_t)SECOND);
    assert_int_equal(breaker.until_us, now + 71 * (int64_t)SECOND);
}

static void test_budget(void **context)
{
    struct budget budget;
    int64_t now = SECOND;
    int taken = 0;

    (void)context;
    budget_init(&budget, now);
    while (budget_take(&budget, now))
        taken++;
    assert_int_equal(taken, BUDGET_START);
    for (int i = 0; i < 1005; i++)
        budget_deposit(&budget, 10);
    for (taken = 0; budget_take(&budget, now); taken++)
        ;
    assert_int_equal(taken, 100);                    /* a tenth of them */
    assert_true(budget_take(&budget, now + SECOND)); /* in quiet times too */
    for (taken = 1; budget_take(&budget, now + SECOND); taken++)
        ;
    assert_int_equal(taken, BUDGET_PER_S);
    for (int i = 0; i < 1000000; i++)
        budget_deposit(&budget, 10);
    for (taken = 0; budget_take(&budget, now + SECOND); taken++)
        ;
    assert_int_equal(taken, BUDGET_MAX);
}

static void test_latency(void **context)
{
    struct latency latency = {0};
    int64_t now = SECOND;

    (void)context;
    for (int i = 0; i < 100; i++)
        latency_note(&latency, 1000, now += 100 * MS);
    assert_float_equal((float)latency_at(&latency, now), 1000.0f, 1.0f);
    latency_note(&latency, 50000, now); /* at once */
    assert_float_equal((float)latency_at(&latency, now), 50000.0f, 1.0f);
    assert_float_equal((float)latency_at(&latency, now + LATENCY_DECAY_US), 18394.0f, 10.0f);
    for (int i = 0; i < 50; i++)
        latency_note(&latency, 1000, now += 100 * MS);
    assert_true(latency_at(&latency, now) > 15000.0 &&
                latency_at(&latency, now) < 20000.0); /* one time constant later */
    latency = (struct latency){1000.0, now};
    assert_true(latency_cost(&latency, 3, 0, now) > latency_cost(&latency, 2, 0, now));
    assert_true(latency_cost(&latency, 0, SECOND, now) > latency_cost(&latency, 100, 0, now)); /* it hangs */
}

static void test_outlier(void **context)
{
    /* The second takes 200 ms, the others 1 and 3. */
    struct outlier_sum servers[4] = {{1000, 1000 * MS}, {50, 10 * SECOND}, {1000, 3 * SECOND}, {0, 0}};
    int64_t limit_us = 0;

    (void)context;
    assert_int_equal(outlier_find(servers, 4, 5, 50 * MS, &limit_us), 1);
    assert_int_equal(limit_us, 50 * MS);
    assert_int_equal(outlier_find(servers, 4, 100, 50 * MS, &limit_us), 1);
    assert_int_equal(limit_us, 100 * MS); /* of the others' middle, the smaller one */
    assert_int_equal(outlier_find(servers, 4, 5, 200 * MS, &limit_us), -1);
    assert_int_equal(outlier_find(servers, 4, 200, 50 * MS, &limit_us), -1);
    assert_int_equal(outlier_find(servers, 4, 0, 50 * MS, &limit_us), -1); /* switched off */
    servers[0] = servers[2] = (struct outlier_sum){OUTLIER_ANSWERS_MIN - 1, 0};
    assert_int_equal(outlier_find(servers, 4, 5, 50 * MS, &limit_us), -1); /* beside whom? */
    servers[0] = (struct outlier_sum){1000, 1000 * MS};
    servers[1] = (struct outlier_sum){OUTLIER_ANSWERS_MIN - 1, 10 * SECOND};
    assert_int_equal(outlier_find(servers, 4, 5, 50 * MS, &limit_us), -1); /* one slow answer is none */
    /* Two are slow: one at a time, the worse first. */
    servers[1] = (struct outlier_sum){50, 10 * SECOND};
    servers[2] = (struct outlier_sum){50, 20 * SECOND};
    servers[3] = (struct outlier_sum){50, 50 * MS};
    assert_int_equal(outlier_find(servers, 4, 5, 50 * MS, &limit_us), 2);
    servers[2] = (struct outlier_sum){0, 0};
    assert_int_equal(outlier_find(servers, 4, 5, 50 * MS, &limit_us), 1);
    assert_int_equal(outlier_find(servers, 0, 5, 50 * MS, &limit_us), -1);
    assert_int_equal(outlier_find(servers, 1, 5, 50 * MS, &limit_us), -1);
}

static void test_outlier_windows(void **context)
{
    struct outlier_window windows[2] = {0};
    struct outlier_sum sums[2];
    int64_t now = 0, limit_us = 0;
    int found = -1;

    (void)context;
    for (int i = 1; i < OUTLIER_ANSWERS_MIN; i++)
        outlier_note(&windows[0], MS);
    assert_int_equal(outlier_look(&windows[0], now).count, 0);
    outlier_note(&windows[0], MS);
    assert_int_equal(outlier_look(&windows[0], now).took_us, OUTLIER_ANSWERS_MIN * MS);
    assert_int_equal(outlier_look(&windows[0], now + OUTLIER_AGE_MAX_US).took_us, OUTLIER_ANSWERS_MIN * MS);
    assert_int_equal(outlier_look(&windows[0], now + OUTLIER_AGE_MAX_US + 1).count, 0);
    /* Callers who ask the two in turn, one at a time: both windows fill slowly, and never in the same look. */
    for (int i = 0; found < 0 && i < 2 * OUTLIER_ANSWERS_MIN; i++) {
        for (int one = 0; one < 2; one++) {
            outlier_note(&windows[one], one ? SECOND : MS);
            sums[0] = outlier_look(&windows[0], now += SECOND / 2);
            sums[1] = outlier_look(&windows[1], now);
            found = outlier_find(sums, 2, 5, 50 * MS, &limit_us);
        }
    }
    assert_int_equal(found, 1);
    assert_int_equal(sums[1].count, OUTLIER_ANSWERS_MIN);
}

static void test_lag(void **context)
{
    struct lag lag = {0};
    int64_t now = 0;

    (void)context;
    assert_int_equal(lag_us(&lag, 0, now), 0);
    lag_note(&lag, 100, now = SECOND);
    lag_note(&lag, 200, now = 2 * SECOND);
    assert_int_equal(lag_us(&lag, 200, 100 * (int64_t)SECOND), 0); /* an idle primary makes nobody late */
    assert_int_equal(lag_us(&lag, 150, 5 * SECOND), 3 * SECOND);
    assert_int_equal(lag_us(&lag, 50, 5 * SECOND), 4 * SECOND);
    assert_int_equal(lag_bytes(&lag, 150), 50);
    assert_int_equal(lag_bytes(&lag, 250), 0);
    for (int i = 3; i < 10000; i++)
        lag_note(&lag, i * 100, i * (int64_t)SECOND);
    /* What was long ago is known less exactly, what was just now exactly. */
    assert_int_equal(lag_us(&lag, 9998 * 100, 9999 * (int64_t)SECOND), 0);
    int64_t lag_s = lag_us(&lag, 5000 * 100, 9999 * (int64_t)SECOND) / SECOND;
    assert_true(lag_s > 4000 && lag_s < 5000);
    lag_forget(&lag);
    assert_int_equal(lag_us(&lag, 0, now), 0);
}

/* ---- who leads ---- */

static const struct leader_candidate away = {0};

static struct leader_candidate standby(void)
{
    return (struct leader_candidate){.is_known = true, .is_standby = true, .cluster = 77, .start_us = 5};
}

static struct leader_candidate primary(int timeline, int64_t start_us)
{
    return (struct leader_candidate){.is_known = true, .timeline = timeline, .cluster = 77, .start_us = start_us};
}

static void test_leader_after_a_failover(void **context)
{
    struct leader_history history = {0};
    enum leader_fault faults[3];

    (void)context;
    struct leader_candidate servers[3] = {standby(), standby(), standby()};
    assert_int_equal(leader_elect(servers, 3, -1, &history, faults), -1);
    assert_true(faults[0] == LEADER_FINE && faults[1] == LEADER_FINE &&
                history.cluster == 0); /* whose they are is not known yet */
    servers[0] = primary(1, 1);
    assert_int_equal(leader_elect(servers, 3, -1, &history, faults), 0);
    servers[0] = away; /* it stays while nobody took its place */
    assert_int_equal(leader_elect(servers, 3, 0, &history, faults), 0);
    servers[1] = primary(2, 2);
    assert_int_equal(leader_elect(servers, 3, 0, &history, faults), 1);
    servers[0] = primary(1, 3); /* back, and does not know */
    assert_int_equal(leader_elect(servers, 3, 1, &history, faults), 1);
    assert_int_equal(faults[0], LEADER_REPLACED);
    servers[1] = away; /* even alone it gets no write */
    assert_int_equal(leader_elect(servers, 3, 1, &history, faults), 1);
    assert_int_equal(faults[0], LEADER_REPLACED);
    assert_int_equal(leader_elect(servers, 3, -1, &history, faults), -1);
    servers[0] = standby(); /* made a standby of the new one */
    servers[1] = primary(2, 2);
    assert_int_equal(leader_elect(servers, 3, 1, &history, faults), 1);
    assert_int_equal(faults[0], LEADER_FINE);
    servers[1] = standby(); /* one that was demoted leads no more */
    assert_int_equal(leader_elect(servers, 3, 1, &history, faults), -1);
}

static void test_leader_twins_and_strangers(void **context)
{
    struct leader_history history = {0};
    enum leader_fault faults[3];

    (void)context;
    struct leader_candidate servers[3] = {primary(1, 1), standby(), primary(1, 1)};
    assert_int_equal(leader_elect(servers, 3, -1, &history, faults), 0); /* one server under two names */
    assert_int_equal(leader_elect(servers, 3, 2, &history, faults), 2);
    servers[2] = primary(1, 9);
    assert_int_equal(leader_elect(servers, 3, 0, &history, faults), -1);
    assert_true(faults[0] == LEADER_TWIN && faults[2] == LEADER_TWIN && faults[1] == LEADER_FINE);
    servers[2].cluster = 88;
    servers[2].timeline = 5;
    assert_int_equal(leader_elect(servers, 3, 0, &history, faults), 0);
    assert_int_equal(faults[2], LEADER_FOREIGN);
    /* Another cluster in place of ours, and its standby. */
    servers[0] = away;
    servers[1].cluster = 88;
    assert_int_equal(leader_elect(servers, 3, 0, &history, faults), 2);
    assert_true(faults[1] == LEADER_FINE && history.cluster == 88 && history.timeline == 5);
}

static void test_history_by_epoch(void **context)
{
    (void)context;
    history_enter(3);
    history_raise(3, 500);
    history_raise(3, 400);
    assert_int_equal(history_lsn(3), 500);
    history_enter(4);
    assert_int_equal(history_lsn(4), 0);
    history_raise(4, 20);
    history_enter(4); /* another loop comes to it later */
    assert_int_equal(history_lsn(4), 20);
    assert_int_equal(history_lsn(3), 500);
    history_enter(11); /* the place of 3 */
    assert_int_equal(history_lsn(11), 0);
}

/* ---- lines ---- */

static void test_lines(void **context)
{
    struct db_line lines[DB_SERVERS_MAX];
    struct error error;
    int count = 0;

    (void)context;
    assert_true(db_line_parse("postgresql://u@h/d", "primary", lines, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(lines[0].name, "primary");
    assert_string_equal(lines[0].conninfo, "postgresql://u@h/d");
    assert_true(lines[0].weight == 1 && lines[0].connections == 0 && lines[0].connections_min == -1 &&
                !lines[0].is_pooled);
    assert_true(
        db_line_parse(" name=eu-2  zone=eu weight=3 connections=8 connections_min=0 pooled=yes host=h port=6432", "x",
                      lines, &count, &error));
    assert_string_equal(lines[1].name, "eu-2");
    assert_string_equal(lines[1].zone, "eu");
    assert_string_equal(lines[1].conninfo, "host=h port=6432");
    assert_true(lines[1].weight == 3 && lines[1].connections == 8 && lines[1].connections_min == 0 &&
                lines[1].is_pooled);
    assert_true(
        db_line_parse("postgresql://u:p%27w@a:1,b:2/d?target_session_attrs=read-write", "all", lines, &count, &error));
    assert_int_equal(count, 4);
    assert_string_equal(lines[2].name, "all-1");
    assert_string_equal(lines[3].name, "all-2");
    assert_non_null(strstr(lines[3].conninfo, "host='b'"));
    assert_non_null(strstr(lines[3].conninfo, "port='2'"));
    assert_non_null(strstr(lines[3].conninfo, "password='p\\'w'"));
    assert_null(strstr(lines[3].conninfo, "target_session_attrs"));
    static const char *const wrong[] = {"weight=0 host=h",
                                        "weight=1001 host=h",
                                        "name= host=h",
                                        "name=a/b host=h",
                                        "pooled=perhaps host=h",
                                        "connections=0 host=h",
                                        "hots=h",
                                        "name=eu-2 host=h",
                                        "postgresql://[h",
                                        "zone=123456789012345678901234567890123 host=h"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(db_line_parse(wrong[i], "y", lines, &count, &error));
    assert_int_equal(count, 4);
    count = 0;
    assert_false(db_line_parse("host=h password=secret frob=1", "y", lines, &count, &error));
    assert_null(strstr(error.message, "secret"));
    for (int i = 0; i < DB_SERVERS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        assert_true(db_line_parse("host=h", name, lines, &count, &error));
    }
    assert_false(db_line_parse("host=h", "more", lines, &count, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays_have_the_wire_form),
        cmocka_unit_test(test_every_statement_has_a_text),
        cmocka_unit_test(test_choice_by_turns),
        cmocka_unit_test(test_choice_by_weight),
        cmocka_unit_test(test_choice_by_load),
        cmocka_unit_test(test_choice_by_client),
        cmocka_unit_test(test_choice_by_latency),
        cmocka_unit_test(test_choice_stays_near),
        cmocka_unit_test(test_random_fills_the_unit),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_outlier),
        cmocka_unit_test(test_outlier_windows),
        cmocka_unit_test(test_lag),
        cmocka_unit_test(test_leader_after_a_failover),
        cmocka_unit_test(test_leader_twins_and_strangers),
        cmocka_unit_test(test_history_by_epoch),
        cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
