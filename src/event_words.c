/* event_words.c - fills the sentences of event_words.def from payloads by the tables of schema/. */
#include "event_words.h"

#include <string.h>

#define TEXT_SHOWN_MAX 300 /* bytes of one text */

struct sentence {
    enum tone tone;
    struct str text;
};
static const struct sentence sentences[] = {
#define WORDS(name, tone, text) [EVENT_##name] = {TONE_##tone, {(text), sizeof(text) - 1}},
#include "event_words.def"
};
_Static_assert(COUNT_OF(sentences) == EVENT_TYPE_COUNT, "an event without words: see event_words.def");

/* The numbers of a MeterValues that a person looks for, and how they are called. */
static const struct {
    struct str measurand;
    const char *shown;
} measurands[] = {
    {{"Energy.Active.Import.Register", 29}, "energy"},
    {{"Power.Active.Import", 19}, "power"},
    {{"Current.Import", 14}, "current"},
    {{"Voltage", 7}, "voltage"},
    {{"SoC", 3}, "battery"},
    {{"Temperature", 11}, "temperature"},
};

/* What stands between the braces. */
struct wish {
    struct str name;
    struct str word; /* behind '!' or '?'; absent: none */
};

enum tone event_tone(enum event_type t)
{
    return sentences[t].tone;
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of writing. */
static bool is_harmless(const uint8_t *at, size_t size)
{
    if (size == 1)
        return at[0] >= ' ' && at[0] != 0x7F;
    if (size == 2)
        return at[0] != 0xC2 || at[1] >= 0xA0;
    if (at[0] != 0xE2)
        return true;
    return !(at[1] == 0x80 && at[2] >= 0xA8 && at[2] <= 0xAE) && !(at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9);
}

void put_shown(struct buf *out, struct str text)
{
    if (text.at == NULL)
        return;
    const uint8_t *at = (const uint8_t *)text.at, *end = at + text.len;
    while (at < end) {
        size_t size = utf8_char_size(at, end);
        if ((size_t)(at - (const uint8_t *)text.at) + size > TEXT_SHOWN_MAX) {
            buf_put_lit(out, "...");
            return;
        }
        if (size > 0 && is_harmless(at, size))
            buf_put(out, at, size);
        else
            buf_put_byte(out, '?');
        at += size > 0 ? size : 1;
    }
}

/* The newest value of a measurand, the sum over the phases rather than one of them; NULL: none. */
static const struct ev_sampled_value *find_sample(const struct ev_sample_list *samples, struct str measurand)
{
    const struct ev_sampled_value *found = NULL;
    for (size_t i = 0; i < samples->count; i++) {
        const struct ev_sampled_value *v = samples->at[i].sampled_value;
        if (str_eq(v->measurand, measurand) && (found == NULL || v->phase.at == NULL || found->phase.at != NULL))
            found = v;
    }
    return found;
}

static void put_after_blank(struct str text, struct buf *out)
{
    if (text.at == NULL)
        return;
    buf_put_byte(out, ' ');
    put_shown(out, text);
}

static void put_samples(const struct ev_sample_list *samples, struct buf *out)
{
    const char *before = "";
    for (size_t i = 0; i < COUNT_OF(measurands); i++) {
        const struct ev_sampled_value *v = find_sample(samples, measurands[i].measurand);
        if (v == NULL)
            continue;
        buf_printf(out, "%s%s ", before, measurands[i].shown);
        put_shown(out, v->value);
        put_after_blank(v->unit, out);
        put_after_blank(v->phase, out);
        before = ", ";
    }
    buf_printf(out, "%s%zu sample%s", before, samples->count, samples->count == 1 ? "" : "s");
}

static bool put_texts(const struct str_list *texts, struct buf *out)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (i > 0)
            buf_put_byte(out, ' ');
        put_shown(out, texts->at[i]);
    }
    return texts->count > 0;
}

static bool put_text(struct str text, struct str unwanted, struct buf *out)
{
    if (text.at == NULL || text.len == 0 || (unwanted.at != NULL && str_eq(text, unwanted)))
        return false;
    put_shown(out, text);
    return true;
}

