/* sim/pile_memory.c - the EEPROM of a pile: what the server sets is bytes at an address, in the form of the wire, so
 * that each block is returned as it was set and 0x8B and 0x8C see the same. */
#include "sim/pile_private.h"
#include <string.h>

#define DATA_MAX     32
#define OVERLOAD_MAX 20000 /* of these models, in 0.1 W (7.6) */
#define PERCENT_MAX  100

/* Where what is set lies. The answers that give a block back stand in the same line; 0: there is none. */
struct block {
    uint8_t set, read;
    uint8_t at, size, least; /* least: the shortest form of it */
    const char *standard;    /* the rest is 0 */
};
#define AT_1     0x00
#define AT_2     0x10
#define AT_LIMIT 0x30
#define AT_KEYS  0x40
#define AT_WORK  0x50
#define AT_TC    0x51
#define AT_MUTE  0x52
#define AT_QR    0x60
/* clang-format off */
static const struct block blocks[] = {
    {0x83, 0x90, AT_1,     11, 11, "\x03\x00\x0A\x00\x14\x08\x07\x10\x0E\xB4\x00"},
    {0x84, 0x91, AT_2,     23, 19, "\x20\x03\x1E\x00\x08\x07\x0A\x2C\x01\x30\x2A"
                                "\x2C\x01\x2C\x01\x08\x07\x2C\x01\x50\x50\x00\x01"},
    {0x85, 0x92, AT_LIMIT,  8,  4, "\xA0\x8C\x20\x4E\x8C\x0A\xE8\x03"},
    {0x86, 0x93, AT_KEYS,  13, 13, "\x00\x15\x91\x85\x19\x18\x80\xFF\xFF\xFF\xFF\xFF\xFF"},
    {0x8D, 0,    AT_WORK,   1,  1, ""},
    {0x8F, 0,    AT_TC,     1,  1, ""},
    {0x97, 0,    AT_MUTE,   1,  1, ""},
    {0x8E, 0,    AT_QR,    76, 76, ""},
};
static const struct {
    uint8_t at, size;
} places[MEMORY_COUNT] = {
    [MEMORY_FLOAT_PERCENT]  = {AT_1 + 4,      1}, [MEMORY_FLOAT_DETECT_S]  = {AT_1 + 5,      2},
    [MEMORY_FLOAT_S]        = {AT_1 + 7,      2}, [MEMORY_HEARTBEAT_S]     = {AT_1 + 9,      2},
    [MEMORY_LATE_FROM_S]    = {AT_2 + 9,      2}, [MEMORY_LATE_DETECT_S]   = {AT_2 + 11,     2},
    [MEMORY_MIN_POWER_DW]   = {AT_2 + 13,     2}, [MEMORY_MIN_POWER_S]     = {AT_2 + 15,     2},
    [MEMORY_EARLY_S]        = {AT_2 + 17,     2}, [MEMORY_MAX_DURATION_S]  = {AT_LIMIT,      2},
    [MEMORY_OVERLOAD_DW]    = {AT_LIMIT + 2,  2}, [MEMORY_WORK_MODE]       = {AT_WORK,       1},
};
/* clang-format on */

uint16_t sim_memory_get(const struct sim_pile *p, enum memory_at where)
{
    return (uint16_t)le_get(p->eeprom + places[where].at, places[where].size);
}

int64_t sim_pile_heartbeat_ms(const struct sim_pile *p)
{
    int64_t s = sim_memory_get(p, MEMORY_HEARTBEAT_S);
    return s > 0 ? s * 1000 : 1000; /* 0x8C writes anything */
}

void sim_memory_reset(struct sim_pile *p)
{
    memset(p->eeprom, 0, sizeof p->eeprom);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        if (blocks[i].standard[0] != 0)
            memcpy(p->eeprom + blocks[i].at, blocks[i].standard, blocks[i].size);
}

static void answer_result(struct pile_step *t, const struct ap3000_frame *f, uint8_t result)
{
    sim_pile_answer(t, f, &ap3000_result_layout, &(struct ap3000_result){.result = result});
}

/* The values that a pile refuses (7.4 to 7.6, 7.13). */
static bool is_good(uint8_t command, const uint8_t *b)
{
    if (command == 0x83)
        return b[4] >= 1 && b[4] <= PERCENT_MAX && le16(b + 9) > 0;
    if (command == 0x85)
        return le16(b + 2) <= OVERLOAD_MAX;
    return command != 0x8D || b[0] <= AP3000_MODE_CARD;
}

/* Where the new value is seen at once. */
static void follow(struct pile_step *t, uint8_t command)
{
    if (command == 0x83 && t->p->due_ms[DUE_HEARTBEAT] != SIM_NEVER)
        t->p->due_ms[DUE_HEARTBEAT] = t->now.ms + sim_pile_heartbeat_ms(t->p);
    if (command == 0x8D && !t->p->is_host) /* registers again when one of its values changes (6.8) */
        t->p->due_ms[DUE_REGISTER] = t->now.ms;
}

static void set_block(struct pile_step *t, const struct ap3000_frame *f, const struct block *b)
{
    size_t size = f->payload.len < b->size ? f->payload.len : b->size;
    if (size < b->least)
        return;
    bool is_taken = is_good(f->command, f->payload.at);
    if (is_taken)
        memcpy(t->p->eeprom + b->at, f->payload.at, size);
    answer_result(t, f, !is_taken);
    if (is_taken)
        follow(t, f->command);
}

static void give_block(struct pile_step *t, const struct ap3000_frame *f, const struct block *b)
{
    sim_line_say(t, f->command, f->message_id, (struct bytes){t->p->eeprom + b->at, b->size});
}

static void read_memory(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_memory_read m;
    if (ap3000_read(&ap3000_memory_read_layout, f->payload, &m, NULL) != OK)
        return;
    bool is_there = m.data_len <= DATA_MAX && m.address + m.data_len <= EEPROM_SIZE;
    struct ap3000_memory_read_answer a = {.result = !is_there};
    if (is_there)
        a.data = (struct bytes){t->p->eeprom + m.address, m.data_len};
    sim_pile_answer(t, f, &ap3000_memory_read_answer_layout, &a);
}

static void write_memory(struct pile_step *t, const struct ap3000_frame *f)
{
    struct ap3000_memory_write m;
    if (ap3000_read(&ap3000_memory_write_layout, f->payload, &m, NULL) != OK)
        return;
    bool is_there = m.data_len <= DATA_MAX && m.address + m.data_len <= EEPROM_SIZE;
    if (is_there && m.data_len > 0)
        memcpy(t->p->eeprom + m.address, m.data.at, m.data_len);
    answer_result(t, f, !is_there);
}

bool sim_memory_take(struct pile_step *t, const struct ap3000_frame *f)
{
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        if (f->command == blocks[i].set)
            set_block(t, f, &blocks[i]);
        else if (blocks[i].read != 0 && f->command == blocks[i].read)
            give_block(t, f, &blocks[i]);
        else
            continue;
        return true;
    }
    if (f->command != 0x8B && f->command != 0x8C)
        return false;
    if (f->command == 0x8B)
        read_memory(t, f);
    else
        write_memory(t, f);
    return true;
}
