#include "http/json_scan.h"

#include <string.h>

#include "base/assert.h"
#include "base/text.h"

/* What may come next. */
enum expected { THE_ROOT, A_VALUE, A_VALUE_OR_END, A_NAME, A_NAME_OR_END, A_COLON, MORE_OR_END, NOTHING };

static const char *const expectations[] = {
    [THE_ROOT] = "'[' or '{' expected",
    [A_VALUE] = "a value expected",
    [A_VALUE_OR_END] = "a value or ']' expected",
    [A_NAME] = "a string expected",
    [A_NAME_OR_END] = "a string or '}' expected",
    [A_COLON] = "':' expected",
    [MORE_OR_END] = "',' or the end of the array or object expected",
    [NOTHING] = "the end of the text expected",
};

struct scan {
    struct slice text;
    size_t at;
    enum expected expected;
    int depth;
    bool is_object[JSON_BODY_DEPTH_MAX];
    const char *what; /* NULL: nothing is wrong so far */
};

static int peek(const struct scan *scan)
{
    return scan->at < scan->text.size ? (unsigned char)scan->text.data[scan->at] : -1;
}

static bool wrong(struct scan *scan, const char *what)
{
    scan->what = what;
    return false;
}

/* ---- strings ---- */

/* Behind the opening quote: a string without escapes is taken whole. */
static bool string_take_plain(struct scan *scan)
{
    const char *begin = scan->text.data + scan->at;
    const char *end = memchr(begin, '"', scan->text.size - scan->at);
    unsigned char high = 0;
    bool is_special = false;

    if (!end)
        return false;
    for (const char *c = begin; c < end; c++) {
        high |= (unsigned char)*c;
        is_special |= ((unsigned char)*c < 0x20) | (*c == '\\');
    }
    if (is_special || (high >= 0x80 && !text_is_utf8((struct slice){begin, (size_t)(end - begin)})))
        return false;
    scan->at = (size_t)(end - scan->text.data) + 1;
    return true;
}

/* Behind \u; -1: no four hexadecimal digits. */
static int unit_take(struct scan *scan)
{
    int unit = 0;

    for (int i = 0; i < 4; i++, scan->at++) {
        int c = peek(scan);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Behind the backslash. */
static bool escape_take(struct scan *scan)
{
    int c = peek(scan);

    if (c < 0 || !strchr("\"\\/bfnrtu", c))
        return wrong(scan, "an escape expected");
    scan->at++;
    if (c != 'u')
        return true;
    int unit = unit_take(scan);
    if (unit < 0)
        return wrong(scan, "four hexadecimal digits expected");
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit > 0xdbff || peek(scan) != '\\')
        return wrong(scan, "a pair of surrogates expected");
    scan->at++;
    if (peek(scan) != 'u')
        return wrong(scan, "a pair of surrogates expected");
    scan->at++;
    unit = unit_take(scan);
    return (unit >= 0xdc00 && unit <= 0xdfff) || wrong(scan, "a pair of surrogates expected");
}

static bool string_take(struct scan *scan)
{
    size_t begin = ++scan->at;

    if (string_take_plain(scan))
        return true;
    for (int c; (c = peek(scan)) != '"';) {
        if (c < 0)
            return wrong(scan, "'\"' expected");
        if (c < 0x20)
            return wrong(scan, "no control character expected");
        scan->at++;
        if (c == '\\' && !escape_take(scan))
            return false;
    }
    if (!text_is_utf8((struct slice){scan->text.data + begin, scan->at - begin}))
        return wrong(scan, "a string in UTF-8 expected");
    scan->at++;
    return true;
}

/* ---- other values ---- */

static bool digits_take(struct scan *scan)
{
    size_t begin = scan->at;

    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return scan->at > begin || wrong(scan, "a digit expected");
}

static bool number_take(struct scan *scan)
{
    scan->at += peek(scan) == '-';
    if (peek(scan) == '0')
        scan->at++;
    else if (!digits_take(scan))
        return false;
    if (peek(scan) == '.') {
        scan->at++;
        if (!digits_take(scan))
            return false;
    }
    if (peek(scan) != 'e' && peek(scan) != 'E')
        return true;
    scan->at++;
    scan->at += peek(scan) == '-' || peek(scan) == '+';
    return digits_take(scan);
}

static bool word_take(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        size_t size = strlen(words[i]);
        if (scan->text.size - scan->at >= size && memcmp(scan->text.data + scan->at, words[i], size) == 0) {
            scan->at += size;
            return true;
        }
    }
    return wrong(scan, expectations[scan->expected]);
}

/* ---- the text ---- */

static void close_one(struct scan *scan)
{
    scan->at++;
    scan->depth--;
    scan->expected = scan->depth ? MORE_OR_END : NOTHING;
}

/* An array or an object begins. */
static void open_one(struct scan *scan, int sign)
{
    scan->at++;
    scan->is_object[scan->depth++] = sign == '{';
    scan->expected = sign == '{' ? A_NAME_OR_END : A_VALUE_OR_END;
}

static bool value_take(struct scan *scan, int c)
{
    bool is_ok;

    if (c == '{' || c == '[') {
        open_one(scan, c);
        return true;
    }
    if (scan->expected == THE_ROOT)
        return wrong(scan, expectations[THE_ROOT]);
    if (c == '"')
        is_ok = string_take(scan);
    else if (c == '-' || (c >= '0' && c <= '9'))
        is_ok = number_take(scan);
    else
        is_ok = word_take(scan);
    scan->expected = MORE_OR_END;
    return is_ok;
}

/* c: the next byte that is no white space. */
static bool part_take(struct scan *scan, int c)
{
    bool is_object = scan->depth > 0 && scan->is_object[scan->depth - 1];
    char end = is_object ? '}' : ']';
    bool may_end = scan->expected == A_VALUE_OR_END || scan->expected == A_NAME_OR_END || scan->expected == MORE_OR_END;

    if (may_end && c == end) {
        close_one(scan);
        return true;
    }
    switch (scan->expected) {
    case THE_ROOT:
    case A_VALUE:
    case A_VALUE_OR_END:
        return value_take(scan, c);
    case A_NAME:
    case A_NAME_OR_END:
        if (c != '"')
            break;
        scan->expected = A_COLON;
        return string_take(scan);
    case A_COLON:
        if (c != ':')
            break;
        scan->at++;
        scan->expected = A_VALUE;
        return true;
    case MORE_OR_END:
        if (c != ',')
            break;
        scan->at++;
        scan->expected = is_object ? A_NAME : A_VALUE;
        return true;
    case NOTHING:
        break;
    }
    return wrong(scan, expectations[scan->expected]);
}

bool json_scan(struct slice text, size_t *ret_at, const char **ret_what)
{
    struct scan scan = {.text = text};

    for (;;) {
        int c = peek(&scan);
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            scan.at++;
            continue;
        }
        if (c < 0 && scan.expected == NOTHING)
            return true;
        if ((c == '{' || c == '[') && scan.depth == JSON_BODY_DEPTH_MAX)
            return true;
        if (part_take(&scan, c))
            continue;
        *ret_at = scan.at;
        *ret_what = scan.what;
        return false;
    }
}
