/* What stations may say again: the newest eight of each, whatever their size and however many came in one batch. */
#include "batchkit.h"
#include "proto/ocpp16/decide.h"

#define STATIONS   400 /* their messages are more than a batch copies */
#define MESSAGES   6000
#define BODY_MOST  1500 /* past what is copied of one */
#define NEWEST     STATION_METERS_MAX

static struct model {
    char id[12];
    uint64_t keys[NEWEST];
    size_t count;
} models[STATIONS];

static void tell(const struct event *e)
{
    struct fault why = {{0}, {0}};
    CHECK("an event", consumer.on_event(consumer.state, db, e, &why) == OK);
}

static void end_batch(void)
{
    struct fault why = {{0}, {0}};
    CHECK("a batch", consumer.on_batch_end(consumer.state, db, &why) == OK && db_commit(db) == OK && db_begin(db) == OK);
}

/* A message of its own; few stations say much, so that the ring goes round. */
static void say(struct buf *frame, struct buf *packed, bool is_noted)
{
    static struct ev_sample none;
    struct model *m = &models[dice(4) == 0 ? dice(STATIONS) : dice(STATIONS / 10)];
    const struct ev_meter_values p = {.connector_id = {1, true}, .meter_values = {&none, 0}};
    const size_t size = dice(20) == 0 ? dice(BODY_MOST) : dice(60);
    buf_clear(frame);
    buf_clear(packed);
    buf_put_str(frame, STR("[2,\"1\",\"MeterValues\","));
    const size_t at = frame->len;
    for (size_t i = 0; i < size; i++)
        buf_put_byte(frame, (uint8_t)('a' + dice(26)));
    const struct str body = {(const char *)frame->at + at, size};
    event_pack(EVENT_METER_VALUES, &p, buf_str(frame), body, NULL, packed);
    const struct event e = {.type = EVENT_METER_VALUES, .station = str_of(m->id), .payload = buf_str(packed), .frame = buf_str(frame)};
    tell(&e);
    if (is_noted)
        m->keys[m->count++ % NEWEST] = ocpp_meter_key(body);
}

static void compare(void)
{
    for (size_t i = 0; i < STATIONS; i++) {
        const struct model *m = &models[i];
        const size_t kept = m->count < NEWEST ? m->count : NEWEST;
        struct db_rows *r = DB_ROWS(db, "SELECT recent_contents FROM charge_points WHERE charge_point_id = ?1", db_text(str_of(m->id)));
        CHECK("a row", db_next(r));
        const struct bytes got = db_col_blob(r, 0);
        bool is_same = got.len == 8 * kept;
        for (size_t k = 0; is_same && k < kept; k++)
            is_same = be64(got.at + 8 * k) == m->keys[(m->count - kept + k) % NEWEST];
        CHECK("the newest, oldest first", is_same);
        CHECK("read", db_rows_end(r) == OK);
    }
}

int main(void)
{
    struct buf frame, packed;
    dice_state = 5;
    tables_open((const uint64_t[2]){1, 2});
    buf_init(&frame, 4096);
    buf_init(&packed, 4096);
    check(db_begin(db) == OK);
    for (size_t i = 0; i < STATIONS; i++) {
        (void)snprintf(models[i].id, sizeof models[i].id, i % 2 == 0 ? "CP-%zu" : "%zu", i);
        tell(&(const struct event){.type = EVENT_CONNECTION_OPENED,
                                   .station = str_of(models[i].id),
                                   .payload = STR("{\"generation\":1,\"protocol\":\"p\",\"remoteAddress\":\"r\",\"securityProfile\":0}")});
    }
    end_batch();
    static const size_t batches[] = {1, 7, 300, 4000, MESSAGES - 4308};
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        if (i == 2) { /* what is undone was never said */
            for (size_t n = 0; n < batches[3]; n++)
                say(&frame, &packed, false);
            db_rollback(db);
            consumer.on_batch_undone(consumer.state);
            check(db_begin(db) == OK);
        }
        for (size_t n = 0; n < batches[i]; n++)
            say(&frame, &packed, true);
        end_batch();
        compare();
    }
    check(db_commit(db) == OK);
    buf_release(&frame);
    buf_release(&packed);
    tables_close();
    return CHECK_REPORT();
}
