/* Arena, buffer and map at their limits, and the list. */
#include "base/memory.h"
#include "check.h"
#include <stdlib.h>
#include <string.h>

#define KEY_COUNT 2000

/* Asked by the address sanitizer: an allocator that has no memory must say so here, as any other does, not end the
 * test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_arena(void)
{
    struct arena a;
    arena_init(&a, 64 * 1024);
    CHECK("nothing is held before it is asked for", a.taken == 0);
    arena_reset(&a);
    uint8_t *last = NULL;
    for (size_t size = 0; size < 300; size++) {
        uint8_t *at = arena_take(&a, size);
        bool is_zero = at != NULL;
        for (size_t i = 0; is_zero && i < size; i++)
            is_zero = at[i] == 0;
        CHECK("a piece is zeroed", is_zero);
        CHECK("aligned for all", (uintptr_t)at % _Alignof(max_align_t) == 0);
        CHECK("of its own, even when empty", at != last);
        if (at != NULL)
            memset(at, 0xEE, size);
        last = at;
    }
    CHECK("never more than its limit", a.taken <= a.max);
    arena_reset(&a);
    size_t kept = a.taken;
    uint8_t *again = arena_take(&a, 16);
    CHECK("one block is kept over a reset", kept > 0 && a.taken == kept);
    CHECK("and given out zeroed again", again != NULL && again[0] == 0 && again[15] == 0);
    arena_release(&a);
    CHECK("nothing is held after release", a.taken == 0);
}

static void test_arena_limit(void)
{
    static const size_t limits[] = {0, 1, 16, 31, 32, 33, 48, 100, 4095, 4096, 5000, 10000};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct arena a;
        size_t given = 0;
        arena_init(&a, limits[i]);
        while (given < limits[i] + 16 && arena_take(&a, 16) != NULL)
            given += 16;
        CHECK("a limit ends it", given <= limits[i] && a.taken <= limits[i]);
        CHECK("most of it can be used", given + 128 >= limits[i]);
        CHECK("and stays ended", arena_take(&a, 16) == NULL);
        CHECK("a text past it is absent", arena_copy(&a, STR("0123456789abcdef")).at == NULL);
        CHECK("a printed text too", arena_printf(&a, "%s", "0123456789abcdef").at == NULL);
        arena_reset(&a);
        CHECK("after a reset there is room again", limits[i] < 100 || arena_take(&a, 16) != NULL);
        arena_release(&a);
    }
    struct arena a;
    arena_init(&a, SIZE_MAX);
    CHECK("a size that no machine has", arena_take(&a, SIZE_MAX) == NULL);
    CHECK("a size that no allocator gives", arena_take(&a, SIZE_MAX / 4) == NULL);
    CHECK("a piece larger than any block", arena_take(&a, 1 << 20) != NULL);
    CHECK("and another after it", arena_take(&a, 16) != NULL && a.taken < (size_t)2 << 20);
    arena_release(&a);
}

static void test_arena_text(void)
{
    struct arena a;
    arena_init(&a, 1 << 16);
    struct str copy = arena_copy(&a, STR("CP-17"));
    CHECK("a copy says the same", str_eq(copy, STR("CP-17")) && copy.at[copy.len] == 0);
    CHECK("absent stays absent", arena_copy(&a, (struct str){NULL, 0}).at == NULL);
    CHECK("empty stays empty", arena_copy(&a, STR("")).at != NULL);
    struct str printed = arena_printf(&a, "%s/%d", "a", 7);
    CHECK("printed", str_eq(printed, STR("a/7")) && printed.at[3] == 0);
    for (int len = 126; len <= 129; len++) {
        printed = arena_printf(&a, "%0*d", len, 7);
        CHECK("printed, however long", printed.len == (size_t)len && strlen(printed.at) == printed.len);
        CHECK("to its end", printed.at[len - 1] == '7');
    }
    struct str hex = arena_hex(&a, (struct bytes){(const uint8_t *)"\x7A\x8D\x05", 3});
    CHECK("hexadecimal is upper case", str_eq(hex, STR("7A8D05")) && hex.at[6] == 0);
    arena_release(&a);
}

static void test_buf(void)
{
    struct buf b;
    buf_init(&b, 10);
    CHECK("an unused buffer is empty text, not absent", buf_str(&b).at != NULL && buf_str(&b).len == 0);
    buf_put(&b, NULL, 0);
    buf_put_str(&b, (struct str){NULL, 0});
    CHECK("nothing put is nothing", b.len == 0 && !b.failed);
    buf_put_lit(&b, "01234");
    buf_put_byte(&b, '5');
    buf_put_str(&b, STR("6789"));
    CHECK("exactly its limit", str_eq(buf_str(&b), STR("0123456789")) && !b.failed);
    buf_put_byte(&b, 'x');
    CHECK("one past fails", b.failed);
    CHECK("and changes nothing", str_eq(buf_str(&b), STR("0123456789")));
    buf_take_front(&b, 0);
    buf_take_front(&b, 4);
    CHECK("the front is gone", str_eq(buf_str(&b), STR("456789")));
    buf_put_byte(&b, 'x');
    CHECK("after a failure nothing is added, for there would be a gap", b.len == 6 && b.failed);
    CHECK("nor reserved", buf_reserve(&b, 1) == NULL);
    buf_take_front(&b, 6);
    buf_clear(&b);
    buf_put_lit(&b, "abc");
    CHECK("cleared, it takes again", str_eq(buf_str(&b), STR("abc")) && !b.failed);
    uint8_t *to = buf_reserve(&b, 7);
    CHECK("room up to the limit", to != NULL && to == b.at + 3);
    CHECK("none past it", buf_reserve(&b, 8) == NULL && b.failed);
    buf_clear(&b);
    CHECK("no size wraps around", buf_reserve(&b, SIZE_MAX) == NULL && b.failed);
    buf_release(&b);
    buf_init(&b, SIZE_MAX);
    buf_put_byte(&b, 1);
    CHECK("what the system has not is a failure", buf_reserve(&b, SIZE_MAX / 4) == NULL && b.failed && b.len == 1);
    buf_release(&b);
    buf_init(&b, 0);
    CHECK("room for nothing", buf_reserve(&b, 0) != NULL);
    buf_put_byte(&b, 1);
    CHECK("a limit of nothing", b.failed && b.len == 0);
    buf_release(&b);
}

static void test_buf_grows(void)
{
    struct buf b;
    buf_init(&b, 100000);
    for (unsigned i = 0; i < 100000; i++)
        buf_put_byte(&b, (uint8_t)(i * 7));
    bool is_same = b.len == 100000 && !b.failed && b.room <= b.max;
    for (unsigned i = 0; is_same && i < 100000; i++)
        is_same = b.at[i] == (uint8_t)(i * 7);
    CHECK("what was put stays over growth", is_same);
    buf_release(&b);
}

static const struct {
    int64_t n;
    const char *want;
} ints[] = {
    {0, "0"}, {7, "7"}, {-1, "-1"}, {10, "10"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"},
};

static void test_buf_text(void)
{
    struct buf b;
    for (size_t i = 0; i < COUNT_OF(ints); i++) {
        buf_init(&b, 20);
        buf_put_int(&b, ints[i].n);
        CHECK(ints[i].want, str_eq(buf_str(&b), str_of(ints[i].want)));
        buf_release(&b);
    }
    for (int digits = 1; digits < 19; digits++) { /* around each power of ten, also where the limit is too near */
        int64_t power = 1;
        for (int i = 1; i < digits; i++)
            power *= 10;
        for (int64_t n = power - 2; n <= power + 2; n++)
            for (int sign = -1; sign <= 1; sign += 2) {
                char want[32];
                const size_t len = (size_t)snprintf(want, sizeof want, "%lld", (long long)(n * sign));
                buf_init(&b, len);
                buf_put_int(&b, n * sign);
                CHECK("around a power of ten", str_eq(buf_str(&b), str_of(want)));
                buf_release(&b);
                buf_init(&b, len - 1);
                buf_put_int(&b, n * sign);
                CHECK("does not go past the limit", b.failed && b.len == 0);
                buf_release(&b);
            }
    }
    buf_init(&b, 6);
    buf_put_hex(&b, (struct bytes){(const uint8_t *)"\x00\xAF\x19", 3});
    CHECK("hexadecimal is upper case", str_eq(buf_str(&b), STR("00AF19")));
    buf_put_hex(&b, (struct bytes){(const uint8_t *)"", 1});
    CHECK("and does not go past the limit", b.failed && b.len == 6);
    buf_release(&b);
    /* The 0 after a printed text must not need room that the limit does not give. */
    for (size_t max = 0; max < 80; max++) {
        buf_init(&b, max);
        buf_printf(&b, "%032d", 1);
        buf_printf(&b, "%s", "");
        CHECK("printed, if it fits", b.failed == (max < 32) && b.len == (max < 32 ? 0 : 32));
        buf_printf(&b, "%032d", 2);
        CHECK("a second time", b.failed == (max < 64) && b.len == (max < 32 ? 0 : max < 64 ? 32 : 64));
        buf_release(&b);
    }
}

