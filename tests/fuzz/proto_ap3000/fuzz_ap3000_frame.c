/* A direction, a command and any payload, both as they are and inside a frame: what is read is written back byte for
 * byte, what is written reads the same; JSON of it is valid, its words are plain text; the pile's order numbers take
 * any 16 bytes. */
/* covers: src/proto/ap3000/frame.c src/proto/ap3000/frames.c src/proto/ap3000/describe.c src/proto/ap3000/order.c */
#include "unit/proto_ap3000/pilekit.h"

#include "proto/ap3000/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(const struct ap3000_frame *f, enum ap3000_direction d)
{
    const struct ap3000_command *c = ap3000_command_find(f->command, d);
    struct ap3000_view v = {.frame = f};
    struct buf out;
    if (c == NULL || ap3000_slice(c->layout, f->payload, &v.slices, NULL) != OK)
        return;
    v.layout = c->layout;
    buf_init(&out, KIT_TEXT_MAX);
    for (size_t i = 0; i < v.slices.count; i++) {
        const struct ap3000_field *field = &v.layout->fields[i];
        ap3000_field_show(&v, i, &out);
        for (size_t j = 0; field->kind == AP3000_NUMBERS && j < v.slices.at[i].len / field->size; j++)
            ap3000_item_show(&v, i, j, &out);
    }
    for (size_t i = 0; i < out.len; i++)
        check(out.at[i] >= ' ' && out.at[i] <= '~');
    buf_release(&out);
}

static void check_json(const struct ap3000_frame *f, enum ap3000_direction d)
{
    struct buf out;
    struct json_writer w;
    struct fault why;
    buf_init(&out, KIT_TEXT_MAX);
    jw_init(&w, &out);
    ap3000_frame_json(&w, f, d);
    check(!out.failed && json_check(buf_str(&out), &why) == OK);
    buf_release(&out);
}

static void check_payload(const struct ap3000_frame *f, enum ap3000_direction d)
{
    const struct ap3000_command *c = ap3000_command_find(f->command, d);
    struct ap3000_slices s;
    bool is_sure;
    if (c != NULL && ap3000_slice(c->layout, f->payload, &s, NULL) == OK)
        check(kit_is_written_back(f, d));
    check_json(f, d);
    check_words(f, d);
    (void)ap3000_direction_guess(f, &is_sure);
}

/* As a frame it is read back the same, if it may be sent. */
static void check_frame(const struct ap3000_frame *f)
{
    uint8_t bytes[AP3000_SENT_FIRMWARE_SIZE_MAX];
    struct ap3000_frame again;
    size_t size, whole;
    enum err e = ap3000_frame_write(f, bytes, sizeof bytes, &size);
    check(e == OK || e == ERR_LIMIT);
    if (e != OK)
        return;
    check(ap3000_frame_read((struct bytes){bytes, size}, &again, &whole, NULL) == OK && whole == size);
    check(again.physical_id == f->physical_id && again.message_id == f->message_id && again.command == f->command);
    check(again.payload.len == f->payload.len);
    check(f->payload.len == 0 || memcmp(again.payload.at, f->payload.at, f->payload.len) == 0);
    check(ap3000_frame_read((struct bytes){bytes, size - 1}, &again, &whole, NULL) == ERR_AGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ap3000_frame f = {.physical_id = 0x04CEAA40, .message_id = 1};
    struct ap3000_order order;
    size_t whole;
    if (size < 2 || size - 2 > AP3000_PAYLOAD_SIZE_MAX)
        return 0;
    enum ap3000_direction d = data[0] & 1 ? AP3000_DOWN : AP3000_UP;
    f.command = data[1];
    f.payload = (struct bytes){data + 2, size - 2};
    check_payload(&f, d);
    check_frame(&f);
    if (f.payload.len >= AP3000_ORDER_SIZE)
        ap3000_order_read(f.payload.at, &order);
    if (ap3000_frame_read(f.payload, &f, &whole, NULL) == OK)
        check_payload(&f, d);
    return 0;
}
