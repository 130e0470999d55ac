/*
 * page.c -- see page.h.
 *
 * Validators. The entity tag is a hash of the body, and of nothing else: the same bytes have the same tag on every
 * server. Each coding has a tag of its own (RFC 9110, 8.8.3.3). Last-Modified is rounded up to a whole second, though
 * never past Date; and 304 is given only to a date at or past the rounded one: so a client that got its copy in the
 * second of a change, and may have the older one, is never told that it is current.
 */
#include "api/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/caching.h"
#include "api/link.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/put.h"
#include "base/text.h"
#include "cache/compress.h"
#include "http/condition.h"
#include "http/negotiate.h"

enum {
    TAG_BYTES = 12,
    COMPRESS_BYTES_MIN = 1024,
    FIELDS_MAX = 16,
    FORM_BYTES = 512 /* of header fields, about */,
    SECOND_US = 1000000,
    BEATS_LATE = 4
};

struct form {
    char tag[PAGE_TAG_MAX]; /* without quotes */
    struct http_shared *whole, *not_modified;
    bool is_useless; /* compressed, it is not smaller */
};

struct page {
    int status;
    struct http_body *body;
    struct http_body *brotli; /* compressed already; NULL: not */
    bool is_folded;           /* `pretty`: no other copy of the answer has these bytes */
    int64_t valid_since_us;   /* the change, rounded up to a second */
    int64_t until_us;         /* no date from here on */
    bool is_young;            /* that second is not over: last_modified is still short of it */
    char last_modified[CLOCK_TEXT_MAX];
    char cache_control[CACHE_CONTROL_MAX];
    char edge_control[CACHE_CONTROL_MAX];
    char surrogate_key[CACHE_TAGS_MAX];
    char cache_tag[CACHE_TAGS_MAX];
    char *link; /* to the next page; NULL: none */
    struct form forms[HTTP_CODING_COUNT];
    size_t bytes;
    uint64_t reads;
    int64_t made_us; /* monotonic */
    enum source source;
    char name[]; /* '+' or '-', then the target: see kv/keys.h */
};

void page_tag(struct slice body, char tag[static PAGE_TAG_MAX])
{
    uint8_t hash[HASH_SIZE];

    hash_bytes(body, hash);
    text_base64url_encode(hash, TAG_BYTES, tag);
}

int64_t page_valid_since(int64_t changed_us)
{
    return (changed_us + (fault_is("date") ? 0 : SECOND_US - 1)) / SECOND_US * SECOND_US;
}

static void page_link(struct page *page, const struct api_call *call)
{
    char link[LINK_TEXT_MAX];

    link_next(call, http_body_slice(page->body), link);
    if (link[0]) {
        page->link = strdup(link);
        ASSERT(page->link != NULL);
    }
}

/* Without its forms. */
static size_t bytes_alone(const struct page *page)
{
    return sizeof(*page) + strlen(page->name) + (page->link ? strlen(page->link) : 0) +
           http_body_slice(page->body).size;
}

struct page *page_new(const struct api_call *call, int status, struct buf *body, int64_t changed_us, int64_t as_of_us,
                      int64_t until_us)
{
    static const char *const suffixes[] = {"", "-gzip", "-br"};
    struct slice target = call->http->target;
    struct page *page = calloc(1, sizeof(*page) + target.size + 2);
    char tag[PAGE_TAG_MAX];
    int64_t now_us = clock_realtime_us();
    int64_t latest_us = as_of_us < now_us ? as_of_us : now_us;

    ASSERT(page != NULL);
    if (latest_us >= until_us)
        latest_us = until_us - 1;
    page->until_us = until_us;
    page->status = status;
    page->made_us = clock_monotonic_us();
    page->source = call->source;
    page->is_folded = http_json_finish(call->http, body);
    page->body = http_body_new(body);
    page_tag(http_body_slice(page->body), tag);
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        strcat(strcpy(page->forms[i].tag, tag), suffixes[i]);
    if (changed_us > 0 && changed_us <= latest_us) {
        page->valid_since_us = page_valid_since(changed_us);
        int64_t tick_us = clock_tick_us(), date_us = latest_us < tick_us ? latest_us : tick_us;
        page->is_young = page->valid_since_us > date_us;
        clock_format_http(page->is_young ? date_us : page->valid_since_us, page->last_modified);
    }
    cache_control_texts(call, status, page->cache_control, page->edge_control);
    cache_tags_texts(call, page->surrogate_key, page->cache_tag);
    page_link(page, call);
    page->name[0] = call->key.scope == SCOPE_NONE ? '+' : '-';
    memcpy(page->name + 1, target.data, target.size);
    page->bytes = bytes_alone(page);
    return page;
}

static void forms_free(struct page *page)
{
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        http_shared_free(&page->forms[i].whole);
        http_shared_free(&page->forms[i].not_modified);
    }
}

void page_free(void *value)
{
    struct page *page = value;

    forms_free(page);
    http_body_free(&page->body);
    http_body_free(&page->brotli);
    free(page->link);
    free(page);
}

