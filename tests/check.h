/* tests/check.h - rows of input and outcome; a row's name is the sentence that fails. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H
#include <stdio.h>
static unsigned passed, failed;
#define CHECK(row, cond)                                                                                               \
    ((cond) ? (void)passed++                                                                                           \
            : (failed++, (void)fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, row, #cond)))
#define CHECK_REPORT() ((void)printf("%u passed, %u failed\n", passed, failed), failed != 0 || passed == 0)
#endif
