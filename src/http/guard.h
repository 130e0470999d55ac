/*
 * guard.h -- refuses what libmicrohttpd 0.9.75 accepts and a careful server must not.
 *
 * Two Content-Lengths, or one beside Transfer-Encoding, let a proxy and us see different requests in the same bytes
 * (request smuggling); so do unknown codings, spaces before colons, and bare carriage returns. RFC 9112 sections 3, 5,
 * 6.
 *
 *   refused by what the library tells         refused by where it lies (guard_layout)   not to be seen from here
 *   ---------------------------------------   ---------------------------------------   ---------------------------------
 *   two Content-Lengths; one with             bare LF as a line's end                   LF alone, or with spaces, around a
 *     Transfer-Encoding; not 1 to 15 digits   NUL in the target or in a value             chunk's size; short chunk extensions
 *   a coding other than one "chunked";        folded lines (obs-fold; the library       empty lines before the request
 *     any in HTTP/1.0                           would join them to the name)            NUL LF as a line's end
 *   two Hosts, none in 1.1, one that is no    an empty header name
 *     host and port (authority.h)             more than one space in the first line
 *   single fields twice; '_' or ' ' in a
 *     name; bare CR and other controls
 *   targets that are no path; bad escapes
 *   trailers that would frame or route
 *
 * What the library refuses itself (a Content-Length that is no number, a header larger than its memory, a malformed
 * chunk) is answered by own_answer.c. The right column does no harm to a server on its own; behind a proxy that shares
 * connections between clients, let that proxy be a strict one (config/haproxy.cfg).
 *
 * tests/hostile/ compares all of this with a strict reading of the RFC, the bytes cut at every place.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct MHD_Connection;

/* The first line, as the library left it in its buffer: each part ends in a NUL where a space or the line's end was. */
struct guard_line {
    const char *method;
    const char *target;
    size_t target_size;
    const char *version;
};

struct guard_result {
    bool has_body;
    bool is_length_known;
    int64_t content_length;
    bool expects_continue;
};

/* A target in origin form: visible ASCII, whole escapes, no %00, no empty segments, no dot segments but escaped. */
bool guard_target(struct slice target, int uri_bytes_max, struct error *error);
/* Version and header fields; header_bytes_max: of all fields with their names and line ends. */
bool guard_header(struct MHD_Connection *connection, const struct guard_line *line, int header_bytes_max,
                  struct guard_result *ret_result, struct error *error);
/* The fields behind a chunked body; once the request is whole. */
bool guard_trailers(struct MHD_Connection *connection, struct error *error);

#endif
