#include "api/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/page.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/compress.h"
#include "described.h"
#include "http/condition.h"
#include "http/negotiate.h"

struct form {
    char tag[HTTP_TAG_MAX];                   /* without quotes */
    struct http_body *body;                   /* NULL: nobody asked for it yet */
    int64_t made_us;                          /* realtime */
    struct http_shared *whole, *not_modified; /* as a hit sends them */
};

struct document {
    struct slice body;
    const char *type, *policy;
    struct form forms[HTTP_CODING_COUNT];
};

struct documents {
    struct document description, page;
};

static void document_init(struct document *document, struct slice body, const char *type, const char *policy)
{
    static const char *const suffixes[HTTP_CODING_COUNT] = {"", "-gzip", "-br"};
    char tag[HTTP_TAG_MAX];

    *document = (struct document){.body = body, .type = type, .policy = policy};
    http_tag_of(body, tag);
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        strcat(strcpy(document->forms[i].tag, tag), suffixes[i]);
}

static void document_done(struct document *document)
{
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        http_shared_free(&document->forms[i].whole);
        http_shared_free(&document->forms[i].not_modified);
        http_body_free(&document->forms[i].body);
    }
}

struct documents *documents_new(void)
{
    struct documents *documents = calloc(1, sizeof(*documents));

    ASSERT(documents != NULL);
    document_init(&documents->description, (struct slice){described_json, described_json_size}, "application/json",
                  "default-src 'none'");
    document_init(&documents->page, (struct slice){described_page, described_page_size}, "text/html; charset=utf-8",
                  described_page_policy);
    return documents;
}

void documents_free(struct documents **documents)
{
    document_done(&(*documents)->description);
    document_done(&(*documents)->page);
    free(*documents);
    *documents = NULL;
}

/* false: there is no memory for it. */
static bool body_make(const struct document *document, enum http_coding coding, struct form *form)
{
    struct buf bytes;

    buf_init(&bytes, API_ANSWER_BYTES_MAX);
    if (coding == HTTP_IDENTITY)
        buf_append_slice(&bytes, document->body);
    else if (!compress_body(coding == HTTP_GZIP ? COMPRESS_GZIP : COMPRESS_BROTLI, COMPRESS_SMALL, document->body,
                            &bytes))
        return false;
    if (bytes.is_overflown) {
        buf_done(&bytes);
        return false;
    }
    form->body = http_body_new(&bytes);
    form->made_us = clock_realtime_us();
    return true;
}

static struct http_shared *shared_make(const struct document *document, enum http_coding coding, bool is_whole,
                                       const char *status, const char *timing)
{
    const struct form *form = &document->forms[coding];
    char tag[HTTP_TAG_MAX + 2];

    snprintf(tag, sizeof(tag), "\"%s\"", form->tag);
    const struct http_field fields[] = {
        {"ETag", tag},
        {"Cache-Control", "public, no-cache"},
        {"Vary", "Accept-Encoding"},
        {"Content-Security-Policy", document->policy},
        {"Ladder-Cache", strstr(status, "hit") ? "hit" : "miss"},
        {"Cache-Status", status},
        {"Server-Timing", timing},
        /* The last two describe the body: a 304 is without them. */
        {"Content-Type", document->type},
        {"Content-Encoding", http_coding_name(coding)},
    };
    size_t count = ARRAY_SIZE(fields) - (is_whole ? coding == HTTP_IDENTITY : 2);
    return http_shared_new(is_whole ? 200 : 304, fields, count, form->body);
}

/* The first answer of a form makes it; those that follow share one. */
static void form_send(struct api_call *call, struct document *document, enum http_coding coding, bool is_whole)
{
    struct form *form = &document->forms[coding];
    struct http_shared *first = NULL, **shared = is_whole ? &form->whole : &form->not_modified;
    char timing[API_TIMING_MAX] = "memory, made;desc=\"";

    if (!form->body) {
        if (!body_make(document, coding, form)) {
            api_fail_with(call, ERROR_OVERLOADED, "out of memory");
            return;
        }
        api_timing_text(call, timing);
        first = shared_make(document, coding, is_whole, "ladder; fwd=miss; stored", timing);
        shared = &first;
    } else if (!*shared) {
        clock_format(form->made_us, timing + strlen(timing));
        strcat(timing, "\"");
        *shared = shared_make(document, coding, is_whole, "ladder; hit", timing);
    }
    http_reply_shared(call->http, *shared);
    http_shared_free(&first);
}

static void document_send(struct api_call *call, struct document *document)
{
    const struct http_conditions conditions = http_conditions_read(call->http);
    const char *const tags[] = {document->forms[0].tag, document->forms[1].tag, document->forms[2].tag};
    const struct http_state state = {.exists = true, .tags = tags, .tag_count = HTTP_CODING_COUNT};
    static const bool useless[HTTP_CODING_COUNT];
    int form = 0;

    enum http_verdict verdict = http_conditions_check(&conditions, &state, true, &form);
    if (verdict == HTTP_FAILED) {
        api_fail_with(call, ERROR_PRECONDITION_FAILED, "the document is not the one that was asked for");
        return;
    }
    bool is_whole = verdict == HTTP_PASS;
    if (is_whole)
        form = (int)http_coding_best(http_header(call->http, "Accept-Encoding"), useless);
    form_send(call, document, (enum http_coding)form, is_whole);
}

void api_description(struct api_call *call)
{
    document_send(call, &api_documents(call->api)->description);
}

void api_docs(struct api_call *call)
{
    document_send(call, &api_documents(call->api)->page);
}
