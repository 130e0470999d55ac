#include "api/definition.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "http/json.h"

#define CACHING "max_staleness_ms", "max_age_s", "stale_while_revalidate_s", "stale_if_error_s", "edge_max_age_s"

static bool read_name(const struct json_object *object, const char *name, bool (*parse)(struct slice, void *),
                      void *ret_value, const char *allowed, bool *ret_has, struct error *error)
{
    struct slice text = {NULL, 0};

    if (!json_read_text(object, name, false, &text, error))
        return false;
    if (!text.data)
        return true;
    if (ret_has)
        *ret_has = true;
    char pointer[ERROR_FIELD_MAX];
    snprintf(pointer, sizeof(pointer), "/%s", name);
    return parse(text, ret_value) || error_set_field(error, ERROR_INVALID_BODY, pointer, "must be one of %s", allowed);
}

static bool parse_order(struct slice text, void *value)
{
    return score_order_parse(text, value);
}

static bool parse_operator(struct slice text, void *value)
{
    return score_operator_parse(text, value);
}

static bool parse_tie(struct slice text, void *value)
{
    return tie_rule_parse(text, value);
}

static bool parse_commit_level(struct slice text, void *value)
{
    return commit_level_parse(text, value);
}

/* The characters of cron expressions; what they mean PostgreSQL says. */
static bool read_cron(const struct json_object *object, const char *name, char ret_text[static CRON_BYTES_MAX + 1],
                      struct error *error)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*,/- ";
    struct slice text = {NULL, 0};
    char field[ERROR_FIELD_MAX];

    if (!json_read_text(object, name, true, &text, error))
        return false;
    snprintf(field, sizeof(field), "%.30s/%s", object->pointer, name);
    bool is_ok = text.size >= 1 && text.size <= CRON_BYTES_MAX;
    for (size_t i = 0; is_ok && i < text.size; i++)
        is_ok = text.data[i] && strchr(allowed, text.data[i]);
    if (!is_ok)
        return error_set_field(error, ERROR_INVALID_BODY, field,
                               "must be a cron expression of up to %d characters, as in 0 18 * * 5", CRON_BYTES_MAX);
    memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = 0;
    return true;
}

static bool read_schedule(struct json_object *object, size_t index, struct definition *definition, struct error *error)
{
    static const char *const names[] = {"name", "opens", "closes", "next", NULL};
    struct board *board = &definition->board;
    struct json_object item;
    struct slice name;
    char field[ERROR_FIELD_MAX];

    if (!json_array_object(object, "windows", index, &item, error))
        return error_set_field(error, ERROR_INVALID_BODY, "/windows",
                               "must hold all, monthly, weekly, daily, hourly or schedules");
    if (!json_object_only(&item, names, error) || !json_read_text(&item, "name", true, &name, error))
        return false;
    snprintf(field, sizeof(field), "%.30s/name", item.pointer);
    if (!schedule_name_is_valid(name))
        return error_set_field(
            error, ERROR_INVALID_BODY, field,
            "must be a small letter, then up to 31 of small letters, digits, '_', '-'; and none of all, "
            "monthly, weekly, daily, hourly, current, previous, scheduled_…");
    for (int i = 0; i < definition->schedule_count; i++)
        if (slice_is(name, board->schedule_names[i]))
            return error_set_field(error, ERROR_INVALID_BODY, field, "%s is there twice", board->schedule_names[i]);
    if (definition->schedule_count == SCHEDULES_MAX)
        return error_set_field(error, ERROR_INVALID_BODY, "/windows", "may hold %d schedules", SCHEDULES_MAX);
    struct schedule *schedule = &definition->schedules[definition->schedule_count];
    schedule->index = (int)index;
    if (!read_cron(&item, "opens", schedule->opens, error) || !read_cron(&item, "closes", schedule->closes, error))
        return false;
    memcpy(board->schedule_names[definition->schedule_count], name.data, name.size);
    board->windows[board->window_count++] = (enum window)((int)WINDOW_SCHEDULED + definition->schedule_count++);
    return true;
}

