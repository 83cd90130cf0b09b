/* gateway/tags.c - the store's rows of tags, remembered, and the look-up of one that is not. */
#include "gateway/parts.h"

struct cached_tag {
    char key[TAG_SIZE_MAX];
    struct id_tag tag;
};

static const struct id_tag *find(struct gateway *g, struct str id_tag)
{
    char key[TAG_SIZE_MAX];
    const struct cached_tag *c = map_find(&g->tag_cache, (struct str){key, tag_key(id_tag, key)});
    return c == NULL ? NULL : &c->tag;
}

void tag_cache_drop(struct gateway *g, struct str id_tag)
{
    char key[TAG_SIZE_MAX];
    size_t len = tag_key(id_tag, key);
    free(map_take(&g->tag_cache, (struct str){key, len}));
}

void tag_cache_release(struct gateway *g)
{
    size_t i = 0;
    for (void *c; (c = map_next(&g->tag_cache, &i)) != NULL;)
        free(c);
    map_release(&g->tag_cache);
}

static void put(struct gateway *g, struct str id_tag, const struct id_tag *tag)
{
    if (g->tag_cache.count >= TAGS_CACHED_MAX) { /* begin anew: the busy ones are back at once */
        tag_cache_release(g);
        map_init(&g->tag_cache, g->hash_key);
    }
    tag_cache_drop(g, id_tag);
    struct cached_tag *c = mem_new(1, sizeof *c);
    size_t len = tag_key(id_tag, c->key);
    c->tag = *tag;
    (void)map_put(&g->tag_cache, (struct str){c->key, len}, c);
}

bool tag_at_hand(struct gateway *g, struct str id_tag, struct id_tag *out)
{
    if (id_tag.at == NULL)
        return true;
    const struct id_tag *tag = find(g, id_tag);
    if (tag != NULL)
        *out = *tag;
    return tag != NULL;
}

void tag_lookup_begin(struct gateway *g, struct str id_tag, struct tag_lookup *t)
{
    t->is_wanted = !tag_at_hand(g, id_tag, &t->tag);
    t->changes = g->tag_changes;
    t->len = str_copy(t->text, sizeof t->text, id_tag);
}

enum err tag_lookup_run(struct db *d, struct tag_lookup *t)
{
    enum err e = t->is_wanted ? stations_find_tag(d, (struct str){t->text, t->len}, &t->tag) : OK;
    return e == ERR_UNKNOWN ? OK : e;
}

/* What was read before a person changed it may be old. */
void tag_lookup_end(struct gateway *g, const struct tag_lookup *t)
{
    if (t->is_wanted && t->changes == g->tag_changes)
        put(g, (struct str){t->text, t->len}, &t->tag);
}
