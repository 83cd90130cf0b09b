/* api/charge_points.c - stations: what a person sets, what the station told, what the gateway sees (api.md 2). */
#include "api/api_private.h"

#include <string.h>

#include "proto/ap3000/pile.h"
#include "proto/ap3000/stream.h"
#include "wire/secret.h"

#define ID_SIZE_MAX  48 /* reliability.md 2.3 */
#define SECRET_LEAST 16 /* a password of the security profiles */
#define SECRET_HEX   40 /* digits: 20 bytes as OCPP 1.6 writes them */
#define LOCATION_MAX 4096
#define TAGS_MAX     32

/* Identities as the gateway takes them in its paths. */
static const char id_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-_=:+|@.";

static void write_connectors(struct call *c, struct str station)
{
    jw_key(&c->w, STR("connectors"));
    jw_open_array(&c->w);
    struct db_rows *r = DB_ROWS(c->worker->db,
                                "SELECT k.connector_id, k.status, k.error_code, k.info, k.vendor_error_code, k.since, "
                                "(SELECT t.transaction_id FROM transactions t WHERE t.charge_point_id = "
                                "k.charge_point_id AND t.connector_id = k.connector_id AND "
                                "t.state = 'open' ORDER BY t.number DESC LIMIT 1), "
                                "(SELECT s.session_id FROM charging_sessions s WHERE s.charge_point_id = "
                                "k.charge_point_id AND s.connector_id = k.connector_id AND "
                                "s.is_active = 1 ORDER BY s.session_number DESC LIMIT 1) "
                                "FROM connectors k WHERE k.charge_point_id = ?1 ORDER BY k.connector_id",
                                db_text(station));
    while (db_next(r)) {
        jw_open_object(&c->w);
        (void)row_write(&c->w, &connector_row_message, r, 0);
        jw_close_object(&c->w);
    }
    if (db_rows_end(r) != OK)
        c->x->answer.body.failed = true; /* the whole answer then says so */
    jw_close_array(&c->w);
}

static void write_rest(struct call *c, struct db_rows *r, int next)
{
    write_connectors(c, db_col_text(r, 0));
    jw_key(&c->w, STR("counters"));
    jw_open_object(&c->w);
    (void)row_write(&c->w, &charge_point_counters_message, r, next);
    jw_close_object(&c->w);
}

static const struct list charge_points = {
    .row = &charge_point_message,
    .select = "p.charge_point_id, p.name, p.registration, p.security_profile, p.secret_hash IS NOT NULL, p.tags, "
              "p.location, p.online, "
              "(SELECT k.status FROM connectors k WHERE k.charge_point_id = p.charge_point_id AND k.connector_id = 0), "
              "p.connected_since, p.disconnected_at, p.last_seen, p.protocol, p.remote_address, p.gateway_id, "
              "p.vendor, p.model, "
              "p.firmware_version, p.serial_number, p.iccid, p.imsi, p.meter_type, p.meter_serial_number, p.booted_at, "
              "p.clock_skew_ms, "
              "CASE WHEN l.physical_id > 0 THEN printf('%08X', l.physical_id) END, l.host, l.iccid_binding, "
              "l.device_type, l.port_count, l.virtual_id, l.work_mode, l.imei, l.heartbeat_style, l.is_cabinet, "
              "p.created_at, p.updated_at, p.event_count, p.sequence, p.generation, "
              "(SELECT COUNT(*) FROM transactions t WHERE t.charge_point_id = p.charge_point_id AND t.state = 'open')",
    .from = "charge_points p LEFT JOIN piles l ON l.charge_point_id = p.charge_point_id",
    .sorts = {{{"charge_point_id", 15}, "p.charge_point_id", "p.charge_point_id", true, true}},
    .rest = write_rest,
};

void handle_charge_point_list(struct call *c)
{
    const struct charge_point_query *q = c->query;
    struct list l = charge_points;
    list_where(&l, "p.online = ?", q->online.is_set ? db_int(q->online.value) : db_null());
    list_where(&l, "EXISTS (SELECT 1 FROM connectors k WHERE k.charge_point_id = p.charge_point_id AND k.status = ?)",
               db_text(q->status));
    list_where(&l, "p.registration = ?", db_text(q->registration.text));
    list_where(&l, "p.vendor = ?", db_text(q->vendor));
    list_where(&l, "p.model = ?", db_text(q->model));
    /* as a range: it walks the key's index */
    if (q->q.len > 0) {
        struct str past = arena_printf(&c->arena, "%.*s\xf4\x8f\xbf\xbf", STR_ARG(q->q));
        list_where(&l, "p.charge_point_id >= ?", db_text(q->q));
        list_where(&l, "p.charge_point_id <= ?", db_text(past));
    }
    list_answer(c, &l);
}

void handle_charge_point_get(struct call *c)
{
    enum err e = item_answer(c, &charge_points, "p.charge_point_id = ?", db_text(c->params[0]), 200);
    (void)e; /* answered */
}