size_t page_bytes(const struct page *page)
{
    return page->bytes;
}

void page_set_kept(struct page *page, int64_t age_us, struct buf *brotli)
{
    page->made_us -= age_us;
    if (brotli->size > 0 && !page->is_folded)
        page->brotli = http_body_new(brotli);
    else
        buf_done(brotli);
}

enum source page_source(const struct page *page)
{
    return page->source;
}

uint64_t page_reads_take(struct page *page, char *name, size_t name_max)
{
    uint64_t reads = page->reads;

    page->reads = 0;
    name[0] = 0;
    if (strlen(page->name) < name_max)
        strcpy(name, page->name);
    return reads;
}

/* ---- header fields ---- */

struct fields {
    struct http_field items[FIELDS_MAX];
    size_t count;
    char tag[PAGE_TAG_MAX + 2];
};

static void field_add(struct fields *fields, const char *name, const char *value)
{
    ASSERT(fields->count < FIELDS_MAX);
    if (value[0])
        fields->items[fields->count++] = (struct http_field){name, value};
}

/* Those of the representation; a 304 carries them too, apart from what describes the body itself. */
static void fields_make(const struct page *page, enum http_coding coding, bool is_whole, struct fields *fields)
{
    fields->count = 0;
    const char *tag = page->forms[coding].tag;
    strcpy(put_bytes(put_byte(fields->tag, '"'), tag, strlen(tag)), "\"");
    if (is_whole) {
        field_add(fields, "Content-Type", page->status >= 400 ? "application/problem+json" : "application/json");
        field_add(fields, "Content-Encoding", coding == HTTP_IDENTITY ? "" : http_coding_name(coding));
    }
    if (page->link)
        field_add(fields, "Link", page->link);
    if (page->status == 200) {
        field_add(fields, "ETag", fields->tag);
        field_add(fields, "Last-Modified", page->last_modified);
    }
    /* A token asks for what is at least as new as a write: what was kept for others is no answer to it. */
    field_add(fields, "Vary", "Accept-Encoding, Ladder-Token");
    field_add(fields, "Cache-Control", page->cache_control);
    field_add(fields, "CDN-Cache-Control", page->edge_control);
    field_add(fields, "Surrogate-Key", page->surrogate_key);
    field_add(fields, "Cache-Tag", page->cache_tag);
}

/* ---- what the client has and takes ---- */

/* Whether it is to be sent at all; HTTP_NOT_MODIFIED: the client has it, in the form *ret_coding. */
static enum http_verdict page_verdict(const struct api_call *call, const struct page *page,
                                      enum http_coding *ret_coding)
{
    const struct http_conditions conditions = http_conditions_read(call->http);
    const char *const tags[] = {page->forms[0].tag, page->forms[1].tag, page->forms[2].tag};
    const struct http_state state = {.exists = true,
                                     .tags = tags,
                                     .tag_count = HTTP_CODING_COUNT,
                                     .valid_since_us = page->last_modified[0] ? page->valid_since_us : 0};
    int form = 0;

    /* What would not be a success without them is not looked at (RFC 9110, 13.2.1). */
    enum http_verdict verdict =
        page->status == 200 ? http_conditions_check(&conditions, &state, true, &form) : HTTP_PASS;
    *ret_coding = (enum http_coding)form;
    return verdict;
}

/* is_hit: others will take the same form, so it may be made; else only one that is there. */
static enum http_coding coding_choose(const struct api_call *call, const struct page *page, bool is_hit)
{
    const bool is_useless[HTTP_CODING_COUNT] = {[HTTP_GZIP] = page->forms[HTTP_GZIP].is_useless || !is_hit,
                                                [HTTP_BROTLI] =
                                                    page->forms[HTTP_BROTLI].is_useless || !(is_hit || page->brotli)};

    if (http_body_slice(page->body).size < COMPRESS_BYTES_MIN)
        return HTTP_IDENTITY;
    return http_coding_best(http_header(call->http, "Accept-Encoding"), is_useless);
}

/* ---- sending ---- */

/* Ladder-Cache; Cache-Status (RFC 9211), and what it says of an answer that was stored; is it of a cache, so that
 * Server-Timing says when it was made? */
static const struct {
    const char *name, *status, *stored;
    bool is_kept;
} outcomes[API_CACHE_COUNT] = {
    [API_CACHE_HIT] = {"hit", "ladder; hit", NULL, true},
    [API_CACHE_STALE] = {"stale", "ladder; hit; ttl=-1", NULL, true},
    [API_CACHE_MISS] = {"miss", "ladder; fwd=miss", "ladder; fwd=miss; stored", false},
    [API_CACHE_TOUCHED] = {"miss", "ladder; fwd=stale; detail=interval", "ladder; fwd=stale; stored; detail=interval",
                           false},
    [API_CACHE_JOINED] = {"miss", "ladder; fwd=miss; collapsed", NULL, false},
    [API_CACHE_BYPASS] = {"bypass", "ladder; fwd=bypass", NULL, false},
    [API_CACHE_L2] = {"hit", "ladder; hit; detail=l2", NULL, true},
    [API_CACHE_JOINED_L2] = {"hit", "ladder; hit; detail=l2", NULL, true},
};