static bool read_windows(struct json_object *object, struct definition *definition, struct error *error)
{
    struct board *board = &definition->board;
    size_t count;

    if (!json_has(object, "windows"))
        return true;
    if (!json_read_array(object, "windows", WINDOW_COUNT, &count, error))
        return false;
    if (count == 0)
        return error_set_field(error, ERROR_INVALID_BODY, "/windows", "must name 1 to %d windows", WINDOW_COUNT);
    board->window_count = 0;
    memset(board->schedule_names, 0, sizeof(board->schedule_names));
    definition->schedule_count = 0;
    definition->has_windows = true;
    for (size_t i = 0; i < count; i++) {
        struct slice text;
        enum window window;
        if (!json_array_text(object, "windows", i, &text, error)) {
            if (!read_schedule(object, i, definition, error))
                return false;
            continue;
        }
        if (!window_parse(text, &window) || window >= WINDOW_SCHEDULED)
            return error_set_field(error, ERROR_INVALID_BODY, "/windows",
                                   "must hold all, monthly, weekly, daily, hourly or schedules");
        if (board_has_window(board, window))
            return error_set_field(error, ERROR_INVALID_BODY, "/windows", "holds %s twice", window_name(window));
        board->windows[board->window_count++] = window;
    }
    return true;
}

static bool read_facets(const struct json_object *object, struct definition *definition, struct error *error)
{
    struct board *board = &definition->board;
    size_t count;

    definition->has_facets = json_has(object, "facets");
    if (!definition->has_facets)
        return true;
    if (!json_read_array(object, "facets", FACETS_MAX, &count, error))
        return false;
    board->facet_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice name;
        if (!json_array_text(object, "facets", i, &name, error))
            return false;
        if (!facet_name_is_valid(name))
            return error_set_field(error, ERROR_INVALID_BODY, "/facets",
                                   "a facet's name is a small letter, then up to 31 of small letters, digits, '_'");
        for (int j = 0; j < board->facet_count; j++)
            if (slice_is(name, board->facets[j].name))
                return error_set_field(error, ERROR_INVALID_BODY, "/facets", "holds %s twice", board->facets[j].name);
        struct board_facet *facet = &board->facets[board->facet_count++];
        *facet = (struct board_facet){.id = 0};
        memcpy(facet->name, name.data, name.size);
    }
    return true;
}

static bool read_facet_values(const struct json_object *object, struct definition *definition, struct error *error)
{
    int64_t *value = &definition->board.facet_values_max;

    if (!json_read_int64(object, "facet_values_max", false, value, error))
        return false;
    definition->has_facet_values = json_has(object, "facet_values_max");
    if (*value < 1 || *value > FACET_VALUES_MAX)
        return error_set_field(error, ERROR_INVALID_BODY, "/facet_values_max", "must be an integer from 1 to %d",
                               FACET_VALUES_MAX);
    return true;
}

static bool read_caching(const struct json_object *object, struct definition *definition, struct error *error)
{
    for (int i = 0; i < BOARD_CACHING_COUNT; i++) {
        const struct board_caching_field *field = &board_caching_fields[i];
        int64_t *value = board_caching_value(&definition->board.caching, i);
        char pointer[ERROR_FIELD_MAX];
        if (!json_read_int64(object, field->name, false, value, error))
            return false;
        definition->has_caching[i] = json_has(object, field->name);
        snprintf(pointer, sizeof(pointer), "/%s", field->name);
        if (*value < 0 || *value > field->max)
            return error_set_field(error, ERROR_INVALID_BODY, pointer, "must be an integer from 0 to %lld",
                                   (long long)field->max);
    }
    return true;
}

