/*
 * fuzz.h -- what every target includes: one parser of bytes from outside, called with any bytes.
 *
 * A target checks what the parser promises of what it accepts (round trips, UTF-8, bounds) with ASSERT, so that a wrong
 * answer is found as a crash is. The same file is a libFuzzer target (-Dfuzz=true) and, with driver.c, a test of its corpus.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

/* NUL-terminated; the caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    ASSERT(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    return text;
}

/* A refusal says why, in UTF-8. */
static inline void fuzz_check_error(const struct error *error)
{
    ASSERT(error->code > ERROR_NONE && error->code < ERROR_CODE_COUNT && error->message[0]);
    ASSERT(text_is_utf8(slice_of(error->message)) && text_is_utf8(slice_of(error->field)));
}

#endif
