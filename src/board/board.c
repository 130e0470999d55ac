#include "board/board.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

static const char *const order_names[] = {"desc", "asc"};
static const char *const operator_names[] = {"best", "last", "sum"};
static const char *const tie_names[] = {"first", "last"};
static const char *const window_names[] = {"all",         "monthly",     "weekly",      "daily",      "hourly",
                                           "scheduled_1", "scheduled_2", "scheduled_3", "scheduled_4"};
_Static_assert(ARRAY_SIZE(window_names) == WINDOW_COUNT && (int)WINDOW_SCHEDULED + SCHEDULES_MAX == WINDOW_COUNT,
               "a kind for each schedule");
static const char *const ranking_names[] = {"ordinal", "competition", "dense"};
static const char *const commit_level_names[] = {"default", "local", "remote_write", "on", "remote_apply"};
static const char *const scope_names[] = {"none", "read", "write", "admin"};

static bool find(struct slice text, const char *const *names, size_t count, int *ret_index)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(text, names[i])) {
            *ret_index = (int)i;
            return true;
        }
    return false;
}

#define PARSER(function, type, names)                                                                                  \
    bool function(struct slice text, type *ret_value)                                                                  \
    {                                                                                                                  \
        int index;                                                                                                     \
        if (!find(text, names, ARRAY_SIZE(names), &index))                                                             \
            return false;                                                                                              \
        *ret_value = (type)index;                                                                                      \
        return true;                                                                                                   \
    }
PARSER(score_order_parse, enum score_order, order_names)
PARSER(score_operator_parse, enum score_operator, operator_names)
PARSER(tie_rule_parse, enum tie_rule, tie_names)
PARSER(window_parse, enum window, window_names)
PARSER(ranking_parse, enum ranking, ranking_names)
PARSER(commit_level_parse, enum commit_level, commit_level_names)
#undef PARSER

bool scope_parse(struct slice text, enum scope *ret_scope)
{
    int index;

    if (!find(text, scope_names, ARRAY_SIZE(scope_names), &index) || index == SCOPE_NONE)
        return false;
    *ret_scope = (enum scope)index;
    return true;
}

const char *score_order_name(enum score_order order)
{
    return order_names[order];
}

const char *score_operator_name(enum score_operator operator)
{
    return operator_names[operator];
}

const char *tie_rule_name(enum tie_rule tie)
{
    return tie_names[tie];
}

const char *window_name(enum window window)
{
    return window_names[window];
}

const char *commit_level_name(enum commit_level level)
{
    return commit_level_names[level];
}

const char *scope_name(enum scope scope)
{
    return scope_names[scope];
}

enum { STALENESS_MS_MAX = 3600000, AGE_S_MAX = 31536000 };

const struct board_caching_field board_caching_fields[BOARD_CACHING_COUNT] = {
    {"max_staleness_ms", offsetof(struct board_caching, max_staleness_ms), STALENESS_MS_MAX},
    {"max_age_s", offsetof(struct board_caching, max_age_s), AGE_S_MAX},
    {"stale_while_revalidate_s", offsetof(struct board_caching, stale_while_revalidate_s), AGE_S_MAX},
    {"stale_if_error_s", offsetof(struct board_caching, stale_if_error_s), AGE_S_MAX},
    {"edge_max_age_s", offsetof(struct board_caching, edge_max_age_s), AGE_S_MAX},
};

int64_t *board_caching_value(struct board_caching *caching, int field)
{
    return (int64_t *)((char *)caching + board_caching_fields[field].offset);
}

int64_t board_caching_get(const struct board_caching *caching, int field)
{
    return *(const int64_t *)((const char *)caching + board_caching_fields[field].offset);
}