struct keyed {
    char key[16];
    bool is_in;
};

static void map_compare(const char *row, const struct map *m, struct keyed *all)
{
    size_t count = 0, seen = 0;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        CHECK(row, map_find(m, str_of(all[i].key)) == (all[i].is_in ? &all[i] : NULL));
        count += all[i].is_in;
    }
    struct keyed *k;
    for (size_t i = 0; (k = map_next(m, &i)) != NULL;)
        seen += k->is_in;
    CHECK(row, m->count == count && seen == count);
}

static void test_map(void)
{
    static const uint64_t key[2] = {0x0123456789abcdef, 42};
    static struct keyed all[KEY_COUNT];
    struct map m;
    map_init(&m, key);
    CHECK("nothing is in an empty map", map_find(&m, STR("a")) == NULL && map_take(&m, STR("a")) == NULL);
    for (size_t i = 0; i < KEY_COUNT; i++)
        (void)snprintf(all[i].key, sizeof all[i].key, "CP-%zu", i);
    map_compare("an empty map", &m, all);
    uint32_t random = 1;
    for (unsigned step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        struct keyed *k = &all[(random >> 8) % KEY_COUNT];
        bool puts = (random >> 28) < (step < 10000 ? 11 : 5); /* mostly in, then mostly out */
        void *before = puts ? map_put(&m, str_of(k->key), k) : map_take(&m, str_of(k->key));
        CHECK("what was there comes back", before == (k->is_in ? k : NULL));
        k->is_in = puts;
        if (step % 2500 == 0)
            map_compare("after many steps", &m, all);
    }
    map_compare("at the end", &m, all);
    map_release(&m);
    CHECK("released it is empty", map_find(&m, STR("CP-1")) == NULL && m.count == 0);
}

