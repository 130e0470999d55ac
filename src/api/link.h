/*
 * link.h -- the Link header field that names the next page (RFC 8288, rel="next").
 */
#ifndef API_LINK_H
#define API_LINK_H

#include "api/api.h"

enum { LINK_TEXT_MAX = 2048 };

/*
 * Fills `out` with the field's value for a finished answer: its root object ends with "next". "" where that is null or
 * absent, or where the URL would be longer than the field may be. The cursor of a standing holds all parameters of its
 * page, so it stands alone, except for `pretty`; the parameters of other lists are repeated. body: borrowed.
 */
void link_next(const struct api_call *call, struct slice body, char out[static LINK_TEXT_MAX]);

#endif
