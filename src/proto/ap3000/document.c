/* document.c - docs/reference/ap3000.md from the tables. */
#include "proto/ap3000/describe.h"

#include "proto/ap3000/actions.h"
#include "proto/ap3000/stream.h"

#include <string.h>

static const char *const manners[] = {
    [AP3000_ASKS] = "is answered",
    [AP3000_TELLS] = "is not answered",
    [AP3000_ANSWERS] = "is an answer",
    [AP3000_INTERNAL] = "of the bus behind a host, not meant for the server",
};
static const char *const directions[] = {[AP3000_UP] = "to the server", [AP3000_DOWN] = "from the server"};
static const char *const kinds[] = {
    [AP3000_NUMBER] = "number", [AP3000_OCTETS] = "bytes",  [AP3000_CHUNK] = "bytes", [AP3000_TEXT] = "text",
    [AP3000_NUMBERS] = "list",  [AP3000_COUNTED] = "bytes", [AP3000_PARTS] = "list",  [AP3000_REST] = "bytes",
};

/* Where a field begins: so many bytes, and so many more an item. There is one count a layout at most. */
struct place {
    size_t fixed, an_item;
    const char *count_key;
};

static void put_place(const struct place *p, struct buf *out)
{
    buf_printf(out, "%zu", p->fixed);
    if (p->an_item > 0)
        buf_printf(out, " + %zu x `%s`", p->an_item, p->count_key);
}

static void put_size(const struct ap3000_layout *l, const struct ap3000_field *f, struct buf *out)
{
    if (f->kind == AP3000_REST)
        buf_put_lit(out, "the rest");
    else if (f->count_index >= 0)
        buf_printf(out, "%u x `%s`", f->size, l->fields[f->count_index].key);
    else
        buf_printf(out, "%u", f->size);
}

/* What follows the kind: a list of codes, or a unit. */
static void put_unit(const struct ap3000_field *f, struct buf *out)
{
    if (f->list != NULL)
        buf_printf(out, ", [%s](#%s)", f->list->name, f->list->name);
    else if (f->kind == AP3000_TEXT)
        buf_printf(out, ", at most %u bytes", f->longest);
    else if (f->part != NULL)
        buf_printf(out, " of %s", f->part->name);
    else if (ap3000_units[f->unit].text[0] != '\0')
        buf_printf(out, ", %s", ap3000_units[f->unit].text);
}

