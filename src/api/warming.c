#include "api/warming.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/page.h"
#include "base/assert.h"
#include "base/log.h"
#include "store/answers.h"
#include "store/popular.h"

struct warming {
    struct ev_loop *loop;
    struct store *store;
    struct http_server *server; /* NULL until it listens */
    ev_timer tell;
    bool was_trusted;
    uint64_t forgotten;    /* what memory had lost when it was last looked at */
    size_t asked, waiting; /* for answers, and for the lists that say what to ask for */
    /* While it tells: */
    struct popular standings[POPULAR_MAX], pages[POPULAR_MAX];
    size_t standing_count, page_count;
};

/* ---- telling ---- */

/* Keeps the most read of those that it sees; the least of them makes way. */
static void keep(struct popular *items, size_t *count, const char *name, uint64_t reads, bool is_sum)
{
    size_t least = 0;

    for (size_t i = 0; i < *count; i++) {
        if (is_sum && strcmp(items[i].name, name) == 0) {
            items[i].reads += reads;
            return;
        }
        if (items[i].reads < items[least].reads)
            least = i;
    }
    if (*count < POPULAR_MAX)
        least = (*count)++;
    else if (items[least].reads >= reads)
        return;
    items[least].reads = reads;
    snprintf(items[least].name, sizeof(items[least].name), "%s", name);
}

static void on_entry(void *context, int64_t standing, void *value)
{
    struct warming *warming = context;
    char name[sizeof(warming->pages[0].name)];
    uint64_t reads = page_reads_take(value, name, sizeof(name));

    if (reads == 0 || standing == ANSWERS_NO_STANDING)
        return;
    if (name[0])
        keep(warming->pages, &warming->page_count, name, reads, false);
    snprintf(name, sizeof(name), "%lld", (long long)standing);
    keep(warming->standings, &warming->standing_count, name, reads, true);
}

static void on_tell(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct warming *warming = watcher->data;

    (void)loop;
    (void)events;
    warming->standing_count = warming->page_count = 0;
    answers_each(warming->store, on_entry, warming);
    popular_tell(warming->store, warming->standings, warming->standing_count, warming->pages, warming->page_count);
}

/* ---- asking ---- */

static void one_came(struct warming *warming)
{
    if (--warming->waiting > 0 || warming->asked == 0)
        return;
    log_info("pages-warmed", LOG_INT("pages", (int64_t)warming->asked));
    warming->asked = 0;
}

static void on_answer(void *context, int status, struct slice body)
{
    (void)status;
    (void)body; /* it is in memory now, or there is no such page any more */
    one_came(context);
}

static void on_page(void *context, struct slice name)
{
    struct warming *warming = context;

    if (name.size == 0) {
        one_came(warming);
        return;
    }
    if (!warming->server || name.size < 2 || (name.data[0] != '+' && name.data[0] != '-'))
        return;
    warming->asked++;
    warming->waiting++;
    http_request_alone(warming->server, (struct slice){name.data + 1, name.size - 1}, name.data[0] == '-', on_answer,
                       warming);
}

void warming_look(struct warming *warming)
{
    bool is_trusted = warming->server && answers_are_trusted(warming->store);
    uint64_t forgotten = answers_counters(warming->store)->all.forgotten;

    if (is_trusted && (!warming->was_trusted || forgotten != warming->forgotten)) {
        warming->forgotten = forgotten;
        warming->waiting++;
        popular_pages(warming->store, on_page, warming);
    }
    warming->was_trusted = is_trusted;
}

/* ---- life ---- */

struct warming *warming_new(struct ev_loop *loop, struct store *store)
{
    struct warming *warming = calloc(1, sizeof(*warming));

    ASSERT(warming != NULL);
    warming->loop = loop;
    warming->store = store;
    ev_timer_init(&warming->tell, on_tell, WARMING_TELL_S, WARMING_TELL_S);
    warming->tell.data = warming;
    ev_timer_start(loop, &warming->tell);
    return warming;
}

void warming_set_server(struct warming *warming, struct http_server *server)
{
    warming->server = server;
}

void warming_free(struct warming **pwarming)
{
    struct warming *warming = *pwarming;

    ev_timer_stop(warming->loop, &warming->tell);
    free(warming);
    *pwarming = NULL;
}
