#include "unit.h"

#include "base/assert.h"
#include "base/text.h"
#include "board/board.h"
#include "board/cursor.h"
#include "board/key_id.h"
#include "board/sums.h"
#include "board/token.h"

/* Numbers that are likely to break something: the ends, the neighbours of powers of two, small and random ones. */
static int64_t odd_number(uint64_t *state)
{
    static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    uint64_t pick = unit_random(state) % 4;

    if (pick == 0)
        return ends[unit_random(state) % 7];
    if (pick == 1)
        return (int64_t)((1ULL << unit_random(state) % 64) + unit_random(state) % 5 - 2);
    if (pick == 2)
        return (int64_t)(unit_random(state) % 16) - 8;
    return (int64_t)unit_random(state);
}

static size_t member(const struct sort_key *key, const char *player, size_t size, uint8_t *out)
{
    size_t key_size = sort_key_encode(key, out);

    memcpy(out + key_size, player, size);
    return key_size + size;
}

static int bytes_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

/* A million pairs: the bytes' order is the definition, and the double never contradicts it. */
static void test_order_of_bytes_is_the_definition(void **context)
{
    uint64_t state = 88172645463325252ULL;

    (void)context;
    for (int i = 0; i < 1000000; i++) {
        struct sort_key keys[2];
        char players[2][8];
        size_t sizes[2];
        uint8_t bytes[2][MEMBER_MAX];
        for (int k = 0; k < 2; k++) {
            keys[k] = (struct sort_key){odd_number(&state), odd_number(&state), odd_number(&state)};
            if (k == 1 && unit_random(&state) % 2)
                keys[1].k1 = keys[0].k1;
            if (k == 1 && unit_random(&state) % 2)
                keys[1].k2 = keys[0].k2;
            if (k == 1 && unit_random(&state) % 2)
                keys[1].k3 = keys[0].k3;
            sizes[k] = 1 + unit_random(&state) % 7;
            for (size_t c = 0; c < sizes[k]; c++)
                players[k][c] =
                    (char)(unit_random(&state) % 3 ? 'a' + (char)(unit_random(&state) % 2) : (char)unit_random(&state));
        }
        struct slice a = {players[0], sizes[0]}, b = {players[1], sizes[1]};
        int wanted = sign(sort_key_compare(&keys[0], a, &keys[1], b));
        size_t a_size = member(&keys[0], players[0], sizes[0], bytes[0]),
               b_size = member(&keys[1], players[1], sizes[1], bytes[1]);
        assert_int_equal(sign(bytes_compare(bytes[0], a_size, bytes[1], b_size)), wanted);
        if (keys[0].k1 < keys[1].k1)
            assert_true((double)keys[0].k1 <= (double)keys[1].k1);
        struct sort_key back;
        size_t size;
        assert_true(sort_key_decode((struct slice){(char *)bytes[0], a_size}, &back, &size));
        assert_memory_equal(&back, &keys[0], sizeof(back));
        assert_int_equal(a_size - size, sizes[0]);
    }
}

static void test_only_our_coding_decodes(void **context)
{
    static const char *const bad[] = {"",
                                      "\x81",
                                      "\x81\x00\x80\x80",
                                      "\x89zzzzzzzzz\x80\x80",
                                      "\x7e\xff\x80\x80",
                                      "\x00\x80\x80",
                                      "\x80\x80",
                                      "\x88\xff\xff\xff\xff\xff\xff\xff\xff\x80\x80"};
    static const size_t sizes[] = {0, 1, 4, 12, 4, 3, 2, 11};
    struct sort_key key;
    size_t size;

    (void)context;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_false(sort_key_decode((struct slice){bad[i], sizes[i]}, &key, &size));
}

static void test_score_text_is_the_nearest_double(void **context)
{
    uint64_t state = 1234567;
    char text[SORT_KEY_SCORE_TEXT_MAX];

    (void)context;
    for (int i = 0; i < 100000; i++) {
        int64_t value = odd_number(&state);
        size_t size = sort_key_score_text(value, text);
        assert_int_equal(size, strlen(text));
        assert_true(strtod(text, NULL) == (double)value);
    }
}

