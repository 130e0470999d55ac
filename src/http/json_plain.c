#include "http/json_plain.h"

#include <string.h>

#include "base/text.h"

static size_t space_end(struct slice body, size_t at)
{
    while (at < body.size &&
           (body.data[at] == ' ' || body.data[at] == '\t' || body.data[at] == '\r' || body.data[at] == '\n'))
        at++;
    return at;
}

/* The sign, and the white space around it. */
static bool sign_take(struct slice body, size_t *at, char sign)
{
    *at = space_end(body, *at);
    if (*at == body.size || body.data[*at] != sign)
        return false;
    *at = space_end(body, *at + 1);
    return true;
}

/* No escape, no control character, all of it UTF-8. */
static bool is_plain(struct slice text)
{
    unsigned char high = 0;
    bool is_special = false;

    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        high |= c;
        is_special |= (c < 0x20) | (c == '\\');
    }
    return !is_special && (high < 0x80 || text_is_utf8(text));
}

static bool text_take(struct slice body, size_t *at, struct slice *ret_text)
{
    if (*at == body.size || body.data[*at] != '"')
        return false;
    const char *begin = body.data + *at + 1;
    const char *end = memchr(begin, '"', body.size - *at - 1);
    if (!end)
        return false;
    *ret_text = (struct slice){begin, (size_t)(end - begin)};
    *at = (size_t)(end - body.data) + 1;
    return is_plain(*ret_text);
}

bool json_plain_texts(struct slice body, const char *name, size_t count_max, struct slice *ret_texts, size_t *ret_count)
{
    struct slice key;
    size_t at = 0, count = 0;

    if (!sign_take(body, &at, '{') || !text_take(body, &at, &key) || !slice_is(key, name) ||
        !sign_take(body, &at, ':') || !sign_take(body, &at, '['))
        return false;
    do {
        if (count == count_max || !text_take(body, &at, &ret_texts[count]))
            return false;
        count++;
    } while (sign_take(body, &at, ','));
    if (!sign_take(body, &at, ']') || !sign_take(body, &at, '}') || at < body.size)
        return false;
    *ret_count = count;
    return true;
}
