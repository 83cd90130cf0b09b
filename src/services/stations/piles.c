/* services/stations/piles.c - rows of AP3000 piles back into memory: what a pile said of itself, its open orders, and
 * an order of long ago when its settlement comes once more. */
#include "services/stations/stations.h"

#include <string.h>

#define ORDER_COLUMNS                                                                                            \
    "order_no, order_key, number, transaction_id, state, start_mode, connector_id, id_tag, command_id, content," \
    " is_told, is_cancelled, placed_at, started_at, changed_at, is_held"

static const struct str style_words[] = {
    [PILE_STYLE_UNKNOWN] = {"unknown", 7},
    [PILE_STYLE_ASKED] = {"asked", 5},
    [PILE_STYLE_LEGACY] = {"legacy", 6},
    [PILE_STYLE_MODERN] = {"modern", 6},
};

static uint16_t small(struct db_rows *r, int col, uint16_t preset)
{
    return db_col_is_null(r, col) ? preset : (uint16_t)db_col_int(r, col);
}

static enum err load_facts(struct db *d, struct str station, struct ap3000_pile *p)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT physical_id, iccid, iccid_binding, host, firmware, device_type, port_count,"
                                " virtual_id, work_mode, power_board, host_type, host_firmware, heartbeat_style,"
                                " heartbeat_s, is_cabinet FROM piles WHERE charge_point_id = ?1",
                                db_text(station));
    if (db_next(r)) {
        p->physical_id = (uint32_t)db_col_int(r, 0);
        (void)str_copy(p->iccid, sizeof p->iccid, db_col_text(r, 1));
        (void)str_copy(p->iccid_binding, sizeof p->iccid_binding, db_col_text(r, 2));
        (void)str_copy(p->host, sizeof p->host, db_col_text(r, 3));
        p->is_registered = !db_col_is_null(r, 6); /* old ones do not say what type they are */
        p->firmware = small(r, 4, 0);
        p->device_type = small(r, 5, AP3000_TYPE_ABSENT);
        p->port_count = (uint8_t)small(r, 6, 0);
        p->virtual_id = (uint8_t)small(r, 7, 0);
        p->work_mode = (uint8_t)small(r, 8, 0);
        p->power_board_version = small(r, 9, 0);
        p->is_host = !db_col_is_null(r, 10) || !db_col_is_null(r, 11);
        p->host_type = small(r, 10, AP3000_TYPE_ABSENT);
        p->host_firmware = small(r, 11, 0);
        for (size_t i = 0; i < COUNT_OF(style_words); i++)
            if (i != PILE_STYLE_ASKED && str_eq(db_col_text(r, 12), style_words[i]))
                p->style = (enum pile_style)i;
        p->heartbeat_s = db_col_is_null(r, 13) ? PILE_HEARTBEAT_S : db_col_int(r, 13);
        p->is_cabinet = db_col_int(r, 14) != 0;
    }
    return db_rows_end(r);
}

/* The codes of its ports, as the statuses of its connectors were made of them: up to the first of which none was told.
 */
static enum err load_ports(struct db *d, struct str station, struct ap3000_pile *p)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT connector_id, status, vendor_error_code FROM connectors"
                                " WHERE charge_point_id = ?1 AND connector_id > 0 AND status IS NOT NULL"
                                " ORDER BY connector_id",
                                db_text(station));
    while (db_next(r) && p->ports_seen < PILE_PORT_NONE &&
           db_col_int(r, 0) == pile_connector_of((uint8_t)p->ports_seen)) {
        uint8_t code = str_eq(db_col_text(r, 1), STR("Charging")) ? 1 : 0;
        struct str vendor = db_col_text(r, 2);
        if (vendor.len == 4 && hex_parse((struct str){vendor.at + 2, 2}, &code, 1) != OK)
            break;
        pile_make_ports(p, (size_t)p->ports_seen + 1);
        p->ports[p->ports_seen++] = code;
    }
    return db_rows_end(r);
}

static struct pile_order order_of(struct db_rows *r)
{
    struct pile_order o = {
        .number = (uint64_t)db_col_int(r, 2),
        .start_mode = (uint8_t)small(r, 5, 1),
        .port = db_col_is_null(r, 6) ? PILE_PORT_NONE : (uint8_t)(db_col_int(r, 6) - 1),
        .is_told = db_col_int(r, 10) != 0,
        .is_cancelled = db_col_int(r, 11) != 0,
        .placed_at = db_col_time(r, 12),
        .started_at = db_col_is_null(r, 13) ? INSTANT_NONE : db_col_time(r, 13),
        .decided_at = db_col_time(r, 14),
        .seen_at = INSTANT_NONE,
        .is_held = db_col_int(r, 15) != 0,
    };
    if (instant_is_set(o.started_at) && instant_before(o.started_at, o.placed_at))
        o.placed_at = o.started_at; /* it began at the pile, before we heard of it */
    int64_t id = 0;
    int state = order_state_find(db_col_text(r, 4));
    uint8_t content[8];
    if (hex_parse(db_col_text(r, 0), o.no, sizeof o.no) != OK)
        memset(o.no, 0, sizeof o.no); /* its key is what it is known by */
    (void)str_copy(o.key, sizeof o.key, db_col_text(r, 1));
    if (str_to_int(db_col_text(r, 3), &id) == OK)
        o.id = (uint32_t)id;
    o.state = state < 0 ? ORDER_UNCERTAIN : (enum order_state)state;
    (void)str_copy(o.id_tag, sizeof o.id_tag, db_col_text(r, 7));
    (void)str_copy(o.command_id, sizeof o.command_id, db_col_text(r, 8));
    if (hex_parse(db_col_text(r, 9), content, sizeof content) == OK)
        o.content = be64(content);
    return o;
}

