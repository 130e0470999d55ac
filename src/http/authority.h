/*
 * authority.h -- which host a request is for: the Host header field's value, and the request target in absolute form.
 * Pure, any thread.
 */
#ifndef HTTP_AUTHORITY_H
#define HTTP_AUTHORITY_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

/*
 * uri-host [ ":" port ] of RFC 9110 section 7.2: a name, an IPv4 address or an IPv6 address in brackets, and a port up
 * to 65535. The empty text is one too: a client sends it for a URI without an authority. User information is not
 * allowed, nor are IPvFuture addresses.
 */
bool authority_is_valid(struct slice text);

/*
 * The size of what stands before the path when the target is in absolute form (RFC 9112 section 3.2.2), the scheme
 * being http or https: 9 for "http://ab/top" and for "http://ab?x=1". 0: it is in another form. False after filling
 * *error: it is in absolute form, but its authority is empty or malformed.
 */
bool authority_in_target(struct slice target, size_t *ret_size, struct error *error);

#endif