bool name_is_valid(struct slice name)
{
    if (name.size < 1 || name.size > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

bool player_check(struct slice player, const char *field, struct error *error)
{
    if (player.size < 1 || player.size > PLAYER_BYTES_MAX)
        return error_set_field(error, ERROR_INVALID_PARAMETER, field, "a player id has 1 to %d bytes, not %zu",
                               PLAYER_BYTES_MAX, player.size);
    if (!text_is_utf8(player))
        return error_set_field(error, ERROR_INVALID_PARAMETER, field, "a player id is UTF-8");
    if (text_has_control(player))
        return error_set_field(error, ERROR_INVALID_PARAMETER, field, "a player id has no control characters");
    return true;
}

bool facet_name_is_valid(struct slice name)
{
    if (name.size < 1 || name.size > FACET_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_letter = c >= 'a' && c <= 'z';
        if (!is_letter && (i == 0 || ((c < '0' || c > '9') && c != '_')))
            return false;
    }
    return true;
}

bool facet_value_check(struct slice value, const char *field, struct error *error)
{
    if (value.size < 1 || value.size > FACET_VALUE_BYTES_MAX)
        return error_set_field(error, ERROR_INVALID_PARAMETER, field, "a facet's value has 1 to %d bytes, not %zu",
                               FACET_VALUE_BYTES_MAX, value.size);
    if (!text_is_utf8(value) || text_has_control(value))
        return error_set_field(error, ERROR_INVALID_PARAMETER, field,
                               "a facet's value is UTF-8 without control characters");
    return true;
}

bool board_facet_key(const struct board *board, struct slice text, char ret_key[static FACET_KEY_MAX],
                     struct error *error)
{
    const char *colon = memchr(text.data, ':', text.size);

    if (!colon)
        return error_set_field(error, ERROR_INVALID_PARAMETER, "facet",
                               "must be a facet of the board, a colon and a value, as in country:BR");
    struct slice name = {text.data, (size_t)(colon - text.data)};
    struct slice value = {colon + 1, text.size - name.size - 1};
    if (!facet_value_check(value, "facet", error))
        return false;
    for (int i = 0; i < board->facet_count; i++)
        if (slice_is(name, board->facets[i].name)) {
            snprintf(ret_key, FACET_KEY_MAX, "%lld:%.*s", (long long)board->facets[i].id, (int)value.size, value.data);
            return true;
        }
    return error_set_field(error, ERROR_INVALID_PARAMETER, "facet", "the board has no facet \"%.*s\"",
                           name.size < FACET_NAME_BYTES_MAX ? (int)name.size : FACET_NAME_BYTES_MAX, name.data);
}

bool board_has_window(const struct board *board, enum window window)
{
    for (int i = 0; i < board->window_count; i++)
        if (board->windows[i] == window)
            return true;
    return false;
}

static bool is_kind(struct slice text, enum window *ret_window)
{
    return window_parse(text, ret_window) && *ret_window < WINDOW_SCHEDULED;
}

const char *board_window_name(const struct board *board, enum window window)
{
    return window < WINDOW_SCHEDULED ? window_names[window] : board->schedule_names[window - WINDOW_SCHEDULED];
}

bool board_window_parse(const struct board *board, struct slice text, enum window *ret_window)
{
    enum window window;

    if (is_kind(text, &window)) {
        *ret_window = window;
        return true;
    }
    for (int i = 0; text.size > 0 && i < SCHEDULES_MAX; i++)
        if (slice_is(text, board->schedule_names[i])) {
            *ret_window = (enum window)((int)WINDOW_SCHEDULED + i);
            return true;
        }
    return false;
}

bool schedule_name_is_valid(struct slice name)
{
    static const char *const reserved[] = {"all", "monthly", "weekly", "daily", "hourly", "current", "previous"};
    int index;

    if (name.size < 1 || name.size > SCHEDULE_NAME_BYTES_MAX || find(name, reserved, ARRAY_SIZE(reserved), &index) ||
        (name.size >= 10 && memcmp(name.data, "scheduled_", 10) == 0))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_letter = c >= 'a' && c <= 'z';
        if (!is_letter && (i == 0 || ((c < '0' || c > '9') && c != '_' && c != '-')))
            return false;
    }
    return true;
}

bool window_name_is_valid(struct slice text)
{
    enum window window;

    return is_kind(text, &window) || schedule_name_is_valid(text);
}

struct sort_key board_key(const struct board *board, int64_t score, int64_t subscore, int64_t at_us)
{
    return (struct sort_key){
        .k1 = board->ordering == ORDER_DESC ? ~score : score,
        .k2 = board->ordering == ORDER_DESC ? ~subscore : subscore,
        .k3 = board->tie == TIE_LAST ? ~at_us : at_us,
    };
}

int64_t board_score(const struct board *board, const struct sort_key *key)
{
    return board->ordering == ORDER_DESC ? ~key->k1 : key->k1;
}

int64_t board_subscore(const struct board *board, const struct sort_key *key)
{
    return board->ordering == ORDER_DESC ? ~key->k2 : key->k2;
}

int64_t board_achieved_us(const struct board *board, const struct sort_key *key)
{
    return board->tie == TIE_LAST ? ~key->k3 : key->k3;
}

double percentile_of(int64_t rank, int64_t total)
{
    return total <= 1 ? 100.0 : 100.0 * (double)(total - rank) / (double)(total - 1);
}

int64_t percentile_rank(double percentile, int64_t total)
{
    ASSERT(total > 0 && percentile >= 0 && percentile <= 100);
    /* What percentile_of gave comes back as the same rank, whatever its last digits. */
    return total - (int64_t)ceil(percentile * (double)(total - 1) / 100.0 - 1e-6);
}
