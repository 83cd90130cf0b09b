/* decode.c - chargeline decode: the bytes of an AP3000 connection explained field by field. */
#include "commands.h"
#include "options.h"

#include "proto/ap3000/describe.h"
#include "proto/ap3000/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_SIZE_MAX ((size_t)1 << 20) /* bytes, not digits */
#define TEXT_SIZE_MAX  ((size_t)64 << 20)
#define ROW_BYTES      8
#define NAME_WIDTH     22

enum tone { TONE_NONE, TONE_TITLE, TONE_BYTES, TONE_WRONG, TONE_ALL };
static const char *const colours[TONE_ALL] = {"", "\033[1m", "\033[2m", "\033[31m"};
static const char *const direction_words[] = {[AP3000_UP] = "up", [AP3000_DOWN] = "down"};
static const char *const direction_ends[] = {[AP3000_UP] = "to the server", [AP3000_DOWN] = "from the server"};
static const char *const manner_words[] = {
    [AP3000_ASKS] = "is answered",
    [AP3000_TELLS] = "is not answered",
    [AP3000_ANSWERS] = "is an answer",
    [AP3000_INTERNAL] = "of the bus behind a host, not meant for the server",
};

struct decode {
    struct bytes input;
    struct buf out, value; /* value: of the row that is being made */
    bool is_coloured, is_json, is_wrong;
    bool up, down;
    const char *format;
};
static struct decode decode = {.format = "readable"};

static const struct option_line options[] = {
    {"--up", NULL, "the frames go to the server (else: the way that fits)", OPTION_SWITCH, &decode.up},
    {"--down", NULL, "the frames come from the server", OPTION_SWITCH, &decode.down},
    {"--format", "FORM", "readable (default), or json: one object a line", OPTION_TEXT, &decode.format},
};
static const struct command_page page = {
    .name = "decode",
    .usage = "[options] [HEX...]",
    .about = "Explains bytes of an AP3000 connection, given in hexadecimal or on standard input: each frame field by\n"
             "field, and what is wrong where something is.",
    .more = "HEX: digits, which blanks, ':', '-' and ',' may part and 0x may go before.\n\n"
            "examples: chargeline decode 444E590A003B37AB04B9002000EF02\n"
            "          chargeline decode --down --format json < frame.hex\n\n"
            "exit: 0 all of it is right, 1 something is not (checksum, length, payload, bytes of no frame), 2 usage\n",
    .options = options,
    .option_count = COUNT_OF(options),
};

/* --- printing --- */

static void put_tone(struct decode *d, enum tone tone, const char *text)
{
    if (d->is_coloured && colours[tone][0] != '\0')
        buf_printf(&d->out, "%s%s\033[0m", colours[tone], text);
    else
        buf_put_str(&d->out, str_of(text));
}

/* Offset, bytes, name, value; bytes that have no room there in rows of their own below. */
static void put_row(struct decode *d, size_t offset, struct bytes b, const char *name, struct str value)
{
    for (size_t i = 0; i == 0 || i < b.len; i += ROW_BYTES) {
        char text[3 * ROW_BYTES] = "";
        for (size_t j = i; j < b.len && j < i + ROW_BYTES; j++)
            (void)snprintf(text + 3 * (j - i), 4, j + 1 < b.len && j + 1 < i + ROW_BYTES ? "%02X " : "%02X", b.at[j]);
        buf_printf(&d->out, "%6zu  ", offset + i);
        put_tone(d, TONE_BYTES, text);
        if (i == 0 && name[0] != '\0')
            buf_printf(&d->out, "%*s  %-*s %.*s", (int)(sizeof text - 1 - strlen(text)), "", NAME_WIDTH, name,
                       STR_ARG(value));
        buf_put_byte(&d->out, '\n');
    }
}

/* The same with the value that is in d->value. */
static void put_value_row(struct decode *d, size_t offset, struct bytes b, const char *name)
{
    put_row(d, offset, b, name, buf_str(&d->value));
    buf_clear(&d->value);
}

static void put_wrong(struct decode *d, const struct fault *why)
{
    char text[sizeof why->field + sizeof why->reason + 16];
    (void)snprintf(text, sizeof text, "WRONG %s: %s", why->field, why->reason);
    buf_put_lit(&d->out, "        ");
    put_tone(d, TONE_WRONG, text);
    buf_put_byte(&d->out, '\n');
}

/* --- a frame in words --- */

