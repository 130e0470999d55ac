#include "api/dates.h"

#include "base/assert.h"
#include "base/clock.h"

enum { DATE_SIZE = 10 };

bool dates_bucket(const struct api_call *call, const char **ret_bucket, struct error *error)
{
    static const char *const buckets[] = {"day", "week", "month"};
    struct slice text = api_text(call, "bucket");

    *ret_bucket = text.data ? NULL : buckets[0];
    for (size_t i = 0; i < ARRAY_SIZE(buckets) && text.data; i++)
        if (slice_is(text, buckets[i]))
            *ret_bucket = buckets[i];
    return *ret_bucket || error_set_field(error, ERROR_INVALID_PARAMETER, "bucket", "must be day, week or month");
}

bool dates_read(const struct api_call *call, const char *name, const char *fallback, const char **ret_date,
                struct error *error)
{
    struct slice text = api_text(call, name);
    int64_t at_us;

    *ret_date = fallback;
    if (!text.data)
        return true;
    char *instant = arena_printf(call->arena, "%.10sT00:00:00Z", text.data);
    if (!instant)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (text.size != DATE_SIZE || !clock_parse(slice_of(instant), &at_us))
        return error_set_field(error, ERROR_INVALID_PARAMETER, name, "must be a date, as 2026-03-29");
    *ret_date = text.data;
    return true;
}
