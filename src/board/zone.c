#include "board/zone.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"

void zones_add(struct zones *zones, const char *name)
{
    if (strlen(name) > TIME_ZONE_BYTES_MAX)
        return;
    zones->names = realloc(zones->names, (zones->count + 1) * sizeof(*zones->names));
    ASSERT(zones->names != NULL);
    strcpy(zones->names[zones->count++], name);
}

void zones_free(struct zones *zones)
{
    free(zones->names);
    *zones = (struct zones){.names = NULL};
}

const char *zones_find(const struct zones *zones, struct slice text)
{
    for (size_t i = 0; i < zones->count; i++)
        if (strlen(zones->names[i]) == text.size && strncasecmp(zones->names[i], text.data, text.size) == 0)
            return zones->names[i];
    return NULL;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == ' ' ? '_' : c);
}

/* Levenshtein's distance, row by row: row[j] is that of the first i letters of a to the first j of b. */
static size_t distance(struct slice a, struct slice b)
{
    size_t row[TIME_ZONE_BYTES_MAX + 1];

    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t change = diagonal + (lower(a.data[i - 1]) != lower(b.data[j - 1]));
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < step ? change : step;
        }
    }
    return row[b.size];
}

static size_t name_distance(struct slice text, const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t whole = distance(text, slice_of(name));
    size_t part = slash ? distance(text, slice_of(slash + 1)) : whole;

    return part < whole ? part : whole;
}

size_t zones_near(const struct zones *zones, struct slice text, const char *ret_names[static ZONES_NEAR])
{
    size_t distances[ZONES_NEAR], count = 0;

    if (text.size > TIME_ZONE_BYTES_MAX)
        text.size = TIME_ZONE_BYTES_MAX;
    for (size_t i = 0; i < zones->count; i++) {
        size_t far = name_distance(text, zones->names[i]), at = count;
        while (at > 0 && distances[at - 1] > far)
            at--;
        if (at == ZONES_NEAR)
            continue;
        if (count < ZONES_NEAR)
            count++;
        memmove(&distances[at + 1], &distances[at], (count - at - 1) * sizeof(*distances));
        memmove(&ret_names[at + 1], &ret_names[at], (count - at - 1) * sizeof(*ret_names));
        distances[at] = far;
        ret_names[at] = zones->names[i];
    }
    return count;
}
