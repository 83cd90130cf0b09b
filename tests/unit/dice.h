/* dice.h - dice that fall the same way each time, for tests that change things at random. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H
#include <stddef.h>
#include <stdint.h>

static uint64_t dice_state = UINT64_C(88172645463325252);

static inline size_t dice(size_t sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (size_t)(dice_state % sides);
}
#endif
