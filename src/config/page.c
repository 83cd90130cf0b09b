/* config/page.c - the settings for people: explain shows what holds now, document what there is. */
#include "config/setting.h"
#include "base/json.h"

#define VALUE_SIZE_MAX 65536

/* A double-quoted YAML value: JSON's form is one, and ${ is kept from being a variable. */
static void put_quoted(struct buf *out, struct str value)
{
    struct buf doubled;
    buf_init(&doubled, VALUE_SIZE_MAX);
    for (size_t i = 0; i < value.len; i++) {
        if (str_starts((struct str){value.at + i, value.len - i}, STR("${")))
            buf_put_byte(&doubled, '$');
        buf_put_byte(&doubled, (uint8_t)value.at[i]);
    }
    struct json_writer w;
    jw_init(&w, out);
    jw_str(&w, doubled.len == 0 ? STR("") : buf_str(&doubled));
    buf_release(&doubled);
}

static void put_value(const struct config *c, enum setting s, struct buf *out)
{
    struct buf value;
    buf_init(&value, VALUE_SIZE_MAX);
    setting_write(c, s, &value);
    if (setting_lines[s].kind == SETTING_NUMBER || setting_lines[s].kind == SETTING_SWITCH)
        buf_put_str(out, buf_str(&value));
    else
        put_quoted(out, value.len == 0 ? STR("") : buf_str(&value));
    buf_release(&value);
}

void config_explain(const struct config *c, struct buf *out)
{
    char variable[SETTING_VARIABLE_SIZE_MAX];
    for (enum setting s = 0; s < SETTING_COUNT; s++) {
        const struct setting_line *line = &setting_lines[s];
        setting_variable(s, variable);
        buf_printf(out, "# %s\n# %s: ", line->help, setting_kind_name(s));
        setting_write_limits(s, out);
        buf_printf(out, "; default \"%s\"; variable %s\n%s: ", line->preset, variable, line->key);
        put_value(c, s, out);
        buf_printf(out, " # from %.*s\n\n", STR_ARG(c->origin[s]));
    }
    for (struct str rest = c->strangers; rest.len > 0;) {
        size_t len = 0;
        while (rest.at[len] != '\n')
            len++;
        buf_printf(out, "# the variable %.*s is set but is no setting\n", (int)len, rest.at);
        rest = (struct str){rest.at + len + 1, rest.len - len - 1};
    }
}

/* '|' would end a column. */
static void put_cell(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '|')
            buf_put_byte(out, '\\');
        buf_put_byte(out, (uint8_t)text.at[i]);
    }
}

void config_document(struct buf *out)
{
    buf_put_lit(
        out,
        "# Settings\n\nMade from src/config/config.def. Sources in rising weight: the default, the YAML file given "
        "with "
        "`--config`\n(nested or with dots; `${NAME}` and `${NAME:-default}` in its values are environment variables, "
        "`$${` "
        "stands for\n`${`), the environment variable `CHARGELINE_` + the key in capitals with dots as underscores, "
        "`--set KEY=VALUE`.\n`chargeline config --explain` shows what holds and where it came from.\n\n"
        "| key | kind | default | allowed | meaning |\n|---|---|---|---|---|\n");
    for (enum setting s = 0; s < SETTING_COUNT; s++) {
        const struct setting_line *line = &setting_lines[s];
        buf_printf(out, "| `%s` | %s | ", line->key, setting_kind_name(s));
        if (line->preset[0] != '\0') {
            buf_put_byte(out, '`');
            put_cell(out, str_of(line->preset));
            buf_put_byte(out, '`');
        }
        buf_put_lit(out, " | ");
        setting_write_limits(s, out);
        buf_put_lit(out, " | ");
        put_cell(out, str_of(line->help));
        buf_put_lit(out, " |\n");
    }
}