static void put_parts(struct decode *d, const struct ap3000_view *v, size_t i, size_t offset)
{
    const struct ap3000_layout *part = v->layout->fields[i].part;
    size_t size = v->layout->fields[i].size;
    for (size_t at = 0; at < v->slices.at[i].len; at += size) {
        struct ap3000_slices s;
        struct bytes b = ap3000_item(v->slices.at[i], size, at / size);
        check(ap3000_slice(part, b, &s, NULL) == OK);
        for (size_t j = 0; j < s.count; j++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s %zu.%s", part->name, at / size + 1, part->fields[j].key);
            ap3000_part_show(v, &part->fields[j], s.at[j], &d->value);
            put_value_row(d, offset + (size_t)(s.at[j].at - v->slices.at[i].at), s.at[j], name);
        }
    }
}

static void put_items(struct decode *d, const struct ap3000_view *v, size_t i, size_t offset)
{
    const struct ap3000_field *f = &v->layout->fields[i];
    for (size_t item = 0; item < v->slices.at[i].len / f->size; item++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s %zu", f->key, item + 1);
        ap3000_item_show(v, i, item, &d->value);
        put_value_row(d, offset + item * f->size, ap3000_item(v->slices.at[i], f->size, item), name);
    }
}

static void put_fields(struct decode *d, const struct ap3000_view *v, size_t offset)
{
    for (size_t i = 0; i < v->slices.count; i++) {
        const struct ap3000_field *f = &v->layout->fields[i];
        if (f->kind == AP3000_PARTS) {
            put_parts(d, v, i, offset);
        } else if (f->kind == AP3000_NUMBERS) {
            put_items(d, v, i, offset);
        } else {
            ap3000_field_show(v, i, &d->value);
            put_value_row(d, offset, v->slices.at[i], f->key);
        }
        offset += v->slices.at[i].len;
    }
    if (v->slices.extra.len > 0)
        put_row(d, offset, v->slices.extra, "extra", STR("behind the last field that is known or whole"));
}

/* The payload; false if it is too short for its table. */
static bool put_payload(struct decode *d, const struct ap3000_frame *f, const struct ap3000_command *c, size_t offset)
{
    struct ap3000_view v = {.frame = f};
    struct fault why;
    if (c == NULL) {
        if (f->payload.len > 0)
            put_row(d, offset, f->payload, "payload", STR("kept raw"));
        return true;
    }
    v.layout = c->layout;
    if (ap3000_slice(v.layout, f->payload, &v.slices, &why) == OK) {
        put_fields(d, &v, offset);
        return true;
    }
    if (f->payload.len > 0)
        put_row(d, offset, f->payload, "payload", STR("not readable"));
    put_wrong(d, &why);
    return false;
}

static void put_title(struct decode *d, const struct ap3000_frame *f, const struct ap3000_command *c,
                      enum ap3000_direction way, size_t size)
{
    char text[160];
    if (c == NULL)
        (void)snprintf(text, sizeof text, "frame of %zu bytes: 0x%02X, a command that is not known", size, f->command);
    else
        (void)snprintf(text, sizeof text, "frame of %zu bytes: 0x%02X %s, %s, %s", size, f->command, c->name,
                       direction_ends[way], manner_words[c->manner]);
    put_tone(d, TONE_TITLE, text);
    buf_put_byte(&d->out, '\n');
}

/* all: its bytes, which lie at offset of the input. why: of its checksum, or NULL. */
static void put_frame(struct decode *d, const struct ap3000_frame *f, struct bytes all, size_t offset,
                      const struct fault *why)
{
    bool is_sure = true;
    enum ap3000_direction way = d->down ? AP3000_DOWN : AP3000_UP;
    if (!d->up && !d->down)
        way = ap3000_direction_guess(f, &is_sure);
    const struct ap3000_command *c = ap3000_command_find(f->command, way);
    put_title(d, f, c, way, all.len);
    put_row(d, offset, (struct bytes){all.at, 3}, "header", STR(AP3000_HEADER));
    buf_printf(&d->value, "%zu", all.len - AP3000_PREFIX_SIZE);
    put_value_row(d, offset + 3, (struct bytes){all.at + 3, 2}, "length");
    ap3000_id_show(f->physical_id, &d->value);
    put_value_row(d, offset + 5, (struct bytes){all.at + 5, 4}, "physical id");
    buf_printf(&d->value, "%u", f->message_id);
    put_value_row(d, offset + 9, (struct bytes){all.at + 9, 2}, "message id");
    buf_printf(&d->value, "0x%02X", f->command);
    put_value_row(d, offset + 11, (struct bytes){all.at + 11, 1}, "command");
    d->is_wrong |= !put_payload(d, f, c, offset + AP3000_PAYLOAD_AT);
    buf_printf(&d->value, "%04X%s", f->checksum, why == NULL ? ", right" : "");
    put_value_row(d, offset + all.len - 2, (struct bytes){all.at + all.len - 2, 2}, "checksum");
    if (why != NULL)
        put_wrong(d, why);
    if (!is_sure)
        buf_printf(&d->out, "        fits the other direction too: --%s\n",
                   direction_words[way == AP3000_UP ? AP3000_DOWN : AP3000_UP]);
}

