/* sim/options.c - flags by a table; what follows from each other is decided in one place, at the end. */
#include "sim/options.h"
#include "sim/pile.h"
#include "sim/station.h"
#include <string.h>

#define PORT_WS           80
#define PORT_WSS          443
#define SPEED_DEMO        60
#define DURATION_LOAD_S   10
#define CONNECTS          500
#define CONNECTS_DEMO     8
#define FLAG_WIDTH        26
#define AP3000_NUMBER_MAX 0xFFFFFF /* printed ones have 24 bits */

enum option_kind { TEXT, NUMBER, SWITCH, QUIRKS };

static const struct option {
    struct str flag;
    enum option_kind kind;
    const char *place, *standard;
    int64_t least, most;
    size_t offset;
    const char *sentence;
} table[] = {
#define OPTION(member, flag, kind, place, standard, least, most, sentence)                  \
    {{(flag), sizeof(flag) - 1},           (kind),    (place), (standard), (least), (most), \
     offsetof(struct sim_options, member), (sentence)},
#include "sim/options.def"
};

static enum err set_text(const struct option *o, struct str value, void *to, struct fault *why)
{
    if ((int64_t)value.len < o->least || (int64_t)value.len > o->most) {
        fault_set(why, o->flag, "needs %lld to %lld characters", (long long)o->least, (long long)o->most);
        return ERR_FORMAT;
    }
    *(struct str *)to = value;
    return OK;
}

static enum err set_number(const struct option *o, struct str value, void *to, struct fault *why)
{
    int64_t n;
    if (str_to_int(value, &n) != OK || n < o->least || n > o->most) {
        fault_set(why, o->flag, "\"%.*s\" is no whole number from %lld to %lld", STR_ARG(value), (long long)o->least,
                  (long long)o->most);
        return ERR_FORMAT;
    }
    *(int64_t *)to = n;
    return OK;
}

static enum err set_switch(const struct option *o, struct str value, void *to, struct fault *why)
{
    (void)o;
    (void)value;
    (void)why;
    *(bool *)to = true;
    return OK;
}

/* Which list it is of is known when all is read: take_quirks. */
static enum err set_quirk(const struct option *o, struct str value, void *to, struct fault *why)
{
    struct quirk_words *words = to;
    if (words->count == QUIRK_WORDS_MAX) {
        fault_set(why, o->flag, "no more than %d", QUIRK_WORDS_MAX);
        return ERR_FORMAT;
    }
    words->at[words->count++] = value;
    return OK;
}

static enum err (*const set[])(const struct option *, struct str, void *, struct fault *) = {
    [TEXT] = set_text, [NUMBER] = set_number, [SWITCH] = set_switch, [QUIRKS] = set_quirk};

static const struct option *find(struct str flag)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (str_eq(table[i].flag, flag))
            return &table[i];
    return NULL;
}

static void set_standards(struct sim_options *o)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        void *to = (char *)o + table[i].offset;
        if (table[i].kind == TEXT || table[i].kind == NUMBER)
            check(set[table[i].kind](&table[i], str_of(table[i].standard), to, NULL) == OK);
    }
}

/* scheme://host[:port][/path]; [v6] in brackets. */
static enum err take_url(struct sim_options *o, struct fault *why)
{
    struct str u = o->url;
    o->is_tls = str_starts(u, STR("wss://"));
    if (!o->is_tls && !str_starts(u, STR("ws://"))) {
        fault_set(why, STR("--url"), "begins with neither ws:// nor wss://");
        return ERR_FORMAT;
    }
    size_t skip = o->is_tls ? strlen("wss://") : strlen("ws://"), at = skip;
    bool is_v6 = at < u.len && u.at[at] == '[';
    while (at < u.len && u.at[at] != '/' && (is_v6 || u.at[at] != ':')) {
        if (u.at[at] == ']')
            is_v6 = false;
        at++;
    }
    o->host = (struct str){u.at + skip, at - skip};
    if (o->host.len >= 2 && o->host.at[0] == '[' && o->host.at[o->host.len - 1] == ']')
        o->host = (struct str){o->host.at + 1, o->host.len - 2};
    int64_t port = o->is_tls ? PORT_WSS : PORT_WS;
    if (at < u.len && u.at[at] == ':') {
        size_t from = ++at;
        while (at < u.len && u.at[at] != '/')
            at++;
        if (str_to_int((struct str){u.at + from, at - from}, &port) != OK)
            port = 0;
    }
    if (o->host.len == 0 || port < 1 || port > UINT16_MAX) {
        fault_set(why, STR("--url"), "is not ws://host:port/path");
        return ERR_FORMAT;
    }
    o->port = (int)port;
    o->path = (struct str){u.at + at, u.len - at};
    while (o->path.len > 0 && o->path.at[o->path.len - 1] == '/')
        o->path.len--;
    return OK;
}

