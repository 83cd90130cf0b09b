/* memory.c - arena, growing buffer, map. */
#include "base/memory.h"
#include "base/id.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_MIN 4096
#define ARENA_BLOCK_MAX (256 * 1024)
#define ARENA_ALIGN     16
#define BUF_ROOM_MIN    64
#define MAP_ROOM_MIN    16
#define PRINTED_FEW     128

struct arena_block {
    struct arena_block *next;
    size_t room;
    _Alignas(ARENA_ALIGN) uint8_t at[];
};

struct map_slot {
    struct str key;
    void *value; /* NULL: empty */
    uint64_t hash;
};

void *mem_new(size_t count, size_t size)
{
    void *new = calloc(count == 0 ? 1 : count, size);
    check(new != NULL);
    return new;
}

void *mem_grow(void *old, size_t count, size_t size)
{
    size_t all;
    check(!__builtin_mul_overflow(count, size, &all));
    void *new = realloc(old, all == 0 ? 1 : all);
    check(new != NULL);
    return new;
}

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void blocks_free(struct arena_block *b)
{
    while (b != NULL) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_release(struct arena *a)
{
    blocks_free(a->first);
    arena_init(a, a->max);
}

void arena_reset(struct arena *a)
{
    if (a->first == NULL)
        return;
    blocks_free(a->first->next);
    a->first->next = NULL;
    a->now = a->first;
    a->used = 0;
    a->taken = sizeof *a->first + a->first->room;
}

/* A new block for at least size bytes, each twice the one before, or as large as the limit leaves. */
static bool arena_grow(struct arena *a, size_t size)
{
    size_t room = a->now == NULL ? ARENA_BLOCK_MIN : 2 * a->now->room;
    if (room > ARENA_BLOCK_MAX)
        room = ARENA_BLOCK_MAX;
    if (room < size)
        room = size;
    size_t left = a->max - a->taken;
    if (left < sizeof(struct arena_block) || left - sizeof(struct arena_block) < size)
        return false;
    if (room > left - sizeof(struct arena_block))
        room = left - sizeof(struct arena_block);
    struct arena_block *b = malloc(sizeof *b + room);
    if (b == NULL)
        return false;
    b->next = NULL;
    b->room = room;
    *(a->now == NULL ? &a->first : &a->now->next) = b;
    a->now = b;
    a->used = 0;
    a->taken += sizeof *b + room;
    return true;
}

void *arena_take(struct arena *a, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size = size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if ((a->now == NULL || a->now->room - a->used < size) && !arena_grow(a, size))
        return NULL;
    void *piece = a->now->at + a->used;
    a->used += size;
    return memset(piece, 0, size);
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *copy = s.at == NULL || s.len == SIZE_MAX ? NULL : arena_take(a, s.len + 1);
    if (copy == NULL)
        return (struct str){NULL, 0};
    memcpy(copy, s.at, s.len);
    return (struct str){copy, s.len};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char few[PRINTED_FEW]; /* nearly all: then it is printed once */
    int len = vsnprintf(few, sizeof few, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : arena_take(a, (size_t)len + 1);
    if (text != NULL && (size_t)len < sizeof few)
        memcpy(text, few, (size_t)len + 1);
    else if (text != NULL)
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){text, text == NULL ? 0 : (size_t)len};
}

static void write_hex(struct bytes b, char *to)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < b.len; i++) {
        *to++ = digits[b.at[i] >> 4];
        *to++ = digits[b.at[i] & 15];
    }
}

struct str arena_hex(struct arena *a, struct bytes b)
{
    char *text = b.len > SIZE_MAX / 2 - 1 ? NULL : arena_take(a, 2 * b.len + 1);
    if (text == NULL)
        return (struct str){NULL, 0};
    write_hex(b, text);
    return (struct str){text, 2 * b.len};
}

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    free(b->at);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

bool buf_grow(struct buf *b, size_t len)
{
    size_t need;
    if (b->failed || __builtin_add_overflow(b->len, len, &need) || need > b->max) {
        b->failed = true;
        return false;
    }
    size_t room = b->room < BUF_ROOM_MIN ? BUF_ROOM_MIN : b->room;
    while (room < need)
        room = room > SIZE_MAX / 2 ? need : 2 * room;
    if (room > b->max)
        room = b->max;
    uint8_t *new = realloc(b->at, room == 0 ? 1 : room);
    if (new == NULL) {
        b->failed = true;
        return false;
    }
    b->at = new;
    b->room = room;
    return true;
}

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                 "8081828384858687888990919293949596979899";