/* --- the same as JSON --- */

static void json_open(struct decode *d, struct json_writer *w, const char *type, size_t offset, size_t size)
{
    jw_init(w, &d->out);
    jw_open_object(w);
    jw_field_str(w, "type", str_of(type));
    jw_field_int(w, "offset", (int64_t)offset);
    jw_field_int(w, "size", (int64_t)size);
}

static void json_close(struct decode *d, struct json_writer *w)
{
    jw_close_object(w);
    buf_put_byte(&d->out, '\n');
}

static void json_frame(struct decode *d, const struct ap3000_frame *f, size_t size, size_t offset)
{
    struct json_writer w;
    struct ap3000_slices s;
    struct fault why;
    bool is_sure = true;
    enum ap3000_direction way = d->down ? AP3000_DOWN : AP3000_UP;
    if (!d->up && !d->down)
        way = ap3000_direction_guess(f, &is_sure);
    const struct ap3000_command *c = ap3000_command_find(f->command, way);
    json_open(d, &w, "frame", offset, size);
    jw_field_str(&w, "direction", str_of(direction_words[way]));
    jw_field_bool(&w, "direction_is_sure", is_sure);
    jw_field_str(&w, "name", str_of(c == NULL ? NULL : c->name));
    if (c != NULL && ap3000_slice(c->layout, f->payload, &s, &why) != OK) {
        char text[sizeof why.field + sizeof why.reason + 4];
        (void)snprintf(text, sizeof text, "%s: %s", why.field, why.reason);
        jw_field_str(&w, "error", str_of(text));
        d->is_wrong = true;
    }
    ap3000_frame_json_members(&w, f, way);
    json_close(d, &w);
}

/* --- units, and what lies between them --- */

static void show_unit(struct decode *d, const struct ap3000_unit *u)
{
    static const char *const types[] = {[AP3000_LINK] = "link", [AP3000_ICCID] = "iccid"};
    struct bytes all = {d->input.at + u->offset, u->size};
    size_t offset = (size_t)u->offset;
    struct json_writer w;
    if (u->kind == AP3000_FRAME && d->is_json) {
        json_frame(d, &u->frame, u->size, offset);
    } else if (u->kind == AP3000_FRAME) {
        put_frame(d, &u->frame, all, offset, NULL);
    } else if (d->is_json) {
        json_open(d, &w, types[u->kind], offset, u->size);
        if (u->kind == AP3000_ICCID)
            jw_field_str(&w, "iccid", u->iccid);
        json_close(d, &w);
    } else {
        put_tone(d, TONE_TITLE, u->kind == AP3000_LINK ? "keepalive of the module" : "card number of the module");
        buf_put_byte(&d->out, '\n');
        put_row(d, offset, all, types[u->kind], (struct str){(const char *)all.at, all.len});
    }
}

/* Bytes that a server drops. */
static void show_dropped(struct decode *d, size_t offset, struct bytes b, const struct fault *why)
{
    struct json_writer w;
    char title[64];
    d->is_wrong = true;
    if (d->is_json) {
        json_open(d, &w, "dropped", offset, b.len);
        jw_field_str(&w, "error", str_of(why->field));
        jw_field_str(&w, "reason", str_of(why->reason));
        json_close(d, &w);
        return;
    }
    (void)snprintf(title, sizeof title, "%zu bytes that a server drops", b.len);
    put_tone(d, TONE_TITLE, title);
    buf_put_byte(&d->out, '\n');
    put_row(d, offset, b, "", STR(""));
    put_wrong(d, why);
}

/* Where a header begins in b, or its end. */
static size_t find_header(struct bytes b)
{
    const uint8_t *at = b.len == 0 ? NULL : memmem(b.at, b.len, AP3000_HEADER, AP3000_HEADER_SIZE);
    return at == NULL ? b.len : (size_t)(at - b.at);
}

/* The bytes between two units: says of each header in them why it is the head of no frame. */
static void show_between(struct decode *d, size_t from, size_t to)
{
    while (from < to) {
        struct bytes b = {d->input.at + from, to - from};
        struct ap3000_frame f;
        struct fault why;
        size_t size = 0;
        enum err e = ap3000_frame_read(b, &f, &size, &why);
        if (e == ERR_CORRUPT && !d->is_json) {
            put_frame(d, &f, (struct bytes){b.at, size}, from, &why);
            d->is_wrong = true;
        } else {
            /* Up to the next header, which may be the right one. */
            if (e != ERR_CORRUPT)
                size = 1 + find_header((struct bytes){b.at + 1, b.len - 1});
            show_dropped(d, from, (struct bytes){b.at, size}, &why);
        }
        from += size;
    }
}

