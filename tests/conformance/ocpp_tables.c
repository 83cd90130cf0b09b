/* ocpp-tables - prints the tables of OCPP 1.6 as one JSON object: the name of every message as the published schema
 * files call it
 * ("Heartbeat", "HeartbeatResponse") with its JSON Schema. test_ocpp_schemas.py compares them. */
#include "proto/ocpp16/messages.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (4 << 20)

static void put(struct json_writer *w, struct buf *schema, struct str action, const char *suffix,
                const struct message *m)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s%s", STR_ARG(action), suffix);
    buf_clear(schema);
    schema_describe(m, schema);
    jw_field_raw(w, name, buf_str(schema));
}

int main(void)
{
    struct buf all, schema;
    struct json_writer w;
    buf_init(&all, TEXT_MAX);
    buf_init(&schema, TEXT_MAX);
    jw_init(&w, &all);
    jw_open_object(&w);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        put(&w, &schema, ocpp_actions[i].name, "", ocpp_actions[i].request);
        put(&w, &schema, ocpp_actions[i].name, "Response", ocpp_actions[i].response);
    }
    jw_close_object(&w);
    bool is_whole = !all.failed && fwrite(all.at, 1, all.len, stdout) == all.len && putchar('\n') != EOF;
    buf_release(&all);
    buf_release(&schema);
    return is_whole ? 0 : 1;
}
