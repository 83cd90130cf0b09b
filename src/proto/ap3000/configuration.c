/* configuration.c - parameters one by one (OCPP's GetConfiguration and ChangeConfiguration), where the protocol knows
 * only blocks of them (ap3000.md 7.4 to 7.6, 7.16): a block is read, and to change one of it, written again. */
#include "proto/ap3000/talk.h"

#include <stdio.h>
#include <string.h>

#define RESPONSE_SIZE_MAX ((size_t)64 << 10)
#define VALUE_SIZE        16

static const struct block {
    uint8_t read, write;
    const struct ap3000_layout *layout;
} blocks[] = {
    {0x90, 0x83, &ap3000_parameters_1_layout},
    {0x91, 0x84, &ap3000_parameters_2_layout},
    {0x92, 0x85, &ap3000_limits_layout},
};
#define NO_BLOCK COUNT_OF(blocks)

/* The names of OCPP for what is ours. */
static const struct {
    struct str name;
    const char *key;
} standard[] = {{{"HeartbeatInterval", 17}, "heartbeat_s"}};

static struct str key_of(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(standard); i++)
        if (str_eq(standard[i].name, name))
            return str_of(standard[i].key);
    return name;
}

/* Which block it stands in, and where; NO_BLOCK. */
static size_t find_block(struct str name, size_t *field)
{
    struct str key = key_of(name);
    for (size_t b = 0; b < COUNT_OF(blocks); b++) {
        for (size_t i = 0; i < blocks[b].layout->count; i++) {
            if (str_eq(str_of(blocks[b].layout->fields[i].key), key)) {
                *field = i;
                return b;
            }
        }
    }
    return NO_BLOCK;
}

static size_t block_of_command(uint8_t read)
{
    size_t b = 0;
    while (blocks[b].read != read)
        b++;
    return b;
}

/* --- reading --- */

/* The next block that is asked for, from that one on. */
static size_t next_block(const struct ap3000_get_configuration_req *r, size_t from)
{
    size_t field, next = NO_BLOCK;
    if (r->key.count == 0)
        return from;
    for (size_t i = 0; i < r->key.count; i++) {
        size_t b = find_block(r->key.at[i], &field);
        if (b >= from && b < next)
            next = b;
    }
    return next;
}

static enum err make_read(struct ap3000_making *m, size_t block)
{
    m->command =
        blocks[block == NO_BLOCK ? 0 : block].read; /* that no key is known is said by the device's answer too */
    m->fields = arena_take(m->a, sizeof(struct ap3000_empty));
    return m->fields == NULL ? ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the fields") : OK;
}

enum err ap3000_make_get_configuration(struct ap3000_making *m)
{
    return make_read(m, next_block(m->request, 0));
}

/* What was read is kept block behind block: its number, its length, its bytes. */
static void keep_block(struct ap3000_talk *t, size_t block, struct bytes b)
{
    check(t->blocks_len + 2 + b.len <= sizeof t->blocks); /* each block is read once: a test adds up their sizes */
    t->blocks[t->blocks_len++] = (uint8_t)block;
    t->blocks[t->blocks_len++] = (uint8_t)b.len;
    memcpy(t->blocks + t->blocks_len, b.at, b.len);
    t->blocks_len += b.len;
}

static bool find_kept(const struct ap3000_talk *t, size_t block, struct bytes *out)
{
    for (size_t at = 0; at < t->blocks_len; at += 2u + t->blocks[at + 1]) {
        if (t->blocks[at] == block) {
            *out = (struct bytes){t->blocks + at + 2, t->blocks[at + 1]};
            return true;
        }
    }
    return false;
}

/* False: the device has no such field. */
static bool put_entry(const struct ap3000_talk *t, struct str name, struct json_writer *w)
{
    char text[VALUE_SIZE];
    struct bytes b;
    struct ap3000_slices s;
    size_t field = 0, block = find_block(name, &field);
    if (block == NO_BLOCK || !find_kept(t, block, &b) || ap3000_slice(blocks[block].layout, b, &s, NULL) != OK ||
        field >= s.count)
        return false;
    (void)snprintf(text, sizeof text, "%u", (unsigned)le_get(s.at[field].at, s.at[field].len));
    jw_open_object(w);
    jw_field_str(w, "key", name);
    jw_field_bool(w, "readonly", false);
    jw_field_str(w, "value", str_of(text));
    jw_close_object(w);
    return true;
}

static void put_all(const struct ap3000_talk *t, struct json_writer *w)
{
    for (size_t b = 0; b < COUNT_OF(blocks); b++)
        for (size_t i = 0; i < blocks[b].layout->count; i++)
            (void)put_entry(t, str_of(blocks[b].layout->fields[i].key), w);
    for (size_t i = 0; i < COUNT_OF(standard); i++)
        (void)put_entry(t, standard[i].name, w);
}