bool station_exists(struct call *c, struct str charge_point_id)
{
    struct db_rows *r =
        DB_ROWS(c->worker->db, "SELECT 1 FROM charge_points WHERE charge_point_id = ?1", db_text(charge_point_id));
    bool is_there = db_next(r);
    enum err e = db_rows_end(r);
    if (e != OK)
        answer_failure(c, e, NULL);
    else if (!is_there)
        answer_error(c, API_NOT_FOUND, NULL);
    return e == OK && is_there;
}

/* --- changing --- */

struct change {
    struct call *call;
    const struct charge_point_put *put;
    struct str tags;
    uint8_t salt[16], hash[SECRET_HASH_SIZE], text_hash[SECRET_HASH_SIZE];
    bool has_secret, has_text_hash, was_made;
};

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (memchr(id_characters, s.at[i], sizeof id_characters - 1) == NULL)
            return false;
    return s.len > 0 && s.len <= ID_SIZE_MAX;
}

/* A key of 40 hexadecimal digits means its 20 bytes; a station may send either, the digits in any case. */
static void hash_secret(struct change *ch, struct str secret)
{
    uint8_t bytes[SECRET_HEX / 2];
    char lower[SECRET_HEX + 1];
    const struct bytes salt = {ch->salt, sizeof ch->salt};
    random_fill(ch->salt, sizeof ch->salt);
    ch->has_secret = true;
    ch->has_text_hash = secret.len == SECRET_HEX && hex_parse(secret, bytes, sizeof bytes) == OK;
    if (!ch->has_text_hash) {
        secret_hash(salt, bytes_of(secret), ch->hash);
        return;
    }
    hex_write((struct bytes){bytes, sizeof bytes}, lower);
    secret_hash(salt, (struct bytes){bytes, sizeof bytes}, ch->hash);
    secret_hash(salt, bytes_of(str_of(lower)), ch->text_hash);
}

static struct str tags_text(struct call *c, const struct str_list *tags)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, CALL_ARENA_MAX);
    jw_init(&w, &b);
    jw_open_array(&w);
    for (size_t i = 0; i < tags->count; i++)
        jw_str(&w, tags->at[i]);
    jw_close_array(&w);
    struct str text = arena_copy(&c->arena, buf_str(&b));
    buf_release(&b);
    return text;
}

/* All 32 bits of the device whose printed number the id has. */
static bool is_physical_id(struct str charge_point_id, struct str text)
{
    uint32_t physical_id;
    char id[PILE_ID_SIZE], second[PILE_ID_SIZE];
    if (ap3000_id_parse(text, &physical_id) != OK)
        return false;
    pile_id_write(physical_id, false, id);
    pile_id_write(physical_id, true, second);
    return str_eq(charge_point_id, str_of(id)) || str_eq(charge_point_id, str_of(second));
}

static enum err check_put(struct str id, const struct charge_point_put *p, struct fault *why)
{
    if (!is_id(id))
        fault_set(why, STR("charge_point_id"), "1 to %d characters of A-Z a-z 0-9 * - _ = : + | @ .", ID_SIZE_MAX);
    else if (p->secret.at != NULL && p->secret.len < SECRET_LEAST)
        fault_set(why, STR("secret"), "at least %d characters", SECRET_LEAST);
    else if (p->location.at != NULL && (p->location.at[0] != '{' || p->location.len > LOCATION_MAX))
        fault_set(why, STR("location"), "an object of at most %d bytes", LOCATION_MAX);
    else if (p->tags.count > TAGS_MAX)
        fault_set(why, STR("tags"), "at most %d", TAGS_MAX);
    else if ((p->physical_id.at != NULL || p->iccid_binding.at != NULL) && !pile_id_is(id))
        fault_set(why, p->physical_id.at != NULL ? STR("physical_id") : STR("iccid_binding"),
                  "only of an AP3000 device, whose id is AP and its printed number");
    else if (p->physical_id.at != NULL && !is_physical_id(id, p->physical_id))
        fault_set(why, STR("physical_id"), "8 hexadecimal digits, the last 6 of them its printed number");
    else if (p->iccid_binding.len > 0 && !ap3000_iccid_is_valid(p->iccid_binding))
        fault_set(why, STR("iccid_binding"), "89 and 18 hexadecimal digits, or empty for none");
    else
        return OK;
    return ERR_RANGE;
}

static enum err store_secret(struct db *d, const struct change *ch)
{
    if (!ch->has_secret)
        return OK;
    return DB_RUN(
        d,
        "UPDATE charge_points SET secret_salt = ?2, secret_hash = ?3, secret_text_hash = ?4 WHERE charge_point_id = ?1",
        db_text(ch->call->params[0]), db_blob((struct bytes){ch->salt, sizeof ch->salt}),
        db_blob((struct bytes){ch->hash, sizeof ch->hash}),
        ch->has_text_hash ? db_blob((struct bytes){ch->text_hash, sizeof ch->text_hash}) : db_null());
}