/* host:port; [v6] in brackets. */
static enum err take_address(struct sim_options *o, struct fault *why)
{
    struct str a = o->address;
    int64_t port = 0;
    size_t sign = a.len;
    while (sign > 0 && a.at[sign - 1] != ':')
        sign--;
    if (sign > 1 && str_to_int((struct str){a.at + sign, a.len - sign}, &port) != OK)
        port = 0;
    if (port < 1 || port > UINT16_MAX) {
        fault_set(why, STR("--address"), "is not host:port");
        return ERR_FORMAT;
    }
    o->host = (struct str){a.at, sign - 1};
    if (o->host.len > 2 && o->host.at[0] == '[' && o->host.at[o->host.len - 1] == ']')
        o->host = (struct str){o->host.at + 1, o->host.len - 2};
    o->port = (int)port;
    return OK;
}

static size_t quirk_count(const struct sim_options *o)
{
    return o->is_ap3000 ? (size_t)PILE_QUIRK_COUNT : (size_t)QUIRK_COUNT;
}
static struct str quirk_name(const struct sim_options *o, size_t i)
{
    return o->is_ap3000 ? pile_quirks[i].name : sim_quirks[i].name;
}

static enum err take_quirks(struct sim_options *o, struct fault *why)
{
    for (size_t k = 0; k < o->quirk.count; k++) {
        size_t i = 0;
        while (i < quirk_count(o) && !str_eq(quirk_name(o, i), o->quirk.at[k]))
            i++;
        if (i == quirk_count(o)) {
            fault_set(why, STR("--quirk"), "\"%.*s\" is no quirk of %.*s: --quirk list shows them",
                      STR_ARG(o->quirk.at[k]), STR_ARG(o->protocol));
            return ERR_FORMAT;
        }
        o->quirks |= UINT32_C(1) << i;
    }
    return OK;
}

static enum err take_ap3000(struct sim_options *o, bool is_load, struct fault *why)
{
    if (is_load && o->slaves > 0) {
        fault_set(why, STR("--slaves"), "not with --load and --heartbeats: each device has a connection of its own");
        return ERR_FORMAT;
    }
    if (o->first + o->stations * (o->slaves + 1) - 1 > AP3000_NUMBER_MAX) {
        fault_set(why, STR("--first"), "the numbers of all piles do not fit below %d", AP3000_NUMBER_MAX);
        return ERR_FORMAT;
    }
    return take_address(o, why);
}

static enum err take_ocpp(struct sim_options *o, struct fault *why)
{
    enum err e = take_url(o, why);
    if (e == OK && o->is_tls && o->ca.len == 0 && !o->insecure) {
        fault_set(why, STR("--url"), "wss:// needs --ca FILE or --insecure");
        return ERR_FORMAT;
    }
    return e;
}

static enum err take_together(struct sim_options *o, struct fault *why)
{
    bool is_load = o->load.len > 0 || o->heartbeats;
    o->is_ap3000 = str_eq(o->protocol, STR("ap3000"));
    if (!o->is_ap3000 && !str_eq(o->protocol, STR("ocpp16"))) {
        fault_set(why, STR("--protocol"), "is neither ocpp16 nor ap3000");
        return ERR_FORMAT;
    }
    if (o->load.len > 0 && !str_eq(o->load, STR("closed")) && !str_eq(o->load, STR("open"))) {
        fault_set(why, STR("--load"), "is neither closed nor open");
        return ERR_FORMAT;
    }
    if (o->demo + o->idle + o->heartbeats + (o->load.len > 0) + o->story > 1) {
        fault_set(why, STR("--demo, --idle, --load, --heartbeats, --story"), "only one of them at a time");
        return ERR_FORMAT;
    }
    enum err e = take_quirks(o, why);
    if (e == OK)
        e = o->is_ap3000 ? take_ap3000(o, is_load, why) : take_ocpp(o, why);
    if (e != OK)
        return e;
    if (o->connectors == 0)
        o->connectors = o->idle || is_load ? 1 : 2;
    if (o->speed == 0)
        o->speed = o->demo ? SPEED_DEMO : 1;
    if (o->connects == 0)
        o->connects = o->demo ? CONNECTS_DEMO : CONNECTS;
    if (o->duration == 0 && is_load)
        o->duration = DURATION_LOAD_S;
    return OK;
}