static void test_map_key(void)
{
    static const uint64_t key[2] = {1, 2};
    char first[] = "same", second[] = "same";
    int one = 1, two = 2;
    struct map m;
    map_init(&m, key);
    CHECK("a first value", map_put(&m, str_of(first), &one) == NULL);
    CHECK("a second replaces it", map_put(&m, str_of(second), &two) == &one && m.count == 1);
    memset(first, 'x', sizeof first);
    CHECK("and borrows its own key", map_find(&m, STR("same")) == &two);
    CHECK("the empty key is a key", map_put(&m, STR(""), &one) == NULL && map_find(&m, (struct str){NULL, 0}) == &one);
    map_release(&m);
}

static void test_list(void)
{
    struct item {
        int n;
        struct link link;
    } items[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
    struct link list;
    list_init(&list);
    CHECK("empty at first", list_is_empty(&list));
    for (size_t i = 0; i < COUNT_OF(items); i++)
        list_add_last(&list, &items[i].link);
    CHECK("in order",
          CONTAINER(list.next, struct item, link)->n == 0 && CONTAINER(list.prev, struct item, link)->n == 2);
    list_take(&items[1].link);
    CHECK("the one taken is alone", list_is_empty(&items[1].link));
    CHECK("the others are joined", list.next->next == &items[2].link && items[2].link.prev == &items[0].link);
    list_take(&items[1].link);
    list_take(&items[0].link);
    list_take(&items[2].link);
    CHECK("empty again", list_is_empty(&list));
}

static void test_mem(void)
{
    uint32_t *at = mem_new(3, sizeof *at);
    CHECK("new memory is zeroed", at[0] == 0 && at[2] == 0);
    at[2] = 9;
    at = mem_grow(at, 1000, sizeof *at);
    CHECK("grown, it keeps what it had", at[2] == 9);
    free(at);
    at = mem_new(0, sizeof *at);
    CHECK("none is some", at != NULL);
    free(at);
}

int main(void)
{
    test_arena();
    test_arena_limit();
    test_arena_text();
    test_buf();
    test_buf_grows();
    test_buf_text();
    test_map();
    test_map_key();
    test_list();
    test_mem();
    return CHECK_REPORT();
}