/* What a person says of a pile before it comes, or binds it to. */
static enum err store_pile(struct db *d, const struct change *ch)
{
    const struct charge_point_put *p = ch->put;
    uint32_t physical_id = 0;
    if (p->physical_id.at == NULL && p->iccid_binding.at == NULL)
        return OK;
    if (p->physical_id.at != NULL && ap3000_id_parse(p->physical_id, &physical_id) != OK)
        return ERR_FORMAT;
    return DB_RUN(d,
                  "INSERT INTO piles (charge_point_id, physical_id, iccid_binding) VALUES (?1, ?2, nullif(?3, ''))"
                  " ON CONFLICT (charge_point_id) DO UPDATE SET"
                  " physical_id = CASE WHEN ?2 > 0 THEN ?2 ELSE piles.physical_id END,"
                  " iccid_binding = CASE WHEN ?3 IS NULL THEN piles.iccid_binding ELSE nullif(?3, '') END",
                  db_text(ch->call->params[0]), db_int(physical_id), db_text(p->iccid_binding));
}

static enum err store_charge_point(struct db *d, void *arg, struct fault *why)
{
    struct change *ch = arg;
    const struct charge_point_put *p = ch->put;
    struct instant now = clock_now();
    (void)why;
    enum err e = DB_RUN(d,
                        "INSERT INTO charge_points (charge_point_id, registration, created_at, updated_at) VALUES (?1, "
                        "'accepted', ?2, ?2) "
                        "ON CONFLICT (charge_point_id) DO NOTHING",
                        db_text(ch->call->params[0]), db_time(now));
    if (e != OK)
        return e;
    ch->was_made = db_changes(d) > 0;
    e = DB_RUN(d,
               "UPDATE charge_points SET name = COALESCE(?2, name), registration = COALESCE(?3, registration), "
               "security_profile = COALESCE(?4, security_profile), tags = COALESCE(?5, tags), location = COALESCE(?6, "
               "location), "
               "updated_at = ?7 WHERE charge_point_id = ?1",
               db_text(ch->call->params[0]), db_text(p->name), db_text(p->registration.text),
               p->security_profile.is_set ? db_int(p->security_profile.value) : db_null(), db_text(ch->tags),
               db_text(p->location), db_time(now));
    if (e == OK)
        e = store_pile(d, ch);
    return e == OK ? store_secret(d, ch) : e;
}

static void add_location(struct call *c)
{
    struct str path = c->x->target;
    const char *end = memchr(path.at, '?', path.len);
    http_answer_header(&c->x->answer, "Location", end == NULL ? path : (struct str){path.at, (size_t)(end - path.at)});
}

void handle_charge_point_put(struct call *c)
{
    struct change ch = {.call = c, .put = c->body};
    struct fault why = {"", ""};
    enum err e = check_put(c->params[0], ch.put, &why);
    if (e != OK) {
        answer_refused(c, e, &why);
        return;
    }
    if (ch.put->secret.at != NULL)
        hash_secret(&ch, ch.put->secret);
    if (ch.put->tags.at != NULL)
        ch.tags = tags_text(c, &ch.put->tags);
    if (call_write(c, store_charge_point, &ch) != OK)
        return;
    gateway_station_changed(c->api->o.gateway, c->params[0]);
    if (ch.was_made)
        add_location(c);
    e = item_answer(c, &charge_points, "p.charge_point_id = ?", db_text(c->params[0]), ch.was_made ? 201 : 200);
    (void)e; /* answered */
}

static enum err remove_charge_point(struct db *d, void *arg, struct fault *why)
{
    struct call *c = arg;
    const struct force_query *q = c->query;
    struct str id = c->params[0];
    (void)why;
    struct db_rows *r =
        DB_ROWS(d, "SELECT COUNT(*) FROM transactions WHERE charge_point_id = ?1 AND state = 'open'", db_text(id));
    int64_t open = db_next(r) ? db_col_int(r, 0) : 0;
    enum err e = db_rows_end(r);
    if (e != OK)
        return e;
    if (open > 0 && !q->force.value) {
        answer_error(c, API_OPEN_TRANSACTIONS, NULL);
        return ERR_STATE;
    }
    e = DB_RUN(d, "DELETE FROM connectors WHERE charge_point_id = ?1", db_text(id));
    if (e == OK) /* what a person set; the rest of a pile's row is what the log says of it */
        e = DB_RUN(d, "UPDATE piles SET iccid_binding = NULL WHERE charge_point_id = ?1", db_text(id));
    if (e == OK)
        e = DB_RUN(d, "DELETE FROM charge_points WHERE charge_point_id = ?1", db_text(id));
    if (e == OK && db_changes(d) == 0) {
        answer_error(c, API_NOT_FOUND, NULL);
        return ERR_UNKNOWN;
    }
    return e;
}

void handle_charge_point_delete(struct call *c)
{
    if (call_write(c, remove_charge_point, c) != OK)
        return;
    gateway_station_deleted(c->api->o.gateway, c->params[0]);
    answer_nothing(c, 200, STR("deleted"));
}
