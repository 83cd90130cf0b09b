/* fuzz_config.c - any bytes as a configuration file: an error with a place and a reason, or a configuration whose
 * explanation loads again with the same values. */
/* covers: src/config/config.c src/config/setting.c src/config/yaml.c */
#include "config/config.h"
#include <stdlib.h>
#include <string.h>

#define EXPLAIN_MAX 1048576

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char one[] = "A=1", text_like[] = "LONGER_NAME=some ${text}", empty[] = "EMPTY=";
    char *environment[] = {one, text_like, empty, NULL};
    struct config c, again;
    struct fault why = {"", ""};
    if (config_load_text(STR("f"), (struct str){(const char *)data, size}, NULL, 0, environment, &c, &why) != OK) {
        must(why.field[0] != '\0' && why.reason[0] != '\0');
        return 0;
    }
    struct buf text;
    buf_init(&text, EXPLAIN_MAX);
    config_explain(&c, &text);
    must(!text.failed);
    if (text.len <= CONFIG_FILE_MAX) {
        must(config_load_text(STR("f"), buf_str(&text), NULL, 0, NULL, &again, NULL) == OK);
        must(str_eq(c.data_dir, again.data_dir) && str_eq(c.listen_api, again.listen_api));
        must(c.device_unknown == again.device_unknown && c.ping_s == again.ping_s);
        config_release(&again);
    }
    buf_release(&text);
    config_release(&c);
    return 0;
}
