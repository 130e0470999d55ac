/*
 * guard.h -- refuses what libmicrohttpd 0.9.75 accepts and a careful server must not.
 *
 * Two Content-Lengths, or one beside Transfer-Encoding, let a proxy and us see different requests in the same bytes
 * (request smuggling); so do unknown codings, spaces before colons, and bare carriage returns. RFC 9112 sections 3, 5, 6.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct MHD_Connection;

struct guard_limits {
    int uri_bytes_max;
    int64_t body_bytes_max;
};

struct guard_result {
    bool has_body;
    bool is_length_known;
    int64_t content_length;
};

/* The raw target: origin form, visible ASCII, whole escapes, no %00, no empty or dot segments. */
bool guard_target(struct slice target, int uri_bytes_max, struct error *error);
/* Version and header fields. */
bool guard_header(struct MHD_Connection *connection, const char *version, struct guard_result *ret_result,
                  struct error *error);

#endif
