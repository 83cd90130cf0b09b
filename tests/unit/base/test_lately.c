/* What a map was asked for lately: it says what the map says, or nothing. */
#include "base/lately.h"
#include "check.h"

#include <stdio.h>

#define NAMES (2 * LATELY_ROOM) /* more than it has places */
#define TRIES 200000

static struct lately l;
static char names[NAMES][24];
static bool is_there[NAMES];

static uint64_t dice_state = 3;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

int main(void)
{
    unsigned found = 0;
    lately_init(&l);
    CHECK("nobody", lately_find(&l, STR("")) == NULL && lately_find(&l, (struct str){NULL, 0}) == NULL);
    for (size_t i = 0; i < NAMES; i++) /* also some that are short, and some that end alike */
        (void)snprintf(names[i], sizeof names[i], i % 3 == 0 ? "%zu" : i % 3 == 1 ? "CP-%zu-station" : "charger-%06zu", i);
    for (unsigned n = 0; n < TRIES; n++) {
        const unsigned i = dice(10) == 0 ? dice(NAMES) : dice(100);
        char copy[24];
        memcpy(copy, names[i], sizeof copy);
        const void *got = lately_find(&l, str_of(copy));
        found += got != NULL;
        if (got != NULL && (got != names[i] || !is_there[i])) {
            CHECK("what was put", false);
            break;
        }
        is_there[i] = true;
        lately_put(&l, str_of(names[i]), names[i]);
        CHECK("at once", lately_find(&l, str_of(copy)) == names[i]);
        if (dice(5000) == 0) {
            lately_forget(&l);
            memset(is_there, 0, sizeof is_there);
        }
    }
    CHECK("mostly it is there", found > TRIES / 2);
    l.forgotten = UINT32_MAX;
    lately_put(&l, STR("a"), names[0]);
    lately_forget(&l);
    CHECK("forgotten more often than can be counted", lately_find(&l, STR("a")) == NULL && lately_find(&l, STR("b")) == NULL && l.forgotten != 0);
    return CHECK_REPORT();
}
