/*
 * condition.h -- "only if": the conditions of a request, and whether they hold (RFC 9110, section 13).
 */
#ifndef HTTP_CONDITION_H
#define HTTP_CONDITION_H

#include "http/request.h"

enum { HTTP_TAG_BYTES = 12, HTTP_TAG_MAX = 24 /* 16 characters, and room for a suffix */ };

/* The entity tag of a body in its identity form, without quotes. */
void http_tag_of(struct slice body, char tag[static HTTP_TAG_MAX]);

/* The fields as they came, borrowed for the request's life; data NULL: absent. Lists of several lines are joined. */
struct http_conditions {
    struct slice if_match, if_none_match, if_modified_since, if_unmodified_since;
};

struct http_conditions http_conditions_read(struct http_request *request);
bool http_conditions_any(const struct http_conditions *conditions);
/* For work that goes on when the connection may be gone: the same in the request's arena. false: out of memory. */
bool http_conditions_keep(struct http_conditions *conditions, struct arena *arena);

/* What the target is just now. */
struct http_state {
    bool exists;
    const char *const *tags; /* of each form in which it is sent, without quotes; all strong */
    int tag_count;
    int64_t valid_since_us; /* a date from here on has seen the last change; realtime. 0: not known when that was */
};

enum http_verdict { HTTP_PASS, HTTP_NOT_MODIFIED, HTTP_FAILED };

/*
 * In the order of section 13.2.2. is_read: GET or HEAD. ret_form: for HTTP_NOT_MODIFIED, the index of the tag that the
 * client has (0 when a date says it).
 */
enum http_verdict http_conditions_check(const struct http_conditions *conditions, const struct http_state *state,
                                        bool is_read, int *ret_form);

#endif
