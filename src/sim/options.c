/* sim/options.c - flags by a table; what follows from each other is decided in one place, at the end. */
#include "sim/options.h"
#include "sim/station.h"
#include <string.h>

#define PORT_WS         80
#define PORT_WSS        443
#define SPEED_DEMO      60
#define DURATION_LOAD_S 10
#define CONNECTS        500
#define CONNECTS_DEMO   8
#define FLAG_WIDTH      24

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

static enum err set_quirk(const struct option *o, struct str value, void *to, struct fault *why)
{
    for (size_t i = 0; i < QUIRK_COUNT; i++) {
        if (!str_eq(sim_quirks[i].name, value))
            continue;
        *(uint32_t *)to |= UINT32_C(1) << i;
        return OK;
    }
    fault_set(why, o->flag, "\"%.*s\" is no quirk: --quirk list shows them", STR_ARG(value));
    return ERR_FORMAT;
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

static enum err take_together(struct sim_options *o, struct fault *why)
{
    bool is_load = o->load.len > 0 || o->heartbeats;
    if (o->load.len > 0 && !str_eq(o->load, STR("closed")) && !str_eq(o->load, STR("open"))) {
        fault_set(why, STR("--load"), "is neither closed nor open");
        return ERR_FORMAT;
    }
    if (o->demo + o->idle + o->heartbeats + (o->load.len > 0) + o->story > 1) {
        fault_set(why, STR("--demo, --idle, --load, --heartbeats, --story"), "only one of them at a time");
        return ERR_FORMAT;
    }
    enum err e = take_url(o, why);
    if (e != OK)
        return e;
    if (o->is_tls && o->ca.len == 0 && !o->insecure) {
        fault_set(why, STR("--url"), "wss:// needs --ca FILE or --insecure");
        return ERR_FORMAT;
    }
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
                "authorization.unknown_tag=accept. Ctrl-C ends the sessions first; a second one does not.\n");
}

void sim_quirks_help(struct buf *out)
{
    for (size_t i = 0; i < QUIRK_COUNT; i++)
        buf_printf(out, "  %-*s%s\n", FLAG_WIDTH, sim_quirks[i].name.at, sim_quirks[i].sentence);
}