#define NEWEST_CHANGE \
    "(SELECT changed_at FROM " ORDERS_BY_BLOCK " WHERE charge_point_id = ?1 ORDER BY order_blocks.block DESC, changed_at DESC LIMIT 1)"

/* All that are open, those that may still be held, and the last of the others, in the order in which they came: the
 * newest of a port is its last. A hold lasts two minutes: what was decided so long before the last of all is held no
 * longer, so that these are few rows of an index. */
static enum err load_orders(struct db *d, struct str station, struct ap3000_pile *p)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT " ORDER_COLUMNS " FROM orders WHERE rowid IN ("
                                "SELECT rowid FROM orders WHERE charge_point_id = ?1 AND state NOT IN ('failed', 'settled')"
                                " UNION SELECT * FROM (SELECT orders.rowid FROM " ORDERS_BY_BLOCK
                                " WHERE charge_point_id = ?1 AND state IN ('failed', 'settled')"
                                " ORDER BY order_blocks.block DESC, changed_at DESC LIMIT ?2)"
                                " UNION SELECT orders.rowid FROM " ORDERS_BY_BLOCK
                                " WHERE charge_point_id = ?1 AND state = 'failed' AND is_held AND changed_at > " NEWEST_CHANGE " - ?3)"
                                " ORDER BY placed_at, number",
                                db_text(station), db_int(PILE_SETTLED_MAX), db_int(SPAN_S(PILE_HOLD_S).us));
    while (db_next(r)) {
        struct pile_order o = order_of(r);
        (void)pile_add_order(p, &o);
    }
    return db_rows_end(r);
}

static enum err load_firmware(struct db *d, struct str station, struct firmware_job *job)
{
    struct db_rows *r =
        DB_ROWS(d,
                "SELECT job_id, file_id, command, packet, size_bytes, byte_sum, version, device_type,"
                " check_packet FROM firmware_jobs"
                " WHERE charge_point_id = ?1 AND state = 'Downloading' ORDER BY started_at DESC LIMIT 1",
                db_text(station));
    if (db_next(r)) {
        (void)str_copy(job->job_id, sizeof job->job_id, db_col_text(r, 0));
        (void)str_copy(job->file_id, sizeof job->file_id, db_col_text(r, 1));
        job->command = (uint8_t)db_col_int(r, 2);
        job->packet = db_col_int(r, 3);
        job->image = (struct ap3000_image){.size = db_col_int(r, 4),
                                           .byte_sum = (uint32_t)db_col_int(r, 5),
                                           .version = small(r, 6, 0),
                                           .device_type = small(r, 7, 0),
                                           .has_check_packet = db_col_int(r, 8) != 0};
    }
    return db_rows_end(r);
}

static enum err load_quarantined(struct db *d, struct str station, struct ap3000_pile *p)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT count(*) FROM quarantine WHERE charge_point_id = ?1 AND state = 'open'"
                                " AND content IS NOT NULL",
                                db_text(station));
    p->waiting_count = db_next(r) ? (uint32_t)db_col_int(r, 0) : 0;
    return db_rows_end(r);
}

enum err stations_find_quarantined(struct db *d, struct str station, uint64_t content, char out[UUID_TEXT_SIZE])
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT quarantine_id FROM quarantine WHERE charge_point_id = ?1 AND state = 'open'"
                                " AND content = ?2 LIMIT 1",
                                db_text(station), db_int((int64_t)content));
    bool found = db_next(r);
    if (found)
        (void)str_copy(out, UUID_TEXT_SIZE, db_col_text(r, 0));
    enum err e = db_rows_end(r);
    return e != OK ? e : (found ? OK : ERR_UNKNOWN);
}

enum err stations_load_pile(struct db *d, struct str station, struct ap3000_pile *p, struct firmware_job *job)
{
    enum err e = load_facts(d, station, p);
    if (e == OK)
        e = load_ports(d, station, p);
    if (e == OK)
        e = load_orders(d, station, p);
    if (e == OK)
        e = load_quarantined(d, station, p);
    if (e == OK)
        e = load_firmware(d, station, job);
    return e;
}

enum err stations_iccid_binding(struct db *d, struct str station, char *out, size_t size)
{
    struct db_rows *r = DB_ROWS(d, "SELECT iccid_binding FROM piles WHERE charge_point_id = ?1", db_text(station));
    (void)str_copy(out, size, db_next(r) ? db_col_text(r, 0) : STR(""));
    return db_rows_end(r);
}

enum err stations_find_order(struct db *d, struct str station, struct str order_key, struct pile_order *out)
{
    struct db_rows *r = DB_ROWS(d, "SELECT " ORDER_COLUMNS " FROM orders WHERE charge_point_id = ?1 AND order_key = ?2",
                                db_text(station), db_text(order_key));
    bool found = db_next(r);
    if (found)
        *out = order_of(r);
    enum err e = db_rows_end(r);
    return e != OK ? e : (found ? OK : ERR_UNKNOWN);
}
