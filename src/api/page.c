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
#include "http/coding.h"
#include "http/condition.h"
#include "store/answers.h"

enum { FIELDS_MAX = 16, FORM_BYTES = 512 /* of header fields, about */, SECOND_US = 1000000, BEATS_LATE = 4 };

/*
 * The forms of a page. What is compressed at the fast level has bytes of its own, and so a tag of its own: the first
 * answers have the fast form, those out of memory the small one.
 */
enum form_kind { FORM_IDENTITY, FORM_GZIP, FORM_BROTLI, FORM_GZIP_FAST, FORM_BROTLI_FAST, FORM_COUNT };
_Static_assert((int)FORM_COUNT == (int)PAGE_FORMS, "a tag for each");

static const char *const suffixes[FORM_COUNT] = {"", "-gzip", "-br", "-gzip-f", "-br-f"};

struct form {
    char tag[PAGE_TAG_MAX];     /* without quotes */
    struct http_body *body;     /* compressed; NULL: not, or not yet */
    struct http_making *making; /* an answer under way makes it; NULL: none */
    struct http_shared *whole, *not_modified;
};

struct page {
    int status;
    struct http_body *body;
    bool is_folded;         /* `pretty`: no other copy of the answer has these bytes */
    int64_t valid_since_us; /* the change, rounded up to a second */
    int64_t until_us;       /* no date from here on */
    bool is_young;          /* that second is not over: last_modified is still short of it */
    char last_modified[CLOCK_TEXT_MAX];
    char cache_control[CACHE_CONTROL_MAX];
    char edge_control[CACHE_CONTROL_MAX];
    char surrogate_key[CACHE_TAGS_MAX];
    char cache_tag[CACHE_TAGS_MAX];
    char *link; /* to the next page; NULL: none */
    struct form forms[FORM_COUNT];
    bool is_useless[HTTP_CODING_COUNT]; /* compressed, it is not smaller */
    size_t bytes, bytes_told;
    uint64_t reads;
    int64_t made_us; /* monotonic */
    enum source source;
    char name[]; /* '+' or '-', then the target: see kv/keys.h */
};

