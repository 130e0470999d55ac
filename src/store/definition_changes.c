/*
 * definition_changes.c -- what a change of a definition does: every copy of what it changed is read anew.
 *
 *   this loop made it --store_definition_changed--> the process's other loops (a mailbox each), other servers (Redis)
 *   another made it   --mailbox, or definition_message--> boards.c, absent.c, keys.c: their older copies are spoiled
 *
 * Whoever changes a definition publishes its number on KV_DEFINITIONS. Where the message does not come (Redis is down,
 * or a cluster), copies end by their age (boards.c, keys.c). A loop whose stream was interrupted reads all of its copies
 * anew once the stream is back.
 */
#include <ev.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/text.h"
#include "kv/keys.h"
#include "store/private.h"

enum { MESSAGE_MAX = 64 };

/* ---- what was heard ---- */

void definitions_missed(struct store *store)
{
    store->board_changes++; /* what is being read now may be older than a message that was missed */
    store->definition_changes++;
    boards_spoil(store, 0, INT64_MAX);
    absent_spoil(store, 0, INT64_MAX);
    keys_spoil(store, 0, INT64_MAX);
}

static void definition_hear(struct store *store, int64_t game_id, int64_t version)
{
    if (definitions_are_full(store, game_id)) {
        definitions_free(store);
        definitions_missed(store);
    }
    if (!definition_note(store, game_id, version))
        return;
    store->definition_changes++;
    boards_spoil(store, game_id, version);
    absent_spoil(store, game_id, version);
    keys_spoil(store, game_id, version);
}

/* ---- the other loops ---- */

struct note {
    char *path; /* owned: this board; NULL: the game */
    int64_t game_id, definition;
};

/* One a loop, in a list that changes only when a loop starts or ends. Definitions change rarely, so a mutex will do: it
 * is on no request's path. */
struct listener {
    struct store *store;
    ev_async wake;
    struct note *notes; /* under the mutex */
    size_t count;
    LIST_ENTRY(listener) link;
};

static pthread_mutex_t listeners_mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, listener) listeners = LIST_HEAD_INITIALIZER(listeners);

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    struct listener *listener = watcher->data;

    (void)loop;
    (void)events;
    pthread_mutex_lock(&listeners_mutex);
    struct note *notes = listener->notes;
    size_t count = listener->count;
    listener->notes = NULL;
    listener->count = 0;
    pthread_mutex_unlock(&listeners_mutex);
    for (size_t i = 0; i < count; i++) {
        if (notes[i].path)
            boards_forget(listener->store, notes[i].path);
        else
            definition_hear(listener->store, notes[i].game_id, notes[i].definition);
        free(notes[i].path);
    }
    free(notes);
}

void loops_join(struct store *store)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    ASSERT(listener != NULL);
    listener->store = store;
    ev_async_init(&listener->wake, on_wake);
    listener->wake.data = listener;
    ev_async_start(store->loop, &listener->wake);
    ev_unref(store->loop);
    pthread_mutex_lock(&listeners_mutex);
    LIST_INSERT_HEAD(&listeners, listener, link);
    pthread_mutex_unlock(&listeners_mutex);
}

void loops_leave(struct store *store)
{
    struct listener *gone;

    pthread_mutex_lock(&listeners_mutex);
    LIST_FOREACH(gone, &listeners, link)
        if (gone->store == store)
            break;
    ASSERT(gone != NULL);
    LIST_REMOVE(gone, link);
    pthread_mutex_unlock(&listeners_mutex);
    ev_ref(store->loop);
    ev_async_stop(store->loop, &gone->wake);
    for (size_t i = 0; i < gone->count; i++)
        free(gone->notes[i].path);
    free(gone->notes);
    free(gone);
}

/* path NULL: none; copied for each. */
static void others_tell(struct store *store, const char *path, int64_t game_id, int64_t definition)
{
    struct listener *listener;

    pthread_mutex_lock(&listeners_mutex);
    LIST_FOREACH(listener, &listeners, link) {
        if (listener->store == store)
            continue;
        struct note *notes = realloc(listener->notes, (listener->count + 1) * sizeof(*notes));
        ASSERT(notes != NULL);
        listener->notes = notes;
        notes[listener->count++] = (struct note){path ? strdup(path) : NULL, game_id, definition};
        ev_async_send(listener->store->loop, &listener->wake);
    }
    pthread_mutex_unlock(&listeners_mutex);
}

void store_board_forget_all(struct store *store, struct slice game, struct slice name)
{
    char path[BOARD_PATH_MAX];

    board_path(game, name, path);
    boards_forget(store, path);
    others_tell(store, path, 0, 0);
}

/* ---- the other servers ---- */

static struct slice word_take(struct slice *text)
{
    const char *space = text->size ? memchr(text->data, ' ', text->size) : NULL;
    struct slice word = {text->data, space ? (size_t)(space - text->data) : text->size};
    size_t taken = word.size + (space != NULL);

    *text = (struct slice){text->data + taken, text->size - taken};
    return word;
}

void definition_message(struct store *store, struct slice payload)
{
    struct slice game = word_take(&payload), number = word_take(&payload);
    int64_t game_id, version;

    if (fault_is("definition-message"))
        return;
    if (!text_parse_int64(game, &game_id) || !text_parse_int64(number, &version)) {
        definitions_missed(store); /* of a version that we can't read */
        return;
    }
    if (payload.size > 0)
        key_forget(store, payload);
    definition_hear(store, game_id, version);
}

static void on_published(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* lost: copies end by their age */
}

void store_definition_changed(struct store *store, int64_t game_id, int64_t version)
{
    char message[MESSAGE_MAX];

    definition_hear(store, game_id, version);
    others_tell(store, NULL, game_id, version);
    snprintf(message, sizeof(message), "%lld %lld", (long long)game_id, (long long)version);
    const struct slice publish[] = {SLICE("PUBLISH"), SLICE(KV_DEFINITIONS), slice_of(message)};
    kv_call(store->kv, ARRAY_SIZE(publish), publish, on_published, NULL);
}
