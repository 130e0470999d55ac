#include "http/json_number.h"

#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

enum { EXPONENT_CAP = 1000000000 };

static bool is_digit(struct slice text, size_t at)
{
    return at < text.size && text.data[at] >= '0' && text.data[at] <= '9';
}

static size_t digits_end(struct slice text, size_t at)
{
    while (is_digit(text, at))
        at++;
    return at;
}

/* The value is below 10 to the power of this: 3 for 123, -1 for 0.012. */
static int64_t magnitude(struct slice text, size_t whole, size_t whole_end, size_t fraction, size_t fraction_end)
{
    if (text.data[whole] != '0')
        return (int64_t)(whole_end - whole);
    for (size_t at = fraction; at < fraction_end; at++)
        if (text.data[at] != '0')
            return -(int64_t)(at - fraction);
    return -2LL * EXPONENT_CAP; /* 0, whatever its exponent */
}

size_t json_number_end(struct slice text, size_t at, bool *ret_is_too_large)
{
    size_t start = at, whole = at + (text.data[at] == '-');
    size_t whole_end = digits_end(text, whole), fraction = whole_end, fraction_end = whole_end;
    int64_t exponent = 0;
    bool is_real = false;

    *ret_is_too_large = false;
    if (whole_end == whole || (text.data[whole] == '0' && whole_end > whole + 1))
        return whole_end > start ? whole_end : start + 1;
    at = whole_end;
    if (at < text.size && text.data[at] == '.') {
        is_real = true;
        fraction = at + 1;
        at = fraction_end = digits_end(text, fraction);
        if (fraction_end == fraction)
            return at;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        is_real = true;
        at++;
        bool is_negative = at < text.size && text.data[at] == '-';
        if (at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
            at++;
        size_t end = digits_end(text, at);
        if (end == at)
            return at;
        for (; at < end; at++)
            exponent = exponent < EXPONENT_CAP ? exponent * 10 + (text.data[at] - '0') : EXPONENT_CAP;
        if (is_negative)
            exponent = -exponent;
    }
    int64_t ignored;
    *ret_is_too_large = is_real ? magnitude(text, whole, whole_end, fraction, fraction_end) + exponent > 308
                                : !text_parse_int64((struct slice){text.data + start, at - start}, &ignored);
    return at;
}

void json_number_replace(char *text, size_t at, size_t end)
{
    static const char number[] = "1e308";

    at += text[at] == '-';                  /* the sign stays: what was no JSON must not become it */
    ASSERT(end - at >= sizeof(number) - 1); /* the shortest are 1e308 and its like */
    memset(text + at, ' ', end - at);
    memcpy(text + at, number, sizeof(number) - 1);
}
