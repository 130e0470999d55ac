#include "work/held.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

static bool node_each(struct link *link, size_t node, held_fn *visit, void *context, struct error *error)
{
    char position[32] = "0", count[16];

    snprintf(count, sizeof(count), "%d", HELD_PAGE);
    do {
        const struct slice scan[] = {SLICE("SCAN"),  slice_of(position), SLICE("MATCH"), SLICE("ladder:{*}:*:meta"),
                                     SLICE("COUNT"), slice_of(count)};
        struct kvb_reply *reply;
        if (!kvb_call_node(link->kv, node, ARRAY_SIZE(scan), scan, &reply, error))
            return false;
        snprintf(position, sizeof(position), "%s", kvb_text(kvb_item(reply, 0)).data);
        bool is_ok = visit(link, kvb_item(reply, 1), context, error);
        kvb_reply_free(&reply);
        if (!is_ok)
            return false;
    } while (strcmp(position, "0") != 0);
    return true;
}

bool held_each(struct link *link, held_fn *visit, void *context, struct error *error)
{
    bool is_ok = true;

    for (size_t i = 0; i < kvb_node_count(link->kv) && is_ok; i++)
        is_ok = node_each(link, i, visit, context, error);
    return is_ok;
}

int64_t held_standing(struct slice key)
{
    const char *from = memchr(key.data, '}', key.size);
    int64_t standing = 0;

    if (from && (size_t)(key.data + key.size - from) > strlen("}:") + strlen(":meta")) {
        const struct slice text = {from + strlen("}:"),
                                   (size_t)(key.data + key.size - from) - strlen("}:") - strlen(":meta")};
        if (!text_parse_int64(text, &standing))
            standing = 0;
    }
    return standing;
}
