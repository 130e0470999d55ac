#include "store/zones.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"
#include "board/zone.h"
#include "store/private.h"

struct zone_list {
    struct zones zones;
    int64_t listed_us; /* by the monotonic clock */
};

struct zone_find {
    struct store *store;
    struct slice text;
    store_zone_fn *done;
    void *context;
};

void zones_close(struct store *store)
{
    if (store->zones)
        zones_free(&store->zones->zones);
    free(store->zones);
    store->zones = NULL;
}

static void unknown_answer(const struct zones *zones, struct slice text, store_zone_fn *done, void *context)
{
    const char *near[ZONES_NEAR];
    size_t count = zones_near(zones, text, near);
    char names[ZONES_NEAR * (TIME_ZONE_BYTES_MAX + 2)] = "";
    struct error error;
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s", i ? ", " : "", near[i]);
    error_set_field(&error, ERROR_INVALID_BODY, "/time_zone",
                    "\"%.*s\" is not a name of the tz database; the nearest are %s",
                    (int)(text.size < TIME_ZONE_BYTES_MAX ? text.size : TIME_ZONE_BYTES_MAX), text.data, names);
    done(context, NULL, &error);
}

static void on_zones(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct zone_find *find = context;
    struct store *store = find->store;
    struct error error;

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        find->done(find->context, NULL, &error);
        free(find);
        return;
    }
    zones_close(store);
    store->zones = calloc(1, sizeof(*store->zones));
    ASSERT(store->zones != NULL);
    store->zones->listed_us = clock_monotonic_us();
    for (int i = 0; i < db_row_count(outcome->rows[0]); i++)
        zones_add(&store->zones->zones, db_text(outcome->rows[0], i, 0));
    const char *name = zones_find(&store->zones->zones, find->text);
    if (name)
        find->done(find->context, name, NULL);
    else
        unknown_answer(&store->zones->zones, find->text, find->done, find->context);
    free(find);
}

void store_zone_find(struct store *store, struct slice text, store_zone_fn *done, void *context)
{
    const struct db_call call = {.statement = STATEMENT_time_zones};
    const char *name = slice_is(text, "UTC") ? "UTC" : store->zones ? zones_find(&store->zones->zones, text) : NULL;

    if (name) {
        done(context, name, NULL);
        return;
    }
    if (store->zones && clock_monotonic_us() < store->zones->listed_us + ZONES_TTL_S * 1000000LL) {
        unknown_answer(&store->zones->zones, text, done, context);
        return;
    }
    struct zone_find *find = calloc(1, sizeof(*find));
    ASSERT(find != NULL);
    *find = (struct zone_find){store, text, done, context};
    if (db_read_primary(store->db, &call, on_zones, find))
        return;
    free(find);
    struct error error;
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    done(context, NULL, &error);
}
