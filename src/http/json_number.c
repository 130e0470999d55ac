#include "http/json_number.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

size_t json_number_end(struct slice text, size_t at, bool *ret_is_real, bool *ret_is_too_large)
{
    size_t start = at, whole = at + (text.data[at] == '-');
    size_t whole_end = digits_end(text, whole), fraction = whole_end, fraction_end = whole_end;
    int64_t exponent = 0;
    bool is_real = false;

    *ret_is_real = *ret_is_too_large = false;
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
    *ret_is_real = is_real;
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

/* Returns the size of the shortest form, in `out`; 0: leave it as it is. */
static size_t shortest(struct slice number, char out[static 40])
{
    char copy[40];

    if (number.size >= sizeof(copy))
        return 0;
    memcpy(copy, number.data, number.size);
    copy[number.size] = 0;
    double value = strtod(copy, NULL);
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(out, 40, "%.*g", precision, value);
        if (strtod(out, NULL) == value)
            break;
    }
    if (!strpbrk(out, ".e"))
        strcat(out, ".0"); /* a real stays one */
    return strlen(out);
}

size_t json_numbers_shorten(char *text, size_t size)
{
    struct slice all = {text, size};
    bool is_string = false;
    size_t to = 0;

    for (size_t at = 0; at < size;) {
        char c = text[at];
        if (is_string || (c != '-' && (c < '0' || c > '9'))) {
            if (is_string && c == '\\')
                text[to++] = text[at++]; /* what follows is no end */
            else if (c == '"')
                is_string = !is_string;
            text[to++] = text[at++];
            continue;
        }
        bool is_real, is_too_large;
        char form[40];
        size_t end = json_number_end(all, at, &is_real, &is_too_large);
        size_t form_size = is_real ? shortest((struct slice){text + at, end - at}, form) : 0;
        if (form_size > 0 && form_size <= end - at) {
            memcpy(text + to, form, form_size);
            to += form_size;
        } else {
            memmove(text + to, text + at, end - at);
            to += end - at;
        }
        at = end;
    }
    return to;
}
