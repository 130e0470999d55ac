/*
 * assert.h -- what the programmer believes. Always on, release builds too.
 *
 * Checks of what the world sends are never written with these: they give an error.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

__attribute__((noreturn, cold)) void assert_failed(const char *expression, const char *file, int line);

#define ASSERT(expression)                                                                                             \
    do {                                                                                                               \
        if (__builtin_expect(!(expression), 0))                                                                        \
            assert_failed(#expression, __FILE__, __LINE__);                                                            \
    } while (0)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
