/* The order of columns stands in three places that must agree: SESSION_COLUMNS, session_read and the statements here.
 */
#include "services/charging/rows.h"

static struct integer col_integer(struct db_rows *r, int col)
{
    return db_col_is_null(r, col) ? (struct integer){0, false} : (struct integer){db_col_int(r, col), true};
}

static struct db_value value_of(struct integer n)
{
    return n.is_set ? db_int(n.value) : db_null();
}

void session_read(struct db_rows *r, struct session *out)
{
    int c = 0;
    struct session s = {.number = db_col_int(r, c++)};
    if (uuid_parse(db_col_text(r, c++), &s.id) != OK)
        s.id = (struct uuid){{0}};
    (void)str_copy(s.transaction_id, sizeof s.transaction_id, db_col_text(r, c++));
    s.connector_id = db_col_int(r, c++);
    s.state = (enum session_state)db_col_int(r, c++);
    s.before = (enum session_state)db_col_int(r, c++);
    check(s.state < SESSION_STATE_COUNT && s.before < SESSION_STATE_COUNT);
    (void)str_copy(s.id_tag, sizeof s.id_tag, db_col_text(r, c++));
    (void)str_copy(s.order_no, sizeof s.order_no, db_col_text(r, c++));
    s.reservation_id = col_integer(r, c++);
    s.is_offline = db_col_int(r, c++) != 0;
    s.started = db_col_time(r, c++);
    s.ended = db_col_time(r, c++);
    s.device_started = db_col_time(r, c++);
    s.device_ended = db_col_time(r, c++);
    s.last_at = db_col_time(r, c++);
    s.last_update = db_col_time(r, c++);
    s.meter_start_wh = col_integer(r, c++);
    s.meter_stop_wh = col_integer(r, c++);
    s.base_wh = col_integer(r, c++);
    s.register_wh = col_integer(r, c++);
    s.energy_wh = db_col_int(r, c++);
    s.source = (enum energy_source)db_col_int(r, c++);
    check(s.source < SOURCE_COUNT);
    s.integral_wms = db_col_int(r, c++);
    s.power_at = db_col_time(r, c++);
    s.max_power_w = col_integer(r, c++);
    s.power_w = col_integer(r, c++);
    s.voltage_m = col_integer(r, c++);
    s.current_m = col_integer(r, c++);
    s.temperature_m = col_integer(r, c++);
    s.flags = (uint32_t)db_col_int(r, c++);
    (void)str_copy(s.stop_reason, sizeof s.stop_reason, db_col_text(r, c++));
    (void)str_copy(s.stop_id_tag, sizeof s.stop_id_tag, db_col_text(r, c++));
    s.reading_count = db_col_int(r, c++);
    s.history_count = db_col_int(r, c++);
    s.sequence = db_col_int(r, c++);
    s.read_at = db_col_time(r, c++);
    s.tier_power_w = col_integer(r, c++);
    s.idle_s = col_integer(r, c++);
    (void)str_copy(s.stop_code, sizeof s.stop_code, db_col_text(r, c++));
    check(c == SESSION_COLUMN_COUNT);
    *out = s;
}

struct integer session_transaction_key(const uint64_t id_key[2], struct str transaction_id)
{
    int64_t id;
    if (transaction_id.len == 0 || transaction_id.at[0] < '1' || transaction_id.at[0] > '9' || str_to_int(transaction_id, &id) != OK ||
        id > INT32_MAX)
        return (struct integer){0, false};
    return (struct integer){permute31_back(id_key, (uint32_t)id), true};
}

void session_rows_init(struct gather *g)
{
    gather_init(g, "INSERT OR FAIL INTO charging_sessions(" SESSION_COLUMNS ", charge_point_id, is_active, transaction_key, block) VALUES",
                "", SESSION_COLUMN_COUNT + 4);
}

enum err session_add(struct gather *g, struct db *d, struct str station, const struct session *s)
{
    char id[UUID_TEXT_SIZE];
    uuid_write(s->id, id);
    return GATHER_ADD(g, d,
                      db_int(s->number), db_text(str_of(id)), db_text(str_of(s->transaction_id)), db_int(s->connector_id),
                      db_int(s->state), db_int(s->before), db_text(str_of(s->id_tag)), db_text(str_of(s->order_no)),
                      value_of(s->reservation_id), db_int(s->is_offline), db_time(s->started), db_time(s->ended),
                      db_time(s->device_started), db_time(s->device_ended), db_time(s->last_at), db_time(s->last_update),
                      value_of(s->meter_start_wh), value_of(s->meter_stop_wh), value_of(s->base_wh),
                      value_of(s->register_wh), db_int(s->energy_wh), db_int(s->source), db_int(s->integral_wms),
                      db_time(s->power_at), value_of(s->max_power_w), value_of(s->power_w), value_of(s->voltage_m),
                      value_of(s->current_m), value_of(s->temperature_m), db_int(s->flags), db_text(str_of(s->stop_reason)),
                      db_text(str_of(s->stop_id_tag)), db_int(s->reading_count), db_int(s->history_count),
                      db_int(s->sequence), db_time(s->read_at), value_of(s->tier_power_w), value_of(s->idle_s),
                      db_text(str_of(s->stop_code)), db_text(station), db_int(session_state_is_active(s->state)),
                      value_of(s->transaction_key), db_int(session_block(s->started)));
}

