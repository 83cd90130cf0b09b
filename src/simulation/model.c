/* simulation/model.c - see the header. */
#include "simulation/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX 2048 /* of the story; a longer one is cut */

const char *const reached_words[REACHED_COUNT] = {
#define REACHED(name, words) words,
#include "simulation/reached.def"
};

const char *const trait_words[TRAIT_COUNT] = {
#define TRAIT(name, words) words,
#include "simulation/traits.def"
};

void world_say(const struct world *w, const char *format, ...)
{
    char line[LINE_MAX], now[INSTANT_TEXT_SIZE];
    va_list args;
    if (w->outcome->on_line == NULL)
        return;
    instant_write(w->now, now);
    int n = snprintf(line, sizeof line, "%5u %.11s ", w->steps, now + strlen("2026-03-01T"));
    va_start(args, format);
    (void)vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    w->outcome->on_line(w->outcome->data, line);
}

void world_broken(struct world *w, const char *format, ...)
{
    va_list args;
    if (world_is_broken(w))
        return;
    va_start(args, format);
    (void)vsnprintf(w->outcome->failure, sizeof w->outcome->failure, format, args);
    va_end(args);
    world_say(w, "BROKEN: %s", w->outcome->failure);
}

bool world_is_broken(const struct world *w)
{
    return w->outcome->failure[0] != 0;
}

void world_count(struct world *w, enum reached what, bool came_about)
{
    w->outcome->reached[what] += came_about;
}

bool fifo_put(struct fifo *f, struct str text)
{
    if (f->count == FIFO_MAX)
        return false;
    check(text.len < TEXT_MAX);
    memcpy(f->texts[f->count], text.at, text.len);
    f->texts[f->count++][text.len] = 0;
    return true;
}

void fifo_drop(struct fifo *f)
{
    f->count--;
    memmove(f->texts[0], f->texts[1], f->count * sizeof f->texts[0]);
}
