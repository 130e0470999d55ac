#include "store/popular.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "kv/keys.h"
#include "store/private.h"

#define PAGES_LAST "63" /* the 64 highest */

static void on_told(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* only a hint */
}

static void list_tell(struct store *store, struct slice list, const struct popular *items, size_t count)
{
    char reads[24];

    for (size_t i = 0; i < count && i < POPULAR_MAX; i++) {
        snprintf(reads, sizeof(reads), "%llu", (unsigned long long)items[i].reads);
        const struct slice add[] = {SLICE("ZINCRBY"), list, slice_of(reads), slice_of(items[i].name)};
        kv_call(store->kv, ARRAY_SIZE(add), add, on_told, NULL);
    }
}

void popular_tell(struct store *store, const struct popular *standings, size_t standing_count,
                  const struct popular *pages, size_t page_count)
{
    list_tell(store, SLICE(KV_POPULAR_STANDINGS), standings, standing_count);
    list_tell(store, SLICE(KV_POPULAR_PAGES), pages, page_count);
}

struct asking {
    popular_page_fn *visit;
    void *context;
};

static void on_pages(void *context, const struct redisReply *reply)
{
    struct asking *asking = context;

    for (size_t i = 0; i < kv_reply_count(reply); i++) {
        struct slice name = kv_reply_text(kv_reply_item(reply, i));
        if (name.size > 0) /* an empty one says that there are no more */
            asking->visit(asking->context, name);
    }
    asking->visit(asking->context, (struct slice){"", 0});
    free(asking);
}

void popular_pages(struct store *store, popular_page_fn *visit, void *context)
{
    const struct slice range[] = {SLICE("ZREVRANGE"), SLICE(KV_POPULAR_PAGES), SLICE("0"), SLICE(PAGES_LAST)};
    struct asking *asking = malloc(sizeof(*asking));

    ASSERT(asking != NULL);
    *asking = (struct asking){visit, context};
    if (!kv_call(store->kv, ARRAY_SIZE(range), range, on_pages, asking))
        on_pages(asking, NULL);
}