enum err sim_options_parse(int argc, char **argv, struct sim_options *out, struct fault *why)
{
    struct sim_options o = {0};
    set_standards(&o);
    for (int i = 1; i < argc; i++) {
        struct str word = str_of(argv[i]), value = {NULL, 0};
        const char *sign = strchr(argv[i], '=');
        if (sign != NULL && str_starts(word, STR("--"))) {
            value = str_of(sign + 1);
            word.len = (size_t)(sign - argv[i]);
        }
        const struct option *option = find(word);
        if (option == NULL || (option->kind == SWITCH && value.at != NULL)) {
            fault_set(why, word, option == NULL ? "no such option; see chargeline sim --help" : "takes no value");
            return ERR_FORMAT;
        }
        if (option->kind != SWITCH && value.at == NULL && i + 1 < argc)
            value = str_of(argv[++i]);
        if (option->kind != SWITCH && value.at == NULL) {
            fault_set(why, word, "needs a value");
            return ERR_FORMAT;
        }
        if (option->kind == QUIRKS && str_eq(value, STR("list"))) {
            o.is_quirk_list = true;
            continue;
        }
        enum err e = set[option->kind](option, value, (char *)&o + option->offset, why);
        if (e != OK)
            return e;
    }
    enum err e = take_together(&o, why);
    if (e == OK)
        *out = o;
    return e;
}

void sim_options_help(struct buf *out)
{
    buf_put_lit(
        out, "chargeline sim   Charging stations that behave, or not, for demonstrations, load and tests.\n\n"
             "  chargeline sim --demo                              a dozen stations, told in words\n"
             "  chargeline sim --stations 19000 --idle             boot and stay\n"
             "  chargeline sim --stations 200 --load closed        calls as fast as answers come; one line of figures\n"
             "  chargeline sim --load open --rate 5000 --duration 60\n"
             "  chargeline sim --quirk minus-one --quirk repeat    misbehaviour seen in the field\n"
             "  chargeline sim --protocol ap3000 --demo            e-bike piles, each with its own module\n"
             "  chargeline sim --protocol ap3000 --stations 2 --slaves 20    hosts with piles behind them\n"
             "  chargeline sim --story --seed 7                    one seed of the simulated world, told\n\n");
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct option *o = &table[i];
        int used = (int)(o->flag.len + 1 + strlen(o->place));
        buf_printf(out, "  %.*s %s%*s%s", STR_ARG(o->flag), o->place, used < FLAG_WIDTH ? FLAG_WIDTH - used : 1, "",
                   o->sentence);
        if (o->standard[0] != 0 && strcmp(o->standard, "0") != 0)
            buf_printf(out, " [%s]", o->standard);
        buf_put_byte(out, '\n');
    }
    buf_put_lit(out,
                "\nCards are SIM-TAG-01, SIM-TAG-02 and so on, one a connector: list them, or run the server with\n"
                "authorization.unknown_tag=accept. At a port of an AP3000 pile it is the printed number in hexadecimal "
                "and the\n"
                "port from 0: 0D59F810, 0D59F811. Ctrl-C ends the sessions first; a second one does not.\n");
}

void sim_quirks_help(const struct sim_options *o, struct buf *out)
{
    for (size_t i = 0; i < quirk_count(o); i++)
        buf_printf(out, "  %-*s%s\n", FLAG_WIDTH, quirk_name(o, i).at,
                   o->is_ap3000 ? pile_quirks[i].sentence : sim_quirks[i].sentence);
}
