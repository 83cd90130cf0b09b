/* place.h - a folder of a test's own, in TMPDIR where that is set. */
#ifndef TESTS_PLACE_H
#define TESTS_PLACE_H
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

#define PLACE_MAX      160              /* of its path */
#define PLACE_PATH_MAX (PLACE_MAX + 64) /* of a path in it */

static inline void place_make(char out[PLACE_MAX], const char *name)
{
    const char *in = getenv("TMPDIR");
    int n = snprintf(out, PLACE_MAX, "%s/%s-XXXXXX", in == NULL || in[0] == '\0' ? "/tmp" : in, name);
    check(n > 0 && n < PLACE_MAX && mkdtemp(out) != NULL);
}
#endif
