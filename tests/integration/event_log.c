/* event_log DIR AHEAD_S - a log of events that no station sent, for tests: a line of standard input is a type and its
 * payload as JSON; received AHEAD_S seconds from now. */
#include "eventlog/log.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 65536

static void append(struct eventlog *log, const char *line, struct instant at)
{
    size_t len = strcspn(line, " ");
    int type = event_type_find((struct str){line, len});
    check(type > 0 && line[len] == ' ');
    struct event e = {.type = (enum event_type)type,
                      .station = STR("CP-1"),
                      .received = at,
                      .device_time = INSTANT_NONE,
                      .payload = {line + len + 1, strcspn(line + len + 1, "\n")}};
    check(eventlog_append(log, &e) == OK);
}

int main(int argc, char **argv)
{
    static char line[LINE_SIZE];
    struct eventlog_options o = eventlog_options_default();
    struct eventlog *log = NULL;
    struct fault why = {0};
    int64_t ahead_s = 0;
    if (argc != 3 || str_to_int(str_of(argv[2]), &ahead_s) != OK) {
        (void)fprintf(stderr, "usage: event_log DIR AHEAD_S\n");
        return 2;
    }
    o.dir = str_of(argv[1]);
    o.gateway_id = STR("gateway-test");
    if (eventlog_open(&o, &log, &why) != OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.reason);
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL)
        append(log, line, instant_add(clock_now(), SPAN_S(ahead_s)));
    eventlog_commit(log);
    eventlog_close(log);
    return 0;
}