static void show_all(struct decode *d)
{
    struct ap3000_stream s;
    struct ap3000_unit unit;
    struct bytes in = d->input;
    size_t at = 0;
    ap3000_stream_init(&s);
    while (ap3000_stream_next(&s, &in, &unit) || ap3000_stream_flush(&s, &unit)) {
        show_between(d, at, (size_t)unit.offset);
        show_unit(d, &unit);
        at = (size_t)unit.offset + unit.size;
    }
    show_between(d, at, d->input.len);
    ap3000_stream_release(&s);
}

/* --- reading --- */

/* Its value; 16: it parts digits; 17: it is none. */
static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        return (unsigned)((c | 0x20) - 'a' + 10);
    return strchr(" \t\r\n:-,", c) != NULL && c != '\0' ? 16 : 17;
}

/* Appends the bytes that text says; OPTIONS_READ or the exit code. */
static int read_hex(struct str text, struct buf *out)
{
    unsigned byte = 0, count = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '0' && count % 2 == 0 && i + 1 < text.len && (text.at[i + 1] | 0x20) == 'x') {
            i++;
            continue;
        }
        unsigned digit = digit_of(text.at[i]);
        if (digit > 16)
            return command_fail(&page, EXIT_USAGE, "no hexadecimal digit at character %zu", i + 1);
        if (digit == 16)
            continue;
        byte = byte << 4 | digit;
        if (++count % 2 == 0)
            buf_put_byte(out, (uint8_t)byte);
    }
    if (count % 2 != 0)
        return command_fail(&page, EXIT_USAGE, "%u hexadecimal digits: a byte has two", count);
    if (out->failed)
        return command_fail(&page, EXIT_USAGE, "more than %zu bytes", INPUT_SIZE_MAX);
    return OPTIONS_READ;
}

static int read_input(struct buf *out)
{
    struct buf text;
    size_t got;
    buf_init(&text, 4 * INPUT_SIZE_MAX);
    do {
        char piece[4096];
        got = fread(piece, 1, sizeof piece, stdin);
        buf_put(&text, piece, got);
    } while (got > 0 && !text.failed);
    int code = text.failed ? command_fail(&page, EXIT_USAGE, "more than %zu bytes", INPUT_SIZE_MAX)
                           : read_hex(buf_str(&text), out);
    buf_release(&text);
    return code;
}

/* Takes the arguments that are no options out, as words; returns the count of the others. */
static int part_arguments(int argc, char **argv, struct buf *words)
{
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        bool is_value = strcmp(argv[i - 1], "--format") == 0;
        if (argv[i][0] == '-' || is_value)
            argv[kept++] = argv[i];
        else
            buf_printf(words, "%s ", argv[i]);
    }
    return kept;
}

static int decode_input(struct decode *d, struct buf *words, struct buf *bytes)
{
    int code = words->len > 0 ? read_hex(buf_str(words), bytes) : read_input(bytes);
    if (code != OPTIONS_READ)
        return code;
    if (bytes->len == 0)
        return command_fail(&page, EXIT_USAGE, "nothing to decode; see chargeline decode --help");
    d->input = (struct bytes){bytes->at, bytes->len};
    show_all(d);
    if (d->out.failed || fwrite(d->out.at, 1, d->out.len, stdout) != d->out.len || fflush(stdout) != 0)
        return command_fail(&page, EXIT_FAILED, "cannot write the explanation");
    return d->is_wrong ? EXIT_FAILED : EXIT_OK;
}

int decode_main(int argc, char **argv)
{
    struct decode *d = &decode;
    struct buf words, bytes;
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    buf_init(&words, 4 * INPUT_SIZE_MAX);
    buf_init(&bytes, INPUT_SIZE_MAX);
    buf_init(&d->out, TEXT_SIZE_MAX);
    buf_init(&d->value, TEXT_SIZE_MAX);
    int code = options_read(&page, part_arguments(argc, argv, &words), argv);
    d->is_json = strcmp(d->format, "json") == 0;
    d->is_coloured = isatty(STDOUT_FILENO) == 1 && (no_colour == NULL || no_colour[0] == '\0') &&
                     (term == NULL || strcmp(term, "dumb") != 0);
    if (code == OPTIONS_READ && !d->is_json && strcmp(d->format, "readable") != 0)
        code = command_fail(&page, EXIT_USAGE, "--format: \"%s\" is neither readable nor json", d->format);
    if (code == OPTIONS_READ && d->up && d->down)
        code = command_fail(&page, EXIT_USAGE, "--up and --down: a frame goes one way");
    if (code == OPTIONS_READ)
        code = decode_input(d, &words, &bytes);
    buf_release(&words);
    buf_release(&bytes);
    buf_release(&d->out);
    buf_release(&d->value);
    return code;
}
