/* device/tag.c - tags as they are compared, and how many transactions each has open. */
#include "device/station.h"

#include <stdlib.h>
#include <string.h>

size_t tag_key(struct str id_tag, char out[TAG_SIZE_MAX])
{
    /* Cut where a copy of it in a terminated text of this size is cut, so that the copy has the same key: at a 0, and
     * between two characters. */
    size_t len = 0;
    while (len < id_tag.len && len < TAG_SIZE_MAX - 1 && id_tag.at[len] != 0)
        len++;
    while (len > 0 && len < id_tag.len && ((unsigned char)id_tag.at[len] & 0xC0) == 0x80)
        len--;
    while (len > 0 && ((unsigned char)id_tag.at[len - 1] <= ' ' || (unsigned char)id_tag.at[len - 1] == 0x7f))
        len--;
    for (size_t i = 0; i < len; i++) {
        char c = id_tag.at[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[len] = 0;
    return len;
}

struct tag_use {
    char key[TAG_SIZE_MAX];
    int count;
};
struct tag_book {
    struct map uses; /* of struct tag_use; only tags that have something open */
};

struct tag_book *tag_book_new(const uint64_t hash_key[2])
{
    struct tag_book *b = mem_new(1, sizeof *b);
    map_init(&b->uses, hash_key);
    return b;
}

void tag_book_free(struct tag_book *b)
{
    if (b == NULL)
        return;
    size_t i = 0;
    for (void *use; (use = map_next(&b->uses, &i)) != NULL;)
        free(use);
    map_release(&b->uses);
    free(b);
}

void tag_book_add(struct tag_book *b, struct str id_tag, int by)
{
    char key[TAG_SIZE_MAX];
    size_t len = tag_key(id_tag, key);
    struct tag_use *use = map_find(&b->uses, (struct str){key, len});
    if (use == NULL && by > 0) {
        use = mem_new(1, sizeof *use);
        memcpy(use->key, key, len + 1);
        (void)map_put(&b->uses, (struct str){use->key, len}, use);
    }
    if (use == NULL)
        return;
    use->count += by;
    if (use->count > 0)
        return;
    (void)map_take(&b->uses, (struct str){use->key, len});
    free(use);
}

int tag_book_count(const struct tag_book *b, struct str id_tag)
{
    char key[TAG_SIZE_MAX];
    const struct tag_use *use = map_find(&b->uses, (struct str){key, tag_key(id_tag, key)});
    return use == NULL ? 0 : use->count;
}