static void test_board_key_goes_both_ways(void **context)
{
    uint64_t state = 99;

    (void)context;
    for (int i = 0; i < 100000; i++) {
        struct board board = {.ordering = unit_random(&state) % 2 ? ORDER_ASC : ORDER_DESC,
                              .tie = unit_random(&state) % 2 ? TIE_LAST : TIE_FIRST};
        int64_t score = odd_number(&state), subscore = odd_number(&state), at = odd_number(&state);
        struct sort_key key = board_key(&board, score, subscore, at);
        assert_true(board_score(&board, &key) == score && board_subscore(&board, &key) == subscore &&
                    board_achieved_us(&board, &key) == at);
        /* A better score has the smaller key. */
        if (score < INT64_MAX) {
            struct sort_key more = board_key(&board, score + 1, subscore, at);
            assert_int_equal(sort_key_compare(&more, SLICE("p"), &key, SLICE("p")),
                             board.ordering == ORDER_DESC ? -1 : 1);
        }
        if (at < INT64_MAX) {
            struct sort_key later = board_key(&board, score, subscore, at + 1);
            assert_int_equal(sort_key_compare(&later, SLICE("p"), &key, SLICE("p")), board.tie == TIE_LAST ? -1 : 1);
        }
    }
}

static void test_names_and_players(void **context)
{
    struct error error;

    (void)context;
    assert_true(name_is_valid(SLICE("a")) && name_is_valid(SLICE("A9._-z")));
    assert_false(name_is_valid(SLICE("")) || name_is_valid(SLICE("-a")) || name_is_valid(SLICE(".a")) ||
                 name_is_valid(SLICE("a/b")) || name_is_valid(SLICE("a b")) || name_is_valid(SLICE("\xc3\xbc")));
    char long_name[66];
    memset(long_name, 'x', sizeof(long_name));
    assert_true(name_is_valid((struct slice){long_name, 64}));
    assert_false(name_is_valid((struct slice){long_name, 65}));
    assert_true(player_check((struct slice){long_name, 64}, "player", &error));
    assert_false(player_check((struct slice){long_name, 65}, "player", &error));
    assert_true(player_check(SLICE("\xe6\x97\xa5 / ?"), "player", &error));
    assert_false(player_check(SLICE("a\nb"), "player", &error) || player_check(SLICE("a\xc2\x85"), "player", &error) ||
                 player_check(SLICE("\xff"), "player", &error) || player_check(SLICE(""), "player", &error));
    assert_string_equal(error.field, "player");
    assert_true(player_check(SLICE("."), "player", &error) && player_check(SLICE(".."), "player", &error));
}