enum err session_block_add(struct db *d, int64_t block)
{
    return DB_RUN(d, "INSERT INTO charging_session_blocks(block) VALUES (?1) ON CONFLICT DO NOTHING", db_int(block));
}

enum err session_update_readings(struct db *d, const struct session *s)
{
    return DB_RUN(
        d,
        "UPDATE charging_sessions SET last_at=?2, last_update=?3, base_wh=?4, register_wh=?5, energy_wh=?6, "
        "energy_source=?7, integral_wms=?8, power_at=?9, max_power_w=?10, power_w=?11, voltage_m=?12, current_m=?13, "
        "temperature_m=?14, flags=?15, reading_count=?16, read_at=?17 WHERE session_number=?1",
        db_int(s->number), db_time(s->last_at), db_time(s->last_update), value_of(s->base_wh), value_of(s->register_wh),
        db_int(s->energy_wh), db_int(s->source), db_int(s->integral_wms), db_time(s->power_at),
        value_of(s->max_power_w), value_of(s->power_w), value_of(s->voltage_m), value_of(s->current_m),
        value_of(s->temperature_m), db_int(s->flags), db_int(s->reading_count), db_time(s->read_at));
}

/* One statement: its row is found once. */
enum err session_update(struct db *d, const struct session *s)
{
    return DB_RUN(
        d,
        "UPDATE charging_sessions SET last_at=?2, last_update=?3, base_wh=?4, register_wh=?5, energy_wh=?6, "
        "energy_source=?7, integral_wms=?8, power_at=?9, max_power_w=?10, power_w=?11, voltage_m=?12, current_m=?13, "
        "temperature_m=?14, flags=?15, reading_count=?16, read_at=?17, connector_id=?18, state=?19, state_before=?20, "
        "is_active=?21, order_no=?22, reservation_id=?23, is_offline=?24, ended_at=?25, device_started_at=?26, "
        "device_ended_at=?27, meter_start_wh=?28, meter_stop_wh=?29, stop_reason=?30, stop_id_tag=?31, history_count=?32, "
        "sequence=?33, tier_power_w=?34, idle_s=?35, stop_code=?36 WHERE session_number=?1",
        db_int(s->number), db_time(s->last_at), db_time(s->last_update), value_of(s->base_wh), value_of(s->register_wh),
        db_int(s->energy_wh), db_int(s->source), db_int(s->integral_wms), db_time(s->power_at),
        value_of(s->max_power_w), value_of(s->power_w), value_of(s->voltage_m), value_of(s->current_m),
        value_of(s->temperature_m), db_int(s->flags), db_int(s->reading_count), db_time(s->read_at),
        db_int(s->connector_id), db_int(s->state), db_int(s->before), db_int(session_state_is_active(s->state)),
        db_text(str_of(s->order_no)), value_of(s->reservation_id), db_int(s->is_offline), db_time(s->ended),
        db_time(s->device_started), db_time(s->device_ended), value_of(s->meter_start_wh), value_of(s->meter_stop_wh),
        db_text(str_of(s->stop_reason)), db_text(str_of(s->stop_id_tag)), db_int(s->history_count), db_int(s->sequence),
        value_of(s->tier_power_w), value_of(s->idle_s), db_text(str_of(s->stop_code)));
}

enum err session_update_place(struct db *d, const struct session *s)
{
    return DB_RUN(d, "UPDATE charging_sessions SET id_tag=?2, started_at=?3, block=?4 WHERE session_number=?1", db_int(s->number),
                  db_text(str_of(s->id_tag)), db_time(s->started), db_int(session_block(s->started)));
}

void history_rows_init(struct gather *g)
{
    gather_init(g,
                "INSERT OR FAIL INTO charging_session_events(session_number, ordinal, event_type, event_id, at, received_at, "
                "state_from, state_to, detail) VALUES",
                "", 9);
}

enum err history_add(struct gather *g, struct db *d, const struct session *s, const struct history *h)
{
    char id[UUID_TEXT_SIZE];
    if (h->event_id != NULL)
        uuid_write(*h->event_id, id);
    return GATHER_ADD(g, d, db_int(s->number), db_int(s->history_count), db_text(h->type),
                      h->event_id == NULL ? db_null() : db_text(str_of(id)), db_time(h->at), db_time(h->received),
                      db_int(h->from), db_int(h->to), db_text(h->detail.at == NULL ? STR("") : h->detail));
}