static void end_read(struct ap3000_reply *r, const struct ap3000_get_configuration_req *asked)
{
    struct buf text, unknown;
    struct json_writer w;
    buf_init(&text, RESPONSE_SIZE_MAX);
    buf_init(&unknown, RESPONSE_SIZE_MAX);
    jw_init(&w, &unknown);
    jw_open_array(&w);
    struct json_writer keys;
    jw_init(&keys, &text);
    jw_open_object(&keys);
    jw_key(&keys, STR("configurationKey"));
    jw_open_array(&keys);
    if (asked->key.count == 0)
        put_all(r->t, &keys);
    for (size_t i = 0; i < asked->key.count; i++)
        if (!put_entry(r->t, asked->key.at[i], &keys))
            jw_str(&w, asked->key.at[i]);
    jw_close_array(&keys);
    jw_close_array(&w);
    jw_field_raw(&keys, "unknownKey", buf_str(&unknown));
    jw_close_object(&keys);
    *r->end = (struct ap3000_ending){
        .outcome = "answered", .status = STR("Accepted"), .response = ap3000_response_take(r, &text)};
    buf_release(&unknown);
}

/* A payload that was taken on is read again for every answer: it is small, and nothing else outlives the frames. */
static void read_again(const struct ap3000_reply *r, void *out)
{
    enum err e = schema_read(r->t->action->payload, r->t->payload, STRICT, r->a, out, NULL);
    check(e == OK);
}

enum ap3000_talk_state ap3000_on_block_read(struct ap3000_reply *r)
{
    struct ap3000_get_configuration_req asked;
    const struct ap3000_empty empty = {0};
    struct ap3000_slices s;
    size_t block = block_of_command(r->t->command);
    read_again(r, &asked);
    enum err e = ap3000_slice(blocks[block].layout, r->frame->payload, &s, NULL);
    check(e == OK); /* it was readable: the answer has the layout of the block */
    keep_block(r->t, block, (struct bytes){r->frame->payload.at, r->frame->payload.len - s.extra.len});
    size_t next = next_block(&asked, block + 1);
    if (next >= NO_BLOCK) {
        end_read(r, &asked);
        return AP3000_TALK_ENDED;
    }
    ap3000_talk_send(r->t, r->in->pile, blocks[next].read, &empty);
    r->t->step++;
    return AP3000_TALK_GOES_ON;
}

/* --- changing --- */

/* The block with one field as it is wanted. The text of the value is a number, and so JSON. */
static enum err change(size_t block, size_t field, struct str value, struct arena *a, void *fields, struct fault *why)
{
    const struct ap3000_layout *l = blocks[block].layout;
    struct ap3000_members m = {.at = {{.key = str_of(l->fields[field].key), .value = value}}, .count = 1};
    struct ap3000_fields_base base = {.fields = fields, .has_all = true};
    int64_t n;
    if (str_to_int(value, &n) != OK || json_check(value, NULL) != OK) {
        fault_set(why, STR("value"), "not an integer");
        return ERR_RANGE;
    }
    return ap3000_fields_take(l, &m, &base, a, fields, why);
}

static enum err check_value(struct ap3000_making *m, size_t block, size_t field, struct str value)
{
    const struct ap3000_layout *l = blocks[block].layout;
    uint8_t *fields = arena_take(m->a, l->size);
    struct fault why = {0};
    if (fields == NULL)
        return ap3000_refuse(m, ERR_MEMORY, "", "no memory left for the fields");
    enum err e = change(block, field, value, m->a, fields, &why);
    if (e == OK)
        e = ap3000_field_check(l, &l->fields[field], fields, &why);
    return e == OK ? OK : ap3000_refuse(m, e, "value", why.reason);
}

enum err ap3000_make_change_configuration(struct ap3000_making *m)
{
    const struct ap3000_change_configuration_req *r = m->request;
    size_t field = 0, block = find_block(r->key, &field);
    enum err e = block == NO_BLOCK ? OK : check_value(m, block, field, r->value);
    return e == OK ? make_read(m, block) : e;
}

static enum ap3000_talk_state end_with_word(struct ap3000_reply *r, struct str word, const char *reason)
{
    *r->end = (struct ap3000_ending){.outcome = "answered",
                                     .reason = reason,
                                     .status = word,
                                     .response = arena_printf(r->a, "{\"status\":\"%.*s\"}", STR_ARG(word))};
    return AP3000_TALK_ENDED;
}

/* The block is here: change it. Only what the device has shown is written, as long as it was. */
static enum ap3000_talk_state write_block(struct ap3000_reply *r, size_t block, size_t field, struct str value)
{
    const struct ap3000_layout *l = blocks[block].layout;
    struct ap3000_tail *fields = arena_take(r->a, l->size);
    struct fault why = {0};
    if (fields == NULL || ap3000_read(l, r->frame->payload, fields, NULL) != OK)
        return end_with_word(r, STR("Rejected"), "DEVICE_ERROR");
    fields->extra = (struct bytes){NULL, 0};
    if (change(block, field, value, r->a, fields, &why) != OK) /* the value was looked at before */
        return end_with_word(r, STR("NotSupported"), NULL);
    ap3000_talk_send(r->t, r->in->pile, blocks[block].write, fields);
    r->t->step++;
    return AP3000_TALK_GOES_ON;
}

enum ap3000_talk_state ap3000_on_block_to_change(struct ap3000_reply *r)
{
    struct ap3000_change_configuration_req asked;
    size_t field = 0;
    read_again(r, &asked);
    size_t block = find_block(asked.key, &field);
    if (block == NO_BLOCK)
        return end_with_word(r, STR("NotSupported"), NULL);
    if (r->t->step == 0)
        return write_block(r, block, field, asked.value);
    return ap3000_on_plain_answer(r);
}
