/* Pages of many transactions: what a list gives is what sorting and walking over the whole table gives, wherever a page lies. */
#include "apikit.h"
#include "work_done.h"

#define ROWS       9000
#define MANY_ROWS  60000
#define ASKED      700
#define STEPS_MOST 8000 /* of SQLite's machine, for a page of 20 and its total: to walk to it takes a hundred thousand */

static struct kit k;
static unsigned seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Numbers with gaps, starts so far apart and not in their order, some of the same time; some open, most of these among the newest, of which
 * the last so many all are. */
static void fill(struct kit *to, int rows, int open_every, int last_open, int jump, int64_t apart_us)
{
    char sql[900];
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                   " INSERT INTO transactions (number, transaction_id, charge_point_id, connector_id, id_tag, state, started_at,"
                   " meter_start_wh, received_at, position)"
                   " SELECT i * 7 + (i / 1000) * %d, i, 'CP-' || (i %% 9), 1 + (i * i %% 11) / 8, 'T' || (i %% 5),"
                   " CASE WHEN i %% %d = 0 OR i > %d AND i %% 3 = 0 OR i > %d THEN 'open' ELSE 'closed' END,"
                   " 1772355600000000 + (i / 3) * %lld - (i %% 7) * 3600000000, 5, 7, i FROM n",
                   rows, jump, open_every, rows - 200, rows - last_open, (long long)apart_us);
    kit_sql(to, sql);
    kit_count_transactions(to);
}

struct asked {
    const char *state, *sort;
    int connector, station, tag, page, size; /* -1: any station, any tag */
};

/* The ids of the page, by SQL alone: "12,13,". */
static void expected(struct db *d, const struct asked *a, char *out, size_t size, int64_t *total)
{
    char sql[900], where[300];
    const bool is_back = a->sort[0] == '-', by_start = strstr(a->sort, "started") != NULL;
    const char *way = is_back ? "DESC" : "ASC";
    (void)snprintf(where, sizeof where, "WHERE (%d = 0 OR connector_id = %d) AND (%d < 0 OR charge_point_id = 'CP-%d') AND ('%s' = '' OR state = '%s') AND (%d < 0 OR id_tag = 'T%d')",
                   a->connector, a->connector, a->station, a->station, a->state, a->state, a->tag, a->tag);
    (void)snprintf(sql, sizeof sql, "SELECT transaction_id, (SELECT COUNT(*) FROM transactions %s) FROM transactions %s ORDER BY %s %s, number %s LIMIT %d OFFSET %d",
                   where, where, by_start ? "+started_at" : "+number", way, way, a->size, (a->page - 1) * a->size);
    struct db_rows *r = db_rows_dynamic(d, str_of(sql), NULL, 0);
    size_t len = 0;
    out[0] = '\0';
    while (db_next(r) && len < size - 32) {
        len += (size_t)snprintf(out + len, size - len, "%.*s,", STR_ARG(db_col_text(r, 0)));
        *total = db_col_int(r, 1);
    }
    CHECK("rows are read", db_rows_end(r) == OK);
}

static void shown(const char *body, char *out, size_t size)
{
    static const char name[] = "\"transaction_id\":\"";
    size_t len = 0;
    out[0] = '\0';
    while ((body = strstr(body, name)) != NULL && len < size - 32) {
        body += sizeof name - 1;
        len += (size_t)snprintf(out + len, size - len, "%.*s,", (int)strcspn(body, "\""), body);
    }
}

static void check_page(struct db *d, const struct asked *a)
{
    char target[240], connector[32] = "", station[48] = "", tag[24] = "", state[32] = "", want[2048], got[2048], total_text[48];
    struct kit_answer answer;
    int64_t total = 0;
    if (a->connector > 0)
        (void)snprintf(connector, sizeof connector, "&connector_id=%d", a->connector);
    if (a->station >= 0)
        (void)snprintf(station, sizeof station, "&charge_point_id=CP-%d", a->station);
    if (a->tag >= 0)
        (void)snprintf(tag, sizeof tag, "&id_tag=T%d", a->tag);
    if (a->state[0] != '\0')
        (void)snprintf(state, sizeof state, "&state=%s", a->state);
    (void)snprintf(target, sizeof target, "/api/v1/transactions?page=%d&page_size=%d&sort=%s%s%s%s%s", a->page, a->size, a->sort, connector, station, tag,
                   state);
    kit_call(&k, KIT_KEY, "GET", target, NULL, NULL, &answer);
    expected(d, a, want, sizeof want, &total);
    shown(answer.body, got, sizeof got);
    (void)snprintf(total_text, sizeof total_text, "\"total\":%lld,", (long long)total);
    const bool is_right = answer.status == 200 && strcmp(want, got) == 0 && (want[0] == '\0' || kit_has(&answer, total_text));
    CHECK("the page is that of the whole table", is_right);
    if (!is_right)
        (void)fprintf(stderr, "%s\nwant %s %s\ngot %s\n", target, total_text, want, answer.body);
    buf_release(&answer.all);
}