/* False: it is absent, or says nothing. */
static bool put_member(const struct field *f, const char *payload, const struct wish *wish, struct buf *out)
{
    const void *at = payload + f->offset;
    switch (f->kind) {
    case KIND_STR:
    case KIND_DECIMAL:
        return put_text(*(const struct str *)at, wish->word, out);
    case KIND_ANY:
        return !str_eq(*(const struct str *)at, STR("{}")) && put_text(*(const struct str *)at, wish->word, out);
    case KIND_TIME:
        return put_text(((const struct stamp *)at)->text, wish->word, out);
    case KIND_CHOICE:
        return put_text(((const struct word *)at)->text, wish->word, out);
    case KIND_INTEGER:
    case KIND_INT32:
        if (((const struct integer *)at)->is_set)
            buf_put_int(out, ((const struct integer *)at)->value);
        return ((const struct integer *)at)->is_set;
    case KIND_BOOLEAN:
        if (((const struct boolean *)at)->value)
            buf_put_str(out, wish->word);
        return ((const struct boolean *)at)->value;
    case KIND_STRS:
        return put_texts(at, out);
    case KIND_LIST: /* payload.def has one list */
        check(f->part == &ev_sample_message);
        put_samples(at, out);
        return true;
    case KIND_PART:
        break;
    }
    return false;
}

static const struct field *find_member(const struct message *m, struct str name)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (str_eq(m->fields[i].wire, name))
            return &m->fields[i];
    return NULL;
}

static bool put_wish(const struct event *e, const char *payload, const struct wish *wish, struct buf *out)
{
    const struct message *m = event_kinds[e->type].payload;
    if (str_eq(wish->name, STR("frame")))
        return put_text(e->frame, wish->word, out);
    if (str_eq(wish->name, STR("answer")))
        return put_text(e->answer, wish->word, out);
    const struct field *f = find_member(m, wish->name);
    return f != NULL && put_member(f, payload, wish, out);
}

/* text begins behind '{'; the length up to and with '}'. */
static size_t read_wish(struct str text, struct wish *out)
{
    size_t end = 0, mark;
    while (text.at[end] != '}')
        end++;
    for (mark = 0; mark < end && text.at[mark] != '!' && text.at[mark] != '?'; mark++)
        ;
    *out = (struct wish){.name = {text.at, mark}};
    if (mark < end)
        out->word = (struct str){text.at + mark + 1, end - mark - 1};
    return end + 1;
}

static void put_sentence(const struct event *e, const char *payload, struct buf *out)
{
    struct str text = sentences[e->type].text;
    struct wish wish;
    size_t begun = 0; /* of the brackets at hand */
    bool is_bracketed = false, is_dropped = false;
    for (size_t i = 0; i < text.len; i++) {
        switch (text.at[i]) {
        case '[':
            begun = out->len;
            is_bracketed = true;
            is_dropped = false;
            break;
        case ']':
            if (is_dropped)
                out->len = begun;
            is_bracketed = false;
            break;
        case '{':
            i += read_wish((struct str){text.at + i + 1, text.len - i - 1}, &wish);
            if (put_wish(e, payload, &wish, out))
                break;
            is_dropped = is_bracketed;
            if (!is_bracketed)
                buf_put_byte(out, '-');
            break;
        default:
            buf_put_byte(out, (uint8_t)text.at[i]);
        }
    }
}

void event_words_check(void)
{
    struct wish wish;
    for (size_t t = 0; t < COUNT_OF(sentences); t++) {
        struct str text = sentences[t].text;
        for (size_t i = 0; i < text.len; i++) {
            if (text.at[i] != '{')
                continue;
            i += read_wish((struct str){text.at + i + 1, text.len - i - 1}, &wish);
            check(str_eq(wish.name, STR("frame")) || str_eq(wish.name, STR("answer")) ||
                  find_member(event_kinds[t].payload, wish.name) != NULL);
        }
    }
}

void event_put_words(const struct event *e, struct arena *a, struct buf *out)
{
    void *payload = arena_take(a, event_kinds[e->type].payload->size);
    if (payload != NULL && event_read_payload(e, a, payload, NULL) == OK) {
        put_sentence(e, payload, out);
        return;
    }
    buf_put_str(out, event_kinds[e->type].wire);
    buf_put_byte(out, ' ');
    put_shown(out, e->payload);
}