static size_t digit_count(uint64_t n)
{
    size_t count = 1;
    for (; n >= 10000; n /= 10000)
        count += 4;
    return count + (n >= 10) + (n >= 100) + (n >= 1000);
}

void buf_put_int(struct buf *b, int64_t n)
{
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    const size_t size = digit_count(rest) + (n < 0);
    uint8_t *to = buf_reserve(b, size);
    if (to == NULL)
        return;
    uint8_t *end = to + size;
    for (; rest >= 100; rest /= 100) {
        end -= 2;
        memcpy(end, two_digits + 2 * (rest % 100), 2);
    }
    if (rest >= 10)
        *--end = (uint8_t)two_digits[2 * rest + 1];
    *--end = (uint8_t)(rest >= 10 ? two_digits[2 * rest] : '0' + (int)rest);
    if (n < 0)
        *--end = '-';
    b->len += size;
}

void buf_put_hex(struct buf *b, struct bytes bytes)
{
    uint8_t *to = bytes.len == 0 || bytes.len > SIZE_MAX / 2 ? NULL : buf_reserve(b, 2 * bytes.len);
    if (to == NULL)
        return;
    write_hex(bytes, (char *)to);
    b->len += 2 * bytes.len;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* vsnprintf ends with a 0 that is not wanted: it stands in room that is not counted, or in a copy at the limit */
    size_t size = len < 0 ? 0 : (size_t)len;
    uint8_t *to = buf_reserve(b, size);
    if (to != NULL && b->room - b->len > size) {
        (void)vsnprintf((char *)to, size + 1, format, again);
        b->len += size;
    } else if (to != NULL) {
        char *copy = mem_new(size + 1, 1);
        (void)vsnprintf(copy, size + 1, format, again);
        buf_put(b, copy, size);
        free(copy);
    }
    va_end(again);
}

void buf_take_front(struct buf *b, size_t len)
{
    check(len <= b->len);
    if (len == 0)
        return;
    b->len -= len;
    memmove(b->at, b->at + len, b->len);
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->at == NULL ? "" : (const char *)b->at, b->len};
}

void map_init(struct map *m, const uint64_t key[2])
{
    *m = (struct map){.key = {key[0], key[1]}};
}

void map_release(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->room = m->count = 0;
}

static uint64_t map_hash(const struct map *m, struct str key)
{
    return siphash_table(m->key, (struct bytes){(const uint8_t *)key.at, key.len});
}

/* The slot of a key, or the empty one where it would stand. There is always an empty one. */
static struct map_slot *map_slot_of(const struct map *m, struct str key, uint64_t hash)
{
    size_t i = hash & (m->room - 1);
    while (m->slots[i].value != NULL && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->room - 1);
    return &m->slots[i];
}

static void map_grow(struct map *m)
{
    struct map old = *m;
    m->room = old.room == 0 ? MAP_ROOM_MIN : 2 * old.room;
    m->slots = mem_new(m->room, sizeof *m->slots);
    for (size_t i = 0; i < old.room; i++) {
        if (old.slots[i].value != NULL)
            *map_slot_of(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    }
    free(old.slots);
}

void *map_find(const struct map *m, struct str key)
{
    return m->count == 0 ? NULL : map_slot_of(m, key, map_hash(m, key))->value;
}

void *map_put(struct map *m, struct str key, void *value)
{
    check(value != NULL);
    if (m->count >= m->room / 4 * 3)
        map_grow(m);
    uint64_t hash = map_hash(m, key);
    struct map_slot *slot = map_slot_of(m, key, hash);
    void *before = slot->value;
    *slot = (struct map_slot){key, value, hash};
    m->count += before == NULL;
    return before;
}

void *map_take(struct map *m, struct str key)
{
    struct map_slot *slot = m->count == 0 ? NULL : map_slot_of(m, key, map_hash(m, key));
    if (slot == NULL || slot->value == NULL)
        return NULL;
    void *taken = slot->value;
    size_t mask = m->room - 1, hole = (size_t)(slot - m->slots);
    /* Move up each follower that may stand in the hole, so that no search ends there too early. */
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){{NULL, 0}, NULL, 0};
    m->count--;
    return taken;
}

void *map_next(const struct map *m, size_t *i)
{
    while (*i < m->room) {
        void *value = m->slots[(*i)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