void page_tags(struct slice body, char tags[static PAGE_FORMS][PAGE_TAG_MAX])
{
    http_tag_of(body, tags[0]);
    for (int i = 1; i < FORM_COUNT; i++)
        snprintf(tags[i], PAGE_TAG_MAX, "%.16s%s", tags[0], suffixes[i]);
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

/* What it counts for, its forms included. */
static void page_count(struct page *page)
{
    size_t bytes =
        sizeof(*page) + strlen(page->name) + (page->link ? strlen(page->link) : 0) + http_body_slice(page->body).size;

    for (int i = 0; i < FORM_COUNT; i++) {
        const struct form *form = &page->forms[i];
        bytes += form->body ? http_body_slice(form->body).size : 0;
        bytes += (size_t)((form->whole ? FORM_BYTES : 0) + (form->not_modified ? FORM_BYTES : 0));
    }
    page->bytes = bytes;
}

struct page *page_new(const struct api_call *call, int status, struct buf *body, int64_t changed_us, int64_t as_of_us,
                      int64_t until_us)
{
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
    http_tag_of(http_body_slice(page->body), tag);
    for (int i = 0; i < FORM_COUNT; i++)
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
    page_count(page);
    return page;
}

/* Its finished answers; the compressed bytes stay. */
static void shared_free(struct form *form)
{
    http_shared_free(&form->whole);
    http_shared_free(&form->not_modified);
}

static void form_free(struct form *form)
{
    shared_free(form);
    http_body_free(&form->body);
    http_making_free(&form->making);
}

void page_free(void *value)
{
    struct page *page = value;

    for (int i = 0; i < FORM_COUNT; i++)
        form_free(&page->forms[i]);
    http_body_free(&page->body);
    free(page->link);
    free(page);
}

size_t page_bytes(struct page *page)
{
    page->bytes_told = page->bytes;
    return page->bytes;
}

bool page_has_changed(const struct page *page)
{
    return page->bytes != page->bytes_told;
}

void page_set_kept(struct page *page, int64_t age_us, struct buf *brotli)
{
    page->made_us -= age_us;
    if (brotli->size > 0 && !page->is_folded)
        page->forms[FORM_BROTLI].body = http_body_new(brotli);
    else
        buf_done(brotli);
    page_count(page);
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

static enum http_coding coding_of(enum form_kind kind)
{
    return (enum http_coding)(kind > FORM_BROTLI ? kind - FORM_BROTLI : kind);
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
static void fields_make(const struct page *page, enum form_kind kind, bool is_whole, struct fields *fields)
{
    enum http_coding coding = coding_of(kind);

    fields->count = 0;
    const char *tag = page->forms[kind].tag;
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

/* Whether it is to be sent at all; HTTP_NOT_MODIFIED: the client has it, in the form *ret_kind. */
static enum http_verdict page_verdict(const struct api_call *call, const struct page *page, enum form_kind *ret_kind)
{
    const struct http_conditions conditions = http_conditions_read(call->http);
    const char *const tags[FORM_COUNT] = {page->forms[0].tag, page->forms[1].tag, page->forms[2].tag,
                                          page->forms[3].tag, page->forms[4].tag};
    const struct http_state state = {.exists = true,
                                     .tags = tags,
                                     .tag_count = FORM_COUNT,
                                     .valid_since_us = page->last_modified[0] ? page->valid_since_us : 0};
    int form = 0;

    /* What would not be a success without them is not looked at (RFC 9110, 13.2.1). */
    enum http_verdict verdict =
        page->status == 200 ? http_conditions_check(&conditions, &state, true, &form) : HTTP_PASS;
    *ret_kind = (enum form_kind)form;
    return verdict;
}

/* ---- forms ---- */

/* Compresses the page into a form, if there is time for that. */
static bool form_make(const struct api_call *call, struct page *page, enum form_kind kind)
{
    enum http_coding coding = coding_of(kind);
    struct form *form = &page->forms[kind];
    enum compress_effort effort = kind > FORM_BROTLI ? COMPRESS_FAST : COMPRESS_SMALL;

    if (!form->body && !page->is_useless[coding])
        form->body = http_body_code(call->http, page->body, coding, effort, &page->is_useless[coding]);
    return form->body != NULL;
}

/* What an answer that was under way has made since. */
static void form_collect(struct form *form)
{
    if (!form->making)
        return;
    form->body = http_making_take(form->making);
    if (form->body || http_making_is_abandoned(form->making))
        http_making_free(&form->making);
}

/*
 * The form in which the client gets the page. What is remembered gets the small form with its first hit, and what is
 * sent for the first time the fast one; where the budget does not allow that, whichever there is. A large page has
 * the fast form only, which comes into being while it is sent: its body is then NULL.
 */
static enum form_kind form_choose(const struct api_call *call, struct page *page, bool is_hit)
{
    size_t size = http_body_slice(page->body).size;
    enum http_coding coding = http_coding_of(call->http, size, page->is_useless);
    bool is_large = size > HTTP_CODED_WHOLE_MAX;
    enum form_kind small = (enum form_kind)coding, fast = small + FORM_BROTLI;

    if (coding == HTTP_IDENTITY)
        return FORM_IDENTITY;
    form_collect(&page->forms[fast]);
    if (page->forms[small].body)
        return small;
    if (is_hit && !is_large && form_make(call, page, small)) {
        form_free(&page->forms[fast]);
        return small;
    }
    if (page->forms[fast].body || (is_large && http_may_code(call->http)))
        return fast;
    return !is_large && form_make(call, page, fast) ? fast : FORM_IDENTITY;
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

/* Those of the answer besides the representation's. timing: what only this answer's Server-Timing says. */
static void outcome_fields(const struct api_call *call, enum api_cache outcome, const char *timing,
                           struct fields *fields)
{
    field_add(fields, "Ladder-Cache", outcomes[outcome].name);
    field_add(fields, "Cache-Status", status_text(call, outcome));
    field_add(fields, "Server-Timing", timing);
}

/* The page is compressed while it is sent; what results is kept where the page is. */
static void page_stream(struct api_call *call, struct page *page, enum form_kind kind, enum api_cache outcome)
{
    struct form *form = &page->forms[kind];
    struct http_making *making = NULL;
    char timing[API_TIMING_MAX];
    struct fields fields;

    if (!form->making && (outcome == API_CACHE_HIT || call->is_stored))
        form->making = making = http_making_new();
    timing_make(call, page, outcome, timing);
    fields_make(page, kind, true, &fields);
    outcome_fields(call, outcome, timing, &fields);
    http_reply_coded(call->http, page->status, fields.items, fields.count, page->body, coding_of(kind), making);
}

static struct http_shared *shared_make(const struct api_call *call, struct page *page, enum form_kind kind,
                                       bool is_whole, enum api_cache outcome)
{
    const struct form *form = &page->forms[kind];
    char timing[API_TIMING_MAX];
    struct fields fields;

    timing_make(call, page, outcome, timing);
    fields_make(page, kind, is_whole, &fields);
    outcome_fields(call, outcome, timing, &fields);
    return http_shared_new(is_whole ? page->status : 304, fields.items, fields.count,
                           kind == FORM_IDENTITY ? page->body : form->body);
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
    for (int i = 0; i < FORM_COUNT; i++)
        shared_free(&page->forms[i]);
}

void page_send(struct api_call *call, struct page *page, enum api_cache outcome)
{
    page_age(call, page);
    enum form_kind kind = FORM_IDENTITY;
    enum http_verdict verdict = page_verdict(call, page, &kind);
    bool is_whole = verdict != HTTP_NOT_MODIFIED;
    bool is_hit = outcome == API_CACHE_HIT;
    struct http_shared *once = NULL, **shared = &once;

    api_count(call, outcome, call->http->started_us - page->made_us);
    page->reads += !http_is_internal(call->http);
    if (verdict == HTTP_FAILED) {
        api_fail_with(call, ERROR_PRECONDITION_FAILED, "the answer is not the one that was asked for");
        return;
    }
    if (is_whole)
        kind = form_choose(call, page, is_hit);
    else if (kind != FORM_IDENTITY && http_body_slice(page->body).size <= HTTP_CODED_WHOLE_MAX)
        form_make(call, page, kind); /* its size belongs to the 304 */
    struct form *form = &page->forms[kind];
    if (is_hit)
        shared = is_whole ? &form->whole : &form->not_modified;
    if (is_whole && kind != FORM_IDENTITY && !form->body) {
        page_stream(call, page, kind, outcome);
        return;
    }
    if (!*shared) {
        *shared = shared_make(call, page, kind, is_whole, outcome);
        page_count(page);
    }
    http_reply_shared(call->http, *shared);
    http_shared_free(&once);
}

void page_send_kept(struct api_call *call, struct l1_entry *entry, enum api_cache outcome)
{
    page_send(call, entry->value, outcome);
    if (page_has_changed(entry->value))
        answers_resize(call->store, entry, page_bytes(entry->value));
    http_release(call->http);
}

void page_send_joined(struct api_call *call, struct page *page, const struct error *error)
{
    struct http_request *http = call->http;

    if (error) {
        api_fail(call, error);
    } else {
        call->source = page_source(page);
        page_send(call, page, page_source(page) == SOURCE_L2 ? API_CACHE_JOINED_L2 : API_CACHE_JOINED);
    }
    http_release(http);
}