static bool is_cheap(struct kit *of, const char *target)
{
    struct kit_answer answer;
    work_forget();
    kit_call(of, KIT_KEY, "GET", target, NULL, NULL, &answer);
    const bool is = answer.status == 200 && work_done.statements > 0 && work_done.steps <= STEPS_MOST;
    if (!is)
        (void)fprintf(stderr, "%s: %ld steps\n", target, work_done.steps);
    buf_release(&answer.all);
    return is;
}

/* Wherever a page lies, what SQLite does for it does not grow with the table, nor with how many of it are open: the counts lead to it. */
static void test_work(int open_every, int last_open)
{
    static const char *const lists[] = {
        "transaction_id",           "-transaction_id",
        "started_at",               "-started_at",
        "-started_at&state=closed", "-transaction_id&state=closed",
        "started_at&state=closed",  "transaction_id&state=closed",
        "transaction_id&state=open", "-transaction_id&state=open",
        "started_at&state=open",    "-started_at&state=open",
        "transaction_id&connector_id=1", "-started_at&state=closed&connector_id=1",
    };
    struct kit many;
    kit_open(&many, NULL, 0);
    fill(&many, MANY_ROWS, open_every, last_open, 0, 60000000);
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (int page = 1; page <= MANY_ROWS / 20; page += 67) {
            char target[160];
            (void)snprintf(target, sizeof target, "/api/v1/transactions?page=%d&page_size=20&sort=%s", page, lists[i]);
            CHECK("a page is found without walking to it", is_cheap(&many, target));
        }
    kit_close(&many);
}

/* By cursor, which needs no total: what comes first of a station or of a tag is found without all that is there of others, or of it. */
static void test_work_of_few(void)
{
    static const char *const lists[] = {"transaction_id&charge_point_id=CP-3", "-transaction_id&charge_point_id=CP-3", "transaction_id&id_tag=T2",
                                        "-transaction_id&id_tag=T2&state=closed", "-transaction_id&id_tag=T2&charge_point_id=CP-3"};
    struct kit many;
    kit_open(&many, NULL, 0);
    fill(&many, MANY_ROWS, MANY_ROWS / 90, 0, 0, 60000000);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        char target[160];
        (void)snprintf(target, sizeof target, "/api/v1/transactions?limit=20&sort=%s", lists[i]);
        CHECK("the newest or oldest of few are found without a walk", is_cheap(&many, target));
    }
    kit_close(&many);
}

int main(void)
{
    work_watch();
    static const char *const states[] = {"", "open", "closed"}, *const sorts[] = {"transaction_id", "-transaction_id", "started_at", "-started_at"};
    static const int sizes[] = {1, 7, 20, 100};
    struct db *d = NULL;
    struct fault why;
    kit_open(&k, NULL, 0);
    fill(&k, ROWS, 97, 30, 200000, 1400000000);
    check(db_open(k.db_path, DB_READER, &d, &why) == OK);
    for (int i = 0; i < ASKED; i++) {
        struct asked a = {states[pick(3)], sorts[pick(4)], (int)pick(3), pick(4) == 0 ? (int)pick(9) : -1, pick(4) == 0 ? (int)pick(6) : -1, 1,
                          sizes[pick(4)]};
        a.page = i % 10 == 0 ? 1 : 1 + (int)pick((unsigned)(ROWS / a.size + 2));
        check_page(d, &a);
    }
    db_close(d);
    kit_close(&k);
    test_work(MANY_ROWS / 90, 0);
    test_work(3, 0);
    test_work(MANY_ROWS / 90, MANY_ROWS / 3);
    test_work_of_few();
    return CHECK_REPORT();
}
