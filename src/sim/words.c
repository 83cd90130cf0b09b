/* sim/words.c - the sentences of events.def, their places filled. */
#include "sim/words.h"

#define IDENTITY_WIDTH 10

static const char *const sentences[SIM_EVENT_COUNT] = {
#define EVENT(name, sentence) [SIM_##name] = (sentence),
#include "sim/events.def"
};

static void put_place(struct buf *out, char place, const struct sim_event *e)
{
    switch (place) {
    case 'c':
        buf_put_int(out, e->number);
        break;
    case 't':
        buf_put_str(out, e->text);
        break;
    case 'n':
        buf_put_int(out, e->n);
        break;
    case 'm':
        buf_put_int(out, e->m);
        break;
    case 'k':
    case 'w':
        buf_printf(out, "%lld.%lld", (long long)(e->n / 1000), (long long)(e->n % 1000 / 100));
        break;
    default:
        check(place == '%');
        buf_put_byte(out, '%');
    }
}

void words_put_event(struct buf *out, struct str clock, const struct sim_station *s, const struct sim_event *e)
{
    buf_printf(out, "%.*s  %-*s  ", STR_ARG(clock), IDENTITY_WIDTH, s->identity);
    for (const char *at = sentences[e->kind]; *at != 0; at++) {
        if (*at == '%')
            put_place(out, *++at, e);
        else
            buf_put_byte(out, (uint8_t)*at);
    }
    buf_put_byte(out, '\n');
}

void words_put_summary(struct buf *out, const struct sim_totals *t, size_t stations, int64_t calls_per_s)
{
    int64_t energy_wh = t->energy_mj / MILLIJOULE_A_WH;
    buf_printf(
        out,
        "----  %lld of %zu stations online, %lld charging, %llu sessions, %lld.%lld kWh, %lld calls/s, %llu refused or "
        "unanswered, %llu commands\n",
        (long long)t->online, stations, (long long)t->active, (unsigned long long)t->sessions,
        (long long)(energy_wh / 1000), (long long)(energy_wh % 1000 / 100), (long long)calls_per_s,
        (unsigned long long)t->errors, (unsigned long long)t->commands);
}
