/* sim/load_stations.c - what OCPP stations say under load: start, ten samples, stop. An answer is recognised by its
 * first bytes; only what the server asks by itself, which is rare, is read as a whole. */
#include "proto/ocpp16/frame.h"
#include "sim/load_private.h"
#include <stdio.h>

#define SAMPLES_EACH    10 /* between start and stop */
#define ID_TEXT_SIZE    24
#define ENERGY_FIRST_WH 1000000 /* seven digits, for the size of a frame */
#define ENERGY_LAST_WH  9999999
#define ENERGY_STEP_WH  37

static void init(struct load *l)
{
    for (int i = 0; i < LOAD_CALL_COUNT; i++)
        load_template_make((enum load_call)i, &l->frames[i]);
}

static void release(struct load *l)
{
    for (int i = 0; i < LOAD_CALL_COUNT; i++)
        template_release(&l->frames[i]);
}

static void init_caller(struct caller *c)
{
    struct caller_station *s = &c->station;
    s->energy_wh = ENERGY_FIRST_WH;
    (void)snprintf(s->identity, sizeof s->identity, "%.*s-%02u", STR_ARG(c->load->options->prefix),
                   (unsigned)c->index + 1);
    (void)snprintf(s->tag, sizeof s->tag, "LOAD-TAG-%02u", (unsigned)c->index + 1);
}

static struct str name(const struct caller *c)
{
    return str_of(c->station.identity);
}

/* What ran on the connection before is forgotten. */
static void open_caller(struct caller *c)
{
    c->station.transaction_id = 0;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static struct str id_text(const struct caller *c, char out[ID_TEXT_SIZE])
{
    int len = snprintf(out, ID_TEXT_SIZE, "%x", (unsigned)c->number);
    return (struct str){out, (size_t)len};
}

static struct str number_text(int32_t n, char *out, size_t size)
{
    int len = snprintf(out, size, "%d", (int)n);
    return (struct str){out, (size_t)len};
}

static void write_call(struct caller *c)
{
    struct load *l = c->load;
    struct caller_station *s = &c->station;
    char id[ID_TEXT_SIZE], transaction[16], energy[16];
    s->energy_wh = s->energy_wh >= ENERGY_LAST_WH - ENERGY_STEP_WH ? ENERGY_FIRST_WH : s->energy_wh + ENERGY_STEP_WH;
    const struct str values[HOLE_COUNT] = {
        [HOLE_ID] = id_text(c, id),
        [HOLE_TRANSACTION] = number_text(s->transaction_id, transaction, sizeof transaction),
        [HOLE_TIME] = {l->time_text, INSTANT_TEXT_SIZE - 1},
        [HOLE_ENERGY] = number_text(s->energy_wh, energy, sizeof energy),
        [HOLE_TAG] = str_of(s->tag),
    };
    template_fill(&l->frames[c->call], values, &l->frame);
}

static int next(struct caller *c)
{
    struct caller_station *s = &c->station;
    if (c->load->options->heartbeats)
        return LOAD_HEARTBEAT;
    if (s->transaction_id == 0) {
        s->samples_left = SAMPLES_EACH;
        return LOAD_START;
    }
    if (s->samples_left == 0)
        return LOAD_STOP;
    s->samples_left--;
    return LOAD_METER;
}

static int leave(struct caller *c)
{
    return c->station.transaction_id != 0 ? LOAD_STOP : LOAD_NONE;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* "transactionId":123 anywhere in an answer that is short and ours to trust. */
static int32_t find_transaction(struct str text)
{
    static const char key[] = "\"transactionId\":";
    const char *at = memmem(text.at, text.len, key, sizeof key - 1);
    if (at == NULL)
        return 0;
    struct str rest = {at + sizeof key - 1, text.len - (size_t)(at - text.at) - (sizeof key - 1)};
    int64_t n = 0;
    size_t digits = 0;
    while (digits < rest.len && rest.at[digits] >= '0' && rest.at[digits] <= '9')
        digits++;
    return str_to_int((struct str){rest.at, digits}, &n) == OK && n <= INT32_MAX ? (int32_t)n : 0;
}

/* [3,"id", or [4,"id", */
static bool is_answer(const struct caller *c, struct str text, bool *is_error)
{
    char id[ID_TEXT_SIZE];
    struct str want = id_text(c, id);
    if (!c->is_waiting || text.len < want.len + 5 || text.at[0] != '[' || (text.at[1] != '3' && text.at[1] != '4'))
        return false;
    *is_error = text.at[1] == '4';
    return memcmp(text.at + 2, ",\"", 2) == 0 && memcmp(text.at + 4, want.at, want.len) == 0 &&
           text.at[4 + want.len] == '"';
}

static void refuse_command(struct caller *c, struct str text)
{
    struct load *l = c->load;
    struct ocpp_frame f;
    if (ocpp_frame_read(text, &l->arena, &f, NULL) == OK && f.kind == OCPP_CALL) {
        buf_clear(&l->frame);
        ocpp_write_error(&l->frame, f.id_json, STR("NotImplemented"), STR(""));
        load_send(c);
    }
    arena_reset(&l->arena);
}

static void on_bytes(struct caller *c, struct bytes b)
{
    struct str text = {(const char *)b.at, b.len};
    bool is_error = false;
    if (!is_answer(c, text, &is_error)) {
        refuse_command(c, text);
        return;
    }
    if (c->call == LOAD_START)
        c->station.transaction_id = find_transaction(text);
    else if (c->call == LOAD_STOP)
        c->station.transaction_id = 0;
    load_answered(c, is_error);
}

const struct load_kind load_of_stations = {
    .init = init,
    .release = release,
    .init_caller = init_caller,
    .name = name,
    .open = open_caller,
    .write = write_call,
    .next = next,
    .leave = leave,
    .on_bytes = on_bytes,
};
