#include "services/charging/counts.h"

static const struct counted_table counts = COUNTED_TABLE("charging_session_counts");
const struct counted_list sessions_by_start = {&counts, 1, {28, 33, 38}}; /* of 4 minutes, of 2, of 76 hours; the migration has them too */

int64_t session_part(enum session_state s)
{
    return session_state_is_active(s) ? SESSION_NONE : (int64_t)s;
}

/* state NULL: all sessions. */
static struct counted_parts parts_of(struct db_value state)
{
    return state.kind == DB_NULL ? COUNTED_ALL : COUNTED_ONE(state.number);
}

/* Those that started from `first` on and before t, which lie in one block. */
static enum err count_between(struct db *d, struct db_value state, int64_t first, struct instant t, int64_t *count)
{
    struct db_rows *r =
        state.kind == DB_NULL
            ? DB_ROWS(d, "SELECT count(*) FROM charging_sessions WHERE started_at>=?1 AND started_at<?2", db_int(first),
                      db_time(t))
            : DB_ROWS(d,
                      "SELECT count(*) FROM charging_sessions WHERE state=?3 AND started_at>=?1 AND started_at<?2",
                      db_int(first), db_time(t), state);
    *count = db_next(r) ? db_col_int(r, 0) : 0;
    return db_rows_end(r);
}

static enum err count_before(struct db *d, struct db_value state, struct instant t, int64_t *count)
{
    int64_t first = 0, between = 0;
    enum err e = counted_before(d, &sessions_by_start, parts_of(state), t.us, count, &first);
    if (e == OK)
        e = count_between(d, state, first, t, &between);
    *count += between;
    return e;
}

/* Sessions of the state before the stretch, before its end, and all. */
struct extent {
    int64_t first, end, all;
};

static enum err find_extent(struct db *d, const struct session_stretch *s, struct extent *x)
{
    enum err e = counted_total(d, &sessions_by_start, parts_of(s->state), &x->all);
    x->first = 0;
    x->end = x->all;
    if (e == OK && instant_is_set(s->since))
        e = count_before(d, s->state, s->since, &x->first);
    if (e == OK && instant_is_set(s->until))
        e = count_before(d, s->state, s->until, &x->end);
    if (x->end < x->first) /* until lies before since */
        x->end = x->first;
    return e;
}

enum err stretch_count(struct db *d, const struct session_stretch *s, int64_t *count)
{
    struct extent x;
    enum err e = find_extent(d, s, &x);
    if (e == OK)
        *count = x.end - x.first;
    return e;
}

enum err stretch_seek(struct db *d, const struct session_stretch *s, bool is_back, int64_t *skip, struct instant *start,
                      int64_t *most)
{
    struct extent x;
    enum err e = find_extent(d, s, &x);
    if (e != OK)
        return e;
    const int64_t count = x.end - x.first, left = *skip < count ? count - *skip : 0;
    int64_t n = (is_back ? x.all - x.end : x.first) + (count - left);
    e = counted_seek(d, &sessions_by_start, parts_of(s->state), is_back, &n, &start->us);
    if (e == OK) {
        *skip = n;
        *most = left;
    }
    return e;
}
