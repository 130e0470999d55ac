#include "api/document.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/page.h"
#include "base/assert.h"
#include "cache/compress.h"
#include "described.h"
#include "http/condition.h"
#include "http/negotiate.h"

struct document {
    struct slice body;
    const char *type, *policy;
    char tags[HTTP_CODING_COUNT][PAGE_TAG_MAX]; /* without quotes */
    struct http_shared *whole[HTTP_CODING_COUNT], *not_modified[HTTP_CODING_COUNT];
};

struct documents {
    struct document description, page;
};

static void document_init(struct document *document, struct slice body, const char *type, const char *policy)
{
    static const char *const suffixes[HTTP_CODING_COUNT] = {"", "-gzip", "-br"};
    char tag[PAGE_TAG_MAX];

    *document = (struct document){.body = body, .type = type, .policy = policy};
    page_tag(body, tag);
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        strcat(strcpy(document->tags[i], tag), suffixes[i]);
}

static void document_done(struct document *document)
{
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        http_shared_free(&document->whole[i]);
        http_shared_free(&document->not_modified[i]);
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

/* NULL: there is no memory for it. */
static struct http_shared *form_make(const struct document *document, enum http_coding coding, bool is_whole)
{
    struct buf bytes;
    char tag[PAGE_TAG_MAX + 2];

    buf_init(&bytes, API_ANSWER_BYTES_MAX);
    if (coding == HTTP_IDENTITY)
        buf_append_slice(&bytes, document->body);
    else if (!compress_body(coding == HTTP_GZIP ? COMPRESS_GZIP : COMPRESS_BROTLI, document->body, &bytes))
        return NULL;
    if (bytes.is_overflown) {
        buf_done(&bytes);
        return NULL;
    }
    snprintf(tag, sizeof(tag), "\"%s\"", document->tags[coding]);
    const struct http_field fields[] = {
        {"ETag", tag},
        {"Cache-Control", "public, no-cache"},
        {"Vary", "Accept-Encoding"},
        {"Content-Security-Policy", document->policy},
        /* The last two describe the body: a 304 is without them. */
        {"Content-Type", document->type},
        {"Content-Encoding", http_coding_name(coding)},
    };
    size_t count = ARRAY_SIZE(fields) - (is_whole ? coding == HTTP_IDENTITY : 2);
    struct http_body *body = http_body_new(&bytes);
    struct http_shared *shared = http_shared_new(is_whole ? 200 : 304, fields, count, body);
    http_body_free(&body);
    return shared;
}

static void document_send(struct api_call *call, struct document *document)
{
    const struct http_conditions conditions = http_conditions_read(call->http);
    const char *const tags[] = {document->tags[0], document->tags[1], document->tags[2]};
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
    struct http_shared **shared = is_whole ? &document->whole[form] : &document->not_modified[form];
    if (!*shared)
        *shared = form_make(document, (enum http_coding)form, is_whole);
    if (*shared)
        http_reply_shared(call->http, *shared);
    else
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
}

void api_description(struct api_call *call)
{
    document_send(call, &api_documents(call->api)->description);
}

void api_docs(struct api_call *call)
{
    document_send(call, &api_documents(call->api)->page);
}
