/* A list of readings that is put in as it was packed before is, byte for byte, the list that would have been packed now. Two
 * cores hear the same messages, of a few forms with values, times and ids of any length; one of them has shapes. */
#include "check.h"
#include "unit/dice.h"
#include "corekit.h"

#include <stdio.h>

#define MESSAGES 6000
#define TEXT_MAX 4096
#define LONG_FRACTION ".00000000000000000000000000000000000000000000000001"

/* # a number of 1 to 4 digits, @ a time with or without a fraction, % a fraction so long that the time is told anew, ~ now
 * and then a blank, & a text that may be empty or bend the rules. */
static const char *const forms[] = {
    "[2,'#','MeterValues',{'connectorId':1,'transactionId':~$1,'meterValue':[{'timestamp':'@','sampledValue':[{'value':'#','unit':'Wh'},"
    "{'value':'#.#','measurand':'Voltage','phase':'L1'},{'value':'#','measurand':'SoC','context':'Sample.Periodic'}]}]}]",
    "[2,'#','MeterValues',{'connectorId':2,'meterValue':[{'timestamp':'@','sampledValue':[{'value':'#'}]},{'timestamp':'@',"
    "'sampledValue':[{'value':'#','format':'Raw','location':'Outlet'},{'value':'-#'}]}]}]",
    "[2,'#','MeterValues',{'connectorId':1,'transactionId':$1,'meterValue':[{'timestamp':'%','sampledValue':[{'value':'#'}]}]}]",
    "[2,'#','MeterValues',{'meterValue':[{'sampledValue':[{'value':'&','unit':'kWh','measurand':'Energy.Active.Import.Register'}],"
    "'timestamp':'@'}],'connectorId':1}]",
    "[2,'#','StopTransaction',{'transactionId':$1,'meterStop':#,'timestamp':'@','transactionData':[{'timestamp':'@','sampledValue':"
    "[{'value':'#'}]}]}]",
    "[2,'#','MeterValues',{'connectorId':0,'meterValue':[{'timestamp':'@','sampledValue':[{'value':'#'},{'value':'#','unit':'&'}]}]}]",
};

static const char *message_of(struct buf *out, const char *form)
{
    static const char *const texts[] = {"", "1", "W", "a\\\\n", "\xC3\xA4", "-0.0e1"};
    char digits[80];
    buf_clear(out);
    for (const char *p = form; *p != 0; p++) {
        digits[0] = 0;
        if (*p == '#') {
            (void)snprintf(digits, sizeof digits, "%zu", dice(4) == 0 ? dice(10) : dice(10000));
        } else if (*p == '@' || *p == '%') {
            static const char *const fractions[] = {"", ".5", ".123", LONG_FRACTION};
            (void)snprintf(digits, sizeof digits, "2026-03-01T08:%02zu:%02zu%s%s", dice(60), dice(60),
                           fractions[dice(*p == '%' ? 4 : 3)], dice(8) == 0 ? "+02:00" : "Z");
        } else if (*p == '&') {
            buf_put_str(out, str_of(texts[dice(COUNT_OF(texts))]));
            continue;
        } else if (*p == '~') {
            if (dice(4) == 0)
                buf_put_byte(out, ' ');
            continue;
        } else {
            buf_put_byte(out, (uint8_t)*p);
            continue;
        }
        buf_put_str(out, str_of(digits));
    }
    buf_put_byte(out, 0);
    return (const char *)out->at;
}

static bool is_same_event(const struct event *a, const struct event *b)
{
    return a->type == b->type && a->device_time.us == b->device_time.us && a->sequence == b->sequence &&
           str_eq(a->payload, b->payload) && str_eq(a->answer, b->answer);
}

static void compare(const struct ocpp_decision *a, const struct ocpp_decision *b, struct str text, size_t *packed)
{
    CHECK("the same answer", str_eq(a->answer, b->answer));
    CHECK("as many events", a->event_count == b->event_count);
    for (size_t i = 0; i < a->event_count && i < b->event_count; i++) {
        bool is_same = is_same_event(&a->events[i], &b->events[i]);
        CHECK("the same event", is_same);
        if (!is_same)
            (void)fprintf(stderr, "of %.*s\n", STR_ARG(text));
        *packed += event_is_packed(&a->events[i]);
    }
}

int main(void)
{
    static const char start[] =
        "[2,'s','StartTransaction',{'connectorId':1,'idTag':'TAG','meterStart':1,'timestamp':'@'}]";
    struct kit *with = kit_new(), *without = kit_new();
    struct buf form, text;
    size_t packed = 0;
    with->shapes = shapes_new();
    with->policy.is_packing = without->policy.is_packing = true;
    with->policy.accepts_unknown_tags = without->policy.accepts_unknown_tags = true;
    buf_init(&form, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < MESSAGES; i++) {
        const char *pattern = i % 500 == 0 ? start : forms[dice(COUNT_OF(forms))];
        struct str plain = kit_text(&text, message_of(&form, pattern));
        kit_call(with, 0, plain);
        kit_call(without, 0, plain);
        compare(&with->decision, &without->decision, plain, &packed);
    }
    CHECK("most of them were packed", packed > MESSAGES / 2);
    CHECK("and there was something to recall", shapes_recalled(with->shapes) > MESSAGES / 10);
    buf_release(&form);
    buf_release(&text);
    shapes_free(with->shapes);
    kit_free(with);
    kit_free(without);
    return CHECK_REPORT();
}