bool definition_fixed_check(const struct board *before, const struct board *after, struct error *error)
{
    const struct {
        const char *name, *before, *after;
    } fixed[] = {
        {"order", score_order_name(before->ordering), score_order_name(after->ordering)},
        {"operator", score_operator_name(before->operator), score_operator_name(after->operator)},
        {"tie", tie_rule_name(before->tie), tie_rule_name(after->tie)},
        {"time_zone", before->time_zone, after->time_zone},
    };

    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (strcmp(fixed[i].before, fixed[i].after) != 0) {
            char pointer[ERROR_FIELD_MAX];
            snprintf(pointer, sizeof(pointer), "/%s", fixed[i].name);
            return error_set_field(error, ERROR_CONFLICT, pointer, "the board's %s is %s and cannot change",
                                   fixed[i].name, fixed[i].before);
        }
    return true;
}

bool definition_read(struct api_call *call, struct definition *definition, bool is_patch, struct error *error)
{
    static const char *const names[] = {"name",
                                        "order",
                                        "operator",
                                        "tie",
                                        "windows",
                                        "time_zone",
                                        "score_min",
                                        "facets",
                                        "facet_values_max",
                                        "score_max",
                                        "public",
                                        "created_at",
                                        "updated_at",
                                        "synchronous_commit",
                                        "force",
                                        CACHING,
                                        NULL};
    struct json_document document;
    struct json_object object;
    struct board *board = &definition->board;
    struct slice zone = {NULL, 0}, name = {NULL, 0};

    if (!json_document_parse(&document, buf_slice(&call->http->body), error))
        return false;
    bool is_ok = json_root_object(&document, &object, error) && json_object_only(&object, names, error) &&
                 json_read_text(&object, "name", false, &name, error) &&
                 read_name(&object, "order", parse_order, &board->ordering, "desc, asc", NULL, error) &&
                 read_name(&object, "operator", parse_operator, &board->operator, "best, last, sum", NULL, error) &&
                 read_name(&object, "tie", parse_tie, &board->tie, "first, last", NULL, error) &&
                 read_windows(&object, definition, error) &&
                 json_read_text(&object, "time_zone", false, &zone, error) &&
                 json_read_int64(&object, "score_min", false, &board->score_min, error) &&
                 json_read_int64(&object, "score_max", false, &board->score_max, error) &&
                 json_read_bool(&object, "public", false, &board->is_public, error) &&
                 json_read_bool(&object, "force", false, &definition->is_forced, error) &&
                 read_facets(&object, definition, error) && read_facet_values(&object, definition, error) &&
                 read_name(&object, "synchronous_commit", parse_commit_level, &board->commit_level,
                           "default, local, remote_write, on, remote_apply", &definition->has_commit_level, error) &&
                 read_caching(&object, definition, error);
    definition->has_min = is_ok && json_has(&object, "score_min");
    definition->has_max = is_ok && json_has(&object, "score_max");
    definition->has_public = is_ok && json_has(&object, "public");
    if (is_ok && zone.data) {
        if (zone.size < 1 || zone.size > TIME_ZONE_BYTES_MAX)
            is_ok = error_set_field(error, ERROR_INVALID_BODY, "/time_zone", "must be a name of the tz database");
        else if (!is_patch || zone.size != strlen(board->time_zone) ||
                 strncasecmp(zone.data, board->time_zone, zone.size) != 0) /* a PATCH may spell it otherwise */
            snprintf(board->time_zone, sizeof(board->time_zone), "%.*s", (int)zone.size, zone.data);
    }
    if (is_ok && board->score_min > board->score_max)
        is_ok = error_set_field(error, ERROR_INVALID_BODY, "/score_min", "must not be above score_max");
    if (is_ok && name.data && !slice_equal(name, call->board_name))
        is_ok = error_set_field(error, is_patch ? ERROR_CONFLICT : ERROR_INVALID_BODY, "/name",
                                "a board's name is the path's and cannot change");
    json_document_free(&document);
    return is_ok && (!is_patch || definition_fixed_check(&call->board, board, error));
}
