/*
 * statistics.c -- a standing in numbers: GET …/stats.
 *
 * Exact sums need more than 64 bits: numbers come from PostgreSQL as text, and go out as they came.
 */
#include <stdio.h>
#include <string.h>

#include "api/reading.h"
#include "base/assert.h"
#include "base/text.h"

enum { BINS_DEFAULT = 20 };

/* ---- parameters ---- */

static bool percentiles_read(struct reading *reading, struct error *error)
{
    struct api_call *call = reading->call;
    struct slice text = api_text(call, "p");
    double *percentiles = arena_calloc(call->arena, STANDING_PERCENTILES_MAX, sizeof(*percentiles));
    char *literal = arena_calloc(call->arena, STANDING_PERCENTILES_MAX, 32);
    size_t count = 0, size = 0;

    if (!percentiles || !literal)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (!text.data)
        text = SLICE("50,90,99");
    literal[size++] = '{';
    for (size_t at = 0; at <= text.size;) {
        const char *comma = memchr(text.data + at, ',', text.size - at);
        size_t end = comma ? (size_t)(comma - text.data) : text.size;
        if (count == STANDING_PERCENTILES_MAX)
            return error_set_field(error, ERROR_INVALID_PARAMETER, "p", "more than %d percentiles",
                                   STANDING_PERCENTILES_MAX);
        double *value = &percentiles[count];
        if (!text_parse_decimal((struct slice){text.data + at, end - at}, value) || *value < 0 || *value > 100)
            return error_set_field(error, ERROR_INVALID_PARAMETER, "p",
                                   "must be numbers from 0 to 100, separated by commas");
        size += (size_t)snprintf(literal + size, 32, "%s%.17g", count ? "," : "", *value);
        count++;
        at = end + 1;
    }
    literal[size++] = '}';
    literal[size] = 0;
    reading->percentiles = percentiles;
    reading->query.statistics.percentile_count = count;
    reading->query.statistics.percentiles = literal;
    return true;
}

static bool bins_read(struct reading *reading, struct error *error)
{
    static const char *const kinds[] = {"width", "count", "log"};
    struct slice kind = api_text(reading->call, "histogram");
    bool has_bins = api_text(reading->call, "bins").data;
    int64_t bins = BINS_DEFAULT;

    reading->query.statistics.bin_kind = "";
    for (size_t i = 0; i < ARRAY_SIZE(kinds) && kind.data; i++)
        if (slice_is(kind, kinds[i]))
            reading->query.statistics.bin_kind = kinds[i];
    if (kind.data && !reading->query.statistics.bin_kind[0])
        return error_set_field(error, ERROR_INVALID_PARAMETER, "histogram", "must be width, count or log");
    if (has_bins && (!kind.data || slice_is(kind, "log")))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "bins",
                               "goes with histogram=width and histogram=count only");
    if (!api_int(reading->call, "bins", 1, STANDING_BINS_MAX, &bins, error))
        return false;
    reading->query.statistics.bins = (int)bins;
    return true;
}

/* ---- rendering ---- */

/* An exact number of any length. "": null. */
static void number_render(struct jsonw *json, struct slice text)
{
    if (text.size == 0)
        jsonw_null(json);
    else if (json->integers_as_strings)
        jsonw_string(json, text);
    else
        jsonw_raw(json, text);
}

static void decimal_render(struct jsonw *json, struct slice text)
{
    if (text.size == 0)
        jsonw_null(json);
    else
        jsonw_raw(json, text);
}

/* The next of a list, up to the comma. */
static struct slice item_next(struct slice *list)
{
    const char *comma = list->size ? memchr(list->data, ',', list->size) : NULL;
    size_t size = comma ? (size_t)(comma - list->data) : list->size;
    struct slice item = {list->data, size};

    size += comma != NULL;
    *list = (struct slice){list->data + size, list->size - size};
    return item;
}

static void percentiles_render(struct reading *reading, struct jsonw *json, const struct statistics *statistics)
{
    struct slice scores = statistics->percentiles;

    jsonw_key(json, "percentiles");
    jsonw_array_open(json);
    for (size_t i = 0; i < reading->query.statistics.percentile_count; i++) {
        jsonw_object_open(json);
        jsonw_key(json, "percentile");
        jsonw_double(json, reading->percentiles[i]);
        jsonw_key(json, "score");
        number_render(json, item_next(&scores));
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
}

static void bins_render(struct reading *reading, struct jsonw *json, const struct statistics *statistics)
{
    struct slice from = statistics->bin_from, to = statistics->bin_to, entries = statistics->bin_entries;

    if (!reading->query.statistics.bin_kind[0])
        return;
    jsonw_key(json, "histogram");
    jsonw_array_open(json);
    while (from.size > 0) {
        jsonw_object_open(json);
        jsonw_key(json, "from");
        number_render(json, item_next(&from));
        jsonw_key(json, "to");
        number_render(json, item_next(&to));
        jsonw_key(json, "entries");
        decimal_render(json, item_next(&entries));
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
}

static void activity_render(struct jsonw *json, const char *name, const struct statistics_activity *activity)
{
    jsonw_key(json, name);
    if (activity->since_us == 0) {
        jsonw_null(json);
        return;
    }
    jsonw_object_open(json);
    jsonw_key(json, "since");
    jsonw_time(json, activity->since_us);
    jsonw_key(json, "submissions");
    decimal_render(json, activity->submissions);
    jsonw_key(json, "new_entries");
    decimal_render(json, activity->arrivals);
    jsonw_object_close(json);
}

static void statistics_render(struct reading *reading, struct jsonw *json, const struct standing_answer *answer)
{
    static const struct statistics none = {.entries = {"0", 1}, .total = {"0", 1}};
    const struct statistics *statistics =
        answer->statistics ? answer->statistics : &none; /* a period without a submission */

    reading_head(reading, json);
    jsonw_key(json, "entries");
    decimal_render(json, statistics->entries);
    jsonw_key(json, "sum");
    number_render(json, statistics->total);
    jsonw_key(json, "mean");
    decimal_render(json, statistics->mean);
    jsonw_key(json, "stddev");
    decimal_render(json, statistics->stddev);
    jsonw_key(json, "min");
    number_render(json, statistics->lowest);
    jsonw_key(json, "max");
    number_render(json, statistics->highest);
    percentiles_render(reading, json, statistics);
    bins_render(reading, json, statistics);
    if (reading->query.period.is_closed)
        return;
    jsonw_key(json, "last");
    jsonw_object_open(json);
    jsonw_key(json, "as_of");
    if (statistics->counted_us > 0)
        jsonw_time(json, statistics->counted_us);
    else
        jsonw_null(json);
    activity_render(json, "minute", &statistics->minute);
    activity_render(json, "hour", &statistics->hour);
    activity_render(json, "day", &statistics->day);
    jsonw_object_close(json);
}

/* ---- the handler ---- */

void api_statistics(struct api_call *call)
{
    struct reading *reading = reading_new(call, VIEW_STATISTICS);
    struct error error;

    if (!reading)
        return;
    reading->render = statistics_render;
    reading->query.kind = STANDING_STATISTICS;
    reading->query.statistics.is_desc = call->board.ordering == ORDER_DESC;
    bool is_ok = reading_common(reading, &error) && percentiles_read(reading, &error) && bins_read(reading, &error);
    reading_start(reading, is_ok ? NULL : &error);
}
