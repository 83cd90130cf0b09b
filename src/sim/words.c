/* sim/words.c - the sentences of events.def and pile_events.def, their places filled. */
#include "sim/words.h"
#include "sim/pile.h"
#include "sim/station.h"

#define NAME_WIDTH 10

const char *const station_sentences[SIM_EVENT_COUNT] = {
#define EVENT(name, sentence) [SIM_##name] = (sentence),
#include "sim/events.def"
};
const char *const pile_sentences[PILE_EVENT_COUNT] = {
#define EVENT(name, sentence) [PILE_##name] = (sentence),
#include "sim/pile_events.def"
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

void words_put_event(struct buf *out, struct str clock, struct str name, const char *sentence,
                     const struct sim_event *e)
{
    int pad = name.len < NAME_WIDTH ? NAME_WIDTH - (int)name.len : 0;
    buf_printf(out, "%.*s  %.*s%*s  ", STR_ARG(clock), STR_ARG(name), pad, "");
    for (const char *at = sentence; *at != 0; at++) {
        if (*at == '%')
            put_place(out, *++at, e);
        else
            buf_put_byte(out, (uint8_t)*at);
    }
    buf_put_byte(out, '\n');
}

void words_put_summary(struct buf *out, const struct sim_totals *t, size_t count, const char *noun, int64_t calls_per_s)
{
    int64_t energy_wh = t->energy_mj / MILLIJOULE_A_WH;
    buf_printf(
        out,
        "----  %lld of %zu %s online, %lld charging, %llu sessions, %lld.%lld kWh, %lld calls/s, %llu refused or "
        "unanswered, %llu commands\n",
        (long long)t->online, count, noun, (long long)t->active, (unsigned long long)t->sessions,
        (long long)(energy_wh / 1000), (long long)(energy_wh % 1000 / 100), (long long)calls_per_s,
        (unsigned long long)t->errors, (unsigned long long)t->commands);
}
