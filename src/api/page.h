/*
 * page.h -- one finished representation: a status, a body, its validators, and the forms in which it is sent.
 *
 * What is remembered is a page. Its common form is made once and shared (http_shared); compressed forms and the 304 are
 * made when somebody first asks for them. A page is one loop's.
 */
#ifndef API_PAGE_H
#define API_PAGE_H

#include "api/api.h"
#include "cache/l1.h"
#include "http/condition.h"

struct page;

enum { PAGE_TAG_MAX = HTTP_TAG_MAX, PAGE_FORMS = 5 /* as it is, and compressed */ };

/* Those of all forms in which a body may have been sent. */
void page_tags(struct slice body, char tags[static PAGE_FORMS][PAGE_TAG_MAX]);
/* The first whole second from which on a date has seen a change. */
int64_t page_valid_since(int64_t changed_us);

/*
 * body: taken. changed_us: when it last changed, as far as is known; 0: not known. as_of_us: the instant at which it
 * was true. until_us: from there on the question may mean something else, so that no date from there on is given;
 * INT64_MAX: never. All realtime, as Redis reads it.
 */
struct page *page_new(const struct api_call *call, int status, struct buf *body, int64_t changed_us, int64_t as_of_us,
                      int64_t until_us);
void page_free(void *page);
/* What it counts for in memory; and whether that has changed since it was last asked for. */
size_t page_bytes(struct page *page);
bool page_has_changed(const struct page *page);
/* It was made that long ago, by whoever kept it, and compressed already: taken; empty: it is not. */
void page_set_kept(struct page *page, int64_t age_us, struct buf *brotli);
/* Who answered when it was made. */
enum source page_source(const struct page *page);

/* How often it was sent since this was last asked, and what was asked for: "" where that is too long to tell. */
uint64_t page_reads_take(struct page *page, char *name, size_t name_max);

/* Answers the call with it: whole, compressed, or 304. The page stays its owner's. May grow it: see page_bytes. */
void page_send(struct api_call *call, struct page *page, enum api_cache outcome);
/* Answers with one that memory keeps, and lets the request go. */
void page_send_kept(struct api_call *call, struct l1_entry *entry, enum api_cache outcome);
/* Answers with the page that another call has fetched, or with why that failed, and lets the request go. */
void page_send_joined(struct api_call *call, struct page *page, const struct error *error);

#endif