static const char *status_text(const struct api_call *call, enum api_cache outcome)
{
    return call->is_stored && outcomes[outcome].stored ? outcomes[outcome].stored : outcomes[outcome].status;
}

/* Server-Timing: who has it, and since when; that, unlike its age, stays what it is. */
static void timing_make(const struct api_call *call, const struct page *page, enum api_cache outcome,
                        char timing[static API_TIMING_MAX])
{
    char made[CLOCK_TEXT_MAX];

    strcpy(timing, "memory");
    if (outcome != API_CACHE_HIT && outcome != API_CACHE_STALE)
        api_timing_text(call, timing);
    if (!outcomes[outcome].is_kept)
        return;
    size_t size = strlen(timing);
    clock_format(clock_realtime_us() - (clock_monotonic_us() - page->made_us), made);
    snprintf(timing + size, API_TIMING_MAX - size, ", made;desc=\"%s\"", made);
}

/* The body compressed; NULL: it is of no use. */
static struct http_body *body_compress(const struct page *page, enum http_coding coding)
{
    struct buf smaller = {.data = NULL};
    bool is_smaller =
        compress_body(coding == HTTP_GZIP ? COMPRESS_GZIP : COMPRESS_BROTLI, http_body_slice(page->body), &smaller);
    struct http_body *body = is_smaller ? http_body_new(&smaller) : NULL;

    buf_done(&smaller);
    return body;
}

/* timing: what only this answer's Server-Timing says. NULL: the form is of no use. */
static struct http_shared *form_make(const struct api_call *call, struct page *page, enum http_coding coding,
                                     bool is_whole, enum api_cache outcome, const char *timing)
{
    struct http_body *body = page->body, *smaller = NULL;
    struct http_shared *shared = NULL;
    struct fields fields;

    if (coding == HTTP_BROTLI && page->brotli)
        body = page->brotli;
    else if (coding != HTTP_IDENTITY)
        body = smaller = body_compress(page, coding);
    if (body) {
        fields_make(page, coding, is_whole, &fields);
        field_add(&fields, "Ladder-Cache", outcomes[outcome].name);
        field_add(&fields, "Cache-Status", status_text(call, outcome));
        field_add(&fields, "Server-Timing", timing);
        shared = http_shared_new(is_whole ? page->status : 304, fields.items, fields.count, body);
        if (outcome == API_CACHE_HIT)
            page->bytes += FORM_BYTES + (is_whole && smaller ? http_body_slice(smaller).size : 0);
    } else {
        page->forms[coding].is_useless = true;
    }
    http_body_free(&smaller);
    return shared;
}

/*
 * Once that second is over, Last-Modified is a date that a client may ask with. But what is remembered may have been
 * overtaken in that very second by a change whose message is on its way: as late as the stream may be before it is not
 * believed any more (BEATS_LATE), and Redis's clock may be a little behind ours.
 */
static void page_age(const struct api_call *call, struct page *page)
{
    int64_t late_us =
        fault_is("late-date") ? 0 : BEATS_LATE * 1000LL * api_settings_of(call->api)->heartbeat_ms + SECOND_US;

    if (!page->is_young || page->valid_since_us >= page->until_us ||
        clock_realtime_us() < page->valid_since_us + late_us)
        return;
    page->is_young = false;
    clock_format_http(page->valid_since_us, page->last_modified);
    forms_free(page);
    page->bytes = bytes_alone(page);
}

void page_send(struct api_call *call, struct page *page, enum api_cache outcome)
{
    page_age(call, page);
    enum http_coding coding = HTTP_IDENTITY;
    enum http_verdict verdict = page_verdict(call, page, &coding);
    bool is_whole = verdict != HTTP_NOT_MODIFIED;
    bool is_hit = outcome == API_CACHE_HIT;
    struct http_shared *once = NULL, **shared;
    char timing[API_TIMING_MAX];

    api_count(call, outcome, call->http->started_us - page->made_us);
    page->reads += !http_is_internal(call->http);
    if (verdict == HTTP_FAILED) {
        api_fail_with(call, ERROR_PRECONDITION_FAILED, "the answer is not the one that was asked for");
        return;
    }
    /* What may be gone the next moment is not worth compressing. */
    if (is_whole)
        coding = coding_choose(call, page, is_hit);
    for (;;) {
        struct form *form = &page->forms[coding];
        shared = !is_hit ? &once : is_whole ? &form->whole : &form->not_modified;
        if (!*shared) {
            timing_make(call, page, outcome, timing);
            *shared = form_make(call, page, coding, is_whole, outcome, timing);
        }
        if (*shared || coding == HTTP_IDENTITY)
            break;
        coding = HTTP_IDENTITY; /* compressed, it is of no use */
    }
    if (!*shared) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    http_reply_shared(call->http, *shared);
    http_shared_free(&once);
}
