/*
 * cache.c -- `ladder cache purge --tag TAG`, `ladder cache stats`: the second cache, in Redis.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "board/board.h"
#include "cli/command.h"
#include "kv/keys.h"
#include "work/l2_tail.h"

enum { TIMEOUT_MS = 5000 };

/* "game:<g>", "board:<g>/<b>", "standing:<id>". */
static bool tag_is_valid(const char *tag)
{
    const char *colon = strchr(tag, ':'), *slash = strchr(tag, '/');
    struct slice kind = {tag, colon ? (size_t)(colon - tag) : 0};
    int64_t id;

    if (!colon)
        return false;
    if (slice_is(kind, "standing"))
        return text_parse_int64(slice_of(colon + 1), &id) && id > 0;
    if (slice_is(kind, "game"))
        return name_is_valid(slice_of(colon + 1));
    return slice_is(kind, "board") && slash && name_is_valid((struct slice){colon + 1, (size_t)(slash - colon - 1)}) &&
           name_is_valid(slice_of(slash + 1));
}

struct count {
    struct kvb *kv;
    int64_t keys, bytes;
};

static bool on_keys(void *context, const struct slice *keys, size_t count, struct error *error)
{
    struct count *sum = context;
    bool is_ok = true;

    for (size_t i = 0; i < count && is_ok; i++) {
        const struct slice usage[] = {SLICE("MEMORY"), SLICE("USAGE"), keys[i]};
        is_ok = kvb_append(sum->kv, ARRAY_SIZE(usage), usage, error);
    }
    for (size_t i = 0; i < count && is_ok; i++) {
        struct kvb_reply *reply;
        is_ok = kvb_read(sum->kv, &reply, error);
        if (!is_ok)
            break;
        sum->keys += kvb_kind(reply) == KVB_INT; /* else it expired meanwhile */
        sum->bytes += kvb_int(reply);
        kvb_reply_free(&reply);
    }
    return is_ok;
}

static int64_t info_read(const char *info, const char *name)
{
    const char *at = strstr(info, name);

    return at ? atoll(at + strlen(name)) : 0;
}

static bool stats_print(struct kvb *kv, struct error *error)
{
    static const char *const kinds[] = {"value", "tag", "lock"};
    const struct slice info[] = {SLICE("INFO"), SLICE("everything")};
    struct kvb_reply *reply;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct count sum = {.kv = kv};
        if (!l2_scan_blocking(kv, kinds[i], on_keys, &sum, error))
            return false;
        printf("%ss: %lld, %lld bytes\n", kinds[i], (long long)sum.keys, (long long)sum.bytes);
    }
    if (!kvb_call(kv, ARRAY_SIZE(info), info, &reply, error))
        return false;
    const char *text = kvb_text(reply).data;
    const char *policy = strstr(text, "maxmemory_policy:");
    printf("redis: %lld bytes used, %lld at most (0: no limit), %.*s, %lld keys evicted, %lld expired\n",
           (long long)info_read(text, "\nused_memory:"), (long long)info_read(text, "\nmaxmemory:"),
           policy ? (int)strcspn(policy + 17, "\r\n") : 0, policy ? policy + 17 : "",
           (long long)info_read(text, "\nevicted_keys:"), (long long)info_read(text, "\nexpired_keys:"));
    kvb_reply_free(&reply);
    return true;
}

int cmd_cache(int argc, char **argv)
{
    static struct settings settings;
    const char *tag = NULL;
    const struct option_row options[] = {{"tag", &tag, NULL}, {NULL, NULL, NULL}};
    static const char usage[] = "cache purge --tag game:G | board:G/B | standing:ID | cache stats\n\n"
                                "Empties the second cache of what is under a tag, or says what is in it.";
    struct kvb *kv = NULL;
    struct error error;
    int status;

    if (!command_start(&argc, argv, usage, options, &settings, &status))
        return status;
    const char *verb = argc == 2 ? argv[1] : "";
    bool is_purge = strcmp(verb, "purge") == 0 && tag && tag_is_valid(tag),
         is_stats = strcmp(verb, "stats") == 0 && !tag;
    if (!is_purge && !is_stats) {
        fprintf(stderr, "usage: ladder %s\n", usage);
        return EXIT_USAGE;
    }
    bool is_ok = l2_open_blocking(&settings, NULL, &kv, TIMEOUT_MS, &error) &&
                 (is_purge ? l2_purge_blocking(kv, &tag, 1, &error) : stats_print(kv, &error));
    if (is_ok && is_purge)
        printf("purged %s\n", tag);
    kvb_close(&kv);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
