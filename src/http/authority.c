/*
 * authority.c -- see authority.h. The grammar is that of RFC 3986 section 3.2.
 */
#include "http/authority.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { PORT_MAX = 65535, PORT_DIGITS_MAX = 15 };

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* reg-name = *( unreserved / pct-encoded / sub-delims ); an IPv4 address is one too. */
static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '%') {
            if (i + 2 >= text.size || !is_hex((unsigned char)text.data[i + 1]) ||
                !is_hex((unsigned char)text.data[i + 2]))
                return false;
            i += 2;
        } else if (!is_alnum(c) && (c == 0 || !strchr("-._~!$&'()*+,;=", c))) {
            return false;
        }
    }
    return true;
}

static bool is_v6(struct slice text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (text.size >= sizeof(address) || memchr(text.data, 0, text.size))
        return false;
    memcpy(address, text.data, text.size);
    address[text.size] = 0;
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* Behind the host: nothing, or a colon and digits (none is the scheme's port). */
static bool is_port(struct slice text)
{
    uint64_t port = 0;

    if (text.size <= 1)
        return text.size == 0 || text.data[0] == ':';
    return text.data[0] == ':' && text.size <= PORT_DIGITS_MAX &&
           text_parse_uint64((struct slice){text.data + 1, text.size - 1}, &port) && port <= PORT_MAX;
}

bool authority_is_valid(struct slice text)
{
    bool is_literal = text.size > 0 && text.data[0] == '[';
    const char *end = text.size ? memchr(text.data, is_literal ? ']' : ':', text.size) : NULL;

    if (!end)
        return !is_literal && is_name(text);
    size_t size = (size_t)(end - text.data) + is_literal; /* of the host */
    struct slice rest = {text.data + size, text.size - size};
    return is_port(rest) &&
           (is_literal ? is_v6((struct slice){text.data + 1, size - 2}) : is_name((struct slice){text.data, size}));
}

static size_t scheme_size(struct slice target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t size = strlen(schemes[i]);
        if (target.size >= size && strncasecmp(target.data, schemes[i], size) == 0)
            return size;
    }
    return 0;
}

bool authority_in_target(struct slice target, size_t *ret_size, struct error *error)
{
    size_t begin = scheme_size(target), end = begin;

    *ret_size = 0;
    if (begin == 0)
        return true;
    while (end < target.size && target.data[end] != '/' && target.data[end] != '?' && target.data[end] != '#')
        end++;
    struct slice authority = {target.data + begin, end - begin};
    if (authority.size == 0 || authority.data[0] == ':' || !authority_is_valid(authority))
        return error_set(error, ERROR_BAD_REQUEST, "the request target's host is not a host with an optional port");
    *ret_size = end;
    return true;
}
