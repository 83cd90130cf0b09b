/* base/memory.h - the two kinds of memory: an arena for one message, a buffer that grows to its named limit. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H
#include "base/base.h"
#include <string.h>

/* Aborts by check() when the system has none: for what a process cannot go on without. Zeroed. free() it. */
void *mem_new(size_t count, size_t size);
void *mem_grow(void *old, size_t count, size_t size);

/* Memory of one message: given out in pieces, taken back as a whole. Blocks are kept over a reset. */
struct arena {
    struct arena_block *first, *now;
    size_t used, taken, max;
};
void arena_init(struct arena *a, size_t max); /* at most max bytes are ever held */
void arena_release(struct arena *a);
void arena_reset(struct arena *a); /* keeps one block */
/* Aligned for any type, zeroed; NULL past the limit. */
void *arena_take(struct arena *a, size_t size);
/* absent stays absent; past the limit: absent. Both are followed by a 0 that is not counted. */
struct str arena_copy(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);
struct str arena_hex(struct arena *a, struct bytes b); /* upper case; past the limit: absent */

/* Bytes that grow up to max. A write past it, or without memory, changes nothing and sets failed, and so does every write
 * after it until buf_clear: a writer of many pieces asks once, at its end, and what is there has no gap. */
struct buf {
    uint8_t *at;
    size_t len, room, max;
    bool failed;
};
void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* len 0, failed false; the room is kept */
MUST_USE bool buf_grow(struct buf *b, size_t len); /* for those below */
/* Room for len more bytes to be written by the caller, who then adds to b->len; NULL as above. */
static inline uint8_t *buf_reserve(struct buf *b, size_t len)
{
    if (__builtin_expect(b->failed || b->at == NULL || b->room - b->len < len, 0) && !buf_grow(b, len))
        return NULL;
    return b->at + b->len;
}
static inline void buf_put(struct buf *b, const void *bytes, size_t len)
{
    uint8_t *to = len == 0 ? NULL : buf_reserve(b, len);
    if (to == NULL)
        return;
    memcpy(to, bytes, len);
    b->len += len;
}
static inline void buf_put_str(struct buf *b, struct str s)
{
    buf_put(b, s.at, s.len);
}
static inline void buf_put_byte(struct buf *b, uint8_t byte)
{
    buf_put(b, &byte, 1);
}
void buf_put_int(struct buf *b, int64_t n); /* decimal */
void buf_put_hex(struct buf *b, struct bytes bytes); /* upper case */
void buf_printf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_take_front(struct buf *b, size_t len); /* drops the first len bytes */
struct str buf_str(const struct buf *b);
#define buf_put_lit(b, literal) buf_put((b), (literal), sizeof(literal) - 1)

/* From text (borrowed, must outlive its entry) to a pointer. Open addressing; grows without limit of its own: the
 * caller bounds what it puts in. */
struct map {
    struct map_slot *slots;
    size_t room, count;
    uint64_t key[2]; /* of the hash: set by map_init from what the caller gives, so that keys cannot be chosen to collide */
};
void map_init(struct map *m, const uint64_t key[2]);
void map_release(struct map *m);
void *map_find(const struct map *m, struct str key);
/* value is not NULL. Returns what was there before, or NULL; the entry then borrows the new key, not the old. */
void *map_put(struct map *m, struct str key, void *value);
void *map_take(struct map *m, struct str key); /* removes; NULL if there was none */
/* for (size_t i = 0; (v = map_next(&m, &i)) != NULL;) ; nothing may be put or taken meanwhile */
void *map_next(const struct map *m, size_t *i);

/* Intrusive doubly linked list; a link that is in no list points at itself after list_init. */
struct link {
    struct link *next, *prev;
};
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
static inline void list_init(struct link *l)
{
    l->next = l->prev = l;
}
static inline bool list_is_empty(const struct link *l)
{
    return l->next == l;
}
static inline void list_add_last(struct link *list, struct link *l)
{
    l->prev = list->prev;
    l->next = list;
    list->prev->next = l;
    list->prev = l;
}
static inline void list_take(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}
#endif