static void put_fields(const struct ap3000_layout *l, struct buf *out)
{
    struct place p = {0};
    if (l->count == 0) {
        buf_put_lit(out, "\nEmpty.\n");
        return;
    }
    buf_put_lit(out, "\n| offset | size | field | kind | | meaning |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < l->count; i++) {
        const struct ap3000_field *f = &l->fields[i];
        buf_put_lit(out, "| ");
        put_place(&p, out);
        buf_put_lit(out, " | ");
        put_size(l, f, out);
        buf_printf(out, " | `%s` | %s", f->key, kinds[f->kind]);
        put_unit(f, out);
        buf_printf(out, " | %s | %s |\n", f->presence == AP3000_REQUIRED ? "required" : "optional", f->text);
        if (f->count_index < 0) {
            p.fixed += f->size;
        } else {
            p.an_item += f->size;
            p.count_key = l->fields[f->count_index].key;
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        if (l->fields[i].part != NULL) {
            buf_printf(out, "\nOf each %s:\n", l->fields[i].part->name);
            put_fields(l->fields[i].part, out);
        }
    }
}

static void put_commands(struct buf *out)
{
    for (unsigned command = 0; command <= UINT8_MAX; command++) {
        for (unsigned d = 0; d < AP3000_DIRECTION_COUNT; d++) {
            const struct ap3000_command *c = ap3000_command_find((uint8_t)command, d);
            if (c == NULL)
                continue;
            buf_printf(out, "\n### 0x%02X %s, %s\n\n%s; %s. Specification %s.\n", command, c->name, directions[d],
                       c->layout->name, manners[c->manner], c->section);
            put_fields(c->layout, out);
        }
    }
}

/* What can be told to them by name. */
static void put_action(const struct ap3000_action *a, struct buf *out)
{
    const struct ap3000_command *c = a->command == 0 ? NULL : ap3000_command_find(a->command, AP3000_DOWN);
    buf_printf(out, "\n### %.*s\n\n%s.", STR_ARG(a->name), a->sentence);
    if (c != NULL)
        buf_printf(out, " Frame 0x%02X, %s.", a->command, c->name);
    buf_printf(out, " Specification %s.", a->section);
    if (a->is_guarded)
        buf_put_lit(out, " Guarded: the payload must say `\"confirm\": true`, and no order may be open.");
    if (a->is_secret)
        buf_put_lit(out, " Secret: its payload or its answer holds keys.");
    if (a->payload != NULL) {
        buf_put_lit(out, "\n\n");
        schema_document(a->payload, out);
        return;
    }
    check(c != NULL); /* whose payload is no frame has a message */
    buf_put_lit(out, "\n\nPayload:");
    for (size_t i = 0; i < c->layout->count; i++)
        buf_printf(out, "%s `%s`%s", i == 0 ? "" : ",", c->layout->fields[i].key,
                   c->layout->fields[i].presence == AP3000_OPTIONAL ? " (optional)" : "");
    buf_printf(out, "%s\n", c->layout->count == 0 ? " none." : ", as in its frame.");
}

static void put_actions(struct buf *out)
{
    for (size_t i = 0; i < ap3000_action_count; i++)
        put_action(&ap3000_actions[i], out);
}

static void put_lists(struct buf *out)
{
    for (size_t i = 0; i < ap3000_list_count; i++) {
        const struct ap3000_list *l = ap3000_lists[i];
        buf_printf(out, "\n### %s\n\n%s. Specification %s.\n\n| %s | meaning |\n|---|---|\n", l->name, l->title,
                   l->section, l->is_bits ? "bit" : "code");
        for (size_t j = 0; j < l->count; j++)
            buf_printf(out, l->is_bits ? "| %u | %s |\n" : "| 0x%02X | %s |\n", l->values[j].code, l->values[j].text);
    }
}

static void put_request(uint8_t command, struct buf *out)
{
    if (command == 0)
        buf_put_lit(out, "never");
    else
        buf_printf(out, "0x%02X", command);
}

static void put_products(struct buf *out)
{
    buf_put_lit(out, "\n## Products\n\nType, recognition code and major firmware version together say what a device "
                     "is.\n\n| product | types | recognition codes | firmware | upgraded with | asks with | bytes a "
                     "packet |\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ap3000_product_count; i++) {
        const struct ap3000_product *p = &ap3000_products[i];
        buf_printf(out, "| %s |", p->name);
        for (size_t j = 0; j < p->type_count; j++) {
            if (p->types[j] == AP3000_TYPE_ABSENT)
                buf_put_lit(out, " absent");
            else
                buf_printf(out, " %02X", p->types[j]);
        }
        buf_put_lit(out, " |");
        for (size_t j = 0; j < p->code_count; j++)
            buf_printf(out, " %02X", p->codes[j]);
        buf_printf(out, "%s | %u.xx | 0x%02X | ", p->code_count == 0 ? " host" : "", p->major, p->upgrade);
        put_request(p->request, out);
        buf_printf(out, " | %u |\n", p->packet_size);
    }
}

void ap3000_document(struct buf *out)
{
    buf_printf(out,
               "# Frames of AP3000\n\nMade from src/proto/ap3000/frames.def, enumerations.def, units.def and "
               "products.def. `chargeline decode HEX` explains a frame by the\nsame tables.\n\n"
               "| offset | size | |\n|---|---|---|\n| 0 | 3 | `" AP3000_HEADER "` |\n| 3 | 2 | length of what follows: "
               "payload + %d; taken up to %d |\n| 5 | 4 | physical id: recognition code in the top byte, printed "
               "number below |\n| 9 | 2 | message id |\n| 11 | 1 | command |\n| 12 | n | payload, by command and "
               "direction |\n| 12 + n | 2 | checksum: sum of all bytes before it |\n\nNumbers are little-endian. "
               "Outside of frames a module sends `link`, and first of all the %d characters of its card number.\nWhat "
               "is neither is dropped byte by byte; more than %d bytes so without a valid frame close the connection."
               "\n\nOptional fields are missing from the end of a payload when the firmware does not know them; bytes "
               "behind the last known field are\nkept and not looked at. Codes that are not listed are kept as their "
               "number.\n\n## Frames\n",
               AP3000_LENGTH_MIN, AP3000_LENGTH_MAX, AP3000_ICCID_SIZE, AP3000_DROPPED_MAX);
    put_commands(out);
    buf_put_lit(out, "\n## Commands\n\nMade from src/proto/ap3000/actions.def and requests.def: what can be told to a "
                     "pile or host by `POST /charge-points/{id}/commands`.\n");
    put_actions(out);
    buf_put_lit(out, "\n## Codes\n");
    put_lists(out);
    put_products(out);
}