static void test_windows_by_schedule(void **context)
{
    struct board board = {.schedule_names = {"weekend", "", "lunch-2"}};
    char name[SCHEDULE_NAME_BYTES_MAX + 1];
    enum window window;

    (void)context;
    memset(name, 'x', sizeof(name));
    assert_true(schedule_name_is_valid(SLICE("a")) && schedule_name_is_valid(SLICE("a_9-")));
    assert_true(schedule_name_is_valid((struct slice){name, sizeof(name) - 1}));
    assert_false(schedule_name_is_valid((struct slice){name, sizeof(name)}));
    static const char *const wrong[] = {"",    "A",      "9",        "-a",         "a b",         "a|b",
                                        "a,b", "hourly", "previous", "scheduled_", "scheduled_1", "\xc3\xbc"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(schedule_name_is_valid(slice_of(wrong[i])));
    assert_true(window_name_is_valid(SLICE("hourly")) && window_name_is_valid(SLICE("weekend")));
    assert_false(window_name_is_valid(SLICE("scheduled_1")));
    /* What SQL calls a window callers do not. */
    assert_true(window_parse(SLICE("scheduled_3"), &window) && window == WINDOW_SCHEDULED + 2);
    assert_string_equal(window_name(window), "scheduled_3");
    assert_string_equal(board_window_name(&board, window), "lunch-2");
    assert_string_equal(board_window_name(&board, WINDOW_DAILY), "daily");
    assert_true(board_window_parse(&board, SLICE("weekend"), &window) && window == WINDOW_SCHEDULED);
    assert_true(board_window_parse(&board, SLICE("all"), &window) && window == WINDOW_ALL);
    assert_false(board_window_parse(&board, SLICE("scheduled_1"), &window) ||
                 board_window_parse(&board, SLICE(""), &window) || board_window_parse(&board, SLICE("lunch"), &window));
}

static void test_percentiles(void **context)
{
    (void)context;
    assert_true(percentile_of(1, 1) == 100 && percentile_of(1, 5) == 100 && percentile_of(5, 5) == 0 &&
                percentile_of(3, 5) == 50);
    for (int64_t total = 1; total < 50; total++)
        for (int64_t rank = 1; rank <= total; rank++) {
            double percentile = percentile_of(rank, total);
            int64_t wanted = total == 1 ? 1 : rank;
            assert_int_equal(percentile_rank(percentile + (rank == 1 ? 0 : 1e-9), total), wanted);
            assert_int_equal(percentile_rank(percentile - (rank == total ? 0 : 1e-9), total), wanted);
            if (rank > 1) /* between two: the better one has it */
                assert_int_equal(percentile_rank(percentile + 0.01, total), rank - 1);
        }
}

static void test_facets(void **context)
{
    static const char *const good[] = {"a", "country", "a_1", "abcdefghijklmnopqrstuvwxyz012345"};
    static const char *const bad[] = {"", "A", "1a", "_a", "a-b", "a:b", "abcdefghijklmnopqrstuvwxyz0123456"};
    const struct board board = {.facets = {{"country", 17}, {"clan", INT64_MAX}}, .facet_count = 2};
    char key[FACET_KEY_MAX], longest[FACET_VALUE_BYTES_MAX + 8] = "clan:";
    struct error error;

    (void)context;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(facet_name_is_valid(slice_of(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(facet_name_is_valid(slice_of(bad[i])));
    assert_true(board_facet_key(&board, SLICE("country:BR"), key, &error));
    assert_string_equal(key, "17:BR");
    assert_true(board_facet_key(&board, SLICE("clan:a:b"), key, &error));
    assert_string_equal(key, "9223372036854775807:a:b");
    memset(longest + 5, 'x', FACET_VALUE_BYTES_MAX);
    assert_true(board_facet_key(&board, slice_of(longest), key, &error));
    assert_int_equal(strlen(key), 19 + 1 + FACET_VALUE_BYTES_MAX);
    longest[5 + FACET_VALUE_BYTES_MAX] = 'x';
    static const char *const none[] = {"",           "country",   "country:",     ":BR",
                                       "Country:BR", "countr:BR", "country:\x01", "country:\xff"};
    assert_false(board_facet_key(&board, slice_of(longest), key, &error));
    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        assert_false(board_facet_key(&board, slice_of(none[i]), key, &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        assert_string_equal(error.field, "facet");
    }
}

static struct cursor sample_cursor(uint64_t *state)
{
    struct cursor cursor = {.board_id = odd_number(state),
                            .period_id = odd_number(state),
                            .period_start_us = odd_number(state),
                            .period_end_us = odd_number(state),
                            .window = (enum window)(unit_random(state) % WINDOW_COUNT),
                            .key = {odd_number(state), odd_number(state), odd_number(state)},
                            .k1_max = odd_number(state)};
    cursor.player_size = 1 + unit_random(state) % PLAYER_BYTES_MAX;
    for (size_t i = 0; i < cursor.player_size; i++)
        cursor.player[i] = (char)unit_random(state);
    size_t facet_size = unit_random(state) % 3 ? 0 : unit_random(state) % FACET_TEXT_MAX;
    for (size_t i = 0; i < facet_size; i++)
        cursor.facet[i] = (char)(1 + unit_random(state) % 255);
    cursor.has_view = true;
    cursor.view = (struct cursor_view){.ranking = (enum ranking)(unit_random(state) % (RANKING_DENSE + 1)),
                                       .limit = 1 + (int)(unit_random(state) % CURSOR_LIMIT_MAX),
                                       .subscore = unit_random(state) % 2,
                                       .achieved_at = unit_random(state) % 2,
                                       .metadata = unit_random(state) % 2,
                                       .percentile = unit_random(state) % 2,
                                       .total = unit_random(state) % 2,
                                       .integers_as_strings = unit_random(state) % 2,
                                       .source = unit_random(state) % 2};
    return cursor;
}

/* Texts of versions 1 and 2, made when those were current: clients and bookmarks keep cursors. */
static void test_cursors_of_older_versions_are_read(void **context)
{
    static const char *const texts[] = {
        "AQMAAAAAAAAABwAAAAAAAAAIAAAAAAAPQkAAAAAAAB6EgP_________7AAAAAAAAAAAAAAAAAAAAA3__________YW5uzjWgkHeor8apV--Rd3V6eQ",
        "AgMAAAAAAAAABwAAAAAAAAAIAAAAAAAPQkAAAAAAAB6EgP_________7AAAAAAAAAAAAAAAAAAAAA3__________CmNvdW50cnk6QlJhbm4cWArjx0_eCwl922SWsJs_"};
    struct crypto_key key;
    struct error error;

    (void)context;
    crypto_derive(&key, SLICE("a secret of ours"), "cursor");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct cursor cursor;
        assert_true(cursor_decode(slice_of(texts[i]), &key, &cursor, &error));
        assert_true(!cursor.has_view && cursor.board_id == 7 && cursor.period_id == 8 && cursor.k1_max == INT64_MAX);
        assert_true(cursor.window == WINDOW_DAILY && cursor.key.k1 == -5);
        assert_true(cursor.player_size == 3 && memcmp(cursor.player, "ann", 3) == 0);
        assert_string_equal(cursor.facet, i == 0 ? "" : "country:BR");
    }
}

static void test_cursors_come_back_and_can_not_be_forged(void **context)
{
    struct crypto_key key, other;
    uint64_t state = 4242;
    struct error error;

    (void)context;
    crypto_derive(&key, SLICE("a secret of ours"), "cursor");
    crypto_derive(&other, SLICE("a secret of theirs"), "cursor");
    for (int i = 0; i < 2000; i++) {
        struct cursor cursor = sample_cursor(&state), back;
        char text[CURSOR_TEXT_MAX];
        size_t size = cursor_encode(&cursor, &key, text);
        assert_true(cursor_decode((struct slice){text, size}, &key, &back, &error));
        assert_true(back.board_id == cursor.board_id && back.period_id == cursor.period_id &&
                    back.k1_max == cursor.k1_max && back.window == cursor.window &&
                    back.period_start_us == cursor.period_start_us && back.period_end_us == cursor.period_end_us);
        assert_memory_equal(&back.key, &cursor.key, sizeof(back.key));
        assert_int_equal(back.player_size, cursor.player_size);
        assert_memory_equal(back.player, cursor.player, cursor.player_size);
        assert_string_equal(back.facet, cursor.facet);
        assert_true(back.has_view);
        assert_true(back.view.ranking == cursor.view.ranking && back.view.limit == cursor.view.limit);
        assert_true(back.view.subscore == cursor.view.subscore && back.view.achieved_at == cursor.view.achieved_at);
        assert_true(back.view.metadata == cursor.view.metadata && back.view.percentile == cursor.view.percentile);
        assert_true(back.view.total == cursor.view.total && back.view.source == cursor.view.source);
        assert_true(back.view.integers_as_strings == cursor.view.integers_as_strings);
        assert_false(cursor_decode((struct slice){text, size}, &other, &back, &error));
        assert_int_equal(error.code, ERROR_INVALID_CURSOR);
        size_t at = unit_random(&state) % size;
        text[at] = text[at] == 'A' ? 'B' : 'A';
        assert_false(cursor_decode((struct slice){text, size}, &key, &back, &error));
        assert_false(cursor_decode((struct slice){text, unit_random(&state) % size}, &key, &back, &error));
    }
}

static void test_tokens_of_format_2_are_taken(void **context)
{
    enum { SIZE = 26 };
    uint8_t bytes[SIZE + CRYPTO_MAC_SIZE] = {2, 1, 0, 0, 0, 7, 0, 0, 0, 3, [17] = 5, [25] = 9};
    struct crypto_key key;
    struct token back;
    struct error error;
    char text[TOKEN_TEXT_MAX];

    (void)context;
    assert_true(crypto_start());
    crypto_derive(&key, SLICE("a secret of ours"), "token");
    crypto_mac(&key, (struct slice){(const char *)bytes, SIZE}, bytes + SIZE);
    size_t size = text_base64url_encode(bytes, sizeof(bytes), text);
    assert_true(token_decode((struct slice){text, size}, &key, &back, &error));
    assert_true(back.epoch == 7 && back.timeline == 3 && back.lsn == 5 && back.version == 9 && back.is_applied);
    assert_int_equal(back.committed_us, 0);
    bytes[0] = 3; /* of another format than its size says */
    crypto_mac(&key, (struct slice){(const char *)bytes, SIZE}, bytes + SIZE);
    size = text_base64url_encode(bytes, sizeof(bytes), text);
    assert_false(token_decode((struct slice){text, size}, &key, &back, &error));
}

static void test_tokens_come_back_and_can_not_be_forged(void **context)
{
    struct crypto_key key;
    struct error error;
    struct token token = {.epoch = 7, .timeline = 3, .lsn = 0x123456789abcLL, .is_applied = true, .committed_us = 99},
                 back;
    char text[TOKEN_TEXT_MAX];

    (void)context;
    crypto_derive(&key, SLICE("a secret of ours"), "token");
    size_t size = token_encode(&token, &key, text);
    assert_true(token_decode((struct slice){text, size}, &key, &back, &error));
    assert_true(back.epoch == 7 && back.timeline == 3 && back.lsn == token.lsn && back.is_applied &&
                back.committed_us == 99);
    for (size_t i = 0; i < size; i++) {
        char kept = text[i];
        text[i] = kept == 'A' ? 'B' : 'A';
        assert_false(token_decode((struct slice){text, size}, &key, &back, &error));
        text[i] = kept;
    }
    assert_false(token_decode(SLICE(""), &key, &back, &error));
}

static void test_ids_of_keys_are_signed(void **context)
{
    struct key_secret secret, other;
    char id[KEY_ID_MAX] = "0123456789ABCDEFGHIJ", parsed[KEY_ID_MAX];

    (void)context;
    for (size_t i = 0; i < sizeof(secret.bytes); i++)
        other.bytes[i] = secret.bytes[i] = (uint8_t)i;
    other.bytes[31] ^= 1;
    assert_false(key_id_has_mac(id) || key_id_verify(&secret, id));
    key_id_sign(&secret, id);
    /* Computed with Python's hmac. */
    assert_string_equal(id, "0123456789ABCDEFGHIJ3TY6WweJPnZ");
    assert_true(key_id_has_mac(id) && key_id_verify(&secret, id));
    assert_false(key_id_verify(&other, id));
    for (size_t i = 0; i < KEY_ID_SIGNED_DIGITS; i++) {
        char kept = id[i];
        id[i] = kept == 'x' ? 'y' : 'x';
        assert_true(key_id_has_mac(id));
        assert_false(key_id_verify(&secret, id));
        id[i] = kept;
    }
    id[KEY_ID_SIGNED_DIGITS - 1] = 0;
    assert_false(key_id_has_mac(id) || key_id_verify(&secret, id));

    static const char *const good[] = {"lk_a_", "lk_a_secret", "lk_0123456789ABCDEFGHIJabcdefghijk_s_t"};
    static const char *const bad[] = {"",
                                      "lk_",
                                      "lk__",
                                      "lk__x",
                                      "lk_a",
                                      "LK_a_x",
                                      "xk_a_x",
                                      "lk_a-b_x",
                                      "lk_é_x",
                                      "lk_ab c",
                                      "lk_0123456789ABCDEFGHIJabcdefghijkl_s"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(key_id_parse(slice_of(good[i]), parsed));
        assert_memory_equal(parsed, good[i] + 3, strlen(parsed));
        assert_true(good[i][3 + strlen(parsed)] == '_');
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(key_id_parse(slice_of(bad[i]), parsed));
    assert_false(key_id_parse((struct slice){"lk_a\0b_x", 8}, parsed));
    char text[129];
    memset(text, 'a', sizeof(text));
    memcpy(text, "lk_a_", 5);
    assert_true(key_id_parse((struct slice){text, 128}, parsed));
    assert_false(key_id_parse((struct slice){text, 129}, parsed));
}

/* Computed with Python's whole numbers; of the mean and the deviation, halves go away from zero. */
static void test_sums(void **state)
{
    static const struct {
        int64_t scores[3];
        int count;
        const char *total, *mean, *deviation;
    } cases[] = {
        {{7}, 1, "7", "7.000000", "0.000000"},
        {{-1, 0}, 2, "-1", "-0.500000", "0.500000"},
        {{1, 0, 0}, 3, "1", "0.333333", "0.471405"},
        {{-1, 0, 0}, 3, "-1", "-0.333333", "0.471405"},
        {{90, 150, 170}, 3, "410", "136.666667", "33.993463"},
        {{INT64_MIN, INT64_MIN, INT64_MIN}, 3, "-27670116110564327424", "-9223372036854775808.000000", "0.000000"},
        {{INT64_MIN, INT64_MAX}, 2, "-1", "-0.500000", "9223372036854775807.500000"},
        {{INT64_MAX, INT64_MAX, INT64_MIN},
         3,
         "9223372036854775806",
         "3074457345618258602.000000",
         "8695878550221854807.761643"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sums sums = {0}, complement = {0}, again;
        char text[SUMS_TEXT_MAX];
        uint8_t bytes[SUMS_SIZE];
        for (int n = 0; n < cases[i].count; n++) {
            sums_add(&sums, cases[i].scores[n]);
            sums_add(&complement, ~cases[i].scores[n]);
        }
        assert_int_equal(sums_total_text(&sums, text), strlen(cases[i].total));
        assert_string_equal(text, cases[i].total);
        sums_mean_text(&sums, cases[i].count, text);
        assert_string_equal(text, cases[i].mean);
        sums_deviation_text(&sums, cases[i].count, text);
        assert_string_equal(text, cases[i].deviation);
        sums_complement(&complement, cases[i].count);
        assert_true(complement.total == sums.total);
        assert_memory_equal(complement.squares, sums.squares, sizeof(sums.squares));
        sums_encode(&sums, bytes);
        assert_true(sums_decode((struct slice){(char *)bytes, sizeof(bytes)}, &again));
        assert_true(again.total == sums.total);
        assert_memory_equal(again.squares, sums.squares, sizeof(sums.squares));
        assert_false(sums_decode((struct slice){(char *)bytes, sizeof(bytes) - 1}, &again));
    }
    uint8_t bytes[SUMS_SIZE] = {0};
    struct sums none;
    assert_true(sums_decode((struct slice){(char *)bytes, sizeof(bytes)}, &none));
    for (size_t i = 12; i < SUMS_SIZE; i += 24) { /* what no numbers add up to: 2^96, a square of 2^160 */
        bytes[i] = 1;
        assert_false(sums_decode((struct slice){(char *)bytes, sizeof(bytes)}, &none));
        bytes[i] = 0;
    }
    /* The most that there can be: 2^32 times the lowest. */
    struct sums most = {.total = (sums_total)INT64_MIN * ((int64_t)1 << 32),
                        .squares = {0, 0, 1LL << (126 + 32 - 128)}};
    char text[SUMS_TEXT_MAX];
    sums_mean_text(&most, (int64_t)1 << 32, text);
    assert_string_equal(text, "-9223372036854775808.000000");
    sums_deviation_text(&most, (int64_t)1 << 32, text);
    assert_string_equal(text, "0.000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_bytes_is_the_definition),
        cmocka_unit_test(test_only_our_coding_decodes),
        cmocka_unit_test(test_score_text_is_the_nearest_double),
        cmocka_unit_test(test_board_key_goes_both_ways),
        cmocka_unit_test(test_names_and_players),
        cmocka_unit_test(test_windows_by_schedule),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_facets),
        cmocka_unit_test(test_cursors_of_older_versions_are_read),
        cmocka_unit_test(test_cursors_come_back_and_can_not_be_forged),
        cmocka_unit_test(test_ids_of_keys_are_signed),
        cmocka_unit_test(test_tokens_of_format_2_are_taken),
        cmocka_unit_test(test_tokens_come_back_and_can_not_be_forged),
    };

    return crypto_start() ? cmocka_run_group_tests_name("board", tests, NULL, NULL) : 1;
}
